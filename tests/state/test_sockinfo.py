"""The union of socket facts, and what its views make of each other's bytes."""

from __future__ import annotations

import pytest

from edera_falcod.scap.tables import (
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_UNIX_SOCK,
    SCAP_L4_ICMP,
    SCAP_L4_RAW,
    SCAP_L4_TCP,
    SCAP_L4_UDP,
    SCAP_L4_UNKNOWN,
)
from edera_falcod.state import sockinfo
from edera_falcod.state.fd import Fd
from edera_falcod.state.interfaces import Interfaces
from edera_falcod.state.sockinfo import Ends

from .support import LOOPBACK6, inet, inet6, inet6_tuple, inet_tuple, mapped, unix, unix_tuple


def sock(kind: int, l4: int = SCAP_L4_TCP) -> Fd:
    fd = Fd(kind)
    sockinfo.write_byte(fd, 12 if kind == SCAP_FD_IPV4_SOCK else 36, l4)
    sockinfo.view(fd)
    return fd


def ends4(sip: str, sport: int, dip: str, dport: int) -> Ends:
    return Ends(inet_tuple(sip, sport, dip, dport))


def test_ends_of_both_families() -> None:
    ends = ends4("1.2.3.4", 1025, "5.6.7.8", 80)
    assert (ends.sip, ends.sport, ends.dip, ends.dport) == (bytes([1, 2, 3, 4]), 1025, bytes([5, 6, 7, 8]), 80)
    wide = Ends(inet6_tuple(LOOPBACK6, 7, bytes(16), 8))
    assert (wide.sip, wide.sport, wide.dip, wide.dport, wide.is_wide()) == (LOOPBACK6, 7, bytes(16), 8, True)


@pytest.mark.parametrize(
    ("source", "dest", "reduced"),
    [
        (mapped("1.2.3.4"), mapped("5.6.7.8"), True),
        (mapped("1.2.3.4"), bytes(16), True),  # :: stands for IPv4 too
        (LOOPBACK6, bytes(16), False),
        (mapped("1.2.3.4"), LOOPBACK6, False),
    ],
)
def test_mapped_ends_become_ipv4(source: bytes, dest: bytes, reduced: bool) -> None:
    ends = Ends(inet6_tuple(source, 1, dest, 2))
    ends.reduce()
    assert ends.is_wide() is not reduced
    if reduced:
        assert (ends.sip, ends.dip) == (source[12:], dest[12:])


def test_update_knows_the_same_ends_and_their_mirror_image() -> None:
    fd = sock(SCAP_FD_IPV4_SOCK)
    assert sockinfo.update(fd, ends4("1.1.1.1", 10, "2.2.2.2", 20))
    sockinfo.view(fd)
    assert (fd.sip, fd.sport, fd.dip, fd.dport, fd.l4proto) == (b"\1\1\1\1", 10, b"\2\2\2\2", 20, SCAP_L4_TCP)
    assert not sockinfo.update(fd, ends4("1.1.1.1", 10, "2.2.2.2", 20))
    assert not sockinfo.update(fd, ends4("2.2.2.2", 20, "1.1.1.1", 10))
    assert sockinfo.update(fd, ends4("1.1.1.1", 10, "3.3.3.3", 20))
    sockinfo.view(fd)
    assert fd.dip == b"\3\3\3\3"


def test_update_of_another_family_has_no_mirror_image() -> None:
    fd = sock(SCAP_FD_IPV6_SOCK)
    sockinfo.update(fd, ends4("1.1.1.1", 10, "2.2.2.2", 20))
    assert sockinfo.update(fd, ends4("2.2.2.2", 20, "1.1.1.1", 10))


