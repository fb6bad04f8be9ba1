"""Sockets made, bound, connected, accepted, and what messages tell of their ends."""

from __future__ import annotations

import struct

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state import fdtable
from edera_falcod.state.fd import ROLE_CLIENT, ROLE_SERVER, ROLES, SOCKET_CONNECTED
from edera_falcod.state.zone import ZoneState

from .support import (
    LOOPBACK6,
    Value,
    check_stranger,
    check_without_main,
    cloned,
    closed,
    codes_of,
    event,
    event_of,
    fd_of,
    feed,
    files_of,
    has_fd,
    inet,
    inet6,
    inet6_tuple,
    inet_tuple,
    mapped,
    opened,
    quiet,
    small_zone,
    thread_of,
    unix,
    unix_tuple,
)

UNIX, INET, INET6, NETLINK = t.PPM_AF_UNIX, t.PPM_AF_INET, t.PPM_AF_INET6, t.PPM_AF_NETLINK


def made(zone: ZoneState, number: int, domain: int, kind: int = 1, proto: int = 0, flags: int = 0, tid: int = 20) -> None:
    feed(zone, event(t.PPME_SOCKET_SOCKET_X, tid, fd=number, domain=domain, type=kind, proto=proto, flags=flags))


def connected(zone: ZoneState, number: int, data: bytes, res: int = 0, addr: bytes = b"", tid: int = 20) -> None:
    feed(zone, event(t.PPME_SOCKET_CONNECT_X, tid, res=res, tuple=data, fd=number, addr=addr))


def bound(zone: ZoneState, number: int, addr: bytes, res: int = 0) -> None:
    feed(zone, event(t.PPME_SOCKET_BIND_X, 20, res=res, addr=addr, fd=number))


def sent(zone: ZoneState, number: int, data: bytes, res: int = 1, tid: int = 20) -> None:
    feed(zone, event(t.PPME_SOCKET_SENDTO_X, tid, res=res, data=b"x", fd=number, size=1, tuple=data))


def renamed(zone: ZoneState) -> bool:
    return zone.fd_name_changed


def received(zone: ZoneState, number: int, data: bytes, res: int = 1) -> None:
    feed(zone, event(t.PPME_SOCKET_RECVFROM_X, 20, res=res, data=b"x", tuple=data, fd=number, size=1))


@pytest.mark.parametrize(
    ("domain", "kind", "proto", "expected", "l4"),
    [
        (UNIX, 1, 0, t.SCAP_FD_UNIX_SOCK, 0),
        (INET, 1, 0, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_TCP),
        (INET, 2 | 0x800 | 0x80000, 0, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_UDP),
        (INET, 1, 6, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_TCP),
        (INET, 2, 17, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_UDP),
        (INET, 3, 1, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_RAW),
        (INET, 2, 1, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_ICMP),
        (INET, 3, 6, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_RAW),
        (INET, 3 | 0x80000, 6, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_TCP),  # the type is compared with its flags
        (INET, 3, 255, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_RAW),
        (INET, 5, 132, t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_UNKNOWN),
        (INET6, 1, 0, t.SCAP_FD_IPV6_SOCK, t.SCAP_L4_TCP),
        (NETLINK, 3, 0, t.SCAP_FD_NETLINK, 0),
        (17, 3, 0, t.SCAP_FD_UNKNOWN, 0),
    ],
)
def test_kinds_of_sockets(domain: int, kind: int, proto: int, expected: int, l4: int) -> None:
    zone = small_zone()
    made(zone, 5, domain, kind, proto, t.PPM_O_CLOEXEC)
    fd = fd_of(zone, 20, 5)
    assert (fd.kind, fd.l4proto, fd.name, fd.open_flags, fd.flags) == (expected, l4, b"", t.PPM_O_CLOEXEC, 0)
    made(zone, -24, domain)
    assert len(files_of(zone, 20)) == 1 and zone.fd is None and zone.fd_num == -1


def test_socketpair() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SOCKET_SOCKETPAIR_X, 20, res=0, fd1=5, fd2=6, source=0xA0, peer=0xB0))
    for number in (5, 6):
        fd = fd_of(zone, 20, number)
        assert (fd.kind, fd.source, fd.dest, fd.name) == (t.SCAP_FD_UNIX_SOCK, 0xA0, 0xB0, b"")
    assert zone.fd_num == 6 and zone.event_fd is fd_of(zone, 20, 5)
    feed(zone, event(t.PPME_SOCKET_SOCKETPAIR_X, 20, res=0, fd1=-1, fd2=-1, source=1, peer=2))
    feed(zone, event(t.PPME_SOCKET_SOCKETPAIR_X, 20, res=-24, fd1=7, fd2=8, source=1, peer=2))
    assert len(files_of(zone, 20)) == 2


