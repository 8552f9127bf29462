"""Which cmdlets a Windows command line runs, beside those that it only names.

A cmdlet runs where PowerShell expects a command: at the start of the text that a shell is handed,
behind `;`, `|`, `&`, a line end, an opening bracket, `=` or a keyword. As the argument of another
command or in a string it is a word, except where the line also runs its own words: with
Invoke-Expression, a call of a variable, an alias, a script block made from text, a pipe into a
shell. Then its words count too, but for those that a command looks up or searches for.

When it is not clear, it counts as running. Nothing is executed, and the work grows with the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from gundog.detections import cmdlet_words, command_lines, shells

# Shells within shells and strings within strings; below that every name counts.
_DEPTH = 8


@dataclass(frozen=True)
class Run:
    """A cmdlet in lower case, and what stands behind it up to the next one."""

    name: str
    arguments: str


def run_by(line: str) -> tuple[Run, ...]:
    """The cmdlets that a shell's command line runs, in the order of its text.

    Left out are those that it looks up, searches for, writes about, or tries with -WhatIf.

    Args:
        line: a process's raw command line; disguises are undone here.

    >>> [one.name for one in run_by("powershell Get-Help New-Item; Remove-Item a")]
    ['get-help', 'remove-item']
    """
    code = shells.code_of_process(command_lines.plain_lines(line))
    return tuple(_read(code, 0).runs)


@dataclass(frozen=True)
class _Reading:
    """What reading a text gave, and whether it runs its own words."""

    runs: list[Run]
    executes: bool = False


@dataclass(frozen=True)
class _Place:
    """A cmdlet at its place in a text; behind `end` its arguments go on."""

    start: int
    end: int | None
    name: str
    arguments: str = ""


@dataclass
class _Command:
    """A command whose arguments are being read."""

    name: str
    place: _Place | None = None
    is_tried: bool = False


@dataclass
class _Level:
    """A bracket that is open: what is being read in it, and what is expected next.

    `owner` is the command around it whose argument it is.
    """

    opener: str = ""
    owner: str = ""
    command: _Command | None = None
    expects_command: bool = True
    called: str = ""
    is_piped: bool = False
    is_compared: bool = False

    @property
    def by(self) -> str:
        """The name of the command to which a word here belongs, or nothing."""
        return self.command.name if self.command else self.owner


@dataclass(frozen=True)
class _Said:
    """A word or a string that is not a command by itself."""

    start: int
    end: int
    text: str
    owner: str
    is_string: bool


@dataclass
class _Reader:
    """A text that is being read."""

    text: str
    depth: int
    is_executed: bool
    levels: list[_Level] = field(default_factory=lambda: [_Level()])
    places: list[_Place] = field(default_factory=list)
    said: list[_Said] = field(default_factory=list)
    executes: bool = False
    calls: bool = False


def _read(text: str, depth: int, *, is_executed: bool = False) -> _Reading:
    """The cmdlets that a text runs as PowerShell; with `is_executed` also those in its strings."""
    if depth > _DEPTH:
        return _Reading([Run(name.lower(), "") for name in cmdlet_words.NAMES.findall(text)])
    reader, at = _Reader(text, depth, is_executed), 0
    while at < len(text):
        token = cmdlet_words.TOKEN.match(text, at)
        assert token  # noqa: S101 - it matches any character, for the type checker
        at = _STEPS[token.lastgroup or "mark"](reader, token)
    for level in reader.levels:
        _finish(reader, level)
    if cmdlet_words.CALLS_TEXT.search(text):
        reader.executes = reader.calls = True
    if cmdlet_words.KEEPS_TEXT.search(text) or (
        cmdlet_words.WRITES.search(text) and cmdlet_words.WRITTEN.search(text)
    ):
        reader.executes = True
    if reader.executes or is_executed:
        _execute(reader)
    return _Reading(list(_arranged(reader)), reader.executes)


def _arranged(reader: _Reader) -> Iterator[Run]:
    """What was found in the order of the text, each with what stands between it and the next."""
    end = _Place(len(reader.text), None, "")
    places = sorted(reader.places, key=lambda place: place.start)
    for place, following in pairwise([*places, end]):
        tail = "" if place.end is None else reader.text[place.end : following.start]
        yield Run(place.name, place.arguments + tail.rstrip())


def _execute(reader: _Reader) -> None:
    """Takes words and strings for code, but for what a command only looks for."""
    for said in reader.said:
        if cmdlet_words.asks(said.owner) and not (
            reader.calls and said.owner in ("gcm", "get-command")
        ):
            continue
        if said.is_string:
            inner = _read(said.text, reader.depth + 1, is_executed=True)
            _take(reader, said.start, said.end, inner)
        else:
            names = [name.lower() for name in cmdlet_words.NAMES.findall(said.text)]
            _take(reader, said.start, said.end, _Reading([Run(name, "") for name in names]))


def _take(reader: _Reader, start: int, end: int, inner: _Reading) -> None:
    """Adds what was found in a part of the text."""
    reader.executes = reader.executes or inner.executes
    for number, run in enumerate(inner.runs, 1):
        behind = end if number == len(inner.runs) else None
        reader.places.append(_Place(start, behind, run.name, run.arguments))


def _finish(reader: _Reader, level: _Level) -> None:
    """Ends the command of a level."""
    if level.command and level.command.place and not level.command.is_tried:
        reader.places.append(level.command.place)
    level.command = None


def _on_blank(_: _Reader, token: re.Match[str]) -> int:
    return token.end()


def _on_end(reader: _Reader, token: re.Match[str]) -> int:
    level = reader.levels[-1]
    _finish(reader, level)
    level.expects_command, level.is_compared = True, False
    level.called = "&" if token[0] == "&" else ""
    level.is_piped = token[0] == "|"
    return token.end()


def _on_open(reader: _Reader, token: re.Match[str]) -> int:
    level = reader.levels[-1]
    if level.expects_command and level.called == "&" and token[0].endswith("("):
        reader.executes = reader.calls = True
    owner = level.by if token[0].endswith("(") else ""
    level.expects_command, level.called, level.is_compared = False, "", False
    reader.levels.append(_Level(token[0], owner))
    return token.end()


def _on_close(reader: _Reader, token: re.Match[str]) -> int:
    _finish(reader, reader.levels[-1])
    if len(reader.levels) == 1:
        reader.levels[0].expects_command = False
        return token.end()
    reader.levels.pop()
    level = reader.levels[-1]
    level.expects_command = level.command is None
    return token.end()


def _on_mark(reader: _Reader, token: re.Match[str]) -> int:
    level = reader.levels[-1]
    if token[0] == "=" and (level.command is None or level.opener == "@{"):
        _finish(reader, level)
        level.expects_command, level.called = True, ""
    return token.end()


def _on_string(reader: _Reader, token: re.Match[str]) -> int:
    level, content = reader.levels[-1], token[0][1:-1]
    if level.expects_command:
        level.expects_command = False
        if shells.is_shell(content):
            return _start_shell(reader, level, token)
        if level.called:
            return _call_string(reader, level, token, content)
    if token[0][0] == '"' and "$(" in content:
        code = content.partition("$(")[2]
        _take(reader, token.start(), token.end(), _read(code, reader.depth + 1))
    inside = shells.inside(content)
    if level.is_compared:
        level.is_compared = False
    elif shells.is_shell(content) and not cmdlet_words.asks(level.by):
        return _start_shell(reader, level, token)
    elif inside and not cmdlet_words.asks(level.by) and not cmdlet_words.tells(level.by):
        inner = _read(inside, reader.depth + 1, is_executed=reader.is_executed)
        _take(reader, token.start(), token.end(), inner)
    elif cmdlet_words.NAMES.search(content):
        reader.said.append(_Said(token.start(), token.end(), content, level.by, is_string=True))
    return token.end()


def _call_string(reader: _Reader, level: _Level, token: re.Match[str], content: str) -> int:
    """A string behind `&`, `.` or a script's name is a command."""
    if content.startswith("$") and not cmdlet_words.SCRIPT.search(content.lower()):
        reader.executes = reader.calls = True
    else:
        _open_command(reader, level, token, content.strip().lower())
    return token.end()


