"""Tests over everything that ships: each detection, each SQL file, each example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gundog.core.times import Interval, parse_time
from gundog.detections import content_folder
from gundog.detections.detection import Example
from gundog.detections.hunt import Hunt
from gundog.testing import examples
from gundog.warehouse import statement
from tests import benches, kit

ROOT = content_folder.builtin()
LOADED = kit.shipped()
COMMUNITY = ROOT / "sql/community"  # made by `gundog import`; tests/test_community.py looks at it
SQL = sorted(path for path in (ROOT / "sql").rglob("*.sql") if COMMUNITY not in path.parents)
SELECTS = [path for path in SQL if "sources" not in path.parts]
HUNTS = [path for path in SELECTS if "stage" not in path.parts]


def name(path: Path) -> str:
    """A file as a test id."""
    return str(path.relative_to(ROOT / "sql"))


def test_shipped_content_has_no_problems() -> None:
    """What ships loads."""
    assert LOADED.problems == ()
    assert len(LOADED.hunts) >= 5


# So many examples of a hunt are all quick. A hunt that changes has another hash, which is pinned
# below, and then all of its examples run in `make check`.
FEW = 10


def cases(hunt: Hunt) -> Iterator[Any]:
    """A hunt's examples; of many every third is quick, of a series, which takes long, two are."""
    examples_of, seen = hunt.detection.examples, set[bool]()
    for place, example in enumerate(examples_of):
        is_first = bool(example.findings) not in seen
        seen.add(bool(example.findings))
        is_extra = bool(hunt.detection.series) or (len(examples_of) > FEW and place % 3)
        marks = [pytest.mark.slow] if is_extra and not is_first else []
        name = f"{hunt.detection.stem}: {example.name}"
        yield pytest.param(hunt, example, id=name, marks=marks)


@pytest.mark.parametrize(
    ("hunt", "example"), [case for hunt in LOADED.hunts for case in cases(hunt)]
)
def test_example_holds(hunt: Hunt, example: Example) -> None:
    """Source events in, exactly the promised findings out, through the SQL that production runs."""
    assert examples.check(LOADED, hunt, example, benches.of(LOADED, hunt)) == []


def test_stages_keep_their_hash() -> None:
    """A hash that changes has everybody stage all files again: then CHANGELOG says so."""
    assert {one.name: one.hash for one in LOADED.stages.values()} == {
        "exchange_cmdlets": "b05d8e5f919257f7",
        "mail_access": "74dde005d868b8a2",
        "mail_changes": "90c26083fbf4208e",
        "mail_on_the_hour": "1aea0a15f50fd379",
        "shell_commands": "d84dab65515b8414",
    }


def test_detections_keep_their_hash() -> None:
    """One that changes starts again with the last interval; CHANGELOG, Detections, says why."""
    assert {hunt.detection.stem: hunt.hash for hunt in LOADED.hunts} == {
        "app_credentials_added": "32712b72210e3d1f",
        "app_granted_mail": "af1097508ea5b490",
        "host_exporting_mailbox_and_removing_export": "f14357f4a0b91520",
        "mail_audit_weakened": "9baca7fe4557fd58",
        "mail_forwarded_or_hidden": "359e5d6908e5c324",
        "mail_items_accessed": "a1f38beb7d5523df",
        "mail_items_accessed_time_series": "50031ab3f20177f5",
        "mail_read_from_new_context": "2aad57944fe6bccd",
        "mail_searched_or_exported": "3307844e40586314",
        "mailbox_access_granted": "0699811b4b636842",
        "mailbox_export": "cd41162aa4cda76f",
        "mailbox_export_cmdlet": "b7b2fd3776a4d2f4",
        "mailbox_export_removed": "b80f95eac77da3b2",
        "new_app_access": "2cb37165e3615e6b",
        "new_client_app": "2bf6092c1d335aa8",
        "other_users_mailboxes": "a8fca852f9c255ab",
        "throttled_mailbox": "f6398d71f5951d10",
    }


@pytest.mark.parametrize("path", HUNTS, ids=name)
def test_every_hunt_is_used(path: Path) -> None:
    """No SQL file lies around without a detection."""
    used = {hunt.detection.sql for hunt in LOADED.hunts}
    used |= {one.join for hunt in LOADED.hunts if (one := hunt.detection.series)}

    assert str(path.relative_to(ROOT / "sql")) in used


@pytest.mark.parametrize("path", SELECTS, ids=name)
def test_header_names_grain_reads_and_params(path: Path) -> None:
    """A reader learns from the first lines what a row is, and the header names every parameter."""
    text = path.read_text()
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("--"))

    assert text.startswith("-- ")
    for key in ("Grain:", "Reads:", "Params:"):
        assert key in header
    named = set(re.findall(r"\$(\w+)", header))
    assert named == set(statement.parameters(text))


@pytest.mark.parametrize("path", HUNTS, ids=name)
def test_hunt_has_a_stable_order_and_portable_sql(path: Path) -> None:
    """Rows come in one order, and nothing ties the hunt to one engine."""
    text = path.read_text()

    assert re.search(r"\norder by [^)]*\Z", text), "ends with order by"
    assert not re.search(r"\b(time_bucket|epoch_us|asof)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("hunt", LOADED.hunts, ids=lambda hunt: hunt.detection.stem)
def test_detection_says_what_a_reader_needs(hunt: Hunt) -> None:
    """Prose, technique, entity and a title that names somebody."""
    one = hunt.detection

    assert len(one.description) > 60
    assert one.techniques
    assert one.tactics
    assert one.entities
    assert "{" in one.title
    assert all(len(text) > 15 for text in (*one.triage, *one.blind_spots, *one.false_positives))


@pytest.mark.parametrize("blank", ["", " ", "\n", "\t ", "\r\n  "])
def test_record_whose_json_begins_with_blanks_counts(blank: str) -> None:
    """White space before a JSON object is part of JSON, not a reason to reject the record."""
    raw = (
        '{"Id": "3f0c1c2e-1111-4000-8000-000000000009", "MailboxOwnerUPN": "ana@example.com",'
        ' "OperationProperties": [{"Name": "IsThrottled", "Value": "True"}]}'
    )
    event = {
        "Timestamp": "2026-01-05T10:00:00Z",
        "ActionType": "MailItemsAccessed",
        "Application": "Microsoft Exchange Online",
        "RawEventData": blank + raw,
    }
    day = Interval(parse_time("2026-01-05"), parse_time("2026-01-06"))
    example = Example("blank", day, {"CloudAppEvents": (event,)}, ())

    hunt = LOADED.hunt("throttled_mailbox")

    [hit] = examples.run(LOADED, hunt, example, benches.of(LOADED, hunt))

    assert hit.row["mailbox"] == "ana@example.com"