@pytest.mark.parametrize(
    ("domain", "addr", "kind", "name", "address"),
    [
        (INET, inet("10.0.0.1", 80), t.SCAP_FD_IPV4_SERVSOCK, b"10.0.0.1:80", bytes([10, 0, 0, 1])),
        (INET6, inet6(LOOPBACK6, 80), t.SCAP_FD_IPV6_SERVSOCK, b"::1:80", LOOPBACK6),
        (INET6, inet6(mapped("10.0.0.1"), 80), t.SCAP_FD_IPV4_SERVSOCK, b"::ffff:10.0.0.1:80", bytes([10, 0, 0, 1])),
        (INET6, inet6(bytes(16), 80), t.SCAP_FD_IPV4_SERVSOCK, b":::80", bytes(4)),
    ],
)
def test_binding_to_a_port_is_listening(domain: int, addr: bytes, kind: int, name: bytes, address: bytes) -> None:
    zone = small_zone()
    made(zone, 5, domain)
    bound(zone, 5, addr)
    fd = fd_of(zone, 20, 5)
    assert (fd.kind, fd.name, fd.dip, fd.dport, fd.l4proto) == (kind, name, address, 80, t.SCAP_L4_TCP)
    assert fd.is_server() and zone.fd_name_changed and files_of(zone, 20).kinds == {kind: 1}


def test_binding_without_a_port_is_a_name_only() -> None:
    zone = small_zone()
    made(zone, 5, INET)
    bound(zone, 5, inet("10.0.0.1", 0))
    fd = fd_of(zone, 20, 5)
    assert (fd.kind, fd.name, fd.flags & ROLES) == (t.SCAP_FD_IPV4_SOCK, b"10.0.0.1:0", 0)
    made(zone, 6, UNIX)
    bound(zone, 6, unix("/run/x.sock"))
    assert (fd_of(zone, 20, 6).kind, fd_of(zone, 20, 6).name) == (t.SCAP_FD_UNIX_SOCK, b"/run/x.sock")
    for addr, res in ((inet("10.0.0.1", 80), -98), (b"", 0), (inet("10.0.0.1", 80)[:-1], 0)):
        made(zone, 7, INET)
        bound(zone, 7, addr, res)
        assert fd_of(zone, 20, 7).name == b""


def test_connecting() -> None:
    zone = small_zone()
    made(zone, 5, INET)
    connected(zone, 5, inet_tuple("127.0.0.1", 1025, "127.0.0.1", 80))
    fd = fd_of(zone, 20, 5)
    assert (fd.name, fd.sip, fd.sport, fd.dip, fd.dport) == (b"127.0.0.1:1025->127.0.0.1:80", b"\x7f\0\0\1", 1025, b"\x7f\0\0\1", 80)
    assert fd.flags & (ROLES | SOCKET_CONNECTED) == ROLE_CLIENT | SOCKET_CONNECTED and zone.fd_name_changed
    made(zone, 6, INET6)
    connected(zone, 6, inet6_tuple(LOOPBACK6, 1025, LOOPBACK6, 80))
    assert (fd_of(zone, 20, 6).kind, fd_of(zone, 20, 6).name) == (t.SCAP_FD_IPV6_SOCK, b"::1:1025->::1:80")
    # A dual-stack socket: the protocol lies where the IPv4 view does not look
    made(zone, 7, INET6)
    connected(zone, 7, inet6_tuple(mapped("1.2.3.4"), 1025, mapped("5.6.7.8"), 80))
    assert (fd_of(zone, 20, 7).kind, fd_of(zone, 20, 7).name) == (t.SCAP_FD_IPV4_SOCK, b"<unknown>")
    made(zone, 8, UNIX)
    connected(zone, 8, unix_tuple(0xABC, 0xDEF, "/run/x"))
    unix_fd = fd_of(zone, 20, 8)
    assert (unix_fd.name, unix_fd.source, unix_fd.dest) == (b"abc->def /run/x", 0xABC, 0xDEF)
    assert unix_fd.is_client()


