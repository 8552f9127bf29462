"""Tests of the words: plain English for readers whose first language may be another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What was decided, and what was released, stays as it was written.
UNREAD = ("docs/decisions.md", "CHANGELOG.md", "tests/test_english.py")
FOREIGN = """
    stops nothing else and is named
    no data is never shown as no findings
    or what is there instead; `gundog
    first letters of a finding
    except what is known to be harmless
    hide what is known to be harmless
    say what became of a finding
    may stand several times
    also what is done already
    "do it"
    stands twice
    stand twice
    is no known
    begin so (
    give more of it
    is no address
    is not there yet
    gave up telling
    where its history says
    starts to read somebody else
    far more mail read than usual
    question of what runs it
    one of taste
    is no cure
    keeps quiet what
    was just told
    must all fit
    fits nothing
    events of before
    of before
    where nothing is said
    when nothing is said
    is no zero
    connector of old
    a relay nearby
    noise of a sum
    shells are told by
"""


# How the text goes on: "is not a", "again", "by default", "your own".
FOREIGN_FORMS = (
    r"(?<!there )\b(?:is|are|was|were) no (?!longer\b|more\b)",
    r"\banew\b",
    r"\bnothing is said\b",
    r"\bone's own\b",
)
FOLDERS = ("src", "sql", "detections", "docs", "flows", "tests", "benchmarks", "scripts")
ENDINGS = (".py", ".md", ".yaml", ".sql", ".toml", ".html", "")


def texts() -> dict[str, str]:
    """The project's own texts, each on one line, with literals of several lines put together."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    paths += [*ROOT.glob("*.*"), ROOT / "Makefile", ROOT / "parquet_samples/README.md"]
    found = {}
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and path.suffix in ENDINGS and name not in UNREAD:
            text = re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
            found[name] = " ".join(text.split())
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, str]:
    """Every text of the project by its name."""
    return texts()


@pytest.mark.parametrize("phrase", [line.strip() for line in FOREIGN.split("\n") if line.strip()])
def test_no_text_uses_a_foreign_phrase(project: dict[str, str], phrase: str) -> None:
    """Phrases that are exact, but that people who learned English do not know."""
    assert [name for name, text in project.items() if phrase in text.lower()] == []


@pytest.mark.parametrize("form", FOREIGN_FORMS)
def test_no_text_uses_a_foreign_form(project: dict[str, str], form: str) -> None:
    """Forms of another language in English words. SQL keeps its words: its layout is pinned."""
    shown = {name: text for name, text in project.items() if not name.startswith("sql/")}
    foreign = re.compile(form, re.IGNORECASE)
    used = {
        name: [text[place.start() - 30 : place.end() + 30] for place in foreign.finditer(text)]
        for name, text in shown.items()
    }

    assert {name: places for name, places in used.items() if places} == {}
