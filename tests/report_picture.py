"""Takes pictures of the samples' report with Chromium; one of them is docs/report.png.

    python -m tests.report_picture            docs/report.png again
    python -m tests.report_picture FOLDER     also dark, on a phone, and one finding, to look at

The samples are hunted in a folder of their own first, which takes a minute.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from gundog.cli import main as commands
from gundog.project.project import load_project
from gundog.report.asked import Asked
from gundog.run import report_step
from tests.browser import Browser, browser

ROOT = Path(__file__).parents[1]
DAYS = ("2026-10-24", "2026-10-31")
# The morning after the last night of the samples.
MORNING = datetime.fromisoformat("2026-11-01T06:00:00+00:00")
WIDE, NARROW = (1200, 900), (360, 740)
LARGEST = 200_000


def made(folder: Path) -> Path:
    """The page of the samples, hunted in a folder."""
    for name in ("gundog.yaml", "parquet_samples", "detections", "sql"):
        (folder / name).symlink_to(ROOT / name)
    words = ["backfill", "--from", DAYS[0], "--to", DAYS[1], "--project", str(folder), "--yes"]
    if status := commands.main(words):
        raise SystemExit(status)
    path = folder / "report.html"
    path.write_text(report_step.made(load_project(folder, {}), Asked(), MORNING), encoding="utf-8")
    return path


def look(window: Browser, page: Path, folder: Path) -> None:
    """The first screen light, dark and on a phone, and the worst finding."""
    for name, size, scheme in (
        ("light", WIDE, "light"), ("dark", WIDE, "dark"), ("phone", NARROW, "light"),
    ):  # fmt: skip
        window.size(*size, scheme)
        window.open(page)
        if name != "phone":  # down to the end of the first table, and no row cut
            bottom = "document.querySelector('.legend').getBoundingClientRect().bottom"
            window.size(size[0], int(window.value(bottom)) + 12, scheme)
        window.picture(folder / f"{name}.png")
    window.size(*WIDE)
    window.open(page, window.value("document.querySelector('.inside[id^=finding-]').id"))
    window.picture(folder / "finding.png")


def main() -> None:
    """Writes the pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("project", "profile", "shots"):
            (folder / name).mkdir()
        page = made(folder / "project")
        with browser(folder / "profile") as window:
            look(window, page, folder / "shots")
        light = folder / "shots/light.png"
        if light.stat().st_size > LARGEST:
            raise SystemExit(f"the picture has {light.stat().st_size:,} bytes: make it smaller")
        shutil.copy(light, ROOT / "docs/report.png")
        if sys.argv[1:]:
            shutil.copytree(folder / "shots", sys.argv[1], dirs_exist_ok=True)


if __name__ == "__main__":
    main()
