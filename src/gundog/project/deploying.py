"""What `prefect deploy` asks before it deploys: where the worker will find the project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gundog.project import settings

VARIABLE = "GUNDOG_HOME"
_NEEDED = (settings.FILE, "flows/nightly.py", "flows/backfill.py", "flows/parts.py")
_CURE = f"export {VARIABLE}=$PWD in the folder that holds {settings.FILE}, then deploy again"


def check_home() -> dict[str, str]:
    """The folder that a worker makes its working directory; a build step of prefect.yaml.

    Without it Prefect deploys with an empty folder where the variable is not set, and then every
    night fails.

    Raises:
        SystemExit: with what to do, when `problem` has something to say; Prefect shows an error of
            any other kind as a traceback.
    """
    if reason := problem(os.environ):
        raise SystemExit(reason)
    return {"directory": os.environ[VARIABLE]}


def problem(environ: Mapping[str, str]) -> str:
    """Why the folder cannot be deployed, and what to do; empty when it can."""
    home = environ.get(VARIABLE, "")
    if not home:
        return f"{VARIABLE} is not set: {_CURE}"
    if not Path(home).is_absolute():
        return f"{VARIABLE} is {home}, which is not a whole path: {_CURE}"
    missing = [name for name in _NEEDED if not (Path(home) / name).exists()]
    return f"{VARIABLE} is {home}, where there is no {missing[0]}: {_CURE}" if missing else ""
