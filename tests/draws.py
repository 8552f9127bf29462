"""How many examples and cases run: a few of each kind in `make test`, all of them in `make check`.

Laws (hypothesis): `make test` draws few examples and always the same; `make check` runs every law
again with many (`--hypothesis-profile thorough`). A law that takes milliseconds an example needs no
settings of its own; a dearer one writes with `law` how many examples are thorough. Where a law is
about a rare case, the case is planted (`@example`, or in what is drawn): a quick run has it too.

Cases: of hundreds that are nearly equal, `spread` leaves most to `make check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, settings

_QUICK, _THOROUGH = 20, 100


def register() -> None:
    """Makes the profiles known; quick is the default.

    No deadline: hypothesis fails an example that takes 200 ms, which a busy machine takes.
    """
    settings.register_profile("quick", max_examples=_QUICK, derandomize=True, deadline=None)
    settings.register_profile("thorough", max_examples=_THOROUGH, deadline=None)
    settings.load_profile("quick")


def law(thorough: int, quick: int | None = None, **options: Any) -> settings:
    """Settings of a law: so many examples in a thorough run.

    Args:
        thorough: examples in `make check`.
        quick: examples in `make test`; a tenth of the thorough ones by default, and 3 at least;
            0 for those that are planted and no other. The first that is drawn is the simplest.
        options: other settings of hypothesis.
    """
    if is_thorough():
        return settings(max_examples=thorough, **options)
    few = max(min(3, thorough), thorough // 10) if quick is None else quick
    if few == 0:
        return settings(**options | {"phases": (Phase.explicit,)})
    return settings(max_examples=few, **options)


def is_thorough() -> bool:
    """True in a run that draws many examples."""
    return settings().max_examples == _THOROUGH


def spread(cases: Iterable[Any], every: int = 6) -> list[Any]:
    """Cases of `pytest.mark.parametrize` of which every so many-th is quick and the others slow.

    Args:
        cases: values, tuples of values or `pytest.param`; those of a kind follow each other, so
            that each kind keeps some.
        every: 6 leaves five of six to `make check`.
    """
    return [_slow(case) if place % every else case for place, case in enumerate(cases)]


def _slow(case: Any) -> Any:
    if hasattr(case, "marks"):
        return case._replace(marks=(*case.marks, pytest.mark.slow))
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)


def named(cases: dict[str, Any], every: int = 6) -> list[Any]:
    """The values of a dictionary, spread, under their names."""
    return spread((pytest.param(value, id=name) for name, value in cases.items()), every)


def side_by_side(worlds: Sequence[Sequence[Any]], first: int = 1) -> list[Any]:
    """The events of several worlds, each in tenants of its own, numbered through from `first`.

    An event is a dataclass with a `number` and a `tenant`. A hunt costs the same over one world as
    over ten, and no tenant has a part in the findings of others.
    """
    return [
        replace(event, number=number, tenant=f"{place or ''}{event.tenant}")
        for number, (place, event) in enumerate(
            ((place, event) for place, world in enumerate(worlds) for event in world), first
        )
    ]
