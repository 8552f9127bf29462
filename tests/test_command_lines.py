"""Command lines: what hides a cmdlet is undone, what is ordinary stays."""

# ruff: noqa: RUF001 (characters that look like others are the subject here)

from __future__ import annotations

import base64
import hashlib
import random
import re
from string import ascii_letters, ascii_uppercase

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gundog.detections import command_lines, stage_sql
from gundog.detections.command_lines import SUSPICIOUS, looks_obfuscated, normalise

ENCODED = "encoded_command"
EXPORT = (
    "New-MailboxExportRequest -Mailbox ceo@example.com "
    "-ContentFilter {(Received -ge '03/01/2020')} -FilePath '\\\\mail01\\c$\\temp\\b.pst'"
)
REMOVE = "Get-MailboxExportRequest -Status Completed | Remove-MailboxExportRequest -Confirm:$False"


def encode(script: str) -> str:
    return base64.b64encode(script.encode("utf-16-le")).decode()


FRAGMENTS = (
    *("New-Mail", "boxExportRequest", "O'Brien", "C:\\temp\\b.pst", "Ｎｅｗ", "𝐍", "é", "\u200b"),
    *("-", "–", "―", "/", "-e", "-enc", "/EC", "–EncodedCommand", "-ea", " ", "  ", "\t", "\xa0"),
    *("\x1f", "\n", "'", '"', "''", '""', '\\"', "‘", "”", "'+'", '" + "', '\\"+\\"', "+", "^"),
    *("^^", "`", "`n", "`r`n", ",", "(", ")", "[", "=", "==", "a", "N", "_", "7", "{", ";"),
    *(encode("dir"), encode("x -e"), encode("a^b"), encode('-e "'), encode("'+'a"), "QUJDREVG"),
    encode("powershell -enc " + encode("whoami")),
)
hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map("".join)
texts = st.one_of(hostile, st.text(), st.text(alphabet="aN-/e'\"+^`\\ ,=", max_size=30))


# The version


def test_version_goes_with_the_results() -> None:
    """Staged rows hold what was until its version is raised: raise it, then pin the new results."""
    rng = random.Random(1)  # noqa: S311 - no secret
    lines = ["".join(rng.choices(FRAGMENTS, k=12)) for _ in range(500)]
    found = hashlib.sha256(repr([normalise(line) for line in lines]).encode()).hexdigest()

    assert (stage_sql.VERSIONS["normalise_command_line"], found[:16]) == ("1", "55d26868a94932e1")


# Encoded commands


@pytest.mark.parametrize(
    "flag",
    [
        *("-" + "encodedcommand"[:length] for length in range(1, 15)),
        *("-ec", "-EC", "-eNc", "-EncodedCommand", "/e", "/enc", "/EncodedCommand", "--enc"),
    ],
)
def test_every_spelling_of_the_flag_is_decoded(flag: str) -> None:
    """Any prefix PowerShell takes, in any case, after a dash, two dashes or a slash."""
    line = f"powershell.exe -NoP -W Hidden {flag} {encode(EXPORT)}"

    assert normalise(line) == (f"powershell.exe -NoP -W Hidden {flag} {EXPORT}", (ENCODED,))


@pytest.mark.parametrize("dash", ["–", "—", "―"])
def test_unicode_dashes_introduce_the_flag_too(dash: str) -> None:
    """En dash, em dash and horizontal bar are dashes to PowerShell."""
    found = normalise(f"pwsh {dash}enc {encode(REMOVE)}")

    assert found == (f"pwsh -enc {REMOVE}", ("unicode_dashes", ENCODED))


