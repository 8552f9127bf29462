"""Tests of exceptions.yaml: what an entry fits, what is wrong with a file, and adding to it."""

from __future__ import annotations

import fnmatch
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gundog.cli import main
from gundog.core.errors import InputError
from gundog.core.times import parse_time
from gundog.findings import exceptions, suppression
from gundog.findings.exceptions import FILE, Entry, File, attention, literal, matcher
from gundog.project import scaffold, schemas
from tests import draws, engines, kit
from tests.hostile import HOSTILE
from tests.kit import hunt, table
from tests.sinks import http_sink

DAY = timedelta(days=1)
NOW = parse_time("2026-03-10T04:00:00Z")
RANGE = ("2026-03-07", "2026-03-09")


def entry(match: dict[str, Any], **more: Any) -> Entry:
    patterns = tuple(
        (column, tuple(one) if isinstance(one, list) else (one,)) for column, one in match.items()
    )
    kept = {"detection": "pair", "start": NOW, "end": NOW + DAY, "reason": "a test", **more}
    return Entry(match=patterns, **kept)


def fits(match: dict[str, Any], **columns: Any) -> bool:
    return matcher(entry(match))(columns)


# ---- matching ----


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("ana", "ana", True),
        ("ana", "ANA", True),
        ("STRASSE", "straße", True),
        ("ana", "anabel", False),
        ("svc-*", "svc-", True),
        ("svc-*", "SVC-Backup", True),
        ("svc-*", "mysvc-x", False),
        ("*svc*", "a svc b", True),
        ("s*c", "s\nc", True),
        ("*", "anything", True),
        ("*", "", False),
        ("*", None, False),
        ("a[*]b", "a*b", True),
        ("a[*]b", "axb", False),
        ("a[*]b", "a[*]b", False),
        ("a[[*]]b", "a[*]b", True),
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
        ("C:\\x\\*", "c:\\x\\y", True),
        (["ana", "bob"], "bob", True),
        (["ana", "bob"], "carl", False),
        ("ana", ["carl", "ANA"], True),
        ("ana", ["carl"], False),
        ("ana", [], False),
        ("5", 5, True),
        ("true", True, True),
        ("1", True, False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "10.1.2.3:443", True),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]:443", True),
        ("10.0.0.0/8", "11.1.2.3:10", False),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3:443", "10.1.2.3:80", False),
        ("2001:db8::/32", "[2001:db8::1]:443", True),
        ("10.0.0.0/8", ["11.1.2.3", "10.1.2.3:443"], True),
        ("10.0.0.0/8", "10.1.2", False),
        ("10.0.0.0/8", "10.0.0.0/8", True),
        ("2001:db8::/32", "2001:DB8:0::1", True),
        ("2001:db8::1", "2001:db8:0:0::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("0.0.0.0/0", "not an address", False),
    ],
)  # fmt: skip
def test_pattern_fits(pattern: Any, value: Any, expected: bool) -> None:
    """Without case, any of a list, * for any text, ranges for addresses; null never matches."""
    assert fits({"x": pattern}, x=value) is expected


def test_all_keys_must_fit() -> None:
    """An entry about an account on a host says nothing of the account elsewhere."""
    match = {"account_name": "ana", "host_name": "srv1"}

    assert fits(match, account_name="ana", host_name="srv1", mailbox="x")
    assert not fits(match, account_name="ana", host_name="srv2")
    assert not fits(match, account_name="ana")


words = st.text(st.sampled_from("ab*[]"), max_size=6)


@given(words, words)
def test_star_is_what_it_is_in_file_names(pattern: str, value: str) -> None:
    """Against the standard library, which has ? and [...] too: they are not used here."""
    plain = pattern.replace("[", "b").replace("]", "a")
    shown = value.replace("[", "b").replace("]", "a")

    expected = bool(shown.strip()) and fnmatch.fnmatchcase(shown, plain)
    assert fits({"x": plain}, x=shown) is expected


