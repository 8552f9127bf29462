"""A real browser for tests: headless Chromium, spoken to through a pipe, with all it notices."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Ends a test whose browser hangs; no claim on how fast anything is.
PATIENCE_S = 120
# Things a page can only do by running, loading or failing.
_NOTICED = {
    "Network.requestWillBeSent": "request",
    "Runtime.consoleAPICalled": "console",
    "Runtime.exceptionThrown": "exception",
    "Log.entryAdded": "log",
    "Page.javascriptDialogOpening": "dialog",
    "Page.windowOpen": "window",
}


@dataclass
class Browser:
    """One page of a Chromium; `noticed` holds what it did, as (kind, words)."""

    write: int
    read: int
    session: str = ""
    number: int = 0
    noticed: list[tuple[str, str]] = field(default_factory=list)
    loaded: int = 0
    heard: bytes = b""

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """What Chromium answers to a command of its DevTools protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.heard:
            if not select.select([self.read], [], [], PATIENCE_S)[0]:
                raise RuntimeError("Chromium says nothing any more")
            piece = os.read(self.read, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium has ended")
            self.heard += piece
        data, _, self.heard = self.heard.partition(b"\0")
        answer: dict[str, Any] = json.loads(data)
        if kind := _NOTICED.get(answer.get("method", "")):
            self.noticed.append((kind, json.dumps(answer["params"])))
        self.loaded += answer.get("method") == "Page.loadEventFired"
        return answer

    def open(self, path: Path, anchor: str = "") -> list[tuple[str, str]]:
        """Opens a file, waits until it is loaded, and returns what it did, its own load aside."""
        url = path.resolve().as_uri()
        self._go("about:blank")  # from the same page an anchor would load nothing
        self.noticed.clear()
        self._go(url + (f"#{anchor}" if anchor else ""))
        # Two frames, so that what the load set off has happened.
        self.value("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
        return [one for one in self.noticed if not (one[0] == "request" and _is_of(one[1], url))]

    def _go(self, url: str) -> None:
        before = self.loaded
        self.ask("Page.navigate", url=url)
        while self.loaded == before:
            self._next()

    def value(self, expression: str) -> Any:
        """What an expression is in the page."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return answer["result"].get("value")

    def size(self, width: int, height: int = 900, scheme: str = "light") -> None:
        """Makes the window so large, in the light or the dark scheme."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Writes what is seen, or the whole page, as a PNG."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


def _is_of(params: str, url: str) -> bool:
    return str(json.loads(params)["request"]["url"]).partition("#")[0] == url


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A Chromium with an empty profile in a folder; it ends with the block."""
    assert CHROMIUM, "no Chromium on this machine"
    (read_in, write_in), (read_out, write_out) = os.pipe(), os.pipe()
    flags = (
        "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
        " --disable-background-networking --disable-component-update --hide-scrollbars"
        f" --remote-debugging-pipe --user-data-dir={folder}"
    )
    # dash knows no file descriptor above 9 in a redirection.
    command = f"exec {CHROMIUM} {flags} about:blank 3<&{read_in} 4>&{write_out}"
    process = subprocess.Popen(
        ["/bin/bash", "-c", command], pass_fds=(read_in, write_out),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(read_in)
    os.close(write_out)
    try:
        one = Browser(write_in, read_out)
        pages = one.ask("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        one.session = one.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            one.ask(f"{domain}.enable")
        yield one
    finally:
        process.kill()
        process.wait()
        os.close(write_in)
        os.close(read_out)
