"""The `Keys:` line of a stage file's header."""

from __future__ import annotations

import pytest

from gundog.detections import stage_keys

COLUMNS = ("mailbox", "actor", "host", "device")


@pytest.mark.parametrize(
    ("header", "keys"),
    [
        ("-- Mail.\n-- Keys:     mailbox\n", (("mailbox",),)),
        ("-- keys: mailbox, actor\n", (("mailbox",), ("actor",))),
        ("-- Keys: host | device, mailbox\n", (("host", "device"), ("mailbox",))),
        ("-- Keys: mailbox,\n--           actor\n-- Params: none\n", (("mailbox",), ("actor",))),
        ("\ufeff-- Keys: mailbox\r\n", (("mailbox",),)),
        ("-- Keys: mailbox, mailbox\n", (("mailbox",),)),
        ("-- Mail.\n", ()),
        ("-- Keys:\n", ()),
        ("select 1 -- x\n-- Keys: mailbox\n", ()),
    ],
)
def test_keys_are_read_from_the_header_alone(header: str, keys: stage_keys.Keys) -> None:
    assert stage_keys.parse(f"{header}\nselect 'Keys: actor' as a\n") == keys


def test_what_is_shown_is_read_again() -> None:
    keys = stage_keys.parse("-- Keys: mailbox,host|device\n")
    assert stage_keys.shown(keys) == "mailbox, host | device"
    assert stage_keys.parse(f"-- Keys: {stage_keys.shown(keys)}") == keys


def test_an_unknown_column_is_named_with_the_nearest() -> None:
    (said,) = stage_keys.problems((("mailbx",),), COLUMNS)
    assert "'mailbx'" in said
    assert "mailbox" in said
    assert stage_keys.problems((("mailbox",), ("host", "device")), COLUMNS) == []


@pytest.mark.parametrize("line", ["mailbox,, actor", "host |", "| host"])
def test_an_empty_place_is_named(line: str) -> None:
    (said,) = stage_keys.problems(stage_keys.parse(f"-- Keys: {line}"), COLUMNS)
    assert "names no column" in said
