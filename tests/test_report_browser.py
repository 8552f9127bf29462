"""The report in a real browser: it runs nothing, loads nothing, fits a phone, and shows all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gundog.findings import reader
from gundog.report import page, palette
from gundog.report.asked import Asked
from gundog.report.night import Night
from tests.browser import CHROMIUM, Browser, browser
from tests.report_kit import NOW, Parsed, finding, gathered, published
from tests.test_report_page import hostile_night, hostile_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium here: apt-get install chromium (.ci/run does)"
    ),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    path = published(folder / "findings.duckdb", **hostile_rows())
    target = folder / "report.html"
    target.write_text(page.html(gathered(path, night=hostile_night())), encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


def test_this_browser_notices_what_a_page_does(opened: Browser, tmp_path: Path) -> None:
    """A page that runs a script, loads a picture and fails: the tests below could fail."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><script>console.log(1);throw new Error(2)</script>"
        "<img src='http://127.0.0.1:9/x.png'><link rel=stylesheet href='http://127.0.0.1:9/x.css'>"
    )

    noticed = opened.open(bad)

    assert {kind for kind, _ in noticed} >= {"console", "exception", "request"}


def test_hostile_page_runs_and_loads_nothing(opened: Browser, hostile: Path) -> None:
    """No script, request, dialog, window, nor anything that the browser complains of."""
    opened.size(1200)

    assert opened.open(hostile) == []
    assert opened.value("document.scripts.length") == 0
    assert opened.value("performance.getEntriesByType('resource').length") == 0


def test_every_open_finding_is_on_the_page(opened: Browser, hostile: Path) -> None:
    """By its anchor, inside a part that unfolds, in the browser's own tree."""
    expected = sum(not row["suppressed_by"] for row in hostile_rows()["findings"])
    opened.open(hostile)

    assert opened.value("document.querySelectorAll('details .inside[id^=finding-]').length") == (
        expected
    )


def test_a_message_leads_to_its_finding_and_unfolds_it(opened: Browser, hostile: Path) -> None:
    """The last finding of the page, folded until somebody comes with its anchor."""
    ids = Parsed(hostile.read_text(encoding="utf-8")).values("id")
    last = [one for one in ids if one.startswith("finding-")][-1]

    opened.open(hostile, anchor=last)

    place = f"document.getElementById('{last}')"
    assert opened.value(f"{place}.closest('details').open") is True
    assert opened.value(f"Math.abs({place}.getBoundingClientRect().top) < innerHeight") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1440])
def test_the_page_fits_the_window(opened: Browser, hostile: Path, width: int, scheme: str) -> None:
    """No sideways scroll, all parts unfolded, however long a name is."""
    opened.size(width, 740, scheme)
    opened.open(hostile)
    opened.value("document.querySelectorAll('details').forEach(one => one.open = true)")

    assert opened.value("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 1440])
def test_who_why_and_complete_are_on_the_first_screen(
    opened: Browser, tmp_path: Path, width: int
) -> None:
    """Without scrolling, on a phone too."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[
            finding(n, title=f"exch0{n}-admin exported a mailbox on exch0{n} and removed it",
                    account_name=f"exch0{n}-admin", host_name=f"exch0{n}",
                    reason="removed soon after the export; disguised by encoded_command",
                    end_time=NOW)
            for n in range(1, 5)
        ],
    )  # fmt: skip
    target = tmp_path / "report.html"
    target.write_text(page.html(gathered(path)), encoding="utf-8")

    opened.size(width, 740)
    opened.open(target)

    bottoms = opened.value(
        "[...document.querySelectorAll('.answer')].map(one => one.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 3
    assert max(bottoms) <= 740


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scheme_of_the_reader_is_used(opened: Browser, hostile: Path, scheme: str) -> None:
    """The style sheet is applied although the policy forbids all else."""
    opened.size(900, scheme=scheme)
    opened.open(hostile)
    ground = palette.COLOURS["page"][["light", "dark"].index(scheme)]
    red, green, blue = (int(ground[at : at + 2], 16) for at in (1, 3, 5))

    shown = opened.value("getComputedStyle(document.body).backgroundColor")

    assert shown == f"rgb({red}, {green}, {blue})"


def test_counts_of_the_grid_can_be_read_on_a_phone(opened: Browser, tmp_path: Path) -> None:
    """Beside the sign of the day; no text of a picture is smaller than seven pixels."""
    target = tmp_path / "report.html"
    path = published(tmp_path / "f.duckdb", findings=[finding(1, end_time=NOW)])
    target.write_text(page.html(gathered(path)), encoding="utf-8")
    cell = "<table class='grid'><tbody><tr><td><sup>4</sup></td></tr></tbody></table>"
    picture = "<svg class='chart' viewBox='0 0 820 100'><text x='9' y='50'>06:00</text></svg>"

    opened.size(360, 740)
    opened.open(target)
    opened.value(
        f"document.querySelector('main').insertAdjacentHTML('beforeend', `{cell}{picture}`)"
    )

    shown = "document.querySelector('main > table.grid:last-of-type sup').getBoundingClientRect()"
    assert opened.value(f"{shown}.height") >= 7
    text = "document.querySelector('main > svg:last-of-type text').getBoundingClientRect().height"
    assert opened.value(text) >= 7


def test_a_page_of_ten_thousand_findings_opens(opened: Browser, tmp_path: Path) -> None:
    """On a phone too; it says how many it does not show."""
    from benchmarks import report as benchmark

    path = benchmark.published(tmp_path / "f.duckdb", 10_000)
    target = tmp_path / "report.html"
    with reader.published(path) as con:
        made = page.html(page.gather(con, Asked(), Night(benchmark.NOW)))
    target.write_text(made, encoding="utf-8")

    assert target.stat().st_size < 3_000_000
    for width in (360, 1440):
        opened.size(width, 740)
        assert opened.open(target) == []
        assert opened.value("document.documentElement.scrollWidth") <= width
        bottoms = opened.value(
            "[...document.querySelectorAll('.answer')].map(e => e.getBoundingClientRect().bottom)"
        )
        assert max(bottoms) <= 740
    text = opened.value("document.body.textContent")
    assert "10,000" in text
