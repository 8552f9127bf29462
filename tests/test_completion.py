"""Tests of `gundog completion`: the shell itself offers what the command line takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gundog.cli import main, options


def script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    assert main.main(["completion", shell]) == 0
    return capsys.readouterr().out


def offered(path: Path, *words: str) -> set[str]:
    """What bash offers for the last of some words."""
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("no bash here")
    typed = " ".join(f"'{word}'" for word in words)
    lines = f"""source {path}
        COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; COMP_LINE="{" ".join(words)}"
        COMP_POINT=${{#COMP_LINE}}
        $(complete -p gundog | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run([bash, "-c", lines], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_bash_offers_commands_options_and_choices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the parser."""
    path = tmp_path / "gundog.bash"
    path.write_text(script(capsys, "bash"))

    assert offered(path, "gundog", "ex") == {"except", "export"}
    assert {"--from", "--to", "--again"} <= offered(path, "gundog", "backfill", "--")
    assert offered(path, "gundog", "export", "n") == {"navigator"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_has_every_command(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    """And is taken by the shell itself where there is one."""
    text = script(capsys, shell)

    actions = options.parser()._actions
    names = next(
        action.choices for action in actions if action.dest == "==SUPPRESS==" or action.choices
    )
    assert names
    assert [name for name in names if name not in text] == []
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=text, text=True, check=True, timeout=60)
