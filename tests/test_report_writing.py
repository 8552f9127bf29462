"""Tests of where the page goes: whole or not at all, for its group, and into a bucket."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gundog.core.errors import ContentError, InputError
from gundog.project.settings import load
from gundog.report import writing
from gundog.report.target import Target
from tests import kit
from tests.faults import start_s3


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_page_is_for_its_group_whatever_the_umask(tmp_path: Path) -> None:
    """0640, and nothing is left beside it."""
    before = os.umask(0)
    try:
        writing.write(str(tmp_path / "r.html"), "ä", {})
    finally:
        os.umask(before)

    assert mode(tmp_path / "r.html") == 0o640
    assert (tmp_path / "r.html").read_bytes() == "ä".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_what_somebody_did_to_the_file_stays(tmp_path: Path) -> None:
    """Its mode, and that it is a link; what was open stays what it was."""
    real, link = tmp_path / "www" / "r.html", tmp_path / "r.html"
    kit.write_text(real, "old").chmod(0o644)
    link.symlink_to(real)
    with real.open() as opened:
        writing.write(str(link), "new", {})

        assert opened.read() == "old"
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert mode(real) == 0o644


def in_the_way(tmp_path: Path) -> Path:
    (tmp_path / "r.html").mkdir()
    return tmp_path / "r.html"


def below_a_file(tmp_path: Path) -> Path:
    return kit.write_text(tmp_path / "file", "x") / "r.html"


@pytest.mark.parametrize("place", [in_the_way, below_a_file])
def test_a_place_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    """With what to do; nothing half written is left."""
    target = place(tmp_path)

    with pytest.raises(InputError, match=r"move it away") as caught:
        writing.write(str(target), "x", {})

    assert caught.value.exit_status == 2
    assert list(tmp_path.glob(".*.tmp")) == []


def test_a_page_goes_into_a_bucket(tmp_path: Path) -> None:
    """As HTML in UTF-8; a second one takes the place of the first."""
    server = start_s3()
    server.bucket("reports")

    for text in ("<p>old", "<p>ä"):
        writing.write("s3://reports/soc/r.html", text, server.environ)

    held = server.client.get_object(Bucket="reports", Key="soc/r.html")
    assert held["Body"].read() == "<p>ä".encode()
    assert held["ContentType"] == "text/html; charset=utf-8"


def test_a_bucket_that_is_not_there_is_a_sentence() -> None:
    """It names the address and what to correct."""
    with pytest.raises(InputError, match=r"s3://no-such-bucket/r.html: the report cannot be"):
        writing.write("s3://no-such-bucket/r.html", "x", start_s3().environ)


# ---- the key `report` of gundog.yaml ----


@pytest.mark.parametrize(
    ("value", "place", "url", "evidence"),
    [
        ("out/r.html", "{root}/out/r.html", "", True),
        ("/srv/www/r.html", "/srv/www/r.html", "", True),
        ("s3://soc/r.html", "s3://soc/r.html", "", True),
        ("{path: r.html, evidence: false}", "{root}/r.html", "", False),
        ("{path: r.html, url: 'https://soc.example/r'}", "{root}/r.html",
         "https://soc.example/r", True),
    ],
)  # fmt: skip
def test_report_is_a_place_or_keys(
    tmp_path: Path, value: str, place: str, url: str, evidence: bool
) -> None:
    """A path starts from the project's folder; an address stays as it is."""
    kit.write_text(tmp_path / "gundog.yaml", f"{kit.CONFIG}report: {value}\n")

    settings = load(tmp_path, {})

    assert settings.report == Target(place.format(root=tmp_path.resolve()), url, evidence)


def test_messages_link_to_where_people_open_it() -> None:
    """The URL that is given, else the address in the store; a file on a disk is not a link."""
    assert Target("s3://soc/r.html").link == "s3://soc/r.html"
    assert Target("/srv/r.html", "https://soc.example/r").link == "https://soc.example/r"
    assert Target("/srv/r.html").link == ""


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("https://soc.example/r.html", "report: is a web address, where gundog cannot write"),
        ("ftp://soc/r.html", "report: unknown scheme"),
        ("s3://soc", "report: names no file"),
        ("s3://soc/folder/", "report: names no file"),
        ("lake", "report: is a folder"),
        ("[a, b]", "report: is a list"),
        ("{evidence: false}", "report.path: is missing"),
        ("{path: r.html, url: soc}", "report.url: is not a URL"),
        ("{path: r.html, evidnce: false}", "report: key|evidence"),
    ],
)
def test_a_wrong_report_key_is_refused(tmp_path: Path, value: str, problem: str) -> None:
    """With what to write instead."""
    (tmp_path / "lake").mkdir()
    kit.write_text(tmp_path / "gundog.yaml", f"{kit.CONFIG}report: {value}\n")

    with pytest.raises(ContentError, match=problem):
        load(tmp_path, {})


def test_a_channel_can_link_only_to_an_address(tmp_path: Path) -> None:
    """A file on the disk of the machine that hunts opens for nobody."""
    channel = "notify: [{name: soc, url: 'https://hook.example/x', report: true}]\n"
    kit.write_text(tmp_path / "gundog.yaml", f"{kit.CONFIG}{channel}report: r.html\n")

    with pytest.raises(ContentError, match=r"report: the report has no address to link to"):
        load(tmp_path, {})

    kit.write_text(tmp_path / "gundog.yaml", f"{kit.CONFIG}{channel}report: s3://soc/r.html\n")
    assert load(tmp_path, {}).notify[0].report


def test_only_who_makes_a_page_needs_its_variables(tmp_path: Path) -> None:
    """A reader of findings has no secret of the bucket's address."""
    kit.write_text(tmp_path / "gundog.yaml", kit.CONFIG + 'report: "s3://${BUCKET}/r.html"\n')

    assert load(tmp_path, {}, ()).unset == {"report": ("BUCKET",)}
    with pytest.raises(ContentError, match="BUCKET"):
        load(tmp_path, {}, ("report",))
