"""Patterns with stars against text that an attacker writes: the time is linear in the text.

A regular expression with several `.*` tries every way to share the text among them; here each
piece between two stars is looked for once, from where the piece before it ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_STAR = re.compile(r"(\[\*\]|\*)")


def matcher(pattern: str) -> Callable[[str], bool]:
    """A test of whole texts, without case: `*` stands for any text, `[*]` for a star.

    >>> fits = matcher("svc-*-[*]")
    >>> fits("SVC-backup-*"), fits("svc-backup-1")
    (True, False)
    """
    head, *rest = _pieces(pattern.casefold())
    if not rest:
        return lambda text: text.casefold() == head
    *middle, tail = rest

    def fits(text: str) -> bool:
        folded = text.casefold()
        at, end = len(head), len(folded) - len(tail)
        if end < at or not folded.startswith(head) or not folded.endswith(tail):
            return False
        for piece in middle:
            # The earliest place leaves most for the pieces that follow, so no other is tried.
            place = folded.find(piece, at, end)
            if place < 0:
                return False
            at = place + len(piece)
        return True

    return fits


def _pieces(pattern: str) -> list[str]:
    """What stands between the stars, an escaped star as a star."""
    pieces = [""]
    for part in _STAR.split(pattern):
        if part == "*":
            pieces.append("")
        else:
            pieces[-1] += "*" if part == "[*]" else part
    # Two stars in a row are one: no empty piece needs looking for.
    return [pieces[0], *filter(None, pieces[1:-1]), *pieces[1:][-1:]]
