"""YAML that people write, read into plain values: what nests, repeats or grows too far is refused.

PyYAML's own reader recurses for every level and makes cyclic values of an anchor that stands within
itself, which end a process; in its C code the same ends without an exception. So C code is stopped
where a text nests too far, and its nodes are measured before values are made of them. What is out
of bounds is read again by PyYAML's own reader, which is slower, to say where and why.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from contextlib import suppress
from itertools import chain
from typing import Any, ClassVar

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

# Far above what people write; what is below them is read in seconds.
MOST_LEVELS = 40
MOST_VALUES = 200_000
MOST_CHARACTERS = 10_000_000
_LONGEST_NUMBER = 100
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = frozenset(
    f"{_PREFIX}{kind}" for kind in "null bool int float timestamp str seq map".split()
)
_TIME = f"{_PREFIX}timestamp"
_WORDS = {
    f"{_PREFIX}{kind}": word
    for kind, word in {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
    }.items()
}

# libyaml makes other values of a `!` that stands alone and of a byte order mark within a text.
_READ_OTHERWISE = re.compile("[!\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.){2,}'|"(?:[^"\\]|\\.){2,}\"""", re.DOTALL)


class DocumentError(ValueError):
    """A YAML text that cannot be read; `line` counts from 1 and is 0 where none is known."""

    def __init__(self, line: int, reason: str) -> None:
        self.line, self.reason = line, reason
        super().__init__(reason)

    @property
    def bare(self) -> str:
        """What is wrong, without any text of the document longer than one character.

        >>> DocumentError(1, "duplicate key 'token': remove one").bare
        'duplicate key …: remove one'
        """
        return _QUOTED.sub("…", self.reason)


def load(text: str) -> Any:
    """What a YAML text holds: plain values, lists and mappings, none of them within itself.

    Raises:
        DocumentError: with the line and what is wrong there.

    >>> load("a: [1, x]")
    {'a': [1, 'x']}
    """
    if yaml.__with_libyaml__ and not _READ_OTHERWISE.search(text):
        with suppress(yaml.YAMLError, UnicodeEncodeError):  # PyYAML may read it, or says why not
            return _FastLoader(text).get_single_data()
    try:
        return _Loader(text).get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"holds the control character U+{_code(error):04X}: remove it"
        raise DocumentError(line, reason) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "is not YAML"
        if "another document" in reason:
            reason = "holds several documents: keep only the text before the line with ---"
        raise DocumentError(mark.line + 1 if mark else 0, reason) from error


def _code(error: yaml.reader.ReaderError) -> int:
    character = error.character
    return character if isinstance(character, int) else ord(str(character)[0])


class _Values(SafeConstructor):
    """Makes values of nodes; a key that is written twice is refused."""

    # The key None has what is called for an unknown tag.
    yaml_constructors: ClassVar = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (None, *sorted(_PLAIN))
    }

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # PyYAML lets through what Python says of a date or number that is none.
            reason = str(error) if node.tag == _TIME and isinstance(error, ValueError) else ""
            reason = reason or f"is not {_WORDS.get(node.tag, 'a date or time')}"
            raise _wrong(f"{reason}: correct it, or put it in quotes", node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise _wrong(f"duplicate key {_short(key.value)}: remove one", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Loader(Reader, Scanner, Parser, Composer, _Values, Resolver):
    """Reads with PyYAML's own reader, in bounds: it knows where and why a text is not YAML."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self.levels = 0
        # As if every alias were written out: they are, wherever a value is shown or stored.
        self.values = 0
        self.characters = 0
        # What a finished node holds, by its id; the others are still being read.
        self.held: dict[int, tuple[int, int]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self.held:
                raise _wrong(f"the anchor {event.anchor!r} contains itself: write it out", mark)
            self._grow(*self.held[id(node)], mark)
            return node
        if self.levels >= MOST_LEVELS:
            raise _wrong(f"is nested more than {MOST_LEVELS} deep: nest it less", mark)
        before = self.values, self.characters
        self.levels += 1
        node = super().compose_node(parent, index)
        self.levels -= 1
        length = 0
        if isinstance(node, yaml.ScalarNode):
            node.value = _whole(node)
            length = len(node.value)
        self._grow(1, length, mark)
        self.held[id(node)] = self.values - before[0], self.characters - before[1]
        return node

    def _grow(self, values: int, characters: int, mark: Any) -> None:
        self.values += values
        self.characters += characters
        if self.values > MOST_VALUES or self.characters > MOST_CHARACTERS:
            limits = f"{MOST_VALUES:,} values or {MOST_CHARACTERS:,} characters"
            raise _wrong(f"holds more than {limits}, aliases written out: write less", mark)


if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _FastLoader(CParser, _Values, Resolver):
        """Reads with libyaml, which makes the same nodes, and only what is within bounds.

        libyaml reads no surrogates.
        """

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)
            self.levels = 0
            # Without anchors a text holds about as many values as characters at most.
            self.may_grow = "&" in text or len(text) > MOST_VALUES

        def get_single_node(self) -> Any:
            node = super().get_single_node()
            if node is not None and self.may_grow:
                _measure(node, {})
            return node

        def descend_resolver(self, *_: Any) -> None:
            self.levels += 1
            if self.levels > MOST_LEVELS:
                raise yaml.YAMLError

        def ascend_resolver(self) -> None:
            self.levels -= 1

        def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
            tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
            if kind is yaml.ScalarNode and _is_too_long(tag, value):
                raise yaml.YAMLError
            return tag


def _measure(node: Any, held: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Values and characters of a node, as if every alias were written out.

    Args:
        node: it nests `MOST_LEVELS` deep at most.
        held: what was measured, by the id of a node; None for a node that is being measured.

    Raises:
        yaml.YAMLError: when it holds too much, or contains itself.
    """
    if id(node) in held:
        sizes = held[id(node)]
        if sizes is None:
            raise yaml.YAMLError
        return sizes
    held[id(node)] = None
    values, characters = 1, 0
    parts: Iterable[Any] = node.value
    if isinstance(node, yaml.ScalarNode):
        parts, characters = (), len(node.value)
    elif isinstance(node, yaml.MappingNode):
        parts = chain.from_iterable(node.value)
    for part in parts:
        more = _measure(part, held)
        values, characters = values + more[0], characters + more[1]
    if values > MOST_VALUES or characters > MOST_CHARACTERS:
        raise yaml.YAMLError
    held[id(node)] = values, characters
    return values, characters


def _is_too_long(tag: str, value: str) -> bool:
    """For a number or date: Python takes long to make one."""
    return len(value) > _LONGEST_NUMBER and tag != f"{_PREFIX}str"


def _whole(node: yaml.ScalarNode) -> str:
    """The text of a value, with the surrogates of each pair joined, as in JSON."""
    if _is_too_long(node.tag, node.value):
        reason = f"is a number or date of {len(node.value)} characters: put it in quotes"
        raise _wrong(reason, node.start_mark)
    value = str(node.value)
    if not _SURROGATE.search(value):
        return value
    try:
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        reason = "holds half of a character (a surrogate such as \\uD800): write the whole one"
        raise _wrong(reason, node.start_mark) from error


def _short(value: str) -> str:
    return repr(value if len(value) <= _LONGEST_NUMBER else value[:_LONGEST_NUMBER] + "…")


def _wrong(reason: str, mark: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, reason, mark)