@pytest.mark.parametrize("flag", ["-ea", "-ex", "-ep", "-encodedarguments", "-encx", "share-e"])
def test_other_flags_with_base64_are_left_alone(flag: str) -> None:
    """-ExecutionPolicy, -EncodedArguments and words that end in -e carry no command."""
    line = f"powershell {flag} {encode(EXPORT)}"

    assert normalise(line) == (line, ())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('powershell -enc "{}"', 'powershell -enc "{}"'),
        ("powershell -enc '{}'", "powershell -enc '{}'"),
        ('powershell "-enc" {}', 'powershell "-enc" {}'),
        ('cmd.exe /C "powershell -enc  {}"', 'cmd.exe /C "powershell -enc {}"'),
        ("cmd /c powershell -enc {} & exit", "cmd /c powershell -enc {} & exit"),
        ("saps pwsh -Args '-enc','{}'", "saps pwsh -Args '-enc','{}'"),
    ],
)
def test_the_line_around_the_base64_stays(before: str, after: str) -> None:
    """The decoded text stands exactly where the base64 stood, in quotes where it was quoted."""
    found = normalise(before.format(encode("Get-Mailbox -Identity a")))

    assert found == (after.format("Get-Mailbox -Identity a"), (ENCODED,))


@pytest.mark.parametrize("script", ["dir", "dir c", "dir c:", "whoami /all"])
def test_padding_may_be_missing(script: str) -> None:
    """Base64 is decoded with and without its trailing equals signs."""
    assert normalise("pwsh -e " + encode(script).rstrip("=")) == (f"pwsh -e {script}", (ENCODED,))


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_line_the_log_cut_off_is_decoded_as_far_as_it_goes(cut: int) -> None:
    """A partial last group or half a character is dropped, the rest is read."""
    text, steps = normalise("powershell -enc " + encode(EXPORT)[:-cut])

    decoded = text.removeprefix("powershell -enc ")
    assert steps == (ENCODED,)
    assert EXPORT.startswith(decoded)
    assert len(decoded) >= len(EXPORT) - 5


def test_blanks_inside_a_quoted_value_are_skipped() -> None:
    """.NET ignores blanks in base64, so a quoted value may hold them."""
    value = encode(REMOVE)

    assert normalise(f'pwsh -enc " {value[:7]} {value[7:]}"')[0] == f'pwsh -enc "{REMOVE}"'


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_commands_encoded_in_encoded_commands_are_reached(depth: int) -> None:
    """Every level is decoded."""
    line = REMOVE
    for _ in range(depth):
        line = "powershell -enc " + encode(line)

    assert normalise(line) == ("powershell -enc " * depth + REMOVE, (ENCODED,))


def test_what_is_decoded_is_normalised_too() -> None:
    """Marks inside the encoded script are undone after it, and named after it."""
    found = normalise("powershell -e^nc " + encode("N`ew-Mail''boxExportRequest\r\n\t-Mailbox  a"))

    expected = "powershell -enc New-MailboxExportRequest -Mailbox a"
    assert found == (expected, ("carets", ENCODED, "backticks", "split_quotes"))


def test_padding_a_script_with_another_alphabet_does_not_hide_it() -> None:
    """A script that is mostly a comment in another script is still text."""
    script = "<#" + "\u4e2d\u6587" * 500 + "\x01#> New-MailboxExportRequest"

    assert normalise("pwsh -e " + encode(script)) == (f"pwsh -e {script}", (ENCODED,))


def test_a_byte_order_mark_and_broken_pairs_do_not_hide_a_script() -> None:
    """What is not a character becomes U+FFFD, as in .NET, and the rest is read."""
    data = "\ufeffdir # ".encode("utf-16-le") + b"\x00\xd8" + " c:".encode("utf-16-le")

    found = normalise("pwsh -e " + base64.b64encode(data).decode())

    assert found == ("pwsh -e dir # \ufffd c:", (ENCODED,))


