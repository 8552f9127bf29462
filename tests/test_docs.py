"""Tests of the pages: what they show can be run, what they name is there."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import duckdb
import pytest
import yaml

from gundog.cli import options
from gundog.detections import content
from gundog.lake.file_version import FileVersion
from gundog.lake.path import LakePath
from gundog.project import settings
from gundog.staging import json_lines
from gundog.staging.batch import Batch, Limits, Task
from gundog.warehouse import query
from tests import draws, elsewhere, generated_docs, kit
from tests.forks import Fork

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
WRITTEN = [path for path in PAGES if path.name not in ("CHANGELOG.md", *generated_docs.PAGES)]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, `key=value` options, and text."""

    page: str
    language: str
    options: dict[str, str]
    text: str


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)
    for info, text in found:
        language, *options = info.split() or [""]
        yield Block(path.name, language, dict(one.split("=", 1) for one in options), text)


BLOCKS = [block for path in PAGES for block in blocks(path)]
COMMANDS = [
    pytest.param(line, id=f"{block.page}: {line}")
    for block in BLOCKS
    if block.language == "sh"
    for line in block.text.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
QUERIES = [
    pytest.param(block.text, id=block.text.strip().splitlines()[0])
    for block in blocks(ROOT / "docs/tables.md")
    if block.language == "sql"
]
CONFIGS = [
    pytest.param(block.text, id=f"{block.page}-{place}")
    for place, block in enumerate(BLOCKS)
    if block.language == "yaml" and re.search(r"^lake:", block.text, re.MULTILINE)
]


def page(path: Path) -> str:
    """A page as a test id."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", generated_docs.commands())
def test_every_command_is_documented(name: str) -> None:
    """A command that no page tells of does not exist for its users."""
    assert f"\n## {name}\n" in (ROOT / "docs/commands.md").read_text()


@pytest.mark.parametrize("line", COMMANDS)
def test_shell_command_exists(line: str) -> None:
    """Every command line that a page shows is one that its program takes."""
    words = shlex.split(line, comments=True)
    program = words[0].removeprefix(".venv/bin/")
    if program == "gundog":
        assert _taken(words[1:])
    elif program == "make":
        text = (ROOT / "Makefile").read_text()
        rules = re.findall(r"^(\w[\w-]*):", text, re.MULTILINE)
        variables = {word.partition("=")[0] for word in words[1:] if "=" in word}
        assert {word for word in words[1:] if "=" not in word} <= set(rules)
        assert all(f"$({name})" in text for name in variables)
    elif program == "python" and words[1] == "-m":
        assert importlib.util.find_spec(words[2]) is not None
    elif program == "prefect":
        assert (Path(sys.executable).parent / program).is_file()
    elif "/" in program:
        assert (ROOT / program).is_file()
    else:
        known = "cd cp dask export git cat openssl python flock podman chgrp chmod touch"
        assert program in known.split()


def _taken(words: list[str]) -> bool:
    """True when the parser takes the words; `--help` ends it with status 0."""
    try:
        options.parser().parse_args(words)
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A findings.duckdb with something in every table that the queries read."""
    root = kit.make_project(tmp_path_factory.mktemp("published"), series=True)
    kit.fill_days(root, "2026-02-10", 28)
    counts = [kit.event(f"2026-03-09T{hour:02}:05", "count", number=hour) for hour in range(24)]
    for day in range(10, 29):
        rows = [{**one, "Timestamp": one["Timestamp"].replace(month=2, day=day)} for one in counts]
        kit.write_file(root, f"2026-02-{day}", rows, "counts")
    who = "exch16-admin"
    opened = [kit.event("2026-03-08T10:00", "open", who, number=1)]
    closed = [kit.event("2026-03-08T11:00", "close", who, number=2)]
    kit.write_file(root, "2026-03-08", opened + closed, "pair")
    burst = kit.event("2026-03-08T03:00", "count", number=3, n=5000)
    kit.write_file(root, "2026-03-08", [burst, kit.event("2026-03-08T04:00", "x", n=-1)], "burst")
    kit.write_text(root / "lake/date=2026-03-07/broken.parquet", "no parquet")
    kit.hunt(root, ("2026-02-08", "2026-02-08"), detections=("pair",))  # no file is that old
    kit.hunt(root, ("2026-03-07", "2026-03-09"))
    late = [kit.event("2026-03-08T10:30", "close", who, number=4)]
    kit.write_file(root, "2026-03-08", late, "late")
    kit.hunt(root, ("2026-03-05", "2026-03-09"))
    path = root / ".gundog/findings.duckdb"
    _people_and_channels(path)
    return path


def _people_and_channels(path: Path) -> None:
    """What a person and a channel leave behind, as no run here does."""
    with duckdb.connect(str(path)) as con:
        con.execute(
            """insert into triage by name
               select finding_id, end_time as said_at, 'ana' as actor, 'resolved' as status,
                      'benign' as verdict, 'asked' as note from findings where kind = 'match'"""
        )
        con.execute(
            """insert into notifications by name
               select uuid() as notification_id, 'soc' as channel, 'finding' as kind,
                      finding_ids, 'medium' as severity, 2 as attempts, now() as created_at
               from (select list(finding_id) as finding_ids from findings)"""
        )


@pytest.mark.parametrize("sql", draws.spread(QUERIES, 4))
def test_query_of_the_data_dictionary_runs(published: Path, sql: str) -> None:
    """Each query is taken by `gundog sql` and finds rows where there are some."""
    assert query.user_query(published, sql).num_rows > 0


def test_data_dictionary_shows_enough_queries() -> None:
    """A dozen questions that people ask."""
    assert len(QUERIES) >= 12


@pytest.mark.parametrize("text", CONFIGS)
def test_gundog_yaml_of_a_page_is_taken(tmp_path: Path, text: str) -> None:
    """Every gundog.yaml that a page shows loads, with its variables set."""
    (tmp_path / "gundog.yaml").write_text(text)
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "https://example.com/x")

    assert settings.load(tmp_path, environ).lake


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_links_lead_somewhere(path: Path) -> None:
    """A link to a file or a heading has its target."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = path.parent / name if name else path
        assert other.exists(), target
        if anchor:
            assert anchor in _anchors(other), target


def test_decisions_that_code_names_are_there() -> None:
    """A number of a decision in code is the number of one on the page."""
    numbers = re.findall(r"^## (\d+)\.", (ROOT / "docs/decisions.md").read_text(), re.MULTILINE)
    named = [
        (page(path), number)
        for path in sorted((ROOT / "src/gundog").rglob("*.py"))
        for number in re.findall(r"decisions\.md[# ]*(\d+)", path.read_text())
    ]

    assert [(name, number) for name, number in named if number not in numbers] == []


def test_decisions_are_numbered_in_order() -> None:
    """No number is left out or used again."""
    numbers = re.findall(r"^## (\d+)\.", (ROOT / "docs/decisions.md").read_text(), re.MULTILINE)

    assert numbers == [str(one) for one in range(1, len(numbers) + 1)]


def test_words_of_the_glossary_are_those_of_the_code() -> None:
    """What the glossary says is written so in code, SQL or YAML, is."""
    folders = ("src/gundog", "sql", "detections")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    code = "\n".join(path.read_text() for path in files if path.suffix in (".py", ".sql", ".yaml"))
    rows = re.findall(
        r"^\| [^|]+ \|[^|]+\|([^|]+)\|$", (ROOT / "docs/glossary.md").read_text(), re.M
    )
    words = [word for row in rows for word in re.findall(r"`([^`]+)`", row)]

    assert len(words) > 40
    assert [word for word in words if word.rstrip("/:").split()[-1] not in code] == []


def test_every_word_of_the_glossary_has_one_row() -> None:
    """One word for one idea: none is explained twice."""
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.M)
    words = [word for row in rows for word in row.split(", ") if not row.startswith("word")]

    assert [word for word in words if words.count(word) > 1] == []


# Phrases that give a word of the glossary another meaning, each with what it is called instead.
DOUBLE = {
    r"published (hunt|quer)": "Sentinel hunt",
    r"(second|marked as|marks? the|look for) cop(y|ies)": "redelivered",
    r"\bclass (State|Stage)\b": "Status, StagedTable",
}


@pytest.mark.parametrize("phrase", DOUBLE)
def test_words_of_the_glossary_have_no_second_meaning(phrase: str) -> None:
    """In code, SQL, YAML and pages; old decisions and changes keep their words."""
    folders = ("src/gundog", "flows", "sql", "detections", "docs")
    kinds = (".py", ".sql", ".yaml", ".md")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    said = [
        str(path.relative_to(ROOT))
        for path in (*files, ROOT / "README.md")
        if path.suffix in kinds and path.name != "decisions.md"
        if re.search(phrase, path.read_text(encoding="utf-8"))
    ]

    assert said == [], f"say: {DOUBLE[phrase]}"


def test_paths_of_json_lines_need_no_conversion(tmp_path: Path) -> None:
    """What the page shows for the Streaming API reads an envelope as the source's columns."""
    shown = [yaml.safe_load(block.text) for block in blocks(ROOT / "docs/landing-data.md")
             if block.language == "yaml" and "PT1H.json" in block.text]  # fmt: skip
    raw = {"Id": "r1", "MailboxOwnerUPN": "ana@example.com"}
    line = {"category": "AdvancedHunting-CloudAppEvents", "time": "t", "tenantId": "t-1",
            "properties": {"Timestamp": "2026-03-01T10:00:00.5Z", "RawEventData": raw}}  # fmt: skip
    file = tmp_path / "PT1H.json"
    file.write_text(json.dumps(line) + "\n")
    version = FileVersion("CloudAppEvents", str(file), file.stat().st_size, 0, None)
    source = content.load([ROOT], None, ROOT).sources["CloudAppEvents"]

    formats = {LakePath(path).format for entry in shown for path in entry["lake"].values()}
    limits = Limits(500_000_000, 1, tmp_path)
    batch = Batch(((Task(version, 1, ()), file),), source, {}, limits, *formats)
    ((_, rows),), _, _ = json_lines.converted(batch)
    with duckdb.connect() as con:
        (got,) = con.execute(f"select Timestamp, TenantId, RawEventData from '{rows}'").fetchall()

    assert formats == {"json"}
    assert got[:2] == ("2026-03-01T10:00:00.5Z", "t-1")
    assert json.loads(got[2]) == raw


