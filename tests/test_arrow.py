"""pyarrow works without pandas, which a run does not pay for; others can still import it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import re, sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
import pyarrow as pa
from gundog.core import arrow
def data():
    if sys.platform != "linux":
        return 0  # only Linux says what is counted as data
    return int(re.search(r"VmData:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1000
before = data()
arrow.leave_out_pandas()
reserved = data() - before
import duckdb
import numpy as np
rows = pa.table({"a": [1, None, 1], "b": pa.array([0.5, np.nan, 2], from_pandas=True)})
assert rows["b"].null_count == 1
assert rows.group_by("a").aggregate([("b", "sum")]).num_rows == 2
assert pa.Table.from_pylist([{"at": datetime(2026, 1, 1, tzinfo=UTC)}]).num_rows == 1
assert duckdb.sql("select sum(b) from rows").fetchall() == [(2.5,)]
print("pandas" in sys.modules, find_spec("pandas") is not None, reserved)
"""


def test_pyarrow_does_without_pandas_and_others_find_it() -> None:
    """Tables, groups, nulls and DuckDB's way in load no pandas, which can be imported after.

    A hunt in the child keeps the room that it had: no arena of pyarrow's counts against it. That
    models load pandas there is what every series that a run scores shows.
    """
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)

    loaded, can_be_loaded, reserved = done.stdout.split() or [done.stderr, "", ""]
    assert (loaded, can_be_loaded) == ("False", "True")
    assert int(reserved) < 100
