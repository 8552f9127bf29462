"""What a shell is handed to run: the code in the arguments of cmd.exe and PowerShell."""

from __future__ import annotations

import re

_NAME = r"(?:cmd|powershell|pwsh|powershell_ise)(?:\.exe)?"
_SHELL = re.compile(rf"(?:.*[\\/])?{_NAME}", re.IGNORECASE | re.DOTALL)
# Among arguments a folder called powershell is none.
_PROGRAM = re.compile(rf"{_NAME}|.*[\\/]{_NAME}(?<=\.exe)", re.IGNORECASE | re.DOTALL)
_CMD = re.compile(r"(?:.*[\\/])?cmd(?:\.exe)?", re.IGNORECASE | re.DOTALL)
_INSIDE = re.compile(rf"(?:^|[\s\"'\\/=(;&|])({_NAME}[\"']?\s+\S)", re.IGNORECASE)
_CMDLET = re.compile(r"[a-z]+-\w+", re.IGNORECASE)
_FIRST = re.compile(r"\s*(?:\"([^\"]*)\"|([^\s\"'($@{\[&][^\s\"]*))")

_SWITCH = re.compile(
    r"[\s,@(]*([\"'])[-/]+([a-z]+)\1|[\s,@(\"']*[-/]+([a-z]+)(?::[^\s\"']*)?", re.IGNORECASE
)
_CMD_SWITCH = re.compile(r"[\s\"]*/([a-z])(?::\S*)?", re.IGNORECASE)
_VALUE = re.compile(r"[\s,]*(?:\"[^\"]*\"|'[^']*'|[^\s\"',]+)")
_WITH_VALUE = (
    "executionpolicy ep windowstyle version psconsolefile inputformat if outputformat of"
    " configurationname configurationfile workingdirectory wd custompipename settingsfile"
    " encodedarguments ea"
).split()
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_QUOTES = re.compile(r"\\\"|\"\"|\"")
# Between the quotes of a search stand words and bars: a pattern, and no pipe.
_PATTERN = re.compile(
    r"((?:match|pattern|findstr|sls|select-string)(?:\s+/\w+)*\s+)"
    r"\"([^\"'\s;&|]+(?:\|[^\"'\s;&|]+)+)\"",
    re.IGNORECASE,
)


def is_shell(word: str) -> bool:
    """True for the name or the path of cmd.exe or a PowerShell.

    >>> is_shell(r"c:\\windows\\system32\\cmd"), is_shell("cmdkey")
    (True, False)
    """
    return _SHELL.fullmatch(word.strip()) is not None


def is_program(word: str) -> bool:
    """The same for a word among arguments, where only a name or a path with .exe is one."""
    return _PROGRAM.fullmatch(word) is not None


def inside(text: str) -> str:
    """The part of a text that begins with a shell and what it is handed; nothing without.

    >>> inside("cmd.exe /c powershell dir")
    'powershell dir'
    """
    match = _INSIDE.search(text)
    return "" if match is None else code_of_process(text[match.start(1) :])


def code_of_process(line: str) -> str:
    """What a shell's whole command line, the shell's own name first, gives it to run.

    A first word that is a cmdlet is not a name of a shell, whatever a renamed one is called.
    """
    first = _FIRST.match(line)
    if first is None or _CMDLET.fullmatch(first[1] or first[2] or ""):
        return line
    return code(first[1] or first[2] or "", line[first.end() :])


def code(shell: str, arguments: str) -> str:
    """What a shell is given to run.

    Args:
        shell: its name or path; any other name is taken for a PowerShell that was renamed.
        arguments: all that stands behind it.

    >>> code("powershell.exe", '-NoP -Command "dir; ls"')
    'dir; ls'
    """
    if _CMD.fullmatch(shell.strip(" \"'")):
        return _code_of_cmd(arguments)
    return _code_of_powershell(arguments)


def _code_of_cmd(arguments: str) -> str:
    at = 0
    while switch := _CMD_SWITCH.match(arguments, at):
        if switch[1].lower() in "ckr":
            at = switch.end(1)
            break
        at = switch.end()
    text = arguments[at:].strip()
    if not text.startswith('"'):
        return text
    # Like cmd.exe: the first quote and the last one go.
    head, _, tail = text[1:].rpartition('"')
    return head + tail


def _code_of_powershell(arguments: str) -> str:
    at = 0
    while switch := _SWITCH.match(arguments, at):
        name, at = (switch[2] or switch[3]).lower(), switch.end()
        if name == "ec" or "encodedcommand".startswith(name):
            return arguments[at:].strip(" \"'\n")
        if "command".startswith(name) or name in ("k", "r"):
            break
        if "file".startswith(name):
            return _behind_script(arguments, at)
        if any(option.startswith(name) for option in _WITH_VALUE):
            value = _VALUE.match(arguments, at)
            at = value.end() if value else at
    return _unquoted(arguments[at:])


def _behind_script(arguments: str, at: int) -> str:
    """A script's arguments where they begin with no switch, for it may run them."""
    script = _VALUE.match(arguments, at)
    rest = arguments[script.end() :].lstrip() if script else ""
    return "" if rest.startswith(("-", "/")) else _unquoted(rest)


def _unquoted(text: str) -> str:
    """The text as the program gets it, without the quotes of the command line."""
    text = text.strip(" ,\n")
    if text.startswith("'"):
        text = _SINGLE.sub(lambda match: match[1].replace("''", "'"), text, count=1).lstrip("'")
    is_quoted = False

    def unquote(match: re.Match[str]) -> str:
        nonlocal is_quoted
        if match[0] == '\\"' or (is_quoted and match[0] == '""'):
            return '"'
        if match[0] == '"':
            is_quoted = not is_quoted
        return ""

    return _QUOTES.sub(unquote, _PATTERN.sub(r"\1'\2'", text))