@given(st.text(), st.text())
def test_literal_fits_its_own_value_only(value: str, other: str) -> None:
    """An account named * is hidden alone, not everybody."""
    pattern = literal(value.strip())

    assert fits({"x": pattern}, x=value) is (value.strip() != "")
    if other.strip().casefold() != value.strip().casefold():
        assert not fits({"x": pattern}, x=other) or "/" in value or ":" in value or "." in value


@pytest.mark.parametrize("raw", draws.named(HOSTILE))
def test_hostile_value_is_written_and_read_back_as_itself(raw: str, tmp_path: Path) -> None:
    """Whatever an attacker is called, the entry fits that name and leaves the file readable."""
    if not raw.strip():
        return
    row = {"account_name": raw}
    kept = {"start": NOW - DAY, "end": NOW, "reason": raw.strip(), "owner": "ana"}
    made = exceptions.propose("pair", row, ["account_name"], **kept)
    if "\ud800" in raw:  # no parquet file or YAML file holds one
        return

    exceptions.append(tmp_path, made, tmp_path / "lock")

    (read,) = exceptions.load(tmp_path).entries
    assert read == made
    assert matcher(read)(row)
    assert not matcher(read)({"account_name": "somebody else"})
    assert (tmp_path / FILE).read_text().isascii()


# ---- the file ----


def write(root: Path, text: str) -> Path:
    kit.write_text(root / FILE, text)
    return root


def problems_of(root: Path, text: str) -> list[str]:
    return [str(one) for one in exceptions.load(write(root, text)).problems]


def test_file_reads_as_written(tmp_path: Path) -> None:
    """Days are midnights in UTC; a value is a list of one; owner and from may be absent."""
    write(
        tmp_path,
        "- {detection: pair, match: {account_name: [svc-legalhold, 'svc-*'], n: 5},\n"
        "   from: 2026-01-01, expires: 2027-01-01T12:00:00+02:00, reason: legal, owner: ana}\n"
        "- {detection: '*', match: {ip_address: 10.0.0.0/8}, expires: 2027-01-01, reason: ours}\n",
    )

    first, second = exceptions.load(tmp_path).entries
    assert first == Entry(
        "pair",
        (("account_name", ("svc-legalhold", "svc-*")), ("n", ("5",))),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2027, 1, 1, 10, tzinfo=UTC),
        "legal",
        "ana",
    )
    assert (second.start, second.owner) == (exceptions.ALWAYS, "")
    assert second.shown == f"exception {second.id}: ours"
    assert first.shown == f"exception {first.id} by ana: legal"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[]\n"])
def test_empty_file_has_no_entries(tmp_path: Path, text: str) -> None:
    """So has one that is not there."""
    assert exceptions.load(tmp_path) == File()
    assert exceptions.load(write(tmp_path, text)) == File()


GOOD = {"detection": "pair", "match": {"a": "b"}, "expires": "2027-01-01", "reason": "r"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"reason": None}, "0.reason: is missing"),
        ({"reason": "  "}, "0.reason: is empty"),
        ({"reason": 7}, "0.reason: is 7: write a text"),
        ({"expires": None}, "0.expires: is missing: write a day"),
        ({"expires": "soon"}, "0.expires: 'soon' is not a time"),
        ({"expires": 5}, "0.expires: is 5: write a day"),
        ({"expires": "9999-12-31T23:00:00-05:00"}, "0.expires:"),
        ({"from": "soon"}, "0.from: 'soon' is not a time"),
        ({"from": "2027-01-01"}, "0.expires: is not after from"),
        ({"from": "2028-01-01"}, "0.expires: is not after from"),
        ({"match": None}, "0.match: is empty"),
        ({"match": {}}, "0.match: is empty"),
        ({"match": "ana"}, "0.match: is 'ana': write keys and values"),
        ({"match": {"a": []}}, "0.match.a: is []"),
        ({"match": {"a": None}}, "0.match.a: is None"),
        ({"match": {"a": ["b", {}]}}, "0.match.a: is ['b', {}]"),
        ({"match": {"a": ""}}, "0.match.a: is ''"),
        ({"detection": None}, "0.detection: is missing"),
        ({"expiry": "2027-01-01"}, "0.expiry: unknown key: did you mean expires?"),
    ],
)
def test_wrong_entry_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    """Path, key and what to write instead."""
    found = problems_of(tmp_path, yaml.safe_dump([{**GOOD, **change}]))

    assert [one for one in found if one.startswith(f"exceptions.yaml: {problem}")], found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("detection: pair\n", "exceptions.yaml: holds a dict: begin each entry with '- '"),
        ("- pair\n", "exceptions.yaml: 0: holds 'pair': write keys and values"),
        ("- {a: [}\n", "exceptions.yaml: line 1: cannot be read"),
        (yaml.safe_dump([GOOD, {**GOOD, "reason": "other"}]), "1: is about the same as 0"),
    ],
)
def test_wrong_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """Every mistake at once, none stops the reading."""
    assert any(problem in one for one in problems_of(tmp_path, text))


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """One reading names what is wrong with every entry."""
    bad = [{**GOOD, "reason": None}, GOOD, {**GOOD, "expires": None}]

    found = problems_of(tmp_path, yaml.safe_dump(bad))
    assert [one.split(":")[1].strip() for one in found] == ["0.reason", "2.expires"]


