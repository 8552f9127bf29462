"""Staged tables of imported hunts: typed as in Kusto, with the rows that any of them needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gundog.kql_import import known_types, translator
from gundog.kql_import.source_columns import KEYS, TICKS, typed
from gundog.warehouse import quoting

_TYPED = "typed"
_LONGEST_CONDITION = 1_500
_SHORTEST_WORD = 4
# A test for the bare text is much cheaper than one for whole words, and drops nearly all rows.
_WORDS = frozenset({"has", "has_cs", "hasprefix", "hassuffix", "hasprefix_cs", "hassuffix_cs"})
_RECORD_IDS = ("ReportId", "Id")
# All rows of a source: no condition.
ALL_ROWS: frozenset[str] = frozenset()
Branch = tuple[Any, ...]


@dataclass(frozen=True)
class Need:
    """What hunts need of a source.

    Args:
        source: the table.
        types: DuckDB's type of each staged column, by the source's own name.
        branches: conditions on these columns; a row is needed when all of one branch hold. An
            empty branch needs all rows.
        every: all columns of the source.
    """

    source: str
    types: Mapping[str, str]
    branches: tuple[Branch, ...]
    every: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """True when all rows are needed."""
        return not all(self.branches)

    @property
    def digests(self) -> tuple[frozenset[str], ...]:
        """Each branch as the hashes of its conditions, which say whether another covers it."""
        return tuple(
            frozenset(_digest(condition, self.types) for condition in branch)
            for branch in self.branches
        )


def merged(needs: Sequence[Need]) -> Need:
    """What several hunts need of one source together, whatever their order."""
    kinds = {name: kind for need in needs for name, kind in need.types.items()}
    every = needs[0].every
    branches: dict[frozenset[str], Branch] = {}
    for need in needs:
        branches |= zip(need.digests, need.branches, strict=True)
    kept = {
        digests: branch
        for digests, branch in branches.items()
        # A branch with more conditions than another adds no row.
        if not any(other < digests for other in branches)
    }
    ordered = tuple(branch for _, branch in sorted(kept.items(), key=lambda item: sorted(item[0])))
    types = {name: kinds[name] for name in (*every, TICKS) if name in kinds}
    return Need(needs[0].source, types, ordered, every)


def select(need: Need, header: str) -> str:
    """The SELECT of a staged table.

    Args:
        need: the rows and columns.
        header: comment lines.
    """
    columns = [f"{typed(name, kind)} as {quoting.name(name)}" for name, kind in need.types.items()]
    lines = [
        header,
        "with typed as (",
        "    select",
        "        file_id,",
        f"        {_event_id(need)} as event_id,",
        "        Timestamp as event_time,",
        "        case when Timestamp is null then 'no Timestamp' end as reject_reason,",
        "        coalesce(TenantId, '') as tenant,",
        ",\n".join(f"        {column}" for column in columns),
        f"    from {need.source}",
        ")",
        "",
        _filtered(need),
        "",
    ]
    return "\n".join(lines)


def _event_id(need: Need) -> str:
    """The id of an event: the same in every staged table, so that regrouping changes no finding.

    Where a record has an id of its own, that and the keys tell it apart. Where it has none, and in
    tables with several rows for one record, the columns do.
    """
    keys = [name for name in KEYS if name == "Timestamp" or name in need.every]
    own = next((name for name in _RECORD_IDS if name in need.every), "")
    is_listing = need.source.endswith(("Info", "Evidence")) or not own
    rest = [
        name
        for name in (need.every if is_listing else need.types)
        if name not in keys and name not in (*_RECORD_IDS, TICKS)
    ]
    parts = [_part(name) for name in keys]
    if rest and is_listing:
        parts += [_part(name) for name in rest]
    elif rest:
        others = _wrapped([_part(name) for name in rest], 20)
        parts.append(
            f"case when coalesce(cast({quoting.name(own)} as varchar), '') in ('', '0')\n"
            f"                then concat_ws(\n                    chr(31), {others}\n"
            "                )\n            end"
        )
    return f"cast(md5(concat_ws(\n            chr(31), {_wrapped(parts, 12)}\n        )) as uuid)"


def _part(name: str) -> str:
    if name == "Timestamp":
        return "coalesce(timestamp_ns, 0)"
    return f"coalesce(cast({quoting.name(name)} as varchar), '')"


def _wrapped(items: list[str], indent: int) -> str:
    return (",\n" + " " * indent).join(items)


def _filtered(need: Need) -> str:
    """The rows of `typed` that some hunt needs."""
    if need.is_whole:
        return f"select * from {_TYPED}"
    ir = translator.ir
    alternatives = [
        _balanced("and", [_relaxed(condition) for condition in branch]) for branch in need.branches
    ]
    query = ir.Query(ir.TableRef(_TYPED), [ir.Where(_balanced("or", alternatives))])
    columns = {_TYPED: ["file_id", "event_id", "event_time", "tenant", *need.types]}
    plain = known_types.simplified(translator.sql_of(query, columns), need.types)
    return f"select * from (\n{plain}\n)"


def _relaxed(condition: Any) -> Any:
    """A condition that passes all its rows and is cheap: the text of a word for the whole word.

    The hunt itself looks for the whole word. A short word is in too many others to do without.
    """
    ir = translator.ir
    if isinstance(condition, ir.BinaryOp) and condition.op in ("and", "or"):
        left, right = _relaxed(condition.left), _relaxed(condition.right)
        return ir.BinaryOp(condition.op, left, right)
    cheap = _cheap(condition)
    if cheap is None:
        return condition
    is_list = isinstance(condition, ir.HasList)
    needles = condition.items if is_list else (condition.right,)
    is_long = all(len(str(needle.value)) >= _SHORTEST_WORD for needle in needles)
    return cheap if is_long else ir.BinaryOp("and", cheap, condition)


def _balanced(operator: str, parts: Sequence[Any]) -> Any:
    """The parts joined by an operator, no deeper than need be: translating recurses."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _balanced(operator, parts[:middle]), _balanced(operator, parts[middle:])
    return translator.ir.BinaryOp(operator, left, right)


