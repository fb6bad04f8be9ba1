"""Addresses mean what the standard library says they mean."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.scap.addresses import format_address, parse_address


@given(st.ip_addresses(v=4))
def test_v4(address: ipaddress.IPv4Address) -> None:
    assert parse_address(str(address).encode(), 4) == address.packed
    assert parse_address(str(address).encode(), 16) == bytes(10) + b"\xff\xff" + address.packed
    assert format_address(address.packed) == str(address)


@given(st.ip_addresses(v=6))
def test_v6(address: ipaddress.IPv6Address) -> None:
    for text in (str(address), address.exploded, format_address(address.packed)):
        assert parse_address(text.encode(), 16) == address.packed


NEARLY = st.one_of(st.text("0123456789.", max_size=16), st.text("0123456789abcdef:.%", max_size=40)).map(str.encode)


@given(st.one_of(st.binary(max_size=70), NEARLY))
def test_any_text(text: bytes) -> None:
    try:
        expected = ipaddress.ip_address(text.decode("ascii")).packed
    except ValueError:
        expected = b""
    assert parse_address(text, len(expected) or 4) == expected


NONE = [b"", b"1.2.3", b"1.2.3.4.5", b"1.2.3.256", b"01.2.3.4", b"1.2.3.4 ", b"+1.2.3.4", b"1..2.3", b"::1::", b"x" * 65]


@pytest.mark.parametrize("text", NONE)
def test_none(text: bytes) -> None:
    assert parse_address(text, 4) == b"" and parse_address(text, 16) == b""


def test_mapped() -> None:
    mapped = bytes(10) + b"\xff\xff\1\2\3\4"
    assert format_address(mapped) == "::ffff:1.2.3.4"
    assert parse_address(b"::ffff:1.2.3.4", 16) == mapped
    assert parse_address(b"::ffff:1.2.3.4", 4) == b"\1\2\3\4"
    assert parse_address(b"2001:db8::1", 4) == b""


@pytest.mark.parametrize(
    ("text", "width", "packed"),
    [
        (b"1.2.3.4", 4, b"\1\2\3\4"),
        (b"1.2.3.4", 16, bytes(10) + b"\xff\xff\1\2\3\4"),
        (b"::ffff:1.2.3.4", 4, b"\1\2\3\4"),
        (b"::1", 4, b""),
        (b"::1", 16, bytes(15) + b"\1"),
        (b"1.2.3", 4, b""),
        (b"1.2.3.256", 4, b""),
        (b"1.2.3.04", 4, b""),
        (b"1.2.3.x", 16, b""),
        (b"\xff", 4, b""),
        (b"", 16, b""),
        (b"0" * 64 + b":", 16, b""),
    ],
)
def test_single_texts(text: bytes, width: int, packed: bytes) -> None:
    assert parse_address(text, width) == packed


@pytest.mark.parametrize("text", ["1.2.3.4", "::1", "::ffff:1.2.3.4", "fe80::1"])
def test_single_addresses_read_back(text: str) -> None:
    packed = parse_address(text.encode(), 4 if ":" not in text else 16)
    assert format_address(packed) == text
