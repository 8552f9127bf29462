"""pyarrow works without pandas, which a run does not pay for; others can still import it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from datetime import UTC, datetime
from gundog.core import arrow
arrow.leave_out_pandas()
import duckdb
import numpy as np
import pyarrow as pa
rows = pa.table({"a": [1, None, 1], "b": pa.array([0.5, np.nan, 2], from_pandas=True)})
assert rows["b"].null_count == 1
assert rows.group_by("a").aggregate([("b", "sum")]).num_rows == 2
assert pa.Table.from_pylist([{"at": datetime(2026, 1, 1, tzinfo=UTC)}]).num_rows == 1
assert duckdb.sql("select sum(b) from rows").fetchall() == [(2.5,)]
print("pandas" in sys.modules)
from gundog.hunting.scoring import seasonal, baseline
when = baseline.calendar(datetime(2026, 1, 5, tzinfo=UTC), 336, 24, "UTC")
told = seasonal.seasons(np.ones((2, 336)), when, {"HistoricAverage": {}})
print(np.isfinite(told.means[-1]).all())
"""


def test_pyarrow_does_without_pandas_and_models_with_it() -> None:
    """Tables, groups, nulls and DuckDB's way in load no pandas; statsforecast loads it after."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)

    assert done.stdout.split() == ["False", "True"], done.stderr


MEMORY = """
import re
from pathlib import Path
import pyarrow
from gundog.core import arrow
def data():
    return int(re.search(r"VmData:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1000
before = data()
arrow.leave_out_pandas()
print(data() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is counted as data")
def test_leaving_pandas_out_reserves_no_memory() -> None:
    """A hunt in the child keeps the room that it had: no arena of pyarrow's counts against it."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)

    assert int(done.stdout) < 100, done.stderr