def test_views_read_each_others_bytes() -> None:
    """A UDP server bound to 127.0.0.1:5300 that is taken for a connection shows what the listening view left there."""
    fd = Fd(SCAP_FD_IPV4_SERVSOCK)
    sockinfo.write(fd, 0, inet("127.0.0.1", 5300)[1:])
    sockinfo.write_byte(fd, sockinfo.V4_SERVER_L4, SCAP_L4_UDP)
    sockinfo.view(fd)
    assert (fd.sip, fd.dip, fd.dport, fd.l4proto) == (b"", b"\x7f\0\0\1", 5300, SCAP_L4_UDP)
    fd.kind = SCAP_FD_IPV4_SOCK
    sockinfo.view(fd)
    assert (fd.sip, fd.dip, fd.l4proto) == (b"\x7f\0\0\1", bytes([0xB4, 0x14, SCAP_L4_UDP, 0]), SCAP_L4_UNKNOWN)


def test_swap_exchanges_the_ends() -> None:
    fd = sock(SCAP_FD_IPV4_SOCK)
    sockinfo.update(fd, ends4("1.1.1.1", 10, "2.2.2.2", 20))
    sockinfo.swap(fd)
    sockinfo.view(fd)
    assert (fd.sip, fd.sport, fd.dip, fd.dport, fd.l4proto) == (b"\2\2\2\2", 20, b"\1\1\1\1", 10, SCAP_L4_TCP)
    wide = sock(SCAP_FD_IPV6_SOCK, SCAP_L4_UDP)
    sockinfo.update(wide, Ends(inet6_tuple(LOOPBACK6, 10, bytes([0xFE, 0x80]) + bytes(14), 20)))
    sockinfo.swap(wide)
    sockinfo.view(wide)
    assert (wide.dip, wide.dport, wide.sport, wide.l4proto) == (LOOPBACK6, 10, 20, SCAP_L4_UDP)


@pytest.mark.parametrize(
    ("kind", "l4", "name"),
    [
        (SCAP_FD_IPV4_SOCK, SCAP_L4_TCP, b"1.1.1.1:10->2.2.2.2:20"),
        (SCAP_FD_IPV4_SOCK, SCAP_L4_UDP, b"1.1.1.1:10->2.2.2.2:20"),
        (SCAP_FD_IPV4_SOCK, SCAP_L4_ICMP, b"1.1.1.1->2.2.2.2"),
        (SCAP_FD_IPV4_SOCK, SCAP_L4_RAW, b"1.1.1.1->2.2.2.2"),
        (SCAP_FD_IPV4_SOCK, SCAP_L4_UNKNOWN, b"<unknown>"),
    ],
)
def test_names_by_protocol(kind: int, l4: int, name: bytes) -> None:
    fd = sock(kind, l4)
    sockinfo.update(fd, ends4("1.1.1.1", 10, "2.2.2.2", 20))
    sockinfo.view(fd)
    assert sockinfo.name_of(fd) == name


@pytest.mark.parametrize(
    ("l4", "source", "dest", "name"),
    [
        (SCAP_L4_TCP, LOOPBACK6, LOOPBACK6, b"::1:10->::1:20"),
        (SCAP_L4_ICMP, LOOPBACK6, LOOPBACK6, b"::1->::1"),
        (SCAP_L4_RAW, LOOPBACK6, LOOPBACK6, b"<unknown>"),
        # Both ends mapped in an IPv6 socket: the ports are read through the IPv4 view
        (SCAP_L4_TCP, mapped("1.2.3.4"), mapped("5.6.7.8"), b"1.2.3.4:0->5.6.7.8:65535"),
        (SCAP_L4_ICMP, mapped("1.2.3.4"), mapped("5.6.7.8"), b"1.2.3.4->5.6.7.8"),
    ],
)
def test_names_of_ipv6(l4: int, source: bytes, dest: bytes, name: bytes) -> None:
    fd = sock(SCAP_FD_IPV6_SOCK, l4)
    sockinfo.update(fd, Ends(inet6_tuple(source, 10, dest, 20)))
    sockinfo.view(fd)
    assert sockinfo.name_of(fd) == name