def test_a_connection_under_way_counts_and_one_that_failed_does_not() -> None:
    zone = small_zone()
    made(zone, 5, INET)
    connected(zone, 5, inet_tuple("127.0.0.1", 1025, "127.0.0.1", 80), res=-111)
    fd = fd_of(zone, 20, 5)
    assert (fd.name, fd.flags) == (b"", 0)
    connected(zone, 5, inet_tuple("127.0.0.1", 1025, "127.0.0.1", 80), res=-115)
    fd = fd_of(zone, 20, 5)
    assert fd.name == b"127.0.0.1:1025->127.0.0.1:80" and fd.flags & SOCKET_CONNECTED
    connected(zone, 5, inet_tuple("127.0.0.1", 1025, "127.0.0.1", 81))
    assert fd_of(zone, 20, 5).name == b"127.0.0.1:1025->127.0.0.1:81"


def test_connecting_without_a_tuple() -> None:
    """TCP fast open: only the address that was asked for is known."""
    zone = small_zone()
    made(zone, 5, INET)
    connected(zone, 5, b"", addr=inet("10.9.8.7", 443))
    fd = fd_of(zone, 20, 5)
    assert (fd.sip, fd.dip, fd.dport, fd.name) == (bytes(4), bytes([10, 9, 8, 7]), 443, b"") and fd.flags & SOCKET_CONNECTED
    made(zone, 6, INET6)
    connected(zone, 6, b"", addr=inet6(LOOPBACK6, 443))
    assert (fd_of(zone, 20, 6).kind, fd_of(zone, 20, 6).dip, fd_of(zone, 20, 6).dport) == (t.SCAP_FD_IPV6_SOCK, LOOPBACK6, 443)
    made(zone, 7, INET6)
    connected(zone, 7, b"", addr=inet6(mapped("1.2.3.4"), 443))
    assert (fd_of(zone, 20, 7).kind, fd_of(zone, 20, 7).dip) == (t.SCAP_FD_IPV4_SOCK, bytes([1, 2, 3, 4]))
    made(zone, 9, INET6)
    connected(zone, 9, inet6_tuple(LOOPBACK6, 1025, LOOPBACK6, 80))
    known = fd_of(zone, 20, 9).memory
    connected(zone, 9, b"", addr=inet6(mapped("1.2.3.4"), 443))  # what is known is not forgotten
    assert (fd_of(zone, 20, 9).kind, fd_of(zone, 20, 9).memory) == (t.SCAP_FD_IPV6_SOCK, known)
    feed(zone, opened(20, 10, ""))
    connected(zone, 10, b"", addr=inet("10.9.8.7", 443))  # no socket at all
    assert fd_of(zone, 20, 10).kind == t.SCAP_FD_FILE_V2
    made(zone, 8, UNIX)
    connected(zone, 8, b"", addr=unix("/x"))
    assert fd_of(zone, 20, 8).name == b""
    feed(zone, event(t.PPME_SOCKET_CONNECT_E, 20, fd=8, addr=unix("/x")))
    connected(zone, 8, b"")
    assert fd_of(zone, 20, 8).name == b"NULL"  # libsinsp prints the tuple that is not there


def test_what_was_asked_for_before_the_call_is_trusted_more() -> None:
    """The address in memory may be changed during the call; the kernel's own tuple may not."""
    zone = small_zone()
    made(zone, 5, INET)
    feed(zone, event(t.PPME_SOCKET_CONNECT_E, 20, fd=5, addr=inet("6.6.6.6", 66)))
    connected(zone, 5, inet_tuple("127.0.0.1", 1025, "9.9.9.9", 99), addr=inet("9.9.9.9", 99))
    assert fd_of(zone, 20, 5).name == b"127.0.0.1:1025->6.6.6.6:66"
    feed(zone, event(t.PPME_SOCKET_CONNECT_E, 20, fd=5, addr=inet("6.6.6.6", 66)))
    connected(zone, 5, inet_tuple("127.0.0.1", 1025, "9.9.9.9", 99), addr=inet("8.8.8.8", 88))
    assert fd_of(zone, 20, 5).name == b"127.0.0.1:1025->9.9.9.9:99"
    made(zone, 6, INET6)
    feed(zone, event(t.PPME_SOCKET_CONNECT_E, 20, fd=6, addr=inet6(LOOPBACK6, 66)))
    connected(zone, 6, inet6_tuple(LOOPBACK6, 1025, LOOPBACK6, 99), addr=inet6(LOOPBACK6, 99))
    assert fd_of(zone, 20, 6).name == b"::1:1025->::1:66"
    made(zone, 7, UNIX)
    feed(zone, event(t.PPME_SOCKET_CONNECT_E, 20, fd=7, addr=unix("/asked")))
    connected(zone, 7, unix_tuple(1, 2, "/shown"), addr=unix("/shown"))
    assert fd_of(zone, 20, 7).name == b"1->2 /asked"


