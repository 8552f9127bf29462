r"""`parse_command_line(line, "windows")` in DuckDB's SQL: the arguments of a command line.

Kusto's documentation names Windows' CommandLineToArgvW. Its rules: the program ends at its closing
quote, or at the first blank. In the arguments behind it quotes keep blanks; 2n backslashes before
a quote are n of them, 2n + 1 are n and a literal quote; a second quote behind a closing one is
literal.
"""

from __future__ import annotations

_IN = r'(?:[^"\\]|\\\\|\\"|\\)'
_OUT = r'(?:[^ \t"\\]|\\\\|\\"|\\)'
_QUOTED = f'"{_IN}*(?:""|"|$)'
# A program without quotes may be empty, where the line begins with a blank.
_PROGRAM = r'^(?:"[^"]*(?:"|$)|[^ \t]*)'
_ARGUMENT = f"(?:{_OUT}|{_QUOTED})+"
_SEGMENT = f"{_QUOTED}|{_IN}+"


def _unescaped(text: str) -> str:
    """A text whose backslashes before quotes are halved, its bare quotes taken out."""
    return (
        rf"""array_to_string(list_transform(regexp_extract_all({text}, '\\+"|"|[^"\\]+|\\+'),"""
        rf""" lambda gundog_u: CASE WHEN suffix(gundog_u, '"') THEN"""
        rf""" repeat('\', (length(gundog_u) - 1) // 2) ||"""
        rf""" CASE WHEN length(gundog_u) % 2 = 0 THEN '"' ELSE '' END ELSE gundog_u END), '')"""
    )


def _argument(text: str) -> str:
    """An argument without its quotes; what is in quotes and what is not are segments of it."""
    closing = f"""regexp_extract(gundog_s, '^"{_IN}*(""|"|$)$', 1)"""
    body = f"substr(gundog_s, 2, length(gundog_s) - 1 - length({closing}))"
    quoted = _unescaped(f"""{body} || CASE WHEN {closing} <> '' THEN '"' ELSE '' END""")
    plain = _unescaped("""gundog_s || CASE WHEN gundog_i < len(gundog_g) THEN '"' ELSE '' END""")
    return (
        f"list_transform([regexp_extract_all({text}, '{_SEGMENT}')], lambda gundog_g:"
        " array_to_string(list_transform(gundog_g, lambda gundog_s, gundog_i:"
        f""" CASE WHEN prefix(gundog_s, '"') THEN {quoted}"""
        f""" || CASE WHEN {closing} = '""' THEN '"' ELSE '' END ELSE {plain} END), ''))[1]"""
    )


def arguments(line: str) -> str:
    """The SQL of a JSON list of a line's program and arguments; an empty one for no text.

    Args:
        line: the SQL of a text.
    """
    text = f"coalesce(CAST({line} AS VARCHAR), '')"
    program = f"regexp_extract({text}, '{_PROGRAM}')"
    rest = f"substr({text}, length({program}) + 1)"
    bare = f"""replace({program}, '"', '')"""
    return (
        f"""CASE WHEN {text} = '' THEN to_json(CAST([] AS VARCHAR[])) ELSE to_json(list_prepend("""
        f"""CASE WHEN prefix({program}, '"') THEN {bare} ELSE {program} END,"""
        f" list_transform(regexp_extract_all({rest}, '{_ARGUMENT}'),"
        f" lambda gundog_a: {_argument('gundog_a')}))) END"
    )
