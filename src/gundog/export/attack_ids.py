"""The technique ids of ATT&CK, from a list that ships; it names its source and its date."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

_FILE = "attack_ids.txt"


@dataclass(frozen=True)
class AttackIds:
    """The ids of one version of ATT&CK Enterprise.

    Attributes:
        version: the version of ATT&CK.
        date: when MITRE published it.
        valid: techniques and sub-techniques in force.
        gone: those that were revoked or deprecated.
    """

    version: str
    date: str
    valid: frozenset[str]
    gone: frozenset[str]


@cache
def read() -> AttackIds:
    """The list that ships."""
    text = resources.files("gundog.export").joinpath(_FILE).read_text(encoding="utf-8")
    head = dict(re.findall(r"^# (\w+): (.*)$", text, re.MULTILINE))
    valid, gone = set[str](), set[str]()
    for line in text.splitlines():
        if line.startswith("- "):
            gone.add(line[2:])
        elif not line.startswith("#"):
            technique, *parts = line.split()
            valid |= {technique, *(f"{technique}.{part}" for part in parts)}
    return AttackIds(head["version"], head["date"], frozenset(valid), frozenset(gone))


def remarks(techniques: Iterable[str]) -> list[str]:
    """One sentence for each technique that ATT&CK does not have, or has no more."""
    ids = read()
    return [
        f"{technique}: ATT&CK {ids.version} ({ids.date}) {_why(technique, ids)}"
        for technique in sorted(set(techniques) - ids.valid)
    ]


def _why(technique: str, ids: AttackIds) -> str:
    if technique in ids.gone:
        return f"has revoked or deprecated it: see https://attack.mitre.org/techniques/{_path(technique)}"
    return "does not have it: correct the id, unless it is newer than that"


def _path(technique: str) -> str:
    return technique.replace(".", "/")
