"""Tests of adding to a YAML list: what people wrote stays, whatever goes wrong."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gundog.core import appending
from gundog.core.errors import InputError, StoreError
from tests import draws

HEAD = "# ours\n"
ITEM = "- new\n"


def reads(path: Path) -> bool:
    """The new item is the last one of the list."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return isinstance(found, list) and found[-1] == "new"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "# ours\n- new\n"),
        ("", "# ours\n- new\n"),
        ("- old\n", "- old\n- new\n"),
        ("- old", "- old\n- new\n"),
        ("# mine\r\n- old  # why\r\n", "# mine\r\n- old  # why\r\n- new\n"),
        ("- caf\u00e9", "- caf\u00e9\n- new\n"),
    ],
)
def test_what_was_there_stays_to_the_byte(tmp_path: Path, before: str | None, after: str) -> None:
    """Comments and line ends too; a file that is new begins with a heading."""
    path = tmp_path / "list.yaml"
    if before is not None:
        path.write_bytes(before.encode())

    added = appending.append(path, HEAD, ITEM, reads)

    assert path.read_bytes().decode() == after == (before or "") + added
    assert names(tmp_path) == ["list.yaml"]


@draws.law(50)
@given(st.lists(st.sampled_from(["- a", "- {b: c}", "# d", "", "- e\r"]), max_size=6))
def test_any_list_grows_by_its_end(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    """Whatever the lines are, the old bytes are the beginning of the new ones."""
    path = tmp_path_factory.mktemp("list") / "list.yaml"
    path.write_bytes("\n".join(lines).encode())
    before = path.read_bytes()
    old = yaml.safe_load(before) or []

    appending.append(path, HEAD, ITEM, reads)

    assert path.read_bytes().startswith(before)
    assert yaml.safe_load(path.read_bytes()) == [*old, "new"]


@pytest.mark.parametrize("before", ["[]\n", "a: b\n", "- a\n  - b\n", "text\n"])
def test_a_file_that_a_line_would_break_is_left(tmp_path: Path, before: str) -> None:
    """A flow list, a mapping and the like: said, nothing written, nothing left behind."""
    path = tmp_path / "list.yaml"
    path.write_text(before)

    def holds(aside: Path) -> bool:
        try:
            return reads(aside)
        except yaml.YAMLError:
            return False

    if before == "- a\n  - b\n":  # reads as one text; the item goes behind it
        appending.append(path, HEAD, ITEM, holds)
        return
    with pytest.raises(InputError, match=r"list\.yaml: cannot be added to: write it as a list"):
        appending.append(path, HEAD, ITEM, holds)

    assert path.read_text() == before
    assert names(tmp_path) == ["list.yaml"]


def test_a_full_disk_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file is built aside; one that cannot be written whole is removed."""
    path = tmp_path / "list.yaml"
    path.write_text("- old\n")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot be written \(No space left on device\): free"):
        appending.append(path, HEAD, ITEM, reads)

    assert path.read_text() == "- old\n"
    assert names(tmp_path) == ["list.yaml"]


def test_a_lock_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """Its folder is a file: the same as a folder of somebody else's."""
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(StoreError, match="cannot be written"),
        appending.locked(tmp_path / "file/lock"),
    ):
        pass


def test_mode_and_link_stay(tmp_path: Path) -> None:
    """A file that a group may write stays so, and a link goes on pointing to it."""
    real = tmp_path / "real.yaml"
    real.write_text("- old\n")
    real.chmod(0o660)
    link = tmp_path / "list.yaml"
    link.symlink_to(real)

    appending.append(link, HEAD, ITEM, reads)

    assert link.is_symlink()
    assert real.read_text() == "- old\n- new\n"
    assert real.stat().st_mode & 0o777 == 0o660


def test_two_at_a_time_lose_nothing(tmp_path: Path) -> None:
    """Twenty additions at once: all are there."""
    path = tmp_path / "list.yaml"

    def add(number: int) -> None:
        with appending.locked(tmp_path / "state/lock"):
            appending.append(path, HEAD, f"- {number}\n", Path.is_file)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sorted(yaml.safe_load(path.read_text())) == list(range(20))
