"""Reading the YAML that people write: every problem is collected, none stops the reading."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from gundog.core import documents, text_files
from gundog.core.documents import DocumentError
from gundog.core.errors import InputError, Problem
from gundog.core.times import DAY, format_duration, parse_duration

# Longer ones are not texts that people read.
LONGEST = 10_000
# Numbers as large as anything that is counted here.
LARGEST = 1e12
YEAR = timedelta(days=365)
# No detection looks further; what adds such spans to a date stays in the calendar.
MOST = 10 * YEAR
_LONGEST_SHOWN = 100
_NO_NAME = re.compile(r"[^\w .-].*|(?<=.{100}).+", re.DOTALL)
# A list grows by one command after another, and may hold long texts of events.
_MOST_LISTED = 10_000_000


def read_yaml(
    path: Path, shown: str, problems: list[Problem], secret: bool = False
) -> dict[str, Any]:
    """The mapping a YAML file holds; empty, with a problem noted, when it holds none.

    With `secret` the problem has no text of the file.
    """
    data = _parsed(path, shown, problems, {}, secret=secret)
    if not isinstance(data, dict):
        held = "nothing" if data is None else f"a {type(data).__name__}"
        problems.append(Problem(shown, "", f"holds {held}: write keys and values"))
        return {}
    return data


def read_list(path: Path, shown: str, problems: list[Problem]) -> list[Any]:
    """The list a YAML file holds; empty when it holds nothing, or with a problem noted."""
    data = _parsed(path, shown, problems, [], _MOST_LISTED)
    if data is not None and not isinstance(data, list):
        held = f"a {type(data).__name__}"
        problems.append(Problem(shown, "", f"holds {held}: begin each entry with '- '"))
        return []
    return data or []


def _parsed(
    path: Path,
    shown: str,
    problems: list[Problem],
    default: Any,
    most: int = text_files.MOST_BYTES,
    secret: bool = False,
) -> Any:
    try:
        return documents.load(text_files.read(path, most))
    except DocumentError as error:
        where = f"line {error.line}" if error.line else ""
        problems.append(
            Problem(shown, where, f"cannot be read: {error.bare if secret else error.reason}")
        )
    except InputError as error:
        problems.append(Problem(shown, "", str(error)))
    return default


def brief(value: Any) -> str:
    """A value as a message shows it.

    >>> brief("soon"), len(brief("x" * 5000))
    ("'soon'", 101)
    """
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def brief_name(value: Any) -> str:
    """A key, or a text without its quotes, as a message shows it."""
    text = value if isinstance(value, str) else brief(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def plain_key(key: str) -> str:
    """A key without what no name holds: it may be an address with a password.

    >>> plain_key("lake.Device.path"), plain_key("lake.https://hooks.example/token")
    ('lake.Device.path', 'lake.https…')
    """
    return _NO_NAME.sub("…", key)


def bounds(least: timedelta, most: timedelta) -> str:
    """What to write for a duration that must lie in [least, most].

    >>> bounds(timedelta(minutes=5), 10 * YEAR)
    'write at least 5m and at most 3650d (10 years)'
    """
    low = f"at least {format_duration(least)} and " if least else ""
    years = f" ({most // YEAR} years)" if most >= YEAR else ""
    return f"write {low}at most {format_duration(most)}{years}"


def _kind(value: Any) -> str:
    """What a value is, in words that say nothing of it."""
    if isinstance(value, (bool, int, float)) or value is None:
        return brief(value)
    for kind, words in ((str, "a text"), (list, "a list"), (dict, "keys and values")):
        if isinstance(value, kind):
            return words
    return "a date or time"


class Fields:
    """A mapping from a YAML file whose values are taken out one by one, typed.

    A value that is missing or of the wrong type leaves a problem and yields the default, so that
    one reading names everything that is wrong. With `secret` no problem has a text of the file,
    apart from names: any value may be a password that stands in the wrong place. Texts have a limit
    where they are `bounded`, and not where they are what events and people say.
    """

    def __init__(
        self,
        data: Any,
        path: str,
        problems: list[Problem],
        prefix: str = "",
        allowed: Collection[str] = (),
        secret: bool = False,
        bounded: bool = True,
    ) -> None:
        self.path, self.problems, self.prefix = path, problems, prefix
        self.secret, self.bounded = secret, bounded
        self.data: Mapping[Any, Any] = data if isinstance(data, dict) else {}
        if not isinstance(data, dict):
            self.problem("", f"holds {self.said(data)}: write keys and values")
        for number, key in enumerate(self.data, 1):
            if allowed and key not in allowed:
                self._unknown_key(number, key, allowed)

    def _unknown_key(self, number: int, key: Any, allowed: Collection[str]) -> None:
        name, reason = brief_name(key), unknown(brief_name(key), allowed, "key", self.secret)
        if self.secret and not reason.endswith("?"):  # it is like none: it may be anything
            self.problem("", f"key {number} of {len(self.data)}: {reason}")
        else:
            self.problem(name, reason)

    def said(self, value: Any) -> str:
        """A value as a problem shows it."""
        return _kind(value) if self.secret else brief(value)

    def problem(self, key: str, reason: str) -> None:
        """Notes a problem with the value of `key`."""
        name = ".".join(part for part in (self.prefix, key) if part)
        self.problems.append(Problem(self.path, plain_key(name) if self.secret else name, reason))

    def _take(self, key: str, types: type | tuple[type, ...], want: str, default: Any) -> Any:
        value = self.data.get(key)
        if value is None:
            if default is ...:
                self.problem(key, f"is missing: write {want}")
            return None if default is ... else default
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in _tuple(types)):
            self.problem(key, f"is {self.said(value)}: write {want}")
            return None if default is ... else default
        return value

    def text(self, key: str, default: Any = ...) -> str:
        """A text; ends are stripped, and one that must be there is not empty."""
        value = self._take(key, str, "a text", default)
        self._check_text(key, value)
        if default is ... and isinstance(value, str) and not value.strip():
            self.problem(key, "is empty: write a text")
        return value.strip() if isinstance(value, str) else value or ""

    def texts(self, key: str, default: Any = ()) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one, and one that must be there has any."""
        value = self._take(key, (list, str), "a list of texts", default)
        texts = [value] if isinstance(value, str) else list(value or ())
        if not all(isinstance(text, str) for text in texts):
            self.problem(key, f"is {self.said(value)}: write a list of texts")
            return ()
        for text in texts:
            self._check_text(key, text)
        if default is ... and value is not None and not any(text.strip() for text in texts):
            self.problem(key, "is empty: write a list of texts")
        return tuple(text.strip() for text in texts)

    def _check_text(self, key: str, value: Any) -> None:
        if not self.bounded:
            return
        if isinstance(value, str) and len(value) > LONGEST:
            reason = f"has {len(value):,} characters: write at most {LONGEST:,}"
            self.problem(key, reason)
        elif isinstance(value, str) and "\0" in value:
            self.problem(key, "holds the character U+0000: remove it")

    def integer(self, key: str, default: Any, low: int, high: int) -> Any:
        """A whole number in [low, high]."""
        value = self._take(key, int, f"a whole number from {low} to {high}", default)
        if isinstance(value, int) and not low <= value <= high:
            self.problem(key, f"is {value}: write a whole number from {low} to {high}")
        return value

    def number(self, key: str, default: Any = None) -> float | None:
        """A number above zero."""
        value = self._take(key, (int, float), "a number", default)
        if value is None:
            return None
        if not 0 < value <= LARGEST:
            limit = f" and at most {LARGEST:,.0f}" if LARGEST < value < math.inf else ""
            self.problem(key, f"is {brief(value)}: write a number above 0{limit}")
            return None
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        return bool(self._take(key, bool, "true or false", default))

    def choice(self, key: str, choices: Collection[str], default: Any = ...) -> str:
        """One of `choices`, in any case."""
        value = self.text(key, default)
        folded = {choice.lower(): choice for choice in choices}
        if value.lower() not in folded and (value or default is not ...):
            self.problem(key, unknown(value, choices, "value", self.secret))
        return folded.get(value.lower(), value)

    def duration(
        self,
        key: str,
        default: timedelta | None = None,
        least: timedelta = timedelta(),
        most: timedelta = MOST,
    ) -> timedelta:
        """A duration such as 24h or 7d, in [least, most]."""
        value = self.data.get(key)
        if value is None and default is not None:
            return default
        try:
            span = parse_duration("" if value is None else brief_name(value))
        except InputError as error:
            shown, wrong, rest = str(error).rpartition("is not a duration")
            self.problem(key, f"{'' if self.secret else shown}{wrong}{rest}")
            return default or DAY
        if not least <= span <= most:
            self.problem(key, f"is {brief_name(value)}: {bounds(least, most)}")
            return default or DAY
        return span

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping; empty when absent."""
        return dict(self._take(key, dict, "keys and values", {}))

    def items(self, key: str) -> list[Any]:
        """A list; empty when absent."""
        return list(self._take(key, list, "a list", []))

    def inner(self, key: str, allowed: Collection[str], data: Any = None) -> Fields:
        """The fields of a nested mapping."""
        prefix = ".".join(part for part in (self.prefix, key) if part)
        nested = self.data.get(key) if data is None else data
        return Fields(nested, self.path, self.problems, prefix, allowed, self.secret, self.bounded)


def _tuple(types: type | tuple[type, ...]) -> tuple[type, ...]:
    return types if isinstance(types, tuple) else (types,)


def unknown(name: str, allowed: Collection[str], kind: str, secret: bool = False) -> str:
    """The sentence for a name nobody knows, with the nearest one that is known.

    With `secret` the name is not in it.

    >>> unknown("freqency", ["frequency", "lookback"], "key")
    'unknown key: did you mean frequency?'
    """
    texts, name = [str(value) for value in allowed], brief_name(name)
    near = difflib.get_close_matches(name.lower(), [text.lower() for text in texts], n=1)
    if near:
        match = next(text for text in texts if text.lower() == near[0])
        return f"unknown {kind}: did you mean {match}?"
    shown = "" if secret else f" {name!r}"
    return f"unknown {kind}{shown}: use one of {', '.join(sorted(texts))}"
