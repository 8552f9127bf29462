"""The lake on a Google store, of which no folder is listed: the same files as on a disk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.times import Interval, parse_range
from gundog.lake.fetch import local_copy
from gundog.lake.file_version import FileVersion
from gundog.lake.latest import explain_no_match, newest_files
from gundog.lake.listing import LakePath, list_files
from gundog.run import run
from tests import draws, google_server, kit
from tests.google_server import Server
from tests.test_listing import (
    FIFTH,
    LAYOUTS,
    MOMENTS,
    ODD_KEYS,
    brute_force,
    paths_on_disk,
    put,
    span,
    templates,
)

BUCKETS = itertools.count()
NOWHERE = Path("/nowhere")


@pytest.fixture
def gs() -> Server:
    server = google_server.start()
    server.use_pages_of(google_server.PAGE)
    return server


def filled(gs: Server, *keys: str, content: bytes = b"x") -> str:
    """A new bucket with these objects; where it begins, as a lake path says it."""
    bucket = f"lake{next(BUCKETS)}"
    gs.bucket(bucket, *keys, content=content)
    return f"gs://{bucket}/"


def names(found: Sequence[FileVersion], start: str) -> list[str]:
    return [file.path.removeprefix(start) for file in found]


def listed(gs: Server, template: str, over: Interval | None) -> list[FileVersion]:
    return list_files("Cloud", [gs.path(template)], over, NOWHERE, {})


@pytest.mark.parametrize(("template", "inside", "outside"), LAYOUTS)
def test_layout_lists_the_files_of_the_span_only(
    gs: Server, template: str, inside: list[str], outside: list[str]
) -> None:
    """Every supported layout lists what lies in the span and nothing else."""
    start = filled(gs, *inside, *outside)

    assert names(listed(gs, start + template, FIFTH), start) == sorted(inside)


@given(data=st.data())
@draws.law(60)
def test_listing_equals_looking_at_every_file(data: st.DataObject) -> None:
    """For any layout and span, the listing and the newest files are those of a disk."""
    template = data.draw(templates())
    files = data.draw(st.lists(paths_on_disk(template), max_size=8, unique=True))
    ends = st.tuples(st.sampled_from(MOMENTS), st.integers(-61, 61))
    first, last = sorted(
        moment + timedelta(minutes=minutes) for moment, minutes in data.draw(st.tuples(ends, ends))
    )
    over = data.draw(st.sampled_from([None, Interval(first, last)]))
    gs, kept = google_server.start(), list[str]()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in files:
            above = (root / name).parents
            if not (root / name).is_dir() and not any(one.is_file() for one in above):
                put(root, name)
                kept.append(name)
        start = filled(gs, *kept)
        found = listed(gs, start + template, over)
        newest, is_all = newest_files("Cloud", [gs.path(start + template)], NOWHERE, {})
        on_disk, _ = newest_files("Cloud", [LakePath(template)], root, {})

        wanted = brute_force(root, template, over)
        assert [(file.path.removeprefix(start), file.covers) for file in found] == wanted
        assert is_all
        assert sorted(names(newest, start)) == sorted(file.path for file in on_disk)


@pytest.mark.parametrize("page", [1, 2, 1000])
@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("date=%Y-%m-%d/*", "date=2026-01-05"),
        ("tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00/*", "tenantId=a b+c#/y=2026/m=01/d=05/h=07/m=00"),
        ("a b#?100%%+ü/%Y-%m-%d/*", "a b#?100%+ü/2026-01-05"),
    ],
)
def test_odd_keys_are_listed_and_read(
    gs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    template: str, folder: str, page: int,
) -> None:  # fmt: skip
    """By span, by newest and in whole, however short a page is; read whole and by columns."""
    monkeypatch.setattr("gundog.lake.fetch.SPARSE_BYTES", 1)
    sink = BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), sink)
    keys = sorted(f"{folder}/{name}" for name in ODD_KEYS)
    start = filled(gs, *keys, f"{folder}/_SUCCESS", content=sink.getvalue())
    gs.use_pages_of(page)
    paths = [gs.path(start + template)]
    found = list_files("Cloud", paths, FIFTH, NOWHERE, {})
    newest, is_all = newest_files("Cloud", paths, NOWHERE, {})

    assert names(found, start) == keys
    assert found == list_files("Cloud", paths, None, NOWHERE, {})
    assert (sorted(newest, key=lambda file: file.path), is_all) == (found, True)
    for file in found[:: len(found) - 1]:
        for columns in (None, {"a"}):
            with local_copy(file, paths, tmp_path, {}, columns) as path:
                assert pq.read_table(path, columns=["a"])["a"].to_pylist() == [1, 2]


def test_folders_of_the_span_are_listed_and_no_others(gs: Server) -> None:
    """Without a star each day is one request; with one behind the day, the day's folder is."""
    keys = [f"c/d=2026-01-{day:02}/t={name}/x" for day in range(1, 10) for name in "ab"]
    start = filled(gs, *keys)
    over = span("2026-01-03", "2026-01-05")
    gs.requests()

    found = listed(gs, start + "c/d=%Y-%m-%d/t=*/x", over)

    assert names(found, start) == keys[4:8]
    assert len(gs.requests()) == 2
    assert names(listed(gs, start + "c/d=%Y-%m-%d/t=a/x", over), start) == keys[4:8:2]
    assert len(gs.requests()) == 2


