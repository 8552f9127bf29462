"""Standard output and standard error, made so that nothing printed can end a command early."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO


class _Lenient(io.FileIO):
    """A file that takes everything, also when its reader has gone or its disk is full."""

    lost = ""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # `head` has what it wanted
            self._give_up()
        except OSError as error:
            self.lost = error.strerror or type(error).__name__
            self._give_up()
        return len(data)

    def _give_up(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def prepare() -> None:
    """Makes both streams safe to print on; ones that were exchanged, as in tests, stay.

    A reader that goes away costs the rest of the output and nothing else: the command ends as it
    would have. A character that the terminal's encoding lacks is shown as an escape. A stream
    that is closed takes what it is given.
    """
    sys.stdout = _safe(sys.stdout, sys.__stdout__)
    sys.stderr = _safe(sys.stderr, sys.__stderr__)


def _safe(stream: TextIO | None, own: TextIO | None) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is no buffer
    if stream is not own or type(raw) is not io.FileIO:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lenient(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.isatty() or stream is sys.__stderr__ or raw is buffer,
    )


def finish() -> str:
    """Writes out what is still held; says why standard output lost something, or ''."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Lenient) else ""