def test_id_follows_what_it_is_about() -> None:
    """Another expiry, reason or owner keeps it; another match, detection or from does not."""
    one = entry({"a": "b"})

    assert one.id == entry({"a": "b"}, end=NOW + 9 * DAY, reason="x", owner="y").id
    others = [entry({"a": "c"}), entry({"a": "b"}, detection="*"),
              entry({"a": "b"}, start=NOW - DAY)]  # fmt: skip
    assert len({one.id, *(other.id for other in others)}) == 4


# ---- what needs attention ----


def row(**changes: Any) -> dict[str, Any]:
    return {
        "exception_id": "abc",
        "detection": "pair",
        "reason": "legal",
        "from_time": NOW - 200 * DAY,
        "expires": NOW + 100 * DAY,
        "newest_hidden": NOW - DAY,
        "unknown_columns": [],
        **changes,
    }


TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("changes", "said", "news"),
    [
        ({}, "", ""),
        ({"expires": NOW + 7 * DAY}, "expires", "expires"),
        ({"expires": NOW + 7 * DAY + TICK}, "", ""),
        ({"expires": NOW}, "expired", "expired"),
        ({"expires": NOW - 7 * DAY + TICK}, "expired", "expired"),
        ({"expires": NOW - 7 * DAY}, "expired", ""),
        ({"newest_hidden": NOW - 90 * DAY}, "", ""),
        ({"newest_hidden": NOW - 90 * DAY - TICK}, "hid nothing", "hid nothing"),
        ({"newest_hidden": None}, "hid nothing", "hid nothing"),
        ({"newest_hidden": None, "from_time": None}, "hid nothing", "hid nothing"),
        ({"newest_hidden": None, "from_time": NOW - 90 * DAY + TICK}, "", ""),
        ({"newest_hidden": None, "expires": NOW + DAY}, "expires", "expires"),
        ({"unknown_columns": ["acount"]}, "has the column acount", "has the column acount"),
    ],
)
def test_attention_is_drawn_at_the_edges(changes: dict[str, Any], said: str, news: str) -> None:
    """Seven days before expiry, after it, and after ninety days without use."""
    for only_news, expected in ((False, said), (True, news)):
        found = attention([row(**changes)], NOW, only_news)
        assert [expected in one for one in found] == ([True] if expected else [])


