"""Content folders read in a child process: what hangs or outgrows memory there is named.

DuckDB computes what is constant while SQL is bound, so that reading a detection can take as long as
running it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gundog.core import child
from gundog.core.child import Child, EndedError, LateError
from gundog.core.errors import ContentError, Problem
from gundog.detections import content_folder
from gundog.detections.hunt import Content

# How long one file and the SQL that it names may take, at first and where many hang.
_SECONDS, _LEAST_SECONDS = 10.0, 2.0
# On a machine that is busy with other work it waits longer: the content is not to blame.
_PATIENCE = 10
_TOO_LONG = (
    "takes too long to load: its SQL computes something large from constants, or multiplies"
    " tables: make it smaller"
)


def load(
    helper: Child,
    where: tuple[Path, ...],
    overrides: Mapping[str, Any],
    root: Path,
    memory: int,
) -> Content:
    """All content of the folders, checked; a file that cannot be read to its end is a problem.

    Args:
        helper: where it is read.
        where: content folders; later ones win.
        overrides: what gundog.yaml overrides, by detection stem or id.
        root: paths in messages are relative to it where they lie below it.
        memory: bytes that reading may use, as `Child.call` has it.

    Raises:
        ContentError: when reading ends, and not at a file.
    """
    skip = dict[str, str]()
    while True:
        seconds = max(_LEAST_SECONDS, _SECONDS - 2 * len(skip))
        try:
            loaded: Content = helper.call(
                _read, where, overrides, root, skip,
                memory=memory, seconds=seconds, patience=_PATIENCE,
            )  # fmt: skip
        except (LateError, EndedError) as error:
            why = _TOO_LONG if isinstance(error, LateError) else f"cannot be read: {error}"
            if not error.at or error.at in skip:
                problem = Problem(", ".join(map(str, where)), "", why)
                raise ContentError([problem]) from error
            skip[error.at] = why
        else:
            return loaded


def _read(
    where: tuple[Path, ...], overrides: Mapping[str, Any], root: Path, skip: Mapping[str, str]
) -> Content:
    from gundog.detections import content  # loads DuckDB: only the child needs it

    return content.load(where, overrides, root, content_folder.Watch(skip, child.at))
