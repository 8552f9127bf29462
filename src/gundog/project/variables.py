"""Environment variables in gundog.yaml: put in, and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gundog.core import text_files
from gundog.core.errors import Problem
from gundog.core.fields import plain_key

_NAME = re.compile(r"[A-Za-z_]\w*")


_VARIABLE = re.compile(r"\$\{([^}]*)\}?")


def expand(
    value: Any,
    key: str,
    environ: Mapping[str, str],
    used: dict[str, str],
    unset: dict[str, tuple[str, ...]],
    problems: list[Problem],
) -> Any:
    """The value with every `${NAME}` replaced; `used` and `unset` grow by names."""
    if isinstance(value, dict):
        return {
            name: expand(item, f"{key}.{name}".lstrip("."), environ, used, unset, problems)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [
            expand(item, f"{key}.{place}", environ, used, unset, problems)
            for place, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name in environ and match[0].endswith("}"):
            used[name] = environ[name]
            if text_files.is_text(environ[name]):
                return environ[name]
            reason = f"names ${{{name}}}, whose value is not UTF-8: set it again in UTF-8"
            problems.append(Problem("gundog.yaml", plain_key(key), reason))
            return ""
        if match[0].endswith("}") and _NAME.fullmatch(name):
            unset[key] = (*unset.get(key, ()), name)
        else:
            problems.append(
                Problem("gundog.yaml", plain_key(key), variable_problem(match[0], name))
            )
        return match[0]

    return _VARIABLE.sub(replacement, value)


def variable_problem(text: str, name: str) -> str:
    if not text.endswith("}") or not _NAME.fullmatch(name):
        return "contains ${ without a name: write ${NAME} with the name of an environment variable"
    return f"needs ${{{name}}}, which is not set: set it in the environment or remove the key"


def masked(problem: Problem, used: Mapping[str, str]) -> Problem:
    """The problem on one line, without any value that came from the environment."""
    text = re.sub(r"\s*\n\s*", " ", problem.reason)
    for name, value in sorted(used.items(), key=lambda item: -len(item[1])):
        for spelling in {repr(value)[1:-1], value, value.strip()} - {""}:
            text = text.replace(spelling, f"${{{name}}}")
    return Problem(problem.path, problem.key, text)