# ---- with a project ----


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hunted project: one finding of `a` on the 7th and 8th, one of `b` on the 9th."""
    root = kit.make_project(tmp_path_factory.mktemp("hunted"))
    kit.fill_days(root, "2026-03-01", 9)
    for number, (day, who) in enumerate((("07", "a"), ("08", "a"), ("09", "b"))):
        rows = [kit.event(f"2026-03-{day}T10:00", "open", who, 2 * number)]
        rows.append(kit.event(f"2026-03-{day}T11:00", "close", who, 2 * number + 1))
        kit.write_file(root, f"2026-03-{day}", rows, who)
    assert hunt(root, RANGE).exit_status == 0
    return root


@pytest.fixture
def root(hunted: Path, tmp_path: Path) -> Path:
    """The hunted project, to be changed."""
    return kit.copy_project(hunted, tmp_path)


def gundog(root: Path, *arguments: str) -> int:
    return main.main([*arguments, "--project", str(root)])


def hidden(root: Path) -> list[tuple[str, bool]]:
    return table(
        root,
        "select account_name, coalesce(starts_with(suppressed_by, 'exception '), false)"
        " from findings order by start_time",
    )


def newest(root: Path, who: str) -> str:
    [(found,)] = table(
        root,
        "select max_by(finding_id, start_time)::varchar from findings where account_name = ?",
        [who],
    )
    return str(found)


def test_entry_hides_in_its_time_only(root: Path) -> None:
    """From included, expires excluded, by start_time; the finding is kept and says who hid it."""
    text = "- {{detection: pair, match: {{account_name: {}}}, reason: tidy, owner: kim,\n   {}}}\n"

    for times_of_a, times_of_b, expected in (
        ("from: 2026-03-07, expires: 2026-03-08T10:00:00Z",
         "from: 2026-03-09T10:00:00Z, expires: 2026-03-10", [True, False, True]),
        ("from: 2026-03-07T10:00:01Z, expires: 2026-03-09", "expires: 2026-03-01",
         [False, True, False]),
    ):  # fmt: skip
        write(root, text.format("A", times_of_a) + text.format("B", times_of_b))
        hunt(root, RANGE)
        assert [one for _, one in hidden(root)] == expected

    [(by,)] = table(root, "select suppressed_by from findings where suppressed_by is not null")
    assert by.endswith(" by kim: tidy")
    opened = table(root, "select account_name from open_findings order by all")
    assert opened == [("a",), ("b",)]
    told = table(root, "select hidden, owner, reason from exceptions order by all")
    assert told == [(0, "kim", "tidy"), (1, "kim", "tidy")]


@pytest.mark.parametrize(
    "detection", draws.spread(["11111111-1111-4111-8111-111111111111", "pair", "'*'"])
)
def test_entry_names_a_detection_by_stem_or_id_or_all(root: Path, detection: str) -> None:
    """The stem is what people type, the id is what stays."""
    write(root, f"- {{detection: {detection}, match: {{account_name: a}}, expires: 2099-01-01,"
          " reason: x}\n")  # fmt: skip
    hunt(root, RANGE)

    assert hidden(root) == [("a", True), ("a", True), ("b", False)]


def test_entry_matches_a_detail_and_removed_entry_brings_findings_back(root: Path) -> None:
    """Columns of the hunt's own can be matched; without the entry all is as before."""
    write(root, "- {detection: pair, match: {gap: 1h}, expires: 2099-01-01, reason: x}\n")
    hunt(root, RANGE)
    assert [one for _, one in hidden(root)] == [True] * 3

    (root / FILE).unlink()
    hunt(root, RANGE)

    assert [one for _, one in hidden(root)] == [False] * 3
    assert table(root, "select count(*) from exceptions") == [(0,)]
    assert table(root, "select count(*) from finding_changes") == [(3,)]


