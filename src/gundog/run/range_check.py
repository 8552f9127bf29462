"""Checks that the range of a run lies on the detections' grid and is over."""

from __future__ import annotations

from datetime import timedelta

from gundog.core.errors import InputError
from gundog.core.times import Interval, check_on_grid
from gundog.detections.hunt import Hunt
from gundog.run.context import (
    Course,
    Outcome,
)


def on_grid(hunts: tuple[Hunt, ...], within: Interval | None, outcome: Outcome) -> tuple[Hunt, ...]:
    """The hunts on whose grid the range lies; the others are named and left out of the run.

    Raises:
        InputError: when it lies on the grid of none.
    """
    wrong = {
        hunt.detection.stem: what
        for hunt in hunts
        if within and (what := _off_grid(within, hunt.detection.frequency))
    }
    if wrong and len(wrong) == len(hunts):
        stem, what = next(iter(wrong.items()))
        raise InputError(f"{stem}: {what}")
    for stem, what in wrong.items():
        outcome.trouble(f"grid:{stem}", stem, f"left out of this run: {what}")
    return tuple(hunt for hunt in hunts if hunt.detection.stem not in wrong)


def _off_grid(within: Interval, frequency: timedelta) -> str:
    """What is wrong with a range for a grid; empty when its ends lie on it."""
    try:
        check_on_grid(within.start, frequency, "--from")
        check_on_grid(within.end, frequency, "--to")
    except InputError as error:
        return str(error)
    return ""


def check_range(state: Course) -> None:
    within = state.request.within
    if not within:
        return
    if within.start >= state.clock.now:
        raise InputError(f"{within} is in the future: give past days")
    state.say(f"{state.request.command} {within}")
