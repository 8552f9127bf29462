"""The process for work that may never end: what comes back, what kills it, what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gundog.core import child
from gundog.core.child import Child, EndedError, LateError
from tests import draws, kit
from tests.child_work import (
    arrays,
    data_mb,
    die,
    environment,
    fork_one,
    keep,
    lifted,
    printed,
    query,
    waits,
)

pytestmark = pytest.mark.usefixtures("new_children")

MEMORY = 500_000_000
ENDLESS = "select count(*) from range(10000000) a, range(10000000) b where (a.range*b.range)%7=3"
HUGE = "select length(repeat('x', 3000000000 + i)) from range(1) r(i)"
ONE_CALL = "select length(regexp_replace(repeat('x', 60000000), 'x', 'yy', 'g'))"


@pytest.fixture
def helper() -> Iterator[Child]:
    """A child that is gone after the test."""
    with Child() as made:
        yield made


def alive(pid: int) -> bool:
    """False for what is gone and for what nobody has reaped."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_child_answers_one_call_after_the_other_in_one_process(helper: Child) -> None:
    """Values come back as they are, and no process is started for each call."""
    first, second = (helper.call(os.getpid, seconds=kit.HUNG_S) for _ in range(2))

    assert first == second == helper.pid
    assert first != os.getpid()
    assert helper.call(query, "select 'é', 1::hugeint, {'a': [1.5]}") == [("é", 1, {"a": [1.5]})]


def test_what_is_printed_in_the_child_does_not_get_between_its_answers(helper: Child) -> None:
    """Only answers travel on the pipe."""
    assert [helper.call(printed) for _ in range(2)] == ["value", "value"]


def test_work_that_takes_too_long_is_killed_and_the_next_call_is_answered(helper: Child) -> None:
    """No call of DuckDB outlives its time."""
    helper.call(os.getpid)
    old = helper.pid
    assert old

    with pytest.raises(LateError):
        helper.call(query, ENDLESS, seconds=0.05)

    assert not alive(old)
    assert helper.call(query, "select 1") == [(1,)]
    assert helper.pid != old


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's CPU time")
def test_work_that_gets_no_cpu_may_take_longer_but_not_for_ever(helper: Child) -> None:
    """A busy machine is not the work's fault; work that computes has its limit, patient or not."""
    helper.call(os.getpid)

    assert helper.call(waits, 0.5, seconds=0.2, patience=20) == 0.5
    with pytest.raises(LateError):
        helper.call(waits, kit.HUNG_S, seconds=0.05, patience=3)
    with pytest.raises(LateError):
        helper.call(query, ENDLESS, seconds=0.1, patience=1_000_000)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_huge_value_is_an_error_and_the_process_goes_on(helper: Child) -> None:
    """What memory_limit does not count, the process's own limit does."""
    with pytest.raises(EndedError, match="Memory"):
        helper.call(query, HUGE, memory=MEMORY, seconds=kit.HUNG_S)

    assert helper.call(query, "select 1", memory=MEMORY, seconds=kit.HUNG_S) == [(1,)]


def test_a_child_that_is_killed_is_named_and_another_takes_over(helper: Child) -> None:
    """As the kernel kills where memory runs out: an error, and the next call is answered."""
    for number in (signal.SIGKILL, signal.SIGSEGV):
        with pytest.raises(EndedError, match=f"signal {int(number)} "):
            helper.call(die, int(number))

        assert helper.call(query, "select 1") == [(1,)]


def test_a_child_without_room_is_replaced(helper: Child) -> None:
    """Memory that was freed and still counts must not fail the next honest query."""
    helper.call(os.getpid, memory=MEMORY)
    old = helper.pid
    helper.call(keep, MEMORY + child.SLACK_BYTES // 2, memory=MEMORY)

    assert helper.call(os.getpid, memory=MEMORY) != old


def test_the_child_sees_no_secret(helper: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither webhooks nor keys of stores are in its environment."""
    monkeypatch.setenv("SOC_WEBHOOK", "https://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert "secret" not in repr(helper.call(environment))


def test_a_thread_can_use_it_and_end(helper: Child) -> None:
    """It does not end with the thread that started it."""
    thread = threading.Thread(target=helper.call, args=(os.getpid,))
    thread.start()
    thread.join()
    first = helper.pid

    assert helper.call(os.getpid) == first


def test_nothing_is_left_when_it_is_stopped() -> None:
    """No process and no open pipe remains."""
    before = set(Path("/proc/self/fd").iterdir())
    with Child() as helper:
        pid = helper.call(os.getpid)
        assert alive(pid)

    assert not alive(pid)
    assert set(Path("/proc/self/fd").iterdir()) == before


# A process that is started in the background ignores Ctrl-C, and so does what it starts.
PARENT = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from gundog.core.child import Child
from tests.child_work import query
helper = Child()
helper.call(query, "select 1")
print(helper.pid, flush=True)
helper.call(query, sys.argv[1])
"""


@pytest.mark.parametrize("number", draws.spread([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(ENDLESS, id="endless", marks=pytest.mark.slow),
        pytest.param(ONE_CALL, id="one call"),
    ],
)
def test_the_child_ends_with_its_parent(number: signal.Signals, sql: str) -> None:
    """However the parent ends, in the middle of whatever query."""
    path = os.pathsep.join(entry for entry in (*sys.path, str(Path(__file__).parents[1])) if entry)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, sql], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.send_signal(number)
    parent.wait(kit.HUNG_S)
    parent.stdout.close()
    for _ in range(20 * kit.HUNG_S):
        if not alive(pid):
            break
        time.sleep(0.05)

    assert not alive(pid)


def test_limits_are_lifted_for_scoring_and_come_back(helper: Child) -> None:
    """`unlimited` holds inside its block only."""
    assert helper.call(lifted, memory=MEMORY) == (MEMORY + child.SLACK_BYTES, -1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_processes_that_the_child_forked_end_with_it(helper: Child) -> None:
    """A hunt that is killed leaves no worker of a library behind, also where nothing kills it."""
    worker = helper.call(fork_one)
    os.kill(worker, 0)

    helper.stop()

    for _ in range(1000):
        if is_gone(worker):
            return
        time.sleep(0.01)
    raise AssertionError("the worker is still there")


def is_gone(process: int) -> bool:
    """True for a process that is no more, or that only its new parent still has to hear of."""
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True


def test_arrays_come_back_as_they_lie_in_memory(helper: Child) -> None:
    """Not copied into a pickle: a first night's counts are as large as what a hunt may use."""
    expected, answer = arrays(), helper.call(arrays)

    assert answer[0].equals(expected[0])
    assert answer[1].tolist() == expected[1].tolist()
    assert answer[2] == expected[2]
    head, *large = child._packed(("", expected, False))
    assert len(head) < 2000
    assert sum(map(len, large)) > expected[0].nbytes


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_memory_that_was_freed_does_not_count(helper: Child) -> None:
    """The limit is one of address space: allocators keep that, and 1 GB of it in advance."""
    assert helper.call(data_mb) < 500
