"""The lake: which files a time span has in any layout, on a disk and on a real S3 server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from gundog.core.errors import StoreError
from gundog.core.times import Interval, parse_time
from gundog.lake.fetch import local_copy
from gundog.lake.file_version import FileVersion
from gundog.lake.latest import explain_no_match, newest_files
from gundog.lake.listing import LakePath, list_files
from gundog.lake.object_store import filesystem
from tests import draws
from tests.faults import Server, start_s3

Span = Interval | Mapping[str, Interval] | None


def span(start: str, end: str) -> Interval:
    return Interval(parse_time(start), parse_time(end))


def put(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def listed(root: Path, templates: str | Sequence[str], over: Span) -> list[FileVersion]:
    found = [templates] if isinstance(templates, str) else templates
    return list_files("Device", [LakePath(one) for one in found], over, root, {})


def names(root: Path, templates: str | Sequence[str], over: Span) -> list[str]:
    return [file.path for file in listed(root, templates, over)]


FIFTH = span("2026-01-05", "2026-01-06")


LAYOUTS = [
    pytest.param(
        "date=%Y-%m-%d/*.parquet",
        ["date=2026-01-05/a.parquet", "date=2026-01-05/b.parquet"],
        ["date=2026-01-04/a.parquet", "date=2026-01-06/a.parquet", "date=2026-01-05/a.csv"],
        id="daily",
    ),
    pytest.param(
        "dt=%Y%m%d/h=%H/*.parquet",
        ["dt=20260105/h=00/a.parquet", "dt=20260105/h=23/a.parquet"],
        ["dt=20260106/h=00/a.parquet", "dt=20260105/a.parquet", "dt=20260105/h=24/a.parquet"],
        id="hourly",
    ),
    pytest.param(
        "tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=%M/*.parquet",
        [
            "tenantId=a/y=2026/m=01/d=05/h=07/m=00/x.parquet",
            "tenantId=b/y=2026/m=01/d=05/h=07/m=55/x.parquet",
        ],
        [
            "tenantId=a/y=2026/m=01/d=06/h=07/m=00/x.parquet",
            "tenantId=a/y=2026/m=01/d=05/h=07/m=60/x.parquet",
            "tenant=a/y=2026/m=01/d=05/h=07/m=00/x.parquet",
        ],
        id="diagnostic settings",
    ),
    pytest.param(
        "tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00/*.parquet",
        ["tenantId=a/y=2026/m=01/d=05/h=07/m=00/x.parquet"],
        ["tenantId=a/y=2026/m=01/d=05/h=07/m=05/x.parquet"],
        id="literal minute",
    ),
    pytest.param(
        "eventDay=%Y%m%d/*.parquet",
        ["eventDay=20260105/a.parquet"],
        ["eventDay=20260104/a.parquet", "eventDay=2026015/a.parquet"],
        id="event day",
    ),
    pytest.param("y=%Y/*.parquet", ["y=2026/a.parquet"], ["y=2025/a.parquet"], id="year"),
    pytest.param("%y/%j/*", ["26/005/a"], ["26/006/a", "26/000/a", "25/005/a"], id="ordinal"),
    pytest.param("%Y/%m/*", ["2026/01/a"], ["2026/02/a", "2025/01/a"], id="month"),
    pytest.param("plain/*.parquet", ["plain/a.parquet"], ["plain/b/c.parquet"], id="plain"),
    pytest.param("one.parquet", ["one.parquet"], ["two.parquet"], id="one file"),
    pytest.param(
        "%Y/%m/%Y-%m-%d_*.parquet",
        ["2026/01/2026-01-05_a.parquet"],
        ["2026/01/2026-01-04_a.parquet", "2026/01/2026-02-05_a.parquet"],
        id="day in the name",
    ),
    pytest.param(
        "%Y-%m-%d.parquet", ["2026-01-05.parquet"], ["2026-01-06.parquet"], id="only a name"
    ),
    pytest.param(
        "*/*/date=%Y-%m-%d/part-*",
        ["a/b/date=2026-01-05/part-0", "c/d/date=2026-01-05/part-"],
        ["a/date=2026-01-05/part-0", "a/b/date=2026-01-05/x-0"],
        id="stars first",
    ),
    pytest.param(
        "%Y/region=*/%m-%d/*",
        ["2026/region=eu/01-05/a", "2026/region=us/01-05/a"],
        ["2026/region=eu/01-06/a", "2026/eu/01-05/a"],
        id="star between",
    ),
    pytest.param(
        "%Y%m%d/100%%/[a]+(b).x*",
        ["20260105/100%/[a]+(b).x", "20260105/100%/[a]+(b).xyz"],
        ["20260105/100/[a]+(b).x", "20260105/100%/a+(b).x", "20260105/100%/[a]+(b)-x"],
        id="literal signs",
    ),
]


@pytest.mark.parametrize(("template", "inside", "outside"), LAYOUTS)
def test_layout_lists_the_files_of_the_span_only(
    tmp_path: Path, template: str, inside: list[str], outside: list[str]
) -> None:
    """Every supported layout lists what lies in the span and nothing else."""
    put(tmp_path, *inside, *outside)

    assert names(tmp_path, template, FIFTH) == sorted(inside)


@pytest.mark.parametrize(
    ("template", "name", "covers"),
    [
        ("%Y/*", "2026/a", span("2026-01-01", "2027-01-01")),
        ("%Y/%m/*", "2026/12/a", span("2026-12-01", "2027-01-01")),
        ("%Y/%m/%d/*", "2026/12/31/a", span("2026-12-31", "2027-01-01")),
        ("%y/%j/*", "24/366/a", span("2024-12-31", "2025-01-01")),
        ("%Y%m%dT%H/*", "20260105T23/a", span("2026-01-05T23:00", "2026-01-06")),
        ("%Y%m%dT%H%M/*", "20260105T2359/a", span("2026-01-05T23:59", "2026-01-06")),
        ("a/*", "a/b", None),
    ],
)
def test_file_covers_the_time_of_its_path_at_the_finest_field(
    tmp_path: Path, template: str, name: str, covers: Interval | None
) -> None:
    """Coverage is as long as the finest field; a path without fields has none."""
    put(tmp_path, name)

    assert [file.covers for file in listed(tmp_path, template, None)] == [covers]


def test_file_version_says_what_the_store_says(tmp_path: Path) -> None:
    """Size and time of writing in nanoseconds are those of the file; an empty file counts."""
    put(tmp_path, "lake/2026/a.parquet", content=b"12345")
    put(tmp_path, "lake/2026/b.parquet", content=b"")
    os.utime(tmp_path / "lake/2026/a.parquet", ns=(1, 1_790_000_000_123_456_789))
    first, second = list_files(
        "Device",
        [LakePath("none/*"), LakePath("lake/%Y/*", partition_by="event")],
        None,
        tmp_path,
        {},
    )

    assert first == FileVersion(
        source="Device",
        path="lake/2026/a.parquet",
        size=5,
        mtime_ns=1_790_000_000_123_456_789,
        covers=span("2026-01-01", "2027-01-01"),
        tenant=None,
        lake_path=1,
        partition_by="event",
    )
    assert (second.path, second.size) == ("lake/2026/b.parquet", 0)


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2026-01-05T05:00", "2026-01-05T06:00", ["05"]),
        ("2026-01-05T05:59:59.999999", "2026-01-05T06:00:00.000001", ["05", "06"]),
        ("2026-01-05T04:00", "2026-01-05T05:00", []),
        ("2026-01-05T07:00", "2026-01-05T09:00", []),
    ],
)
def test_span_is_half_open(tmp_path: Path, start: str, end: str, found: list[str]) -> None:
    """A partition that only touches the span is left out, to the microsecond."""
    put(tmp_path, "20260105/05/a", "20260105/06/a")

    assert names(tmp_path, "%Y%m%d/%H/*", span(start, end)) == [
        f"20260105/{hour}/a" for hour in found
    ]


def test_span_crosses_months_and_years(tmp_path: Path) -> None:
    """Every day between the ends is listed."""
    days = [datetime(2025, 12, 30, tzinfo=UTC) + timedelta(days=n) for n in range(40)]
    put(tmp_path, *(f"{day:y=%Y/m=%m/d=%d}/a" for day in days))
    found = listed(tmp_path, "y=%Y/m=%m/d=%d/*", span("2025-12-31", "2026-02-02"))

    assert [file.covers.start for file in found if file.covers] == days[1:-6]


def test_time_without_end_lists_everything_there_is(tmp_path: Path) -> None:
    """A span of thousands of years neither fails nor lists day by day."""
    put(tmp_path, "0001-01-01/a", "2026-01-05/a", "9999-12-31/a")
    ever = Interval(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

    assert len(names(tmp_path, "%Y-%m-%d/*", ever)) == 3


def test_span_can_differ_by_what_the_time_means(tmp_path: Path) -> None:
    """Paths partitioned by ingest and by event each get their own span."""
    put(tmp_path, *(f"{kind}/2026-01-0{day}/a" for kind in "ie" for day in (4, 5, 6)))
    paths = [LakePath("i/%Y-%m-%d/*"), LakePath("e/%Y-%m-%d/*", partition_by="event")]
    spans = {"ingest": FIFTH, "event": span("2026-01-04", "2026-01-05")}
    found = list_files("Device", paths, spans, tmp_path, {})

    assert [file.path for file in found] == ["e/2026-01-04/a", "i/2026-01-05/a"]


def test_two_templates_list_no_file_twice(tmp_path: Path) -> None:
    """Daily and hourly paths over the same folders, and a path named twice, share nothing."""
    put(tmp_path, "date=2026-01-05/x.parquet", "date=2026-01-05/h=05/x.parquet")
    daily, hourly = "date=%Y-%m-%d/*.parquet", "date=%Y-%m-%d/h=%H/*.parquet"
    found = listed(tmp_path, [daily, hourly, f"{tmp_path}/{daily}"], FIFTH)

    assert [(file.path, file.lake_path) for file in found] == [
        ("date=2026-01-05/h=05/x.parquet", 1),
        ("date=2026-01-05/x.parquet", 0),
    ]


def test_hidden_and_temporary_names_are_skipped(tmp_path: Path) -> None:
    """Names that begin with a dot or underscore never match a star, as file or folder."""
    put(
        tmp_path,
        "t=a/2026/x.parquet",
        "t=a/2026/.x.parquet",
        "t=a/2026/_x.parquet",
        "t=a/2026/.parquet",
        "_temporary/2026/x.parquet",
        ".staging/2026/x.parquet",
    )

    assert names(tmp_path, "*/%Y/*.parquet", None) == ["t=a/2026/x.parquet"]
    assert names(tmp_path, "_temporary/%Y/*", None) == ["_temporary/2026/x.parquet"]


def test_fields_that_disagree_or_are_no_date_match_nothing(tmp_path: Path) -> None:
    """A repeated field must agree, and the thirtieth of February is not a day."""
    put(tmp_path, "2026/26/036/02/05", "2026/25/036/02/05", "2026/26/035/02/05")
    put(tmp_path, "a/2026-02-30/x", "a/2026-13-01/x", "a/0000-01-01/x", "a/2026-02-28/x")
    put(tmp_path, "b/2026/2026-x", "b/2026/2025-x", "a/٢٠٢٦-01-01/x")

    assert names(tmp_path, "%Y/%y/%j/%m/%d", None) == ["2026/26/036/02/05"]
    assert names(tmp_path, "a/%Y-%m-%d/*", None) == ["a/2026-02-28/x"]
    assert names(tmp_path, "b/%Y/%Y-*", None) == ["b/2026/2026-x"]


@pytest.mark.parametrize(
    ("name", "tenant"),
    [
        ("tenantId=5f1c/2026/x", "5f1c"),
        ("TENANTID=5f1c/2026/x", "5f1c"),
        ("tenantid=a%20b/2026/x", "a b"),
        ("subtenantId=5f1c/2026/x", None),
    ],
)
def test_tenant_comes_from_the_path(tmp_path: Path, name: str, tenant: str | None) -> None:
    """A `tenantId=` folder names the tenant, whatever its case."""
    put(tmp_path, name)

    assert [file.tenant for file in listed(tmp_path, "*/%Y/*", None)] == [tenant]


def test_folder_that_is_not_there_holds_no_files(tmp_path: Path) -> None:
    """A missing folder, or a file in its place, is not an error."""
    put(tmp_path, "2026-01-05")

    assert names(tmp_path, "gone/%Y-%m-%d/*", FIFTH) == []
    assert names(tmp_path, "*/%Y-%m-%d/*", FIFTH) == []
    assert names(tmp_path, "%Y-%m-%d/*", FIFTH) == []


def test_relative_absolute_and_parent_paths_are_named_as_written(tmp_path: Path) -> None:
    """A relative path stays relative to the project, so findings do not depend on where it lies."""
    put(tmp_path, "lake/2026/x")
    project = tmp_path / "project"
    project.mkdir()

    assert names(tmp_path, "./lake/%Y/*", None) == ["lake/2026/x"]
    assert names(project, "../lake/%Y/*", None) == ["../lake/2026/x"]
    assert names(project, f"{tmp_path}/lake/%Y/*", None) == [f"{tmp_path}/lake/2026/x"]
    assert names(project, f"file://{tmp_path}/lake/%Y/*", None) == [f"{tmp_path}/lake/2026/x"]


def test_project_folder_may_look_like_a_template(tmp_path: Path) -> None:
    """Signs of a template in the project's own path mean nothing."""
    root = tmp_path / "100%Y *[a]"
    put(root, "lake/2026/x.parquet")

    assert names(root, "lake/%Y/*", FIFTH) == ["lake/2026/x.parquet"]


