"""SQL that never ends or outgrows memory, in a hunt, a stage, an example, and while it is loaded.

`python -m tests.bombs` tries all of them, `python -m tests.bombs repeat lpad` some. Each must end,
be named where it fails, and leave everything else done, in a process that stays within its memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from gundog.core import child
from gundog.core.child import Child
from gundog.project import loading
from gundog.run import run
from gundog.staging import apart
from gundog.testing import trying
from tests import kit
from tests.kit import event, write_file
from tests.test_apart import put_stage
from tests.test_single_hunt import children, put_bomb

DAYS = ("2026-03-08", "2026-03-09")
LIMIT_S = 8  # unless --seconds says otherwise
MEMORY = 1_000_000_000  # 1GB in the project below
# What the process maps beside its data: libraries, and pages that are shared with nobody yet.
_BESIDE = 300_000_000
# {i} is a column, a small integer: nothing here is a constant but where it is loaded.
BOMBS = {
    "endless recursion": "(with recursive r(n) as (select {i} union all select n + 1 from r)"
    " select count(*) from r)",
    "cross join": "(select count(*) from range(9000000 + {i} % 2) as a(x),"
    " range(9000000) as b(y) where x * y % 7 = 3)",
    "sum of hashes": "(select sum(length(md5(x::varchar))) from range(300000000000 + {i} % 2)"
    " as a(x))",
    "levenshtein": "levenshtein(repeat('x', 200000 + {i}), repeat('y', 200000))",
    "list_transform": "len(list_transform(range(200000000 + {i}), lambda x: x + 1))",
    "range": "len(range(400000000 + {i}))",
    "list_sort": "len(list_sort(list_transform(range(100000000 + {i}), lambda x: x % 1000003)))",
    "list_reduce": "list_reduce(range(100000000 + {i}), lambda x, y: x + y)",
    "repeat": "length(repeat('x', 3000000000 + {i}))",
    "lpad": "length(lpad('x', 2000000000 + {i}::int, 'y'))",
    "replace": "length(replace(repeat('x', 100000000 + {i}), 'x', repeat('y', 30)))",
    "regexp_replace": "length(regexp_replace(repeat('x', 200000000 + {i}), 'x', 'yy', 'g'))",
    "string_split": "len(string_split(repeat('x,', 90000000 + {i}), ','))",
    "damerau": "damerau_levenshtein(repeat('x', 40000 + {i}), repeat('y', 40000))",
    "array_agg": "(select len(array_agg(x)) from range(3000000000 + {i} % 2) as a(x))",
    "string_agg": "(select length(string_agg('xxxxxxxxxx', '')) from range(10000000000 + {i} % 2))",
    "linear regexp": "regexp_matches(repeat('a', 50000000 + {i}), '(a*)*b')::int",
    "list_aggregate": "list_aggregate([1], repeat('x', 30000000 + {i}))",
    "json_transform": "json_transform('{{}}', repeat('x', 300000000 + {i}))::varchar",
}


@dataclass
class Peak:
    """The most memory that a process of ours had, in bytes."""

    bytes: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._over.wait(0.02):
            for pid in children():
                with suppress(OSError, IndexError):
                    text = Path(f"/proc/{pid}/status").read_text()
                    self.bytes = max(self.bytes, int(text.split("VmHWM:")[1].split()[0]) * 1024)

    def stop(self) -> None:
        self._over.set()


@contextmanager
def watched() -> Iterator[Peak]:
    peak = Peak()
    thread = threading.Thread(target=peak.watch)
    thread.start()
    try:
        yield peak
    finally:
        peak.stop()
        thread.join()


def make(root: Path, seconds: int) -> Path:
    """Two days with a finding on each."""
    kit.make_project(root)
    small = kit.CONFIG.replace("memoryLimit: 2GB", "memoryLimit: 1GB")
    kit.write_text(root / "gundog.yaml", f"{small}huntLimit: {seconds}s\n")
    kit.fill_days(root, DAYS[0], 2)
    for day in DAYS:
        pair = [event(f"{day}T10:00", "open", number=1), event(f"{day}T11:00", "close", number=2)]
        write_file(root, day, pair, "pair")
    return root


def in_hunt(root: Path, bomb: str) -> str:
    put_bomb(root, bomb.format(i="id"))
    return _hunted(root)


def in_stage(root: Path, bomb: str) -> str:
    put_stage(root, bomb.format(i="Id"))
    return _hunted(root)


def _hunted(root: Path) -> str:
    """What a run says; the honest findings are there whatever it is."""
    outcome = kit.hunt(root, DAYS)
    found = kit.table(root, "select count(*) from findings where detection_id::varchar like '1%'")
    assert found == [(2,)], outcome.problems
    assert all("boom" in one for one in outcome.problems), outcome.problems
    return outcome.problems[0] if outcome.problems else "ends by itself"


def in_load(root: Path, bomb: str) -> str:
    put_bomb(root, bomb.format(i="0"))
    with Child() as helper:
        loaded = run.load_project(root, {}, helper=helper).content
    assert "pair" in [hunt.detection.stem for hunt in loaded.hunts], loaded.problems
    assert all("boom" in str(one) for one in loaded.problems), loaded.problems
    return str(loaded.problems[0]) if loaded.problems else "loads"


def in_test(root: Path, bomb: str) -> str:
    put_bomb(root, bomb.format(i="id"))
    with Child() as helper:
        project = run.load_project(root, {}, helper=helper)
        trials = trying.Trials(helper, project)
        said = {
            hunt.detection.stem: [trials.check(hunt, one) for one in hunt.detection.examples]
            for hunt in project.content.hunts
        }
    assert said["pair"] == [[], []], said
    lines = [*(line for some in said.get("boom", ()) for line in some), *project.content.problems]
    return str(lines[0]) if lines else "ends by itself"


PLACES: dict[str, Callable[[Path, str], str]] = {
    "hunt": in_hunt, "stage": in_stage, "load": in_load, "test": in_test,
}  # fmt: skip


def explode(name: str, seconds: int) -> Iterator[str]:
    """Tries a bomb everywhere, each time for so many seconds at most; a line for each place.

    Raises:
        AssertionError: when anything else suffers, or a process had too much memory.
    """
    for place, work in PLACES.items():
        with tempfile.TemporaryDirectory(prefix="bomb-") as folder, watched() as peak:
            root = make(Path(folder), seconds)
            began = time.perf_counter()
            said = work(root, BOMBS[name])
            took = time.perf_counter() - began
        assert peak.bytes <= MEMORY + child.SLACK_BYTES + _BESIDE, (name, place, peak.bytes)
        shown = " ".join(said.replace(folder, "").split())[:90]
        yield f"{name:18} {place:6} {took:6.1f} s {peak.bytes / 1e6:6.0f} MB  {shown}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=LIMIT_S)
    asked = parser.parse_args()
    apart.LEAST = trying.EXAMPLE = timedelta(seconds=asked.seconds)
    loading._SECONDS = float(asked.seconds)
    for name in asked.names or BOMBS:
        for line in explode(name, asked.seconds):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
