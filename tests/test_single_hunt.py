"""Hunts that never end or outgrow memory: they end, are named, and stop nothing else."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from gundog.core.child import Child, LateError
from gundog.core.errors import ContentError
from gundog.core.times import parse_range, parse_time
from gundog.hunting import series, single_hunt
from gundog.hunting.single_hunt import Order
from gundog.project.settings import load
from gundog.run import run
from gundog.warehouse import query, series_function
from tests import kit
from tests.kit import NOW, event, hunt, table, write_file
from tests.test_child import alive

DAYS = ("2026-03-05", "2026-03-09")
LAST_DAYS = ("2026-03-08", "2026-03-09")
THREE = ("2026-03-05", "2026-03-07")
LAST = ("2026-03-09", "2026-03-09")
ENDLESS = "(select count(*) from range(9000000) a, range(9000000) b where a.range*b.range%7=3)"
HUGE = "length(repeat('x', 3000000000 + id))"


def make(root: Path) -> Path:
    """Nine days with a finding on the last five."""
    kit.make_project(root)
    kit.fill_days(root, "2026-03-01", 9)
    for day in range(5, 10):
        at = f"2026-03-{day:02}"
        rows = [
            event(f"{at}T10:00", "open", number=day),
            event(f"{at}T11:00", "close", number=day + 100),
        ]
        write_file(root, at, [*rows, event(f"{at}T12:00", "bomb", number=day)], "pair")
    return root


def be_hasty(monkeypatch: pytest.MonkeyPatch, never_ends: Callable[[object], bool]) -> None:
    """Has limits of minutes over at once for work with an argument that never ends.

    So what ends is never late, however busy the machine is.
    """
    call = Child.call

    def hasty(self: Child, work: Callable[..., Any], *arguments: Any, **limits: Any) -> Any:
        if any(map(never_ends, arguments)):
            limits = {**limits, "seconds": 0.1, "patience": 1}
        return call(self, work, *arguments, **limits)

    monkeypatch.setattr(Child, "call", hasty)


def be_late(
    monkeypatch: pytest.MonkeyPatch, never_ends: Callable[[object], bool], after: int = 0
) -> None:
    """Has work with an argument that never ends be late before it begins, after so many times.

    That its process ends is asked elsewhere, or by the first times.
    """
    call, asked = Child.call, count()

    def late(self: Child, work: Callable[..., Any], *arguments: Any, **limits: Any) -> Any:
        if any(map(never_ends, arguments)) and next(asked) >= after:
            raise LateError("took longer than allowed", "")
        return call(self, work, *arguments, **limits)

    monkeypatch.setattr(Child, "call", late)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, in which huntLimit comes at once for what never ends."""
    be_hasty(monkeypatch, _never_ends)
    return make(tmp_path)


SOMETIMES = "case when day($start) in (5, 7) then 9000000 else 1 end"


def _never_ends(order: object) -> bool:
    if not isinstance(order, Order):
        return False
    if SOMETIMES in order.hunt.sql:
        return order.interval.start.day in (5, 7)
    return ENDLESS in order.hunt.sql


def put_bomb(root: Path, expression: str) -> None:
    """A detection whose SQL computes the expression; `boom` sorts before the honest one."""
    pick = "select\n    *,\n    ["
    sql = kit.PAIR.replace(
        pick, f"select\n    *,\n    (select max({expression}) from events) as n,\n    ["
    )
    kit.write_text(root / "sql/boom.sql", sql)
    yaml = kit.PAIR_YAML.replace("1111", "3333").replace("pair.sql", "boom.sql")
    kit.write_text(root / "detections/boom.yaml", yaml + kit.HEAD)


def defuse(root: Path) -> None:
    (root / "detections/boom.yaml").unlink()
    (root / "sql/boom.sql").unlink()


def states(root: Path) -> dict[str, int]:
    """How many intervals of the bomb are in each state."""
    return dict(
        table(
            root,
            """select state, count(*) from run_intervals
               where detection_id::varchar like '3333%' group by all""",
        )
    )


@pytest.fixture
def loaded(project: Path) -> run.Project:
    """The project, loaded before a test that begins with new children."""
    with Child() as helper:
        return run.load_project(project, {}, helper=helper)


def watch(project: run.Project) -> tuple[run.Outcome, set[int]]:
    """A run over the five days, and the children that were seen at its steps."""
    seen: set[int] = set()

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        result = work()
        seen.update(children())
        return result

    outcome = run.run(project, run.Request("hunt", parse_range(*DAYS)), NOW, uuid4(), step=step)
    return outcome, seen


