"""How values print: tables of what libsinsp printed or what its source says, and what must hold for any bytes."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.scap import format as fmt
from edera_falcod.scap import tables
from edera_falcod.scap.schema import FlagTable


@pytest.fixture(params=[False, True], ids=["interpreted", "as compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Some functions go another way where loops are compiled; both mean the same. (The compiled core has one way, whatever is set.)"""
    monkeypatch.setattr(fmt, "COMPILED", request.param)
    return bool(request.param)


FILE_FLAGS = tables.FLAG_TABLES["file_flags"]


@pytest.mark.parametrize(
    ("number", "print_format", "bits", "text"),
    [
        (0, tables.PF_DEC, 32, b"0"),
        (-1, tables.PF_DEC, 64, b"-1"),
        (4095, tables.PF_DEC, 32, b"4095"),
        (4096, tables.PF_DEC, 32, b"4096"),
        (0x801, tables.PF_HEX, 32, b"801"),
        (-1, tables.PF_HEX, 32, b"FFFFFFFF"),
        (-1, tables.PF_HEX, 64, b"FFFFFFFFFFFFFFFF"),
        (0, tables.PF_HEX, 32, b"0"),
        ((1 << 63) | 0xA0, tables.PF_HEX, 64, b"80000000000000A0"),
        (0x0BCD_EF01_2345_6789, tables.PF_HEX, 64, b"BCDEF0123456789"),
        (0o644, tables.PF_OCT, 32, b"0644"),
        (0, tables.PF_OCT, 32, b"0"),
        (-3, tables.PF_OCT, 32, b"037777777775"),
        (7, tables.PF_10_PADDED_DEC, 64, b"000000007"),
        (5, tables.PF_ID, 32, b"5"),
        (5, tables.PF_NA, 32, b"5"),
    ],
)
def test_numbers_by_print_format(way: bool, number: int, print_format: int, bits: int, text: bytes) -> None:
    assert fmt.integer(number, print_format, bits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, b"O_NONE"),
        (1, b"O_RDONLY"),
        (3, b"O_RDWR"),  # hides O_RDONLY and O_WRONLY
        (5, b"O_CREAT|O_RDONLY"),
        (0x10001, b"O_RDONLY|FD_LOWER_LAYER"),
        (1 << 31, b""),  # no name
        (1 << 31 | 1, b"O_RDONLY"),
    ],
)
def test_flags_in_table_order_with_the_clearing_rule(value: int, text: bytes) -> None:
    assert fmt.flags(FILE_FLAGS, value) == text


def test_a_flag_that_is_the_whole_value_ends_the_search() -> None:
    table = FlagTable("t", ((b"A", 6), (b"B", 2), (b"C", 0)))
    assert fmt.flags(table, 6) == b"A"
    assert fmt.flags(table, 2) == b"B"
    assert fmt.flags(table, 0) == b"C"
    assert fmt.flags(table, 7) == b"A"


def test_enums_name_every_equal_entry() -> None:
    families = tables.FLAG_TABLES["socket_families"]
    assert fmt.enum(families, 1) == b"AF_LOCAL|AF_UNIX"
    assert fmt.enum(families, 16) == b"AF_ROUTE|AF_NETLINK"
    assert fmt.enum(families, 200) == b""


def test_modes() -> None:
    modes = tables.FLAG_TABLES["chmod_mode"]
    assert fmt.mode(modes, 0o644) == b"S_IROTH|S_IRGRP|S_IWUSR|S_IRUSR"
    assert fmt.mode(modes, 1) == b"S_IXOTH"
    # An entry that is the whole value is named even where its bits have been cleared before it, and ends the list
    assert fmt.mode(FlagTable("t", ((b"A", 1), (b"AB", 3), (b"C", 4))), 3) == b"A|AB"


