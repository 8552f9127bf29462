"""What a process opened below a folder, as the system itself saw it."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

CAN_WATCH = sys.platform == "linux"
_OPENED, _CREATED, _MODIFIED = 0x20, 0x100, 0x2
_HEAD = struct.Struct("iIII")


class Watch:
    """Sees every file of one folder that anything opens, lists, creates or writes.

    Only Linux tells; elsewhere nothing is seen, and only what is in answers can give a leak away.
    """

    def __init__(self, folder: Path) -> None:
        self._events = -1
        if not CAN_WATCH:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        what = _OPENED | _CREATED | _MODIFIED
        if self._events < 0 or libc.inotify_add_watch(self._events, os.fsencode(folder), what) < 0:
            raise OSError(ctypes.get_errno(), "inotify does not work here")

    def touched(self) -> set[str]:
        """The names of what was touched since the last question; '.' for the folder itself."""
        found = set[str]()
        while self._events >= 0:
            try:
                told = os.read(self._events, 65_536)
            except BlockingIOError:
                break
            while told:
                *_, length = _HEAD.unpack_from(told)
                name = told[_HEAD.size : _HEAD.size + length].rstrip(b"\0")
                found.add(os.fsdecode(name) or ".")
                told = told[_HEAD.size + length :]
        return found

    def close(self) -> None:
        if self._events >= 0:
            os.close(self._events)
            self._events = -1
