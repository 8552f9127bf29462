"""Mutations of examples: every shipped detection stands them, and each kind catches its mistake."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from gundog.cli import main
from gundog.detections import content
from gundog.detections.hunt import Content, Hunt
from gundog.testing import mutations
from tests import kit

ROOT = Path(__file__).parents[1]


def firing(hunt: Hunt) -> list[str]:
    return [one.name for one in hunt.detection.examples if one.findings]


def failures(loaded: Content, hunt: Hunt, name: str) -> list[str]:
    """What went wrong with the mutations of one example, which must be some."""
    example = next(one for one in hunt.detection.examples if one.name == name)
    verdicts = mutations.check(loaded, hunt, example)
    assert verdicts
    return [f"{one.name}: {one.problem}" for one in verdicts if one.problem]


@cache
def first(stem: str) -> list[mutations.Verdict]:
    """The verdicts on a shipped detection's first example that fires."""
    hunt = kit.shipped().hunt(stem)
    example = next(one for one in hunt.detection.examples if one.findings)
    return mutations.check(kit.shipped(), hunt, example)


# One of each kind: pairs, a series, a lone record, one that is bound to its interval.
QUICK = (
    "host_exporting_mailbox_and_removing_export",
    "mail_audit_weakened",
    "mail_items_accessed_time_series",
    "mailbox_export_removed",
    "throttled_mailbox",
)


@pytest.mark.parametrize(
    "stem",
    [
        pytest.param(stem, marks=[] if stem in QUICK else [pytest.mark.slow])
        for stem in (hunt.detection.stem for hunt in kit.shipped().hunts)
    ],
)
def test_the_first_firing_example_stands_every_mutation(stem: str) -> None:
    """Moved, cut, doubled and respelled, it gives what the laws and its YAML say."""
    assert first(stem)
    assert [one for one in first(stem) if one.problem] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "name"),
    [(hunt.detection.stem, name) for hunt in kit.shipped().hunts for name in firing(hunt)[1:]],
)
def test_every_other_firing_example_stands_them_too(stem: str, name: str) -> None:
    """So does each of the others."""
    assert failures(kit.shipped(), kit.shipped().hunt(stem), name) == []


def test_silent_examples_have_no_mutations() -> None:
    """What must come of nothing is not known."""
    hunt = kit.shipped().hunt("throttled_mailbox")
    silent = next(one for one in hunt.detection.examples if not one.findings)

    assert mutations.check(kit.shipped(), hunt, silent) == []


def test_kinds_follow_from_the_yaml() -> None:
    """A pair has its sides swapped, a bound detection and a series have not, nor a lone record."""

    def names(stem: str) -> str:
        return " ".join(one.name for one in first(stem))

    assert "opposite order, " not in names("host_exporting_mailbox_and_removing_export")
    assert "next hour" not in names("mail_items_accessed_time_series")
    assert "its gap exactly within" in names("mailbox_export_removed")
    assert "alone" not in names("throttled_mailbox")


PAIR, STAGE = "sql/pair.sql", "sql/stage/happenings.sql"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The small project."""
    return kit.make_project(tmp_path)


def test_the_small_project_stands_every_mutation(root: Path) -> None:
    """Without a mistake nothing is reported."""
    loaded = content.load([root])

    assert failures(loaded, loaded.hunt("pair"), "fires") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "reported"),
    [
        (PAIR, "+ $within >= c", "+ $within > c", "pair 1 alone, its gap exactly within: 0"),
        pytest.param(PAIR, "o.event_time + $within >= c.event_time",
         "date_diff('second', o.event_time, c.event_time) <= 86400",
         "pair 1 alone, its gap 1us over within: 1", marks=pytest.mark.slow),
        (PAIR, "and o.event_time <= c.event_time", "",
         "pair 1 alone, its sides in the opposite order: 1"),
        pytest.param(PAIR, "where end_time >= $start",
         "where end_time >= $start - interval 1 day", "in two intervals",
         marks=pytest.mark.slow),
        (PAIR, "where end_time >= $start", "where end_time >= $start - interval 1 day",
         "hunted in two parts, cut 1us after end_time: more"),
        pytest.param(PAIR, "event_time >= $start - $within", "event_time >= $start",
         "hunted in two parts, cut at end_time: lost", marks=pytest.mark.slow),
        pytest.param(PAIR, "and event_time < $end", "and event_time <= $end",
         "cut at end_time: more", marks=pytest.mark.slow),
        pytest.param(PAIR, "event_time < $end", "event_time < $end - interval 1 microsecond",
         "moved to 1us before the next day: lost", marks=pytest.mark.slow),
        (PAIR, "and o.tenant = c.tenant",
         "and date_trunc('day', o.event_time) = date_trunc('day', c.event_time)",
         "its end_time moved onto the next day: lost"),
        (PAIR, "and o.tenant = c.tenant", "and c.event_time < timestamptz '2026-03-05 00:00:00+00'",
         "moved by 7d with its interval: lost"),
        (STAGE, "'/', Id, Timestamp", "'/', Id, file_id", "delivered again in another file: "),
        pytest.param(STAGE, "'/', Id, Timestamp", "'/', Id, file_id",
         "split over two files: lost", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_mistake_is_reported(root: Path, file: str, old: str, new: str, reported: str) -> None:
    """Each kind of mutation finds the mistake that it is there for."""
    text = (root / file).read_text()
    assert old in text
    kit.write_text(root / file, text.replace(old, new))
    loaded = content.load([root])

    assert reported in "\n".join(failures(loaded, loaded.hunt("pair"), "fires"))


@pytest.mark.parametrize(
    ("stem", "name", "file", "old", "new", "reported"),
    [
        ("throttled_mailbox", "a day later it is a new one", "throttled_mailbox.sql",
         "last_throttled + $silence <= event_time",
         "date_diff('minute', last_throttled, event_time) >= 1440",
         "the last event before moved around silence"),
        pytest.param("mailbox_export_removed", "", "stage/shell_commands.sql",
         "nullif(nullif(lower(trim(split_part(DeviceName, '.', 1))), ''), '-')",
         "nullif(nullif(trim(split_part(DeviceName, '.', 1)), ''), '-')",
         "names in capitals in every other event", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_mistake_in_a_shipped_hunt_is_reported(
    stem: str, name: str, file: str, old: str, new: str, reported: str
) -> None:
    """Durations other than a pair's, and the case of names."""
    hunt = kit.shipped().hunt(stem)
    text = (ROOT / "sql" / file).read_text()
    assert old in text
    wrong = text.replace(old, new)
    if file.startswith("stage/"):
        stages = [replace(s, sql=wrong) if s.path.endswith(file) else s for s in hunt.stages]
        hunt = replace(hunt, stages=tuple(stages))
    else:
        hunt = replace(hunt, sql=wrong)

    assert reported in "\n".join(failures(kit.shipped(), hunt, name or firing(hunt)[0]))


def test_the_command_names_what_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Examples that pass and mutations that do not: exit 2, and each by its name."""
    assert main.main(["test", "--mutate", "--project", str(root)]) == 0
    assert "2 examples, 0 failed\n" in capsys.readouterr().out
    kit.write_text(root / PAIR, kit.PAIR.replace("+ $within >= c", "+ $within > c"))

    assert main.main(["test", "pair", "--mutate", "--project", str(root)]) == 2
    told = capsys.readouterr()
    assert "pair: fires: pair 1 alone, its gap exactly within: 0 findings where 1" in told.err
    assert " mutations, 1 failed" in told.out