@pytest.mark.parametrize(
    "argument",
    [
        f"share-e {encode(EXPORT)}",
        f'-e "{encode(EXPORT)[:7]}={encode(EXPORT)[7:]}"',
        '-e "YQA ==="',
        f"-e {encode(chr(0x4E2D) * 3 + 'a')}",
        f"-e {encode(chr(0) + 'ab' + chr(0) + 'cd')}",
    ],
)
def test_what_is_no_encoded_command_stays_beside_other_disguises(argument: str) -> None:
    """No flag, equals signs inside, too short, or not text: the value is kept as it is."""
    assert normalise(f"p^wsh {argument}") == (f"pwsh {argument}", ("carets",))


# The other disguises


@pytest.mark.parametrize(
    ("line", "plain", "step"),
    [
        ("New-Mailbox^ExportRequest -Mailbox a", "New-MailboxExportRequest -Mailbox a", "carets"),
        ("p^o^w^e^r^shell -Command dir", "powershell -Command dir", "carets"),
        ('cmd /c "^p^owershell" x', 'cmd /c "^powershell" x', "carets"),
        ("echo ^^^^done", "echo done", "carets"),
        ("cmd /c dir ^| more ^> a.txt", "cmd /c dir | more > a.txt", "carets"),
        ("New-Mailbox`ExportRequest", "New-MailboxExportRequest", "backticks"),
        ("N`ew-M`ailb`oxExpo`r`tReques`t", "New-MailboxExportRequest", "backticks"),
        ('"$x`r`nNew-MailboxExportRequest"', '"$x New-MailboxExportRequest"', "backticks"),
        ("type C:\\temp`\\`new`\\`Report.txt", "type C:\\temp\\new\\Report.txt", "backticks"),
        ("dir C:\\a`nB\\`r", "dir C:\\anB\\r", "backticks"),
        ('New-Mail""boxExportRequest', "New-MailboxExportRequest", "split_quotes"),
        ("New-Mail''boxExportRequest", "New-MailboxExportRequest", "split_quotes"),
        ('New-Mail\\"\\"boxExportRequest', "New-MailboxExportRequest", "split_quotes"),
        ("New-Mail''''boxExport\"\"Request", "New-MailboxExportRequest", "split_quotes"),
        ('N"ew-Mailbo"xExportRequest', "New-MailboxExportRequest", "split_quotes"),
        ('New-"Mailbox"ExportRequest', "New-MailboxExportRequest", "split_quotes"),
        ('"New-Mail"boxExportRequest', "New-MailboxExportRequest", "split_quotes"),
        ("Ne'w-Mail'boxExportRequest", "New-MailboxExportRequest", "split_quotes"),
        ("& ('New-Mail'+'boxExport')", "& ('New-MailboxExport')", "concatenation"),
        ('& ("New-Mail" + "boxExport")', '& ("New-MailboxExport")', "concatenation"),
        ("& ('New'+'-M'+'ail' +'' + 'box')", "& ('New-Mailbox')", "concatenation"),
        ('-c "& (\\"New-Mail\\"+\\"box\\")"', '-c "& (\\"New-Mailbox\\")"', "concatenation"),
        ("'New-Mail'+\"boxExport\"", "'New-MailboxExport\"", "concatenation"),
        ("Remove-X –Confirm:$false", "Remove-X -Confirm:$false", "unicode_dashes"),
        ("New—MailboxExportRequest", "New-MailboxExportRequest", "unicode_dashes"),
        ("New―MailboxExportRequest", "New-MailboxExportRequest", "unicode_dashes"),
        ("a ‐ b ‑ c ‒ d − e ﹘ f ﹣ g － h", "a - b - c - d - e - f - g - h", "unicode_dashes"),
        ("dir “a b” „c d‟", 'dir "a b" "c d"', "smart_quotes"),
        ("dir ‘a b’ ‚c d‛", "dir 'a b' 'c d'", "smart_quotes"),
        ("Ｎｅｗ-Mailbox （＂ａ＂）", 'New-Mailbox ("a")', "lookalikes"),
        ("𝐍𝐞𝐰-𝓜ailbox", "New-Mailbox", "lookalikes"),
        ("New-\u200bMail\ufeffbox\u00adExport\u202e", "New-MailboxExport", "invisible_characters"),
    ],
)
def test_each_disguise_is_undone_and_named(line: str, plain: str, step: str) -> None:
    """One step undoes one disguise."""
    assert normalise(line) == (plain, (step,))


