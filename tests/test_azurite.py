"""Defender's own layout on Azure's emulator, from a container to findings."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pyarrow import fs

from gundog.cli import main
from tests import kit

# The emulator's own account and key, which everybody knows.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "insights-logs-advancedhunting-deviceprocessevents"
_AZURITE = shutil.which("azurite-blob")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _AZURITE, reason="azurite-blob is not there: npm install -g azurite"),
]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator with nothing in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("azurite")
    process = subprocess.Popen(
        [str(_AZURITE), "--blobPort", str(port), "--location", str(folder), "--silent",
         "--skipApiVersionCheck", "--disableTelemetry"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(kit.HUNG_S)


def _wait_for(port: int) -> None:
    until = time.monotonic() + kit.HUNG_S
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("azurite does not answer")


def store(address: str) -> fs.AzureFileSystem:
    return fs.AzureFileSystem(
        account_name=ACCOUNT, account_key=KEY, blob_storage_authority=address,
        dfs_storage_authority=address, blob_storage_scheme="http", dfs_storage_scheme="http",
    )  # fmt: skip


def line(at: str, command: str) -> bytes:
    """A process event as the Streaming API appends it."""
    row = {
        "Timestamp": at, "DeviceId": "d1", "DeviceName": "ex01.example.com",
        "ActionType": "ProcessCreated", "FileName": "powershell.exe", "ProcessCommandLine": command,
        "AccountDomain": "example", "AccountName": "ana", "AccountSid": "S-1-5-21-1-2-3-500",
        "ReportId": abs(hash(at)) % 10**9, "ProcessId": 7, "ProcessCreationTime": at,
    }  # fmt: skip
    envelope = {"time": at, "tenantId": "6f", "operationName": "Publish"}
    table = {"category": "AdvancedHunting-DeviceProcessEvents", "properties": row}
    return json.dumps(envelope | table).encode() + b"\r\n"


def test_newcomer_gets_from_a_container_to_findings(
    azurite: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`init --from` the account, `hunt`; a blob that was appended to gives what came later."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    azure, blob = store(azurite), f"{CONTAINER}/tenantId=6f/y=2026/m=03/d=09/h=12/m=00/PT1H.json"
    azure.create_dir(CONTAINER)
    with azure.open_output_stream(blob) as stream:
        stream.write(line("2026-03-09T12:10:00.1234567Z", "New-MailboxExportRequest -Mailbox ceo"))
    project = tmp_path / "hunts"
    url = f"http://{azurite}/{ACCOUNT}"

    assert main.main(["init", str(project), "--from", url]) == 0
    hours = "tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00/PT1H.json"
    assert yaml.safe_load((project / "gundog.yaml").read_text())["lake"] == {
        "DeviceProcessEvents": {
            "path": f"abfss://{CONTAINER}@{ACCOUNT}.dfs.core.windows.net/{hours}",
            "endpoint": f"http://{azurite}",
        }
    }
    days = ["--from", "2026-03-09", "--to", "2026-03-09", "--project", str(project)]
    only = ["--detection", "mailbox_export_removed", "--notify", "none"]
    assert main.main(["hunt", *days, *only]) == 0
    assert kit.table(project, "select count(*) from findings") == [(0,)]

    with azure.open_append_stream(blob) as stream:
        stream.write(line("2026-03-09T12:50:00.5Z", "Remove-MailboxExportRequest -Identity ceo\\x"))
    assert main.main(["hunt", *days, *only]) == 0

    assert kit.table(project, "select account_name, host_name from findings") == [("ana", "ex01")]
    assert kit.table(project, "select rows from source_files") == [(2,)]
    capsys.readouterr()
    with monkeypatch.context() as wrong:
        wrong.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY[:-8] + "AAAAAA==")
        assert main.main(["init", str(tmp_path / "other"), "--from", url]) != 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "credentials" in said
