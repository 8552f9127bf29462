"""What every printed page is made of: a console, text that a terminal only shows, times, lists."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from gundog.core import safe_text
from gundog.core.plain_values import plain
from gundog.core.times import format_time

STYLES = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan"}

# A program reads lines, not screens: what is piped is not wrapped, unless COLUMNS says how wide.
_UNWRAPPED = 100_000
_SIZE = re.compile(r"[1-9][0-9]{0,4}")


def console() -> Console:
    """A console on standard output that takes no text for markup."""
    environ = {name: said for name, said in os.environ.items() if not _is_no_size(name, said)}
    asked = int(environ.get("COLUMNS", "0"))
    width = None if sys.stdout.isatty() else asked or _UNWRAPPED
    return Console(width=width, highlight=False, markup=False, emoji=False, _environ=environ)


def _is_no_size(name: str, said: str) -> bool:
    """True for a COLUMNS or LINES that is empty or no number, as under cron."""
    return name in ("COLUMNS", "LINES") and not _SIZE.fullmatch(said)


def safe(value: Any) -> Text:
    """A value as text that a terminal only shows."""
    shown = "" if value is None else value if isinstance(value, str) else str(plain(value))
    return Text(safe_text.for_terminal(shown))


def hanging(value: Any) -> Text:
    """A value as `safe` shows it, its further lines indented.

    So a line break in text from events begins no line that looks like one of gundog's own.
    """
    return Text(safe(value).plain.replace("\n", f"\n{_HANGING}"))


_HANGING = " " * 6


def short_time(moment: datetime | None) -> str:
    """A moment to the minute, in UTC, or to the second where that says more."""
    if moment is None:
        return ""
    shown = format_time(moment.replace(microsecond=0))[:-1].replace("T", " ")
    return shown.removesuffix(":00")


def heading(console: Console, words: str) -> None:
    """An empty line and a heading."""
    console.print()
    console.print(Text(words, style="bold"))


def listing(console: Console, title: str, lines: Sequence[str]) -> None:
    """A heading with a list under it; nothing when the list is empty."""
    if not lines:
        return
    heading(console, title)
    for line in lines:
        console.print(Text("  - ").append_text(hanging(line)))