def test_errors_and_signals() -> None:
    assert fmt.errno(-2) == b"ENOENT"
    assert fmt.errno(-115) == b"EINPROGRESS"
    assert fmt.errno(-(1 << 32) - 2) == b"ENOENT"  # only 32 bits count
    assert fmt.errno(-100_000) == b""
    assert fmt.errno(2) == b""
    assert fmt.errno(0) == b""
    assert fmt.signal(6) == b"SIGABRT"
    assert fmt.signal(0) == b""
    assert fmt.signal(34) == b""
    assert fmt.sigset(0) == b""
    assert fmt.sigset(1 | 1 << 8 | 1 << 31) == b"SIGHUP SIGKILL"


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, b"0s"),
        (1_500_000_000, b"1.5s"),
        (1_000_000, b"0.001s"),
        (1_000, b"1e-06s"),
        (2_426_049, b"0.00242605s"),
        (2**64 - 2, b"1.84467e+10s"),
    ],
)
def test_relative_times(ns: int, text: bytes) -> None:
    assert fmt.reltime(ns) == text


@given(st.integers(0, 2**64 - 1))
def test_absolute_times_agree_with_the_calendar(ns: int) -> None:
    expected = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=ns // 10**9)
    assert fmt.abstime(ns) == f"{expected:%Y-%m-%d %H:%M:%S}.{ns % 10**9:09d}".encode()


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("::", "::"),
        ("::1", "::1"),
        ("::1:2", "::0.1.0.2"),  # ::/96 prints its tail as IPv4
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("fe80::1:0:0:1", "fe80::1:0:0:1"),  # the first of two runs of equal length
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),  # a single zero group stays
        ("1::", "1::"),
        ("1:0:0:2::", "1:0:0:2::"),
    ],
)
def test_ipv6_addresses(address: str, text: str) -> None:
    assert fmt.address6(ipaddress.IPv6Address(address).packed) == text.encode()


@given(st.binary(min_size=16, max_size=16))
def test_any_ipv6_address_reads_back(raw: bytes) -> None:
    assert ipaddress.IPv6Address(fmt.address6(raw).decode()).packed == raw


def test_socket_addresses() -> None:
    assert fmt.sockaddr(bytes([2, 127, 0, 0, 1, 80, 0])) == b"127.0.0.1:80"
    assert fmt.sockaddr(bytes([2, 127, 0, 0, 1])) == b"INVALID IPv4"
    assert fmt.sockaddr(bytes([10, *([0] * 15), 1, 0x90, 0x1F])) == b"::1:8080"
    assert fmt.sockaddr(bytes([10, 1])) == b"INVALID IPv6"
    assert fmt.sockaddr(b"\x01/run/a\nb\0rest") == "/run/a\N{REPLACEMENT CHARACTER}b".encode()
    assert fmt.sockaddr(b"\x01") == b""
    assert fmt.sockaddr(b"\x11\x00") == b"family 17"
    assert fmt.sockaddr(b"") == b"<NA>"


def test_socket_tuples() -> None:
    v4 = bytes([2, 10, 0, 0, 1, 5, 0, 10, 0, 0, 2, 80, 0])
    assert fmt.socktuple(v4) == b"10.0.0.1:5->10.0.0.2:80"
    mapped = bytes(10) + b"\xff\xff"
    v6 = bytes([10]) + mapped + bytes([10, 0, 0, 1, 5, 0]) + mapped + bytes([10, 0, 0, 2, 80, 0])
    assert fmt.socktuple(v6) == b"10.0.0.1:5->10.0.0.2:80"
    half = bytes([10]) + mapped + bytes([10, 0, 0, 1, 5, 0]) + bytes(15) + bytes([1, 80, 0])
    assert fmt.socktuple(half) == b"::ffff:10.0.0.1:5->::1:80"
    unix = b"\x01" + (0xFFFF888004A01B00).to_bytes(8, "little") + (0).to_bytes(8, "little") + b"/x\0"
    assert fmt.socktuple(unix) == b"ffff888004a01b00->0 /x"
    assert fmt.socktuple(b"") == b"NULL"
    assert fmt.socktuple(b"\x03") == b"family 3"
    assert fmt.socktuple(b"\x01\x02") == b"<NA>"


