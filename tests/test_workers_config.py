"""What gundog.yaml says of a cluster, and which clusters are not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gundog.core.errors import Problem
from gundog.core.fields import Fields
from gundog.workers import config
from gundog.workers.config import Workers


def read(data: dict[str, Any]) -> tuple[Workers | None, list[str]]:
    problems = list[Problem]()
    fields = Fields(data, "gundog.yaml", problems, secret=True)
    return config.read(fields, Path("/p")), [str(problem) for problem in problems]


def test_without_the_key_there_is_no_cluster() -> None:
    """Whatever else is said of it."""
    assert read({}) == (None, [])
    assert read({"workers": None, "insecureWorkers": True}) == (None, [])


def test_an_address_alone() -> None:
    """Certificates are then those of Dask's own configuration."""
    assert read({"workers": "tls://h:8786"}) == (Workers("tls://h:8786"), [])


def test_certificates_are_files_beside_gundog_yaml() -> None:
    """Or anywhere else, by a whole path."""
    said = {"address": "tls://h:8786", "ca": "tls/ca.pem", "cert": "/etc/c.pem", "key": "k.pem"}

    assert read({"workers": said}) == (
        Workers("tls://h:8786", Path("/p/tls/ca.pem"), Path("/etc/c.pem"), Path("/p/k.pem")),
        [],
    )


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("h:8786", "workers: is not a scheduler's address: write one such as tls://HOST:8786"),
        ({"address": "h"}, "workers.address: is not a scheduler's address: write one such as tls:"),
        ({"ca": "x"}, "workers.address: is missing: write "),
        ({"address": "tls://h:1", "crt": "x"}, "workers.crt: unknown key: did you mean cert?"),
        (["tls://h:1"], "workers: is a list: write "),
    ],
)
def test_what_is_wrong_is_named(said: Any, problem: str) -> None:
    """With the key, and without the value."""
    _, problems = read({"workers": said})

    assert problems
    assert problems[0].startswith(f"gundog.yaml: {problem}")


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786", "tcp://127.9.9.9:1",
     "tls://dask.example:8786", "tls://[2001:db8::1]:8786", "tls://10.0.0.1:8786/"],
)  # fmt: skip
def test_cluster_that_is_used(address: str) -> None:
    """One with certificates anywhere, one without on this machine."""
    assert Workers(address).refusal == ""


@pytest.mark.parametrize(
    "address",
    ["tcp://10.0.0.1:8786", "tcp://dask.example:8786", "tcp://[2001:db8::1]:8786",
     "tcp://localhost.example:1", "tcp://127.0.0.1.example:1"],
)  # fmt: skip
def test_open_cluster_elsewhere_is_used_only_if_somebody_agreed(address: str) -> None:
    """Anybody who reaches it could run code on it."""
    assert "insecureWorkers: true" in Workers(address).refusal
    assert Workers(address, is_insecure=True).refusal == ""


@pytest.mark.parametrize(
    "address", ["ucx://h:1", "tcp://h", "tls://h:port", "tls://ana@h:1", "tls://h:1?x", "ws://h:1"]
)
def test_other_addresses_are_not_used(address: str) -> None:
    """Also not by somebody who agreed to an open cluster."""
    assert Workers(address, is_insecure=True).refusal.startswith("is not tls://HOST:PORT")


def test_password_in_an_address_is_not_shown() -> None:
    """Neither by its name for people nor in a traceback."""
    workers = Workers("tls://ana:hunter2@h:8786?token=hunter2")

    assert workers.shown == "tls://h:8786"
    assert "hunter2" not in repr(workers)
