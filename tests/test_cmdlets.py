"""Which cmdlets a command line runs: in command position they run, elsewhere they are words."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gundog.detections import stage_sql
from gundog.detections.cmdlets import Run, run_by
from tests import draws

NEW, GONE = "New-MailboxExportRequest", "Remove-MailboxExportRequest"


def encode(script: str) -> str:
    """Base64 of UTF-16, as -EncodedCommand takes it."""
    return base64.b64encode(script.encode("utf-16-le")).decode()


def acts(line: str) -> list[str]:
    """Which of the two cmdlets the line runs, in their order."""
    return [one.name for one in run_by(line) if one.name in (NEW.lower(), GONE.lower())]


MATCHES = f'Get-WinEvent | ? {{ $_.Message -match "{NEW}|{GONE}" }}'
ENCODED = {
    "asks": encode(f"Search-AdminAuditLog `\r\n -Cmdlets {NEW}"),
    "matches": encode(MATCHES),
    "line end": encode(f"Get-Help {GONE}\r\n{NEW} ceo"),
    "blank behind a backtick": encode(f"Get-Help {GONE} ` \r\n{NEW} ceo"),
    "twice": encode("powershell -enc " + encode(f"Get-Help {GONE}; {NEW} ceo")),
}


# Asking

ASKING = (
    f"Search-AdminAuditLog -Cmdlets {NEW},{GONE} -StartDate 01/01/2026",
    f"Search-AdminAuditLog -Cmdlets @('{NEW}', '{GONE}')",
    f"Search-UnifiedAuditLog -Operations {NEW}, {GONE} -StartDate 2026-01-01",
    f"$them = '{NEW}','{GONE}'; Search-UnifiedAuditLog -Operations $them",
    f"Get-ManagementRole -Cmdlet {NEW}; Get-ManagementRole -Cmdlet {GONE}",
    f"Get-ManagementRoleEntry '*\\{NEW}'; Get-ManagementRoleEntry *\\{GONE}",
    f"(Get-ManagementRole -Cmdlet {NEW}).Name -like '*Export*'",
    f"Get-EventLog 'MSExchange Management' | Where-Object {{$_.Message -like '*{NEW}*'}}",
    f"Get-WinEvent -LogName 'MSExchange Management' | ? {{ $_.Message -match '{NEW}|{GONE}' }}",
    f"Get-History | ? CommandLine -like '*{NEW}*'",
    f"Get-Help {NEW} -Full; help {GONE}; man {GONE}",
    f"Get-Command -Name '{NEW}', {GONE}; gcm {NEW}",
    f"Select-String -Pattern '{NEW}|{GONE}' -Path *.log",
    f"Get-Content log.txt | Select-String {NEW}, {GONE} | Out-File found.txt",
    f"sls '{NEW}' *.ps1; findstr /s {GONE} *.ps1",
    f"Write-Host '{NEW} was run'; echo {GONE}",
    f"if ($_.CmdletName -eq '{NEW}') {{ Write-Output 'powershell {GONE}' }}",
    f"iex 'Get-Help {NEW}'; & $ask; Search-AdminAuditLog -Cmdlets {GONE}",
    f". $env:ExchangeInstallPath\\bin\\RemoteExchange.ps1; Search-AdminAuditLog -Cmdlets {NEW}",
    f". '$bin\\RemoteExchange.ps1'; Connect-ExchangeServer -auto; Get-Help {NEW}",
    f"& {{ param($c) Search-AdminAuditLog -Cmdlets $c,{NEW} }}",
    f"New-Item {NEW}.txt; Remove-Item {GONE}.txt",
    f"Get-Process powershell | Where-Object Name -ne {NEW}",
)


@pytest.mark.parametrize("script", ASKING)
@pytest.mark.parametrize(
    "shell",
    [
        'powershell "{script}"',
        'powershell.exe -NoProfile -ExecutionPolicy Bypass -Command "{script}"',
        'cmd.exe /c "pwsh -c "{script}""',
        '"C:\\Program Files\\PowerShell\\7\\pwsh.exe" -c "& {{ {script} }}"',
        "powershell -enc {encoded}",
    ],
)
def test_asking_about_a_cmdlet_runs_none(shell: str, script: str) -> None:
    """However the shell is started, what is asked, searched or written about does not run."""
    assert acts(shell.format(script=script, encoded=encode(script))) == []


@pytest.mark.parametrize(
    "line",
    [
        f'powershell findstr "{NEW}|{GONE}" a.log',
        f'powershell -c "Get-WinEvent | ? {{ $_.Message -match \\"{NEW}|{GONE}\\" }}"',
        f"powershell {MATCHES}",
        f"powershell -enc {ENCODED['matches']}",
        f'cmd /c findstr "{NEW}|{GONE}" a.log',
        f'cmd /c type log.txt | findstr "{GONE}"',
        f"cmd /c echo {NEW} >> notes.txt",
        f'cmd /c "dir {NEW}.log & type {GONE}"',
        f"(Get-ManagementRole -Cmdlet {NEW}).Name -like '*Export*'",
        f"Get-Help {NEW}",
        f"powershell -File find.ps1 -Cmdlet {NEW}",
        f"powershell -c .\\find.ps1 -Cmdlet {NEW}",
        f"powershell -enc {ENCODED['asks']}",
        "",
        "powershell",
        '"powershell"',
    ],
)
def test_asking_with_other_quotes_and_shells_runs_none(line: str) -> None:
    """A pattern in quotes is not a pipe, and a script's named argument is not a command."""
    assert acts(line) == []


