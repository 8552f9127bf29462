"""Settings after which SQL on a DuckDB connection reaches no file, no network and no setting."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from gundog.warehouse import quoting

_LOCKS = (
    "python_enable_replacements = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "enable_external_access = false",
    "lock_configuration = true",
)


def lock(con: duckdb.DuckDBPyConnection, paths: Iterable[Path] = ()) -> None:
    """Shuts a connection, and every other one to the same database, for as long as it is open.

    What was attached, registered or created before stays usable. DuckDB knows no difference
    between reading and writing an allowed file: whoever allows one lets no unread SQL run here.

    Args:
        con: the connection, with everything set that must be set.
        paths: the only files that may still be opened, without patterns.
    """
    allowed = ", ".join(quoting.text(str(path)) for path in paths)
    if allowed:  # refused once external access is off
        con.execute(f"set allowed_paths = [{allowed}]")
    for setting in _LOCKS:
        con.execute(f"set {setting}")
