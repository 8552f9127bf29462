"""gundog.yaml: what it may hold, what is refused, and that secrets stay out of messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from gundog.core.child import Child
from gundog.core.errors import ContentError
from gundog.detections import detection
from gundog.findings.retention_times import Retention
from gundog.lake.path import LakePath
from gundog.notify.channel import Channel
from gundog.project.project import load_project
from gundog.project.settings import (
    _OVERRIDE_KEYS,
    Settings,
    load,
    require,
    threads_for,
)
from gundog.workers.config import Workers
from tests import draws, hostile_files, kit

LAKE = "lake: {Device: device/date=%Y-%m-%d/*.parquet}\n"
Load = Callable[..., Settings]
Problems = Callable[..., list[str]]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Settings read from a text, after a valid lake unless the text has its own."""

    def read(text: str, environ: Mapping[str, str] | None = None, lake: bool = True) -> Settings:
        body = (LAKE if lake else "") + dedent(text)
        (tmp_path / "gundog.yaml").write_text(body, encoding="utf-8")
        return load(tmp_path, environ or {})

    return read


@pytest.fixture
def problems(loaded: Load) -> Problems:
    """The problems a text is refused for, as people read them."""

    def read(text: str, environ: Mapping[str, str] | None = None, lake: bool = True) -> list[str]:
        with pytest.raises(ContentError) as caught:
            loaded(text, environ, lake)
        assert caught.value.exit_status == 2
        return str(caught.value).splitlines()

    return read


def test_lake_alone_is_enough_and_the_rest_has_the_documented_defaults(
    loaded: Load, tmp_path: Path
) -> None:
    """A file that names only the lake gets every other value from the documentation."""
    settings = loaded("")

    assert settings == Settings(
        root=tmp_path,
        content=("builtin", "."),
        overrides={},
        lake={"Device": (LakePath("device/date=%Y-%m-%d/*.parquet"),)},
        freshness=timedelta(hours=26),
        late_arrival=timedelta(days=7),
        warehouse=tmp_path / ".gundog/warehouse.duckdb",
        findings=tmp_path / ".gundog/findings.duckdb",
        retention=Retention(*(timedelta(days=days) for days in (60, 400, 400, 1100))),
        notify=(),
        heartbeat=None,
        memory_limit=4_000_000_000,
        threads=settings.threads,
        workers=None,
    )


def test_every_key_is_read(loaded: Load, tmp_path: Path) -> None:
    """Each documented key reaches its field."""
    (tmp_path / "ours").mkdir()
    text = """
        content: [builtin, ours]
        overrides:
          mailbox_export_removed: {params: {within: 12h}, severity: high, enabled: false}
        lake:
          Device: device/%Y/%m/%d/*.parquet
          Cloud:
            - cloud/date=%Y-%m-%d/*.parquet
            - path: s3://bucket/y=%Y/m=%m/*.parquet
              partitionBy: event
              columns: {Timestamp: TimeGenerated}
              format: JSON
              exporter: streaming-api
              timeFormat: '%d/%m/%Y %H:%M:%S'
              endpoint: http://127.0.0.1:9000
              region: eu-west-1
              anonymous: true
        freshness: 30h
        lateArrival: P3D
        warehouse: /var/gundog/w.duckdb
        findings: out/f.duckdb
        retention: {staged: 90d, evidence: 30d}
        notify:
          - {name: soc, url: "${HOOK}", minSeverity: Medium, mode: digest,
             detections: [a, b], tags: [night], tenants: [t]}
          - {name: rest, url: "https://hook.example/y"}
        heartbeat: "${BEAT}"
        memoryLimit: 1.5 GiB
        workers: tcp://10.0.0.1:8786
    """
    environ = {"HOOK": "https://hook.example/x", "BEAT": "https://beat.example/y"}
    settings = loaded(text, environ, lake=False)

    assert settings == Settings(
        root=tmp_path,
        content=("builtin", "ours"),
        overrides={
            "mailbox_export_removed": {
                "params": {"within": "12h"},
                "severity": "high",
                "enabled": False,
            }
        },
        lake={
            "Device": (LakePath("device/%Y/%m/%d/*.parquet"),),
            "Cloud": (
                LakePath("cloud/date=%Y-%m-%d/*.parquet"),
                LakePath(
                    "s3://bucket/y=%Y/m=%m/*.parquet",
                    partition_by="event",
                    columns={"Timestamp": "TimeGenerated"},
                    endpoint="http://127.0.0.1:9000",
                    region="eu-west-1",
                    anonymous=True,
                    said_format="json",
                    exporter="streaming-api",
                    time_format="%d/%m/%Y %H:%M:%S",
                ),
            ),
        },
        freshness=timedelta(hours=30),
        late_arrival=timedelta(days=3),
        warehouse=Path("/var/gundog/w.duckdb"),
        findings=tmp_path / "out/f.duckdb",
        retention=Retention(
            timedelta(days=90), timedelta(days=400), timedelta(days=30), timedelta(days=1100)
        ),
        notify=(
            Channel(
                "soc", "https://hook.example/x", "medium", "digest", ("a", "b"), ("night",), ("t",)
            ),
            Channel("rest", "https://hook.example/y"),
        ),
        heartbeat="https://beat.example/y",
        memory_limit=1_610_612_736,
        threads=settings.threads,
        workers=Workers("tcp://10.0.0.1:8786"),
    )