# Running


RUNNING = (
    "{cmdlet} -Mailbox ceo",
    "$x = {cmdlet} ceo",
    "{cmdlet}",
    "&{cmdlet} ceo",
    "& '{cmdlet}' ceo",
    ". {cmdlet} ceo",
    ".{{{cmdlet} ceo}}",
    "& {{ {cmdlet} ceo }}",
    "& {{ param($a) {cmdlet} $a }} ceo",
    "Some.Module\\{cmdlet} ceo",
    "& 'Some.Module\\{cmdlet}' ceo",
    "if (Get-Command {cmdlet} -ea 0) {{ {cmdlet} ceo }}",
    "if ($true) {{ }} {cmdlet} ceo",
    "if ($true) {{ }} else {{ {cmdlet} ceo }}",
    "foreach ($m in {cmdlet} ceo) {{ }}",
    "foreach ($m in 'a','b') {{ {cmdlet} $m }}",
    "'a','b' | % {{ {cmdlet} $_ }}",
    "'a' | ForEach-Object {{{cmdlet} $_}}",
    "try {{ {cmdlet} ceo }} catch {{ }}",
    "switch (1) {{ 1 {{ {cmdlet} ceo }} }}",
    "return {cmdlet} ceo",
    "[void]({cmdlet} ceo)",
    "Get-Foo ({cmdlet} ceo)",
    'Get-Foo \\"$({cmdlet} ceo)\\"',
    "@{{a=({cmdlet} ceo)}}",
    "@{{a={cmdlet} ceo}}",
    "Invoke-Command -ComputerName x -ScriptBlock {{ {cmdlet} ceo }}",
    "Start-Process powershell -ArgumentList '-c {cmdlet} ceo'",
    "Start-Process powershell -ArgumentList '-NoP','-c','{cmdlet} ceo'",
    "Start-Process powershell -ArgumentList @('-c','{cmdlet} ceo')",
    "start powershell.exe '{cmdlet} ceo'",
    "([wmiclass]'Win32_Process').Create('powershell {cmdlet} ceo')",
    "schtasks /create /tn x /tr 'powershell -w hidden {cmdlet} ceo'",
    "powershell {{ {cmdlet} ceo }}",
    "run.ps1 {cmdlet} ceo",
    "& 'C:\\a b\\run.ps1' {cmdlet} ceo",
    # Words that the line itself runs.
    "iex '{cmdlet} ceo'",
    "'{cmdlet} ceo' | Invoke-Expression",
    "Write-Output '{cmdlet} ceo' | iex",
    "& (gcm {cmdlet}) ceo",
    "&(Get-Command -Name '{cmdlet}') ceo",
    "$c = gcm {cmdlet}; & $c ceo",
    "gcm {cmdlet}* | % {{ & $_ ceo }}",
    "(gcm {cmdlet}).ScriptBlock.Invoke('ceo')",
    "$c='{cmdlet}'; & $c ceo",
    "$c='{cmdlet}'; .$c ceo",
    "$c='{cmdlet}'; & \\\"$c\\\" ceo",
    "Set-Alias nme {cmdlet}; nme ceo",
    "sal nme {cmdlet}; nme ceo",
    "Set-Item alias:nme {cmdlet}; nme ceo",
    "[scriptblock]::Create('{cmdlet} ceo').Invoke()",
    "[powershell]::Create().AddCommand('{cmdlet}').Invoke()",
    "$ExecutionContext.InvokeCommand.InvokeScript('{cmdlet} ceo')",
    "'{cmdlet} ceo' > x.ps1; powershell -File x.ps1",
    "Set-Content x.ps1 '{cmdlet} ceo'; .\\x.ps1",
    "'{cmdlet} ceo' | powershell -",
)