ODD = ["a b#%20+.parquet", "new\nline.parquet", "ü\u202e.parquet", "[1]?.parquet", "'\".parquet"]


def test_odd_names_are_listed_and_read(tmp_path: Path) -> None:
    """Blanks, signs of patterns, line breaks and bytes that are not text do not hide a file."""
    table = pa.table({"a": [1, 2]})
    (tmp_path / "lake").mkdir()
    for name in [*ODD, os.fsdecode(b"bad\xff.parquet")]:
        pq.write_table(table, tmp_path / "lake/plain")
        (tmp_path / "lake/plain").rename(tmp_path / "lake" / name)
    found = listed(tmp_path, "lake/*.parquet", None)

    assert [file.path for file in found] == sorted(
        f"lake/{name}" for name in [*ODD, "bad\\xff.parquet"]
    )
    for file in found:
        with local_copy(file, [LakePath("lake/*.parquet")], tmp_path) as path:
            assert duckdb.sql(f"select sum(a) from read_parquet($${path}$$)").fetchall() == [(3,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


def test_local_file_is_not_copied(tmp_path: Path) -> None:
    """On a disk the copy is the file itself, and it stays."""
    put(tmp_path, "lake/x.parquet")
    (file,) = listed(tmp_path, "lake/*", None)
    with local_copy(file, [LakePath("lake/*")], tmp_path) as path:
        assert path == tmp_path / "lake/x.parquet"

    assert path.exists()


def test_local_file_that_vanished_is_named(tmp_path: Path) -> None:
    """A file deleted after the listing gives an error with its name."""
    put(tmp_path, "lake/x.parquet")
    (file,) = listed(tmp_path, "lake/*", None)
    (tmp_path / "lake/x.parquet").unlink()

    with (
        pytest.raises(StoreError, match=r"lake/x\.parquet: was removed after"),
        local_copy(file, [LakePath("lake/*")], tmp_path),
    ):
        pass


def test_folder_name_that_is_no_text_hides_nothing(tmp_path: Path) -> None:
    """Files below a folder whose name is not UTF-8 are listed like any others."""
    folder = tmp_path / os.fsdecode(b"t\xff") / "2026"
    folder.mkdir(parents=True)
    (folder / "x").touch()

    assert names(tmp_path, "*/%Y/*", FIFTH) == ["t\\xff/2026/x"]
    assert explained(tmp_path, "*/%Y/*.parquet").endswith(
        "t\\xff/2026 holds x, nothing like *.parquet"
    )


# What stands between two literals of a random template, and what may stand in its place on disk.
STARS = ["p", "q7", "_tmp", ".hid", "2026"]
MOMENTS = [
    datetime(*parts, tzinfo=UTC)
    for parts in [
        (2025, 12, 31, 0, 0),
        (2025, 12, 31, 23, 30),
        (2026, 1, 1, 0, 0),
        (2026, 1, 1, 5, 30),
        (2026, 1, 2, 23, 0),
        (2026, 2, 1, 0, 0),
        (2028, 12, 31, 12, 30),
    ]
]
DATES = ["%Y-%m-%d", "%Y%m%d", "y=%Y/m=%m/d=%d", "%Y/%j", "%y/*/%m/%d", "%Y/%m", "y=%Y", ""]
TIMES = ["", "h=%H", "%H/m=%M", "%H/m=00", "*/%H", "%Y%m%d%H"]
FILES = ["*.parquet", "part-*", "x.parquet", "%Y*.parquet", "*"]


@st.composite
def templates(draw: st.DrawFn) -> str:
    date = draw(st.sampled_from(DATES))
    time = draw(st.sampled_from(TIMES)) if "d" in date or "%j" in date else ""
    file = draw(st.sampled_from(FILES))
    before = draw(st.sampled_from(["", "lake", "t=*", "*/lake"]))
    return "/".join(part for part in (before, date, time, file) if part)


@st.composite
def paths_on_disk(draw: st.DrawFn, template: str) -> str:
    """A path made from the template or nearly so."""
    text = draw(st.sampled_from(MOMENTS)).strftime(template)
    while "*" in text:
        text = text.replace("*", draw(st.sampled_from(STARS)), 1)
    return draw(st.sampled_from([text, text, text, f"{text}x", f"x/{text}", f"{text}.d/y.parquet"]))


def matches(path: str, template: str, moment: datetime) -> bool:
    """The template read once more, with the standard library's matcher and one time at a time."""
    parts, shapes = path.split("/"), moment.strftime(template).split("/")
    return len(parts) == len(shapes) and all(
        fnmatchcase(part, shape) and not (shape.startswith("*") and part[0] in "._")
        for part, shape in zip(parts, shapes, strict=True)
    )


def cover(template: str, moment: datetime) -> Interval | None:
    """By words: the year, month, day, hour or minute that a template can tell apart."""
    if "%M" in template:
        return Interval(moment, moment + timedelta(minutes=1))
    if "%H" in template:
        start = moment.replace(minute=0)
        return Interval(start, start + timedelta(hours=1))
    day = moment.replace(hour=0, minute=0)
    if "%d" in template or "%j" in template:
        return Interval(day, day + timedelta(days=1))
    if "%m" in template:
        return Interval(
            day.replace(day=1), (day.replace(day=1) + timedelta(days=31)).replace(day=1)
        )
    if "%" in template:
        return Interval(day.replace(month=1, day=1), day.replace(year=day.year + 1, month=1, day=1))
    return None


def brute_force(root: Path, template: str, over: Interval | None) -> list[tuple[str, Any]]:
    """Every file below the root that matches the template at one of the MOMENTS."""
    every = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    found = {
        path: cover(template, moment)
        for path in every
        for moment in MOMENTS
        if matches(path, template, moment)
    }
    return [
        (path, covers)
        for path, covers in sorted(found.items())
        if over is None or covers is None or covers.overlaps(over)
    ]


@given(data=st.data())
@draws.law(150)
def test_listing_equals_looking_at_every_file(data: st.DataObject) -> None:
    """For any layout and span, the listing finds what a walk over all files finds."""
    template = data.draw(templates())
    files = data.draw(st.lists(paths_on_disk(template), max_size=8, unique=True))
    ends = st.tuples(st.sampled_from(MOMENTS), st.integers(-61, 61))
    first, last = sorted(
        moment + timedelta(minutes=minutes) for moment, minutes in data.draw(st.tuples(ends, ends))
    )
    over = data.draw(st.sampled_from([None, Interval(first, last)]))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in files:
            # A name that is a folder already, or lies below a file, cannot be made.
            if not (root / name).is_dir() and not any(
                parent.is_file() for parent in (root / name).parents
            ):
                put(root, name)
        found = [(file.path, file.covers) for file in listed(root, template, over)]

        assert found == brute_force(root, template, over)


def explained(root: Path, template: str) -> str:
    return explain_no_match("Device", [LakePath(template)], root, {})


def test_explanation_shows_what_is_there_instead(tmp_path: Path) -> None:
    """It names the last folder that exists, a few of its entries, and the part that fits none."""
    put(tmp_path, *(f"lake/Device/dt=2026010{day}/a.parquet" for day in range(1, 8)))
    put(tmp_path, "lake/Cloud/2026-01-05/a.csv", "lake/note.txt")
    (tmp_path / "lake/Empty").mkdir()

    assert explained(tmp_path, "lake/Device/date=%Y-%m-%d/*.parquet") == (
        "lake.Device: lake/Device/date=%Y-%m-%d/*.parquet: lake/Device holds dt=20260101/,"
        " dt=20260102/, dt=20260103/, dt=20260104/, dt=20260105/ and 2 more,"
        " nothing like date=%Y-%m-%d"
    )
    assert explained(tmp_path, "lake/Devices/%Y/*").endswith(
        ": lake holds Cloud/, Device/, Empty/, note.txt, nothing like Devices"
    )
    assert explained(tmp_path, "lake/Cloud/%Y-%m-%d/*.parquet").endswith(
        ": lake/Cloud/2026-01-05 holds a.csv, nothing like *.parquet"
    )
    assert explained(tmp_path, "lake/*/%Y/*").endswith("lake/Empty is empty, nothing like %Y")
    assert explained(tmp_path, "lake/note*/x").endswith("note.txt, nothing like note*")
    assert explained(tmp_path, "lake/Device/dt=%Y%m%d/*").endswith(
        "lake/Device/dt=20260107/a.parquet matches, but no file of the time asked for does"
    )


def test_explanation_covers_each_path(tmp_path: Path) -> None:
    """Several lake paths get a line each."""
    text = explain_no_match("Device", [LakePath("a/*"), LakePath("b/*")], tmp_path, {})

    assert [line.split(": ")[1] for line in text.splitlines()] == ["a/*", "b/*"]


def test_unknown_scheme_is_named(tmp_path: Path) -> None:
    """A scheme no store has gives an error that names the nearest one."""
    with pytest.raises(StoreError, match=r"^s3a://b/\*: unknown scheme: did you mean s3\?"):
        filesystem(LakePath("s3a://b/*"), {})


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (LakePath("lake/*"), fs.LocalFileSystem),
        (LakePath("gs://b/*", anonymous=True), fs.GcsFileSystem),
        (LakePath("gs://b/*", endpoint="http://127.0.0.1:1"), fs.GcsFileSystem),
        (LakePath("abfss://c@acc.dfs.core.windows.net/*"), fs.AzureFileSystem),
        (LakePath("abfss://c@acc.dfs.core.windows.net/*", anonymous=True), fs.AzureFileSystem),
        (
            LakePath(
                "abfss://c@acc.dfs.core.windows.net/*",
                endpoint="http://127.0.0.1:1",
                anonymous=True,
            ),
            fs.AzureFileSystem,
        ),
        (
            LakePath("abfss://c@acc.dfs.core.windows.net/*", endpoint="http://127.0.0.1:1"),
            fs.AzureFileSystem,
        ),
        (LakePath("s3://b/*", region="eu-west-1", anonymous=True), fs.S3FileSystem),
    ],
)
def test_each_scheme_opens_its_store(path: LakePath, kind: type) -> None:
    """Every supported store takes its options without being asked anything yet."""
    assert isinstance(filesystem(path, {"AZURE_STORAGE_KEY": "aGVsbG8="}), kind)