def affordable(conditions: tuple[Any, ...], types: Iterable[str]) -> tuple[Any, ...]:
    """The conditions that are worth testing on every row of the lake.

    One that takes very much SQL, such as a `case` of regexes, is left to the hunt, as long as
    another one remains: each row of the lake is tested for every hunt of a shared table, and
    planning costs as much for a small file as for a large one.
    """
    names = list(types)
    lengths = [len(_where(condition, names)) for condition in conditions]
    longest = max(_LONGEST_CONDITION, min(lengths, default=0))
    return tuple(
        condition
        for condition, length in zip(conditions, lengths, strict=True)
        if length <= longest
    )


def _where(condition: Any, types: Iterable[str]) -> str:
    ir = translator.ir
    query = ir.Query(ir.TableRef(_TYPED), [ir.Where(condition)])
    return translator.sql_of(query, {_TYPED: list(types)}).rpartition("WHERE")[2]


def _digest(condition: Any, types: Iterable[str]) -> str:
    return hashlib.sha256(_where(condition, types).encode()).hexdigest()[:10]


def _cheap(condition: Any) -> Any:
    """A test that every row with the searched words passes; None where there is none."""
    ir = translator.ir
    if isinstance(condition, ir.BinaryOp) and condition.op in _WORDS:
        return _holds(condition.left, condition.right)
    if isinstance(condition, ir.HasList) and condition.subquery is None:
        tests = [_holds(condition.value, item) for item in condition.items]
        if not tests or any(test is None for test in tests):
            return None
        return _balanced("or", tests)
    return None


def _holds(value: Any, needle: Any) -> Any:
    ir = translator.ir
    if not isinstance(value, ir.ColumnRef) or not isinstance(needle, ir.Literal):
        return None
    if needle.kind != "string" or not str(needle.value).isascii() or not needle.value:
        return None
    return ir.BinaryOp("contains", value, needle)
