"""Mutations of examples: every shipped detection stands them, and each kind catches its mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gundog.cli import main
from gundog.detections import content
from gundog.detections.hunt import Content, Hunt
from gundog.testing import mutations
from tests import draws, kit

ROOT = Path(__file__).parents[1]
# How many firing examples of a detection beside its first are mutated at most; `make torture`
# mutates all of them.
OTHERS = 1


def firing(hunt: Hunt) -> list[str]:
    return [one.name for one in hunt.detection.examples if one.findings]


def others(hunt: Hunt) -> list[str]:
    """Some firing examples beside the first, from all over their list; none of a series.

    A series is only moved, delivered and respelled as a whole, with what its first example shows.
    """
    names = [] if hunt.detection.series else firing(hunt)[1:]
    return names[:: -(-len(names) // OTHERS) or 1]


def failures(loaded: Content, hunt: Hunt, name: str) -> list[str]:
    """What went wrong with the mutations of one example, which must be some."""
    return problems(verdicts(loaded, hunt, name))


def verdicts(loaded: Content, hunt: Hunt, name: str) -> list[mutations.Verdict]:
    """The verdicts on the mutations of one example, which must be some."""
    example = next(one for one in hunt.detection.examples if one.name == name)
    given = mutations.check(loaded, hunt, example)
    assert given
    return given


def problems(given: list[mutations.Verdict]) -> list[str]:
    return [f"{verdict.name}: {verdict.problem}" for verdict in given if verdict.problem]


# One of each kind: two pairs of which one is bound to its interval, a series, a lone record. With
# each a mutation that it has, and one that makes no sense for it.
KINDS = {
    "host_exporting_mailbox_and_removing_export": ("delivered twice", "opposite order, "),
    "mail_items_accessed_time_series": ("moved by", "next hour"),
    "mailbox_export_removed": ("its gap exactly within", "\0"),
    "throttled_mailbox": ("in two parts", "alone"),
}
# Tried in `make test`; what is reported of a mistake is tried below.
QUICK = {"host_exporting_mailbox_and_removing_export"}


@pytest.mark.parametrize(
    "stem",
    [
        pytest.param(stem, marks=[] if stem in QUICK else [pytest.mark.slow])
        for stem in (hunt.detection.stem for hunt in kit.shipped().hunts)
    ],
)
def test_the_first_firing_example_stands_every_mutation(stem: str) -> None:
    """Moved, cut, doubled and respelled, it gives what the laws and its YAML say.

    Which mutations there are follows from the YAML: a pair has its sides swapped, a bound detection
    and a series have not, nor a lone record.
    """
    hunt = kit.shipped().hunt(stem)
    given = verdicts(kit.shipped(), hunt, firing(hunt)[0])

    assert problems(given) == []
    has, lacks = KINDS.get(stem, ("", "\0"))
    names = " ".join(verdict.name for verdict in given)
    assert has in names
    assert lacks not in names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "name"),
    [(hunt.detection.stem, name) for hunt in kit.shipped().hunts for name in others(hunt)],
)
def test_other_firing_examples_stand_them_too(stem: str, name: str) -> None:
    """So do some of the others."""
    assert failures(kit.shipped(), kit.shipped().hunt(stem), name) == []


def test_silent_examples_have_no_mutations() -> None:
    """What must come of nothing is not known."""
    hunt = kit.shipped().hunt("throttled_mailbox")
    silent = next(one for one in hunt.detection.examples if not one.findings)

    assert mutations.check(kit.shipped(), hunt, silent) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "where end_time >= $start",
            "where false and end_time >= $start",
            "finds nothing: correct",
        ),
        ("o.event_time as start_time", "(o.who || 'x')::timestamptz as start_time", "failed: "),
    ],
)
def test_an_example_that_fails_as_it_is_is_named_and_not_mutated(
    root: Path, old: str, new: str, said: str
) -> None:
    """Nothing could be compared with what it finds."""
    text = (root / PAIR).read_text()
    assert old in text
    kit.write_text(root / PAIR, text.replace(old, new))
    loaded = content.load([root])

    [verdict] = verdicts(loaded, loaded.hunt("pair"), "fires")

    assert verdict.name == "unchanged"
    assert said in verdict.problem


PAIR, STAGE = "sql/pair.sql", "sql/stage/happenings.sql"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The small project."""
    return kit.make_project(tmp_path)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Leaves the kind of mutation with a name; that all run is tested above."""

    def leave(part: str) -> None:
        monkeypatch.setattr(mutations, "_parts", lambda _: [getattr(mutations, f"_{part}")])

    return leave


def test_a_lone_record_has_no_sides(only: Callable[[str], None]) -> None:
    """It is hunted in two parts, and nothing is swapped."""
    loaded = kit.shipped()
    hunt = loaded.hunt("throttled_mailbox")
    example = next(example for example in hunt.detection.examples if example.findings)
    only("as_pairs")
    assert mutations.check(loaded, hunt, example) == []

    only("in_two_parts")
    assert failures(loaded, hunt, example.name) == []


@pytest.mark.slow
def test_a_series_stands_what_is_tried_with_it(tmp_path: Path, only: Callable[[str], None]) -> None:
    """It has no edges that an event could cross, and no sides to swap."""
    loaded = kit.load_content(kit.make_project(tmp_path, series=True))
    hunt = loaded.hunt("count")
    parts = [part.__name__ for part in mutations._parts(hunt)]
    only("moved_along")

    assert parts == ["_delivered", "_moved_along", "_respelled"]
    assert failures(loaded, hunt, "fires") == []


@pytest.mark.parametrize(
    ("part", "file", "old", "new", "reported"),
    [
        ("as_pairs", PAIR, "+ $within >= c", "+ $within > c",
         "pair 1 alone, its gap exactly within: 0"),
        ("as_pairs", PAIR, "o.event_time + $within >= c.event_time",
         "date_diff('second', o.event_time, c.event_time) <= 86400",
         "pair 1 alone, its gap 1us over within: 1"),
        ("as_pairs", PAIR, "and o.event_time <= c.event_time", "",
         "pair 1 alone, its sides in the opposite order: 1"),
        ("across_edges", PAIR, "where end_time >= $start",
         "where end_time >= $start - interval 1 day", "in two intervals"),
        ("in_two_parts", PAIR, "where end_time >= $start",
         "where end_time >= $start - interval 1 day",
         "hunted in two parts, cut 1us after end_time: more"),
        ("in_two_parts", PAIR, "event_time >= $start - $within", "event_time >= $start",
         "hunted in two parts, cut at end_time: lost"),
        ("in_two_parts", PAIR, "and event_time < $end", "and event_time <= $end",
         "cut at end_time: more"),
        ("across_edges", PAIR, "event_time < $end", "event_time < $end - interval 1 microsecond",
         "moved to 1us before the next day: lost"),
        ("across_edges", PAIR, "and o.tenant = c.tenant",
         "and date_trunc('day', o.event_time) = date_trunc('day', c.event_time)",
         "its end_time moved onto the next day: lost"),
        ("moved_along", PAIR, "and o.tenant = c.tenant",
         "and c.event_time < timestamptz '2026-03-05 00:00:00+00'",
         "moved by 7d with its interval: lost"),
        ("delivered", STAGE, "'/', Id, Timestamp", "'/', Id, file_id",
         "delivered again in another file: "),
        ("delivered", STAGE, "'/', Id, Timestamp", "'/', Id, file_id",
         "split over two files: lost"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported(
    root: Path,
    only: Callable[[str], None],
    part: str,
    file: str,
    old: str,
    new: str,
    reported: str,
) -> None:
    """Each kind of mutation finds the mistake that it is there for."""
    text = (root / file).read_text()
    assert old in text
    kit.write_text(root / file, text.replace(old, new))
    loaded = content.load([root])
    only(part)

    assert reported in "\n".join(failures(loaded, loaded.hunt("pair"), "fires"))


@pytest.mark.parametrize(
    ("part", "stem", "name", "file", "old", "new", "reported"),
    draws.spread([
        ("around_durations", "throttled_mailbox", "a day later it is a new one",
         "throttled_mailbox.sql", "last_throttled + $silence <= event_time",
         "date_diff('minute', last_throttled, event_time) >= 1440",
         "the last event before moved around silence"),
        ("respelled", "mailbox_export_removed", "", "stage/shell_commands.sql",
         "nullif(nullif(lower(trim(split_part(DeviceName, '.', 1))), ''), '-')",
         "nullif(nullif(trim(split_part(DeviceName, '.', 1)), ''), '-')",
         "names in capitals in every other event"),
    ], every=2),
)  # fmt: skip
def test_a_mistake_in_a_shipped_hunt_is_reported(
    only: Callable[[str], None],
    part: str,
    stem: str,
    name: str,
    file: str,
    old: str,
    new: str,
    reported: str,
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
    only(part)

    assert reported in "\n".join(failures(kit.shipped(), hunt, name or firing(hunt)[0]))


@pytest.mark.slow
def test_the_command_names_what_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Examples that pass and mutations that do not: exit 2, and each by its name.

    Without a mistake a pair, which has mutations of every kind, stands all of them.
    """
    assert main.main(["test", "--mutate", "--project", str(root)]) == 0
    told = capsys.readouterr()
    assert "2 examples, 0 failed\n" in told.out
    assert " mutations, 0 failed" in told.out
    assert told.err == ""
    kit.write_text(root / PAIR, kit.PAIR.replace("+ $within >= c", "+ $within > c"))

    assert main.main(["test", "pair", "--mutate", "--project", str(root)]) == 2
    told = capsys.readouterr()
    assert "pair: fires: pair 1 alone, its gap exactly within: 0 findings where 1" in told.err
    assert " mutations, 1 failed" in told.out