def test_a_udp_server_that_connects_keeps_its_role() -> None:
    zone = small_zone()
    made(zone, 5, INET, 2)
    bound(zone, 5, inet("127.0.0.1", 53))
    received(zone, 5, inet_tuple("127.0.0.1", 999, "127.0.0.1", 53))
    assert fd_of(zone, 20, 5).is_server()
    connected(zone, 5, inet_tuple("127.0.0.1", 53, "127.0.0.1", 1000))
    fd = fd_of(zone, 20, 5)
    assert (fd.name, fd.flags & ROLES) == (b"127.0.0.1:1000->127.0.0.1:53", ROLE_SERVER)


def test_connecting_a_file_or_a_stranger() -> None:
    zone = small_zone()
    feed(zone, opened(20, 5, "/x"))
    connected(zone, 5, unix_tuple(1, 2, "/y"))
    assert fd_of(zone, 20, 5).name == b"/x" and not fd_of(zone, 20, 5).has_role()
    connected(zone, 77, inet_tuple("1.1.1.1", 1, "2.2.2.2", 2))
    assert not has_fd(zone, 20, 77)


@pytest.mark.parametrize(
    ("data", "kind", "name"),
    [
        (inet_tuple("10.0.0.9", 5000, "10.0.0.1", 80), t.SCAP_FD_IPV4_SOCK, b"10.0.0.9:5000->10.0.0.1:80"),
        (inet6_tuple(LOOPBACK6, 5000, LOOPBACK6, 80), t.SCAP_FD_IPV6_SOCK, b"::1:5000->::1:80"),
        (inet6_tuple(mapped("1.2.3.4"), 5000, mapped("5.6.7.8"), 80), t.SCAP_FD_IPV4_SOCK, b"1.2.3.4:5000->5.6.7.8:80"),
        (unix_tuple(1, 2, "/x"), t.SCAP_FD_UNIX_SOCK, b"1->2 /x"),
    ],
)
@pytest.mark.parametrize("code", [t.PPME_SOCKET_ACCEPT_5_X, t.PPME_SOCKET_ACCEPT4_6_X])
def test_accepting(code: int, data: bytes, kind: int, name: bytes) -> None:
    zone = small_zone()
    values: dict[str, Value] = {"fd": 7, "tuple": data, "queuepct": 0, "queuelen": 0, "queuemax": 5}
    if code == t.PPME_SOCKET_ACCEPT4_6_X:
        values["flags"] = t.PPM_O_CLOEXEC | 1
    feed(zone, event_of(code, 20, values))
    fd = fd_of(zone, 20, 7)
    assert (fd.kind, fd.name, fd.flags) == (kind, name, ROLE_SERVER | SOCKET_CONNECTED)
    assert fd.open_flags == (t.PPM_O_CLOEXEC if "flags" in values else 0)
    if kind != t.SCAP_FD_UNIX_SOCK:
        assert (fd.l4proto, fd.sport, fd.dport) == (t.SCAP_L4_TCP, 5000, 80)
    assert zone.fd_num == 7 and zone.fd_name_changed


def test_accepting_nobody() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SOCKET_ACCEPT_5_X, 20, fd=-11))
    assert zone.fd_num == -1
    for data in (b"", b"\x10\0\0", inet_tuple("1.1.1.1", 1, "1.1.1.1", 1)[:-1]):
        feed(zone, event(t.PPME_SOCKET_ACCEPT_5_X, 20, fd=7, tuple=data))
        assert zone.fd_num == 7 and zone.fd is None and not has_fd(zone, 20, 7)