def test_identity_without_tls_is_refused_before_it_ends_the_process() -> None:
    """Azure's own client ends the process when a token would be sent over http."""
    path = LakePath("abfss://c@acc.dfs.core.windows.net/*", endpoint="http://127.0.0.1:1")
    with pytest.raises(StoreError, match="takes no identity: set AZURE_STORAGE_ACCOUNT_KEY"):
        filesystem(path, {})


def test_half_a_credential_is_named() -> None:
    """An access key without its secret is an error about credentials, not a listing."""
    with pytest.raises(StoreError, match=r"s3://b/\*: cannot be reached: .*credentials"):
        filesystem(LakePath("s3://b/*"), {"AWS_ACCESS_KEY_ID": "k", "AWS_REGION": "eu-west-1"})


@pytest.fixture
def s3() -> Server:
    server = start_s3()
    server.requests.clear()
    return server


def on_s3(s3: Server, template: str, over: Span, **options: Any) -> list[FileVersion]:
    s3.requests.clear()
    path = LakePath(template, **options)
    return list_files("Cloud", [path], over, Path("/nowhere"), s3.environ)


def names_on_s3(s3: Server, template: str, over: Span) -> list[str]:
    return [file.path for file in on_s3(s3, template, over)]


def test_store_lists_only_the_folders_of_the_span(s3: Server) -> None:
    """One request for each day asked for, whatever else the bucket holds."""
    keys = [f"c/d=2026-01-{day:02}/h={hour:02}/x" for day in range(1, 10) for hour in (0, 12)]
    s3.bucket("days", *keys)
    found = on_s3(s3, "s3://days/c/d=%Y-%m-%d/h=%H/*", span("2026-01-03", "2026-01-05T06:00"))

    assert [file.path for file in found] == [f"s3://days/{key}" for key in keys[4:9]]
    assert len(s3.requests) == 3
    assert (found[0].size, found[0].covers) == (1, span("2026-01-03", "2026-01-03T01:00"))
    assert found[0].mtime_ns > 0


