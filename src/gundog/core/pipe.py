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

    def send_bytes(self, message: bytes) -> None:
        """Writes one message.

        Raises:
            BrokenPipeError: when nobody holds the other end.
        """
        left = memoryview(_LENGTH.pack(len(message)) + message)
        while left:
            left = left[os.write(self._descriptor, left[:_MOST_AT_A_TIME]) :]

    def poll(self, seconds: float | None) -> bool:
        """True when a message, or the end of all, came within so many seconds; None waits on."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        return bool(waiting.poll(None if seconds is None else seconds * 1000))

    def recv_bytes(self) -> bytes:
        """The next message; waits for it.

        Raises:
            EOFError: when the other end was closed before the message was whole.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return self._read(length)

    def _read(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = os.read(self._descriptor, min(length - len(parts), _MOST_AT_A_TIME))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)
