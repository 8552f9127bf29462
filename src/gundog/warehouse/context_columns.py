"""Which columns of a staged table are contexts, and what hunts call the table of them."""

from __future__ import annotations

from dataclasses import dataclass

from gundog.warehouse import quoting

# The kind that stands for the entity itself: the days on which it was seen at all.
ITSELF = "*"


@dataclass(frozen=True)
class Learned:
    """A staged table whose contexts are kept.

    `view` is its view as SQL writes it; `entity` the column of whose contexts they are; each of
    `kinds` the columns of which the first that holds anything is the value.
    """

    stage: str
    view: str
    entity: str
    kinds: tuple[tuple[str, ...], ...]

    @property
    def shown(self) -> str:
        """The same text for the same columns."""
        return ", ".join([self.entity, *(" | ".join(kind) for kind in self.kinds)])


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