def test_what_a_message_tells_of_udp() -> None:
    zone = small_zone()
    zone.interfaces.set_networks([(b"\x7f\0\0\1", 8)])
    made(zone, 5, INET, 2)
    sent(zone, 5, inet_tuple("0.0.0.0", 5000, "127.0.0.1", 53))
    fd = fd_of(zone, 20, 5)
    assert (fd.name, fd.flags & ROLES) == (b"127.0.0.1:5000->127.0.0.1:53", ROLE_CLIENT)  # it spoke first
    assert renamed(zone)
    sent(zone, 5, inet_tuple("127.0.0.1", 5000, "127.0.0.1", 53))
    assert not renamed(zone)
    received(zone, 5, inet_tuple("127.0.0.1", 53, "127.0.0.1", 5000))  # the mirror image
    assert not renamed(zone) and fd_of(zone, 20, 5) is fd
    received(zone, 5, inet_tuple("127.0.0.1", 54, "127.0.0.1", 5000))  # another server answers
    assert fd_of(zone, 20, 5).name == b"127.0.0.1:5000->127.0.0.1:54"  # still seen from the client
    sent(zone, 5, b"")
    sent(zone, 5, inet_tuple("9.9.9.9", 9, "9.9.9.9", 9), res=-1)
    assert fd_of(zone, 20, 5).name == b"127.0.0.1:5000->127.0.0.1:54"


def test_what_a_message_tells_of_a_udp_server() -> None:
    zone = small_zone()
    made(zone, 5, INET, 2)
    bound(zone, 5, inet("127.0.0.1", 53))
    received(zone, 5, inet_tuple("127.0.0.1", 5000, "127.0.0.1", 53))
    fd = fd_of(zone, 20, 5)
    assert (fd.kind, fd.name, fd.l4proto, fd.flags & ROLES) == (
        t.SCAP_FD_IPV4_SOCK, b"127.0.0.1:5000->127.0.0.1:53", t.SCAP_L4_UDP, ROLE_SERVER,
    )  # fmt: skip
    sent(zone, 5, inet_tuple("127.0.0.1", 53, "127.0.0.1", 5001))
    assert fd_of(zone, 20, 5).name == b"127.0.0.1:5001->127.0.0.1:53"


def test_tcp_over_ipv4_is_learned_only_while_unnamed() -> None:
    zone = small_zone()
    made(zone, 5, INET)
    received(zone, 5, inet_tuple("10.0.0.2", 80, "10.0.0.1", 5000))
    assert fd_of(zone, 20, 5).name == b"10.0.0.2:80->10.0.0.1:5000"
    received(zone, 5, inet_tuple("10.0.0.3", 80, "10.0.0.1", 5000))
    assert fd_of(zone, 20, 5).name == b"10.0.0.2:80->10.0.0.1:5000"


def test_unix_messages() -> None:
    zone = small_zone()
    made(zone, 5, UNIX)
    bound(zone, 5, unix("/run/x"))
    received(zone, 5, unix_tuple(1, 2, "/run/x"))
    assert fd_of(zone, 20, 5).name == b"1->2 /run/x" and zone.fd_name_changed
    fd = fd_of(zone, 20, 5)
    received(zone, 5, unix_tuple(1, 2, "/run/x"))
    assert fd_of(zone, 20, 5) is fd and not zone.fd_name_changed


def test_ipv6_messages() -> None:
    zone = small_zone()
    made(zone, 5, INET6, 2)
    sent(zone, 5, inet6_tuple(LOOPBACK6, 5000, LOOPBACK6, 53))
    fd = fd_of(zone, 20, 5)
    assert (fd.kind, fd.name, fd.l4proto) == (t.SCAP_FD_IPV6_SOCK, b"::1:5000->::1:53", t.SCAP_L4_UDP)
    # A listening one stays a listening one, as in libsinsp, and its address becomes the sender's
    made(zone, 6, INET6, 2)
    bound(zone, 6, inet6(LOOPBACK6, 53))
    received(zone, 6, inet6_tuple(bytes([0xFE, 0x80]) + LOOPBACK6[2:], 5000, LOOPBACK6, 53))
    fd = fd_of(zone, 20, 6)
    assert (fd.kind, fd.name, fd.dip) == (t.SCAP_FD_IPV6_SERVSOCK, b"fe80::1:5000->::1:53", bytes([0xFE, 0x80]) + LOOPBACK6[2:])


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (t.PPME_SOCKET_SEND_X, "tuple"),
        (t.PPME_SOCKET_SENDTO_X, "tuple"),
        (t.PPME_SOCKET_SENDMSG_X, "tuple"),
    ],
)
def test_sending_through_a_stranger_makes_it_udp(code: int, name: str) -> None:
    for data, kind in (
        (inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), t.SCAP_FD_IPV4_SOCK),
        (inet6_tuple(LOOPBACK6, 1, LOOPBACK6, 2), t.SCAP_FD_IPV6_SOCK),
    ):
        zone = small_zone()
        feed(zone, event_of(code, 20, {"res": 1, "data": b"x", "fd": 9, "size": 1, name: data}))
        fd = fd_of(zone, 20, 9)
        assert (fd.kind, fd.l4proto) == (kind, t.SCAP_L4_UDP) and zone.fd is fd and fd.flags & SOCKET_CONNECTED
    zone = small_zone()
    feed(zone, event_of(code, 20, {"res": 1, "data": b"x", "fd": 9, "size": 1, name: unix_tuple(1, 2, "/x")}))
    feed(zone, event_of(code, 20, {"res": -1, "data": b"x", "fd": 9, "size": 1, name: inet_tuple("1.1.1.1", 1, "2.2.2.2", 2)}))
    feed(zone, event(code, 20, res=1, data=b"x", fd=9, size=1))
    assert not has_fd(zone, 20, 9)


