"""Arguments of the commands that hunt."""

from __future__ import annotations

from gundog.cli import drill_command, run_commands
from gundog.cli.adding import Add


def add_runs(add: Add) -> None:
    """`hunt` and `backfill`."""
    hunt = add(
        "hunt",
        run_commands.hunt,
        "hunt the last complete interval, and what is missing, stale or failed before it; or hunt"
        " the range you give",
    )
    back = add(
        "backfill",
        run_commands.backfill,
        "hunt a range of past days, oldest first; run it again to resume",
    )
    for command, required in ((hunt, False), (back, True)):
        command.add_argument(
            "--from", dest="start", metavar="T", required=required, help="first day or time"
        )
        command.add_argument(
            "--to",
            dest="end",
            metavar="T",
            required=required,
            help="last day (included), or a time (excluded)",
        )
        command.add_argument(
            "--detection",
            action="append",
            default=[],
            metavar="X",
            help="only this detection; can be given more than once",
        )
        command.add_argument(
            "--notify",
            choices=("each", "digest", "none"),
            help="how to send findings (default: hunt as each channel is set, backfill none)",
        )
        command.add_argument(
            "--wait",
            default="0s",
            metavar="DURATION",
            help="how long to wait for another run to end, such as 10m (default: 0s)",
        )
    for command in (hunt, back):
        command.add_argument(
            "--trust-clock",
            action="store_true",
            help="trust this machine's clock, even if it is far from the last run and all events",
        )
    back.add_argument("--again", action="store_true", help="hunt again what is already done")
    back.add_argument("--plan", action="store_true", help="show what it would do, and do nothing")
    back.add_argument("--yes", action="store_true", help="allow a very large first staging")


def add_drill(add: Add) -> None:
    """`drill`."""
    drill = add(
        "drill",
        drill_command.drill,
        "lay attacks of several sizes over copies of your own nights, and show what is found;"
        " nothing is stored or sent",
    )
    drill.add_argument(
        "--detection",
        action="append",
        default=[],
        metavar="X",
        help="only this detection; can be given more than once",
    )
    drill.add_argument(
        "--nights",
        type=int,
        default=2,
        metavar="N",
        help="how many of the hunted nights of the last 28 days to attack (default: 2)",
    )
    drill.add_argument(
        "--wait",
        default="0s",
        metavar="DURATION",
        help="how long to wait for another run to end, such as 10m (default: 0s)",
    )
