"""Batches read by the workers of a Dask cluster: the same tables, whatever becomes of it."""

from __future__ import annotations

import pickle
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from gundog.health import watch
from gundog.health.watch import Fault
from gundog.lake.path import LakePath
from gundog.run import target_faults
from gundog.staging import stage
from gundog.staging.batch import FileOutcome, Limits
from gundog.staging.others import Asked, Given
from gundog.staging.results import Staged
from gundog.workers import cluster as reading
from gundog.workers import task
from gundog.workers.client import Waits
from gundog.workers.config import Workers
from tests import cluster, kit
from tests.cluster import Cluster
from tests.faults import Server, start_s3
from tests.kit import hunt
from tests.lab import STAGE, Lab, good
from tests.test_fetch import put, use_bucket

LONG = timedelta(minutes=10)
# As long as a busy machine may need; nothing waits so long that works.
WAITS = Waits(connect=60, answer=60, lonely=60, poll=0.1, slack=120, close=10)
BROKEN = b"PAR1 this is not parquet PAR1"
# Its rows wait on disk on both sides: together they are more than 4 MiB, and do not shrink.
MANY = 2_000


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two workers that most tests share."""
    with cluster.started(tmp_path_factory.mktemp("cluster"), workers=2) as made:
        yield made


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files make a batch."""
    monkeypatch.setattr(stage, "BATCH_FILES", 3)


def readers(made: Cluster | str, **waits: float) -> reading.Cluster:
    """Those who read for one run."""
    address = made if isinstance(made, str) else made.address
    return reading.Cluster(Workers(address), LONG, Waits(**{**vars(WAITS), **waits}))


def fill(lab: Lab) -> None:
    """Good files of two schemas, one with many rows, two broken ones, one without times."""
    for turn in range(8):
        lab.put(good(turn, 100 + turn), f"good{turn}")
    chance = random.Random(3)  # noqa: S311 - no secret
    texts = pa.array([f'{{"Who": "{chance.randbytes(800).hex()}"}}' for _ in range(MANY)])
    lab.put(good(*range(1000, 1000 + MANY), RawEventData=texts), "many")
    lab.put(good(300, Other=pa.array(["x"])), "other")
    lab.put(BROKEN, "broken0")
    lab.put(BROKEN, "broken1")
    lab.put(good(400, Timestamp=pa.nulls(1, pa.timestamp("us", "UTC"))), "timeless")


def twin(lab: Lab, root: Path) -> Lab:
    """Another warehouse over a copy of the same lake."""
    if (lab.root / "lake").exists():
        shutil.copytree(lab.root / "lake", root / "lake")
    made = Lab(root, {name: table.sql for name, table in lab.content.stages.items()})
    made.path, made.environ = lab.path, lab.environ
    return made


Alone = tuple[Lab, Staged]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """The lake of `fill`, staged without workers, and what became of its files."""
    lab = Lab(tmp_path_factory.mktemp("alone"), {"mail": STAGE, "few": STAGE + "where Id < 5"})
    fill(lab)
    done = lab.stage()
    with lab.opened:
        yield lab, done


def kept(lab: Lab) -> dict[str, list[str]]:
    """Every row of every table, apart from the numbers that tell the order of storing."""
    names = lab.rows(
        "select schema_name, table_name from duckdb_tables() where not temporary order by all"
    )
    order = r"columns(lambda c: not regexp_full_match(c, '.*seq'))"
    return {
        f"{schema}.{name}": sorted(map(repr, lab.rows(f'select {order} from {schema}."{name}"')))
        for schema, name in names
    }


def outcomes(lab: Lab, staged: Staged) -> list[tuple[str, FileOutcome, str]]:
    return sorted(
        (result.task.file.path, result.outcome, result.error.replace(str(lab.root), ""))
        for result in staged.results
    )


