"""Text from events: nothing in it acts on a terminal, chat, spreadsheet or page."""

from __future__ import annotations

import csv
import html
import io
import json
import sys
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from gundog.core.safe_text import (
    MESSAGE_LIMIT,
    cut,
    for_csv,
    for_json,
    for_markdown,
    for_message,
    for_terminal,
)
from tests import draws
from tests.hostile import HOSTILE, MARKDOWN, Tags, assert_harmless, links, plain_markdown, unseen

corpus = pytest.mark.parametrize("raw", draws.named(HOSTILE, every=3))
# Fragments that combine into markup far more often than random characters do.
PIECES = [
    *"<>@[](){}*_~`#|&:/\\.!-+= \n\t'\"ax1;$%", "http", "www.", "evil.example", "everyone", "here",
    "\u202e", "\x1b", "\uff1c", "\uff20", "&lt", "mailto:", "xn--", "1. ", "svc_backup",
]  # fmt: skip
# A busy machine is not a failure.
calm = settings(suppress_health_check=[HealthCheck.too_slow])
fragments = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=12).map("".join)


def test_corpus_is_large_and_without_repeats() -> None:
    """At least sixty different strings are tried on every outlet."""
    assert len(set(HOSTILE.values())) == len(HOSTILE) >= 60


@corpus
def test_terminal_shows_every_character_and_obeys_none(raw: str) -> None:
    """What is printed has no control or format character, and a terminal gets it as it is."""
    shown = for_terminal(raw)

    assert unseen(shown) == []
    assert shown.encode("utf-8").decode("utf-8") == shown
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=10**6, color_system=None).print(
        Text(shown), soft_wrap=True, highlight=False
    )
    assert out.getvalue() == shown.expandtabs(8) + "\n"


# The blocks with nearly all characters that act, and ordinary ones beside them.
ACTING = [*range(0x3100), *range(0xD7F0, 0xE100), *range(0xFD00, 0x10100), *range(0xE0000, 0xE0200)]


@pytest.mark.parametrize(
    "codes",
    [ACTING, pytest.param(range(sys.maxunicode + 1), marks=pytest.mark.slow)],
    ids=["blocks that act", "all of Unicode"],
)
def test_terminal_escapes_exactly_the_characters_that_act(codes: Sequence[int]) -> None:
    """Control, format, surrogate and separator characters, and nothing else."""
    escaped = {chr(code) for code in codes if len(for_terminal(chr(code))) > 1}

    assert escaped == set(unseen("".join(map(chr, codes))))
    assert {"\x1b", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\u200f", "\u061c"} <= escaped
    assert not {"\n", "\t", " ", "\u00a0", "é", "漢", "😀"} & escaped


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("\x1b[0m", r"\x1b[0m"), ("a\u202eb", r"a\u202eb"), ("\U000e0041", r"\U000e0041"),
     ("\x9b", r"\x9b"), ("\ud800", r"\ud800"), ("a\tb\nc", "a\tb\nc"), ("C:\\x", "C:\\x")],
)  # fmt: skip
def test_terminal_writes_escapes_as_python_does(raw: str, shown: str) -> None:
    """An escape has two, four or eight digits; newline, tab and backslash stay."""
    assert for_terminal(raw) == shown


@corpus
def test_message_has_no_markup_mention_link_or_template(raw: str) -> None:
    """No string of the corpus does anything in a message."""
    assert_harmless(for_message(raw))


@calm
@given(fragments)
@example("http:\u200b//evil.example")
@example("a_ _b_")
@example("&\uff03x")
def test_message_is_harmless_whatever_it_is_made_of(raw: str) -> None:
    """Any mixture of fragments comes out harmless, and stays as it is the second time."""
    shown = for_message(raw)

    assert_harmless(shown)
    assert for_message(shown) == shown


@calm
@given(fragments, fragments, st.integers(1, 30))
def test_message_stays_harmless_when_composed_and_cut(one: str, two: str, limit: int) -> None:
    """Safe parts joined into a line are safe again after the line's own pass, at any length."""
    shown = for_message(f"Why: {for_message(one)}{for_message(two)}", limit)

    assert len(shown) <= limit
    assert unseen(shown) == []
    assert plain_markdown(shown)
    assert Tags(shown).found == []