def test_every_problem_is_named_at_once(problems: Problems) -> None:
    """One reading names all problems, each with its key."""
    text = """
        lake: {Device: "x/%B/*.parquet", Cloud: {path: y/*.parquet, partitionBy: arrival}}
        freshnes: 26h
        lateArrival: soon
        notify: [{name: soc, url: "${NOPE}", mode: eech}]
        memoryLimit: 4
    """

    assert [line.split(": ")[1] for line in problems(text, lake=False)] == [
        "freshnes",
        "lake.Cloud.partitionBy",
        "lake.Device",
        "lateArrival",
        "memoryLimit",
        "notify.0.mode",
        "notify.0.url",
    ]


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """Without a gundog.yaml the message names the command that makes one."""
    with pytest.raises(ContentError, match=r"gundog.yaml: is missing .* run `gundog init"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("lake: {a: [\nfreshness: 26h\n", "line 3", id="bad syntax"),
        pytest.param("a: 1\nlake:\n  x: b\n  x: c\n", "line 4: .*duplicate key 'x'", id="twice"),
        pytest.param("- lake\n- freshness\n", "holds a list", id="list"),
        pytest.param("", "holds nothing", id="empty"),
        pytest.param("# only a comment\n", "holds nothing", id="only comments"),
        pytest.param("lake: gone\n", "lake: is a text: write keys and values", id="lake text"),
        pytest.param("lake: {a: b}\nfreshness: 2026-13-45\n", "cannot be read", id="no date"),
        pytest.param("lake: \t{a: b\x00}\n", "cannot be read", id="control character"),
    ],
)
def test_file_that_is_no_mapping_is_refused(problems: Problems, text: str, message: str) -> None:
    """Broken YAML is refused with its place and what is wrong."""
    found = problems(text, lake=False)

    assert len(found) == 1
    assert found[0].startswith("gundog.yaml: ")
    assert re.search(message, found[0])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("freshnes: 26h", "freshnes: unknown key: did you mean freshness?"),
        ("LateArrival: 7d", "LateArrival: unknown key: did you mean lateArrival?"),
        ("nonsense: 26", "key 2 of 2: unknown key: use one of"),
        ("retention: {staged: 36501d}", "retention.staged: is 36501d: write at most 36500d (100"),
        ("freshness: 3651d", "freshness: is 3651d: write at most 3650d (10 years)"),
        ("memoryLimit: " + "9" * 400 + "GB", "memoryLimit: is more than any machine has"),
        ("content: [" + "a" * 5_000 + "]", "content.0: is not a folder in"),
        (
            "notify: [{name: \"a\\0\", url: 'a:b'}]",
            "notify.0.name: holds the character U+0000: remove it",
        ),
        ('workers: "\\uD800"', "line 2: cannot be read: holds half of a character"),
        ("freshness: 26", "freshness: is not a duration: write a number and a unit"),
        ("lateArrival: 0d", "lateArrival: is not a duration"),
        ("content: []", "content: is empty"),
        ("content: [nowhere]", "content.0: is not a folder in"),
        ("content: {a: b}", "content: is keys and values: write a list of texts"),
        ("retention: {staging: 60d}", "retention.staging: unknown key: did you mean staged?"),
        ("retention: {series: long}", "retention.series: is not a duration"),
        ("retention: 60d", "retention: holds a text: write keys and values"),
        ("overrides: {x: {sevrity: low}}", "overrides.x.sevrity: unknown key: did you mean"),
        ("overrides: {x: {severity: bad}}", "overrides.x.severity: unknown value: use one of"),
        ("overrides: {x: {status: stabel}}", "overrides.x.status: unknown value: did you"),
        ("overrides: {x: {enabled: 1}}", "overrides.x.enabled: is 1: write true or false"),
        ("overrides: {x: {params: 12h}}", "overrides.x.params: is a text: write keys and values"),
        ("overrides: {x: }", "overrides.x: holds None: write keys and values"),
        ("overrides: [x]", "overrides: is a list: write keys and values"),
        ("warehouse: s3://bucket/w.duckdb", "warehouse: is an address: it must be"),
        ("warehouse: .", "warehouse: is a folder: name a file in it"),
        ("findings: .gundog/warehouse.duckdb", "findings: is the warehouse itself"),
        ("memoryLimit: 4000000000", "memoryLimit: is 4000000000: write a text"),
        ("memoryLimit: lots", "memoryLimit: is not a size: write one such as 4GB"),
        ("memoryLimit: 100MB", "memoryLimit: is too little"),
        ("workers: 10.0.0.1", "workers: is not a scheduler's address: write one"),
        ("heartbeat: deadman", "heartbeat: is not a URL: write one"),
        ("notify: {name: soc}", "notify: is keys and values: write a list"),
        ("notify: [soc]", "notify.0: is a text: write keys and values"),
        ("notify: [{url: 'https://x.example'}]", "notify.0.name: is missing"),
        ("notify: [{name: soc}]", "notify.0.url: is not a URL"),
        ("notify: [{name: soc, url: nowhere}]", "notify.0.url: is not a URL"),
        ("notify: [{name: a, url: 'a:b', minSeverity: hi}]", "notify.0.minSeverity: "),
        ("notify: [{name: a, url: 'a:b', mode: all}]", "notify.0.mode: unknown value"),
        ("notify: [{name: a, url: 'a:b', severity: low}]", "notify.0.severity: unknown key"),
        (
            "notify: [{name: a, url: 'a:b', tenants: [x]}]",
            "notify: gives tenants to every channel",
        ),
        (
            "notify: [{name: a, url: 'a:b'}, {name: a, url: 'c:d'}]",
            "notify.1.name: is used twice",
        ),
    ],
)
def test_bad_value_is_refused_with_its_key(problems: Problems, text: str, problem: str) -> None:
    """One wrong value gives one problem, which names the key and what to write."""
    found = problems(text)

    assert [line[: len("gundog.yaml: " + problem)] for line in found] == [f"gundog.yaml: {problem}"]


