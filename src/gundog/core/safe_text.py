"""Text from events made harmless for the place it is shown in.

Command lines, names and user agents are written by whoever attacks. Each function here takes such
text and returns text that means nothing but itself in one place: a terminal, a message, a CSV
cell, a Markdown page, JSON. Raw values stay in findings.duckdb.
"""

from __future__ import annotations

import json
import re
import unicodedata
from decimal import Decimal

# Long enough for a sentence with a command line in it; bounds the work done on hostile input too.
MESSAGE_LIMIT = 1000
# Cc control, Cf format (bidi controls, zero-width, tags), Cs lone surrogates, Zl Zp line breaks.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_CUT = "…"
# Line breaks, tabs and every space that Unicode knows.
_BLANKS = re.compile(r"(?:\r\n|[ \n\t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000])+")
# None of the substitutes turns back into what it stands for under Unicode's NFKC, which some
# receivers apply.
_LOOKALIKE = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
        "[": "(",
        "]": ")",
        "{": "(",
        "}": ")",
        "*": "\N{ASTERISK OPERATOR}",
        "~": "\N{TILDE OPERATOR}",
        "`": "\N{REVERSED PRIME}",
        "#": "\N{MUSIC SHARP SIGN}",
    }
)
# In order: emphasis at a word's edge, the start of :emoji:, hidden text, an HTML entity.
_MARKUP = (
    (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), "\N{LOWER ONE EIGHTH BLOCK}"),
    (re.compile(r"(?<![A-Za-z0-9]):(?=[A-Za-z+][\w+-]*:)"), "\N{RATIO}"),
    (re.compile(r"\|(?=\|)|(?<=\|)\|"), "\N{BROKEN BAR}"),
    (re.compile(r"&(?=[^\s&])"), "& "),
)
_LINKS = (
    (re.compile(r"\\\\(?=\w)"), r"(\\\\)"),
    (re.compile(r":(?=//)"), "(:)"),
    (
        re.compile(
            r"(?<![A-Za-z0-9])(callto|data|file|ftp|javascript|mailto|ms-[a-z-]{1,30}|sip|skype|sms|tel|vbscript"
            r"|xmpp):(?=\S)",
            re.IGNORECASE,
        ),
        r"\1(:)",
    ),
    (re.compile(r"(?<![A-Za-z0-9])(www)\.", re.IGNORECASE), r"\1(.)"),
)
_AFTER_SCHEME = re.compile(r"(?<=\(:\)//)[^\s/?#]+")
_DOT = re.compile(r"(?<!\()\.(?!\))")
_NAME = re.compile(r"[\w.-]+")
_ENDS_IN_DOMAIN = re.compile(r"\.(?:[^\W\d_]{2,}|xn--[\w-]+)\Z")
_AT = re.compile(
    r"@(?=everyone|here|(?:channel|all)\b)|(?<![A-Za-z0-9])@|@(?![A-Za-z0-9-]+\.[A-Za-z0-9])",
    re.IGNORECASE,
)
_LINE_START = re.compile(r"[-+=]+(?: |\Z)|\d{1,9}[.)](?: |\Z)|[/!]")
_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


def for_terminal(text: str) -> str:
    r"""The text with nothing in it that a terminal acts upon.

    Newline, tab and every visible character stay. Control characters (C0, DEL, C1), format
    characters (bidi controls, zero-width ones, tags), line and paragraph separators and lone
    surrogates become `\x1b`, `\u202e` or `\U000e0041`, so ANSI and OSC sequences are only read.
    The result can always be encoded as UTF-8. Print it with rich's markup switched off.

    >>> print(for_terminal("red \x1b[31m, turned \u202e"))
    red \x1b[31m, turned \u202e
    """
    if text.isprintable():
        return text
    return "".join(char if _seen(char) else _escape(char) for char in text)