def test_wrong_entry_is_named_and_the_others_hold(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With path, key and what; runs exit 1, `check` exits 2, and what reads goes on."""
    good = {**GOOD, "match": {"account_name": "a"}, "expires": "2099-01-01"}
    for bad, message in (
        ({"detection": "pair"}, "exceptions.yaml: 0.expires: is missing"),
        ({**GOOD, "detection": "piar"}, "0.detection: unknown detection: did you mean pair?"),
    ):
        write(root, yaml.safe_dump([bad, good]))

        assert gundog(root, "hunt", "--from", RANGE[0], "--to", RANGE[1]) == 1
        assert message in capsys.readouterr().out.replace("\n", " ")
        assert hidden(root) == [("a", True), ("a", True), ("b", False)]
        assert gundog(root, "check") == 2
        assert message in capsys.readouterr().err
        assert gundog(root, "status") == 1
        assert message in capsys.readouterr().out.replace("\n", " ")
        assert gundog(root, "findings") == 0
        assert gundog(root, "except", newest(root, "b"), "--on", "account_name", "--days", "5",
                      "--reason", "x") == (0 if "detection" in message else 2)  # fmt: skip
        capsys.readouterr()


HIDES_A = yaml.safe_dump([{**GOOD, "match": {"account_name": "a"}, "expires": "2099-01-01"}])
HIDES_B = HIDES_A.replace("account_name: a", "account_name: b")


def unreadable(root: Path, what: str) -> None:
    """Something in the place of exceptions.yaml of which no entry can be read."""
    path = root / FILE
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "dangling link":
        path.symlink_to(root / "none")
    else:
        path.write_bytes(what.encode("latin-1"))


UNREADABLE = (
    "folder",
    "dangling link",
    "- caf\xe9\n",
    "a: b\n",
    "- {a: [}\n",
    "&r [*r]\n",
    "\0",
    "[" * 99,
)


@pytest.mark.parametrize("what", UNREADABLE)
def test_of_a_file_that_cannot_be_read_the_last_entries_hold(tmp_path: Path, what: str) -> None:
    """It is one problem, and not a file without entries."""
    (last,) = exceptions.load(write(tmp_path, HIDES_A)).entries
    unreadable(tmp_path, what)

    file = exceptions.load(tmp_path)

    assert len(file.problems) == 1
    assert str(file.problems[0]).startswith(f"{FILE}: ")
    assert file.entries == ()
    assert file.in_force([last]) == (last,)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["folder", "- caf\xe9\n"])
def test_file_that_cannot_be_read_keeps_the_entries_of_the_last_run(
    root: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """Nothing newly unhidden is sent, however many nights it takes; new findings are hidden."""
    with http_sink() as sink:
        kit.write_text(
            root / "gundog.yaml", f"{kit.CONFIG}notify: [{{name: soc, url: '{sink.url()}'}}]\n"
        )
        write(root, HIDES_A)
        assert hunt(root, RANGE).exit_status == 0
        unreadable(root, what)
        sink.requests.clear()

        for number in (50, 60):
            rows = [kit.event("2026-03-09T12:00", "open", "a", number)]
            rows.append(kit.event("2026-03-09T13:00", "close", "a", number + 1))
            kit.write_file(root, "2026-03-09", rows, f"late{number}")
            outcome = hunt(root, RANGE)
            assert outcome.exit_status == 1
            assert [one for one in outcome.problems if "exceptions.yaml" in one] == outcome.problems
            assert ("a", True) in hidden(root)
            assert ("a", False) not in hidden(root)
        assert table(root, "select hidden, reason from exceptions") == [(4, "r")]
        assert [one.body["kind"] for one in sink.requests] == ["health"]
        assert gundog(root, "check") == 2
        assert "exceptions.yaml: " in capsys.readouterr().err
        assert gundog(root, "findings") == 0

        path = root / FILE
        path.rmdir() if what == "folder" else path.unlink()
        write(root, HIDES_B)
        assert hunt(root, RANGE).exit_status == 0
        assert {who for who, is_hidden in hidden(root) if is_hidden} == {"b"}


_DAYS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9)


@given(
    st.lists(
        st.builds(
            Entry,
            detection=_TEXTS,
            match=st.dictionaries(_TEXTS, st.lists(_TEXTS, min_size=1).map(tuple), min_size=1).map(
                lambda found: tuple(found.items())
            ),
            start=st.just(exceptions.ALWAYS) | _DAYS,
            end=_DAYS,
            reason=_TEXTS,
            owner=st.just("") | _TEXTS,
        ),
        max_size=4,
        unique_by=lambda one: one.id,
    )
)
@draws.law(30)
def test_entries_are_remembered_as_they_are(entries: list[Entry]) -> None:
    """In their order, to the last text: what a run wrote down, a later one can go by."""
    with engines.warehouse() as con:
        suppression.apply(con, [], entries)
        suppression.apply(con, [], entries[::-1])

        assert suppression.last_entries(con) == tuple(entries[::-1])
        file = exceptions.File(tuple(entries[:1]), whole=False)
        assert set(file.in_force(suppression.last_entries(con))) == set(entries)
        assert exceptions.File().in_force(entries) == ()


def test_slip_of_the_pen_unhides_nothing(root: Path) -> None:
    """An entry of the last run that cannot be read now holds on until it can be."""
    write(root, HIDES_A + HIDES_B)
    hunt(root, RANGE)
    write(root, HIDES_A.replace("2099-01-01", "2099-13-01") + HIDES_B)

    assert hunt(root, RANGE).exit_status == 1
    assert [one for _, one in hidden(root)] == [True] * 3

    write(root, HIDES_B)
    hunt(root, RANGE)
    assert [one for _, one in hidden(root)] == [False, False, True]


def test_broken_detection_makes_no_exception_wrong(root: Path) -> None:
    """The night goes on, and its findings stay hidden meanwhile."""
    write(root, yaml.safe_dump([{**GOOD, "match": {"account_name": "a"}, "expires": "2099-01-01"}]))
    hunt(root, RANGE)
    path = root / "detections/pair.yaml"
    path.write_text(path.read_text().replace("severity: medium", "severity: hihg"))

    assert hunt(root, RANGE).exit_status == 1
    assert hidden(root) == [("a", True), ("a", True), ("b", False)]


def test_except_adds_an_entry_and_shows_what_it_hides(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the finding's day for the days asked for; the next run hides it and what is like it."""
    assert gundog(root, "except", newest(root, "a")[:8], "--on", "account_name", "gap",
                  "--days", "30", "--reason", "tidies up", "--owner", "kim") == 0  # fmt: skip

    out = capsys.readouterr().out
    assert "+ - detection: pair" in out
    assert "hides 1 of 3 findings of pair" in out
    assert "1 older ones like it are not hidden" in out
    [item] = yaml.safe_load((root / FILE).read_text())
    today = datetime.now(UTC).date()
    assert item == {
        "detection": "pair",
        "match": {"account_name": "a", "gap": "1h"},
        "from": parse_time("2026-03-08").date(),
        "expires": today + 30 * DAY,
        "reason": "tidies up",
        "owner": "kim",
    }
    hunt(root, RANGE)
    assert hidden(root) == [("a", False), ("a", True), ("b", False)]


def test_a_new_file_names_its_schema_where_there_is_one(root: Path) -> None:
    """For editors; where there is none they would complain of every line."""
    words = ("--on", "account_name", "--days", "5", "--reason", "x")
    assert gundog(root, "except", newest(root, "b"), *words) == 0
    assert (root / FILE).read_text().startswith("# What is known to be harmless")

    (root / FILE).unlink()
    scaffold.write_schemas(root / schemas.FOLDER)
    assert gundog(root, "except", newest(root, "b"), *words) == 0
    first, second, *_ = (root / FILE).read_text().splitlines()
    assert first == "# yaml-language-server: $schema=schemas/exceptions.json"
    assert second.startswith("# What is known to be harmless")


def test_except_holds_for_the_findings_own_tenant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written down; taken out again, and in older files, an entry is about every tenant."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    day = ("2026-03-09", "2026-03-09")
    for place, name in enumerate(("t1", "t2", "")):
        rows = [kit.event(f"2026-03-09T0{hour}:00", kind, number=10 * place + hour)
                for hour, kind in ((1, "open"), (2, "close"))]  # fmt: skip
        kit.write_file(root, "2026-03-09", rows, f"of-{name}", tenant=name)
    hunt(root, day)
    [(found,)] = table(root, "select finding_id::varchar from findings where tenant = 't1'")

    assert gundog(root, "except", found, "--on", "account_name", "--days", "9",
                  "--reason", "x") == 0  # fmt: skip
    hunt(root, day)

    [item] = yaml.safe_load((root / FILE).read_text())
    assert item["match"] == {"tenant": "t1", "account_name": "a"}
    told = "select tenant from findings where suppressed_by is not null order by all"
    assert table(root, told) == [("t1",)]
    (root / FILE).write_text((root / FILE).read_text().replace("    tenant: t1\n", ""))
    hunt(root, day)
    assert table(root, told) == [("",), ("t1",), ("t2",)]
    capsys.readouterr()
    assert gundog(root, "findings", "--all", "--tenant", "T2") == 0
    out = capsys.readouterr().out
    assert ("t2" in out, "t1" in out) == (True, False)
    assert gundog(root, "findings", "--all", "--tenant", "t3") == 0
    assert capsys.readouterr().out == "no findings\n"


def test_except_keeps_what_people_wrote(root: Path) -> None:
    """Comments, order and line ends stay to the byte, with or without a newline at the end."""
    before = (
        "# ours\r\n- {detection: pair, match: {account_name: z}, expires: 2027-01-01,\r\n"
        "   reason: x}  # why"
    )
    (root / FILE).write_bytes(before.encode())

    assert gundog(root, "except", newest(root, "a"), "--on", "account_name", "--days", "1",
                  "--reason", "x") == 0  # fmt: skip
    assert gundog(root, "except", newest(root, "b"), "--on", "account_name", "--days", "1",
                  "--reason", "y") == 0  # fmt: skip

    assert (root / FILE).read_bytes().startswith(before.encode() + b"\n- detection: pair\n")
    assert [one.reason for one in exceptions.load(root).entries] == ["x", "x", "y"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--on", "acount_name", "--days", "3", "--reason", "x"), "did you mean account_name?"),
        (("--on", "mailbox", "--days", "3", "--reason", "x"), "has no value there"),
        (("--on", "account_name", "--days", "0", "--reason", "x"), "above 0"),
        (("--on", "account_name", "--days", "3", "--reason", " "), "write why"),
    ],
)
def test_bad_except_exits_2_and_writes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """Without a column, a day or a reason there is no exception."""
    assert gundog(root, "except", newest(root, "a"), *arguments) == 2

    assert message in capsys.readouterr().err
    assert not (root / FILE).exists()


