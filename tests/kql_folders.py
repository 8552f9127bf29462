"""Folders of published queries, read as files or out of git directories without a work tree."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gundog.kql_import import reading


@dataclass(frozen=True)
class Corpus:
    """One repository of queries.

    Args:
        name: of its folder.
        commit: its commit, shortened; empty for a plain folder.
        folder: where its files lie.
    """

    name: str
    commit: str
    folder: Path


def corpora(folder: Path, space: Path) -> Iterator[Corpus]:
    """The repositories below a folder: git directories, work trees or plain folders.

    Args:
        folder: holds one folder for each, or is one itself.
        space: where the files of git directories are put.
    """
    gits = sorted(
        path for path in (folder, *folder.glob("*"), *folder.glob("*/*")) if _is_git(path)
    )
    if gits:
        for git in gits:
            # A git directory is often called repo or .git: the folder around it has the name.
            named = git.parent if git.name in ("repo", ".git") and git != folder else git
            yield _unpacked(git, named.name, space / named.name)
        return
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in below or [folder]:
        yield Corpus(path.name, _commit(path / ".git"), path)


def _is_git(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir()


def _git(git: Path, *words: str, given: bytes = b"") -> bytes:
    command = ["git", "--git-dir", str(git), *words]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def _commit(git: Path) -> str:
    return _git(git, "rev-parse", "--short", "HEAD").decode().strip() if _is_git(git) else ""


def _unpacked(git: Path, name: str, folder: Path) -> Corpus:
    """The newest files that may hold queries; one whose content is absent is left out."""
    for entry in _git(git, "ls-tree", "-r", "-z", "HEAD").split(b"\0")[:-1]:
        head, _, shown = entry.partition(b"\t")
        path = folder / shown.decode("utf-8", "replace")
        if path.suffix.lower() not in reading.ENDINGS:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(_git(git, "cat-file", "blob", head.split()[2].decode()))
        except subprocess.CalledProcessError:
            continue
    return Corpus(name, _commit(git), folder)
