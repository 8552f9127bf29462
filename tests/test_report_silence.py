"""What silence rests on, as the report shows it: folded, by detection and tenant, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from gundog.report.asked import Asked
from gundog.report.model import Silence
from gundog.warehouse import database
from tests.report_kit import (
    DETECTION,
    WHOLE,
    Parsed,
    gathered,
    html,
    looked,
    published,
)

_OTHER = UUID(int=78)


def silence(path: Path, asked: Asked = WHOLE) -> Silence:
    """The part of a page on what silence rests on."""
    return gathered(path, asked).trust.silence


def two_detections(path: Path, *rows: dict[str, Any]) -> Path:
    """A published file of the one detection and of another."""
    shared = {"status": "stable", "detection_hash": "h"}
    return published(
        path,
        detections=[
            {"detection_id": DETECTION, "stem": "found", "name": "Found", **shared},
            {"detection_id": _OTHER, "stem": "after", "name": "After", **shared},
        ],
        looked_at=list(rows),
    )


def test_every_detection_and_tenant_has_a_row(tmp_path: Path) -> None:
    """In the order of their names, with every figure as it was recorded."""
    path = two_detections(
        tmp_path / "f.duckdb",
        looked(tenant="beta", rows=7, mailboxes=3, scored=1, learning=2, throttled=1, silent=4),
        looked(tenant="alpha"),
        looked(detection_id=_OTHER, tenant="alpha", mailboxes=None, scored=None, learning=None,
               throttled=None, silent=None),
    )  # fmt: skip

    shown = silence(path)

    assert [(row.detection, row.tenant) for row in shown.rows] == [
        ("after", "alpha"), ("found", "alpha"), ("found", "beta"),
    ]  # fmt: skip
    assert shown.rows[0].mailboxes is None
    last = shown.rows[-1]
    figures = (last.rows, last.mailboxes, last.scored, last.learning, last.throttled, last.silent)
    assert figures == (7, 3, 1, 2, 1, 4)
    assert (shown.detections, shown.partial, shown.left_out) == (2, 1, 0)


def test_the_part_is_folded_and_says_in_words_what_colours_say(tmp_path: Path) -> None:
    """A figure with a colour stands under its name, also where the head of the table is hidden."""
    path = published(tmp_path / "f.duckdb", looked_at=[looked(learning=2, throttled=31, silent=45)])

    page = Parsed(html(path))

    # The part is the first that can be folded, before who and the findings.
    assert next(attributes for tag, attributes in page.tags if tag == "details") == {}
    coloured = [
        attributes for tag, attributes in page.tags
        if tag == "td" and attributes.get("class", "").startswith("right s-")
    ]  # fmt: skip
    assert len(coloured) == 3
    for words in ("learning2", "throttled31", "silent 30 days45", "mailboxes900", "rows12,000"):
        assert words in page.text
    assert "1 could not look at everything" in page.text


def test_a_night_that_looked_at_everything_says_so(tmp_path: Path) -> None:
    """Without a colour, and without a column of tenants where there is none."""
    page = Parsed(html(published(tmp_path / "f.duckdb", looked_at=[looked()])))

    assert "What 1 detection looked at in the newest interval: all of it" in page.text
    assert not any("s-learning" in value for tag, value in _cells(page))
    assert "by detection, newest interval" in page.text


def test_no_rows_at_all_are_no_silence_to_rely_on(tmp_path: Path) -> None:
    """A detection that had nothing to read could not look at everything."""
    assert silence(published(tmp_path / "f.duckdb", looked_at=[looked(rows=0)])).partial == 1


def test_a_part_of_the_page_has_its_own_rows_only(tmp_path: Path) -> None:
    """Of one tenant or one detection; others are not named."""
    path = two_detections(
        tmp_path / "f.duckdb",
        looked(tenant="alpha"), looked(tenant="beta"), looked(detection_id=_OTHER, tenant="alpha"),
    )  # fmt: skip

    by_detection = silence(path, Asked(detection="after"))

    assert [(row.detection, row.tenant) for row in by_detection.rows] == [("after", "alpha")]


def test_of_very_many_rows_those_that_lack_something_are_shown(tmp_path: Path) -> None:
    """The others are counted, and the page names the query that has them all."""
    rows = [looked(tenant=f"t{n:03}", throttled=int(n >= 150)) for n in range(160)]
    path = published(tmp_path / "f.duckdb", looked_at=rows)

    shown = silence(path)

    assert len(shown.rows) == 100
    assert shown.left_out == 60
    assert sum(row.throttled == 1 for row in shown.rows) == 10
    assert 'from looked_at"' in html(path)


def test_a_file_of_an_older_gundog_has_no_such_part(tmp_path: Path) -> None:
    """Its page is made all the same."""
    path = published(tmp_path / "f.duckdb", looked_at=[looked()])
    with database.connect(path) as con:
        con.execute("drop table looked_at")

    assert silence(path).rows == ()
    assert "What silence rests on" not in html(path)


def _cells(page: Parsed) -> list[tuple[str, str]]:
    return [
        (tag, attributes.get("class", ""))
        for tag, attributes in page.tags
        if tag == "td" and "right" in attributes.get("class", "")
    ]
