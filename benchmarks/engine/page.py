"""Measured figures as tables, put between the marks of benchmarks/README.md."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.imported import per_hunt

Found = Mapping[str, Any]
_NAMES = {
    "decode": "decode the columns, do nothing",
    "gundog": "gundog: stage + hunt",
    "duckdb": "plain DuckDB, core only",
    "polars": "Polars, core only",
    "chdb": "chDB, core only",
    "datafusion": "DataFusion, core only",
}
HUNTS = {"pairs": "export and removal pairs", "hours": "mail per mailbox and hour"}
# Parts of a night that its steps name; the rest is storing what was found and the ledger.
_STEPS = ("list", "stage", "hunt", "publish", "notify")


def write(page: Path, results: Found) -> None:
    """Puts the tables of what was measured into the page; other text stays."""
    text = page.read_text()
    for part, found in results.items():
        body = "\n".join([*TABLES[part](found), "", _machine(found)])
        mark = re.compile(f"(<!-- {part} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        text = mark.sub(lambda match, body=body: match[1] + body + match[2], text)  # type: ignore[misc]
    page.write_text(text)


def _machine(found: Found) -> str:
    on = found["machine"]
    versions = ", ".join(f"{name} {what}" for name, what in on["versions"].items())
    return (f"`{found['command']}`, {found['megabytes']:,.0f} MB of parquet;"
            f" {on['cores']} cores, {on['arch']}, Python {on['python']}, {versions}.")  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def engines(found: Found) -> list[str]:
    """Per hunt: CPU and memory of everyone, beside merely decoding."""
    lines = []
    for hunt, one in found["hunts"].items():
        rows = []
        for name, label in _NAMES.items():
            if name in one["missing"]:
                rows.append([label, "not run: not installed", "", "", ""])
                continue
            taken = one["taken"][name]
            rows.append([label, one["forms"].get(name, ""), f"{taken['cpu']:.2f}",
                         f"{taken['ratio']:.2f}", f"{taken['peak_mb']:,.0f}"])  # fmt: skip
        lines += ["", f"**{HUNTS[hunt]}**: {one['rows']:,} rows, the same from everyone.", ""]
        lines += _table(["what", "form", "CPU s", "x decode", "peak MB"], rows)
    return lines[1:]


_FORMATS = {
    "text": "read the lines, every column as text, do nothing",
    "parquet": "gundog: stage parquet",
    "json": "gundog: stage JSON lines",
    "json.zst": "gundog: stage JSON lines, Zstandard",
}


def json_lines(found: Found) -> list[str]:
    """Per source: CPU and memory of each format, beside reading the lines as text."""
    lines = []
    for source, one in found["sources"].items():
        rows = []
        for name, label in _FORMATS.items():
            taken, size = one["taken"][name], one["megabytes"]["json" if name == "text" else name]
            rows.append([label, f"{size:,.0f}", f"{taken['cpu']:.2f}", f"{taken['ratio']:.1f}",
                         f"{taken['peak_mb']:,.0f}"])  # fmt: skip
        lines += ["", f"**{source}**: {one['rows']:,} staged rows, the same in each format.", ""]
        lines += _table(["what", "MB", "CPU s", "x text", "peak MB"], rows)
    return lines[1:]


def memory(found: Found) -> list[str]:
    """Peak memory by memory limit."""
    rows = [
        [limit, *_peaks(taken), f"{taken['cpu']:.1f}", str(len(taken["result"]))]
        for limit, taken in found["taken"].items()
    ]
    return _table(["memoryLimit", *_PEAKS, "CPU s", "problems"], rows)


_PEAKS = ("run, peak MB", "its child, peak MB")


def _peaks(taken: Found) -> list[str]:
    """Memory of the run and of the process in which it reads and hunts."""
    return [f"{taken['rss_mb']:,.0f}", f"{taken['child_mb']:,.0f}"]


def without_scoring(night: Found) -> float:
    """CPU seconds of a night without its scores."""
    return float(night["whole"] - night.get("score", 0))


def around(night: Found) -> float:
    """CPU seconds of a night that are neither listing, staging nor hunting."""
    return float(night["whole"] - sum(night.get(name, 0) for name in ("list", "stage", "hunt")))


def middle(nights: Sequence[Found]) -> dict[str, float]:
    """Medians over nights of what each part takes; `hunt` without scoring, `store` is the rest."""
    parts = {name: [night.get(name, 0) for night in nights] for name in (*_STEPS, "score")}
    parts["hunt"] = [night.get("hunt", 0) - night.get("score", 0) for night in nights]
    parts["store"] = [night["whole"] - sum(night.get(name, 0) for name in _STEPS)
                      for night in nights]  # fmt: skip
    parts["around"] = [around(night) for night in nights]
    parts["whole"] = [without_scoring(night) for night in nights]
    for name in ("warehouse", "published"):
        parts[name] = [night[name] / 1e6 for night in nights if name in night]
    return {name: statistics.median(values) for name, values in parts.items() if values}


def lookback(found: Found) -> list[str]:
    """A night of the series hunt by its training span."""
    spans = {span: middle([night[span] for night in found["nights"]]) for span in ("28d", "1d")}
    names = ("stage", "hunt", "store", "publish", "whole", "score")
    rows = [[f"{span} of training", *(f"{one[name]:.2f}" for name in names)]
            for span, one in spans.items()]  # fmt: skip
    ratio = {
        name: statistics.median(pick(n["28d"]) / pick(n["1d"]) for n in found["nights"])
        for name, pick in (("stage and hunt", _stage_and_hunt), ("night", without_scoring))
    }
    said = (
        f"In staging and hunting 28 days cost {ratio['stage and hunt']:.2f} x 1 day: target at most"
        f" 1.15, {_met(ratio['stage and hunt'], 1.15)}. Over the whole night, with its fixed cost,"
        f" it is {ratio['night']:.2f} x. {found['mailboxes']:,} mailboxes, a day of"
        f" {found['megabytes'] / 60:.0f} MB; medians of the last"
        f" {len(found['nights'])} nights."
    )
    head = ["a night", "stage", "hunt", "store", "publish", "all but scoring", "scoring"]
    return [*_table(head, rows), "", said]


def _stage_and_hunt(night: Found) -> float:
    return float(night["stage"] + night["hunt"] - night["score"])


def _met(value: float, target: float) -> str:
    return "met" if value <= target else "**missed**"


def backfill(found: Found) -> list[str]:
    """Sixty nights beside one pass, and a backfill of larger days beside one pass over them."""
    nights, larger = found["nights"], found["larger"]
    days = f"days of {found['megabytes'] / len(nights):.0f} MB"
    larger_days = f"days of {larger['megabytes'] / len(nights):.0f} MB"
    rows = [
        _beside(f"{days}: {len(nights)} nights, one by one", _sums(nights), found["once"]),
        _beside(f"{days}: one backfill", _sums([found["together"]]), found["once"]),
        _beside(f"{days}: one pass", _pass(found["once"]), found["once"]),
        _beside(f"{larger_days}: one backfill", _sums([larger["together"]]), larger["once"]),
        _beside(f"{larger_days}: one pass", _pass(larger["once"]), larger["once"]),
    ]
    last = middle(nights[-20:-10])
    times = float(rows[3][-1])
    said = (
        f"Target for a backfill at most 1.2: {_met(times, 1.2)} with the larger days."
        f" {found['mailboxes']:,} mailboxes in the smaller days, {larger['mailboxes']:,} in the"
        " larger ones. In nights 41 to 50 of the smaller days a night's"
        f" staging takes {last['stage']:.2f}, hunting {last['hunt']:.2f}, storing and the ledger"
        f" {last['store']:.2f}, publishing {last['publish']:.2f} CPU s; scoring, left out,"
        f" {last['score']:.2f}. Nights and backfill found the same {found['findings']:,} findings."
    )
    head = ["CPU s, scoring left out", "stage", "hunt", "rest", "all", "x one pass"]
    return [*_table(head, rows), "", said]


def _pass(once: Found) -> dict[str, float]:
    return {"stage": once["stage"], "hunt": once["hunt"], "whole": once["stage"] + once["hunt"]}


def _beside(label: str, sums: Found, once: Found) -> list[str]:
    rest = sums["whole"] - sums["stage"] - sums["hunt"]
    times = sums["whole"] / _pass(once)["whole"]
    parts = (sums["stage"], sums["hunt"], abs(rest), sums["whole"])
    return [label, *(f"{part:.1f}" for part in parts), f"{times:.2f}"]


def _sums(nights: Sequence[Found]) -> dict[str, float]:
    score = sum(night.get("score", 0) for night in nights)
    return {
        "stage": sum(night.get("stage", 0) for night in nights),
        "hunt": sum(night.get("hunt", 0) for night in nights) - score,
        "whole": sum(night["whole"] for night in nights) - score,
    }


def months(found: Found) -> dict[int, dict[str, float]]:
    """Medians of the nights at the end of each month, by the number of the last of them."""
    groups = defaultdict[int, list[Found]](list)
    for one in found["nights"]:
        groups[min(last for last in found["ends"] if last >= one["night"])].append(one)
    return {last: middle(group) for last, group in groups.items()}


def year(found: Found) -> list[str]:
    """What a night takes as its history grows."""
    names = ("list", "stage", "hunt", "score", "store", "publish", "notify", "around", "whole")
    rows = [[str(night), *(f"{one[name]:.2f}" for name in names),
             f"{one['warehouse']:.1f}", f"{one['published']:.1f}"]
            for night, one in months(found).items()]  # fmt: skip
    by_night = months(found)
    young, old = min(by_night), max(by_night)
    first, last = middle(found["young"]), by_night[old]
    growth = last["whole"] / first["whole"] - 1
    said = (
        f"In turn with night {old}, {len(found['young'])} times, night {young} takes"
        f" {first['whole']:.2f} CPU s, {first['around']:.2f} of them around. Night {old} costs"
        f" {growth:+.0%} of that: target within 10 %, {_met(growth, 0.1)}. Storing, ledger,"
        f" publishing and notifying take {last['around']:.2f} CPU s: target at most 1,"
        f" {_met(last['around'], 1)}. {found['mailboxes']} mailboxes,"
        f" {found['findings']:,} findings."
    )
    head = ["night", *names[:-2], "around", "all but scoring", "warehouse MB", "findings MB"]
    return [*_table(head, rows), "", said]


def tenant(found: Found) -> list[str]:
    """Two nights of many mailboxes."""
    parts = ("list", "stage", "hunt", "score", "store", "publish", "notify")
    rows = []
    for label, one in found["nights"].items():
        night = {**middle([one["result"]]), "whole": one["result"]["whole"]}
        taken = (f"{night[name]:.1f}" for name in (*parts, "whole"))
        rows.append([label, *taken, *_peaks(one)])
    last = found["nights"]["steady"]
    said = (
        f"{last['series']:,} mailboxes; after both nights the warehouse holds {last['staged']:,}"
        f" records and {last['hours']:,} hourly counts. Problems told:"
        f" {last['result']['problems']}."
    )
    return [*_table(["night", *parts, "all", *_PEAKS], rows), "", said]


def imported(found: Found) -> list[str]:
    """A night with and without imported hunts."""
    rows = [
        [label, *(f"{night[name]:.2f}" for night in found["nights"])]
        for name, label in (("without", "what ships"), ("with", f"and {found['hunts']} imported"))
    ]
    spent = per_hunt(found)
    said = (
        f"An imported hunt costs {spent:.0f} ms of CPU a night, loading it included: target at most"
        f" 50, {_met(spent, 50)}."
    )
    heads = [str(turn + 1) for turn in range(len(found["nights"]))]
    return [*_table(["CPU s of a night", *heads], rows), "", said]


TABLES = {
    "engines": engines,
    "json_lines": json_lines,
    "memory": memory,
    "lookback": lookback,
    "backfill": backfill,
    "year": year,
    "tenant": tenant,
    "imported": imported,
}
