"""Mail read by new applications and from new networks: hunts against their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.times import Interval
from gundog.hunting import match
from gundog.testing import examples
from tests import benches, draws, kit, new_app_access, new_context
from tests.oracle import DAY, END, START, Asked

HUNTS = (new_app_access, new_context)
ASKED = pytest.mark.parametrize(
    "asked", [pytest.param(module.ASKED, id=module.ASKED.stem) for module in HUNTS]
)


def hunted(asked: Asked, reads: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    """What the hunt finds, by what identifies it."""
    con = benches.of(kit.shipped(), asked.hunt)
    rows = {"CloudAppEvents": [read.row() for read in reads]}
    examples.fill(con, kit.shipped(), asked.hunt, rows, Interval(START - 90 * DAY, END))
    hits = match.match(con, asked.shrunk, Interval(START, END), START - 90 * DAY)
    return {tuple(hit.row[name] for name in asked.identity): dict(hit.row) for hit in hits}


def drawn(asked: Asked, data: st.DataObject) -> list[Any]:
    """Records of four worlds, each in tenants of its own: a hunt over them costs as over one."""
    worlds = [asked.world(data.draw(asked.drawn)) for _ in range(4)]
    return [
        replace(read, number=number, tenant=f"{place or ''}{read.tenant}")
        for number, (place, read) in enumerate(
            (place, read) for place, world in enumerate(worlds) for read in world
        )
    ]


@ASKED
@draws.law(12, quick=2)
@given(data=st.data(), order=st.randoms(use_true_random=False))
def test_hunt_finds_what_its_words_say(asked: Asked, data: st.DataObject, order: Any) -> None:
    """What the words promise, with the points that they give, and nothing else.

    What is learned after the interval, and what is delivered twice, counts for nothing.
    """
    reads = drawn(asked, data)
    promised = asked.expected(reads)
    later = [replace(read, time=read.time + 4 * DAY, number=900 + read.number) for read in reads]
    more = [*reads, *reads, *(read for read in later if read.time >= END)]
    order.shuffle(more)

    rows = hunted(asked, reads)

    assert promised
    assert {
        key: {name: row[name] for name in promised.get(key, {"score": 0})}
        for key, row in rows.items()
    } == promised
    assert hunted(asked, more) == rows


@pytest.mark.parametrize(
    ("asked", "old", "new", "killer"),
    draws.spread(
        (
            pytest.param(module.ASKED, *mutant, id=f"{module.ASKED.stem}: {mutant[-1]}")
            for module in HUNTS
            for mutant in module.MUTANTS
        ),
        every=4,
    ),
)
def test_mutant_fails_its_example(asked: Asked, old: str, new: str, killer: str) -> None:
    """A hunt that is wrong in one place fails the example that stands for this place."""
    hunt = asked.hunt
    assert old in hunt.sql
    changed = replace(hunt, sql=hunt.sql.replace(old, new))
    (example,) = (case for case in hunt.detection.examples if case.name == killer)

    assert examples.check(kit.shipped(), changed, example, benches.of(kit.shipped(), hunt)) != []