def test_a_star_before_the_day_is_one_walk(gs: Server) -> None:
    """All below the folder before the star is listed once, not once a day or tenant."""
    keys = [f"c/t={name}/2026-01-{day:02}/x" for name in "abc" for day in range(1, 10)]
    start = filled(gs, *keys, "other/x")
    gs.requests()

    found = listed(gs, start + "c/t=*/%Y-%m-%d/*", span("2026-01-03", "2026-01-08"))

    assert len(found) == 15
    (request,) = gs.requests()
    assert "prefix=c%2F&" in request


def test_explanation_shows_what_is_there_instead(gs: Server) -> None:
    """It names the last folder that exists, and folders among its entries."""
    start = filled(gs, *(f"lake/Device/dt=2026010{day}/a.parquet" for day in range(1, 8)),
                   "lake/Cloud/t=a/2026-01-05/a.csv", "lake/note.txt")  # fmt: skip
    base = start.rstrip("/")

    def explained(template: str) -> str:
        return explain_no_match("Device", [gs.path(start + template)], NOWHERE, {})

    assert explained("lake/Device/date=%Y-%m-%d/*.parquet") == (
        f"lake.Device: {start}lake/Device/date=%Y-%m-%d/*.parquet: {start}lake/Device holds"
        " dt=20260101/, dt=20260102/, dt=20260103/, dt=20260104/, dt=20260105/ and 2 more,"
        " nothing like date=%Y-%m-%d"
    )
    assert explained("lake/Devices/%Y/*").endswith(
        f": {base}/lake holds Cloud/, Device/, note.txt, nothing like Devices"
    )
    assert explained("lake/Cloud/t=*/%Y-%m-%d/*.parquet").endswith(
        f": {start}lake/Cloud/t=a/2026-01-05 holds a.csv, nothing like *.parquet"
    )
    assert explained("laek/%Y/*").endswith(f": {base} holds lake/, nothing like laek")


def test_store_without_the_bucket_or_folder_has_no_files(gs: Server) -> None:
    """What does not exist holds nothing; the explanation says which part is missing."""
    start = filled(gs, "a/2026/x")
    lost, wrong = gs.path("gs://lost-bucket/a/*/%Y/*"), gs.path(f"{start}b/*/%Y/*")

    assert list_files("Cloud", [lost, wrong], FIFTH, NOWHERE, {}) == []
    assert newest_files("Cloud", [lost, wrong], NOWHERE, {}) == ([], True)
    lines = explain_no_match("Cloud", [lost, wrong], NOWHERE, {}).splitlines()
    assert lines[0].endswith("gs://lost-bucket does not exist: correct the path in gundog.yaml")
    assert lines[1].endswith(f"{start.rstrip('/')} holds a/, nothing like b")


@pytest.mark.slow
@pytest.mark.parametrize("before", ["tenantId=*/", ""])
def test_run_on_a_store_finds_what_a_run_on_a_disk_finds(
    gs: Server, tmp_path: Path, before: str
) -> None:
    """Where the lake lies changes nothing, with tenants' folders or without."""
    local, remote = tmp_path / "local", tmp_path / "remote"
    for root in (local, remote):
        kit.make_project(root)
        kit.fill_days(root, "2026-03-06", 4)
        kit.write_file(
            root,
            "2026-03-08",
            [
                kit.event("2026-03-08T10:00", "open", number=101),
                kit.event("2026-03-08T11:00", "close", number=102),
            ],
        )
    start = filled(gs)
    lake = before.replace("*", "abc")
    for path in sorted((local / "lake").rglob("*.parquet")):
        below = path.relative_to(local / "lake")
        gs.put(start.split("/")[2], f"{lake}{below}", path.read_bytes())
        put(local / "moved", f"{lake}{below}", content=path.read_bytes())
    kit.write_text(local / "gundog.yaml", kit.CONFIG.replace("lake/date", f"moved/{before}date"))
    config = kit.CONFIG.replace(
        "lake/date=%Y-%m-%d/*.parquet",
        f"{{path: '{start}{before}date=%Y-%m-%d/*.parquet', endpoint: '{gs.url}',"
        " anonymous: true}",
    )
    kit.write_text(remote / "gundog.yaml", config)

    outcomes = [hunt(root) for root in (local, remote)]

    assert outcomes[0] == outcomes[1]
    found = [
        kit.table(root, "select finding_id, title, tenant from findings order by 1")
        for root in (local, remote)
    ]
    assert found[0] == found[1] != []


def hunt(root: Path) -> tuple[int, int]:
    project = run.load_project(root, {})
    request = run.Request("hunt", parse_range("2026-03-07", "2026-03-09"))
    outcome = run.run(project, request, kit.NOW, kit.uuid4())
    return outcome.exit_status, outcome.hunted
