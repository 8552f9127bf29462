"""SQL drawn for `tests.fuzz_sql`: hunts, stages and source DDL that are half honest, half hostile.

Each text is built from a small grammar whose leaves are tables, files, settings and functions that
SQL of a content folder may or may not touch, and is then mutated: its blanks, comments, case,
quotes and tokens. `@DIR@` stands for the folder of canary files, which is also the working folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from tests import kit
from tests.escapes import ESCAPES

HIDDEN_TABLES = (
    "triage",
    "main.triage",
    "memory.main.triage",
    'main."triage"',
    "staged.ev_1",
    'memory."staged".ev_1',
    "outbox",
    "main.outbox",
    "kept",
    "Kept",
    "main.kept",
    "settings",
)
SYSTEM = (
    "duckdb_settings",
    "duckdb_tables",
    "duckdb_databases",
    "pg_catalog.pg_settings",
    "pg_catalog.pg_class",
    "system.pg_catalog.pg_settings",
    "information_schema.tables",
    "system.information_schema.tables",
    "main.duckdb_settings",
    "sqlite_master",
    "pragma_database_list",
    "temp.information_schema.columns",
)
FILES = (
    '"@DIR@/secret.csv"',
    "'@DIR@/secret.csv'",
    '"@DIR@/secret".csv',
    '"@DIR@/secret"."csv"',
    '"@DIR@/secret".parquet',
    '"@DIR@/secret".CSV',
    '"file:/@DIR@/secret".json',
    "secret.csv",
    "secret.parquet",
    '"secret"."json"',
    "secret.csv.gz",
    "'secret.csv'",
    "'@DIR@/*.csv'",
    '"@DIR@/*".parquet',
    "'file://@DIR@/secret.csv'",
    "'@DIR@/secret.json'",
    "'@DIR@/./secret.tsv'",
)
READERS = (
    "read_csv('@DIR@/secret.csv')",
    "read_text('@DIR@/secret.csv')",
    "read_blob('secret.csv')",
    "read_parquet(['@DIR@/secret.parquet'])",
    "main.read_csv('secret.csv')",
    "system.main.read_json('secret.json')",
    "glob('@DIR@/*')",
    "query_table('triage')",
    "query('from triage')",
    "duckdb_settings()",
    "duckdb_tables()",
    "pragma_table_info('triage')",
    "pg_timezone_names()",
    "sniff_csv('@DIR@/secret.csv')",
    "parquet_metadata('@DIR@/secret.parquet')",
    "query('from ''secret.csv''')",
)
CALLS = (
    "current_setting('temp_directory')",
    "getvariable('x')",
    "nextval('hidden')",
    "currval('hidden')",
    "random()",
    "now()",
    "today()",
    "current_date",
    "current_schema()",
    "current_database()",
    "current_query()",
    "version()",
    "pg_get_viewdef(1)",
    "txid_current()",
    "pg_typeof(1)",
    "main.current_setting('threads')",
    "system.main.now()",
    "has_table_privilege('triage', 'select')",
    "in_search_path('memory', 'main')",
    "write_log('x')",
    "json_serialize_plan('from triage')",
    "add_parquet_key('a', 'b')",
    "uuid()",
    "file_exists('secret.csv')",
    "getenv('HOME')",
    "error('x')",
)
WRITES = (
    "copy (select 1) to '@DIR@/written.csv'",
    "copy triage to 'written.csv'",
    "insert into triage values ('x') returning note",
    "delete from triage",
    "update triage set note = 'x'",
    "create table planted as select 1 as a",
    "attach '@DIR@/written.duckdb' as planted",
    "set threads = 3",
    "set variable x = 1",
    "pragma enable_profiling",
    "install httpfs",
    "load '@DIR@/x.duckdb_extension'",
    "export database '@DIR@/written'",
    "create or replace macro lower(x) as 'fooled'",
    "create or replace temp view ev as select 1",
    "drop table triage",
    "call enable_logging(storage = 'file', storage_path = '@DIR@')",
    "prepare p as copy (select 1) to 'written.csv'",
)
_COLUMNS = ("id", "name", "at_time", "items", "body", "ev.id", "name.x", '"id"', "rowid", "*")
_FUNCTIONS = (
    "lower({})", "length({})", "coalesce({}, {})", "max({})", "list({})", "string_agg({}, ',')",
    "json_extract({}, '$.a')", "struct_pack(a := {})", "row({}, {})", "to_json({})", "try({})",
    "count(distinct {})", "arg_max({}, {})", "list_value({}, {})", "typeof({})", "unnest([{}, {}])",
    "min({}) over (partition by {})", "sum(1) filter (where {} is null)", "hash({})", "error({})",
    "first({} order by {})", "alias({})", "format('{{}}', {})", "encode({})::varchar", "sha256({})",
)  # fmt: skip
_SHAPES = (
    "({})", "[{}, {}]", "{{'a': {}}}", "map {{'k': {}}}", "{} = {}", "{} in ({}, {})",
    "case when {} then {} end", "{}::varchar", "try_cast({} as integer)", "{} between {} and {}",
    "list_transform([1, 2], lambda x: {})", "[x for x in [{}, 1] if true]", "{}[1]", "not {}",
    "{} || {}", "{} is distinct from {}", "list_filter([{}], lambda x, i: i > 0)",
    "{}.lower()", "{} collate nocase", "interval 1 day * {}", "{} like '%a'", "columns('i.*')",
    "list_reduce([1, 2], lambda a, b: a + b)", "{} similar to 'a'", "-{}", "(x := {})",
)  # fmt: skip
_SUBQUERIES = (
    "({})", "exists ({})", "id in ({})", "id = any({})", "array({})", "id >= all({})",
    "(select count(*) from ({}))", "[(x) for x in array({})]",
)  # fmt: skip
_SELECTS = (
    "select {e} from {t}",
    "from {t}",
    "from {t} select {e}",
    "from {t} where {e} is not null",
    "select {e}, {e} from {t} where {e} is null or {s} is null",
    "select {e} from {t} group by all",
    "select {e} from {t} group by {e} having {s} is not null",
    "select {e} from {t} group by grouping sets (({e}), ())",
    "select {e} from {t} qualify row_number() over (order by {e}) = 1",
    "select {e} from {t} order by {e} limit 3",
    "select {e} from {t} order by {s} limit (select 2) offset 0",
    "select distinct on ({e}) {e} from {t}",
    "select * exclude (id) from {t}",
    "select * replace ({e} as id) from {t}",
    "select columns(*) from {t}",
    "select {s} from {t}",
    "({q}) union all ({q})",
    "({q}) union by name ({q})",
    "({q}) except ({q})",
    "values ({e}), ({s})",
    "select {e} as a, a from {t}",
    "select sum(1) over w from {t} window w as (order by {e})",
    "table ev",
)
_TABLES = (
    "({q})",
    "({q}) as x",
    "ev as x",
    "ev x({n}, b)",
    "{t}, {t}",
    "{t} as a join {t} as b on {e} is null",
    "{t} a positional join {t} b",
    "ev a asof join mail b on a.at_time >= b.at_time",
    "{t} a natural join {t} b",
    "{t} a left join {t} b using (id)",
    "{t} a semi join {t} b on true",
    "{t}, lateral ({q})",
    "ev, unnest({e})",
    "unnest([1, 2]) with ordinality",
    "range({e})",
    "range(3) as r(i)",
    "generate_series(1, 3) g",
    "json_each('[1]')",
    "ev, json_tree(body)",
    "(values ({e}), (2)) as v(id)",
    "(pivot {t} on id in (1, 2) using count(*))",
    "(pivot {t} on id in ({q}) using count(*))",
    "(unpivot {t} on id into name n value v)",
    "(describe {t})",
    "(show tables)",
    "(summarize {t})",
    "{t} tablesample 50%",
    "ev at (version => 1)",
    "(table {t})",
)
_CTES = (
    "with {c} as ({q}) {q}",
    "with {c} as (select 1 as id), {c} as ({q}) {q}",
    "with {c}(a, b) as materialized ({q}) {q}",
    "with {c} as not materialized ({q}) from {c}",
    "with recursive {c} as (select 1 as id union select id + 1 from {c} where id < 3) {q}",
    "with recursive {c}(a, b) using key (a) as (select 1, 2 union from recurring.{c}) {q}",
    "with {c} as ({w}) {q}",
)
_CTE_NAMES = (
    "a", "A", "ev", "mail", "triage", "outbox", "x", '"x y"', "csv", "recurring", '"recurring.a"',
    "secret", '"\N{KELVIN SIGN}"', '"ev_1"', '"secret"', "settings", "duckdb_settings",
)  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """What one kind of text is made of: its honest tables, and how hostile it is."""

    honest: tuple[str, ...]
    hostile: float


class Writer:
    """Writes one text; hypothesis draws the seed of all its decisions, so that it is repeated.

    Were each decision drawn, hypothesis would draw rare ones hardly ever: it likes small numbers.
    """

    def __init__(self, random: Random, terms: Terms) -> None:
        self._random = random
        self._terms = terms
        self._ctes: list[str] = []

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def pick(self, some: Sequence[str]) -> str:
        return some[self._random.randrange(len(some))]

    def fill(self, template: str, depth: int) -> str:
        """The template with each of its slots written."""
        slots: dict[str, Callable[[], str]] = {
            "e": lambda: self.expression(depth - 1),
            "t": lambda: self.table(depth - 1),
            "q": lambda: self.query(depth - 1),
            "s": lambda: self.subquery(depth - 1),
            "w": lambda: self.pick(WRITES) if self.chance(0.5) else self.query(depth - 1),
            "c": self.cte,
            "n": lambda: self.pick(("a", "id", '"a b"', '"x"".y"', "ev")),
        }
        return re.sub(r"\{([etqswcn])\}", lambda slot: slots[slot[1]](), template)

    def query(self, depth: int) -> str:
        if depth <= 0:
            return f"select {self.expression(0)} from {self.table(0)}"
        if self.chance(0.3):
            return self.shadowed(depth) if self.chance(0.5) else self.fill(self.pick(_CTES), depth)
        return self.fill(self.pick(_SELECTS), depth)

    def shadowed(self, depth: int) -> str:
        """A CTE that is called like something hidden, which is read."""
        name, hidden = self.shadow()
        recursive = "recursive " if self.chance(0.2) else ""
        body = f"select * from {hidden}" if self.chance(0.7) else self.query(depth - 1)
        return f"with {recursive}{name} as ({self.query(0)}) {body}"

    def shadow(self, hidden: str = "") -> tuple[str, str]:
        """A name for a CTE, and the hidden thing that a careless reader takes for the same."""
        hidden = hidden or self.hidden_name()
        parts = [re.sub("^[\"']|[\"']$", "", part) for part in _parts(hidden)]
        name = ".".join(parts) if self.chance(0.7) else parts[-1]
        if self.chance(0.5):
            name = name.replace("k", "\N{KELVIN SIGN}")
        return f'"{name}"', hidden

    def hidden_name(self) -> str:
        return self.pick(self.pick_pool((HIDDEN_TABLES, SYSTEM, FILES)))

    def pick_pool(self, pools: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        return pools[self._random.randrange(len(pools))]

    def table(self, depth: int) -> str:
        if self.chance(self._terms.hostile):
            return self.pick(self.pick_pool((HIDDEN_TABLES, SYSTEM, FILES, READERS)))
        if depth <= 0 or self.chance(0.4):
            known = self._ctes if self._ctes and self.chance(0.4) else self._terms.honest
            return self.pick(known)
        return self.fill(self.pick(_TABLES), depth)

    def cte(self) -> str:
        self._ctes.append(self.pick(_CTE_NAMES))
        return self._ctes[-1]

    def expression(self, depth: int) -> str:
        if self.chance(self._terms.hostile):
            return self.pick(CALLS)
        if depth <= 0 or self.chance(0.3):
            return self.pick((*_COLUMNS, "1", "'a'", "null", "$start", "$within", "$$x$$"))
        if self.chance(0.25):
            return self.subquery(depth)
        template = self.pick(_FUNCTIONS if self.chance(0.5) else _SHAPES)
        many = template.replace("{{", "").replace("}}", "").count("{}")
        return template.format(*(self.expression(depth - 1) for _ in range(many)))

    def subquery(self, depth: int) -> str:
        return self.pick(_SUBQUERIES).format(self.query(depth - 1))

    def mutated(self, sql: str) -> str:
        """The text with up to three small changes, or none."""
        while self.chance(0.4):
            tokens = re.findall(r"\s+|\w+|\"[^\"]*\"|'[^']*'|.", sql)
            place = self._random.randrange(len(tokens)) if tokens else 0
            if tokens:
                tokens[place] = self.changed(tokens[place])
            sql = "".join(tokens)
        if self.chance(0.05):
            sql = f"{sql}{self.pick((';', '; -- x', ';;', ' ;/**/'))} {self.maybe(WRITES)}"
        return sql

    def maybe(self, some: Sequence[str]) -> str:
        return self.pick(some) if self.chance(0.5) else ""

    def changed(self, token: str) -> str:
        ways: tuple[Callable[[], str], ...] = (
            lambda: token.swapcase(),
            lambda: f"/* {self.maybe(WRITES)} */{token}",
            lambda: f"{token} -- ' \" $$ ;\n",
            lambda: f'"{token}"',
            lambda: f"{token}.{token}",
            lambda: token.replace("'", '"'),
            lambda: token + self.pick(("\u00a0", "\t", "\v", "\u2003", "\u200b", "\ufeff", "\r")),
            lambda: "",
            lambda: token + token,
            lambda: self.pick((*_TOKENS, self.hidden_name())),
            lambda: f"${token}$ {token} ${token}$",
            lambda: token.replace("k", "\N{KELVIN SIGN}").replace("s", "\u017f"),
            lambda: f"/*/* {token} */*/ {token}",
            lambda: f"e'{token}'",
        )  # fmt: skip
        return ways[self._random.randrange(len(ways))]()


_TOKENS = (
    "from", "select", "with", "as", "(", ")", ",", ".", ";", "'", '"', "$$", "--", "/*", "*/",
    "recursive", "lateral", "materialized", "union", "values", "\\", "?", "$1", "::", "x'41'",
    "U&'\\0041'", "recurring", "at", "pivot", "describe", "explain", "lambda", ":=", "=>", "#1",
    "default", "all", "columns", "unpack", "try", "0x1", "\x00", "%", "{", "}", "[", "]", "\uff1b",
)  # fmt: skip


def _parts(name: str) -> list[str]:
    return re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", name)


_HUNT = (Terms(("ev", "mail"), 0.0), Terms(("ev", "mail"), 0.12), Terms(("ev", '"ev"'), 0.3))


@st.composite
def hunts(draw: st.DrawFn) -> str:
    """SQL as a hunt might hold it."""
    random = draw(st.randoms(use_true_random=True))
    writer = Writer(random, _HUNT[random.randrange(3)])
    if writer.chance(0.06):
        return writer.mutated(local(ESCAPES[random.randrange(len(ESCAPES))][1]))
    return writer.mutated(writer.query(random.randrange(4)))


def local(sql: str) -> str:
    """An attempt of `tests.escapes` on the canaries."""
    return sql.replace("@SECRET@", "@DIR@").replace("@OUT@", "@DIR@").replace("@DATABASE@", "@DIR@")


_STAGE = (Terms(("Things",), 0.0), Terms(("Things", '"Things"', "things"), 0.1))
_ALIASES = (
    "a",
    "A",
    'a""b',
    "a.b",
    "a b",
    "file_id",
    'a"" INTEGER); {}; create table planted (""b',
    'a"") values (1); {}; --',
    'a"" from Things; {}; select 1 as ""b',
    "a'); {}; --",
    "a\\",
    "\N{RIGHT-TO-LEFT OVERRIDE}a",
    "é",
    "select",
)


@st.composite
def stages(draw: st.DrawFn) -> str:
    """SQL as a file of sql/stage might hold it: most have the columns that a stage must have."""
    random = draw(st.randoms(use_true_random=True))
    writer = Writer(random, _STAGE[random.randrange(2)])
    if writer.chance(0.2):
        return writer.mutated(writer.query(random.randrange(4)))
    alias = writer.pick(_ALIASES).format(writer.pick(WRITES))
    more = f'{writer.expression(random.randrange(3))} as "{alias}"'
    sql = kit.STAGE.replace("N as n\n", f"N as n, {more}\n")
    sql = sql.replace("from Things", f"from {writer.table(0)}") if writer.chance(0.3) else sql
    if writer.chance(0.2):
        name, hidden = writer.shadow(writer.pick(FILES))
        sql = f"with {name} as (select 1 as a) {sql}".replace("N as n", f"(from {hidden}) as n")
    elif writer.chance(0.2):
        sql = f"with {writer.cte()} as ({writer.query(1)}) {sql}"
    return writer.mutated(sql) if writer.chance(0.3) else sql


_TYPES = (
    "bigint", "varchar", "TIMESTAMPTZ", "struct(a integer, \"b\" varchar[])", "decimal(18, 3)",
    "map(varchar, bigint)", "enum('a', 'b')", "integer[3]", "json", "text collate nocase",
    "union(a integer, b text)", "varchar(20)", "enum (select secret from 'secret.csv')",
    "main.bigint", "\"bigint\"", "timestamp with time zone",
)  # fmt: skip
_BEHIND = (
    "default ({})", "check (({}) is null)", "generated always as (({}))", "as (({}))", "not null",
    "primary key", "unique", "references triage (note)", "default nextval('hidden')",
)  # fmt: skip
_DDL = (
    "create table {name} ({columns})",
    "create table {name} ({columns});",
    "create table if not exists {name} ({columns})",
    "create or replace table {name} ({columns})",
    "create table {name} as {query}",
    "create table {name} ({columns}); {write}",
    "{write}; create table {name} ({columns})",
    "{write}",
    "create table {name} (like triage)",
    "create view {name} as {query}",
    "create temp table {name} ({columns})",
    "create table {name} ({columns}, primary key (Timestamp))",
    "create table {name} ({columns}) with (x = 1)",
)


@st.composite
def sources(draw: st.DrawFn) -> str:
    """Text as a file sql/sources/Evil.sql might hold it."""
    random = draw(st.randoms(use_true_random=True))
    writer = Writer(random, Terms(("Things",), 0.4))
    columns = ["Timestamp TIMESTAMPTZ"]
    for _ in range(random.randrange(4)):
        name = writer.pick((f'"{writer.pick(_ALIASES)}"', "B", "Id", '"x y"', "Default"))
        name = name.format(writer.pick(WRITES)) if "{}" in name else name
        behind = writer.pick(_BEHIND).format(writer.query(0)) if writer.chance(0.2) else ""
        columns.append(f"{name} {writer.pick(_TYPES)} {behind}")
    text = writer.pick(_DDL if writer.chance(0.7) else _DDL[:3]).format(
        name=writer.pick(("Evil", "evil", '"Evil"', "main.Evil", "triage")),
        columns=", ".join(columns),
        query=writer.query(1),
        write=writer.pick(WRITES),
    )
    return writer.mutated(text) if writer.chance(0.4) else text


_STEPS = ("..", "../..", ".", "", "sub", "@DIR@", "~", "sql", "%2e%2e", "..\\", "\u2024\u2024")
_LEAVES = ("secret.sql", "pair.sql", "secret.csv", "secret", ".sql", "secret.sql\x00.sql", "*.sql")


@st.composite
def sql_names(draw: st.DrawFn) -> str:
    """What `sql:` of a detection might name; a secret lies in secret.sql beside the project."""
    steps = draw(st.lists(st.sampled_from(_STEPS), max_size=3))
    return "/".join([*steps, draw(st.sampled_from(_LEAVES))])
