"""What gundog prints: lines of text from events are never taken for lines of its own."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gundog.cli import printing
from gundog.core import safe_text


@given(st.text())
def test_a_line_break_in_text_begins_no_line_of_gundogs(raw: str) -> None:
    """Further lines hang under the first one, and nothing else of the text changes."""
    first, *further = printing.hanging(raw).plain.split("\n")

    assert all(line.startswith(" " * 6) for line in further)
    assert "\n".join([first, *(line[6:] for line in further)]) == safe_text.for_terminal(raw)


def test_a_list_shows_an_entry_with_line_breaks_as_one() -> None:
    """A remark that holds a line break forges no second remark."""
    console = Console(file=io.StringIO(), width=80)

    printing.listing(console, "Notes", ["one\n  - two\n3 PROBLEMS"])

    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "\nNotes\n  - one\n        - two\n      3 PROBLEMS\n"
