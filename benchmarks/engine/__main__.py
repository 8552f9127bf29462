"""`make bench`: measures the parts asked for and writes benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.engine import measure, page, picture

_HERE = Path(__file__).parents[1]
_RESULTS = _HERE / "results.json"


def main() -> None:
    """Measures, one part after the other; what was measured before stays for the others."""
    given = _options()
    kept = given.keep / "results.json" if given.keep else _RESULTS
    kept.parent.mkdir(parents=True, exist_ok=True)
    for part in given.only:
        began = time.monotonic()
        found = measure.PARTS[part](given.lake.absolute(), given.megabytes, given.rounds)
        found |= {"machine": measure.machine(), "command": f"{_command(given)} --only {part}"}
        results = _known(kept) | {part: _rounded(found)}
        kept.write_text(json.dumps(results, indent=1) + "\n")
        if not given.keep:
            _publish(results, {part: results[part]})
        lines = page.TABLES[part](results[part])
        minutes = (time.monotonic() - began) / 60
        sys.stdout.write("\n".join([f"## {part} ({minutes:.1f} minutes)", "", *lines, "", ""]))
        sys.stdout.flush()
    if not given.only:
        results = _known(kept)
        _publish(results, results)


def _known(kept: Path) -> dict[str, Any]:
    return json.loads(kept.read_text()) if kept.exists() else {}  # type: ignore[no-any-return]


def _publish(results: dict[str, Any], changed: dict[str, Any]) -> None:
    """Writes the changed tables and, when all that it shows was measured, the picture."""
    page.write(_HERE / "README.md", changed)
    if find_spec("matplotlib") and {"engines", "year"} <= set(results):
        picture.draw(_HERE / "engine.svg", results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parts = ", ".join(measure.PARTS)
    parser.add_argument("--only", nargs="*", default=list(measure.PARTS), metavar="PART",
                        choices=measure.PARTS, help=f"of {parts}; none draws again")  # fmt: skip
    parser.add_argument("--megabytes", type=int, default=2000, help="of parquet in the large day")
    parser.add_argument("--rounds", type=int, default=3, help="how often each engine has its turn")
    parser.add_argument("--lake", type=Path, default=Path(".bench"), help="where lakes are made")
    parser.add_argument("--keep", type=Path, help="write figures there and leave the page as it is")
    return parser.parse_args()


def _command(given: argparse.Namespace) -> str:
    command = "python -m benchmarks.engine"
    for name, usual in (("megabytes", 2000), ("rounds", 3)):
        if getattr(given, name) != usual:
            command += f" --{name} {getattr(given, name)}"
    return command


def _rounded(found: Any) -> Any:
    """Figures to four digits behind the point."""
    if isinstance(found, dict):
        return {name: _rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [_rounded(value) for value in found]
    return round(found, 4) if isinstance(found, float) else found


if __name__ == "__main__":
    main()