def children() -> Iterator[int]:
    """Helper processes of this one, without the servers of other tests."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"gundog.core.child" in command:
            yield int(path.parent.name)


@pytest.mark.slow
def test_a_detection_late_in_two_intervals_running_is_left_out_and_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two failed, one missing, everything else hunted; a mended detection gets them all.

    The process of the first ends. A new huntLimit has nothing hunted again: it changes no hash.
    """
    be_late(monkeypatch, _never_ends, after=1)
    put_bomb(project, ENDLESS)
    outcome = hunt(project, THREE)

    assert outcome.exit_status == 1
    named = [one for one in outcome.problems if "took longer than allowed (10m)" in one]
    assert [one[:16] for one in named] == ["boom [2026-03-05", "boom [2026-03-06"]
    (left_out,) = [one for one in outcome.problems if one not in named]
    assert left_out.startswith("boom: left out of this run: it reached huntLimit in two")
    assert outcome.changes.new == 3
    assert states(project) == {"failed": 2}
    assert outcome.hunted == 5

    kit.write_text(project / "gundog.yaml", f"{kit.CONFIG}huntLimit: 2h\n")
    put_bomb(project, "id")
    again = hunt(project, THREE)

    assert again.exit_status == 0
    assert (again.hunted, states(project)) == (3, {"provisional": 3})


@pytest.mark.slow
def test_the_next_run_tries_a_detection_again_that_was_left_out(project: Path) -> None:
    """What failed and what was missing are due; the limit says when it is enough."""
    put_bomb(project, ENDLESS)
    hunt(project, DAYS)
    kit.write_text(project / "gundog.yaml", f"{kit.CONFIG}huntLimit: 5h\n")
    put_bomb(project, "id")

    assert hunt(project, DAYS).hunted == 5


@pytest.mark.slow
def test_only_intervals_in_a_row_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One late interval, a good one and a late one: the detection goes on."""
    project = make(tmp_path)
    be_late(monkeypatch, _never_ends)
    put_bomb(project, ENDLESS.replace("where", f"where a.range < {SOMETIMES} and"))

    outcome = hunt(project, DAYS)

    assert states(project) == {"provisional": 3, "failed": 2}
    assert len(outcome.problems) == 2
    assert all("took longer than allowed (10m)" in problem for problem in outcome.problems)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_a_hunt_that_outgrows_memory_fails_alone(project: Path) -> None:
    """It is named with what to do, in every interval, and the others are found."""
    put_bomb(project, HUGE)

    outcome = hunt(project, LAST_DAYS)

    assert outcome.changes.new == 2
    assert states(project) == {"failed": 2}
    assert len(outcome.problems) == 2
    assert all("memoryLimit" in one for one in outcome.problems)


@pytest.mark.slow
def test_a_hunt_whose_rows_do_not_fit_as_findings_fails_alone(project: Path) -> None:
    """A join of many with many is named with its rows; once it is counted, nothing is lost."""
    kit.write_text(project / "gundog.yaml", kit.CONFIG.replace("2GB", "500MB"))
    put_bomb(project, "id")
    sql = (project / "sql/boom.sql").read_text()
    many = sql.replace("\nfrom pairs", "\nfrom pairs cross join range(300000) as numbers")
    kit.write_text(project / "sql/boom.sql", many)

    outcome = hunt(project, LAST_DAYS)

    assert outcome.changes.new == 2
    assert states(project) == {"failed": 2}
    for problem in outcome.problems:
        assert "failed: returns 300,000 rows in one interval, which need" in problem
        assert "(memoryLimit is 0.5 GB): count or filter them" in problem

    kit.write_text(project / "sql/boom.sql", sql)
    again = hunt(project, LAST_DAYS)

    assert (again.exit_status, again.changes.new) == (0, 2)
    assert states(project) == {"provisional": 2}


@pytest.mark.usefixtures("loaded", "new_children")
def test_one_child_hunts_a_whole_run_and_none_is_left(loaded: run.Project) -> None:
    """It stages and hunts: it is started once, and gone at the end."""
    outcome, seen = watch(loaded)

    assert (outcome.exit_status, len(seen)) == (0, 1)
    assert list(children()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("loaded", "new_children")
def test_a_child_that_is_killed_between_hunts_costs_nothing(loaded: run.Project) -> None:
    """Another one takes over."""

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        result = work()
        if part.label.startswith("hunt pair"):
            pid = next(children())
            os.kill(pid, signal.SIGKILL)
            while alive(pid):
                time.sleep(0.01)
        return result

    request = run.Request("hunt", parse_range(*DAYS))
    outcome = run.run(loaded, request, NOW, uuid4(), step=step)

    assert (outcome.problems, outcome.changes.new) == ([], 5)


@pytest.mark.slow
@pytest.mark.usefixtures("loaded", "new_children")
def test_an_interrupt_ends_the_child_and_leaves_nothing(project: Path, loaded: run.Project) -> None:
    """The second Ctrl-C ends a run at once; the next one hunts what it left."""
    seen: list[int] = []

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        result = work()
        if part.label == "hunt pair 2026-03-07":
            seen.extend(children())
            raise KeyboardInterrupt
        return result

    with pytest.raises(KeyboardInterrupt):
        run.run(loaded, run.Request("hunt", parse_range(*DAYS)), NOW, uuid4(), step=step)

    assert len(seen) == 1
    assert list(children()) == []
    assert not list((project / ".gundog/warehouse.tmp").glob("sandbox-*"))
    assert hunt(project, DAYS).exit_status == 0
    assert table(project, "select count(*) from findings") == [(5,)]


@pytest.mark.slow
def test_a_warehouse_that_fills_memory_is_opened_again_before_scoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB lets go of what it read only so; what a hunt gives stays the same."""
    kit.make_project(tmp_path, series=True)
    for day in range(18):
        at = parse_time("2026-02-20") + day * kit.DAY
        rows = [
            event(
                f"{at:%Y-%m-%d}T{hour:02}:00",
                "count",
                number=100 * day + hour,
                n=5 + day // 17 * 900,
            )
            for hour in range(24)
        ]
        write_file(tmp_path, f"{at:%Y-%m-%d}", rows, "count")
    hunt(tmp_path, ("2026-03-09", "2026-03-10"), detections=("count",))
    project = run.load_project(tmp_path, {})
    place = single_hunt.Place(project.settings.warehouse, project.settings.memory_limit, 1)
    night = parse_range("2026-03-09", "2026-03-10")
    order = Order(project.content.hunt("count"), night, parse_time("2026-02-20"), again=True)
    opened: list[duckdb.DuckDBPyConnection] = []
    register = series_function.register

    def noted(con: duckdb.DuckDBPyConnection, compute: series_function.Compute) -> None:
        opened.append(con)
        register(con, compute)

    monkeypatch.setattr(series_function, "register", noted)
    results, times = list[single_hunt.Found](), list[int]()
    for most_kept in (0, 10**12):
        monkeypatch.setattr(single_hunt, "_MOST_KEPT", most_kept)
        opened.clear()
        results.append(single_hunt.hunt(place, order))
        single_hunt.close()
        times.append(len(opened))

    assert times == [1, 3]
    with query.sandbox(
        place.path, memory_limit=place.memory, threads=1, temp_directory=None
    ) as con:
        plain = series.score(con, order.hunt, night, order.staged_from, again=True)
    assert len(plain.hits) == 2
    for result in results:
        assert result.error == ""
        assert result.kept["points"].equals(plain.points)
        assert result.kept["hits"] == plain.hits


