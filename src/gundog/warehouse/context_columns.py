"""Which columns of a staged table are contexts, and what hunts call the table of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gundog.warehouse import quoting

# The kind that stands for the entity itself: the days on which it was seen at all.
ITSELF = "*"


@dataclass(frozen=True)
class Learned:
    """A staged table whose contexts are kept.

    `view` is its view as SQL writes it; `entity` the column of whose contexts they are; each of
    `kinds` the columns of which the first that holds anything is the value. A column may also be
    several together, such as `a + b`.
    """

    stage: str
    view: str
    entity: str
    kinds: tuple[tuple[str, ...], ...]

    @property
    def shown(self) -> str:
        """The same text for the same columns."""
        return ", ".join([self.entity, *(" | ".join(kind) for kind in self.kinds)])


# Between the columns of one context that holds several; and what an empty one of them is.
TOGETHER = " + "
EMPTY = "-"


def parts(column: str) -> tuple[str, ...]:
    """The columns that a context holds together.

    >>> parts("app + mode"), parts("isp")
    (('app', 'mode'), ('isp',))
    """
    return tuple(part.strip() for part in column.split("+"))


def kind_name(kind: tuple[str, ...]) -> str:
    """What a context is called: its first column, or the columns that it holds together."""
    return TOGETHER.join(parts(kind[0]))


def value_sql(kind: tuple[str, ...], text_of: Callable[[str], str]) -> str:
    """The value of a context as SQL; null where none of its columns holds anything.

    Args:
        kind: its columns.
        text_of: a column's text as SQL, null where it is empty.
    """
    values = (_together_sql(parts(column), text_of) for column in kind)
    return f"coalesce({', '.join(values)}, null)"


def _together_sql(columns: tuple[str, ...], text_of: Callable[[str], str]) -> str:
    texts = [text_of(column) for column in columns]
    if len(texts) == 1:
        return texts[0]
    shown = ", ".join(f"coalesce({text}, {quoting.text(EMPTY)})" for text in texts)
    return (
        f"case when coalesce({', '.join(texts)}) is not null"
        f" then concat_ws({quoting.text(TOGETHER)}, {shown}) end"
    )


def view_name(stage: str) -> str:
    """What hunts call the contexts of a staged table."""
    return f"{stage}_contexts"


def view_sql(stage: str) -> str:
    """The view that hunts read: a row per value and day, and one for all days before."""
    return (
        f"create or replace view main.{quoting.name(view_name(stage))} as"
        " select tenant, entity, kind, value, first_time, last_time from contexts"
        f" where stage = {quoting.text(stage)}"
    )
