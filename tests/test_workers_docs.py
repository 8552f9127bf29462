"""docs/workers.md: manifests that fit each other, commands that Dask takes, keys that are read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context
from distributed.cli import dask_scheduler, dask_worker

from gundog.workers import config
from tests.test_docs import ROOT, blocks

PAGE = ROOT / "docs/workers.md"
COMMANDS = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
GIB = 2**30


@cache
def manifests() -> list[dict[str, Any]]:
    """Every manifest of the page, in order."""
    texts = [block.text for block in blocks(PAGE) if block.language == "yaml"]
    return [item for text in texts if "apiVersion:" in text for item in yaml.safe_load_all(text)]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in manifests() if item["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """The pod of each deployment."""
    return {name: item["spec"]["template"] for name, item in of_kind("Deployment").items()}


def container(name: str) -> dict[str, Any]:
    (only,) = pods()[name]["spec"]["containers"]
    return dict(only)


def memory(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(Gi|GB)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"Gi": GIB, "GB": 10**9}[unit]


def command_lines() -> Iterator[list[str]]:
    """Every command of Dask that the page shows, in a shell or in a manifest."""
    for block in blocks(PAGE):
        if block.language == "sh":
            lines = [shlex.split(line) for line in block.text.splitlines()]
            yield from (words for words in lines if words[:1] == ["dask"])
    for name in pods():
        yield [*container(name)["command"], *container(name)["args"]]


def test_manifests_are_there() -> None:
    """A scheduler that workers and runs find, workers, and who may reach them."""
    kinds = [item["kind"] for item in manifests()]

    assert sorted(kinds) == [
        "Deployment", "Deployment", "NetworkPolicy", "NetworkPolicy", "Service",
    ]  # fmt: skip
    versions = {"Deployment": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1", "Service": "v1"}
    assert [item["apiVersion"] for item in manifests()] == [versions[kind] for kind in kinds]


def test_selectors_find_their_pods() -> None:
    """A selector that finds nothing is not an error to Kubernetes."""
    labels = {name: pod["metadata"]["labels"] for name, pod in pods().items()}
    chosen = [
        *(item["spec"]["selector"] for item in of_kind("Service").values()),
        *(item["spec"]["podSelector"]["matchLabels"] for item in of_kind("NetworkPolicy").values()),
    ]
    sources = [
        source["podSelector"]["matchLabels"]
        for item in of_kind("NetworkPolicy").values()
        for rule in item["spec"]["ingress"]
        for source in rule["from"]
    ]

    for name, item in of_kind("Deployment").items():
        assert item["spec"]["selector"]["matchLabels"] == labels[name]
    assert all(selector in labels.values() for selector in chosen)
    assert all(source in [*labels.values(), {"app": "gundog"}] for source in sources)


def test_ports_and_volumes_are_those_of_the_containers() -> None:
    """By name, wherever they are named."""
    service = of_kind("Service")["dask"]["spec"]["ports"][0]
    (port,) = container("dask-scheduler")["ports"]
    policy = of_kind("NetworkPolicy")["dask-scheduler"]["spec"]["ingress"][0]["ports"][0]

    assert service["targetPort"] == port["name"]
    assert service["port"] == port["containerPort"] == policy["port"] == 8786
    assert "tls://dask:8786" in container("dask-worker")["command"]
    for name, pod in pods().items():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
        words = [*container(name)["command"], *container(name)["args"]]
        assert set(mounts) == volumes
        paths = [word for word in words if word.startswith("/")]
        assert all(any(path.startswith(mount) for mount in mounts.values()) for path in paths)


def test_pods_are_no_root_and_have_a_limit_of_memory() -> None:
    """The limit of a worker is what the page says that it needs."""
    for name, pod in pods().items():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert container(name)["resources"]["limits"]["memory"]
    worker = container("dask-worker")
    dask = memory(worker["args"][worker["args"].index("--memory-limit") + 1])

    assert memory(worker["resources"]["limits"]["memory"]) >= dask + 1.5 * 10**9
    assert worker["resources"]["requests"]["memory"] == worker["resources"]["limits"]["memory"]


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_dask_takes_the_command(words: list[str]) -> None:
    """Each option is one of its own; certificates are never left out."""
    program, name, *rest = words
    command = COMMANDS[name]
    # Not its own parsing of values, which looks for the certificates.
    options, others, _ = command.make_parser(Context(command)).parse_args(list(rest))

    assert program == "dask"
    assert others == []
    assert {"tls_ca_file", "tls_cert", "tls_key"} <= set(options)
    assert options["dashboard"] is False


def test_every_key_is_in_the_table() -> None:
    """The keys that are read, and no others."""
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w.*?) \|", text, re.MULTILINE)
    named = {key for row in rows for key in re.findall(r"`(\w+(?:\.\w+)?)`", row)}
    keys = {f"workers.{key}" for key in config.KEYS - {"address"}} | {"workers", "insecureWorkers"}

    assert keys <= named
    assert {key for key in named if key.startswith("workers")} <= keys


def test_operations_leads_there() -> None:
    """Nobody looks for a page that no page names."""
    assert "(workers.md)" in (Path(ROOT) / "docs/operations.md").read_text(encoding="utf-8")
