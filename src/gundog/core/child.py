"""A process of its own for work that may never end or outgrow memory: it can be killed.

Neither DuckDB's memory limit nor an interrupt stops one call of a scalar function, so SQL that
others wrote runs here. The child is this Python started again: it works from threads, daemons and
scripts alike, sees nothing of the environment's secrets, and ends when its parent ends.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gundog.core import arrow
from gundog.core.pipe import Pipe

# What a process that hunts needs beside DuckDB's own limit: Python and its libraries, and what
# DuckDB does not count. An honest sort that spills takes 0.45 GB of it.
SLACK_BYTES = 1_500_000_000
# Freed memory stays counted as the process's: with less room than this it is replaced.
_ROOM_BYTES = SLACK_BYTES // 2
_START = (
    "import importlib, sys; sys.path[:] = sys.argv[2:]; from gundog.core import child;"
    "importlib.import_module(sys.argv[1]); child.serve()"
)
_PR_SET_PDEATHSIG = 1
# Work that computes all the time has this share of the seconds as CPU, on a machine of its own.
_NEARLY = 0.9
# The first letter of what `at` says; an answer begins with a number that is far smaller.
_AT = b"@"
_COUNT = struct.Struct("!I")
# Nothing else of the environment reaches the child: no credentials, no addresses of channels.
_KEPT = frozenset("HOME LANG LANGUAGE PATH TEMP TMP TMPDIR TZ USER".split())
# What is limited is address space. Arrow's own allocator takes 1 GB of it at once, and DuckDB's
# keeps what it freed: with two times as much memory as it uses, a night fails.
_ALLOCATORS = {"ARROW_DEFAULT_MEMORY_POOL": "system", "DUCKDB_JE_MALLOC_CONF": "retain:false"}
_KEPT_PREFIXES = ("DYLD_", "LC_", "LD_", "MALLOC_", "NUMBA_", "OMP_", "OPENBLAS_", "PYTHON")


class _LostError(Exception):
    """Work that did not come to its end; `at` is what it was at, as it said with `at`."""

    def __init__(self, text: str, at: str) -> None:
        super().__init__(text)
        self.at = at


class LateError(_LostError):
    """The work took longer than allowed; its process was killed."""


class EndedError(_LostError):
    """The process ended before the work did; the text says how."""


class Child:
    """A process that is started when it is needed, and again after it was killed.

    Args:
        preload: a module that the process imports when it starts, not when work first needs it.
    """

    def __init__(self, preload: str = "gundog.core.child") -> None:
        self._preload = preload
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: Pipe | None = None
        self._replies: Pipe | None = None
        self._worn = False

    @property
    def pid(self) -> int | None:
        """The process's id; None when there is none."""
        return self._process.pid if self._process else None

    def call(
        self,
        work: Callable[..., Any],
        *arguments: Any,
        memory: int | None = None,
        seconds: float | None = None,
        patience: int = 1,
    ) -> Any:
        """What `work(*arguments)` returns in the child.

        Args:
            work: a function of a module; it and its arguments are pickled.
            arguments: its arguments.
            memory: bytes that DuckDB may use there; the process may use `SLACK_BYTES` more, where
                the system knows such a limit. None for no limit.
            seconds: how long it may take, or from one `at` to the next; None for no limit.
            patience: how many times longer it may take at most while other work on the machine
                keeps it from so many seconds of CPU, where the system tells that.

        Raises:
            LateError: when it took longer; the process is gone.
            EndedError: when the process ended, or what the work raised; the text says which.
        """
        limit = memory + SLACK_BYTES if memory else None
        at = ""
        self.start()
        assert self._requests  # noqa: S101 - `start` made it
        assert self._replies  # noqa: S101 - and this
        try:
            self._requests.send_bytes(pickle.dumps((work, arguments, limit)))
            self._replies.recv_bytes()  # it has imported what the work needs, and begins
            while (reply := self._next(seconds, patience, at)).startswith(_AT):
                at = reply[len(_AT) :].decode(errors="surrogateescape")
            failure, value, self._worn = _unpacked(reply, self._replies)
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise EndedError(self._how_it_ended(), at) from error
        except BaseException:
            self.stop()
            raise
        if failure:
            raise EndedError(failure, at)
        return value

    def stop(self) -> None:
        """Kills the process, if there is one, and waits until it is gone."""
        if self._process:
            self._process.kill()
            self._reap()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the process where there is none, or one that is worn out; does not wait for it."""
        if self._worn or (self._process and self._process.poll() is not None):
            self.stop()
        if self._process:
            return
        path = [entry for entry in sys.path if entry]
        process = subprocess.Popen(  # noqa: S603 - this Python with this code
            [sys.executable, "-P", "-c", _START, self._preload, *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        )
        assert process.stdin  # noqa: S101 - it is a pipe
        assert process.stdout  # noqa: S101 - and this
        self._process = process
        self._requests = Pipe(os.dup(process.stdin.fileno()))
        self._replies = Pipe(os.dup(process.stdout.fileno()))
        process.stdin.close()
        process.stdout.close()

    def _next(self, seconds: float | None, patience: int, at: str) -> bytearray:
        assert self._process  # noqa: S101 - `call` started it
        assert self._replies  # noqa: S101 - and this
        before = _cpu_seconds(self._process.pid) if patience > 1 else None
        for _ in range(patience):
            if self._replies.poll(seconds):
                return self._replies.recv_bytes()
            used = _cpu_seconds(self._process.pid)
            if before is None or used is None or not seconds or used - before > _NEARLY * seconds:
                break
        raise LateError("took longer than allowed", at)

    def _reap(self) -> int:
        """Waits for the process and forgets it; returns its exit status."""
        process, self._process, self._worn = self._process, None, False
        for pipe in (self._requests, self._replies):
            if pipe:
                pipe.close()
        self._requests = self._replies = None
        return process.wait() if process else 0

    def _how_it_ended(self) -> str:
        status = self._reap()
        if status < 0:
            name = signal.strsignal(-status) or "unknown"
            return (
                f"its process was ended by signal {-status} ({name.lower()}), most often because"
                " memory ran out: build smaller values or read fewer rows"
            )
        return f"its process ended with status {status}: run again, and see what it printed"


def _cpu_seconds(pid: int) -> float | None:
    """CPU time that a process has used, all threads; None where the system does not tell."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return None
    user, system = after_name.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    return kept | _ALLOCATORS


