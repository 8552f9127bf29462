"""Tests of hatch_build.py: what an index shows of the package."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "https://host.example/team/gundog/"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """hatch_build.py; of hatchling, which only builds have, it needs a base class."""
    base: Any = ModuleType("interface")
    base.MetadataHookInterface = object
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", base)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def targets(text: str) -> list[str]:
    """Where links and pictures lead."""
    return re.findall(r"\]\(([^)\s]+)\)", text)


def test_every_link_of_the_readme_is_absolute_and_names_a_file_that_is_there(hook: Any) -> None:
    """With the repository's address; text and code are as they were."""
    own, shown = targets(README), targets(hook.index_readme(README, ADDRESS))

    assert len(own) == len(shown) > 10
    base = ADDRESS.rstrip("/")
    for before, after in zip(own, shown, strict=True):
        if "://" in before:
            assert after == before
            continue
        assert (ROOT / before).exists()
        kind = "raw" if before.endswith((".svg", ".png")) else "blob"
        assert after == f"{base}/{kind}/HEAD/{before}"
    assert fences(hook.index_readme(README, ADDRESS)) == fences(README)


def fences(text: str) -> list[str]:
    return re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)


def test_without_an_address_no_link_leads_nowhere(hook: Any) -> None:
    """The words stay."""
    shown = hook.index_readme(README, "")

    assert all("://" in target for target in targets(shown))
    assert "How it works" in shown
    assert fences(shown) == fences(README)
    assert hook.addresses("") == {}


def test_the_hook_fills_in_what_is_dynamic(hook: Any) -> None:
    """Both fields, from the address in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    description, metadata = hook.Description(), dict[str, Any]()
    description.root, description.config = str(ROOT), {"repository": ADDRESS}

    description.update(metadata)

    assert sorted(metadata) == sorted(project["project"]["dynamic"])
    assert metadata["readme"]["text"] == hook.index_readme(README, ADDRESS)
    assert metadata["urls"]["Repository"] == ADDRESS.rstrip("/")
    held = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    assert held == "" or held.startswith("https://")
