"""Undoes what hides a command on a Windows command line, for cmd.exe and PowerShell.

Every step shortens the text or replaces a character outside ASCII by one inside it, so repeating
all of them ends, and the result is never longer than the input. Nothing is executed or guessed:
variables, format operators and reversed strings stay as they are.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

_BLANK = r"[\x09-\x0d\x1c-\x20]"
_WORD = r"[0-9A-Za-z_-]"

# PowerShell takes every prefix of -EncodedCommand, and -ec; -ea and -encodeda mean its arguments.
_FLAG_REST = "".join(f"(?:{letter}" for letter in "ncodedcommand") + ")?" * len("ncodedcommand")
_FLAG = rf"(?i:e(?:c|{_FLAG_REST}))"
_FLAG_GAP = rf"[\"']?(?:{_BLANK}+|{_BLANK}*,{_BLANK}*)"
_VALUE = rf"[\"']?{_BLANK}*(?:[0-9A-Za-z+/]{_BLANK}*){{6}}"

# Only what Python's re and RE2 (DuckDB) read alike: no look-around, no \w, no \s.
SUSPICIOUS = "|".join(
    (
        r"[\^`]",
        r"[^\x00-\x7f]",
        rf"{_WORD}(?:\\?[\"'])+{_WORD}",
        rf"[\"']{_BLANK}*\+{_BLANK}*\\?[\"']",
        rf"(?:^|[^0-9A-Za-z_])[-/]{_FLAG}{_FLAG_GAP}{_VALUE}",
    )
)
"""Matches every text on which `normalise` can take a step, and some others."""

_SUSPICIOUS = re.compile(SUSPICIOUS)
_FLAG_DASHES = re.compile(rf"(?<![-/])[-/]+(?={_FLAG}{_FLAG_GAP}{_VALUE})")
_LETTER = re.compile(r"[0-9A-Za-z_]")
_ENCODED = re.compile(
    rf"(?<![0-9A-Za-z_])[-/]{_FLAG}{_FLAG_GAP}"
    rf"(?:[\"']([0-9A-Za-z+/={_BLANK[1:-1]}]{{6,}})(?=[\"'])|[\"']?([0-9A-Za-z+/]{{6,}}={{0,2}}))"
)
_READABLE = re.compile(r"[\t\r\n -~]{4}|[\t\r\n -~]+\Z")

# U+2013..2015 are dashes to PowerShell; ANSI programs are handed the others as '-' too.
_DASHES = dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D), "-")
_QUOTES = dict.fromkeys(range(0x2018, 0x201C), "'") | dict.fromkeys(range(0x201C, 0x2020), '"')
_INVISIBLE = dict.fromkeys(
    (0xAD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
)

# A caret that opens a quoted pattern or a character class belongs to a regular expression.
_CARETS = re.compile(r"((?:(?:^|[\s=,({])[\"'(]|\[)\^+)|\^+")
_LINE_ENDS = re.compile(r"(?:`[nr])+")
# A backtick takes the meaning from the line end behind it; two of them are one plain backtick.
_CONTINUED = re.compile(r"(?<!`)((?:``)*`)(?:\r\n|\r|\n)")
_NOT_IN_LITERAL = r"[^'\";|&{}()`]*"
_QUOTED_WORD = re.compile(
    # The first group is a literal with a doubled apostrophe, 'O''Brien'.
    rf"((?<![\w'\"-])'{_NOT_IN_LITERAL}(?:''{_NOT_IN_LITERAL})+'(?![\w'-]))"
    r"|(?<=[\w-])(?:\\\"\\\")+(?=[\w-])"
    r"|[\w\"'-]+"
)
# A run of quotes between letters that holds one of the kind; its first one, so that the run is
# read once.
_DOUBLE_INSIDE = re.compile(r"[\w-]'*\"[\"']*[\w-]")
_SINGLE_INSIDE = re.compile(r"[\w-]\"*'[\"']*[\w-]")
_PLUS = r"[ \n]?\+[ \n]?"
_EMPTY_OPERANDS = rf"(?:{_PLUS}(?:''|\"\"|\\\"\\\"))*"
_CONCATENATION = re.compile(
    rf"(?<=[\w-])(?:['\"]{_EMPTY_OPERANDS}{_PLUS}['\"]|\\\"{_EMPTY_OPERANDS}{_PLUS}\\\")(?=[\w-])"
)

_WORDS = re.compile("([ \n])")

_ROUNDS = 40


def normalise(text: str) -> tuple[str, tuple[str, ...]]:
    """A command line with its disguises undone and its blanks collapsed, and the steps taken.

    A step is named once, in the order first applied: `invisible_characters`, `lookalikes`,
    `unicode_dashes`, `smart_quotes`, `carets`, `backticks`, `split_quotes`, `concatenation`,
    `encoded_command`. Collapsed blanks are not a step. Decoded text stands where its base64
    stood and is normalised too, however deeply it is nested: each level is at most 3/8 as long.

    Args:
        text: a raw command line; any string, lone surrogates included.

    Returns:
        The text, at most as long as the input and unchanged by another call, and the steps'
        names, empty for an ordinary line.

    >>> normalise("powershell  New-Mail^box''ExportRequest")
    ('powershell New-MailboxExportRequest', ('carets', 'split_quotes'))
    """
    lines, steps = _undo(text)
    return lines.replace("\n", " "), steps


def plain_lines(text: str) -> str:
    """The same text as from `normalise`, with the line ends that part commands in PowerShell.

    >>> plain_lines("powershell  dir;\\r\\n Get-Ma^il")
    'powershell dir;\\nGet-Mail'
    """
    return _undo(text)[0]


def _undo(text: str) -> tuple[str, tuple[str, ...]]:
    if not looks_obfuscated(text):
        return _collapse(text), ()
    steps: dict[str, None] = {}
    for _ in range(_ROUNDS):
        before = text
        text = _round(text, steps)
        if text == before:
            return text, tuple(steps)
    return _strip_marks(text), tuple(steps)


def looks_obfuscated(text: str) -> bool:
    """False only where `normalise` would take no step; the same as `SUSPICIOUS` in DuckDB.

    >>> looks_obfuscated("net use"), looks_obfuscated("n^et use")
    (False, True)
    """
    # Blanks in a row mean what one means, and would be read again and again.
    return not text.isascii() or _SUSPICIOUS.search(_collapse(text)) is not None


def _round(text: str, steps: dict[str, None]) -> str:
    text = _collapse(text)
    for name, undo in _UNDO.items():
        undone = undo(text)
        if undone != text:
            steps[name] = None
            text = _collapse(undone)
    return text


def _collapse(text: str) -> str:
    """One blank for each run of them, or a line end where the run holds one that counts."""
    if "\n" not in text and "\r" not in text:
        return " ".join(text.split())
    lines = re.split("[\r\n]", _CONTINUED.sub(r"\1 ", text))
    return "\n".join(filter(None, map(_collapse_line, lines))).strip()


def _collapse_line(line: str) -> str:
    text = " ".join(line.split())
    # This backtick belongs to the blank behind it, and may not come to stand before the line end.
    return f"{text} " if text.endswith("`") and not line.endswith("`") else text


def _remove_invisible(text: str) -> str:
    return text if text.isascii() else text.translate(_INVISIBLE)


def _fold_lookalikes(text: str) -> str:
    if text.isascii():
        return text
    return text.translate({ord(char): _lookalike(char) for char in set(text)})


@lru_cache(4096)
def _lookalike(char: str) -> str:
    # Latin-1 stays: the ordinal in "2ª" is ordinary Spanish.
    is_fullwidth = "\uff01" <= char <= "\uff5e" and char != "\uff0d"
    if char <= "\xff" or not (is_fullwidth or unicodedata.category(char).startswith("L")):
        return char
    folded = unicodedata.normalize("NFKC", char)
    return folded if len(folded) == 1 and folded.isascii() else char


def _fold_dashes(text: str) -> str:
    return text if text.isascii() else text.translate(_DASHES)


def _fold_quotes(text: str) -> str:
    return text if text.isascii() else text.translate(_QUOTES)


def _undo_carets(text: str) -> str:
    # All of `^^` goes: nested shells halve carets level by level, and how many there were is lost.
    return _CARETS.sub(lambda match: match[1] or "", text) if "^" in text else text


def _undo_backticks(text: str) -> str:
    if "`" not in text:
        return text
    return "".join(_undo_backticks_of_word(word) for word in _WORDS.split(text))


def _undo_backticks_of_word(word: str) -> str:
    # `n ends a line in PowerShell, but inside a path or a lower-case word it hides an n.
    if "\\" not in word:
        word = _LINE_ENDS.sub(_end_line, word)
    return word.replace("`", "")


def _end_line(match: re.Match[str]) -> str:
    following = match.string[match.end() : match.end() + 2].lstrip("`")[:1]
    return match[0] if following.islower() else "\n"


def _join_quoted_words(text: str) -> str:
    return _QUOTED_WORD.sub(_unquote_word, text) if '"' in text or "'" in text else text


def _unquote_word(match: re.Match[str]) -> str:
    word = match[0]
    if match[1]:
        return word
    if word.startswith("\\"):
        return ""
    if word.count('"') % 2 == 0 and _DOUBLE_INSIDE.search(word):
        word = word.replace('"', "")
    # Without a dash or a doubled quote it is rather an apostrophe: O'Brien's.
    is_split = "''" in word or "-" in word
    if is_split and word.count("'") % 2 == 0 and _SINGLE_INSIDE.search(word):
        word = word.replace("'", "")
    return word


def _join_concatenation(text: str) -> str:
    return _CONCATENATION.sub("", text) if "+" in text else text


def _decode_commands(text: str) -> str:
    return _ENCODED.sub(_decode_value, text)


def _decode_value(match: re.Match[str]) -> str:
    value = match[1] or match[2]
    decoded = _decode(value)
    return match[0] if decoded is None else match[0].removesuffix(value) + decoded


def _decode(value: str) -> str | None:
    letters = "".join(value.split()).rstrip("=")
    if "=" in letters or len(letters) < 6:
        return None
    # A log that cut the line off leaves a partial group or half a character.
    letters = letters[:-1] if len(letters) % 4 == 1 else letters
    data = base64.b64decode(letters + "=" * (-len(letters) % 4))
    decoded = data[: len(data) // 2 * 2].decode("utf-16-le", errors="replace").lstrip("\ufeff")
    return decoded if _is_readable(decoded) else None


def _is_readable(text: str) -> bool:
    # Other base64 read as UTF-16 hardly ever has four ASCII characters in a row, while text that
    # is padded with another script to look unreadable still has them in its commands.
    match = _READABLE.search(text)
    return match is not None and (len(match[0]) == 4 or match.start() == 0)


def _strip_marks(text: str) -> str:
    # Only text made to keep us busy gets here; a command that a shell would run is plain by now.
    for fold in (_remove_invisible, _fold_lookalikes, _fold_dashes, _fold_quotes):
        text = fold(text)
    text = _collapse(re.sub(r"[\^`\"'+]", "", text))
    return _FLAG_DASHES.sub(_drop_dashes, text)


def _drop_dashes(match: re.Match[str]) -> str:
    """Nothing; a dash that ends a word stays, and makes the dashes after it no flag's."""
    start = match.start()
    return match[0][0] if start and _LETTER.match(match.string, start - 1) else ""


_UNDO: dict[str, Callable[[str], str]] = {
    "invisible_characters": _remove_invisible,
    "lookalikes": _fold_lookalikes,
    "unicode_dashes": _fold_dashes,
    "smart_quotes": _fold_quotes,
    "carets": _undo_carets,
    "backticks": _undo_backticks,
    "split_quotes": _join_quoted_words,
    "concatenation": _join_concatenation,
    "encoded_command": _decode_commands,
}