def test_steps_are_named_once_in_the_order_applied() -> None:
    """A line with every disguise twice names each once."""
    line = (
        f"ｐowershell –e^nc “{encode('New-Mail' + chr(96) + 'Box')}” \u200b; 'Re'+'mo' + 've-X^' –x"
    )

    text, steps = normalise(line)

    assert text == "powershell -enc \"New-MailBox\" ; 'Remove-X' -x"
    assert steps == (
        *("invisible_characters", "lookalikes", "unicode_dashes", "smart_quotes", "carets"),
        *("concatenation", ENCODED, "backticks"),
    )


def test_undoing_one_disguise_uncovers_the_next() -> None:
    """A joined flag is recognised, and what it hides is undone."""
    line = "powershell '-e'+\"^nc\" " + encode("'New-M'+'ail^\"\"box'")
    found = normalise(line)

    assert found == (
        "powershell '-enc\" 'New-Mailbox'",
        ("carets", "concatenation", ENCODED, "split_quotes"),
    )


@pytest.mark.parametrize(
    ("text", "collapsed"),
    [
        ("powershell  -Command\t\tdir ", "powershell -Command dir"),
        ("\xa0Get-Mailbox \xa0 a\u3000b", "Get-Mailbox a b"),
        ("dir\r\n\x0b\x0c\x1fc:", "dir c:"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_collapsing_blanks_is_not_a_step(text: str, collapsed: str) -> None:
    """Runs of blanks become one, at the ends none, and nothing is named."""
    assert normalise(text) == (collapsed, ())


@pytest.mark.parametrize(
    "line",
    [
        EXPORT,
        REMOVE,
        f'cmd.exe /C powershell.exe -PSConsoleFile exshell.psc1 -Command "{EXPORT}"',
        '"C:\\Program Files\\Vendor\\agent.exe" -Path "C:\\Users\\b\\new folder\\"',
        "robocopy \\\\srv\\c$\\temp D:\\backup /e /copyall /xf *.tmp",
        "xcopy C:\\a D:\\b /E /Y /EXCLUDE:skip.txt",
        'git commit -m "Don\'t drop O\'Brien\'s \\"last\\" mailbox"',
        "Get-Mailbox 'O''Brien' | select Name",
        "Get-Mailbox -Identity 'Mary O''Brien Smith'",
        'curl -H "X: y" -d "{\\"a\\": \\"b\\", \\"c\\": [\\"\\", 1]}" https://example.com/?q=a+b',
        'tool --json {"name":"x","empty":"","list":["a","b"]}',
        "Select-String -Pattern '^CN=' -Path a.txt | where { $_ -match \"^x[^y]\" }",
        "curl -e aGVsbG8gd29ybGQgdGhpcyBpcyBub3QgYSBjb21tYW5k https://example.com",
        "tool -enc QUJDREVGR0hJSktMTU5PUA==",
        "certutil -encode in.bin out.b64",
        "gpg -e recipients.asc",
        "powershell -e",
        "powershell -File C:\\Users\\Jürgen\\größe.ps1 -Ort 2ª -Name 日本語",
        "powershell -c $total = $a + $b + 1",
        'findstr "+" a.txt \'+\' "b" + $c',
        'net user svc "" /add',
        '7z a -o"C:\\my dir" b.pst',
        "echo it's-late",
        "powershell -EncodedCommand",
    ],
)
def test_ordinary_lines_come_back_unchanged(line: str) -> None:
    """Paths, quotes, JSON, patterns, other alphabets and other base64 are not disguises."""
    assert normalise(line) == (line, ())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("powershell  dir \r\n\r\n  Get-Mail^box \n", "powershell dir\nGet-Mailbox"),
        ("a\rb", "a\nb"),
        ("dir `\r\n -Force", "dir -Force"),
        ("dir ``\n-Force", "dir\n-Force"),
        ("dir ` \n-Force", "dir\n-Force"),
        ("'New-Mail' +\n 'box'", "'New-Mailbox'"),
        (f"powershell -enc {encode('dir' + chr(10) + 'Get-Mailbox')}",
         "powershell -enc dir\nGet-Mailbox"),
    ],
)  # fmt: skip
def test_lines_end_where_powershell_ends_them(text: str, lines: str) -> None:
    """A line end stays where it parts commands; one behind a backtick does not."""
    assert command_lines.plain_lines(text) == lines


# Laws


@given(texts)
def test_lines_hold_what_the_one_line_holds(text: str) -> None:
    """Line ends are the only difference, and a normal form is one with them too."""
    lines = command_lines.plain_lines(text)

    assert lines.replace("\n", " ") == normalise(text)[0]
    assert command_lines.plain_lines(lines) == lines


@given(texts)
def test_normalising_twice_changes_nothing(text: str) -> None:
    """The result is its own normal form and takes no steps."""
    once = normalise(text)[0]

    assert normalise(once) == (once, ())


@given(texts)
def test_the_result_is_never_longer(text: str) -> None:
    """Output is bounded by input."""
    assert len(normalise(text)[0]) <= len(text)


@given(texts)
@example("New-Mail\nNew-Mail")
def test_a_text_that_does_not_look_obfuscated_takes_no_step(text: str) -> None:
    """The cheap test may not miss anything the steps themselves would change."""
    steps: dict[str, None] = {}
    undone = command_lines._round(text, steps).replace("\n", " ")  # line ends stay to the end

    assert looks_obfuscated(text) or (undone, steps) == (" ".join(text.split()), {})


@given(st.text(alphabet=st.characters(codec=None, categories=None), max_size=40))
def test_any_string_is_taken_lone_surrogates_included(text: str) -> None:
    """Nothing raises."""
    assert isinstance(normalise(text)[0], str)


@given(st.integers(0, 10), st.lists(st.sampled_from(["^", "''", '""']), min_size=23, max_size=23))
def test_marks_at_any_place_in_a_cmdlet_are_undone(spare: int, marks: list[str]) -> None:
    """However a cmdlet is cut up, it reads plain again."""
    name = "New-MailboxExportRequest"
    kept = [mark if index % (spare + 1) == 0 else "" for index, mark in enumerate(marks)]
    line = "".join(letter + mark for letter, mark in zip(name, [*kept, ""], strict=True))

    assert normalise(line)[0] == name


@given(st.text(alphabet=ascii_letters, min_size=1, max_size=12), st.data())
def test_every_lookalike_alphabet_reads_as_ascii(name: str, data: st.DataObject) -> None:
    """Fullwidth and mathematical letters become the letters they stand for."""
    starts = data.draw(st.sampled_from([(0xFF21, 0xFF41), (0x1D400, 0x1D41A), (0x1D5D4, 0x1D5EE)]))
    shift = {False: starts[1] - ord("a"), True: starts[0] - ord("A")}
    disguised = "".join(chr(ord(letter) + shift[letter in ascii_uppercase]) for letter in name)

    assert normalise(disguised) == (name, ("lookalikes",))


# Hostile texts return


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "^",
            "`",
            "'",
            '"',
            "''a",
            "a'",
            "a\"'a'\"",
            "'+'",
            "a'+'",
            "a' +'' ",
            "`n",
            "`r`nA",
            " ' ",
        ),
        *(
            "'x''y",
            "\\'",
            "-e ",
            "/e /",
            "-e AAAA",
            "-e AAAAAAAA ",
            '-e "AAAA ',
            "–",
            "\u200b",
            " ",
        ),
        *(f"-e {encode('x -e')} ", f"-e {encode('^-e')} ", f"-e^ {encode('-e')}'+'", "[^", '\\"a'),
        *("-e ,", "A", "-encodedcommand", '"+', 'a\\"+', "\\", "𝐍"),
    ],
)
def test_a_long_hostile_line_returns(unit: str) -> None:
    """One trick, as often as a command line of Windows holds it, comes to a normal form."""
    line = "a" + unit * (32_767 // len(unit))

    text = normalise(line)[0]

    assert normalise(text) == (text, ())


def test_a_deeply_interlocked_line_still_reaches_a_normal_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the rounds run out the marks go, the words stay, and the result is final."""
    monkeypatch.setattr(command_lines, "_ROUNDS", 1)
    value = encode(f"x -e^c {encode('Ｎ^ew-MailboxExportRequest')}")
    text, steps = normalise(f"powershell --enc {value} New-Mail''box 'a'+'b'")
    monkeypatch.undo()

    assert text == f"powershell --enc x ec {encode('Ｎ^ew-MailboxExportRequest')} New-Mailbox ab"
    assert normalise(text) == (text, ())
    assert steps == ("split_quotes", "concatenation", ENCODED)


@given(hostile)
def test_running_out_of_rounds_gives_a_normal_form_too(text: str) -> None:
    """Whatever is left when the rounds run out, the result is final."""
    plain = command_lines._strip_marks(command_lines._round(text, {})).replace("\n", " ")

    assert normalise(plain) == (plain, ())


# The prefilter in SQL


def in_duckdb(lines: list[str]) -> list[bool]:
    rows = duckdb.execute(
        "select regexp_matches(line, $pattern) from (select unnest($lines) as line)",
        {"pattern": SUSPICIOUS, "lines": lines},
    ).fetchall()
    return [row[0] for row in rows]


@given(st.lists(st.one_of(hostile, st.text()), min_size=1, max_size=40))
def test_the_pattern_means_the_same_in_duckdb(lines: list[str]) -> None:
    """RE2 and Python agree on every text."""
    assert in_duckdb(lines) == [looks_obfuscated(line) for line in lines]


def test_the_pattern_lets_ordinary_lines_pass() -> None:
    """The prefilter spares paths, JSON, pipes, sums and short switches."""
    lines = [EXPORT, REMOVE, "xcopy a b /e /y", 'x {"a":"b"}', "$a + $b", 'dir "C:\\a b"']

    assert in_duckdb(lines) == [False] * len(lines)


_QUOTE_RUNS = st.text(st.sampled_from("a-'\""), max_size=12)


@given(_QUOTE_RUNS)
def test_quotes_inside_a_word_are_those_of_the_plain_pattern(text: str) -> None:
    """The patterns that read a run of quotes once find what the ones find that say it plainly."""
    for quick, kind in ((command_lines._DOUBLE_INSIDE, '"'), (command_lines._SINGLE_INSIDE, "'")):
        plain = re.compile(rf"[\w-][\"']*{kind}[\"']*[\w-]")

        assert (quick.search(text) is None) == (plain.search(text) is None)


@given(st.lists(st.sampled_from(["-", "/", "a", " ", "-e", "-e AAAAAA", ",", "e"]), max_size=8))
def test_dashes_of_flags_go_as_in_the_plain_pattern(parts: list[str]) -> None:
    """Dashes before an encoded command go; one that ends a word is part of the word."""
    text = " ".join("".join(parts).split())
    follows = f"{command_lines._FLAG}{command_lines._FLAG_GAP}{command_lines._VALUE}"

    assert command_lines._strip_marks(text) == re.sub(
        rf"(?<![0-9A-Za-z_])[-/]+(?={follows})", "", text
    )