def test_fd_lists() -> None:
    data = (2).to_bytes(2, "little") + (3).to_bytes(8, "little") + b"\x01\0" + (-1).to_bytes(8, "little", signed=True) + b"\xff\xff"
    assert fmt.fdlist(data) == [(3, 1), (-1, -1)]
    assert fmt.fdlist(data[:-1]) == [(3, 1)]
    assert fmt.fdlist(b"\xff") == []
    assert fmt.fdlist_entry(3, b"f", 1) == b"3:f1"
    assert fmt.fdlist_entry(-1, b"?", -1) == b"18446744073709551615:?ffffffff"


def test_addresses_of_no_family() -> None:
    assert fmt.address(bytes([127, 0, 0, 1])) == b"127.0.0.1"
    assert fmt.address(bytes(15) + b"\1") == b"::1"
    assert fmt.address(b"") == b"" == fmt.address(bytes(5))


def test_socket_tuples_of_the_wrong_length() -> None:
    for size in (0, 11, 13, 36):
        assert fmt.socktuple(b"\x02" + bytes(size)) == b"INVALID IPv4"
    for size in (0, 12, 35, 37):
        assert fmt.socktuple(b"\x0a" + bytes(size)) == b"INVALID IPv6"


def test_names_of_system_calls() -> None:
    assert fmt.syscall(tables.SYSCALL_NAMES.index(b"openat")) == b"openat"
    assert fmt.syscall(-1) == b"" == fmt.syscall(len(tables.SYSCALL_NAMES))


def test_strings(way: bool) -> None:
    assert fmt.charbuf(b"") == b"<NA>"
    assert fmt.charbuf(b"(NULL)\0") == b"<NA>"
    assert fmt.charbuf(b"\0") == b""
    assert fmt.charbuf(b"a\0b\0") == b"a"
    assert fmt.charbuf(b"no end") == b"no end"
    assert fmt.dotted(b"plain text") == b"plain text"
    assert fmt.dotted(b"a\0b\x7f\xff c") == b"a.b.. c"


@given(st.binary(max_size=64))
def test_any_bytes_make_safe_text(data: bytes) -> None:
    for text in (fmt.sockaddr(data), fmt.socktuple(data), fmt.dotted(data)):
        assert b"\0" not in text
        text.decode()
    assert len(fmt.dotted(data)) == len(data)
    for _, bits in fmt.fdlist(data):
        assert -(1 << 15) <= bits < 1 << 15


@given(st.sampled_from(sorted(tables.FLAG_TABLES)), st.integers(0, 2**32 - 1))
def test_any_value_of_any_table_has_a_text(name: str, value: int) -> None:
    table = tables.FLAG_TABLES[name]
    names = {entry[0] for entry in table.entries}
    for text in (fmt.flags(table, value), fmt.enum(table, value), fmt.mode(table, value)):
        assert not text or set(text.split(b"|")) <= names


def test_memo_dictionaries_are_bounded() -> None:
    for number in range(fmt.MAX_MEMO + 10):
        fmt.address4(number.to_bytes(4, "big"))
        fmt.address6(number.to_bytes(16, "big"))
        fmt.abstime(number * 86_400 * 10**9)
    assert len(fmt._address4_memo) <= fmt.MAX_MEMO
    assert len(fmt._address6_memo) <= fmt.MAX_MEMO
    assert len(fmt._day_memo) <= fmt.MAX_MEMO


def test_the_same_string_again_is_the_same_text() -> None:
    data = b"abc\0def"
    first = fmt.charbuf(data)
    assert first == b"abc" and fmt.charbuf(data) is first
    assert fmt.charbuf(b"") == fmt.charbuf(b"(NULL)\0") == b"<NA>" and fmt.charbuf(data) == first