@pytest.mark.parametrize(
    ("shell", "before", "script"),
    draws.spread(
        product(
            ('powershell "{}"', "powershell -c '{}'", "powershell -enc {}"),
            ("", f"Search-AdminAuditLog -Cmdlets {GONE}; "),
            RUNNING,
        ),
        every=5,
    ),
)
def test_running_a_cmdlet_is_seen(shell: str, before: str, script: str) -> None:
    """Wherever PowerShell expects a command, and where a line runs its own words."""
    code = before + script.format(cmdlet=NEW)
    if shell.endswith("-enc {}"):
        line = shell.format(encode(code.replace('\\"', '"')))
    elif "'{}'" in shell:
        line = shell.format(code.replace("'", "''"))
    else:
        line = shell.format(code)

    assert NEW.lower() in acts(line)
    assert GONE.lower() not in acts(line)


@pytest.mark.parametrize(
    "line",
    [
        f"{NEW} ceo",
        f"svchost32 {NEW} ceo",
        f"cmd /c {NEW} ceo",
        f"cmd /cpowershell {NEW} ceo",
        f'cmd /c"powershell {NEW} ceo"',
        f"cmd /s /v:on /c powershell {NEW} ceo",
        f"cmd /c start /b powershell -w hidden {NEW} ceo",
        f"cmd /c if exist a.txt powershell {NEW} ceo",
        f"cmd /c for /f %i in (users.txt) do powershell {NEW} %i",
        f"cmd /c for /f %i in ('powershell {NEW} ceo') do echo %i",
        f'cmd /c schtasks /create /tn x /tr "powershell {NEW} ceo"',
        f"cmd /c echo {NEW} ceo | powershell -",
        f'cmd /c "echo {NEW} ceo | powershell -"',
        f"cmd /c echo {NEW} ceo > x.ps1 & powershell -File x.ps1",
        f'cmd /c set c={NEW}& powershell -c "& $env:c ceo"',
        f'cmd /c "set c={NEW}& powershell %c% ceo"',
        f"cmd /c findstr {NEW} a.log & powershell {NEW} ceo",
        f"cmd /c it's & powershell {NEW} 'ceo",
        f'powershell "-c {NEW} ceo"',
        f'powershell "-NoProfile" "-Command" "{NEW} ceo"',
        f'powershell -ep bypass -w hidden -Version 5 "{NEW} ceo"',
        f"powershell -File \\\\fs01\\pst\\run.ps1 {NEW} -Mailbox ceo",
        f'powershell -f "C:\\a b\\run.ps1" {NEW} ceo',
        f'powershell echo "x; {NEW} ceo"',
        f'powershell Get-MailboxExportRequest"|"{NEW}',
        f'powershell "Get-MailboxExportRequest|{NEW}"',
        f"powershell Get-Help {GONE}\n{NEW} ceo",
        f"powershell -enc {ENCODED['line end']}",
        f"powershell -enc {ENCODED['blank behind a backtick']}",
        f"powershell -enc {ENCODED['twice']}",
        f"powershell Get-Help {GONE}; N`ew-Mail`boxExportRequest ceo",
        f"cmd /c powershell Get-Help {GONE} ^& {NEW[:4]}^{NEW[4:]} ceo",
        f"powershell 'Get-Help {GONE}; {NEW} ceo",
        f'powershell "Get-Help {GONE}; {NEW} ceo',
    ],
)
def test_running_from_other_shells_is_seen(line: str) -> None:
    """Shells within shells, spellings of their switches, quotes that are not closed."""
    assert acts(line) == [NEW.lower()]