@pytest.mark.parametrize(
    ("lake", "problem"),
    [
        ("{}", "lake: is missing"),
        ("", "lake: is missing"),
        ("{Device: }", "lake.Device: is empty: write a path"),
        ("{Device: []}", "lake.Device: is empty: write a path"),
        ("{Device: ''}", "lake.Device: is empty: write a path"),
        ("{Device: 7}", "lake.Device: is 7: write a path, or keys and values"),
        ("{Device: [null]}", "lake.Device.0: is None: write a path"),
        ("{'a b': x/*.parquet}", "lake.a b: is not a table name"),
        ("{Device: {region: eu}}", "lake.Device.path: is missing"),
        ("{Device: {path: a/*, regoin: eu}}", "lake.Device.regoin: unknown key: did you"),
        ("{Device: {path: a/*, partitionBy: x}}", "lake.Device.partitionBy: unknown"),
        ("{Device: {path: a/*, format: csv}}", "lake.Device.format: unknown value"),
        ("{Device: {path: a/*, format: }}", "lake.Device.format: is"),
        ("{Device: {path: a/*, timeFormat: '%q'}}", "lake.Device.timeFormat: holds %q, an unknown"),
        ("{Device: {path: a/*, timeFormat: epoch}}", "lake.Device.timeFormat: is an unknown"),
        ("{Device: {path: a/*, timeFormat: '%H:%M'}}", "lake.Device.timeFormat: has no %Y and no"),
        ("{Device: {path: a/*.json, exporter: x}}", "lake.Device.exporter: unknown value"),
        ("{Device: {path: a/*, exporter: plain}}", "lake.Device.exporter: is for JSON lines"),
        ("{Device: {path: a/%Y, format: delta}}", "lake.Device.path: is the folder of a Delta"),
        ("{Device: {path: a/*, format: delta}}", "lake.Device.path: is the folder of a Delta"),
        (
            "{Device: {path: a, format: delta, partitionBy: ingest}}",
            "lake.Device.partitionBy: is event for a Delta table",
        ),
        (
            "{Device: {path: a, format: delta, exporter: plain}}",
            "lake.Device.exporter: is for JSON",
        ),
        ("{Device: a/*.avro}", "lake.Device: names Avro files, which gundog does not read"),
        ("{Device: {path: a/*, columns: [x]}}", "lake.Device.columns: is a list"),
        ("{Device: {path: a/*, columns: {x: 1}}}", "lake.Device.columns.x: is 1"),
        ("{Device: {path: a/*, endpoint: host}}", "lake.Device.endpoint: is not a URL"),
        ("{Device: {path: a/*, anonymous: 'no'}}", "lake.Device.anonymous: is a text: write true"),
        ("{Device: a/%B/*}", "lake.Device: holds %B, an unknown field: use %Y"),
        ("{Device: a/100%}", "lake.Device: holds %, an unknown field"),
        ("{Device: a/d=%d/*}", "lake.Device: holds %d but not the fields above it: add %Y and %m"),
        ("{Device: a/%Y/d=%d/*}", "lake.Device: holds %d but not the fields above it"),
        ("{Device: a/m=%m/*}", "lake.Device: holds %m but not the fields above it: add %Y"),
        ("{Device: a/j=%j/*}", "lake.Device: holds %j but not the fields above it: add %Y"),
        ("{Device: a/%Y/%H/*}", "lake.Device: holds %H but not the fields above it"),
        ("{Device: a/%Y/%j/%M/*}", "lake.Device: holds %M but not the fields above it"),
        ("{Device: a/**/*.parquet}", "lake.Device: holds **: write one * for each folder"),
        ("{Device: a/%Y/}", "lake.Device: names no files: end it with a pattern"),
        ("{Device: ~/lake/*.parquet}", "lake.Device: starts with ~: write ${HOME}"),
        (
            "{Device: s3a://b/*.parquet}",
            "lake.Device: begins with an unknown scheme: did you mean s3?",
        ),
        ("{Device: 's3:///x/*.parquet'}", "lake.Device: needs the bucket's plain name"),
        ("{Device: s3://lake-%Y/*.parquet}", "lake.Device: needs the bucket's plain name"),
        ("{Device: s3://bucket}", "lake.Device: names no files"),
        ("{Device: s3://KEY:WORD@b/*.parquet}", "lake.Device: holds credentials: remove them"),
        ("{Device: abfss://acc/*.parquet}", "lake.Device: needs abfss://CONTAINER@ACCOUNT"),
        ("{Device: file://host/*.parquet}", "lake.Device: needs three slashes"),
    ],
)
def test_bad_lake_is_refused_with_its_key(problems: Problems, lake: str, problem: str) -> None:
    """One wrong lake path gives one problem, which names the source."""
    found = problems(f"lake: {lake}", lake=False)

    assert [line[: len("gundog.yaml: " + problem)] for line in found] == [f"gundog.yaml: {problem}"]