def test_store_lists_years_with_few_requests(s3: Server) -> None:
    """Thousands of days are listed from the folder above them, not one by one."""
    s3.bucket("years", "c/d=2016-01-05/x", "c/d=2026-01-05/x")
    found = names_on_s3(s3, "s3://years/c/d=%Y-%m-%d/*", span("2016-01-06", "2027-01-01"))

    assert found == ["s3://years/c/d=2026-01-05/x"]
    assert len(s3.requests) == 1


def test_store_does_not_walk_below_the_files(s3: Server) -> None:
    """A daily path asks for its folder's own files only, not for the hours below."""
    s3.bucket("below", "2026-01-05/x", "2026-01-05/h=05/x")

    assert names_on_s3(s3, "s3://below/%Y-%m-%d/*", FIFTH) == ["s3://below/2026-01-05/x"]
    assert ["delimiter=/" in request for request in s3.requests] == [True]


def test_store_expands_stars_with_one_request_each_folder(s3: Server) -> None:
    """Tenants are found by one listing, then each tenant's days by one more each."""
    keys = [f"tenantId={name}/y=2026/m=01/d=05/h=0{h}/m=00/x" for name in "ab" for h in (1, 2)]
    s3.bucket("tenants", *keys, "other/y=2026/m=01/d=05/h=01/m=00/x")
    days = span("2026-01-05", "2026-01-07")
    found = on_s3(s3, "s3://tenants/tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=%M/*", days)

    assert [file.path for file in found] == [f"s3://tenants/{key}" for key in keys]
    assert [file.tenant for file in found] == ["a", "a", "b", "b"]
    assert len(s3.requests) == 5