class _Served:
    """The pipe of answers, in a process that serves."""

    replies: Pipe | None = None


def at(activity: str) -> None:
    """Says in the child what it is at now, for whoever asks why it ended; elsewhere nothing."""
    if _Served.replies:
        _Served.replies.send_bytes(_AT + activity.encode(errors="surrogateescape"))


def serve() -> None:
    """The child's side: does one piece of work after the other until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to judge
    with suppress(OSError):
        # Where the machine runs out of memory, this process goes first.
        Path("/proc/self/oom_score_adj").write_text("1000")
    requests, replies = Pipe(os.dup(0)), Pipe(os.dup(1))
    _Served.replies = replies
    threading.Thread(target=_end_with_parent, args=(requests.fileno(),), daemon=True).start()
    os.dup2(2, 1)  # whatever prints must not get between the replies
    _end_forks_with_this()
    with suppress(EOFError, BrokenPipeError):
        while True:
            work, arguments, limit = pickle.loads(requests.recv_bytes())  # noqa: S301 - our parent's
            _hush()
            if "pyarrow" in sys.modules:
                arrow.leave_out_pandas()
            replies.send_bytes(b"")
            _limit(limit)
            for part in _reply(work, arguments, limit):
                replies.send_bytes(part)


def _end_forks_with_this() -> None:
    """Has the system kill what this process forks, such as workers of a library, when it ends.

    They would keep the pipe of answers open and the memory of a hunt that was killed. It counts
    from the end of the thread that forks, which is the one that works here.
    """
    if sys.platform != "linux":
        return
    import ctypes

    system, forking = ctypes.CDLL(None), [0]

    def remember() -> None:
        forking[0] = os.getpid()

    def follow() -> None:
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != forking[0]:  # it ended before the system knew
            os._exit(1)

    os.register_at_fork(before=remember, after_in_child=follow)


def _hush() -> None:
    """C++ that ends for want of memory would say so on the terminal."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _end_with_parent(requests: int) -> None:
    """Ends this process at once when nobody holds the other end any more."""
    hung_up = select.poll()
    hung_up.register(requests, 0)
    hung_up.poll()
    os._exit(1)


def _reply(work: Callable[..., Any], arguments: Any, limit: int | None) -> list[bytes | memoryview]:
    try:
        value = work(*arguments)
        return _packed(("", value, _is_worn(limit)))
    except MemoryError:
        return _packed(("needs more memory than allowed", None, True))
    except Exception as error:
        return _packed((f"{type(error).__name__}: {error}", None, _is_worn(limit)))


def _packed(answer: tuple[str, Any, bool]) -> list[bytes | memoryview]:
    """An answer as messages: how many follow and a pickle, then arrays as they lie in memory."""
    large = list[pickle.PickleBuffer]()
    head = pickle.dumps(answer, protocol=5, buffer_callback=large.append)
    return [_COUNT.pack(len(large)) + head, *(part.raw() for part in large)]


def _unpacked(head: bytearray, replies: Pipe) -> tuple[str, Any, bool]:
    """What `_packed` packed, from its first message and those that follow."""
    (count,) = _COUNT.unpack_from(head)
    large = [replies.recv_bytes() for _ in range(count)]
    pickled = memoryview(head)[_COUNT.size :]
    answer: tuple[str, Any, bool] = pickle.loads(pickled, buffers=large)  # noqa: S301 - our own
    return answer


def _limit(data_bytes: int | None) -> None:
    """Bounds this process's data; other systems than Linux know no such limit."""
    if sys.platform != "linux":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = resource.RLIM_INFINITY if data_bytes is None else data_bytes
    if hard != resource.RLIM_INFINITY:
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def unlimited() -> Iterator[None]:
    """Lets this process take what it needs meanwhile; for work of our own, such as scoring."""
    if sys.platform != "linux":
        yield
        return
    import resource

    kept = resource.getrlimit(resource.RLIMIT_DATA)
    _limit(None)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, kept)


def _is_worn(limit: int | None) -> bool:
    """True when so much data is counted as this process's that the next hunt lacks room."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if limit and line.startswith("VmData:"):
                return int(line.split()[1]) * 1024 > limit - _ROOM_BYTES
    return False
