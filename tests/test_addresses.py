"""Addresses without what sources write around them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.addresses import plain

ports = st.just("") | st.integers(0, 65535).map(":{}".format)


@given(st.ip_addresses(v=4).map(str), ports, st.sampled_from(["{}", "[{}]", " {} "]))
def test_port_and_brackets_go(address: str, port: str, around: str) -> None:
    """Of every IPv4 address, however it is written."""
    assert plain(around.format(address + port if around[0] != "[" else address)) == address
    assert plain(f"[{address}]{port}") == address
    assert plain(f"[::ffff:{address}]{port}") == plain(f"::ffff:{address}{port}")


@given(st.ip_addresses(v=6).map(str), ports)
def test_address_with_colons_needs_brackets_for_a_port(address: str, port: str) -> None:
    """In brackets it loses them and its port, without it stays."""
    assert plain(f"[{address}]{port}") == address
    assert plain(address) == address


@given(st.text(alphabet="0123456789abcdef.:[] g%", max_size=24))
def test_only_an_address_is_changed(text: str) -> None:
    """What becomes an address was none before; twice is once."""
    found = plain(text)

    assert plain(found) == found or "[" in found
    if found != text and not set("[] ") & set(text):
        head, _, port = text.rpartition(":")
        assert found == head
        assert port == "" or port.isdigit()
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return
    assert found == text


@pytest.mark.parametrize("text", ["", "host:443", "1.2.3:4", "[", "[::1", "::1]", "[::1]x", "-"])
def test_other_text_stays(text: str) -> None:
    """Names, halves and nothing are not addresses with something around them."""
    assert plain(text) == text