@pytest.fixture
def short_answers(monkeypatch: pytest.MonkeyPatch, s3: Server) -> Callable[[], int]:
    """A store that lists ten keys at a time, as it may, where others list a thousand.

    Returns:
        How often it was asked for a list.
    """
    from moto.s3.models import S3Backend

    whole = S3Backend.list_objects_v2

    def short(self: S3Backend, **asked: Any) -> Any:
        return whole(self, **{**asked, "max_keys": min(asked["max_keys"], 10)})

    monkeypatch.setattr(S3Backend, "list_objects_v2", short)
    s3.requests.clear()
    return lambda: sum("list-type=2" in request for request in s3.requests)


def test_listing_longer_than_an_answer_is_whole(
    s3: Server, short_answers: Callable[[], int]
) -> None:
    """Every answer but the last says how to go on."""
    keys = [f"d=20260105/part-{n:04}.parquet" for n in range(25)]
    s3.bucket("many", *keys)

    assert names_on_s3(s3, "s3://many/d=%Y%m%d/*.parquet", FIFTH) == [
        f"s3://many/{key}" for key in keys
    ]
    assert short_answers() >= 3


def test_store_without_the_bucket_or_folder_has_no_files(s3: Server) -> None:
    """What does not exist holds nothing; the explanation says which part is missing."""
    s3.bucket("some", "a/2026/x")
    lost, wrong = LakePath("s3://lost-bucket/a/%Y/*"), LakePath("s3://some/b/%Y/*")

    assert names_on_s3(s3, lost.template, FIFTH) == names_on_s3(s3, wrong.template, FIFTH) == []
    text = explain_no_match("Cloud", [lost, wrong], Path(), s3.environ)
    assert text.splitlines() == [
        (
            "lake.Cloud: s3://lost-bucket/a/%Y/*: s3://lost-bucket does not exist:"
            " correct the path in gundog.yaml"
        ),
        "lake.Cloud: s3://some/b/%Y/*: s3://some holds a/, nothing like b",
    ]


