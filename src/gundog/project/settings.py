"""gundog.yaml read into one frozen `Settings`, with every problem at once."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from gundog.core import text_files
from gundog.core.errors import ContentError, Problem
from gundog.core.fields import YEAR, Fields, plain_key, read_yaml
from gundog.core.severity import SEVERITIES, STATUSES
from gundog.core.times import parse_duration
from gundog.detections import content_folder
from gundog.findings import canaries
from gundog.findings.canaries import Canary
from gundog.findings.retention_times import Retention
from gundog.lake.path import LakePath
from gundog.notify.channel import Channel
from gundog.project import addresses, channels, lake_settings, variables
from gundog.report import target
from gundog.report.target import Target
from gundog.targets import config
from gundog.targets.config import PublishTo
from gundog.workers import config as cluster
from gundog.workers.config import Workers

FILE = "gundog.yaml"
KEYS = frozenset(
    "content overrides lake freshness lateArrival warehouse findings retention notify heartbeat"
    " memoryLimit workers insecureWorkers huntLimit report canaries publishTo".split()
)
# Only hunts and their messages use these; people who read need none of their secrets.
MAY_BE_UNSET = frozenset("lake notify heartbeat workers report publishTo".split())
_OVERRIDE_KEYS = frozenset("enabled status severity params series suppression".split())
_RETENTION = {"staged": "60d", "series": "400d", "evidence": "400d", "findings": "1100d"}
# What one DuckDB thread wants; a limit below one of them cannot stage a file.
_BYTES_PER_THREAD = 500_000_000
# One detection over one interval, scoring included.
HUNT_LIMIT = timedelta(minutes=10)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B", re.IGNORECASE)
_DIGITS = 12
_NO_QUESTION_MARK = (
    "DuckDB keeps its log in another place when a path contains a ?: choose another name"
)


@dataclass(frozen=True)
class Settings:
    """What gundog.yaml says; paths are absolute, durations positive, `memory_limit` in bytes."""

    root: Path
    content: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Any]]
    lake: Mapping[str, tuple[LakePath, ...]]
    freshness: timedelta
    late_arrival: timedelta
    warehouse: Path
    findings: Path
    retention: Retention
    notify: tuple[Channel, ...]
    heartbeat: str | None = field(repr=False)
    memory_limit: int
    threads: int
    workers: Workers | None
    hunt_limit: timedelta = HUNT_LIMIT
    report: Target | None = None
    canaries: tuple[Canary, ...] = ()
    publish_to: tuple[PublishTo, ...] = ()
    # The variables that a key names and the environment lacks, of keys that may be without.
    unset: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def load(
    project: Path, environ: Mapping[str, str], uses: Collection[str] = MAY_BE_UNSET
) -> Settings:
    """The settings in a project folder's gundog.yaml.

    Args:
        project: the folder that holds gundog.yaml.
        environ: what `${NAME}` in a text stands for; its values appear in no message.
        uses: which of `MAY_BE_UNSET` will be used. A variable that only others name may be
            missing from the environment: the value then stays as it is written.

    Raises:
        ContentError: with every problem of the file.
    """
    root = project.resolve()
    problems: list[Problem] = []
    data = _read_file(root / FILE, problems)
    if "?" in str(root):
        problems.append(Problem(str(root), "", f"the project's folder: {_NO_QUESTION_MARK}"))
    used, unset = dict[str, str](), dict[str, tuple[str, ...]]()
    if problems:
        raise ContentError(variables.masked(problem, used) for problem in problems)
    expanded = variables.expand(data, "", environ, used, unset, problems)
    settings = read(Fields(expanded, FILE, problems, allowed=KEYS, secret=True), root)
    problems = [problem for problem in problems if not _follows(problem, unset)]
    always = {key.partition(".")[0] for key in unset} - MAY_BE_UNSET
    problems += _lacking(unset, {*uses, *always})
    if problems:
        raise ContentError(variables.masked(problem, used) for problem in problems)
    return replace(settings, unset=unset)


def require(settings: Settings, keys: Collection[str]) -> None:
    """Raises ContentError when keys, or what is below them, name variables that are not set."""
    if problems := _lacking(settings.unset, keys):
        raise ContentError(problems)


def _follows(problem: Problem, unset: Mapping[str, Sequence[str]]) -> bool:
    """Whether a problem is only that the value of a variable is not known."""
    return any(
        _within(problem.key, key) or any(f"${{{name}}}" in problem.reason for name in names)
        for key, names in unset.items()
    )


def _within(key: str, outer: str) -> bool:
    return f"{key}.".startswith(f"{outer}.")


def _lacking(unset: Mapping[str, Sequence[str]], keys: Collection[str]) -> list[Problem]:
    """One problem for each variable, at the first key that names it."""
    places = dict[str, list[str]]()
    for key, names in unset.items():
        for name in names if any(_within(key, outer) for outer in keys) else ():
            places.setdefault(name, []).append(key)
    return [
        Problem(FILE, plain_key(first), variables.variable_problem(f"${{{name}}}", name) + (
            f" (so does {', '.join(map(plain_key, others))})" if others else ""
        ))
        for name, (first, *others) in places.items()
    ]  # fmt: skip


def threads_for(memory_limit: int, cores: int) -> int:
    """How many DuckDB threads fit into `memory_limit` bytes on a machine with `cores`.

    >>> [threads_for(size * 1_000_000, cores=4) for size in (600, 1500, 64_000)]
    [1, 3, 4]
    """
    return max(1, min(memory_limit // _BYTES_PER_THREAD, cores))


def _read_file(path: Path, problems: list[Problem]) -> dict[str, Any]:
    if not path.exists() and not path.is_symlink():
        problems.append(
            Problem(
                FILE,
                "",
                f"is missing in {path.parent}: run `gundog init DIR` to make a project folder,"
                " or name yours with --project",
            )
        )
        return {}
    return read_yaml(path, FILE, problems, secret=True)


def read(fields: Fields, root: Path) -> Settings:
    """The settings of a gundog.yaml that is read already; its problems are those of the fields."""
    memory_limit = _size(fields, "memoryLimit", "4GB")
    warehouse = _file(fields, "warehouse", ".gundog/warehouse.duckdb", root)
    findings = _file(fields, "findings", ".gundog/findings.duckdb", root)
    if warehouse == findings:
        fields.problem("findings", "is the warehouse itself: name another file")
    report = target.read(fields, root)
    return Settings(
        root=root,
        content=_content(fields, root),
        overrides=_overrides(fields),
        lake=lake_settings.read(fields),
        freshness=fields.duration("freshness", timedelta(hours=26)),
        late_arrival=fields.duration("lateArrival", timedelta(days=7)),
        warehouse=warehouse,
        findings=findings,
        retention=_retention(fields),
        notify=channels.read(fields, report),
        heartbeat=addresses.web(fields, "heartbeat"),
        memory_limit=memory_limit,
        threads=threads_for(memory_limit, _cores()),
        workers=cluster.read(fields, root),
        hunt_limit=fields.duration("huntLimit", HUNT_LIMIT),
        report=report,
        canaries=canaries.read(fields),
        publish_to=config.read(fields, root),
    )


def _cores() -> int:
    # The cores this process may use: in a container fewer than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _content(fields: Fields, root: Path) -> tuple[str, ...]:
    folders = fields.texts("content", ("builtin", "."))
    if not folders:
        fields.problem("content", "is empty: write [builtin, .]")
    for place, folder in enumerate(folders):
        if not text_files.is_folder(content_folder.place_of(folder, root)):
            fields.problem(f"content.{place}", f"is not a folder in {root}: make it, or remove it")
    return folders


def _overrides(fields: Fields) -> dict[str, dict[str, Any]]:
    overrides = {}
    for name in fields.mapping("overrides"):
        inner = fields.inner("overrides", ()).inner(str(name), _OVERRIDE_KEYS)
        inner.flag("enabled", True)
        inner.choice("status", STATUSES, "stable")
        inner.choice("severity", SEVERITIES, "medium")
        for key in ("params", "series", "suppression"):
            inner.mapping(key)
        overrides[str(name)] = dict(inner.data)
    return overrides


def _retention(fields: Fields) -> Retention:
    # An absent or empty key means the defaults; anything but a mapping is a problem.
    data = fields.data.get("retention")
    inner = fields.inner("retention", _RETENTION, {} if data is None else data)
    return Retention(
        **{
            key: inner.duration(key, parse_duration(text), most=100 * YEAR)
            for key, text in _RETENTION.items()
        }
    )


def _file(fields: Fields, key: str, default: str, root: Path) -> Path:
    text = fields.text(key, default) or default
    if "://" in text:
        fields.problem(key, "is an address: it must be a file on a local disk")
    elif text_files.is_folder(root / text):
        fields.problem(key, "is a folder: name a file in it")
    elif "?" in text:
        fields.problem(key, f"holds a ?: {_NO_QUESTION_MARK}")
    return root / text


def _size(fields: Fields, key: str, default: str) -> int:
    text = fields.text(key, default) or default
    match = _SIZE.fullmatch(text)
    if not match:
        fields.problem(key, "is not a size: write one such as 4GB or 800MB")
        return _BYTES_PER_THREAD
    base = 1024 if match[3] else 1000
    if len(match[1]) > _DIGITS:
        fields.problem(key, "is more than any machine has: write a size such as 4GB or 800MB")
        return _BYTES_PER_THREAD
    size = int(float(match[1]) * base ** ("KMGT".index(match[2].upper()) + 1))
    if size < _BYTES_PER_THREAD:
        fields.problem(key, "is too little to stage a file: write at least 500MB")
    return size
