"""The connection to a Dask scheduler, with a limit on every wait.

Dask itself waits for ever in places: for a worker that is gone, and for a scheduler that holds a
connection and does not answer.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
import warnings
from collections.abc import Coroutine, Iterator, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gundog.workers import remote
from gundog.workers.config import Workers
from gundog.workers.task import Versions

T = TypeVar("T")
Answered = tuple[str, str, bytes]
_NOT_INSTALLED = "the package distributed is not installed: install gundog[dask]"
_UNREACHED = "start its scheduler, or correct workers in gundog.yaml"
# What the reasons of a failed connection begin to mean, and what to do.
_CURES = (
    ("expired", "renew the certificate"),
    ("certificate", "make ca, cert and key fit those of the scheduler"),
    ("unknown ca", "make ca, cert and key fit those of the scheduler"),
    ("pem", "correct ca, cert and key"),
    ("no such file", "correct ca, cert and key"),
)


class LostError(Exception):
    """The cluster cannot be used; the text says why and how to fix it."""


@dataclass(frozen=True)
class Waits:
    """How many seconds each wait may take.

    Attributes:
        connect: until the scheduler has answered for the first time.
        answer: until it answers a question.
        lonely: as long as the cluster has no worker.
        poll: between two looks at who is there.
        slack: what bringing the files of two batches near may take.
        close: for each step of going away.
    """

    connect: float = 30.0
    answer: float = 30.0
    lonely: float = 120.0
    poll: float = 1.0
    slack: float = 900.0
    close: float = 5.0


class Sent:
    """A batch on its way: Dask's future, and whether a worker has read it."""

    def __init__(self, future: Any) -> None:
        self.future = future
        self._was_read = threading.Event()
        future.add_done_callback(self._note)

    @property
    def was_read(self) -> bool:
        """True from then on, also when what was read is lost with its worker."""
        return self._was_read.is_set()

    def release(self) -> None:
        """Lets the cluster forget what it gave."""
        with suppress(*_ANY):
            self.future.release()

    def _note(self, future: Any) -> None:
        if future.status == "finished":
            self._was_read.set()


class Connection:
    """A client of a scheduler, in a loop and thread of its own.

    Raises:
        LostError: when it cannot be reached, or must not be used.
    """

    def __init__(self, config: Workers, waits: Waits) -> None:
        if config.refusal:
            raise LostError(config.refusal)
        self._waits = waits
        self._client: Any = None
        self._loop = asyncio.new_event_loop()
        # Dask leaves tasks of its own behind whose errors nobody looks at.
        self._loop.set_exception_handler(lambda *_: None)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._connect(config)
        except BaseException:
            self.close()
            raise

    def workers(self) -> frozenset[str]:
        """The addresses of the workers that are there now.

        Raises:
            LostError: when the scheduler does not answer.
        """
        try:
            threads_of = self._within(self._client.scheduler.ncores(), self._waits.answer)
        except _LOST as error:
            raise LostError(
                f"its scheduler does not answer any more ({_reason(error)}): see its log"
            ) from error
        return frozenset(threads_of)

    def send(self, worker: str, key: str, versions: Versions, order: bytes) -> Sent:
        """Asks one worker, and no other, to read.

        Raises:
            LostError: when the connection is closed.
        """

        async def submit() -> Sent:
            future = self._client.submit(
                remote.read, versions, order,
                key=key, workers=[worker], allow_other_workers=False, pure=False, retries=0,
            )  # fmt: skip
            return Sent(future)

        try:
            return self._within(submit(), self._waits.answer)
        except _LOST as error:
            raise LostError(f"does not take work any more ({_reason(error)})") from error

    def fetch(self, sent: Sent) -> futures.Future[Answered]:
        """Begins to bring here what a worker gives, as soon as it does.

        It is cancelled when the scheduler forgot it, and raises what the work raised.
        """

        async def take() -> Answered:
            try:
                taken: Answered = await self._client.gather(sent.future)
            except Exception as error:
                if sent.future.status == "error":
                    raise
                raise futures.CancelledError from error
            return taken

        return asyncio.run_coroutine_threadsafe(take(), self._loop)

    def forget(self, sent: Sequence[Sent]) -> None:
        """Lets the cluster drop these: what waits is not begun, what is read ends, rows go."""
        with suppress(*_ANY):
            dropped = self._client.cancel([item.future for item in sent], force=True)
            self._within(dropped, self._waits.close)
        for item in sent:
            item.release()

    def close(self) -> None:
        """Goes away; the scheduler drops what is left of this run."""
        if self._client:
            with suppress(*_ANY):
                self._within(self._client.close(), self._waits.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._waits.close)
        if not self._thread.is_alive():
            self._loop.close()

    def _connect(self, config: Workers) -> None:
        try:
            from distributed import Client, Security
        except ImportError as error:
            raise LostError(_NOT_INSTALLED) from error
        _hush()
        files = {"ca_file": config.ca, "client_cert": config.cert, "client_key": config.key}
        given = {f"tls_{name}": str(path) for name, path in files.items() if path}
        seconds, own = self._waits.connect, list[Any]()

        async def connect() -> None:
            is_tls = config.address.startswith("tls:")
            security = Security(require_encryption=True, **given) if is_tls else None
            own.append(getattr(security, "tls_client_cert", None))
            self._client = Client(
                config.address, security=security, timeout=seconds, set_as_default=False,
                asynchronous=True, direct_to_workers=False, name="gundog",
            )  # fmt: skip
            await self._client

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # versions are compared task by task
                # Its own limit does not hold for a scheduler that takes a connection and is silent.
                self._within(connect(), seconds + self._waits.close)
        except _LOST as error:
            # A scheduler that refuses a certificate may just go away.
            reason = "certificate of this run has expired" if any(map(_expired, own)) else ""
            reason = reason or _reason(error)
            cure = next((cure for sign, cure in _CURES if sign in reason.lower()), _UNREACHED)
            raise LostError(f"cannot be reached ({reason}): {cure}") from error

    def _within(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        asked = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
        # Where the loop itself hangs, nothing in it ends in time.
        return asked.result(seconds + self._waits.close)


# What a cluster that is not there, or is another one, makes of a question.
_LOST = (
    OSError, TimeoutError, ValueError, TypeError, RuntimeError, ImportError, futures.CancelledError,
)  # fmt: skip
# What going away may meet; nobody waits for it any more.
_ANY = (Exception, asyncio.CancelledError)


def _expired(cert: str | None) -> bool:
    """Whether the certificate in a file is too old."""
    from cryptography import x509

    with suppress(OSError, ValueError, TypeError):
        held = x509.load_pem_x509_certificate(Path(cert or "").read_bytes())
        return held.not_valid_after_utc.timestamp() < time.time()
    return False


def _hush() -> None:
    """Dask's own log lines would stand among those of the run, which names what matters."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _reason(error: BaseException) -> str:
    """The innermost cause in words."""
    causes = list(_causes(error))
    refused = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if refused is not None:
        said = str(refused.reason or refused).replace("_", " ").lower()
        return str(getattr(refused, "verify_message", "") or said)
    told = next((cause for cause in reversed(causes) if str(cause).strip()), causes[-1])
    return str(told).strip().splitlines()[0][:300] if str(told).strip() else type(told).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