def test_store_folder_markers_are_no_files(s3: Server) -> None:
    """The empty objects that some tools leave for folders are not listed, empty files are."""
    s3.bucket("marks", "2026/", "2026/sub/", "2026/x", content=b"")

    assert names_on_s3(s3, "s3://marks/%Y/*", FIFTH) == ["s3://marks/2026/x"]


def test_store_reads_odd_keys(s3: Server, tmp_path: Path) -> None:
    """Keys with blanks, percent signs and other letters are listed and read as they are."""
    keys = [f"2026/{name}" for name in ["a b#%20+.parquet", "ü?.parquet", "[1]=&.parquet"]]
    s3.bucket("odd-keys", *keys, content=b"12345")
    found = on_s3(s3, "s3://odd-keys/%Y/*", FIFTH)

    assert [file.path for file in found] == sorted(f"s3://odd-keys/{key}" for key in keys)
    for file in found:
        with local_copy(file, [LakePath("s3://odd-keys/%Y/*")], tmp_path, s3.environ) as path:
            assert path.read_bytes() == b"12345"


ODD_KEYS = [
    "a b.parquet", "a%20b.parquet", "100%.parquet", "a+b.parquet", "ü漢😀.parquet",
    "e\u0301.parquet", "'q'.parquet", '"q".parquet', "a#b.parquet", "a?b.parquet", "[x]{y}.parquet",
    "a&b=c;d,e@f:g!h$i(j)~.parquet", "a\\b.parquet", "<a>|^`.parquet", "a\tb.parquet",
]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "folder"),
    draws.spread(
        [
            ("tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00/*", "tenantId=a b+c#/y=2026/m=01/d=05/h=07/m=00"),
            ("date=%Y-%m-%d/*", "date=2026-01-05"),
            ("dt=%Y-%m-%d/h=%H/*", "dt=2026-01-05/h=07"),
            ("a b#?100%%+ü/%Y-%m-%d/*", "a b#?100%+ü/2026-01-05"),
            ("eventDay=%Y%m%d/*", "eventDay=20260105"),
        ],
        every=6,
    ),
)
def test_odd_keys_are_listed_and_read_in_every_layout(
    s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, folder: str
) -> None:
    """On a disk and on a store, by span, by newest and in whole; read whole and by columns."""
    monkeypatch.setattr("gundog.lake.fetch.SPARSE_BYTES", 1)
    sink = BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), sink)
    keys = sorted(f"{folder}/{name}" for name in ODD_KEYS)
    bucket = f"odd{abs(hash(folder)):x}"
    s3.bucket(bucket, *keys, f"{folder}/", f"{folder}/_SUCCESS", content=sink.getvalue())
    put(tmp_path / "lake", *keys, content=sink.getvalue())
    for start, environ in ((f"{tmp_path}/lake/", {}), (f"s3://{bucket}/", s3.environ)):
        paths = [LakePath(start + template)]
        found = list_files("Cloud", paths, FIFTH, Path("/nowhere"), environ)
        newest, is_all = newest_files("Cloud", paths, Path("/nowhere"), environ)

        assert [file.path for file in found] == [start + key for key in keys]
        assert found == list_files("Cloud", paths, None, Path("/nowhere"), environ)
        assert (sorted(newest, key=lambda file: file.path), is_all) == (found, True)
        for file in found:
            for columns in (None, {"a"}):
                with local_copy(file, paths, tmp_path, environ, columns) as path:
                    assert pq.read_table(path, columns=["a"])["a"].to_pylist() == [1, 2]


