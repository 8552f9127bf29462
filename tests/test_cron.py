"""The cron lines of the pages, run as cron runs them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import gundog
from gundog.core.times import DAY, last_complete
from tests import kit
from tests.sinks import Sink

ROOT = Path(__file__).parents[1]
CRON = re.compile(r"^(\d+ \d+ \* \* \*) +(.*)$", re.MULTILINE)
PAGES = ["README.md", "docs/operations.md"]


def cron_line(page: str) -> tuple[str, str]:
    """The schedule and the command of a page's only cron line."""
    [(when, command)] = CRON.findall((ROOT / page).read_text(encoding="utf-8"))
    return when, command


def make_home(home: Path, command: str) -> Path:
    """The folders that the line names, with a project whose last night has a finding."""
    _, folder, *words = shlex.split(command)
    root = kit.make_project(Path(folder.replace("$HOME", str(home))))
    today = last_complete(datetime.now(UTC), DAY).end
    kit.fill_days(root, f"{today - 2 * DAY:%Y-%m-%d}", 3)  # today too: midnight may pass meanwhile
    for number, day in ((1, today - DAY), (3, today)):
        rows = [kit.event(f"{day:%Y-%m-%d}T05:00", "open", "a", number)]
        rows += [kit.event(f"{day:%Y-%m-%d}T06:00", "close", "a", number + 1)]
        kit.write_file(root, f"{day:%Y-%m-%d}", rows, "pair")
    program = root / next(word for word in words if word.endswith("/gundog"))
    source = Path(gundog.__file__).parents[1]
    text = f'#!/bin/sh\nPYTHONPATH="{source}" exec "{sys.executable}" -m gundog "$@"\n'
    kit.write_text(program, text).chmod(0o755)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_cron_line_hunts_sends_and_logs_as_written(tmp_path: Path, sink: Sink, page: str) -> None:
    """With what cron gives a command, and the secret in a file that nobody else can read."""
    when, command = cron_line(page)
    command = command.replace("/srv/gundog", str(tmp_path / "srv"))
    root = make_home(tmp_path, command)
    channel = '{name: soc, url: "${SOC_WEBHOOK}", minSeverity: medium, mode: each}'
    kit.write_text(root / "gundog.yaml", f"{kit.CONFIG}notify:\n  - {channel}\n")
    kit.write_text(root / "secrets.env", f"SOC_WEBHOOK='{sink.url('/secret?a=1&b=2')}'\n").chmod(
        0o600
    )

    environ = {"HOME": str(tmp_path), "LOGNAME": "hunter", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    log = (root / "hunt.log").read_text(encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), log
    assert "1 new" in log
    assert len(sink.keys()) == 1
    assert (when, "SOC_WEBHOOK" in command) == ("30 2 * * *", False)


@pytest.mark.parametrize("page", PAGES)
def test_cron_line_names_what_it_lacks(tmp_path: Path, page: str) -> None:
    """Without the file of secrets nothing is hunted, and cron has an error to mail."""
    command = cron_line(page)[1].replace("/srv/gundog", str(tmp_path / "srv"))
    root = make_home(tmp_path, command)

    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": "/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert "secrets.env" in done.stderr
    assert not (root / ".gundog").exists()
