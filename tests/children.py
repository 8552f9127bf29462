"""Processes of `Child` handed on from test to test: starting one costs more than most tests.

A process that a test has left idle and sound serves the next test that needs one, in the folder in
which that test works. Everything it is asked to do it does as a new one would; what is promised of
starting and ending (test_child) is tested with new ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gundog.core import child
from gundog.core.child import Child
from gundog.core.pipe import Pipe

_Key = tuple[object, ...]
_Process = tuple[subprocess.Popen[bytes], Pipe | None, Pipe | None]
# More are never idle at a time than a test had open at a time; most have one.
_MOST = 2
_idle: list[tuple[_Key, _Process]] = []
_inherited: dict[int, _Key] = {}
_start, _leave = Child.start, Child.__exit__


def hand_on() -> None:
    """From now on a `with Child()` leaves its process to the next one."""
    Child.start, Child.__exit__ = _adopt, _park


def start_new() -> None:
    """From now on processes start and end as they do outside of the tests; none is left idle."""
    Child.start, Child.__exit__ = _start, _leave
    while _idle:
        _stop(_idle.pop()[1])


def _adopt(self: Child) -> None:
    key = _key()
    for place, (inherited, process) in enumerate(() if self._process else _idle):
        if inherited == key:
            self._process, self._requests, self._replies = process
            del _idle[place]
            self.call(os.chdir, Path.cwd())
            break
    before = self._process
    _start(self)
    if self._process and self._process is not before:
        _inherited[self._process.pid] = key


def _park(self: Child, *raised: object) -> None:
    if self._process and not self._worn and self._process.poll() is None:
        self.call(_close_warehouse)
        _idle.append(
            (_inherited[self._process.pid], (self._process, self._requests, self._replies))
        )
        self._process = self._requests = self._replies = None
        while len(_idle) > _MOST:
            _stop(_idle.pop(0)[1])
    _leave(self, *raised)


def _key() -> _Key:
    """What a process inherits from its parent."""
    mask = os.umask(0o077)
    os.umask(mask)
    return (mask, *sorted(child._environment().items()))


def _stop(process: _Process) -> None:
    last = Child()
    last._process, last._requests, last._replies = process
    last.stop()


def _close_warehouse() -> None:
    """What a run does after its last hunt, if it gets there."""
    if hunting := sys.modules.get("gundog.hunting.single_hunt"):
        hunting.close()