def test_traffic_means_connected() -> None:
    for code, result in ((t.PPME_SYSCALL_READ_X, "res"), (t.PPME_SYSCALL_WRITE_X, "res"), (t.PPME_SYSCALL_WRITEV_X, "res")):
        zone = small_zone()
        made(zone, 5, INET)
        feed(zone, event_of(code, 20, {result: -11, "fd": 5}))
        assert not fd_of(zone, 20, 5).flags & SOCKET_CONNECTED
        feed(zone, event_of(code, 20, {result: 3, "fd": 5}))
        assert fd_of(zone, 20, 5).flags & SOCKET_CONNECTED
        fd = fd_of(zone, 20, 5)
        feed(zone, event_of(code, 20, {result: 3, "fd": 5}))
        assert fd_of(zone, 20, 5) is fd


@pytest.mark.parametrize("others", ["none", "bound", "bound and used"])
@pytest.mark.parametrize("incoming", [True, False])
def test_roles_are_guessed_from_the_ports_of_the_process(others: str, incoming: bool) -> None:
    zone = small_zone()
    if others != "none":
        made(zone, 8, INET, 2)
        bound(zone, 8, inet("127.0.0.1", 53))
    if others == "bound and used":
        made(zone, 9, INET, 2)
        connected(zone, 9, inet_tuple("127.0.0.1", 5000, "1.1.1.1", 99))
    made(zone, 5, INET, 2)
    if incoming:
        received(zone, 5, inet_tuple("127.0.0.1", 5000, "127.0.0.1", 53))
    else:
        sent(zone, 5, inet_tuple("127.0.0.1", 5000, "127.0.0.1", 53))
    # The socket itself is among those of the process, with both ports already: they are bound and used always, so who speaks
    # first decides, as in libsinsp
    assert fd_of(zone, 20, 5).flags & ROLES == (ROLE_SERVER if incoming else ROLE_CLIENT)


def test_a_role_is_guessed_on_the_process_and_not_on_the_thread() -> None:
    zone = small_zone()
    made(zone, 5, INET, 2, tid=21)
    feed(zone, event(t.PPME_SOCKET_RECVFROM_X, 22, res=1, data=b"x", tuple=inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), fd=5, size=1))
    assert fd_of(zone, 20, 5).is_server()


def control(*messages: tuple[int, list[int]]) -> bytes:
    out = b""
    for kind, numbers in messages:
        body = struct.pack(f"<{len(numbers)}i", *numbers)
        out += struct.pack("<Qii", 16 + len(body), 1, kind) + body
        out += bytes(-len(out) % 8)
    return out


def test_passed_files_replace_what_was_known_of_their_numbers() -> None:
    zone = small_zone()
    made(zone, 5, UNIX)
    for number in (6, 7, 8):
        feed(zone, opened(20, number, "/stale"))
    data = unix_tuple(1, 2, "")
    feed(zone, event(t.PPME_SOCKET_RECVMSG_X, 20, res=1, size=1, tuple=data, msgcontrol=control((2, [8]), (1, [6, 9])), fd=5))
    assert not has_fd(zone, 20, 6) and has_fd(zone, 20, 7) and has_fd(zone, 20, 8)
    feed(zone, event(t.PPME_SOCKET_RECVMMSG_X, 20, res=1, fd=5, size=1, tuple=data, msgcontrol=control((1, [7]))))
    assert not has_fd(zone, 20, 7)
    for broken in (b"\1", control((1, [8]))[:19], control((1, [8]))[:8] + b"\xff" * 12, bytes(64), control((1, list(range(254))))):
        feed(zone, event(t.PPME_SOCKET_RECVMSG_X, 20, res=1, size=1, tuple=data, msgcontrol=broken, fd=5))
        assert has_fd(zone, 20, 8)
    made(zone, 10, INET)
    feed(zone, event(t.PPME_SOCKET_RECVMSG_X, 20, res=1, size=1, tuple=b"", msgcontrol=control((1, [8])), fd=10))
    assert has_fd(zone, 20, 8)


