"""docs/published-cases.md names examples that are there and do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import kit

_PAGE = Path(__file__).parents[1] / "docs" / "published-cases.md"
_ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in _PAGE.read_text().splitlines()
    if re.match(r"\| (?!attack)", line)
]


def test_the_page_has_cases_that_are_found_and_some_that_are_not() -> None:
    """A table that says yes everywhere would be praise."""
    assert len(_ROWS) > 10
    assert {row[3] for row in _ROWS} == {"yes", "no"}


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: str(row[0])[:40])
def test_a_case_is_what_its_example_says(row: list[str]) -> None:
    """Found is an example with findings; not found one without, or a reason alone."""
    _, source, hunt, found, example, why = row
    assert "](http" in source
    assert why
    if not example:
        assert found == "no"
        return
    detection = kit.shipped().hunt(hunt.strip("`")).detection
    (named,) = [one for one in detection.examples if one.name == example]
    assert bool(named.findings) == (found == "yes")
