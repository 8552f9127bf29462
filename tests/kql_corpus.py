"""Imports every query below a folder and prints how many parse, import and are refused, and why.

    python -m tests.kql_corpus DIR [--tables T,T] [--list] [--hostile N] [--every K]

Nothing is written: each query is translated, bound to empty tables and thrown away. With --hostile
it also runs over N rows of hostile values, from its own stage and from all rows.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb

from gundog.core.errors import InputError
from gundog.detections import content, content_folder
from gundog.kql_import import groups, reading, source_columns, tokens, translating
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.translating import Sources, Translation
from gundog.warehouse import statement
from tests import kql_hostile

# Sentinel's other tables: a query on these alone is not one on Defender's.
_BESIDE = frozenset(
    "AADManagedIdentitySignInLogs AADRiskyUsers AADServicePrincipalSignInLogs AADUserRiskEvents"
    " AuditLogs AzureActivity BehaviorAnalytics MicrosoftGraphActivityLogs OfficeActivity"
    " SecurityAlert SecurityIncident ThreatIntelligenceIndicator".split()
)


def sources() -> Sources:
    """The source tables that ship."""
    root = content_folder.builtin()
    loaded = content.load([root], None, root)
    dynamic = {
        path.stem: source_columns.dynamic_of(path.read_text(encoding="utf-8"))
        for path in (root / "sql/sources").glob("*.sql")
    }
    return Sources(loaded.sources, dynamic)


def queries(folder: Path) -> Iterator[KqlQuery | str]:
    """Every query of a folder, each text once; or why a file cannot be read."""
    seen = set[str]()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in reading.ENDINGS or not path.is_file():
            continue
        try:
            read = reading.read(path, str(path.relative_to(folder)))
        except InputError as error:
            if "query" not in str(error):
                yield str(error)
            continue
        for query in read:
            if query.query not in seen:
                seen.add(query.query)
                yield query


def cause(query: KqlQuery, known: Sources, hostile: int = 0) -> str:
    """Why a query is not imported, or fails over so many hostile rows; empty when it is fine."""
    try:
        translation = translating.translate(query, known)
        placed = groups.placed({"corpus": translation.needs}, (), "corpus", ())
    except RefusalError as error:
        return f"{error.cause}: {error.reason}" if error.cause == "types" else error.cause
    stages = placed.stages["corpus"]
    sql = translation.sql(stages)
    if hostile and (text := _hostile(query, translation, known, hostile)):
        return f"hostile rows: {text}"
    return "; ".join(statement.check_statement(sql, {*stages.values()}, "sql")) + "; ".join(
        problem
        for sql in placed.new.values()
        for problem in statement.check_statement(sql, set(known.tables), "stage")
    )


def _hostile(query: KqlQuery, made: Translation, known: Sources, many: int) -> str:
    con = kql_hostile.connect()
    try:
        return kql_hostile.differing(con, query.query, made, known, many)
    except duckdb.Error as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
    finally:
        con.close()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", default="", help="only queries on these tables and no others")
    parser.add_argument("--hostile", type=int, default=0, help="rows of hostile values a source")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th query")
    parser.add_argument("--list", action="store_true", help="print each refused query")
    arguments = parser.parse_args()
    known = sources()
    only = set(filter(None, arguments.tables.split(",")))
    counts: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    began = time.process_time()
    for query in queries(arguments.folder):
        if isinstance(query, str):
            counts["unreadable"] += 1
            continue
        words = {token.text for token in tokens.read(query.query)}
        named = words & (known.tables.keys() - _BESIDE)
        if not named or (only and not named <= only):
            continue
        counts["queries"] += 1
        if counts["queries"] % arguments.every:
            continue
        counts["tried"] += 1
        why = cause(query, known, arguments.hostile)
        counts["refused" if why else "imported"] += 1
        causes[why[:100]] += bool(why)
        if why and arguments.list:
            print(f"{query.path} ({query.stem}): {why}")  # noqa: T201
    print(dict(counts), f"{time.process_time() - began:.0f} CPU s")  # noqa: T201
    for why, number in causes.most_common(45):
        if why:
            print(f"{number:5} {why}")  # noqa: T201


if __name__ == "__main__":
    main()