@pytest.mark.parametrize("missing", ["--on", "--days", "--reason"])
def test_except_wants_column_days_and_reason(root: Path, missing: str) -> None:
    """None has a default."""
    given = {"--on": "account_name", "--days": "3", "--reason": "x"}
    del given[missing]
    rest = [word for pair in given.items() for word in pair]

    with pytest.raises(SystemExit) as ended:
        gundog(root, "except", newest(root, "a"), *rest)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]\n", "write it as a list"),
        (yaml.safe_dump([{**GOOD, "reason": None}]), "0.reason: is missing"),
    ],
)
def test_file_that_cannot_be_added_to_stays(tmp_path: Path, text: str, message: str) -> None:
    """A file that is wrong, or that a line at its end would break, is left as it is."""
    write(tmp_path, text)

    with pytest.raises(InputError, match=message):
        exceptions.append(tmp_path, entry({"a": "b"}), tmp_path / "lock")

    assert (tmp_path / FILE).read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, "lock"]


def test_same_exception_twice_says_until_when(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second one would change nothing: its expiry is to be moved in the file."""
    for expected in (0, 2):
        assert gundog(root, "except", newest(root, "b"), "--on", "account_name", "--days", "5",
                      "--reason", "x") == expected  # fmt: skip

    assert "change its expires there" in capsys.readouterr().err


def test_status_names_exceptions_that_need_a_person(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expired and unused ones; that is not a problem and leaves exit 0."""
    write(
        root,
        "- {detection: pair, match: {account_name: a}, expires: 2026-03-08, reason: gone}\n"
        "- {detection: pair, match: {account_name: zz}, expires: 2099-01-01, reason: unused}\n"
        "- {detection: pair, match: {acount_name: a, gap: 9h}, expires: 2099-01-01, from:"
        " 2026-03-01, reason: typo}\n",
    )
    hunt(root, RANGE)

    assert gundog(root, "status") == 0
    out = capsys.readouterr().out
    assert "(gone) expired 2026-03-08" in out
    assert "(unused) hid nothing in 90 days" in out
    assert "(typo) hides nothing: no finding has the column acount_name" in out
    assert "the column gap" not in out
