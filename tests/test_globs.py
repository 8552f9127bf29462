"""Tests of patterns with stars: what they fit, and that no text makes them work hard."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core import globs
from tests import draws, growth

_CHARS = st.text(st.sampled_from("aB*[]\u00df\u0130s!"), max_size=9)


class Counted(str):
    """A text that counts the letters that are looked at in it."""

    steps: int
    folded: Counted

    def __new__(cls, value: str) -> Counted:
        made = super().__new__(cls, value)
        made.steps = 0
        return made

    def casefold(self) -> Counted:
        self.folded = Counted(super().casefold())
        return self.folded

    def startswith(self, *args: object) -> bool:
        self.steps += len(str(args[0]))
        return super().startswith(*args)  # type: ignore[arg-type]

    def endswith(self, *args: object) -> bool:
        self.steps += len(str(args[0]))
        return super().endswith(*args)  # type: ignore[arg-type]

    def find(self, piece: str, start: int, end: int) -> int:  # type: ignore[override]
        found = super().find(piece, start, end)
        self.steps += (end if found < 0 else found + len(piece)) - start
        return found


@pytest.mark.parametrize("pattern", growth.PATTERNS)
@pytest.mark.parametrize("unit", ["a", "ab", "a!", "*a", "\u00df"])
def test_no_letter_is_looked_at_twice(pattern: str, unit: str) -> None:
    """A text of any length costs its length: a piece is looked for where the last one ended."""
    text = Counted(unit * (20_000 // len(unit)))

    globs.matcher(pattern)(text)

    assert text.folded.steps <= len(text.folded) + len(pattern)


@draws.law(500)
@given(_CHARS, _CHARS)
def test_fits_what_a_regular_expression_fits(pattern: str, value: str) -> None:
    """The same answers as `.*` for every star, letters that fold to two included."""
    parts = re.split(r"(\[\*\]|\*)", pattern.casefold())
    source = "".join({"*": ".*", "[*]": r"\*"}.get(one, re.escape(one)) for one in parts)

    expected = re.fullmatch(source, value.casefold(), re.DOTALL) is not None
    assert globs.matcher(pattern)(value) is expected


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("*", "", True),
        ("*", "anything\nat all", True),
        ("***", "x", True),
        ("", "", True),
        ("", "x", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("STRASSE*", "stra\u00dfe 1", True),
        ("*\u00df", "gross", True),
        ("[*]*", "*x", True),
        ("[*]*", "x", False),
        ("*ab*ba*", "abba", True),
        ("*ab*ba*", "aba", False),
    ],
)
def test_edges(pattern: str, value: str, fits: bool) -> None:
    """Pieces never overlap; nothing but stars fits everything; letters fold before they compare."""
    assert globs.matcher(pattern)(value) is fits
