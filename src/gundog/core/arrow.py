"""pyarrow without pandas: half a second of CPU that no run needs.

The first value that pyarrow makes of a Python one has it import pandas, to see whether the value is
of its kind. Whoever needs pandas can still import it, but pyarrow's `to_pandas` does not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas:
    """Finds no pandas, and leaves every other module to those after it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if name == "pandas":
            raise ModuleNotFoundError("pyarrow does without it here", name=name)
        return None


def leave_out_pandas() -> None:
    """Has pyarrow believe for good that pandas is not there, in a process that is gundog's own.

    Nothing happens where pandas is loaded already, or pyarrow has looked for it.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        # Not by making a value: that reserves a gigabyte of memory, which counts in the child.
        # pyarrow looks in two places, once in each.
        pa.infer_type([0])
        with suppress(AttributeError):  # pyarrow's own name: another version may have another
            _ = pa.lib._pandas_api.have_pandas
    finally:
        sys.meta_path.remove(finder)
