"""Numbers and what they count, as people say it."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """A number with the word for one thing, or for several.

    >>> count(1, "problem"), count(0, "hour of series"), count(1200, "entry")
    ('1 problem', '0 hours of series', '1,200 entries')
    """
    return f"{number:,} {noun if number == 1 else several(noun)}"


def several(noun: str) -> str:
    """The word for several things; of `file of the lake` the first word changes.

    >>> several("staged row"), several("day"), several("mailbox")
    ('staged rows', 'days', 'mailboxes')
    """
    head, of, rest = noun.partition(" of ")
    if head.endswith(("x", "s", "ch", "sh")):
        return f"{head}es{of}{rest}"
    ending = "ies" if head.endswith("y") and head[-2] not in "aeiou" else head[-1] + "s"
    return head[:-1] + ending + of + rest