def assert_same(here: Lab, done_here: Staged, there: Lab, done_there: Staged) -> None:
    """To the last row, and in what is said of each file."""
    expected = kept(here)
    assert kept(there) == expected
    assert outcomes(there, done_there) == outcomes(here, done_here)
    assert len(expected) > 5


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "backwards"), [(3, True), (1, False), (50, False)])
def test_workers_leave_the_tables_that_the_run_alone_leaves(
    tmp_path: Path, two: Cluster, alone: Alone, monkeypatch: pytest.MonkeyPatch,
    batch: int, backwards: bool,
) -> None:  # fmt: skip
    """Any size of batches, any order of files, good and bad ones, few rows and many."""
    there = twin(alone[0], tmp_path / "there")
    files = there.listed()
    monkeypatch.setattr(stage, "BATCH_FILES", batch)

    with readers(two) as others:
        done = there.stage(files[::-1] if backwards else files, others=others)

    assert_same(*alone, there, done)
    assert others.problems() == []
    assert set(there.states().values()) == {"staged", "rejected"}
    assert others.taken >= 8  # of the thirteen; the others are judged by the run
    assert list(there.tmp.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    """One alone, and more than there are batches at a time."""
    here = Lab(tmp_path / "here", {"mail": STAGE})
    fill(here)
    there = twin(here, tmp_path / "there")

    with cluster.started(tmp_path / "c", workers, threads=2) as made, readers(made) as others:
        done = there.stage(others=others)

    assert_same(here, here.stage(), there, done)
    assert others.taken >= 8


def test_a_run_hunts_with_workers_what_it_hunts_alone(tmp_path: Path, two: Cluster) -> None:
    """From gundog.yaml to the findings; the second run asks nobody, for nothing is to be read."""
    alone = kit.make_project(tmp_path / "alone")
    kit.fill_days(alone, "2026-03-07", 3)
    pair = [kit.event("2026-03-09T10:00", "open", number=1),
            kit.event("2026-03-09T11:00", "close", number=2)]  # fmt: skip
    kit.write_file(alone, "2026-03-09", pair)
    shared = kit.copy_project(alone, tmp_path / "shared")
    kit.write_text(shared / "gundog.yaml", f"{kit.CONFIG}workers: {two.address}\n")

    first = [hunt(root) for root in (alone, shared)]
    two_processes = hunt(shared)

    columns = "* exclude (run_id, created_at, updated_at)"
    rows = [kit.table(root, f"select {columns} from findings") for root in (alone, shared)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 1
    assert [done.problems for done in (*first, two_processes)] == [[], [], []]
    assert first[0].files == first[1].files == 4


def test_a_run_without_workers_needs_no_dask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the extra is not installed, it reads its files."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "dask", None)
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-09", 1)

    done = hunt(root)

    assert (done.problems, done.files, done.hunted) == ([], 1, 1)


@pytest.mark.slow
def test_nothing_of_dask_is_loaded_without_workers(tmp_path: Path) -> None:
    """A run that has none does not pay for it."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-09", 1)
    code = (
        "import sys; from gundog.cli import main;"
        f"main.main(['hunt', '--project', {str(root)!r}, '--trust-clock']);"
        "print([name for name in sys.modules if name.partition('.')[0] in ('distributed', 'dask')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
    assert "1 interval hunted" in done.stdout


@pytest.mark.slow
def test_rows_that_would_be_too_many_to_bring_back_are_read_by_the_run(
    tmp_path: Path, two: Cluster, alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the run holds of other's rows is bounded, whatever a stage makes of a file."""
    there = twin(alone[0], tmp_path / "there")
    monkeypatch.setattr(reading, "_MOST_BACK", 100_000)

    with readers(two) as others:
        done = there.stage(others=others)

    assert_same(*alone, there, done)
    assert others.most_back <= 100_000 * 2
    assert others.problems() == []


# ---- what travels ----


def test_no_credential_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the run's environment nor what a lake path is reached with is in a task."""
    secrets = {name: f"hunter2-{name}" for name in ("AWS_SECRET_ACCESS_KEY", "SOC_WEBHOOK")}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    lab = Lab(tmp_path, {"mail": STAGE})
    lab.environ = secrets
    lab.put(good(1))
    tasks = stage.pending(lab.con, lab.listed(), lab.stages)
    limits = Limits(1_000_000_000, 1, tmp_path)
    asked = Asked(tuple(tasks), lab.source, (lab.path,), limits)

    sent = task.order(asked, 60.0, 1000)

    assert b"hunter2" not in sent
    assert str(tmp_path / "tmp").encode() not in sent
    assert pickle.loads(sent).tasks == tuple(tasks)  # noqa: S301 - our own
    assert len(sent) < 5000


@pytest.mark.parametrize("endpoint", ["https://ana:hunter2@s3.example", "https://s3.example?sig=a"])
def test_an_endpoint_with_a_password_stays_here(
    tmp_path: Path, two: Cluster, endpoint: str
) -> None:
    """Its source is read by the run, and that is said once, without the password."""
    lab = Lab(tmp_path, {"mail": STAGE})
    for turn in range(5):
        lab.put(good(turn), f"f{turn}")
    lab.path = LakePath(lab.path.template, endpoint=endpoint)

    with readers(two) as others:
        done = lab.stage(others=others)
        (problem,) = others.problems()

    assert done.files == 5
    assert others.taken == 0
    assert "must not travel" in problem
    assert "hunter2" not in problem


# ---- workers that cannot ----


@pytest.fixture(scope="module")
def s3() -> Server:
    return start_s3()


@pytest.fixture(scope="module")
def near_store(tmp_path_factory: pytest.TempPathFactory, s3: Server) -> Iterator[Cluster]:
    """A worker that reaches the store, with credentials of its own."""
    own = {**own_access(s3), "AWS_SECRET_ACCESS_KEY": "hunter4", "OTHER": "hunter5"}
    with cluster.started(tmp_path_factory.mktemp("store"), environ=own) as made:
        yield made


def in_bucket(lab: Lab, s3: Server) -> None:
    use_bucket(lab, s3)
    for turn in range(8):
        put(s3, lab, good(turn), f"f{turn}")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, s3: Server) -> Iterator[Alone]:
    """Files in a bucket, staged without workers, and what became of them."""
    lab = Lab(tmp_path_factory.mktemp("stored"), {"mail": STAGE})
    in_bucket(lab, s3)
    done = lab.stage()
    with lab.opened:
        yield lab, done


def own_access(s3: Server, **changed: str) -> dict[str, str]:
    """The environment of a worker that reaches the store by itself."""
    return {**s3.environ, "AWS_REGION": "us-east-1", "NO_PROXY": "*", **changed}


@contextmanager
def refusing_store() -> Iterator[str]:
    """The address of a store that lets nobody in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            """Keeps the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
def test_workers_use_their_own_access_to_the_lake(
    tmp_path: Path, s3: Server, near_store: Cluster, stored: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No credential is in a log or a result: neither the run's, which only it needs, nor theirs."""
    there = twin(stored[0], tmp_path / "there")
    there.environ = {**s3.environ, "AWS_SECRET_ACCESS_KEY": "hunter2", "OTHER": "hunter3"}

    payloads = list[bytes]()
    given = reading._given

    def kept_aside(batch: reading._Batch, payload: bytes, folder: Path) -> Given:
        payloads.append(payload)
        return given(batch, payload, folder)

    monkeypatch.setattr(reading, "_given", kept_aside)
    with readers(near_store) as others:
        done = there.stage(others=others)
    logs = near_store.logs()

    assert_same(*stored, there, done)
    assert others.taken == 8
    assert "hunter" not in logs
    assert len(payloads) == 3
    assert b"hunter" not in b"".join(payloads)


@pytest.mark.slow
def test_workers_without_access_are_named_once_and_the_run_reads(
    tmp_path: Path, s3: Server, stored: Alone
) -> None:
    """Not file by file: the run reads all, and says of the workers what is wrong."""
    there = twin(stored[0], tmp_path / "there")

    with (
        refusing_store() as url,
        cluster.started(tmp_path / "c", environ=own_access(s3, AWS_ENDPOINT_URL=url)) as made,
        readers(made) as others,
    ):
        done = there.stage(others=others)
        (problem,) = others.problems()

    assert_same(*stored, there, done)
    assert others.taken == 0
    assert "could not bring a file near that this run could (cannot be read: " in problem
    assert "lake" not in problem


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gundog", "duckdb", "Python", "pyarrow"])
def test_worker_of_another_version_gives_no_rows(
    tmp_path: Path, two: Cluster, alone: Alone, name: str
) -> None:
    """One sentence says what it has; the others read what it should have."""
    there = twin(alone[0], tmp_path / "there")
    (odd,) = two.start(version_of=name)
    try:
        with readers(two) as others:
            done = there.stage(others=others)
            (problem,) = others.problems()
    finally:
        two.workers.remove(odd)
        odd.end()

    assert_same(*alone, there, done)
    assert f"worker {odd.address}: has {name} 0.0.0 where the run has " in problem
    assert problem.endswith(": install the same versions on both")
    assert others.taken >= 8


@pytest.mark.slow
def test_store_that_dies_half_way(tmp_path: Path, s3: Server, near_store: Cluster) -> None:
    """Files that it does not give any more are left, as they are without workers."""
    lab = Lab(tmp_path / "here", {"mail": STAGE})
    in_bucket(lab, s3)
    there = twin(lab, tmp_path / "there")
    files = there.listed()
    for name in ("f4", "f5", "f6", "f7"):
        bucket = lab.path.template.split("/")[2]
        s3.client.delete_object(Bucket=bucket, Key=f"date=2026-03-09/{name}.parquet")

    with readers(near_store) as others:
        done = there.stage(files, others=others)

    assert_same(lab, lab.stage(files), there, done)
    assert others.problems() == []
    assert FileOutcome.CHANGED in {outcome for _, outcome, _ in outcomes(there, done)}


# ---- clusters that cannot be used ----


def faults(root: Path) -> list[Fault]:
    """What `status` says of the cluster."""
    with duckdb.connect(str(root / ".gundog/findings.duckdb"), read_only=True) as con:
        return target_faults.of(con)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        pytest.param("tcp://127.0.0.1:9", "cannot be reached", marks=pytest.mark.slow),
        ("tcp://10.0.0.1:8786", "use tls://, or agree with insecureWorkers: true"),
        pytest.param("tcp://127.0.0.1", "is not tls://HOST:PORT", marks=pytest.mark.slow),
        pytest.param("ucx://127.0.0.1:8786", "is not tls://HOST:PORT", marks=pytest.mark.slow),
    ],
)
def test_night_is_hunted_without_a_cluster_that_cannot_be_used(
    tmp_path: Path, address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowly is better than not; the problem is named, and the exit status is 1."""
    monkeypatch.setattr(reading, "Waits", lambda: Waits(connect=2, answer=2))
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    kit.write_text(root / "gundog.yaml", f"{kit.CONFIG}workers: {address}\n")

    done = hunt(root)
    shown = faults(root)
    kit.write_text(root / "gundog.yaml", kit.CONFIG)
    hunt(root, now=kit.NOW + timedelta(hours=1))

    assert done.exit_status == 1
    (problem,) = done.problems
    assert problem.startswith(f"workers: {address}: ")
    assert said in problem
    assert done.files == 2
    assert shown == [Fault(watch.WORKERS, problem)]
    assert faults(root) == []  # of a run that went well


def test_nobody_is_asked_when_nothing_is_to_be_read(tmp_path: Path) -> None:
    """A cluster that is down is not a problem of a run that does not need it."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    hunt(root)
    kit.write_text(root / "gundog.yaml", f"{kit.CONFIG}workers: tcp://127.0.0.1:9\n")

    assert hunt(root).problems == []


def test_cluster_without_workers_is_waited_for_so_long(tmp_path: Path) -> None:
    """Then the run reads by itself."""
    lab = Lab(tmp_path / "lab", {"mail": STAGE})
    lab.put(good(1))

    with cluster.started(tmp_path / "c", 0) as made, readers(made, lonely=0.5) as others:
        done = lab.stage(others=others)
        (problem,) = others.problems()

    assert done.files == 1
    assert "has had no worker for 0 s: start some" in problem


def test_package_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the run reads by itself."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    lab = Lab(tmp_path, {"mail": STAGE})
    lab.put(good(1))

    with readers("tcp://127.0.0.1:9") as others:
        assert lab.stage(others=others).files == 1

    (problem,) = others.problems()
    assert problem == (
        "tcp://127.0.0.1:9: the package distributed is not installed: install gundog[dask];"
        " its files are read here instead"
    )
