"""The command line in a forked process, for tests that stop it by a signal."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection


def gundog(_: Connection, *words: str) -> None:
    """Ends the process as a command with these words ends."""
    from gundog.cli import main

    sys.exit(main.main(words))