@pytest.mark.parametrize(
    "path",
    [
        "date=%Y-%m-%d/*.parquet",
        "../lake/dt=%Y%m%d/h=%H/*.parquet",
        "/data/tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=%M/*.parquet",
        "s3://bucket/eventDay=%Y%m%d/*.parquet",
        "abfss://lake@account.dfs.core.windows.net/y=%y/j=%j/*.parquet",
        "gs://bucket/y=%Y/m=%m/*",
        "file:///data/100%%/*.parquet",
        "one.parquet",
    ],
)
def test_layouts_that_can_be_listed_are_accepted(loaded: Load, path: str) -> None:
    """Every supported layout and store passes."""
    settings = loaded(f"lake: {{Device: '{path}'}}", lake=False)

    assert settings.lake["Device"] == (LakePath(path),)


def test_variable_stands_inside_any_text(loaded: Load) -> None:
    """`${NAME}` is replaced in nested values, more than once, next to other text."""
    text = "lake: {Device: ['s3://${B}-${STAGE}/*.parquet', {path: '${B}/*.parquet'}]}"
    settings = loaded(text, {"B": "events", "STAGE": "prod"}, lake=False)

    assert [path.template for path in settings.lake["Device"]] == [
        "s3://events-prod/*.parquet",
        "events/*.parquet",
    ]


