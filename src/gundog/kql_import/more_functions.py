"""Functions that the translator lacks, in DuckDB's SQL: by name, the argument counts and the text.

`{0}` is the first argument. A value that Kusto would not take gives null, never an error.
"""

from __future__ import annotations

from gundog.kql_import import command_lines
from gundog.kql_import.careful import Careful

_LIST = "coalesce(TRY_CAST({0} AS JSON[]), CAST([] AS JSON[]))"
_OTHER = _LIST.replace("{0}", "{1}")


def _address(text: str) -> str:
    """An IPv4 address as a number; null for anything else."""
    parts = f"list_transform(string_split({text}, '.'), lambda gundog_p: TRY_CAST(gundog_p AS INT))"
    return (
        (
            f"(CASE WHEN regexp_full_match({text}, '[0-9]{{1,3}}([.][0-9]{{1,3}}){{3}}')"
            f" AND list_max({parts}) <= 255 THEN list_reduce(list_transform({parts},"
            " lambda gundog_p: CAST(gundog_p AS BIGINT)), lambda gundog_a, gundog_b:"
            " gundog_a * 256 + gundog_b) END)"
        )
        .replace("{1,3}", "{{1,3}}")
        .replace("{3}", "{{3}}")
    )


def _bits(text: str) -> str:
    """The length of the prefix that stands behind an address; 32 without one."""
    return f"coalesce(TRY_CAST(nullif(split_part({text}, '/', 2), '') AS INT), 32)"


def _same_network(bits: str) -> str:
    first, second = (_address(f"split_part({{{n}}}, '/', 1)") for n in (0, 1))
    size = f"CAST(pow(2, 32 - least(greatest({bits}, 0), 32)) AS BIGINT)"
    return f"(({first} - {first} % {size}) = ({second} - {second} % {size}))"


# In Kusto neither text that is not base64 nor a backslash is an error.
_DECODED, _ENCODED = "coalesce(try(decode(from_base64({0}))), '')", "to_base64(encode({0}))"
_BOTH = f"least({_bits('{0}')}, {_bits('{1}')})"
FUNCTIONS: dict[str, dict[int, str]] = {
    # A timespan has an absolute value too.
    "abs": {1: Careful("(greatest({0}, -({0})))")},
    "string_size": {1: "strlen(coalesce(CAST({0} AS VARCHAR), ''))"},
    "url_decode": {1: "url_decode({0})"},
    "base64_decode_tostring": {1: _DECODED},
    "base64_decodestring": {1: _DECODED},
    "base64_encode_tostring": {1: _ENCODED},
    "base64_encodestring": {1: _ENCODED},
    # Another kind of line than Windows' is refused before.
    "parse_command_line": {2: command_lines.arguments("{0}")},
    "tohex": {1: Careful("(lower(to_hex({0})))")},
    "unixtime_seconds_todatetime": {1: Careful("(make_timestamp(CAST({0} * 1000000 AS BIGINT)))")},
    "unixtime_milliseconds_todatetime": {
        1: Careful("(make_timestamp(CAST({0} * 1000 AS BIGINT)))")
    },
    "set_union": {2: f"to_json(list_sort(list_distinct(list_concat({_LIST}, {_OTHER}))))"},
    "set_intersect": {2: f"to_json(list_sort(list_distinct(list_intersect({_LIST}, {_OTHER}))))"},
    "set_difference": {
        2: f"to_json(list_sort(list_distinct(list_filter({_LIST}, lambda gundog_x:"
        f" NOT list_contains({_OTHER}, gundog_x)))))"
    },
    "bag_keys": {1: "to_json(list_sort(json_keys(TRY_CAST({0} AS JSON))))"},
    "bag_has_key": {
        2: "coalesce(list_contains(json_keys(TRY_CAST({0} AS JSON)), CAST({1} AS VARCHAR)), false)"
    },
    # The first of two bags wins in Kusto, the second in DuckDB.
    "bag_merge": {2: "json_merge_patch(TRY_CAST({1} AS JSON), TRY_CAST({0} AS JSON))"},
    "ipv4_is_in_range": {2: _same_network(_bits("{1}"))},
    "ipv4_is_match": {3: _same_network(f"least({_BOTH}, {{2}})")},
}