def test_only_connected_kinds_are_named() -> None:
    assert sockinfo.name_of(Fd(SCAP_FD_UNIX_SOCK)) is None
    assert sockinfo.name_of(Fd(SCAP_FD_IPV6_SERVSOCK)) is None


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (b"", False),
        (inet("1.2.3.4", 1), True),
        (inet("1.2.3.4", 1)[:-1], False),
        (inet6(LOOPBACK6, 1), True),
        (inet6(LOOPBACK6, 1)[:-1], False),
        (unix("/x"), True),
        (unix("/x")[:-1], False),
        (b"\x01", False),
        (b"\x10", True),
    ],
)
def test_valid_addresses(data: bytes, valid: bool) -> None:
    assert sockinfo.is_valid_sockaddr(data) is valid


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (b"", False),
        (inet_tuple("1.2.3.4", 1, "1.2.3.4", 1), True),
        (inet_tuple("1.2.3.4", 1, "1.2.3.4", 1)[:-1], False),
        (inet6_tuple(LOOPBACK6, 1, LOOPBACK6, 1), True),
        (inet6_tuple(LOOPBACK6, 1, LOOPBACK6, 1)[:-1], False),
        (unix_tuple(1, 2, ""), True),
        (unix_tuple(1, 2, "x")[:-1], False),
        (b"\x10\0", True),
    ],
)
def test_valid_tuples(data: bytes, valid: bool) -> None:
    assert sockinfo.is_valid_tuple(data) is valid


def test_missing_ends_come_from_the_interfaces() -> None:
    interfaces = Interfaces()
    interfaces.set_networks([(b"\x7f\0\0\1", 8), (bytes([10, 0, 0, 5]), 24), (bytes([192, 168, 1, 1]), 24), (LOOPBACK6, 128), (b"x", 8)])
    assert interfaces.addresses == frozenset([b"\x7f\0\0\1", bytes([10, 0, 0, 5]), bytes([192, 168, 1, 1]), LOOPBACK6])
    assert interfaces.guess4(bytes([192, 168, 1, 1])) == bytes([192, 168, 1, 1])
    assert interfaces.guess4(bytes([192, 168, 1, 77])) == bytes([192, 168, 1, 1])
    assert interfaces.guess4(b"\x7f\1\1\1") == b"\x7f\0\0\1"
    assert interfaces.guess4(bytes([8, 8, 8, 8])) == bytes([10, 0, 0, 5])
    assert interfaces.guess6(LOOPBACK6) == LOOPBACK6
    assert interfaces.guess6(bytes([0xFE, 0x80]) + bytes(14)) == bytes(16)

    fd = sock(SCAP_FD_IPV4_SOCK, SCAP_L4_UDP)
    sockinfo.update(fd, ends4("0.0.0.0", 10, "8.8.8.8", 53))
    interfaces.complete(fd)
    assert fd.sip == bytes([10, 0, 0, 5])
    # The same address on both ends cannot have the same port
    fd = sock(SCAP_FD_IPV4_SOCK, SCAP_L4_UDP)
    sockinfo.update(fd, ends4("0.0.0.0", 53, "10.0.0.5", 53))
    sockinfo.view(fd)
    interfaces.complete(fd)
    assert fd.sip == bytes(4)
    fd = sock(SCAP_FD_IPV4_SOCK, SCAP_L4_UDP)
    sockinfo.update(fd, ends4("10.0.0.9", 53, "0.0.0.0", 54))
    interfaces.complete(fd)
    assert fd.dip == bytes([10, 0, 0, 5])


def test_interfaces_without_networks() -> None:
    interfaces = Interfaces()
    interfaces.set_addresses([b"\x7f\0\0\1", bytes([10, 0, 0, 5])])
    assert interfaces.guess4(b"\x7f\0\0\2") == b"\x7f\0\0\1"
    assert interfaces.guess4(bytes([10, 0, 0, 6])) == bytes([10, 0, 0, 5])  # as the first that is not loopback
    assert Interfaces().guess4(b"\1\1\1\1") == bytes(4)


NET6 = bytes([0xFD]) + bytes(7)