def test_folders_of_tenants_that_one_answer_does_not_hold_are_all_expanded(
    s3: Server, short_answers: Callable[[], int]
) -> None:
    """Folders that a star stands for are complete too."""
    keys = [f"tenantId={number:04}/20260105/x" for number in range(25)]
    s3.bucket("many-tenants", *keys)

    assert len(names_on_s3(s3, "s3://many-tenants/tenantId=*/%Y%m%d/*", FIFTH)) == 25
    assert short_answers() >= 3 + 25


def test_folders_without_files_are_not_quiet_errors(s3: Server, tmp_path: Path) -> None:
    """Empty folders, markers and folders of other things list as nothing on a disk and a store."""
    s3.bucket("hollow", "2026-01-05/", "2026-01-05/h=01/", "2026-01-05/h=02/_x", content=b"")
    put(tmp_path, "2026-01-05/h=02/_x")
    (tmp_path / "2026-01-05/h=01").mkdir()

    for template in ("%Y-%m-%d/*", "%Y-%m-%d/h=%H/*"):
        assert names(tmp_path, template, FIFTH) == []
        assert names_on_s3(s3, f"s3://hollow/{template}", FIFTH) == []


def test_endpoint_of_the_path_wins_over_the_environment(s3: Server) -> None:
    """A source can lie on another server than the environment names."""
    s3.bucket("mine", "2026/x")
    environ = s3.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    path = LakePath("s3://mine/%Y/*", endpoint=s3.url, region="eu-west-1", anonymous=True)
    found = list_files("Cloud", [path], FIFTH, Path(), environ)

    assert [file.path for file in found] == ["s3://mine/2026/x"]