def test_variable_in_a_value_is_not_expanded_again(loaded: Load) -> None:
    """A value of the environment that looks like a variable stays as it is."""
    settings = loaded("heartbeat: '${A}'", {"A": "https://x.example/${B}", "B": "no"})

    assert settings.heartbeat == "https://x.example/${B}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("heartbeat: '${GONE}'", "needs ${GONE}, which is not set"),
        ("workers: 'tcp://${}:1'", "contains ${ without a name: write ${NAME}"),
        ("workers: 'tcp://${HOST'", "contains ${ without a name: write ${NAME}"),
        ("workers: 'tcp://${a b}'", "contains ${ without a name: write ${NAME}"),
    ],
)
def test_variable_that_is_not_there_is_named(problems: Problems, text: str, problem: str) -> None:
    """A missing or misspelt variable is a problem that names it."""
    assert any(problem in line for line in problems(text))


@pytest.mark.parametrize(
    "text",
    [
        "freshness: '${SECRET}'",
        "memoryLimit: '${SECRET}'",
        "workers: '${SECRET}'",
        "heartbeat: '${SECRET}'",
        "content: ['${SECRET}']",
        "retention: '${SECRET}'",
        "overrides: {x: {severity: '${SECRET}', params: '${SECRET}'}}",
        "notify: [{name: '${SECRET}', url: '${SECRET}', mode: '${SECRET}'}]",
        "notify: ['${SECRET}']",
        "lake: {a: {path: 'x/*', anonymous: '${SECRET}', region: {a: '${SECRET}'}}}",
        "lake: {a: '${SECRET}://x/*'}",
    ],
)
@pytest.mark.parametrize("secret", ["hunter2-tok\\en'x", "two words "])
def test_no_message_shows_a_value_of_the_environment(
    problems: Problems, text: str, secret: str
) -> None:
    """Whatever is wrong with a value, the environment's text is not printed."""
    found = "\n".join(problems(text, {"SECRET": secret}, lake="lake" not in text))

    assert "hunter2" not in found
    assert "two words" not in found


SECRETS = """
    lake: {a: "s3://${BUCKET}/x/*", b: {path: "${ROOT}/y/*", endpoint: "${BUCKET}"}}
    notify: [{name: soc, url: "${HOOK}"}, {name: two, url: "${HOOK}", tags: ["${TAG}"]}]
    heartbeat: "${BEAT}"
    workers: "${DASK}"
"""


def test_a_value_that_is_not_used_may_lack_its_variable(tmp_path: Path) -> None:
    """What only hunts and messages use stays as it is written, and is not a problem."""
    kit.write_text(tmp_path / "gundog.yaml", dedent(SECRETS))
    settings = load(tmp_path, {}, uses=())

    assert set(settings.lake) == {"a", "b"}
    assert [channel.name for channel in settings.notify] == ["soc", "two"]
    assert set(settings.unset) == {
        "lake.a", "lake.b.path", "lake.b.endpoint", "notify.0.url", "notify.1.url",
        "notify.1.tags.0", "heartbeat", "workers",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("uses", "wanted"),
    [
        (("lake",), {"lake.a": "BUCKET", "lake.b.path": "ROOT"}),
        (("notify",), {"notify.0.url": "HOOK", "notify.1.tags.0": "TAG"}),
        (("heartbeat",), {"heartbeat": "BEAT"}),
        (("workers", "heartbeat"), {"heartbeat": "BEAT", "workers": "DASK"}),
    ],
)
def test_a_variable_that_is_used_is_one_problem(
    tmp_path: Path, uses: tuple[str, ...], wanted: dict[str, str]
) -> None:
    """However many keys name it, and whatever else the missing value would be wrong for."""
    kit.write_text(tmp_path / "gundog.yaml", dedent(SECRETS))
    with pytest.raises(ContentError) as caught:
        load(tmp_path, {}, uses)

    assert {
        one.key: one.reason[8 : one.reason.index("}")] for one in caught.value.problems
    } == wanted
    with pytest.raises(ContentError) as again:
        require(load(tmp_path, {}, uses=()), uses)
    assert again.value.problems == caught.value.problems


