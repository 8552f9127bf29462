"""The commands' arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gundog.cli import content_options, finding_options, run_options


class _Parser(argparse.ArgumentParser):
    """Quotes what it does not understand as text that a terminal only shows."""

    def error(self, message: str) -> NoReturn:
        from gundog.core import safe_text

        super().error(safe_text.for_terminal(message))


def parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gundog",
        description="Hunts a parquet event lake every night and keeps what it finds.",
        epilog="Times are ISO 8601 in UTC. X is a detection's id or file name. FINDING is the first"
        " characters of a finding id, as many as make it unique. Exit status: 0 done, 1 done but"
        " something failed or had no data, 2 wrong input and nothing done, 3 another run holds the"
        " warehouse.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    project = _Parser(add_help=False)
    project.add_argument(
        "--project",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder that holds gundog.yaml (default: here)",
    )
    project.add_argument(
        "--quiet", "-q", action="store_true", help="do not show how far long work is"
    )

    def add(
        name: str, run: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about, parents=[project])
        command.set_defaults(run=run)
        return command

    run_options.add_runs(add)
    finding_options.add_readers(add)
    finding_options.add_writers(add)
    content_options.add_content(add)
    commands.choices["completion"].set_defaults(whole=parser)
    return parser


def _version() -> str:
    import gundog

    return f"gundog {gundog.__version__}"