@pytest.mark.parametrize(
    ("script", "separator"),
    draws.spread(
        product(ASKING, (";", " ; ", "|", " || ", " && ", " & ", "\n", "\r\n", "\r")), every=5
    ),
)
def test_a_line_that_asks_and_then_runs_one_is_seen(script: str, separator: str) -> None:
    """What parts commands ends what is asked."""
    assert NEW.lower() in acts(f'powershell "{script}{separator}{NEW} -Mailbox ceo"')
    assert acts(f'powershell "{NEW} -Mailbox ceo{separator}{script}"') == [NEW.lower()]


# Trying


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ("ceo -WhatIf", False),
        ("ceo -wi", False),
        ("ceo -WhatIf:$true", False),
        ("ceo -WhatIf: 1", False),
        ("-ContentFilter {(Received -ge '1')} -WhatIf", False),
        ("-Mailbox (Get-Mailbox ceo) -WhatIf", False),
        ("ceo -WhatIf:$false", True),
        ("ceo -WhatIf: $false", True),
        ("-Mailbox (Get-Mailbox ceo -WhatIf)", True),
        ("-Name 'a -WhatIf b'", True),
        ("-Name '-WhatIf'", True),
        ("ceo; Get-Foo -WhatIf", True),
        ("ceo | Get-Foo -WhatIf", True),
    ],
)
def test_trying_is_not_running(arguments: str, runs: bool) -> None:
    """-WhatIf counts where it is the cmdlet's own."""
    assert acts(f'powershell "{NEW} {arguments}"') == [NEW.lower()] * runs


# What is told of a run


def test_runs_stand_in_order_with_what_is_behind_them() -> None:
    """Each has the text up to the next, also across shells."""
    line = "cmd /c powershell -c Get-Date; New-A -x (New-B 1) y; copy a b & powershell New-C z"

    assert run_by(line) == (
        Run("get-date", ";"),
        Run("new-a", " -x ("),
        Run("new-b", " 1) y; copy a b &"),
        Run("new-c", " z"),
    )


# Laws

WORDS = st.sampled_from(
    'powershell cmd /c -c -enc -File x.ps1 iex & . $x %x% ( ) { } $( @( @{ \' " \\" ; | \n = , >'
    f" -like -WhatIf {NEW} {GONE} Get-Help gcm echo findstr 'a b' foreach in if else `".split(" ")
)
hostile = st.lists(WORDS, max_size=30).map(" ".join)


@given(hostile)
def test_any_text_is_read(line: str) -> None:
    """Nothing raises, and no cmdlet is told of that the line does not name."""
    found = run_by(line)

    assert all(re.fullmatch(r"[a-z]+-\w+", one.name) for one in found)
    assert {one.name for one in found} <= {name.lower() for name in re.findall(r"\w+-\w+", line)}


@given(hostile)
def test_what_runs_on_the_last_line_is_seen(before: str) -> None:
    """Whatever stands on the lines before, unless a string or an option goes on to the last."""
    assume(not any(mark in before for mark in "'\"`"))
    assume("-enc" not in before and "-like" not in before)
    line = f"powershell -c Get-Help\n{before}\nStop-All x"

    assert "stop-all" in [one.name for one in run_by(line)]


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "{ ",
        "$(",
        "'",
        '"',
        "New-a ",
        "New-a (",
        "cmd /c ",
        "powershell ",
        "'powershell New-a' ",
        '"$(',
        "iex 'New-a' ",
        "& $x;",
        "-like ",
        "`n",
        "a=",
        "x.ps1 ",
        "> a.ps",
        "@('a',",
        "-e ",
    ],
)
def test_a_long_hostile_line_returns(unit: str) -> None:
    """One trick, repeated as often as a command line of Windows holds, needs no deep stack."""
    line = "powershell iex " + unit * (32_767 // len(unit)) + f"; {NEW}"

    assert sum(len(one.name) + len(one.arguments) for one in run_by(line)) <= 2 * len(line)


def test_shells_below_the_last_level_hide_nothing() -> None:
    """Nested more deeply than is read, every name counts."""
    assert acts("cmd /c " * 50 + f"powershell {NEW} ceo") == [NEW.lower()]


# What staged rows follow from


def test_version_stands_for_what_is_told() -> None:
    """Other results need another version, or staged rows would stay as they were."""
    told = repr([run_by(f'powershell "{script}"') for script in (*ASKING, *RUNNING)])

    digest = hashlib.sha256(told.encode()).hexdigest()[:8]
    assert (stage_sql.VERSIONS["cmdlets_run"], digest) == ("1 1", "b8237b19")
