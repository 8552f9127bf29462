"""GUNDOG_HOME is judged before anything is deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gundog.project import deploying, scaffold


def test_folder_of_a_project_can_be_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `gundog init --prefect` makes is enough; Prefect gets the folder."""
    scaffold.init(tmp_path, prefect=True)
    monkeypatch.setenv("GUNDOG_HOME", str(tmp_path))

    assert deploying.check_home() == {"directory": str(tmp_path)}


@pytest.mark.parametrize(
    ("home", "said"),
    [
        (None, "GUNDOG_HOME is not set: export GUNDOG_HOME=$PWD in the folder that holds"),
        ("", "GUNDOG_HOME is not set: "),
        (".", "GUNDOG_HOME is ., which is not a whole path: "),
        ("/nowhere", "GUNDOG_HOME is /nowhere, where there is no gundog.yaml: "),
    ],
)
def test_folder_that_is_none_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, home: str | None, said: str
) -> None:
    """Prefect would deploy it, and every night would fail."""
    monkeypatch.delenv("GUNDOG_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("GUNDOG_HOME", home)

    with pytest.raises(SystemExit) as ended:
        deploying.check_home()

    assert str(ended.value).startswith(said)


def test_project_without_flows_is_named(tmp_path: Path) -> None:
    """As one that `gundog init` made without --prefect."""
    scaffold.init(tmp_path)

    assert "where there is no flows/nightly.py" in deploying.problem({"GUNDOG_HOME": str(tmp_path)})
