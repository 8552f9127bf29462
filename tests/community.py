"""Imports the community hunts again: their SQL and staged tables from the KQL in their YAML.

`python -m tests.community` does it after a query was changed or a hunt was added. It needs the
extra gundog[kql], and writes below detections/community/ and sql/community/ only.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from gundog.cli import main
from gundog.detections import content_folder
from tests import kit

FOLDER = content_folder.community()
SQL = content_folder.layout(FOLDER).tables
_PROJECT = """\
content: [builtin, .]
lake: {DeviceProcessEvents: "lake/%Y-%m-%d.parquet", CloudAppEvents: "lake/%Y-%m-%d.parquet"}
"""


def translate(root: Path) -> dict[Path, str]:
    """The texts that `gundog import --update` makes of the hunts, by the path of their file.

    Args:
        root: an empty folder, for the project in which they are imported.

    Raises:
        SystemExit: when a query is refused; the reason was written to standard error.
    """
    kit.write_text(root / "gundog.yaml", _PROJECT)
    queries = []
    for path in sorted(FOLDER.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        own = text.replace(f"\nsql: community/{path.stem}.sql\n", f"\nsql: {path.stem}.sql\n")
        kit.write_text(root / "detections" / path.name, own)
        queries.append(kit.write_text(root / "queries" / path.name, text))
    words = ("import", "--update", "--group", "community", "--project", str(root))
    failed = main.main([*words, *map(str, queries)])
    if failed:
        raise SystemExit(failed)
    texts = {}
    for path in sorted((root / "sql").rglob("*.sql")):
        texts[SQL / path.relative_to(root / "sql")] = path.read_text(encoding="utf-8")
    for path in sorted((root / "detections").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        texts[FOLDER / path.name] = re.sub(r"(?m)^sql: ", "sql: community/", text, count=1)
    return texts


def write() -> None:
    """Writes what changed, and removes SQL that no hunt uses any more."""
    with tempfile.TemporaryDirectory() as folder:
        texts = translate(Path(folder))
    for path in SQL.rglob("*.sql"):
        if path not in texts:
            path.unlink()
    for path, text in texts.items():
        kit.write_text(path, text)


if __name__ == "__main__":
    write()
    sys.stdout.write(f"wrote {FOLDER} and {SQL}\n")