@pytest.mark.slow
def test_a_series_that_lacks_memory_is_hunted_once_more_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What staging freed still counts as the old one's; a new one that lacks it, too, fails."""
    kit.make_project(tmp_path, series=True)
    kit.fill_days(tmp_path, "2026-03-01", 9)
    call, pids, lacking = Child.call, list[int | None](), [1]

    def lacks(self: Child, work: Callable[..., Any], *arguments: Any, **limits: Any) -> Any:
        result = call(self, work, *arguments, **limits)
        if any(isinstance(part, Order) and part.hunt.detection.series for part in arguments):
            pids.append(self.pid)
            if len(pids) <= lacking[0]:
                return single_hunt.Found(error=single_hunt.MORE_MEMORY)
        return result

    monkeypatch.setattr(Child, "call", lacks)

    outcome = hunt(tmp_path, LAST, detections=("count",))
    assert (outcome.exit_status, len(set(pids))) == (0, 2)

    pids.clear()
    lacking[0] = 9
    outcome = hunt(tmp_path, ("2026-03-08", "2026-03-08"), detections=("count",))
    assert single_hunt.MORE_MEMORY in str(outcome.problems)
    assert outcome.exit_status == 1
    assert len(pids) <= 2 * outcome.hunted


@pytest.mark.parametrize(("text", "seconds"), [("", 600), ("huntLimit: 90s", 90)])
def test_hunt_limit_is_ten_minutes_unless_said(tmp_path: Path, text: str, seconds: int) -> None:
    """A key of gundog.yaml, as a duration."""
    kit.write_text(
        tmp_path / "gundog.yaml", f"content: [builtin]\nlake: {{A: x/*.parquet}}\n{text}\n"
    )

    assert load(tmp_path, {}).hunt_limit.total_seconds() == seconds


def test_hunt_limit_that_is_no_duration_is_refused(tmp_path: Path) -> None:
    """Zero would hunt nothing."""
    text = "content: [builtin]\nlake: {A: x/*.parquet}\nhuntLimit: 0s\n"
    kit.write_text(tmp_path / "gundog.yaml", text)

    with pytest.raises(ContentError, match="huntLimit: is not a duration"):
        load(tmp_path, {})
