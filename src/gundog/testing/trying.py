"""Examples and their mutations tried in a child process: SQL that never ends fails there alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from gundog.core.child import Child, EndedError, LateError
from gundog.core.times import format_duration
from gundog.detections.detection import Example
from gundog.detections.hunt import Hunt
from gundog.project.project import Project
from gundog.testing import examples, mutations
from gundog.testing.mutations import Verdict

# How long one example may take, where huntLimit is not shorter.
EXAMPLE = timedelta(minutes=1)
_TOO_LONG = "takes longer than {limit}: read fewer rows, or build smaller values"
_NOT_TRIED = "is not tried, for two of this detection took longer than {limit}"
_LATE_TWICE = 2
_TOO_LARGE = "needs more memory than allowed: build smaller values"


class Trials:
    """The examples of a project, tried one by one in a child.

    Args:
        helper: the child.
        project: whose content is tried; its memoryLimit and huntLimit hold.
    """

    def __init__(self, helper: Child, project: Project) -> None:
        self._helper = helper
        self._project = project
        self._late: Counter[str] = Counter()

    def check(self, hunt: Hunt, example: Example) -> list[str]:
        """What is wrong with an example, as `examples.check` says it."""
        limit = min(EXAMPLE, self._project.settings.hunt_limit)
        problems, error = self._call(examples.check, hunt, example, limit)
        return [error] if error else [_short(line) for line in problems]

    def mutations(self, hunt: Hunt, example: Example) -> list[Verdict]:
        """The verdicts on its mutations, as `mutations.check` gives them."""
        limit = self._project.settings.hunt_limit
        verdicts, error = self._call(mutations.check, hunt, example, limit)
        return [Verdict("all mutations", error)] if error else list(verdicts)

    def _call(
        self, work: Callable[..., Any], hunt: Hunt, example: Example, limit: timedelta
    ) -> tuple[Any, str]:
        words = format_duration(limit)
        if self._late[hunt.detection.id] >= _LATE_TWICE:
            return None, _NOT_TRIED.format(limit=words)
        memory, loaded = self._project.settings.memory_limit, self._project.content
        try:
            result = self._helper.call(
                work, loaded, hunt, example, memory=memory, seconds=limit.total_seconds()
            )
        except LateError:
            self._late[hunt.detection.id] += 1
            return None, _TOO_LONG.format(limit=words)
        except EndedError as error:
            return None, _short(str(error))
        return result, ""


def _short(line: str) -> str:
    """DuckDB's words for want of memory do not help; all others are kept."""
    signs = ("Out of Memory Error", "bad allocation", "needs more memory")
    return _TOO_LARGE if any(sign in line for sign in signs) else line
