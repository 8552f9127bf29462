"""The house: packages with a face, short modules, no circles, and nothing heavy before its time."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import draws, kit

SOURCE = Path(__file__).parents[1] / "src/gundog"
MODULES = sorted(SOURCE.rglob("*.py"))
PACKAGES = sorted(path.parent for path in MODULES if path.name == "__init__.py")[1:]
LONGEST = 400
HEAVY = "duckdb numpy pandas prefect pyarrow scipy statsforecast".split()
# A program that runs a command as `gundog` does, then says which of these modules it has loaded.
LOADED = """
import sys
from gundog.cli import main
heavy, *words = sys.argv[1:]
status = main.main(words) if words else 0
print("LOADED", status, *(name for name in heavy.split() if name in sys.modules))
"""


def relative(path: Path) -> str:
    """A path as a test id."""
    return str(path.relative_to(SOURCE)) if path != SOURCE else "gundog"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path, known: set[str]) -> Iterator[str]:
    """The modules of gundog that a module imports, also those that only a function imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            owner = name.rpartition(".")[0]
            yield from (wanted for wanted in (name, owner) if wanted in known)


def loaded(*words: str, heavy: list[str]) -> tuple[int, list[str]]:
    """A command's exit status in a process of its own, and which of some modules it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, " ".join(heavy), *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    _, status, *names = done.stdout.splitlines()[-1].split()
    return int(status), names


def test_modules_are_short_enough_to_read() -> None:
    """A module that grows beyond this holds two ideas."""
    lines = {relative(path): path.read_text(encoding="utf-8").count("\n") for path in MODULES}

    assert {name: length for name, length in lines.items() if length > LONGEST} == {}


@pytest.mark.parametrize("package", PACKAGES, ids=relative)
def test_package_says_what_to_use_of_it(package: Path) -> None:
    """A face names its main modules, all of them there, and imports nothing itself."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    face = ast.get_docstring(tree) or ""
    heads = re.findall(r"^- (`.*?):", face, re.MULTILINE)
    named = [name for head in heads for name in re.findall(r"`(\w+)`", head)]
    there = {path.stem for path in package.iterdir()}

    assert len(named) >= 3
    assert [name for name in named if name not in there] == []
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_contributors_are_told_of_every_package() -> None:
    """CONTRIBUTING.md has a row for each line of the import rules, in their order."""
    root = SOURCE.parents[1]
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    lines = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    told = re.findall(
        r"^\| (`[^|]+) \|", (root / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    rows = [set(re.findall(r"`(\w+)`", row)) for row in told]

    assert rows == [set(line.split(" | ")) for line in lines if line != "__main__"]


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Whoever reads a module can read what it uses first."""
    names = {module_name(path): path for path in MODULES}
    uses = {name: set(imported(path, set(names))) - {name} for name, path in names.items()}
    while leaves := [name for name, others in uses.items() if not others & uses.keys()]:
        for name in leaves:
            del uses[name]

    assert sorted(uses) == []


def test_command_line_loads_nothing_heavy() -> None:
    """So `gundog --help` answers at once."""
    assert loaded(heavy=HEAVY) == (0, [])


def test_check_leaves_the_database_to_its_child(tmp_path: Path) -> None:
    """Content is read in a child process; the one that asks needs the answer only."""
    root = kit.make_project(tmp_path)
    heavy = [*HEAVY, "rich", "ssl", "http.client", "filelock"]

    assert loaded("check", "--project", str(root), heavy=heavy) == (0, [])


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finding."""
    root = kit.make_project(tmp_path_factory.mktemp("hunted"))
    kit.fill_days(root, "2026-03-09", 1)
    events = [kit.event("2026-03-09T05:00", "open", number=1)]
    events += [kit.event("2026-03-09T06:00", "close", number=2)]
    kit.write_file(root, "2026-03-09", events)
    kit.hunt(root)
    return root


@pytest.mark.parametrize(
    "command",
    draws.spread(["findings --all --json", "findings", "status", "status --json"], every=2),
)
def test_reading_findings_needs_no_arrays(hunted: Path, command: str) -> None:
    """DuckDB is enough to read a table; what scores and stages is not loaded."""
    heavy = [*(name for name in HEAVY if name != "duckdb"), "ssl", "http.client", "filelock"]

    assert loaded(*command.split(), "--project", str(hunted), heavy=heavy)[1] == []
