"""Tests of core.text_files: a file's text, or one sentence that says why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gundog.core import text_files
from gundog.core.errors import InputError
from tests.kit import write_text

NOT_UTF8 = b"ev\xffil".decode("utf-8", "surrogateescape")


def said(path: Path) -> str:
    with pytest.raises(InputError) as error:
        text_files.read(path)
    return str(error.value)


def test_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    """As editors of Windows write it."""
    path = tmp_path / "x.sql"
    path.write_bytes(b"\xef\xbb\xbfselect 'caf\xc3\xa9'\r\n")

    assert text_files.read(path) == "select 'caf\xe9'\r\n"


def test_what_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    """Each says what to do; none reads on without end."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "device").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes(b"-- a\n-- caf\xe9\n")
    (tmp_path / "wide").write_bytes("select 1".encode("utf-16"))
    (tmp_path / "large").write_bytes(b" " * (text_files.MOST_BYTES + 1))
    os.close(os.open(os.fsencode(tmp_path / NOT_UTF8), os.O_CREAT))

    assert said(tmp_path / "folder").startswith("cannot be read: is a folder: put a file in its")
    assert "is a link to " in said(tmp_path / "dangling")
    assert said(tmp_path / "dangling").endswith("which does not exist: correct the link")
    assert "let this account read it, or remove it" in said(tmp_path / "loop")
    assert "is not a plain file" in said(tmp_path / "device")
    assert "is not a plain file" in said(tmp_path / "pipe")
    assert said(tmp_path / "latin") == "cannot be read: line 2 is not UTF-8: save it as UTF-8"
    assert "line 1 is not UTF-8" in said(tmp_path / "wide")
    assert "is larger than 1 MB" in said(tmp_path / "large")
    assert "has a name that is not UTF-8: rename it" in said(tmp_path / NOT_UTF8)
    assert "No such file" in said(tmp_path / "none")
    assert "File name too long" in said(tmp_path / ("a" * 5_000))


def test_files_are_found_in_order_and_the_rest_is_named(tmp_path: Path) -> None:
    """Below the folder too where that is asked; other endings are nobody's."""
    for name in ("b.yaml", "a.yml", "deep/er/c.yaml", "x.txt", ".d.yaml", "x.yaml.bak"):
        write_text(tmp_path / name, "")
    (tmp_path / "e.yaml").mkdir()
    write_text(tmp_path / "e.yaml/f.yaml", "")
    (tmp_path / "g.yaml").symlink_to(tmp_path / "none")
    (tmp_path / "link").symlink_to(tmp_path / "deep")

    flat = text_files.find(tmp_path, (".yaml", ".yml"))
    deep = text_files.find(tmp_path, (".yaml", ".yml"), deep=True)

    assert [path.name for path in flat.files] == [".d.yaml", "a.yml", "b.yaml"]
    names = [str(path.relative_to(tmp_path)) for path in deep.files]
    assert names == [".d.yaml", "a.yml", "b.yaml", "deep/er/c.yaml", "e.yaml/f.yaml"]
    assert (
        [path.name for path, _ in flat.wrong]
        == ["e.yaml", "g.yaml"]
        == [path.name for path, _ in deep.wrong]
    )


def test_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """A missing folder is not a mistake; a file or dead link in its place hides content."""
    write_text(tmp_path / "file", "")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")

    assert text_files.find(tmp_path / "none", (".sql",)) == text_files.Found()
    for name in ("file", "dangling"):
        found = text_files.find(tmp_path / name, (".sql",))
        assert [what for _, what in found.wrong] == ["is not a folder: make it one, or remove it"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every folder")
def test_folder_that_may_not_be_opened_is_named(tmp_path: Path) -> None:
    """Else its detections would be gone in silence."""
    write_text(tmp_path / "closed/a.yaml", "")
    (tmp_path / "closed").chmod(0)
    try:
        [(path, what)] = text_files.find(tmp_path, (".yaml",), deep=True).wrong
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert (path.name, "cannot be opened" in what) == ("closed", True)
