"""What the readers of YAML ask for, written down as JSON Schema.

A `Recorder` reads like `Fields` and notes each value that a reader takes: its type, its choices,
its bounds, and whether it may be missing. So the schema is made by the code that checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from gundog.core.errors import Problem
from gundog.core.fields import LARGEST, LONGEST, MOST, Fields

# What a sample of a file has where people choose a name, such as that of a table.
NAME = "NAME"
DURATION = r"^\s*((\d+(us|ms|s|m|h|d|w))+|P(?=.)(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)\s*$"
_NOT_BLANK = r"\S"
_Path = tuple[str | int, ...]


@dataclass
class Shape:
    """What readers ask of one place of a file.

    Attributes:
        types: JSON's names of the types that are taken; empty where no reader asked.
        words: other keywords of JSON Schema.
        required: keys that must be there.
        inner: the shapes of keys; of `NAME` for keys of any name.
        item: the shape of each item of a list.
    """

    types: set[str] = field(default_factory=set)
    words: dict[str, Any] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    inner: dict[str, Shape] = field(default_factory=dict)
    item: Shape | None = None

    def at(self, path: Iterable[str]) -> Shape:
        """The shape below this one; a number in the path stands for any item of a list."""
        shape = self
        for part in path:
            if part.isdecimal():
                shape.item = shape.item or Shape()
                shape = shape.item
            else:
                shape = shape.inner.setdefault(part, Shape())
        return shape

    def schema(self) -> dict[str, Any]:
        """This place and all below it as JSON Schema."""
        schema: dict[str, Any] = {"type": sorted(self.types)} if self.types else {}
        schema |= self.words
        named = {key: shape.schema() for key, shape in self.inner.items() if key != NAME}
        if named or "properties" in schema:
            schema["properties"] = dict(sorted({**schema.get("properties", {}), **named}.items()))
        if NAME in self.inner:
            schema.setdefault("additionalProperties", self.inner[NAME].schema())
        if self.item:
            schema.setdefault("items", self.item.schema())
        if self.required:
            schema["required"] = sorted(self.required)
        return schema


class Recorder(Fields):
    """Fields of a sample that note what their reader asks for, in `shape`."""

    def __init__(
        self,
        data: Any,
        shape: Shape,
        problems: list[Problem],
        prefix: str = "",
        allowed: Collection[str] = (),
        bounded: bool = True,
    ) -> None:
        super().__init__(data, "sample", problems, prefix, allowed, bounded=bounded)
        self.shape = shape
        shape.types.add("object")
        if allowed:
            shape.words["additionalProperties"] = False
            shape.words.setdefault("properties", {}).update(dict.fromkeys(allowed, True))

    def _note(self, key: str, types: str, **words: Any) -> Shape:
        shape = self.shape.at(key.split("."))
        shape.types |= {*types.split()}
        shape.words |= words
        return shape

    def _limits(self, is_required: bool) -> dict[str, Any]:
        limits: dict[str, Any] = {"maxLength": LONGEST} if self.bounded else {}
        return limits | ({"pattern": _NOT_BLANK} if is_required else {})

    def text(self, key: str, default: Any = ...) -> str:
        self._note(key, "string", **self._limits(default is ...))
        return super().text(key, default)

    def texts(self, key: str, default: Any = ()) -> tuple[str, ...]:
        limits = self._limits(default is ...)
        items: dict[str, Any] = {"contains": {"pattern": _NOT_BLANK}} if default is ... else {}
        shape = self._note(key, "array string", **limits, **items)
        shape.at(["0"]).types.add("string")
        shape.at(["0"]).words |= self._limits(False)
        return super().texts(key, default)

    def integer(self, key: str, default: Any, low: int, high: int) -> Any:
        self._note(key, "integer", minimum=low, maximum=high)
        return super().integer(key, default, low, high)

    def number(self, key: str, default: Any = None) -> float | None:
        self._note(key, "number", exclusiveMinimum=0, maximum=LARGEST)
        return super().number(key, default)

    def flag(self, key: str, default: bool) -> bool:
        self._note(key, "boolean")
        return super().flag(key, default)

    def choice(self, key: str, choices: Collection[str], default: Any = ...) -> str:
        self._note(key, "string", anyOf=one_of(choices))
        return Fields(self.data, self.path, self.problems).choice(key, choices, default)

    def duration(
        self,
        key: str,
        default: timedelta | None = None,
        least: timedelta = timedelta(),
        most: timedelta = MOST,
    ) -> timedelta:
        self._note(key, "string", pattern=DURATION)
        return super().duration(key, default, least, most)

    def mapping(self, key: str) -> dict[str, Any]:
        self._note(key, "object")
        return super().mapping(key)

    def items(self, key: str) -> list[Any]:
        self._note(key, "array")
        return super().items(key)

    def inner(self, key: str, allowed: Collection[str], data: Any = None) -> Recorder:
        prefix = ".".join(part for part in (self.prefix, key) if part)
        nested = self.data.get(key) if data is None else data
        shape = self.shape.at(part for part in key.split(".") if part)
        return Recorder(nested, shape, self.problems, prefix, allowed, self.bounded)


# Reads a sample with a `Recorder` of the shape; its problems go to the list.
Read = Callable[[Any, Shape, list[Problem]], object]


def one_of(choices: Collection[str]) -> list[dict[str, Any]]:
    """Choices as an editor offers them, and as they are taken: in any case.

    >>> one_of(["low"])
    [{'enum': ['low']}, {'pattern': '^\\\\s*([lL][oO][wW])\\\\s*$'}]
    """
    return [
        {"enum": [*choices] if isinstance(choices, (list, tuple)) else sorted(choices)},
        {"pattern": rf"^\s*({'|'.join(any_case(choice) for choice in choices)})\s*$"},
    ]


def any_case(text: str) -> str:
    """A pattern for a text in any case; JSON Schema has no flag for that.

    >>> any_case("no-1")
    '[nN][oO]\\\\-1'
    """
    letters = (
        f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else re.escape(letter)
        for letter in text
    )
    return "".join(letters)


def recorded(read: Read, samples: Sequence[Any]) -> Shape:
    """What a reader asks of samples that together have every key in every form it may have.

    A key must be there if the reader has a problem with each sample that lacks it, and it may be
    null if the reader takes a sample where it is.

    Raises:
        ValueError: when the reader has a problem with a sample, so that it may not ask for all.
    """
    shape, needed, nullable = Shape(), dict[_Path, bool](), set[_Path]()
    for sample in samples:
        problems: list[Problem] = []
        read(sample, shape, problems)
        if problems:
            raise ValueError(f"a sample is wrong: {problems[0]}")
        for path in _paths(sample):
            place = tuple(0 if isinstance(part, int) else part for part in path)
            lacks = not _takes(read, _changed(sample, path))
            needed[place] = needed.get(place, True) and lacks
            if _takes(read, _changed(sample, path, None)):
                nullable.add(place)
    for path, is_needed in needed.items():
        inner = shape.at(map(str, path))
        if path in nullable and inner.types:
            inner.types.add("null")
        if is_needed and isinstance(path[-1], str) and path[-1] != NAME:
            shape.at(map(str, path[:-1])).required.add(path[-1])
    return shape


def _takes(read: Read, sample: Any) -> bool:
    problems: list[Problem] = []
    read(sample, Shape(), problems)
    return not problems


def _paths(value: Any, above: _Path = ()) -> Iterator[_Path]:
    """The place of each value in a mapping or list, and in those within."""
    if isinstance(value, dict):
        items: Iterable[tuple[Any, Any]] = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from _paths(inner, (*above, key))


def _changed(value: Any, path: _Path, new: Any = ...) -> Any:
    """A copy with another value at one place; with none there is nothing there."""
    key, *rest = path
    if isinstance(value, dict):
        kept = {
            name: inner for name, inner in value.items() if name != key or new is not ... or rest
        }
    else:
        kept = {
            place: inner
            for place, inner in enumerate(value)
            if place != key or new is not ... or rest
        }
    if rest:
        kept[key] = _changed(value[key], tuple(rest), new)
    elif new is not ...:
        kept[key] = new
    return kept if isinstance(value, dict) else list(kept.values())