def _on_word(reader: _Reader, token: re.Match[str]) -> int:
    level, word = reader.levels[-1], token[0].lower()
    if level.expects_command:
        return _on_command(reader, level, token, word.lstrip("@"))
    if level.command and cmdlet_words.TRIED.match(reader.text, token.start()):
        level.command.is_tried = True
    elif cmdlet_words.COMPARES.fullmatch(word):
        level.is_compared = True
    elif word == "in" and level.command is None:
        level.expects_command = True
    elif (
        shells.is_program(word)
        and not cmdlet_words.asks(level.by)
        and not cmdlet_words.tells(level.by)
    ):
        return _start_shell(reader, level, token)
    else:
        if cmdlet_words.NAMES.search(word) and not level.is_compared:
            reader.said.append(_Said(token.start(), token.end(), word, level.by, is_string=False))
        level.is_compared = False
    return token.end()


def _on_command(reader: _Reader, level: _Level, token: re.Match[str], word: str) -> int:
    """A word where a command is expected."""
    if word in cmdlet_words.KEYWORDS or not word:
        level.called = ""
        return token.end()
    if word == ".":
        level.called = "&"
        return token.end()
    level.expects_command = False
    if word.startswith(".$"):
        level.called, word = "&", word[1:]
    if shells.is_shell(word):
        return _start_shell(reader, level, token)
    if word[0] == "$" or cmdlet_words.FROM_CMD.match(word):
        is_call = level.called == "&" or word[0] != "$"
        is_kept = cmdlet_words.SCRIPT.search(word) or cmdlet_words.ASSIGNED.match(
            reader.text, token.end()
        )
        if is_call and not is_kept:
            reader.executes = reader.calls = True
    elif word[0] not in "-/[+!0123456789":
        _open_command(reader, level, token, word)
    return token.end()


