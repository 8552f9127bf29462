"""Mutates every firing example that ships, those of the community hunts among them.

    python -m tests.all_mutations

The hash of each hunt is pinned by tests, so that a verdict changes only with its text or with what
mutates it; `make check` sees the latter in some examples of every kind, `make torture` in all.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gundog.cli import main
from tests import kit

_PROJECT = """\
content: [builtin, community]
lake: {DeviceProcessEvents: "lake/%Y-%m-%d.parquet", CloudAppEvents: "lake/%Y-%m-%d.parquet"}
"""


def mutate() -> int:
    """The exit status of `gundog test --mutate` over all of them."""
    with tempfile.TemporaryDirectory() as folder:
        kit.write_text(Path(folder) / "gundog.yaml", _PROJECT)
        return main.main(["test", "--mutate", "--project", folder])


if __name__ == "__main__":
    sys.exit(mutate())
