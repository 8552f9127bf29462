"""What all commands share: the console, the project, and a complaint."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from gundog.core.child import Child
    from gundog.project.settings import Settings
    from gundog.run.run import Project


INTERRUPTED = 130


SENDING = ("notify", "heartbeat", "workers", "report", "publishTo")


def stopped() -> int:
    complain("stopped; what was hunted is kept, run the same command again to continue")
    return INTERRUPTED


def complain(complaint: object) -> None:
    from gundog.core import safe_text

    sys.stderr.write(safe_text.for_terminal(str(complaint)) + "\n")


def console() -> Console:
    from gundog.cli import printing

    return printing.console()


def load(arguments: argparse.Namespace, *uses: str, helper: Child | None = None) -> Project:
    """The project, read in a process of its own that starts while this one imports.

    Of what may need a secret only the keys of gundog.yaml that are used.
    """
    from gundog.core.child import Child

    with nullcontext(helper) if helper else Child("gundog.detections.content") as used:
        used.start()
        from gundog.project import project

        return project.load_project(arguments.project, os.environ, uses, used)


def settings(arguments: argparse.Namespace) -> Settings:
    """What gundog.yaml says, for commands that need neither detections nor secrets."""
    from gundog.project import settings

    return settings.load(arguments.project, os.environ, ())
