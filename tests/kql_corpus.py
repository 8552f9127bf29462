"""Imports every query below a folder and prints how many parse, import and are refused, and why.

    python -m tests.kql_corpus DIR [--tables T,T] [--list] [--hostile N] [--every K]

DIR holds a folder or a git directory for each repository. Nothing is written: each query is
translated, bound to empty tables and thrown away. With --hostile it also runs over N rows of
hostile values, from its own stage and from all rows. Rows of a join of many with many outgrow
memory: such a query is tried with a quarter of the rows, as often as it takes, and is named with
the number that it was compared over.

Counted is each text once over all repositories, and only queries that name a table of Defender's
advanced hunting or of sign-ins. Exit status 1 when one ends with a traceback, or a refusal names
no line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from gundog.core.errors import InputError
from gundog.detections import content, content_folder
from gundog.kql_import import groups, reading, source_columns, tokens, translating
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.translating import Sources, Translation
from gundog.warehouse import statement
from tests import kql_folders, kql_hostile

# Sentinel's other tables: a query on these alone is not one on Defender's.
_BESIDE = frozenset(
    "AADManagedIdentitySignInLogs AADRiskyUsers AADServicePrincipalSignInLogs AADUserRiskEvents"
    " AuditLogs AzureActivity BehaviorAnalytics MicrosoftGraphActivityLogs OfficeActivity"
    " SecurityAlert SecurityIncident ThreatIntelligenceIndicator".split()
)
_TWO = frozenset({"DeviceProcessEvents", "CloudAppEvents"})
_SLOW = 5.0  # CPU s that nobody waits for


@dataclass(frozen=True)
class Result:
    """What became of a query: `cause` is empty for one that imports.

    `fewer` is over how many hostile rows it was compared where all of them outgrew memory.
    """

    cause: str = ""
    reason: str = ""
    has_line: bool = True
    fewer: int = 0


@dataclass
class Tally:
    """Counts of one repository, and what is to be looked at."""

    counts: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    notable: list[str] = field(default_factory=list)

    def add(self, query: KqlQuery, is_two: bool, result: Result, seconds: float) -> None:
        kind = "refused" if result.cause else "imported"
        self.counts.update(["queries", kind])
        if is_two:
            self.counts.update(["two", f"two {kind}"])
        self.causes[result.cause[:100]] += bool(result.cause)
        self.counts["syntax"] += result.cause == "syntax"
        where = f"{query.path} ({query.stem})"
        if not result.has_line:
            self.counts["without line"] += 1
            self.notable.append(f"no line: {where}: {result.cause}: {result.reason[:150]}")
        if result.cause.startswith("traceback"):
            self.counts["tracebacks"] += 1
            self.notable.append(f"{where}: {result.cause}")
        if result.cause.startswith("hostile"):
            self.counts["hostile"] += 1
            self.notable.append(f"{where}: {result.cause}")
        if result.fewer:
            self.counts["fewer rows"] += 1
            limit = f"more outgrow {kql_hostile.MEMORY_GB} GB"
            self.notable.append(f"{where}: compared over {result.fewer} rows a source, {limit}")
        if seconds > _SLOW:
            self.notable.append(f"{where}: {seconds:.1f} CPU s")


def sources() -> Sources:
    """The source tables that ship."""
    root = content_folder.builtin()
    loaded = content.load([root], None, root)
    dynamic = {
        path.stem: source_columns.dynamic_of(path.read_text(encoding="utf-8"))
        for path in (root / "sql/sources").glob("*.sql")
    }
    return Sources(loaded.sources, dynamic)


def queries(folder: Path, seen: set[str] | None = None) -> Iterator[KqlQuery | str]:
    """Every query of a folder, each text once; or why a file cannot be read."""
    seen = set() if seen is None else seen
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in reading.ENDINGS or not path.is_file():
            continue
        try:
            read = reading.read(path, str(path.relative_to(folder)))
        except InputError as error:
            yield str(error)
            continue
        for query in read:
            if (text := query.query.strip()) not in seen:
                seen.add(text)
                yield query


def cause(query: KqlQuery, known: Sources, hostile: int = 0) -> Result:
    """Why a query is not imported, or fails over so many hostile rows."""
    try:
        return _tried(query, known, hostile)
    except RefusalError as error:
        shown = f"{error.cause}: {error.reason}" if error.cause == "types" else error.cause
        return Result(shown, error.reason, bool(error.line))
    except Exception as error:  # a traceback is what this looks for
        return Result(f"traceback: {type(error).__name__}: {error}"[:200])


def _tried(query: KqlQuery, known: Sources, hostile: int) -> Result:
    translation = translating.translate(query, known)
    placed = groups.placed({"corpus": translation.needs}, (), "corpus", ())
    stages = placed.stages["corpus"]
    problems = statement.check_statement(translation.sql(stages), {*stages.values()}, "sql")
    for sql in placed.new.values():
        problems = (*problems, *statement.check_statement(sql, set(known.tables), "stage"))
    if problems:
        return Result(f"statement: {problems[0]}", has_line=False)
    return _hostile(query, translation, known, hostile) if hostile else Result()


def _hostile(query: KqlQuery, made: Translation, known: Sources, many: int) -> Result:
    """What a query gives over hostile rows; over fewer of them where its result is too large."""
    rows, text = many, ""
    while rows:
        con = kql_hostile.connect()
        try:
            text = kql_hostile.differing(con, query.query, made, known, rows)
            break
        except duckdb.OutOfMemoryException as error:
            rows, text = rows // 4, str(error).splitlines()[0][:150]
        except duckdb.Error as error:
            text = f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
            break
        finally:
            con.close()
    fewer = rows if rows < many else 0
    return Result(f"hostile rows: {text}", fewer=fewer) if text else Result(fewer=fewer)


def _tallied(
    corpus: kql_folders.Corpus, known: Sources, seen: set[str], arguments: argparse.Namespace
) -> Tally:
    """What becomes of one repository's queries."""
    tally = Tally()
    only = set(filter(None, arguments.tables.split(",")))
    for query in queries(corpus.folder, seen):
        if isinstance(query, str):
            tally.counts["unreadable"] += 1
            continue
        words = {token.text for token in tokens.read(query.query)}
        named = words & known.tables.keys()
        if not named - _BESIDE or (only and not named <= only):
            continue
        tally.counts["counted"] += 1
        if tally.counts["counted"] % arguments.every:
            continue
        began = time.process_time()
        result = cause(query, known, arguments.hostile)
        tally.add(query, named <= _TWO, result, time.process_time() - began)
        if result.cause and arguments.list:
            _print(f"{query.path} ({query.stem}): {result.cause}: {result.reason[:120]}")
    return tally


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _row(name: str, commit: str, counts: Counter[str]) -> str:
    def share(part: str, whole: str) -> str:
        many = counts[whole]
        return f"{counts[part]} ({100 * counts[part] / many:.1f} %)" if many else "0"

    parsed = counts["queries"] - counts["syntax"]
    cells = [name, commit, counts["queries"], parsed, share("imported", "queries"),
             counts["refused"], counts["two"], share("two imported", "two"),
             counts["without line"], counts["tracebacks"], counts["hostile"],
             counts["fewer rows"]]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", default="", help="only queries on these tables and no others")
    parser.add_argument("--hostile", type=int, default=0, help="rows of hostile values a source")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th query")
    parser.add_argument("--list", action="store_true", help="print each refused query")
    arguments = parser.parse_args()
    known, began, seen = sources(), time.process_time(), set[str]()
    rows, whole = list[str](), Tally()
    with tempfile.TemporaryDirectory() as space:
        for corpus in kql_folders.corpora(arguments.folder, Path(space)):
            tally = _tallied(corpus, known, seen, arguments)
            rows.append(_row(corpus.name, corpus.commit, tally.counts))
            whole.counts.update(tally.counts)
            whole.causes.update(tally.causes)
            whole.notable += tally.notable
    heads = "repository commit queries parse import refused two-source import no-line tracebacks"
    _print("| " + " | ".join([*heads.split(), "hostile rows differ", "fewer rows"]) + " |")
    _print("|---" * 12 + "|")
    for row in (*rows, _row("all", "", whole.counts)):
        _print(row)
    _print(f"{whole.counts['unreadable']} files hold no query;"
           f" {time.process_time() - began:.0f} CPU s\n")  # fmt: skip
    for why, number in whole.causes.most_common():
        if number > 0:
            _print(f"{number:5} {why}")
    for line in whole.notable:
        _print(line)
    return int(whole.counts["without line"] + whole.counts["tracebacks"] > 0)


if __name__ == "__main__":
    sys.exit(main())