def _anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", WRITTEN, ids=page)
def test_prose_is_plain(path: Path) -> None:
    """No long dashes, no lines that scroll, and nothing about one machine."""
    text = path.read_text()
    prose = re.sub(r"^```.*?^```$|^\|[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)

    assert not re.findall("[\u2013\u2014]", text)
    assert not re.findall(r"/(?:work|root|home|Users|tmp)/|\blocalhost\b", text)
    assert [line for line in prose.splitlines() if len(line) > 100 and "http" not in line] == []


@pytest.mark.slow
def test_stale_page_is_named_and_a_fresh_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--check` shows what differs and writes nothing; writing makes it fresh."""
    pages = {name: [*page()] for name, page in generated_docs.PAGES.items()}  # each made once
    once = {name: partial(iter, lines) for name, lines in pages.items()}
    monkeypatch.setattr(generated_docs, "PAGES", once)
    for name in generated_docs.PAGES:
        (tmp_path / name).write_text(f"# By hand\n\n{generated_docs.MARKER}\n\nold\n")

    assert generated_docs.main(["--check"], tmp_path) == 1
    out = capsys.readouterr().out
    assert "-old\n" in out
    assert "+### finding_changes\n" in out
    assert (tmp_path / "tables.md").read_text().endswith("old\n")

    assert generated_docs.main([], tmp_path) == 0
    assert (tmp_path / "tables.md").read_text().startswith("# By hand\n")
    assert generated_docs.main(["--check"], tmp_path) == 0


@pytest.mark.slow
def test_writing_a_detection_works_as_written(tmp_path: Path) -> None:
    """A reader who does what the page says, step by step, has a finding and no error."""
    here = tmp_path / "gundog"
    here.mkdir()
    said = ""
    for block in blocks(ROOT / "docs/writing-a-detection.md"):
        if block.language == "sh":
            text, here = _run(block.text, here)
            said += text
        elif "file" in block.options:
            _edit(here / block.options["file"], block)

    assert "2 examples, 0 failed" in said
    assert "findings: 1 new" in said
    assert "fetched 6 folders of sven@example.com" in said
    assert "1 unchanged" in said
    assert "mailbox_synced: 0 of 8 intervals to hunt" in said
    assert "mailbox_synced: 8 of 8 intervals to hunt" in said
    assert "by messaging team" in said


def _run(commands: str, here: Path) -> tuple[str, Path]:
    """Runs a block's lines as a shell does that stops at the first failure; where it ends up.

    A line that is a command of gundog's own works in a fork, which need not import it again.
    """
    said = ""
    for line in commands.replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line, comments=True) or [""]
        if program == "gundog":
            said += _gundog(words, here)
        elif program:
            more, here = _shell(line, here)
            said += more
    return said, here


def _gundog(words: list[str], here: Path) -> str:
    """What a command that is typed in a folder says; it must succeed."""
    with NamedTemporaryFile() as log:
        status = Fork(elsewhere.gundog_in, here, *words, log=Path(log.name)).wait(kit.HUNG_S)
        said = Path(log.name).read_text(encoding="utf-8")
    assert status == 0, f"gundog {shlex.join(words)}\n{said}"
    return said


def _shell(line: str, here: Path) -> tuple[str, Path]:
    """What a line says to bash, and the folder in which it leaves it; it must succeed."""
    script = f'set -e; PATH="{Path(sys.executable).parent}:$PATH"\n{line}\npwd'
    done = subprocess.run(
        ["/bin/bash", "-c", script], cwd=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    said, _, place = done.stdout.rstrip("\n").rpartition("\n")
    return said, Path(place)


def _edit(path: Path, block: Block) -> None:
    """Does what the page says of a file: replace it, its end, or insert above a line."""
    old = path.read_text() if path.exists() else ""
    if "from" in block.options:
        new = old[: old.index(f"\n{block.options['from']}") + 1] + block.text
    elif "before" in block.options:
        place = old.index(block.options["before"])
        place = old.rindex("\n", 0, place) + 1
        new = old[:place] + block.text + old[place:]
    else:
        new = block.text
    kit.write_text(path, new)
