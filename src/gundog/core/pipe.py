"""One direction of a pipe between two processes: whole messages of any length.

What `multiprocessing.connection` does too; to import that costs every command more than half of
what `gundog --help` takes, and its child again.
"""

from __future__ import annotations

import os
import select
import struct

_LENGTH = struct.Struct("!Q")
_MOST_AT_A_TIME = 1 << 20
_SHORT = 1 << 16


class Pipe:
    """An end of a pipe that is only read, or only written.

    Args:
        descriptor: the end's file descriptor, closed by `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Closes the end; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def send_bytes(self, message: bytes | memoryview) -> None:
        """Writes one message, without a copy of a large one.

        Raises:
            BrokenPipeError: when nobody holds the other end.
        """
        length = _LENGTH.pack(len(message))
        is_short = len(message) < _SHORT
        for part in (length + message,) if is_short else (length, message):
            left = memoryview(part)
            while left:
                left = left[os.write(self._descriptor, left[:_MOST_AT_A_TIME]) :]

    def poll(self, seconds: float | None) -> bool:
        """True when a message, or the end of all, came within so many seconds; None waits on."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        return bool(waiting.poll(None if seconds is None else seconds * 1000))

    def recv_bytes(self) -> bytearray:
        """The next message; waits for it.

        Raises:
            EOFError: when the other end was closed before the message was whole.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return self._read(length)

    def _read(self, length: int) -> bytearray:
        message = bytearray(length)
        left = memoryview(message)
        while left:
            size = os.readv(self._descriptor, [left[:_MOST_AT_A_TIME]])
            if not size:
                raise EOFError
            left = left[size:]
        return message