def test_other_keys_name_a_variable_for_a_second_time(problems: Problems) -> None:
    """The one problem says where else it stands."""
    (line,) = problems("notify: [{name: a, url: '${X}'}]\nheartbeat: '${X}'")

    assert line == (
        "gundog.yaml: notify.0.url: needs ${X}, which is not set: set it in the environment or"
        " remove the key (so does heartbeat)"
    )


def test_what_every_command_uses_must_be_there(tmp_path: Path) -> None:
    """A folder of content, the warehouse, a limit."""
    text = LAKE + "content: ['${DIR}']\nwarehouse: '${DATA}/w'\nmemoryLimit: '${SIZE}'\n"
    kit.write_text(tmp_path / "gundog.yaml", text)
    with pytest.raises(ContentError) as caught:
        load(tmp_path, {}, uses=())

    assert [one.key for one in caught.value.problems] == ["content.0", "memoryLimit", "warehouse"]


MARKER = "https://hooks.example/T0K3N-hunter2"
FULL = {
    "content": ["."],
    "overrides": {
        "pair": {
            "enabled": True, "status": "stable", "severity": "low",
            "params": {"within": "1d"},
            "suppression": {"groupBy": ["account_name"], "duration": "1d"},
        },
        "count": {"series": {"alertBudget": 1, "timeZone": "UTC"}},
    },
    "lake": {
        "More": [{
            "path": "a/*", "partitionBy": "event", "columns": {"a": "b"},
            "endpoint": "https://h.example", "region": "eu", "anonymous": True,
            "format": "json", "exporter": "plain",
        }],
        "Things": "s3://bucket/*",
    },
    "freshness": "1d", "lateArrival": "1d", "warehouse": "w", "findings": "f",
    "retention": {"staged": "1d", "series": "1d", "evidence": "1d", "findings": "1d"},
    "notify": [{
        "name": "n", "url": "https://h.example/x", "minSeverity": "low", "mode": "each",
        "detections": ["x"], "tags": ["x"], "tenants": [],
    }],
    "heartbeat": "https://h.example/y", "memoryLimit": "4GB", "insecureWorkers": True,
    "workers": {"address": "tls://h:1", "ca": "ca.pem", "cert": "c.pem", "key": "k.pem"},
    "huntLimit": "10m",
}  # fmt: skip
SHAPES = (
    MARKER, [MARKER], [[MARKER]], {MARKER: 1}, {"x": MARKER}, [{"x": MARKER}], {MARKER: {"x": [1]}},
    "${SECRET}", ["${SECRET}"], {"x": "${SECRET}"}, "${" + MARKER, "${" + MARKER + "}",
    f"s3://{MARKER}", f"%{MARKER}", "T0K3N-hunter2", {"T0K3N-hunter2": 1}, "T0K3N-hunter2d",
)  # fmt: skip


@pytest.fixture(scope="module")
def helper() -> Iterator[Child]:
    """One process that reads the content of many projects."""
    with Child("gundog.detections.content") as made:
        yield made


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "place",
    draws.spread((pytest.param(place, id=str(place)) for place in hostile_files.places(FULL)), 4),
)
def test_no_secret_at_any_place_is_in_any_message(
    tmp_path: Path, helper: Child, place: hostile_files.Path
) -> None:
    """Whatever stands in a wrong place may be a password: what people write, or the environment."""
    path = kit.make_project(tmp_path, series=True) / "gundog.yaml"
    for shape in SHAPES:
        path.write_text(hostile_files.dump(hostile_files.put(FULL, place, shape)))
        try:
            project = load_project(tmp_path, {"SECRET": MARKER}, helper=helper)
        except ContentError as error:
            said = str(error)
        else:
            said = "\n".join(map(str, (*project.content.problems, *project.problems)))
        named = re.findall(r"[^\n]*hunter2[^\n]*", said)
        # A name that people give to a table, a column, a detection or a parameter may be shown.
        names = ("lake.T0K3N-hunter2", "overrides.T0K3N-hunter2", ".columns.T0K3N-hunter2",
                 "params.T0K3N-hunter2")  # fmt: skip
        assert [one for one in named if not any(name in one for name in names)] == [], shape


