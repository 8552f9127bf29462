"""Checks that the range of a run lies on the detections' grid and is over."""

from __future__ import annotations

from datetime import timedelta

from gundog.core.errors import InputError
from gundog.core.times import Interval, check_on_grid
from gundog.detections.hunt import Hunt
from gundog.run.context import Context
from gundog.run.outcome import Outcome


def on_grid(hunts: tuple[Hunt, ...], asked: Interval | None, outcome: Outcome) -> tuple[Hunt, ...]:
    """The hunts on whose grid the range lies; the others are named and left out of the run.

    Raises:
        InputError: when it lies on the grid of none.
    """
    wrong = {
        hunt.detection.stem: error
        for hunt in hunts
        if asked and (error := _off_grid(asked, hunt.detection.frequency))
    }
    if wrong and len(wrong) == len(hunts):
        stem, error = next(iter(wrong.items()))
        raise InputError(f"{stem}: {error}")
    for stem, error in wrong.items():
        outcome.trouble(f"grid:{stem}", stem, f"left out of this run: {error}")
    return tuple(hunt for hunt in hunts if hunt.detection.stem not in wrong)


def _off_grid(asked: Interval, frequency: timedelta) -> str:
    """What is wrong with a range for a grid; empty when its ends lie on it."""
    try:
        check_on_grid(asked.start, frequency, "--from")
        check_on_grid(asked.end, frequency, "--to")
    except InputError as error:
        return str(error)
    return ""


def check_range(context: Context) -> None:
    """Says which range the run is about.

    Raises:
        InputError: when the range is still to come.
    """
    asked = context.request.range
    if not asked:
        return
    if asked.start >= context.stamp.at:
        raise InputError(f"{asked} is in the future: give past days")
    context.say(f"{context.request.command} {asked}")
