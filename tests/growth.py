"""What a doubled text costs: nothing that reads text from events may grow faster than the text.

`python -m tests.growth [DRAWS]` measures CPU, so `make torture` runs it and the suite does not.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from gundog.core import addresses, safe_text
from gundog.detections import cmdlets, command_lines, records
from gundog.findings.exceptions import Entry, matcher

LIMIT = 2.5
_SIZES = (8_000, 64_000)  # letters: where measuring begins and ends
_ENOUGH_S = 0.002
_TOKENS = (
    *'\' " \\" + a - / e ^ ` `n [ ( { | = , \'\' "" -e, AAAAAA ZQBjAGgA'.split(),
    *"@ . : // www. < & _ * xn-- 1.".split(),
    *" |  |\t|-e |/e |\u200b|\uff41|\u2013|\u201c|\n|\x1b|\ufdfa".split("|"),
)
_AT = datetime(2026, 1, 5, tzinfo=UTC)
Reader = Callable[[str], object]
READERS: dict[str, Reader] = {
    "addresses.plain": addresses.plain,
    "commandline.normalise": command_lines.normalise,
    "records.normalise": lambda text: records.normalise(text, "Id Name"),
    "records.normalise of JSON": lambda text: records.normalise(json.dumps([text]), "Id Name"),
    "cmdlets.run_by": cmdlets.run_by,
    "text.for_terminal": safe_text.for_terminal,
    "text.for_message": safe_text.for_message,
    "text.for_markdown": safe_text.for_markdown,
    "text.for_csv": safe_text.for_csv,
    "text.for_json": safe_text.for_json,
}
PATTERNS = (
    "*a*!",
    "*a*a*!",
    "*a*a*a*a*!",
    "a*a*a*",
    "*" + "a*" * 40 + "!",
    "*" + "a" * 500 + "b*",
    "*ab*ba*!",
    "*[*]*a*!",
    "*\u00df*ss*!",
)
# Prefix, what is repeated, suffix: what was slow once, or looks as if it could be.
SHAPES = (
    ("", "a", ""),
    ("", "a!", "a"),
    ("-e", " ", "x"),
    ("a", '"', "b "),
    ("a", '"', " "),
    ("a", "'", " "),
    ("-e ", " ,", "x"),
    ("", "-", "e AAAAAA"),
    ("", "/", "x"),
    ("", "^-", "e AAAAAA"),
    ("^", "--", "e x"),
    ("a'", "+''", "+x"),
    (" '", " ''", "x"),
    (" 'a", "''b", ""),
    ("a", '\\"\\"', " "),
    ("", "`n", "a"),
    ('-e "', "AAAA ", ""),
    ("", "[^", ""),
    ("", '-e "A', ""),
    ("", "\ufdfa", ""),
    ("", "\u200b", "a"),
    ("", '{"AuditData":', "1"),
    ("[", '{"id":1,"ID":[1]},', "{}]"),
    ("", "::1.", "1"),
    ("iex ", "New-a ", ""),
    ("iex ", "'New-a ", "'"),
    ("", "New-a (", ""),
    ("iex ", '"$(New-a ', ""),
    ("", "powershell New-a ", ""),
    ("", 'cmd /c "', "New-a"),
    ("", "'powershell New-a' ", ""),
    ("", "@('New-a',", ""),
    ("", "> ", ".ps"),
)


def ratio(reader: Reader, make: Callable[[int], str]) -> float:
    """CPU for a doubled text over CPU for the text, over two doublings, the least of four tries."""
    size = _SIZES[0]
    while (spent := _cpu(reader, make(size))) < _ENOUGH_S and size < _SIZES[1]:
        size *= 2
    if spent < _ENOUGH_S:
        return 1.0  # bounded, or so quick that no text hurts
    found = float("inf")
    for _ in range(4):
        grown = _cpu(reader, make(4 * size)) / _cpu(reader, make(size))
        found = min(found, grown**0.5)
        if found <= LIMIT:
            break
    return found


def _cpu(reader: Reader, value: str) -> float:
    began = time.process_time()
    reader(value)
    return max(time.process_time() - began, 1e-6)


def shape(prefix: str, repeated: str, suffix: str) -> Callable[[int], str]:
    """Texts of any size of one shape."""
    return lambda size: prefix + repeated * (size // len(repeated)) + suffix


def drawn(rng: random.Random) -> tuple[str, str, str]:
    """A shape that nobody thought of."""
    return (
        "".join(rng.choices(_TOKENS, k=rng.randint(0, 2))),
        "".join(rng.choices(_TOKENS, k=rng.randint(1, 4))),
        "".join(rng.choices(_TOKENS, k=rng.randint(0, 2))),
    )


def cases(draws: int, seed: int) -> Iterator[tuple[str, Reader, Callable[[int], str]]]:
    """Every reader with every shape, and every pattern of an exception."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    shapes = [*SHAPES, *(drawn(rng) for _ in range(draws))]
    for parts in shapes:
        for name, reader in READERS.items():
            yield f"{name} {parts}", reader, shape(*parts)
    for pattern in PATTERNS:
        fits = matcher(Entry("*", (("title", (pattern,)),), _AT, _AT, "x"))
        for parts in shapes[:2]:
            yield f"exception {pattern[:20]} {parts}", _column(fits), shape(*parts)


def _column(fits: Callable[[dict[str, str]], bool]) -> Reader:
    return lambda value: fits({"title": value})


def main() -> None:
    """Prints the worst ratio; exits with 1 when one is above the limit."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    measured = [(ratio(reader, make), name) for name, reader, make in cases(draws, seed)]
    slow = sorted((one for one in measured if one[0] > LIMIT), reverse=True)
    for found, name in slow:
        sys.stdout.write(f"x {found:.1f} for doubled text: {name}\n")
    worst = max(measured)
    sys.stdout.write(
        f"{len(measured)} texts doubled, {len(slow)} cost too much; worst x {worst[0]:.2f}\n"
    )
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
