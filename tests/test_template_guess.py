"""Tests of lake.template_guess: the template that stands for folders and files, by their names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.lake import template_guess
from gundog.lake.layout import name_pattern, render
from gundog.lake.path import template_problems

TABLES = ["CloudAppEvents", "DeviceEvents", "DeviceProcessEvents"]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("insights-logs-advancedhunting-cloudappevents", "CloudAppEvents"),
        ("am-deviceevents", "DeviceEvents"),
        ("AdvancedHunting-DeviceProcessEvents", "DeviceProcessEvents"),
        ("CloudAppEvents_CL", "CloudAppEvents"),
        ("device_process_events", "DeviceProcessEvents"),
        ("table=DeviceEvents", "DeviceEvents"),
        ("CloudAppEvents-old", ""),
        ("am", ""),
        ("cl", ""),
    ],
)
def test_folders_are_named_after_tables(name: str, table: str) -> None:
    """In any case, with what exporters put around the name, and nothing else."""
    assert template_guess.table_of(name, TABLES) == table


def template(*folders: str, beside: dict[str, list[str]] | None = None) -> str:
    """The template of one way down."""
    known, segments = frozenset[str](), list[str]()
    for name in folders:
        names = (beside or {}).get(name, [name])
        segment = template_guess.folder(names, name, known)
        known |= segment.fields
        segments.append(segment.text)
    return "/".join(segments)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ("tenantId=6f/y=2026/m=03/d=09/h=13/m=00", "tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00"),
        ("y=2026/m=03/d=09/h=13/m=05", "y=%Y/m=%m/d=%d/h=%H/m=*"),
        ("year=2026/month=03/day=09/hour=13", "year=%Y/month=%m/day=%d/hour=%H"),
        ("2026/03/09/13", "%Y/%m/%d/%H"),
        ("date=2026-03-09", "date=%Y-%m-%d"),
        ("dt=20260309", "dt=%Y%m%d"),
        ("2026-03-09/13", "%Y-%m-%d/%H"),
        ("2026030913", "%Y%m%d%H"),
        ("y=2026/m=3/d=9", "y=%Y/m=*/d=*"),
        ("date=2026-13-09", "date=2026-13-09"),
        ("100%/2026", "100%%/%Y"),
        ("region=eu/2026/03", "region=eu/%Y/%m"),
    ],
)
def test_folders_become_fields(folders: str, expected: str) -> None:
    """Minutes, and numbers without a leading zero, become stars or text."""
    assert template(*folders.split("/")) == expected


def test_folders_of_which_there_are_several_become_stars() -> None:
    """With what all of them begin with."""
    beside = {"region=eu": ["region=eu", "region=us"], "b": ["a", "b"]}

    assert template("region=eu", "b", beside=beside) == "region=*/*"


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),
    layout=st.sampled_from(
        ["%Y/%m/%d/%H", "y=%Y/m=%m/d=%d/h=%H/m=00", "date=%Y-%m-%d", "dt=%Y%m%d/hour=%H", "%Y-%m"]
    ),
)
def test_what_was_rendered_is_guessed(moment: datetime, layout: str) -> None:
    """Whatever the time; and the guess is a template that matches it."""
    at = moment.replace(tzinfo=UTC)
    folders = [render(segment, at) for segment in layout.split("/")]
    guessed = template(*folders)

    assert guessed == layout
    assert list(template_problems(f"{guessed}/*.json")) == []
    assert name_pattern(guessed.split("/")).fullmatch("/".join(folders))


@pytest.mark.parametrize(
    ("names", "known", "expected"),
    [
        (["PT1H.json"], {"%Y"}, "PT1H.json"),
        (["a.json"], {"%Y"}, "*.json"),
        (["_SUCCESS", ".tmp", "a.c000.snappy.parquet", "b.parquet", "x.csv"], (), "*.parquet"),
        (["log-2026-03-09.json.gz", "log-2026-03-08.json.gz"], (), "*%Y-%m-%d*.json.gz"),
        (["20260309T1.parquet"], {"%Y"}, "*.parquet"),
        (["part-00000"], {"%Y"}, "*"),
        (["_SUCCESS"], (), ""),
    ],
)  # fmt: skip
def test_files_become_a_pattern(names: list[str], known: set[str], expected: str) -> None:
    """Of the format that most of them have."""
    assert template_guess.files(names, known) == expected
