"""Shells: which words are one, and what one is given to run."""

from __future__ import annotations

import pytest

from gundog.detections import shells


@pytest.mark.parametrize(
    ("shell", "arguments", "code"),
    [
        ("powershell", "dir a", "dir a"),
        ("powershell", '"dir a"', "dir a"),
        ("powershell", "-NoP -w Hidden -ep bypass -c dir", "dir"),
        ("powershell", "-ExecutionPolicy Bypass -Command dir -ep x", "dir -ep x"),
        ("powershell", "-Version 5 -Sta dir", "dir"),
        ("powershell", '"-NoProfile" "-Command" "dir a"', "dir a"),
        ("powershell", "/c dir", "dir"),
        ("powershell", "'-NoP','-c','dir a'", "dir a"),
        ("powershell", "-c 'dir ''a'''", "dir 'a'"),
        ("powershell", '-c "dir \\"a b\\""', 'dir "a b"'),
        ("powershell", '-c "dir ""a b"""', 'dir "a b"'),
        ("powershell", '-c dir "a b"', "dir a b"),
        ("powershell", 'findstr /i "a|b" x', "findstr /i 'a|b' x"),
        ("powershell", 'dir "a|b" x', "dir a|b x"),
        ("powershell", '-enc dir "a|b"', 'dir "a|b'),
        ("powershell", "-ea x dir", "dir"),
        ("powershell", "-File a.ps1 b c", "b c"),
        ("powershell", '-f "a b.ps1" c', "c"),
        ("powershell", "-File a.ps1 -Name b", ""),
        ("powershell", "-File", ""),
        ("powershell", "-NoExit", ""),
        ("powershell", "", ""),
        ("renamed.exe", "-c dir", "dir"),
        ("cmd", "/c dir", "dir"),
        ("CMD.EXE", "/s /v:on /cdir a", "dir a"),
        ("c:\\windows\\cmd.exe", '/k "dir "a b""', 'dir "a b"'),
        ("cmd", '/c "a b.exe" -c "d"', 'a b.exe" -c "d'),
        ("cmd", "dir", "dir"),
        ("cmd", "/c", ""),
    ],
)
def test_code_is_what_the_shell_is_given(shell: str, arguments: str, code: str) -> None:
    """Switches and their values go, and the quotes of the command line, but not those inside."""
    assert shells.code(shell, arguments) == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("powershell.exe dir", "dir"),
        ('"C:\\Program Files\\PowerShell\\7\\pwsh.exe" -c dir', "dir"),
        ("renamed32 dir", "dir"),
        ("Get-Item a", "Get-Item a"),
        ("(Get-Item a).Name", "(Get-Item a).Name"),
        ("", ""),
    ],
)
def test_a_line_begins_with_the_shell_or_is_code(line: str, code: str) -> None:
    """A first word that is a cmdlet, or no word, is not a shell's name."""
    assert shells.code_of_process(line) == code


@pytest.mark.parametrize(
    ("word", "shell", "program"),
    [
        ("powershell", True, True),
        ("PWSH.EXE", True, True),
        ("powershell_ise", True, True),
        ("c:\\logs\\powershell", True, False),
        ("c:/x/powershell.exe", True, True),
        ("powershell.ps1", False, False),
        ("xcmd", False, False),
        ("", False, False),
    ],
)
def test_names_of_shells(word: str, shell: bool, program: bool) -> None:
    """Among arguments a path is a shell only with .exe."""
    assert (shells.is_shell(word), shells.is_program(word)) == (shell, program)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("powershell dir", "dir"),
        ("start /b cmd.exe /c dir", "dir"),
        ("'powershell.exe' -c dir", "dir"),
        ("/tr=powershell dir", "dir"),
        ("Windows PowerShell", ""),
        ("*powershell*dir*", ""),
        ("my-powershell dir", ""),
    ],
)
def test_a_shell_inside_a_text(text: str, code: str) -> None:
    """A shell's name counts where a word begins and something follows."""
    assert shells.inside(text) == code