@pytest.mark.parametrize(
    "text",
    ["lake: !MARK x", "lake: *MARK", "&MARK [*MARK]", "lake: {MARK: 1, MARK: 2}", "lake: {MARK",
     "lake: !!int MARK", "lake: 'MARK", "? [MARK]\n: 1", "%MARK\n", "lake: !<MARK> x", "MARK",
     "lake: @MARK",
     "lake: \"\\MARK\"", "- MARK", "lake: 2026-13-45\nx: MARK", "lake: [MARK\n---\n", "a: b: MARK"],
)  # fmt: skip
@pytest.mark.parametrize("secret", ["hunter2", "hunter2'\"x", "hunt\\er2"])
def test_broken_yaml_shows_nothing_of_the_file(problems: Problems, text: str, secret: str) -> None:
    """A password in a line that cannot be read stays there; the line is named."""
    found = "\n".join(problems(text.replace("MARK", secret), lake=False))

    assert "hunt" not in found


@pytest.mark.parametrize("what", ["folder", "dangling link", "latin-1"])
def test_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, what: str) -> None:
    """Exit 2, for nothing can be done without it."""
    path = tmp_path / "gundog.yaml"
    if what == "folder":
        path.mkdir()
    elif what == "dangling link":
        path.symlink_to(tmp_path / "none")
    else:
        path.write_bytes(b"lake: {a: caf\xe9}\n")

    with pytest.raises(ContentError) as caught:
        load(tmp_path, {})
    assert caught.value.exit_status == 2
    assert str(caught.value).startswith("gundog.yaml: cannot be read: ")


def test_variable_that_is_not_utf8_is_named(problems: Problems) -> None:
    """No address and no table could hold it."""
    found = "\n".join(problems("heartbeat: '${SECRET}'", {"SECRET": "caf\udce9"}))

    assert "heartbeat: names ${SECRET}, whose value is not UTF-8" in found


def test_repr_hides_addresses(loaded: Load) -> None:
    """Printing settings prints no channel's or heartbeat's address."""
    settings = loaded(
        "notify: [{name: soc, url: 'https://h.example/tok1'}]\nheartbeat: https://h.example/tok2"
    )

    assert settings.notify[0].url == "https://h.example/tok1"
    assert "h.example" not in repr(settings)


@pytest.mark.parametrize(
    ("size", "cores", "threads"),
    [(500, 8, 1), (999, 8, 1), (1000, 8, 2), (4000, 8, 8), (4000, 2, 2), (64_000, 16, 16)],
)
def test_threads_follow_from_memory_and_cores(size: int, cores: int, threads: int) -> None:
    """A thread for each 500 MB, at least one, at most one for each core."""
    assert threads_for(size * 1_000_000, cores) == threads


def test_small_memory_gets_one_thread(loaded: Load) -> None:
    """The smallest useful limit runs with one thread on any machine."""
    settings = loaded("memoryLimit: 600MB")

    assert (settings.memory_limit, settings.threads) == (600_000_000, 1)


def test_relative_project_gives_absolute_paths(
    loaded: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are absolute even when the project folder was named relatively."""
    loaded("")
    monkeypatch.chdir(tmp_path)
    settings = load(Path(), {})

    assert settings.warehouse == tmp_path / ".gundog/warehouse.duckdb"


def test_words_are_those_of_detections() -> None:
    """Severities, statuses and overridable keys are the ones detections know."""
    assert _OVERRIDE_KEYS == detection.OVERRIDES


def test_delta_table_is_a_folder_of_events(loaded: Load) -> None:
    """Also with a slash at its end; its log knows times of events."""
    lake = loaded("lake: {Device: {path: s3://b/t/, format: delta}}", lake=False).lake

    assert lake["Device"] == (LakePath("s3://b/t/", partition_by="event", said_format="delta"),)