def _seen(char: str) -> bool:
    return char in "\n\t" or unicodedata.category(char) not in _UNSEEN


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def for_message(text: str, limit: int = MESSAGE_LIMIT) -> str:
    r"""The text on one line, with no markup, mention, link or template in chat, mail or a ticket.

    In this order:

    1. Control and format characters become escapes as in `for_terminal`. Newlines, tabs and blanks
       of any width, alone or in a row, become one blank; those at both ends go. A compatibility
       form of ASCII, such as a fullwidth letter or sign, becomes what it is a form of.
    2. Links are broken as analysts break them: `http(:)//evil(.)example/x`, `www(.)`,
       `javascript(:)`, a domain before `/`, or before `:` or `?` and more,
       `(\\)server\share`. A bare name such as `jane.doe` or `cmd.exe` stays: a channel that links
       those must send plain text.
    3. `@` becomes `(at)`, so nobody is mentioned. It stays in a plain address
       (`ceo@contoso.com`), but never before everyone, here, channel or all.
    4. Look-alikes replace `<` `>` `*` `~` backtick and `#`; `[` `{` become `(`; `]` `}` become
       `)`; `_` is replaced at the edge of a word, `:` where `:emoji:` starts, `|` where doubled;
       a blank follows `&`, so that no entity or template remains.
    5. A text that starts as a list, a rule or a command (`- `, `1. `, `/`, `!`) gets a leading `'`.
    6. What is longer than `limit` characters is cut and ends in `…`.

    Applied again it changes nothing more, unless it had cut. Two safe texts may be unsafe when
    joined without a blank: apply it to the joined text.

    >>> for_message("see [this](http://evil.example/x)\n@everyone {{7}}")
    'see (this)(http(:)//evil(.)example/x) (at)everyone ((7))'
    """
    safe = _defang(_one_line(cut(text, limit)))
    for pattern, substitute in _MARKUP:
        safe = pattern.sub(substitute, safe)
    safe = safe.translate(_LOOKALIKE)
    if _LINE_START.match(safe):
        safe = f"'{safe}"
    return cut(safe, limit)


def cut(text: str, limit: int) -> str:
    """The text, or its first `limit` characters, the last of them `…`, when it is longer.

    >>> cut("powershell -EncodedCommand", 12)
    'powershell …'
    """
    return text if len(text) <= limit else text[: limit - 1] + _CUT


def _one_line(text: str) -> str:
    flat = _BLANKS.sub(" ", text)
    return "".join(map(_plain, for_terminal(flat))).strip(" ")


def _plain(char: str) -> str:
    """A compatibility form of ASCII as that ASCII; all else as it is."""
    if char.isascii() or char == _CUT:
        return char
    plain = unicodedata.normalize("NFKC", char)
    return plain if any("!" <= char <= "~" for char in plain) else char


def _defang(text: str) -> str:
    """The text without anything that a reader's program turns into a link or a mention."""
    for pattern, substitute in _LINKS:
        text = pattern.sub(substitute, text)
    text = _AFTER_SCHEME.sub(lambda host: _DOT.sub("(.)", host[0]), text)
    text = _NAME.sub(_broken_domain, text)
    return _AT.sub("(at)", text)


def _broken_domain(name: re.Match[str]) -> str:
    following = name.string[name.end() : name.end() + 2]
    linked = following[:1] == "/" or (following[:1] in (":", "?") and following[1:].strip())
    if linked and _ENDS_IN_DOMAIN.search(name[0]):
        return _DOT.sub("(.)", name[0])
    return name[0]


def for_markdown(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The text on one line as Markdown that shows exactly its characters, in a table cell too.

    Steps 1 to 3 of `for_message`, cut at `limit`; then every ASCII punctuation character is
    written as its numeric entity, which CommonMark defines never to be markup.

    >>> for_markdown("a|b <script>")
    'a&#124;b &#60;script&#62;'
    """
    safe = cut(_defang(_one_line(cut(text, limit))), limit)
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", safe)


def for_csv(cell: object) -> str:
    r"""The cell as text that no spreadsheet takes for a formula; quoting is the csv writer's part.

    None is empty; a number is written as it is, for a negative one is not a formula. All else is
    shown as in `for_terminal` and gets a leading apostrophe when it begins with = + - @ (or their
    fullwidth forms), also after blanks, or with a tab, CR or newline.

    >>> for_csv("=cmd|'/C calc'!A0"), for_csv(-1.5), for_csv("\ttab")
    ("'=cmd|'/C calc'!A0", '-1.5', "'\ttab")
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int | float | Decimal):
        return str(cell)
    text = str(cell)
    start = text.lstrip()[:1]
    shown = for_terminal(text)
    return f"'{shown}" if start in _FORMULA or text[:1] in ("\t", "\r", "\n") else shown


def for_json(value: object, indent: int | None = None) -> str:
    r"""JSON in printable ASCII: all else is escaped; times, UUIDs and such are written as text.

    >>> print(for_json({"line": "\x1b[31m \x7f \u202e"}))
    {"line": "\u001b[31m \u007f \u202e"}
    """
    return json.dumps(value, ensure_ascii=True, indent=indent, default=str)