def test_a_forked_child_learns_on_its_own() -> None:
    zone = small_zone()
    made(zone, 5, INET, 2)
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=20))
    sent(zone, 5, inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), tid=30)
    assert fd_of(zone, 30, 5).name and not fd_of(zone, 20, 5).name
    feed(zone, closed(30, 5))
    quiet(zone)
    assert has_fd(zone, 20, 5) and thread_of(zone, 30)


def test_getsockopt_and_shutdown_change_nothing() -> None:
    zone = small_zone()
    made(zone, 5, INET)
    before = fd_of(zone, 20, 5)
    error = bytes([1]) + struct.pack("<q", -111)
    feed(
        zone,
        event(t.PPME_SOCKET_GETSOCKOPT_X, 20, res=0, fd=5, level=1, optname=4, val=error, optlen=4),
        event(t.PPME_SOCKET_SHUTDOWN_X, 20, res=0, fd=5, how=2),
        event(t.PPME_SOCKET_LISTEN_X, 20, res=0, fd=5, backlog=5),
    )
    assert fd_of(zone, 20, 5) is before and before.flags == 0


def test_connecting_with_a_tuple_that_cannot_be_read() -> None:
    zone = small_zone()
    made(zone, 5, INET)
    connected(zone, 5, inet_tuple("1.1.1.1", 1, "2.2.2.2", 2)[:-1])
    assert fd_of(zone, 20, 5).name == b"" and fd_of(zone, 20, 5).flags & SOCKET_CONNECTED


@pytest.mark.parametrize("code", [t.PPME_SOCKET_RECV_X, t.PPME_SOCKET_RECVMMSG_X, t.PPME_SOCKET_SENDMMSG_X])
def test_messages_with_their_tuple_elsewhere(code: int) -> None:
    zone = small_zone()
    made(zone, 5, INET, 2)
    ends = inet_tuple("1.1.1.1", 1, "2.2.2.2", 2)
    feed(zone, event_of(code, 20, {"res": 1, "fd": 5, "tuple": ends}))
    assert fd_of(zone, 20, 5).name == b"1.1.1.1:1->2.2.2.2:2"
    feed(zone, event_of(code, 20, {"res": -1, "fd": 5, "tuple": inet_tuple("9.9.9.9", 9, "9.9.9.9", 9)}))
    assert fd_of(zone, 20, 5).name == b"1.1.1.1:1->2.2.2.2:2"


@pytest.mark.parametrize("code", [t.PPME_SOCKET_RECVMMSG_X, t.PPME_SOCKET_SENDMMSG_X])
def test_messages_of_which_not_even_the_result_is_told(code: int) -> None:
    zone = small_zone()
    made(zone, 5, INET, 2)
    feed(zone, event_of(code, 20, {"fd": 5, "tuple": inet_tuple("1.1.1.1", 1, "2.2.2.2", 2)}))
    assert fd_of(zone, 20, 5).name == b"" and not fd_of(zone, 20, 5).flags & SOCKET_CONNECTED


def test_messages_with_few_parameters() -> None:
    zone = small_zone()
    made(zone, 5, INET, 2)
    made(zone, 6, UNIX)
    for number, code in ((5, t.PPME_SOCKET_RECVFROM_X), (6, t.PPME_SOCKET_RECVMSG_X)):
        short = event(code, 20, res=1, fd=number)
        del short.params[4:]
        feed(zone, short)
        assert fd_of(zone, 20, number).name == b""


def test_a_socket_is_not_learned_when_the_zone_is_out_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for ends in (inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), unix_tuple(1, 2, "/x")):
        zone = small_zone()
        made(zone, 0, INET if ends[0] == 2 else UNIX, 2, tid=10)
        feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10))
        monkeypatch.setattr(fdtable, "MAX_ZONE_FDS", zone.table.fd_budget.entries)
        sent(zone, 0, ends, tid=30)
        assert not has_fd(zone, 30, 0) and fd_of(zone, 10, 0).name == b"" and zone.counters.fds_refused == 3


