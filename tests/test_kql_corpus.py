"""The tool that imports folders of published queries: what it counts, and what it reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from tests import kql_corpus, kql_folders

GOOD = "DeviceProcessEvents | where FileName =~ 'a.exe' | project DeviceName"
BAD = "DeviceFileEvents | evaluate narrow()"


def fill(folder: Path) -> Path:
    """Two repositories: a query twice, a refused one, one on no table of Defender's, and prose."""
    texts = {"a/x.kql": GOOD, "b/again.md": f"# A\n```kql\n{GOOD}\n```\n", "b/bad.kql": BAD,
             "b/other.kql": "AuditLogs | take 1", "b/empty.md": "# No query"}  # fmt: skip
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_texts_are_counted_once_and_refusals_by_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for each repository, a row for all, then the causes."""
    monkeypatch.setattr(sys, "argv", ["kql_corpus", str(fill(tmp_path)), "--hostile", "50"])

    assert kql_corpus.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| a |  | 1 | 1 | 1 (100.0 %) | 0 | 1 | 1 (100.0 %) |")
    assert lines[3].startswith("| b |  | 1 | 1 | 0 (0.0 %) | 1 | 0 | 0 |")
    assert lines[4].startswith("| all |  | 2 | 2 | 1 (50.0 %) | 1 |")
    assert "    1 evaluate" in lines


def test_git_directories_are_read_without_a_work_tree(tmp_path: Path) -> None:
    """Each file that may hold a query, whatever letters its name has, and the commit."""
    work = fill(tmp_path / "work")
    (work / "ünï.kql").write_text(GOOD, encoding="utf-8")
    name = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "all"]):
        subprocess.run([str(shutil.which("git")), "-C", str(work), *words], check=True)
    git = tmp_path / "mirror/owner+name/repo"
    git.parent.mkdir(parents=True)
    (work / ".git").rename(git)

    (corpus,) = kql_folders.corpora(tmp_path / "mirror", tmp_path / "space")
    assert corpus.name == "owner+name"
    assert len(corpus.commit) >= 7
    assert sorted(path.name for path in corpus.folder.rglob("*.*")) == [
        "again.md", "bad.kql", "empty.md", "other.kql", "x.kql", "ünï.kql",
    ]  # fmt: skip
