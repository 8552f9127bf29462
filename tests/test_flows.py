"""The flows as a Prefect server runs them: the right night, named failures, one run at a time."""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from gundog.core.errors import StoreError
from gundog.core.times import last_complete, parse_time
from gundog.project import scaffold
from gundog.run.parts import LIST_LAKE, Kind, Part, PartResult
from gundog.warehouse import database
from tests import kit
from tests.hostile import HOSTILE, plain_markdown
from tests.kit import DAY, event, table, write_file

ROOT = Path(__file__).parents[1]
FLOWS = ("nightly", "backfill")
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
NIGHT = parse_time("2026-03-10T02:30Z")
BROKEN = kit.PAIR.replace(
    "o.event_time as start_time", "(o.n // 0)::varchar as boom, o.event_time as start_time"
)
OTHER_ID = "33333333-3333-4333-8333-333333333333"


# ---- without a server ----


@pytest.mark.parametrize("name", [*FLOWS, "parts"])
def test_flows_share_parts_and_nothing_else(name: str) -> None:
    """A worker loads a flow by its path: beside it lies parts.py, which imports no flow."""
    tree = ast.parse((ROOT / f"flows/{name}.py").read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    files = {path.stem for path in (ROOT / "flows").glob("*.py")}

    assert files == {*FLOWS, "parts"}
    assert modules & files == (set() if name == "parts" else {"parts"})
    assert not [module for module in modules if not module or module.startswith("flows")]


def test_deployments_run_at_night_in_utc_one_at_a_time_and_without_git() -> None:
    """prefect.yaml says what docs/operations.md promises."""
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    deployments = {one["name"]: one for one in declared["deployments"]}

    assert list(declared["pull"][0]) == ["prefect.deployments.steps.set_working_directory"]
    assert len(declared["pull"]) == 1
    assert set(deployments) == set(FLOWS)
    for name, one in deployments.items():
        assert one["entrypoint"] == f"flows/{name}.py:{name}"
        assert one["concurrency_limit"]["limit"] == 1
        assert one["work_pool"]["name"] == "gundog"
    (schedule,) = deployments["nightly"]["schedules"]
    assert (schedule["timezone"], schedule["active"]) == ("UTC", True)
    assert "schedules" not in deployments["backfill"]


def test_container_file_copies_what_is_there_and_hunts_without_root() -> None:
    """No engine builds it here, so it is read: its sources, its user and what it starts."""
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    copied = [
        name for first, *rest in words if first == "COPY" and "--from=build" not in rest
        for name in rest[:-1]
    ]  # fmt: skip
    last = {first: rest for first, *rest in words}

    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {"src", "sql", "detections", "pyproject.toml"} <= set(copied)
    assert last["USER"] == ["gundog"]
    assert json.loads(" ".join(last["ENTRYPOINT"])) == ["gundog"]
    assert json.loads(" ".join(last["CMD"])) == ["hunt", "--wait", "6h"]


# ---- under a server of the tests' own ----


@pytest.fixture(scope="module")
def prefect_api(served: Served) -> Iterator[None]:
    """Flows that run in this process tell the served server of it."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with pytest.MonkeyPatch.context() as patch:
        for key, value in (QUIET | {"PREFECT_HOME": str(served.home / "client")}).items():
            patch.setenv(key, value)
        with temporary_settings({PREFECT_API_URL: served.url}):
            yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with nine quiet days before NIGHT and a pair on the last but one."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, "2026-03-01", 9)
    pair(tmp_path, "2026-03-08")
    return tmp_path


def pair(root: Path, day: str, who: str = "a", number: int = 1) -> None:
    """Writes what makes one finding of a day."""
    rows = [
        event(f"{day}T05:00", "open", who, number),
        event(f"{day}T06:00", "close", who, number + 1),
    ]
    write_file(root, day, rows, f"pair{number}")


def add_detection(root: Path, stem: str, sql: str) -> None:
    """Writes a second detection like the first."""
    kit.write_text(root / f"sql/{stem}.sql", sql)
    text = kit.PAIR_YAML.replace("11111111-1111-4111-8111-111111111111", OTHER_ID)
    kit.write_text(
        root / f"detections/{stem}.yaml", text.replace("pair.sql", f"{stem}.sql") + kit.HEAD
    )


def load(name: str) -> Any:
    """A flow loaded by its path, as a worker does."""
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(f"{ROOT}/flows/{name}.py:{name}")


def module(name: str) -> ModuleType:
    """The module that a loaded flow lives in."""
    return sys.modules[load(name).fn.__module__]


def run_flow(name: str, at: datetime | None = None, **parameters: Any) -> Any:
    """A flow run that was scheduled for `at`, run now; as the server knows it afterwards."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow as run_now
    from prefect.states import Scheduled

    flow = load(name)
    with get_client(sync_client=True) as client:
        state = Scheduled(scheduled_time=at) if at else Scheduled()
        created = client.create_flow_run(flow, parameters=parameters, state=state)
        run_now(flow, flow_run=created, parameters=parameters, return_type="state")
        return client.read_flow_run(created.id)


def artifacts(run: Any) -> dict[str, Any]:
    """What a flow run shows, by key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        return {one.key: one.data for one in client.read_artifacts(artifact_filter=wanted)}


def parts(run: Any, count: int) -> Counter[tuple[str, str]]:
    """Names and states of a flow run's tasks, once the server has heard of `count` that ended."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:

        def ended() -> Counter[tuple[str, str]] | None:
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            tasks = client.read_task_runs(flow_run_filter=wanted)
            known = [one for one in tasks if one.state and one.state.is_final()]
            named = Counter((one.name, one.state.name) for one in known if one.state)
            return named if len(known) >= count else None

        return until(ended)


def until(found: Callable[[], Any]) -> Any:
    """What `found` gives as soon as it gives something; a server that hangs gives nothing."""
    for _ in range(3 * kit.HUNG_S):
        if (value := found()) is not None:
            return value
        time.sleep(0.3)
    raise TimeoutError("nothing came")


def hunted(root: Path) -> list[str]:
    """The days in the published ledger."""
    rows = table(
        root,
        """select strftime(interval_start, '%Y-%m-%d') from run_intervals
           where state in ('provisional', 'final') order by all""",
    )
    return [day for (day,) in rows]


@pytest.mark.slow
def test_late_run_hunts_the_night_it_was_scheduled_for(prefect_api: None, project: Path) -> None:
    """The night follows the scheduled time, not the clock; name, findings and tasks say so."""
    run = run_flow("nightly", parse_time("2026-03-09T02:30Z"), project=str(project))

    assert run.name == "nightly 2026-03-08"
    assert (run.state.name, run.state.message) == (
        "Completed",
        "1 interval, 1 new finding, 0 changed",
    )
    assert hunted(project) == ["2026-03-08"]
    assert table(project, "select run_id from runs") == [(run.id,)]
    assert "| low |" not in artifacts(run)["findings"]
    assert "| 2026-03-08 05:00 | medium |" in artifacts(run)["findings"]
    assert "1 interval&#44; 1 new finding" in artifacts(run)["summary"]
    # What does not happen is not a task: the second look at what staging made stale finds nothing.
    assert parts(run, 4) == {
        (name, "Completed"): 1
        for name in ("list lake", "stage 2026-03-08", "hunt pair 2026-03-08", "publish")
    }


@pytest.mark.slow
def test_next_night_catches_up_and_runs_out_of_order_change_nothing(
    prefect_api: None, project: Path
) -> None:
    """A night that was missed is hunted by the next one; its own run then finds nothing to do."""
    run_flow("nightly", parse_time("2026-03-07T02:30Z"), project=str(project))
    run_flow("nightly", NIGHT, project=str(project))
    assert hunted(project) == ["2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"]

    late = run_flow("nightly", parse_time("2026-03-09T02:30Z"), project=str(project))

    assert late.state.message == "0 intervals, 0 new findings, 0 changed"
    assert table(project, "select count(*) from findings") == [(1,)]


@pytest.mark.slow
def test_failed_detection_fails_the_run_by_name_and_others_are_stored(
    prefect_api: None, project: Path
) -> None:
    """The message of the flow run and the state of the task name the detection."""
    pair(project, "2026-03-09", "b", 11)
    add_detection(project, "broken", BROKEN)

    run = run_flow("nightly", NIGHT, project=str(project))

    assert run.state.name == "Failed"
    assert run.state.message.startswith("broken [2026-03-09T00:00:00Z")
    assert "1 new finding, " in run.state.message
    assert table(project, "select account_name from findings") == [("b",)]
    names = parts(run, 5)
    assert names["hunt broken 2026-03-09", "Failed"] == 1
    assert names["hunt pair 2026-03-09", "Completed"] == 1


@pytest.mark.slow
def test_source_without_data_fails_the_run_by_name(prefect_api: None, project: Path) -> None:
    """A dead exporter never looks like a quiet night."""
    run = run_flow("nightly", parse_time("2026-03-21T02:30Z"), project=str(project))

    assert run.state.name == "Failed"
    assert "no data: " in run.state.message
    assert "Things" in run.state.message


@pytest.mark.slow
def test_wrong_input_fails_the_run_and_does_nothing(prefect_api: None, project: Path) -> None:
    """Arguments are checked before anything is hunted."""
    for parameters in ({"detections": ["nobody"]}, {"wait": "long"}):
        run = run_flow("nightly", NIGHT, project=str(project), **parameters)

        assert run.state.name == "Failed"
        assert str(next(iter(parameters.values()))).strip("[]'") in run.state.message
    assert not (project / ".gundog/findings.duckdb").exists()


@pytest.mark.slow
def test_names_from_events_are_only_text_in_the_artifacts(prefect_api: None, project: Path) -> None:
    """Every cell of the findings table is plain text, whatever an account calls itself."""
    names = [HOSTILE[key] for key in sorted(HOSTILE)][::4]
    for place, who in enumerate(names):
        pair(project, "2026-03-09", who, 100 + 2 * place)

    run = run_flow("nightly", NIGHT, project=str(project))

    head, rule, *rows = artifacts(run)["findings"].splitlines()
    assert (head.count("|"), rule.count("|")) == (5, 5)
    assert len(rows) >= len(names) - 1
    for row in rows:
        cells = row.split("|")[1:-1]
        assert len(cells) == 4
        assert all(plain_markdown(cell.strip()) for cell in cells)
    assert all(
        plain_markdown(line.removeprefix("- ")) for line in artifacts(run)["summary"].splitlines()
    )


@pytest.mark.slow
def test_backfill_resumes_and_shows_how_far_it_is(prefect_api: None, project: Path) -> None:
    """Only what is missing is hunted, unless again; the progress ends at 100 %."""
    days = {"start": "2026-03-06", "end": "2026-03-09", "project": str(project)}
    run_flow("nightly", parse_time("2026-03-09T02:30Z"), project=str(project))

    first = run_flow("backfill", **days)
    second = run_flow("backfill", **days)
    again = run_flow("backfill", **days, again=True, detections=["pair"])

    assert first.name == "backfill 2026-03-06 to 2026-03-09"
    assert [one.state.name for one in (first, second, again)] == ["Completed"] * 3
    assert [one.state.message.split(",")[0] for one in (first, second, again)] == [
        "3 intervals",
        "0 intervals",
        "4 intervals",
    ]
    assert artifacts(first)["backfill"] == artifacts(second)["backfill"] == 100.0
    assert "4 intervals" in artifacts(again)["summary"]
    assert hunted(project) == ["2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"]
    assert table(project, "select distinct origin from runs order by all") == [
        ("backfill",),
        ("nightly",),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_run_that_finds_the_warehouse_held_says_by_whom(
    prefect_api: None, project: Path, name: str
) -> None:
    """The warehouse's lock is the guard, whatever Prefect's limits let through."""
    days = {"start": "2026-03-06", "end": "2026-03-09"} if name == "backfill" else {}
    held = database.lock(project / ".gundog/warehouse.duckdb", timedelta(), datetime.now(UTC))
    with held:
        run = run_flow(name, project=str(project), wait="1s", **days)

    assert run.state.name == "Failed"
    assert "another run holds the warehouse" in run.state.message
    assert str(os.getpid()) in run.state.message


@pytest.mark.slow
def test_only_what_crosses_the_network_is_tried_again(prefect_api: None) -> None:
    """Listing and staging have three more tries, each later than the last; a hunt has none."""
    from prefect import flow

    shared = module("nightly").parts
    assert module("backfill").parts is shared
    delays = shared.over_network.retry_delay_seconds
    assert delays == sorted(set(delays))
    assert shared.over_network.retry_jitter_factor
    assert shared.over_network.timeout_seconds
    assert shared.on_disk.timeout_seconds
    tried: Counter[str] = Counter()

    def failing(label: str, times: int) -> Callable[[], PartResult[str]]:
        def work() -> PartResult[str]:
            tried[label] += 1
            if tried[label] <= times:
                raise StoreError(f"{label}: no answer")
            return PartResult(label)

        return work

    @flow
    def parts_of_a_run() -> None:
        # What a part is called decides nothing.
        for part, times in ((Part(Kind.LIST, "notify"), 2), (Part(Kind.STAGE, "publish"), 3)):
            assert shared.step(part, failing(f"{part.kind}", times)).value == part.kind
        for kind in (Kind.HUNT, Kind.PUBLISH, Kind.NOTIFY):
            with pytest.raises(StoreError, match=kind):
                shared.step(Part(kind, "list lake"), failing(f"{kind}", 9))
        with pytest.raises(StoreError, match="no answer"):
            shared.step(LIST_LAKE, failing("for good", 9))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.over_network, "retry_delay_seconds", 0)
        parts_of_a_run()

    assert tried == {"list": 3, "stage": 4, "hunt": 1, "publish": 1, "notify": 1, "for good": 4}


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_flow_is_loaded_from_any_working_directory(tmp_path: Path, name: str) -> None:
    """By its path, in a process of its own that knows nothing of the folder, as a worker does."""
    code = (
        "import sys; from prefect.flows import load_flow_from_entrypoint as load;"
        "flow = load(sys.argv[1]); print(flow.name, flow.fn.__globals__['parts'].__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, f"{ROOT}/flows/{name}.py:{name}"],
        cwd=tmp_path, env=os.environ | QUIET | {"PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.split() == [f"gundog-{name}", str(ROOT / "flows/parts.py")]


# ---- with scripts/serve: a server, both deployments and a worker ----


class Served:
    """The processes of scripts/serve and the server's API."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{port}/api"
        environ = os.environ | {
            "GUNDOG_HOME": str(home),
            "PORT": str(port),
            "PREFECT_HOME": str(home / "prefect"),
            "BIN": str(Path(sys.executable).parent),
        }
        self.log = (home / "serve.log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(ROOT / "scripts/serve")],
            env=environ, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Answers of the server's REST API."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )

        def answer() -> bytes | None:
            try:
                with urllib.request.urlopen(request, timeout=kit.HUNG_S) as found:  # noqa: S310
                    return bytes(found.read())
            except HTTPError as error:
                if error.code == 503:  # its SQLite is locked by another writer for the moment
                    return None
                raise

        text = until(answer)
        return json.loads(text) if text else None

    def deployment(self, name: str) -> Any:
        return self.call("GET", f"/deployments/name/gundog-{name}/{name}")

    def create(self, name: str, parameters: dict[str, Any], at: datetime | None = None) -> str:
        """Asks for a run, scheduled for `at`; its id."""
        state: dict[str, Any] = {"type": "SCHEDULED"}
        if at:
            state["state_details"] = {"scheduled_time": at.isoformat()}
        path = f"/deployments/{self.deployment(name)['id']}/create_flow_run"
        return str(self.call("POST", path, {"parameters": parameters, "state": state})["id"])

    def ended(self, run_id: str) -> Any:
        """The run once it is over."""

        def over() -> Any:
            run = self.call("GET", f"/flow_runs/{run_id}")
            final = run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
            return run if final else None

        return until(over)

    def stop(self) -> None:
        """Ends the script, which ends what it started; by force where it does not."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        self.process.terminate()
        try:
            self.process.wait(kit.HUNG_S)
        except subprocess.TimeoutExpired:
            for pid in [*pids, self.process.pid]:
                os.kill(pid, signal.SIGKILL)
            self.process.wait(kit.HUNG_S)
            raise
        finally:
            self.log.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Both deployments served from a folder whose nightly is due every minute."""
    home = make_home(tmp_path_factory.mktemp("home"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = Served(home, port)
    try:

        def ready() -> bool | None:
            if served.process.poll() is not None:
                raise RuntimeError((home / "serve.log").read_text(encoding="utf-8"))
            return "Prefect is at" in (home / "serve.log").read_text(encoding="utf-8") or None

        until(ready)
        yield served
    finally:
        served.stop()


def make_home(home: Path) -> Path:
    """A folder to serve, made as users make one: a small project, and events of the last days."""
    kit.make_project(home)
    scaffold.init(home, prefect=True)
    today = last_complete(datetime.now(UTC), DAY).end
    kit.fill_days(home, f"{today - 2 * DAY:%Y-%m-%d}", 3)  # today too: midnight may pass meanwhile
    pair(home, f"{today - DAY:%Y-%m-%d}")
    pair(home, f"{today:%Y-%m-%d}", number=11)
    declared = (home / "prefect.yaml").read_text(encoding="utf-8")
    assert '"30 2 * * *"' in declared
    kit.write_text(home / "prefect.yaml", declared.replace('"30 2 * * *"', '"* * * * *"'))
    return home


@pytest.mark.slow
def test_schedule_fires_and_hunts_the_night_before(served: Served) -> None:
    """Nobody asks for it: server, deployment, schedule and worker hunt last night."""

    def first() -> Any:
        found = served.call(
            "POST",
            "/flow_runs/filter",
            {
                "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}},
                "deployments": {"id": {"any_": [served.deployment("nightly")["id"]]}},
                "sort": "EXPECTED_START_TIME_ASC",
            },
        )
        return next((run for run in found if run["auto_scheduled"]), None)

    run = until(first)
    served.call("PATCH", f"/deployments/{served.deployment('nightly')['id']}", {"paused": True})
    night = last_complete(parse_time(run["expected_start_time"]), DAY)

    assert (run["state_type"], run["name"]) == ("COMPLETED", f"nightly {night.start:%Y-%m-%d}")
    assert parse_time(run["expected_start_time"]).second == 0
    assert hunted(served.home) == [f"{night.start:%Y-%m-%d}"]
    assert table(served.home, "select count(*) from findings") == [(1,)]
    assert (str(run["id"]),) in table(served.home, "select run_id::varchar from runs")


@pytest.mark.slow
def test_folder_that_is_not_named_is_one_sentence_and_deploys_nothing(
    served: Served, tmp_path: Path
) -> None:
    """GUNDOG_HOME unset: `prefect deploy` says so, without a traceback, and changes nothing."""
    scaffold.init(tmp_path, prefect=True)
    before = served.deployment("nightly")["updated"]
    environ = os.environ | QUIET | {"PREFECT_API_URL": served.url}
    environ |= {"PREFECT_HOME": str(tmp_path / "prefect"), "COLUMNS": "240"}
    environ.pop("GUNDOG_HOME", None)

    done = subprocess.run(
        [str(Path(sys.executable).parent / "prefect"), "--no-prompt", "deploy", "--all"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    said = "GUNDOG_HOME is not set: export GUNDOG_HOME=$PWD in the folder that holds gundog.yaml"
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert served.deployment("nightly")["updated"] == before


@pytest.mark.slow
def test_late_run_of_a_worker_hunts_its_own_night(served: Served, project: Path) -> None:
    """A run that was due long ago, as after an outage, hunts the night it was due for."""
    at = parse_time("2026-03-09T02:30Z")

    run = served.ended(served.create("nightly", {"project": str(project)}, at))

    assert (run["state_name"], run["name"]) == ("Completed", "nightly 2026-03-08")
    assert parse_time(run["expected_start_time"]) == at
    assert hunted(project) == ["2026-03-08"]


@pytest.mark.slow
def test_killed_flow_process_is_crashed_and_the_next_run_goes_on(
    served: Served, project: Path
) -> None:
    """kill -9 in the middle of a backfill: what was stored stays, the next run does the rest."""
    # One night is long enough to be killed in, in either run.
    long = "where (select sum(i % 7) from range(if($start = timestamptz '2026-03-05', 2, 0)"
    long += " * 300000000 + 1) as t(i)) >= 0 and end_time >= $start"
    kit.write_text(project / "sql/pair.sql", kit.PAIR.replace("where end_time >= $start", long))
    days = {"start": "2026-03-01", "end": "2026-03-09", "project": str(project)}
    killed = served.create("backfill", days)

    def under_way() -> int | None:
        run = served.call("GET", f"/flow_runs/{killed}")
        owner = project / ".gundog/warehouse.owner"
        text = owner.read_text(encoding="utf-8") if owner.exists() else ""
        busy = text and (project / ".gundog/warehouse.tmp").exists()
        return int(run["infrastructure_pid"]) if busy else None

    os.kill(until(under_way), signal.SIGKILL)
    assert served.ended(killed)["state_name"] == "Crashed"

    run = served.ended(served.create("backfill", days))

    assert run["state_name"] == "Completed"
    assert len(hunted(project)) == 9
    assert table(project, "select count(*), count(distinct finding_id) from findings") == [(1, 1)]