def test_missing_ends_of_ipv6() -> None:
    interfaces = Interfaces()
    interfaces.set_networks([(LOOPBACK6, 128), (NET6 + bytes(7) + b"\5", 64), (b"\x7f\0\0\1", 8)])
    own = NET6 + bytes(7) + b"\5"
    assert interfaces.guess6(own) == own
    assert interfaces.guess6(NET6 + b"\1" * 8) == own, "of its network"
    assert interfaces.guess6(bytes([0xFE, 0x80]) + bytes(14)) == own, "the first that is not loopback"
    only = Interfaces()
    only.set_networks([(LOOPBACK6, 128)])
    assert only.guess6(own) == bytes(16)
    only.set_networks([(b"\x7f\0\0\1", 8)])
    assert only.guess4(b"\x08\x08\x08\x08") == bytes(4)

    fd = sock(SCAP_FD_IPV6_SOCK, SCAP_L4_UDP)
    sockinfo.update(fd, Ends(inet6_tuple(bytes(16), 10, NET6 + b"\1" * 8, 53)))
    interfaces.complete(fd)
    assert fd.sip == own and fd.dip == NET6 + b"\1" * 8
    sockinfo.update(fd, Ends(inet6_tuple(NET6 + b"\1" * 8, 53, bytes(16), 10)))
    sockinfo.view(fd)
    interfaces.complete(fd)
    assert fd.dip == own


@pytest.mark.parametrize("kind", [SCAP_FD_UNIX_SOCK, SCAP_FD_IPV4_SERVSOCK])
def test_only_connections_have_missing_ends(kind: int) -> None:
    interfaces = Interfaces()
    interfaces.set_networks([(bytes([10, 0, 0, 5]), 24)])
    fd = Fd(kind)
    interfaces.complete(fd)
    assert fd.memory == b"" and fd.sip == b""
    whole = sock(SCAP_FD_IPV4_SOCK, SCAP_L4_UDP)
    sockinfo.update(whole, ends4("1.1.1.1", 10, "8.8.8.8", 53))
    before = whole.memory
    interfaces.complete(whole)
    assert whole.memory == before


def test_views_of_every_kind() -> None:
    memory = bytes(range(1, sockinfo.SIZE + 1))
    seen = {}
    for kind in (SCAP_FD_IPV4_SOCK, SCAP_FD_IPV6_SOCK, SCAP_FD_IPV4_SERVSOCK, SCAP_FD_IPV6_SERVSOCK, SCAP_FD_UNIX_SOCK):
        fd = Fd(kind)
        fd.memory = memory
        sockinfo.view(fd)
        seen[kind] = (fd.sip, fd.dip, fd.sport, fd.dport, fd.l4proto, fd.source, fd.dest)
    assert seen[SCAP_FD_IPV4_SOCK] == (memory[:4], memory[4:8], 0x0A09, 0x0C0B, 13, 0, 0)
    assert seen[SCAP_FD_IPV6_SOCK] == (memory[:16], memory[16:32], 0x2221, 0x2423, 37, 0, 0)
    assert seen[SCAP_FD_IPV4_SERVSOCK] == (b"", memory[:4], 0, 0x0605, 7, 0, 0)
    assert seen[SCAP_FD_IPV6_SERVSOCK] == (b"", memory[:16], 0, 0x1211, 19, 0, 0)
    assert seen[SCAP_FD_UNIX_SOCK] == (b"", b"", 0, 0, 0, 0x0807060504030201, 0x100F0E0D0C0B0A09)


def test_single_bytes() -> None:
    fd = Fd(SCAP_FD_IPV4_SOCK)
    assert sockinfo.byte_at(fd, 12) == 0
    sockinfo.write_byte(fd, 12, 0x1FF)
    assert sockinfo.byte_at(fd, 12) == 0xFF and sockinfo.byte_at(fd, 11) == 0 and len(fd.memory) == sockinfo.SIZE


def test_ends_of_unix_sockets() -> None:
    fd = Fd(SCAP_FD_UNIX_SOCK)
    sockinfo.set_unix(fd, b"\1" * 8, b"\2" * 8)
    sockinfo.view(fd)
    assert (fd.source, fd.dest, len(fd.memory)) == (0x0101010101010101, 0x0202020202020202, sockinfo.SIZE)
