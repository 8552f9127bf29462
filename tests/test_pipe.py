"""Messages through a pipe: whole, in order, or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.pipe import Pipe


@pytest.fixture
def ends() -> Iterator[tuple[Pipe, Pipe]]:
    """The end that is read and the one that is written."""
    read, written = map(Pipe, os.pipe())
    yield read, written
    read.close()
    written.close()


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_messages_come_as_they_were_sent(messages: list[bytes]) -> None:
    """Empty ones too, and none runs into the next."""
    read, written = map(Pipe, os.pipe())
    for message in messages:
        written.send_bytes(message)
    written.close()

    assert [read.recv_bytes() for _ in messages] == messages
    with pytest.raises(EOFError):
        read.recv_bytes()
    read.close()


def test_message_larger_than_a_pipe_holds_comes_whole(ends: tuple[Pipe, Pipe]) -> None:
    """Rows of a batch are many megabytes."""
    read, written = ends
    message = os.urandom(5_000_001)
    sender = threading.Thread(target=written.send_bytes, args=(message,))
    sender.start()

    assert read.recv_bytes() == message
    sender.join()


def test_half_a_message_is_none(ends: tuple[Pipe, Pipe]) -> None:
    """A process that dies while it answers has not answered."""
    read, written = ends
    os.write(written.fileno(), b"\0\0\0\0\0\0\0\5abc")
    written.close()

    assert read.poll(0)
    with pytest.raises(EOFError):
        read.recv_bytes()


def test_waiting_ends(ends: tuple[Pipe, Pipe]) -> None:
    """With a message, with the other end, or with the time."""
    read, written = ends

    assert not read.poll(0)
    assert not read.poll(0.001)
    written.send_bytes(b"")
    assert read.poll(None)
    assert read.recv_bytes() == b""
    written.close()
    assert read.poll(None)


def test_nobody_reads(ends: tuple[Pipe, Pipe]) -> None:
    """Python ignores SIGPIPE, so that this is an error that can be caught."""
    read, written = ends
    read.close()
    read.close()

    with pytest.raises(BrokenPipeError):
        written.send_bytes(b"anybody?")