@pytest.mark.parametrize(
    "plain",
    ["ana exported a mailbox on srv-01 and removed the request after 2 m", "svc_backup", "jane.doe",
     "ceo@contoso.com", "cmd.exe /c whoami | findstr x", "fe80::1:2", "2026-01-05T10:59:00Z",
     "C:\\Users\\ana\\x.pst", "Mail of ana@contoso.com: 606 items", "is it evil.example?",
     "a & b && c", "Ünïcödé 漢字 😀",
     "gundog show 7c0d1f5e-3c1b-4d0e-9a59-0d7f5b1f2a11", "New-MailboxExportRequest -Mailbox ceo"],
)  # fmt: skip
def test_message_leaves_ordinary_text_alone(plain: str) -> None:
    """Names, addresses, times, paths and commands read as they were."""
    assert for_message(plain) == plain


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("http://evil.example/a.b", "http(:)//evil(.)example/a.b"), ("www.evil.de", "www(.)evil.de"),
     ("@everyone", "(at)everyone"), ("x@here.com", "x(at)here.com"), ("[a](b)", "(a)(b)"),
     ("{{7}}", "((7))"), ("a\r\n\t b", "a b"), ("- a", "'- a"), ("/kick", "'/kick"),
     ("&lt;b", "& lt;b"), ("\\\\srv\\c$", "(\\\\)srv\\c$"), ("javascript:x", "javascript(:)x"),
     ("http://evil.example", "http(:)//evil(.)example"), (":fire:", "\N{RATIO}fire:"),
     ("http://192.0.2.1/x", "http(:)//192(.)0(.)2(.)1/x"), ("\xa0a\u2003 b", "a b"),
     ("||x||", "\N{BROKEN BAR}\N{BROKEN BAR}x\N{BROKEN BAR}\N{BROKEN BAR}")],
)  # fmt: skip
def test_message_breaks_things_as_its_rules_say(raw: str, shown: str) -> None:
    """Each rule, on the smallest text it applies to."""
    assert for_message(raw) == shown


def test_message_cuts_long_text_and_says_so() -> None:
    """A long command line ends in an ellipsis, within the limit."""
    shown = for_message("powershell " + "A" * 5000, 40)

    assert shown == "powershell " + "A" * 28 + "…"
    assert len(for_message(HOSTILE["long"])) == MESSAGE_LIMIT
    assert for_message(" " * 2000 + "x", 40).endswith("…")
    assert for_message("@" * 30, 40) == "(at)" * 9 + "(at…"


def test_cut_keeps_what_fits() -> None:
    """A text of exactly the limit stays whole."""
    assert [cut("abcd", limit) for limit in (5, 4, 3, 1)] == ["abcd", "abcd", "ab…", "…"]


def paragraph(source: str) -> str:
    """The text of the one paragraph that Markdown makes of it, as HTML."""
    rendered = MARKDOWN.render(source)
    assert rendered.startswith("<p>") or not rendered
    return rendered.removeprefix("<p>").removesuffix("</p>\n")


def as_html(text: str) -> str:
    return html.escape(text).replace("&#x27;", "'")


@corpus
def test_markdown_shows_the_text_and_nothing_else(raw: str) -> None:
    """A Markdown page, and a cell of a table on it, show the characters and no markup."""
    source = for_markdown(raw)

    shown = html.unescape(source)
    assert unseen(source) == []
    assert links(shown) == []
    assert paragraph(source) == as_html(shown)
    cell = MARKDOWN.render(f"| a | b |\n|---|---|\n| {source} | c |")
    assert f"<tr>\n<td>{as_html(shown)}</td>\n<td>c</td>\n</tr>" in cell


@calm
@given(fragments)
def test_markdown_is_plain_whatever_it_is_made_of(raw: str) -> None:
    """Any mixture of fragments is one paragraph of the text's own characters."""
    source = for_markdown(raw)

    assert paragraph(source) == as_html(html.unescape(source))
    assert links(html.unescape(source)) == []


def test_markdown_keeps_brackets_and_stars_as_they_are() -> None:
    """Unlike in a message no look-alikes are needed: the reader sees the very characters."""
    shown = html.unescape(for_markdown("[Convert]::X('a') *.pst {0} | `x`"))

    assert shown == "[Convert]::X('a') *.pst {0} | `x`"


@corpus
def test_csv_cell_is_no_formula_and_one_cell(raw: str) -> None:
    """A spreadsheet reads back one cell that does not begin a formula, with nothing that acts."""
    out = io.StringIO()
    csv.writer(out).writerow([for_csv(raw), "next"])

    ((cell, following),) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert (cell, following) == (for_csv(raw), "next")
    assert unseen(cell) == []
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert cell[:1] not in {"\t", "\r", "\n"}


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_csv_puts_an_apostrophe_before_what_begins_a_formula(start: str) -> None:
    """The cell keeps its text behind the apostrophe."""
    assert for_csv(f"{start}1") == f"'{for_terminal(start)}1"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [(None, ""), (-5, "-5"), (-1.5, "-1.5"), (Decimal("-0.1"), "-0.1"), (True, "true"), ("", ""),
     ("a=1", "a=1"), ("it's", "it's"), (["-x"], "['-x']")],
)  # fmt: skip
def test_csv_leaves_values_that_are_no_text_alone(cell: object, shown: str) -> None:
    """Numbers are numbers, null is empty, and harmless text stays."""
    assert for_csv(cell) == shown


@corpus
def test_json_is_printable_ascii_and_reads_back(raw: str) -> None:
    """JSON holds the raw value in characters that any terminal only shows."""
    written = for_json({"raw": raw})

    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written) == {"raw": raw}