def _open_command(reader: _Reader, level: _Level, token: re.Match[str], word: str) -> None:
    """Begins a command; behind a script's name its first argument is taken for one too."""
    name = word.rpartition("\\")[2]
    if cmdlet_words.SCRIPT.search(name):
        level.command = _Command(name)
        level.expects_command, level.called = True, "script"
        return
    if cmdlet_words.CMDLET.fullmatch(name):
        level.command = _Command(name, _Place(token.start(), token.end(), name))
    else:
        level.command = _Command(name)
        if cmdlet_words.NAMES.search(word):
            reader.said.append(_Said(token.start(), token.end(), word, "", is_string=False))
    reader.executes = reader.executes or name in cmdlet_words.RUNS_TEXT


def _start_shell(reader: _Reader, level: _Level, token: re.Match[str]) -> int:
    """Reads what a shell is handed, up to the end of the command that starts it."""
    if level.is_piped and level.command is None:
        reader.executes = True
    end = _end_of_command(reader.text, token.end())
    code = shells.code(token[0], reader.text[token.end() : end])
    inner = _read(code, reader.depth + 1, is_executed=reader.is_executed)
    _take(reader, token.start(), end, inner)
    return end


def _end_of_command(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        token = cmdlet_words.TOKEN.match(text, at)
        assert token  # noqa: S101 - it matches any character, for the type checker
        if token.lastgroup == "open":
            depth += 1
        elif not depth and token.lastgroup in ("end", "close"):
            break
        elif token.lastgroup == "close":
            depth -= 1
        at = token.end()
    return at


_STEPS = {
    "blank": _on_blank,
    "end": _on_end,
    "open": _on_open,
    "close": _on_close,
    "string": _on_string,
    "word": _on_word,
    "mark": _on_mark,
}
