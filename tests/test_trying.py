"""Examples whose SQL never ends or outgrows memory: they fail alone, in a sentence."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gundog.cli import main
from gundog.core.child import Child
from gundog.detections.hunt import Hunt
from gundog.run import run
from gundog.testing import trying
from tests import kit
from tests.test_single_hunt import ENDLESS, HUGE, be_hasty, put_bomb


@pytest.fixture
def helper() -> Iterator[Child]:
    with Child() as made:
        yield made


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An example of the hunt that never ends is late at once."""
    be_hasty(monkeypatch, lambda given: isinstance(given, Hunt) and ENDLESS in given.sql)


def failures(root: Path, helper: Child) -> dict[str, list[list[str]]]:
    """What is said of the examples of each detection."""
    project = run.load_project(root, {}, helper=helper)
    trials = trying.Trials(helper, project)
    return {
        hunt.detection.stem: [trials.check(hunt, one) for one in hunt.detection.examples]
        for hunt in project.content.hunts
    }


@pytest.mark.usefixtures("hasty")
@pytest.mark.slow
def test_a_third_example_is_not_tried(tmp_path: Path, helper: Child) -> None:
    """Two that are late are enough, as in a run."""
    kit.make_project(tmp_path)
    put_bomb(tmp_path, ENDLESS)
    project = run.load_project(tmp_path, {}, helper=helper)
    trials = trying.Trials(helper, project)
    hunt = project.content.hunt("boom")

    said = [trials.check(hunt, hunt.detection.examples[0])[0] for _ in range(3)]

    assert said[0] == said[1] != said[2]
    assert said[2].startswith("is not tried")
    assert trials.mutations(hunt, hunt.detection.examples[0])[0].problem.startswith("is not tried")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_example_that_outgrows_memory_says_so(tmp_path: Path, helper: Child) -> None:
    """With what to do about it."""
    kit.make_project(tmp_path)
    put_bomb(tmp_path, HUGE)

    found = failures(tmp_path, helper)

    assert found["pair"] == [[], []]
    assert any("build smaller values" in line for lines in found["boom"] for line in lines)


@pytest.mark.slow
@pytest.mark.usefixtures("hasty")
def test_the_command_tries_all_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example that never ends fails alone, in a sentence; those of others hold."""
    kit.make_project(tmp_path)
    put_bomb(tmp_path, ENDLESS)

    status = main.main(["test", "--project", str(tmp_path)])
    out, said = capsys.readouterr()

    assert status == 2
    assert out == "4 examples, 2 failed\n"
    assert re.findall("^(.*?): .*takes longer than 1m: read", said, re.MULTILINE) == ["boom"] * 2
    assert "Traceback" not in said