def test_remote_copy_is_whole_and_goes_afterwards(s3: Server, tmp_path: Path) -> None:
    """The copy holds the same bytes, over more than one block, and is removed when done."""
    content = os.urandom(9_000_000)
    s3.bucket("copies", "2026/x.parquet", content=content)
    (file,) = on_s3(s3, "s3://copies/%Y/*", FIFTH)
    with local_copy(file, [LakePath("s3://copies/%Y/*")], tmp_path, s3.environ) as path:
        assert path.read_bytes() == content

    assert list(tmp_path.iterdir()) == []


def test_remote_file_that_changed_or_went_is_named(s3: Server, tmp_path: Path) -> None:
    """Another size than listed, or no file at all, is an error and leaves no copy behind."""
    s3.bucket("moving", "2026/a", "2026/b")
    paths = [LakePath("s3://moving/%Y/*")]
    grown, gone = on_s3(s3, "s3://moving/%Y/*", FIFTH)
    s3.client.put_object(Bucket="moving", Key="2026/a", Body=b"longer")
    s3.client.delete_object(Bucket="moving", Key="2026/b")

    for file, text in (
        (grown, "a: changed since it was listed"),
        (gone, "b: was removed after it was listed"),
    ):
        with pytest.raises(StoreError, match=text), local_copy(file, paths, tmp_path, s3.environ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_error_inside_the_block_is_not_taken_for_the_stores(s3: Server, tmp_path: Path) -> None:
    """What goes wrong while the copy is used stays what it is, and the copy still goes."""
    s3.bucket("blocks", "2026/a")
    (file,) = on_s3(s3, "s3://blocks/%Y/*", FIFTH)

    with (
        pytest.raises(FileNotFoundError),
        local_copy(file, [LakePath("s3://blocks/%Y/*")], tmp_path, s3.environ),
    ):
        (tmp_path / "nothing").read_bytes()
    assert list(tmp_path.iterdir()) == []


class _Refusing(BaseHTTPRequestHandler):
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that answers 403 to everything and notes who asked."""
    _Refusing.seen.clear()
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_refused_credentials_are_one_clear_line(refusing: str) -> None:
    """A store that refuses gives one line with the folder and what to check."""
    path = LakePath("s3://b/%Y-%m-%d/h=%H/*", endpoint=refusing, anonymous=True)

    with pytest.raises(StoreError) as caught:
        list_files("Cloud", [path], span("2026-01-01", "2026-02-01"), Path(), {})
    assert str(caught.value).startswith("s3://b/2026-01-01: cannot be listed: ")
    assert "check the credentials in the environment" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="check the credentials"):
        explain_no_match("Cloud", [path], Path(), {})


def test_credentials_come_from_the_environment_given(refusing: str) -> None:
    """The given environment's key and the path's region sign a request; anonymous signs nothing."""
    keys = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "word"}
    for options in ({"anonymous": True}, {}, {"region": "eu-west-1"}):
        path = LakePath("s3://b/%Y/*", endpoint=refusing, **options)
        with pytest.raises(StoreError):
            list_files("Cloud", [path], FIFTH, Path(), keys)

    assert [seen.partition("Credential=")[2].split("/")[::2][:2] for seen in _Refusing.seen] == [
        [""],
        ["KEY", "us-east-1"],
        ["KEY", "eu-west-1"],
    ]


@pytest.mark.slow
def test_dead_store_is_one_clear_line() -> None:
    """A store that does not answer gives up after its attempts and says what to check."""
    path = LakePath("s3://b/%Y/*", endpoint="http://127.0.0.1:9", anonymous=True)

    with pytest.raises(StoreError, match=r"s3://b/2026: cannot be listed: .*: check endpoint:"):
        list_files("Cloud", [path], FIFTH, Path(), {})
