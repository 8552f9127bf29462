"""What a wheel holds is enough to make, check and test a project where there is no clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gundog.detections import content_folder
from tests import kit

ROOT = Path(__file__).parents[1]
FLOWS = sorted(path.name for path in (ROOT / "flows").glob("*.py"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip leaves it: the package, compiled, and what pyproject.toml puts inside it."""
    place = tmp_path_factory.mktemp("site-packages")
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = built["targets"]["wheel"]
    for package in wheel["packages"]:
        shutil.copytree(ROOT / package, place / Path(package).name)
    for source, target in wheel["force-include"].items():
        (place / target).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            unread = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, place / target, ignore=unread)
        else:
            shutil.copy(ROOT / source, place / target)
    return place


@pytest.fixture(scope="module")
def own(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the installed gundog made."""
    root = tmp_path_factory.mktemp("elsewhere") / "mine"
    gundog(installed, root.parent, "init", "mine", "--prefect")
    return root


def gundog(installed: Path, here: Path, *words: str) -> str:
    """What a command of the installed gundog prints."""
    done = subprocess.run(
        [sys.executable, "-m", "gundog", *words],
        cwd=here, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_installed_content_works_in_a_new_project(installed: Path, own: Path) -> None:
    """The shipped detections load from the package, not from a clone, and their examples hold."""
    (where,) = gundog(installed, own, "check", "--where", "throttled_mailbox").splitlines()[:1]

    assert Path(where).is_relative_to(installed.resolve() / "gundog/shipped")
    community = list((ROOT / "detections/community").glob("*.yaml"))
    shipped = len(list((ROOT / "detections").rglob("*.yaml"))) - len(community)
    stages = len(list((ROOT / "sql/stage").glob("*.sql")))
    loaded = f"OK: {shipped} detections and {stages} staged"
    assert gundog(installed, own, "check").startswith(loaded)
    named = (own / "gundog.yaml").read_text().replace("[builtin, .]", "[builtin, community, .]")
    (own / "gundog.yaml").write_text(named)
    # Not `check`, which translates every query of the community again.
    tried = gundog(installed, own, "test", min(community).stem)
    assert ", 0 failed" in tried  # and nothing that was loaded has a problem
    there = (installed / "gundog/shipped/detections/community").glob("*.yaml")
    assert {path.name for path in there} == {path.name for path in community}


def test_new_project_has_what_prefect_deploys(own: Path) -> None:
    """The flows and deployments are those that ship."""
    assert sorted(path.name for path in (own / "flows").iterdir()) == FLOWS
    for name in ("prefect.yaml", *(f"flows/{flow}" for flow in FLOWS)):
        assert (own / name).read_text() == (ROOT / name).read_text()


def test_shipped_folder_of_a_clone_is_the_clone() -> None:
    """Content, flows and deployments of the repository are used where they are."""
    assert content_folder.builtin() == ROOT


def test_prefect_is_added_to_a_project_that_is_there(tmp_path: Path) -> None:
    """Its own gundog.yaml stays, and so do flows that it has already."""
    from gundog.cli import main

    root = kit.make_project(tmp_path)

    assert main.main(["init", str(root), "--prefect"]) == 0
    assert (root / "gundog.yaml").read_text() == kit.CONFIG
    assert (root / "flows/nightly.py").exists()
    kit.write_text(root / "flows/nightly.py", "mine")
    assert main.main(["init", str(root), "--prefect"]) == 2
    assert (root / "flows/nightly.py").read_text() == "mine"
