"""Batches that others read while this process stores: what is asked of them, and what they give.

Only rows that were read without any fault are taken from others. Every other file is read by this
process as if there were no others, so that what a run says of a file never depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from gundog.detections.staged import Source
from gundog.lake.path import LakePath
from gundog.staging.batch import Limits, Read, Task


@dataclass(frozen=True)
class Asked:
    """A batch that others may read.

    Attributes:
        tasks: files of one source, for the same stages; none of these is left out of the run.
        source: their source table.
        paths: the lake paths of the source.
        limits: what this process may use; rows that are many wait in its folder.
        left_out: names of the stages that were left out of the run when this was asked.
    """

    tasks: tuple[Task, ...]
    source: Source
    paths: Sequence[LakePath]
    limits: Limits
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Given:
    """What others gave for a batch.

    Attributes:
        parts: rows of files that were read without a fault, and files of which there is nothing,
            which are to be read here; in the order in which this process would come to them.
        worker: who read it, or should have.
        error: why the worker could not bring its files near; then there is nothing of any.
        failed: why the worker could not read one of them.
    """

    parts: tuple[Read | Task, ...] = ()
    worker: str = ""
    error: str = ""
    failed: str = ""


class Others(Protocol):
    """Those who read batches beside this process."""

    @property
    def batch_bytes(self) -> int | None:
        """How large a batch for them may be; None where there are none."""

    @property
    def step_bytes(self) -> int | None:
        """How much is read in a step of several days; None where there are none."""

    def read(
        self, asked: Iterable[Asked]
    ) -> AbstractContextManager[Iterator[tuple[Asked, Given | None]]]:
        """Each batch with what they gave, in the order in which they were asked.

        None stands for a batch that they did not read. Batches are taken from `asked` some time
        before they are given; whoever leaves the context early takes no more.
        """

    def could_be_read(self, given: Given) -> None:
        """This process brought near and read what a worker could not."""

    def problems(self) -> list[str]:
        """What went wrong with them since this was asked before, for people."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None:
        """Frees what they have in hand."""


class Nobody:
    """No others: this process reads everything."""

    batch_bytes = step_bytes = None

    def read(
        self, asked: Iterable[Asked]
    ) -> AbstractContextManager[Iterator[tuple[Asked, Given | None]]]:
        return nullcontext((batch, None) for batch in asked)

    def could_be_read(self, given: Given) -> None:
        del given

    def problems(self) -> list[str]:
        return []

    def __enter__(self) -> Nobody:
        return self

    def __exit__(self, *_: object) -> None:
        pass