def test_a_tuple_of_another_family_than_the_socket() -> None:
    """A socket of which only the number is known, and one made for IPv4: it becomes what the message says."""
    zone = small_zone()
    made(zone, 5, 17)
    sent(zone, 5, inet_tuple("1.1.1.1", 1, "2.2.2.2", 2))
    assert (fd_of(zone, 20, 5).kind, fd_of(zone, 20, 5).l4proto) == (t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_UDP)
    made(zone, 6, INET6, 5, 132)
    sent(zone, 6, inet6_tuple(LOOPBACK6, 1, LOOPBACK6, 2))
    assert (fd_of(zone, 20, 6).kind, fd_of(zone, 20, 6).l4proto) == (t.SCAP_FD_IPV6_SOCK, t.SCAP_L4_UDP)
    made(zone, 7, INET6, 2)
    sent(zone, 7, b"\x10\0")
    assert fd_of(zone, 20, 7).kind == t.SCAP_FD_IPV6_SOCK and fd_of(zone, 20, 7).sip == bytes(16)
    made(zone, 8, INET6, 2)
    for _ in range(2):
        sent(zone, 8, inet6_tuple(mapped("1.1.1.1"), 1, mapped("2.2.2.2"), 2))
        assert (fd_of(zone, 20, 8).kind, fd_of(zone, 20, 8).name) == (t.SCAP_FD_IPV4_SOCK, b"1.1.1.1:1->2.2.2.2:2")
    made(zone, 9, UNIX, 2)
    sent(zone, 9, b"\x10\0")
    assert fd_of(zone, 20, 9).kind == t.SCAP_FD_UNIX_SOCK


def test_ends_that_are_all_zero_tell_nothing() -> None:
    zone = small_zone()
    made(zone, 5, INET, 2)
    sent(zone, 5, inet_tuple("0.0.0.0", 0, "0.0.0.0", 0))
    assert fd_of(zone, 20, 5).name == b"" and fd_of(zone, 20, 5).flags & ROLES == 0


def test_whoever_listens_on_the_port_and_sends_from_another_is_a_server() -> None:
    """An IPv6 socket is not among those whose ports count, so that its own use of them is not seen."""
    zone = small_zone()
    made(zone, 8, INET, 2)
    bound(zone, 8, inet("127.0.0.1", 0x1010))
    made(zone, 9, INET, 2)
    connected(zone, 9, inet_tuple("127.0.0.1", 7, "127.0.0.1", 8))
    made(zone, 5, INET6, 2)
    sent(zone, 5, inet6_tuple(b"\x10" * 16, 5000, LOOPBACK6, 53))
    assert fd_of(zone, 20, 5).flags & ROLES == ROLE_SERVER


@pytest.mark.parametrize("code", codes_of("sockets") + codes_of("messages"))
def test_threads_that_are_not_known(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    check_without_main(code)
    check_stranger(monkeypatch, code)


def test_passed_files_of_no_number_and_of_the_sockets_own() -> None:
    zone = small_zone()
    made(zone, 5, UNIX)
    feed(zone, event(t.PPME_SOCKET_RECVMSG_X, 20, res=1, size=1, tuple=unix_tuple(1, 2, ""), msgcontrol=control((1, [-1, 5])), fd=5))
    assert has_fd(zone, 20, 5)


def test_what_a_socket_is() -> None:
    zone = small_zone()
    made(zone, 5, INET)
    connected(zone, 5, inet_tuple("1.1.1.1", 1, "2.2.2.2", 2))
    made(zone, 6, INET, 2)
    feed(zone, opened(20, 7, "/d", t.PPM_O_DIRECTORY), opened(20, 8, "/f"))
    said = [
        (fd.is_tcp4(), fd.is_udp4(), fd.is_client(), fd.is_server(), fd.has_role(), fd.is_directory(), fd.is_file())
        for fd in (fd_of(zone, 20, number) for number in (5, 6, 7, 8))
    ]
    assert said == [
        (True, False, True, False, True, False, False), (False, True, False, False, False, False, False),
        (False, False, False, False, False, True, False), (False, False, False, False, False, False, True),
    ]  # fmt: skip


def test_raw_sockets_of_no_protocol() -> None:
    zone = small_zone()
    made(zone, 5, INET, 3, 0)
    assert fd_of(zone, 20, 5).l4proto == t.SCAP_L4_UNKNOWN
