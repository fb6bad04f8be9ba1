"""Mistakes of Edera's own plugin that the state must not repeat: one test for each of its faults B1 to B63 that concerns state,
named after it.

Those that concern what fields make of the state have theirs in tests/fields/test_rust_gaps.py. Where libsinsp does something else than one
would wish, it is followed, and the test says so.
"""

from __future__ import annotations

import struct

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.scap.event import Event
from edera_falcod.state.fd import ROLE_CLIENT, ROLE_SERVER, ROLES, SOCKET_CONNECTED
from edera_falcod.state.zone import ZoneState

from .support import (
    LOOPBACK6,
    SECOND,
    START,
    cloned,
    closed,
    event,
    executed,
    exited,
    fd_of,
    feed,
    files_of,
    has_fd,
    inet,
    inet6_tuple,
    inet_tuple,
    mapped,
    opened,
    quiet,
    small_zone,
    thread_of,
    told,
    told_fd,
    unix,
    unix_tuple,
    zone_of,
)

CLONE = t.PPME_SYSCALL_CLONE_20_X


def socket(zone: ZoneState, number: int, domain: int = t.PPM_AF_INET, kind: int = 1, flags: int = 0) -> None:
    feed(zone, event(t.PPME_SOCKET_SOCKET_X, 20, fd=number, domain=domain, type=kind, proto=0, flags=flags))


def connect(zone: ZoneState, number: int, data: bytes, res: int = 0, addr: bytes = b"") -> None:
    feed(zone, event(t.PPME_SOCKET_CONNECT_X, 20, res=res, tuple=data, fd=number, addr=addr))


def receive(zone: ZoneState, number: int, data: bytes, tid: int = 20) -> None:
    feed(zone, event(t.PPME_SOCKET_RECVFROM_X, tid, res=1, data=b"x", tuple=data, fd=number, size=1))


def send(zone: ZoneState, number: int, data: bytes) -> None:
    feed(zone, event(t.PPME_SOCKET_SENDTO_X, 20, res=1, data=b"x", fd=number, size=1, tuple=data))


def test_b01_closed_fds_are_removed() -> None:
    zone = small_zone()
    for number in range(100):
        feed(zone, opened(10, 7, f"/f{number}"), closed(10, 7))
    quiet(zone)
    assert not has_fd(zone, 10, 7) and len(files_of(zone, 10)) == 3
    feed(zone, opened(10, 7, "/x"), event(t.PPME_SYSCALL_CLOSE_RANGE_X, 10, res=0, first=7, last=9, flags=0))
    assert not has_fd(zone, 10, 7)


def test_b02_dup_copies_the_old_fd() -> None:
    """A reverse shell: the socket becomes stdin."""
    zone = small_zone()
    feed(zone, event(t.PPME_SOCKET_SOCKET_X, 10, fd=5, domain=t.PPM_AF_INET, type=1, proto=0, flags=0))
    data = inet_tuple("10.0.0.1", 5000, "6.6.6.6", 4444)
    feed(zone, event(t.PPME_SOCKET_CONNECT_X, 10, res=0, tuple=data, fd=5))
    for code, values in ((t.PPME_SYSCALL_DUP2_X, 0), (t.PPME_SYSCALL_DUP3_X, 1), (t.PPME_SYSCALL_DUP_1_X, 2)):
        feed(zone, event(code, 10, res=values, oldfd=5))
        assert fd_of(zone, 10, values).name == b"10.0.0.1:5000->6.6.6.6:4444"
        assert zone.fd is fd_of(zone, 10, values)


def test_b03_fcntl_dupfd_copies_and_setfd_sets() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"), event(t.PPME_SYSCALL_FCNTL_X, 10, res=9, fd=5, cmd=t.PPM_FCNTL_F_DUPFD_CLOEXEC, arg=9))
    assert fd_of(zone, 10, 9).name == b"/x" and fd_of(zone, 10, 9).closes_on_exec()
    feed(zone, event(t.PPME_SYSCALL_FCNTL_X, 10, res=0, fd=9, cmd=t.PPM_FCNTL_F_SETFD, arg=0))
    assert not fd_of(zone, 10, 9).closes_on_exec()


def test_b04_execve_sets_exepath() -> None:
    zone = small_zone()
    feed(zone, executed(10, trusted_exepath="/usr/bin/nmap"))
    assert thread_of(zone, 10).exepath == b"/usr/bin/nmap"


def test_b05_execve_closes_what_is_marked() -> None:
    zone = small_zone()
    cloexec = t.PPM_O_CLOEXEC
    feed(
        zone,
        opened(10, 5, "/kept"),
        opened(10, 6, "/gone", cloexec),
        event(t.PPME_SOCKET_SOCKET_X, 10, fd=7, domain=t.PPM_AF_INET, type=1, proto=0, flags=cloexec),
        event(t.PPME_SYSCALL_EPOLL_CREATE1_X, 10, res=8, flags=1),
        event(t.PPME_SOCKET_ACCEPT4_6_X, 10, fd=9, tuple=inet_tuple("1.1.1.1", 1, "1.1.1.1", 2), flags=cloexec),
        event(t.PPME_SYSCALL_MEMFD_CREATE_X, 10, fd=11, name="m", flags=1),
        executed(10),
    )
    assert sorted(files_of(zone, 10).fds) == [0, 1, 2, 5]


def test_b06_arguments_are_a_list() -> None:
    zone = small_zone()
    feed(zone, executed(10, args=["-c", "", "id"], env=["A=1", "B=2"], cgroups=["cpu=/a", "memory=/b"]))
    thread = thread_of(zone, 10)
    assert thread.args.items == [b"-c", b"", b"id"]
    assert thread.env.items == [b"A=1", b"B=2"] and thread.cgroups.items == [b"cpu=/a", b"memory=/b"]


def test_b07_at_fdcwd_is_the_working_directory() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "x", dirfd=t.PPM_AT_FDCWD))
    assert fd_of(zone, 10, 5).name == b"/home/x"


def test_b08_paths_are_normalised() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/tmp/../etc//./shadow"))
    assert fd_of(zone, 10, 5).name == b"/etc/shadow"


def test_b09_children_of_a_dead_parent_live() -> None:
    zone = small_zone()
    feed(zone, cloned(CLONE, 30, 0, pid=30, ptid=10), cloned(CLONE, 40, 0, pid=40, ptid=30), exited(30))
    quiet(zone)
    orphan = thread_of(zone, 40)
    assert (orphan.comm, orphan.pid, orphan.ptid, zone.cwd(orphan)) == (b"child", 40, 1, b"/home/")
    feed(zone, executed(40, comm="daemon"))
    assert thread_of(zone, 40) is orphan and orphan.comm == b"daemon" and thread_of(zone, 40).exepath == b"/usr/bin/prog"


def test_b10_children_of_the_dying_thread_go_to_its_reaper() -> None:
    zone = small_zone()
    feed(zone, cloned(CLONE, 30, 0, pid=30, ptid=10), cloned(CLONE, 40, 0, pid=40, ptid=30), cloned(CLONE, 50, 0, pid=50, ptid=20))
    feed(zone, exited(30, reaper=1))
    quiet(zone)
    assert thread_of(zone, 40).ptid == 1 and thread_of(zone, 50).ptid == 20


def test_b11_a_childs_parent_is_the_caller() -> None:
    zone = small_zone()
    feed(zone, cloned(CLONE, 10, 30, pid=10, ptid=1))
    assert thread_of(zone, 30).ptid == 10


def test_b12_walks_end_in_a_ring_of_parents() -> None:
    zone = zone_of(told(5, ptid=6, sid=9), told(6, ptid=7, sid=9), told(7, ptid=5, sid=9), told(8, ptid=8, sid=9))
    for tid in (5, 6, 7, 8):
        thread = thread_of(zone, tid)
        assert len(zone.lineage(thread, 1000)) <= 2
        zone.session_leader(thread)
        zone.pgid_leader(thread)
        assert zone.ancestor(thread, 1000) is None


def test_b13_a_short_sockopt_value_harms_nobody() -> None:
    zone = small_zone()
    socket(zone, 5)
    for value in (b"", b"\2", struct.pack("<BI", 2, 5)):
        feed(zone, event(t.PPME_SOCKET_GETSOCKOPT_X, 20, res=0, fd=5, level=1, optname=4, val=value, optlen=4))
    assert fd_of(zone, 20, 5).flags == 0


def test_b14_accepted_connections_are_tcp() -> None:
    zone = small_zone()
    for data in (inet_tuple("9.9.9.9", 1, "1.1.1.1", 80), inet6_tuple(mapped("9.9.9.9"), 1, mapped("1.1.1.1"), 80)):
        feed(zone, event(t.PPME_SOCKET_ACCEPT4_6_X, 20, fd=5, tuple=data, flags=0))
        fd = fd_of(zone, 20, 5)
        assert (fd.l4proto, fd.kind) == (t.SCAP_L4_TCP, t.SCAP_FD_IPV4_SOCK)


def test_b15_addresses_are_in_network_order() -> None:
    zone = small_zone()
    socket(zone, 5)
    connect(zone, 5, inet_tuple("10.1.2.3", 5000, "192.168.7.9", 443))
    fd = fd_of(zone, 20, 5)
    assert fd.name == b"10.1.2.3:5000->192.168.7.9:443"
    assert (fd.sip, fd.dip) == (bytes([10, 1, 2, 3]), bytes([192, 168, 7, 9]))


def test_b16_bind_makes_a_listening_socket() -> None:
    zone = small_zone()
    socket(zone, 5)
    feed(zone, event(t.PPME_SOCKET_BIND_X, 20, res=0, addr=inet("0.0.0.0", 80), fd=5))
    fd = fd_of(zone, 20, 5)
    assert (fd.kind, fd.name, fd.dport, fd.is_server()) == (t.SCAP_FD_IPV4_SERVSOCK, b"0.0.0.0:80", 80, True)
    socket(zone, 6)
    feed(zone, event(t.PPME_SOCKET_BIND_X, 20, res=0, addr=inet("0.0.0.0", 0), fd=6))
    assert not fd_of(zone, 20, 6).has_role()
    socket(zone, 7, t.PPM_AF_UNIX)
    feed(zone, event(t.PPME_SOCKET_BIND_X, 20, res=0, addr=unix("/run/a/long/path/to/a.socket"), fd=7))
    assert fd_of(zone, 20, 7).name == b"/run/a/long/path/to/a.socket"


def test_b17_opened_files_have_a_type() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"), opened(10, 6, "/d", t.PPM_O_DIRECTORY))
    assert fd_of(zone, 10, 5).is_file() and fd_of(zone, 10, 6).is_directory()


def test_b21_bytes_that_are_no_utf8_change_nothing_else() -> None:
    zone = small_zone()
    feed(zone, cloned(CLONE, 10, 30, pid=10, ptid=1, exe=b"\xff\xfe\0", args=b"\xc3\x28\0"), executed(30, comm="x"))
    feed(zone, event(t.PPME_SYSCALL_EXECVE_19_X, 30, res=0, exe=b"/tmp/\xff\0", comm=b"\xff\0", pid=30, ptid=10))
    thread = thread_of(zone, 30)
    assert (thread.comm, thread.exe, thread.ptid) == (b"\xff", b"/tmp/\xff", 10)
    feed(zone, opened(30, 5, "/x"), event(t.PPME_SYSCALL_OPENAT_2_X, 30, fd=6, dirfd=-100, name=b"/\xff/../\xfe\0", flags=1))
    assert fd_of(zone, 30, 6).name == b"/\xfe"


def test_b22_what_is_not_known_is_not_zero() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=-2, dirfd=-100, name="/x", flags=1))
    assert zone.fd_num == -1 and zone.fd is None
    feed(zone, opened(77, 3, "/x"))
    thread = thread_of(zone, 77)
    assert (thread.uid, thread.loginuid, thread.sid, thread.comm) == (0xFFFFFFFF, 0xFFFFFFFF, -1, b"<NA>")


def test_b23_an_unknown_thread_becomes_known() -> None:
    zone = small_zone()
    feed(zone, opened(77, 3, "/etc/shadow"))
    assert zone.thread is thread_of(zone, 77) and zone.fd is not None and zone.fd.name == b"/etc/shadow"
    feed(zone, executed(77, pid=77, ptid=10))
    assert thread_of(zone, 77).comm == b"prog" and fd_of(zone, 77, 3).name == b"/etc/shadow"


def test_b24_a_dead_child_is_not_made_again() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_VFORK_20_X, 10, 30, pid=10, ptid=1))
    assert zone.find_thread(30) is None
    feed(
        zone,
        cloned(CLONE, 30, 0, pid=30, ptid=10, ts=START),
        exited(30, ts=START + 1),
        cloned(CLONE, 10, 30, pid=10, ptid=1, ts=START + 2),
    )
    assert zone.find_thread(30) is None


def test_b25_memory_may_be_missing() -> None:
    zone = small_zone()
    made, new = cloned(CLONE, 10, 30, pid=10, ptid=1), executed(10, comm="new")
    for position in range(8, 13):
        made.params[position] = new.params[position] = b""
    feed(zone, made, new)
    assert thread_of(zone, 30).comm == b"child" and thread_of(zone, 10).comm == b"new"


def test_b26_execve_keeps_the_marks_of_a_thread() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"), event(t.PPME_SYSCALL_DUP2_X, 10, res=0, oldfd=5, newfd=0))
    feed(zone, cloned(CLONE, 30, 0, pid=30, ptid=10), executed(30), executed(10, flags=t.PPM_EXE_WRITABLE | t.PPM_EXE_LOWER_LAYER))
    assert thread_of(zone, 10).flags == t.PPM_CL_PIPE_DST | t.PPM_CL_ACTIVE | t.PPM_CL_NAME_CHANGED
    assert thread_of(zone, 30).flags & t.PPM_CL_CLONE_INVERTED


def test_b27_execve_sets_what_it_has_to() -> None:
    zone = small_zone()
    feed(zone, executed(10, ts=START, trusted_exepath="/tmp/x (deleted)", pgid=b""))
    thread = thread_of(zone, 10)
    assert (thread.lastexec_ts, thread.exepath, thread.pgid) == (START, b"/tmp/x", -1)
    full = executed(10)
    for length in range(len(full.params)):  # no parameter is taken for granted
        feed(zone, Event(full.ts, 10, 0, full.code, full.params[:length]))


def test_b28_a_main_thread_stays_as_long_as_its_process() -> None:
    zone = small_zone()
    feed(zone, opened(20, 3, "/log"), exited(20))
    feed(zone, exited(10))
    quiet(zone, 21)
    assert fd_of(zone, 21, 3).name == b"/log"


def test_b29_the_dead_go_before_the_next_event() -> None:
    zone = small_zone()
    feed(zone, exited(10))
    quiet(zone, 20)
    assert zone.find_thread(10) is None


def test_b30_directory_and_environment_are_the_processs() -> None:
    zone = small_zone()
    feed(zone, cloned(CLONE, 31, 0, pid=10, ptid=1, flags=t.PPM_CL_CLONE_THREAD), event(t.PPME_SYSCALL_CHDIR_X, 31, res=0, path="/a/./b"))
    assert zone.cwd(thread_of(zone, 10)) == zone.cwd(thread_of(zone, 31)) == b"/a/b/"
    main = zone.main_thread(thread_of(zone, 31))
    assert main is not None and main.env.items == [b"A=1", b"B=2"]
    feed(zone, event(t.PPME_SYSCALL_FCHDIR_X, 10, res=0, fd=99))
    assert zone.cwd(thread_of(zone, 10)) == b"/a/b/"


def test_b31_eventfd2_is_added() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_EVENTFD2_X, 10, res=5, flags=t.PPM_O_CLOEXEC, initval=2**63))
    assert fd_of(zone, 10, 5).kind == t.SCAP_FD_EVENT and fd_of(zone, 10, 5).closes_on_exec()


def test_b32_memfd_and_pidfd_have_names() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_MEMFD_CREATE_X, 10, fd=5, name=b"\xff\xfe", flags=0))
    feed(zone, event(t.PPME_SYSCALL_PIDFD_OPEN_X, 10, fd=6, pid=20, flags=0))
    assert fd_of(zone, 10, 5).name == b"\xff\xfe" and fd_of(zone, 10, 6).name == b"/proc/20"


def test_b33_pidfd_getfd_closes_on_exec() -> None:
    zone = small_zone()
    feed(zone, opened(20, 3, "/x"), event(t.PPME_SYSCALL_PIDFD_OPEN_X, 10, fd=6, pid=20, flags=0))
    feed(zone, event(t.PPME_SYSCALL_PIDFD_GETFD_X, 10, fd=7, pid_fd=6, target_fd=3, flags=0))
    assert fd_of(zone, 10, 7).closes_on_exec()


def test_b34_sendto_makes_a_socket_of_ip_only() -> None:
    zone = small_zone()
    send(zone, 5, unix_tuple(1, 2, "/x"))
    assert not has_fd(zone, 20, 5)
    send(zone, 5, inet_tuple("1.1.1.1", 1, "2.2.2.2", 2))
    assert (fd_of(zone, 20, 5).kind, fd_of(zone, 20, 5).l4proto) == (t.SCAP_FD_IPV4_SOCK, t.SCAP_L4_UDP)


def test_b35_roles_are_guessed_as_libsinsp_does() -> None:
    zone = small_zone()
    socket(zone, 5, kind=2)
    receive(zone, 5, inet_tuple("9.9.9.9", 5000, "1.1.1.1", 53), tid=21)
    assert fd_of(zone, 20, 5).flags & ROLES == ROLE_SERVER
    socket(zone, 6, kind=2)
    send(zone, 6, inet_tuple("1.1.1.1", 5000, "9.9.9.9", 53))
    assert fd_of(zone, 20, 6).flags & ROLES == ROLE_CLIENT
    # IPv6 too: by the ports of the IPv4 view. Those of this address are 0 and 0x0100; the socket itself is not IPv4, nobody has bound 0x100
    socket(zone, 7, t.PPM_AF_INET6, kind=2)
    address = bytes(10) + b"\0\1" + bytes(4)
    receive(zone, 7, inet6_tuple(address, 5000, LOOPBACK6, 53))
    assert fd_of(zone, 20, 7).flags & ROLES == ROLE_CLIENT


def test_b36_ends_are_swapped_with_each_change() -> None:
    zone = small_zone()
    socket(zone, 5, kind=2)
    send(zone, 5, inet_tuple("1.1.1.1", 5000, "9.9.9.9", 53))
    for port in (54, 55):
        receive(zone, 5, inet_tuple("9.9.9.9", port, "1.1.1.1", 5000))
        assert fd_of(zone, 20, 5).name == b"1.1.1.1:5000->9.9.9.9:%d" % port


def test_b37_the_same_ends_or_their_mirror_image_are_no_change() -> None:
    zone = small_zone()
    zone.interfaces.set_networks([(bytes([10, 0, 0, 5]), 24)])
    socket(zone, 5, kind=2)
    send(zone, 5, inet_tuple("0.0.0.0", 5000, "10.0.0.9", 53))
    fd = fd_of(zone, 20, 5)
    assert fd.name == b"10.0.0.5:5000->10.0.0.9:53"  # the own end, from the interfaces
    send(zone, 5, inet_tuple("10.0.0.5", 5000, "10.0.0.9", 53))
    receive(zone, 5, inet_tuple("10.0.0.9", 53, "10.0.0.5", 5000))
    assert not zone.fd_name_changed and fd_of(zone, 20, 5) is fd
    socket(zone, 6, t.PPM_AF_INET6, kind=2)
    other = bytes(15) + b"\2"
    send(zone, 6, inet6_tuple(LOOPBACK6, 5000, other, 53))
    fd = fd_of(zone, 20, 6)
    receive(zone, 6, inet6_tuple(other, 53, LOOPBACK6, 5000))
    assert not zone.fd_name_changed and fd_of(zone, 20, 6) is fd and fd.name == b"::1:5000->::2:53"


def test_b38_a_tcp_connection_is_learned_from_a_message() -> None:
    zone = small_zone()
    socket(zone, 5)
    send(zone, 5, inet_tuple("1.1.1.1", 5000, "9.9.9.9", 80))
    assert fd_of(zone, 20, 5).name == b"1.1.1.1:5000->9.9.9.9:80"


def test_b39_what_a_connect_means() -> None:
    data = inet_tuple("1.1.1.1", 5000, "9.9.9.9", 80)
    zone = small_zone()
    socket(zone, 5)
    connect(zone, 5, data, res=-111)
    assert fd_of(zone, 20, 5).name == b"" and not fd_of(zone, 20, 5).has_role()
    connect(zone, 5, data, res=-115)
    assert fd_of(zone, 20, 5).flags & (ROLES | SOCKET_CONNECTED) == ROLE_CLIENT | SOCKET_CONNECTED
    socket(zone, 6)
    feed(zone, event(t.PPME_SYSCALL_WRITE_X, 20, res=1, data=b"x", fd=6, size=1))
    assert fd_of(zone, 20, 6).flags & SOCKET_CONNECTED
    socket(zone, 7, kind=2)
    feed(zone, event(t.PPME_SOCKET_BIND_X, 20, res=0, addr=inet("1.1.1.1", 53), fd=7))
    receive(zone, 7, inet_tuple("8.8.8.8", 999, "1.1.1.1", 53))
    connect(zone, 7, inet_tuple("1.1.1.1", 53, "8.8.8.8", 1000))
    assert (fd_of(zone, 20, 7).flags & ROLES, fd_of(zone, 20, 7).name) == (ROLE_SERVER, b"8.8.8.8:1000->1.1.1.1:53")


def test_b40_a_connect_without_a_tuple_has_an_address() -> None:
    zone = small_zone()
    socket(zone, 5)
    connect(zone, 5, b"", addr=inet("9.9.9.9", 443))
    assert (fd_of(zone, 20, 5).dip, fd_of(zone, 20, 5).dport) == (bytes([9, 9, 9, 9]), 443)


def test_b41_passed_files_and_unix_roles() -> None:
    """What was passed cannot be known here; that the number is another file now can."""
    zone = zone_of(
        told(1, ptid=0),
        told(
            20,
            fds=[
                told_fd(3, t.SCAP_FD_UNIX_SOCK, name=b"/x"),
                told_fd(4, t.SCAP_FD_UNIX_SOCK),
                told_fd(5, t.SCAP_FD_FILE, name=b"/old"),
            ],
        ),
    )
    assert fd_of(zone, 20, 3).flags & ROLES == ROLE_SERVER and fd_of(zone, 20, 4).flags & ROLES == ROLE_CLIENT
    control = struct.pack("<Qiii", 20, 1, 1, 5)
    feed(zone, event(t.PPME_SOCKET_RECVMSG_X, 20, res=1, size=1, tuple=unix_tuple(1, 2, ""), msgcontrol=control, fd=4))
    assert not has_fd(zone, 20, 5)


def test_b42_a_snapshot_is_put_right() -> None:
    listening = told_fd(3, t.SCAP_FD_IPV4_SERVSOCK, dip=bytes(4), dport=80, l4proto=t.SCAP_L4_TCP)
    accepted = told_fd(
        4, t.SCAP_FD_IPV6_SOCK, sip=mapped("1.1.1.1"), sport=80, dip=mapped("9.9.9.9"), dport=5000, l4proto=t.SCAP_L4_TCP
    )
    zone = zone_of(told(1, ptid=0), told(20, fds=[listening, accepted]))
    fd = fd_of(zone, 20, 4)
    assert (fd.kind, fd.name) == (t.SCAP_FD_IPV4_SOCK, b"9.9.9.9:5000->1.1.1.1:80")
    assert fd.flags & (ROLES | SOCKET_CONNECTED) == ROLE_SERVER | SOCKET_CONNECTED


def test_b43_limits_and_ids_change_with_success_only() -> None:
    zone = small_zone()
    values = {"newmax": 1, "oldcur": 1, "oldmax": 1, "pid": 0, "resource": t.PPM_RLIMIT_NOFILE}
    feed(zone, event(t.PPME_SYSCALL_PRLIMIT_X, 21, 0, 0, res=5, newcur=7, **values))
    feed(zone, event(t.PPME_SYSCALL_PRLIMIT_X, 21, 0, 0, res=0, newcur=-1, **values))
    assert thread_of(zone, 20).fdlimit == 1024
    feed(zone, event(t.PPME_SYSCALL_PRLIMIT_X, 21, res=0, newcur=7, **values))
    assert thread_of(zone, 20).fdlimit == 7  # of the process
    feed(zone, event(t.PPME_SYSCALL_SETUID_X, 10, res=1, uid=9), event(t.PPME_SYSCALL_SETGID_X, 10, res=1, gid=9))
    assert (thread_of(zone, 10).uid, thread_of(zone, 10).gid) == (0, 0)


def test_b44_a_subreaper_gets_orphans() -> None:
    zone = small_zone()
    feed(
        zone,
        event(t.PPME_SYSCALL_PRCTL_X, 10, res=0, option=t.PPM_PR_SET_CHILD_SUBREAPER, arg2_str="", arg2_int=1),
        cloned(CLONE, 30, 0, pid=30, ptid=10),
        cloned(CLONE, 40, 0, pid=40, ptid=30),
        exited(30, reaper=-1),
    )
    quiet(zone)
    assert thread_of(zone, 40).ptid == 10
    # PR_SET_NAME stays without effect until the next execve, as in libsinsp
    feed(zone, event(t.PPME_SYSCALL_PRCTL_X, 10, res=0, option=t.PPM_PR_SET_NAME, arg2_str="innocent", arg2_int=0))
    assert thread_of(zone, 10).comm == b"comm10"


def test_b45_chroot_is_resolved() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_CHROOT_X, 10, res=0, path="../jail"))
    assert thread_of(zone, 10).root == b"/jail"


def test_b46_getsockopt_changes_no_flags() -> None:
    """As long as connections are not tracked, which is libsinsp's default."""
    zone = small_zone()
    socket(zone, 5)
    value = b"\1" + struct.pack("<q", -111)
    feed(zone, event(t.PPME_SOCKET_GETSOCKOPT_X, 20, res=0, fd=5, level=1, optname=4, val=value, optlen=4))
    assert fd_of(zone, 20, 5).flags == 0


def test_b47_time_on_the_cpu_begins_at_zero() -> None:
    zone = small_zone()
    zone.num_cpus = 1
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 10, ts=START, next=1))
    assert zone.exectime == 0 and thread_of(zone, 10).totexectime == 0
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 10, ts=START + SECOND, next=1))  # without memory, too
    assert zone.exectime == SECOND


def test_b48_users_and_procinfo_are_heard() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_USER_ADDED_E, -1, uid=7, gid=7, name="eve", home="/", shell="/bin/sh", container_id=""))
    feed(zone, event(t.PPME_GROUP_ADDED_E, -1, gid=7, name="staff", container_id=""))
    assert zone.users.users[7].name == b"eve" and zone.users.groups[7] == b"staff"
    feed(zone, event(t.PPME_PROCINFO_E, 10, cpu_usr=5, cpu_sys=5))
    assert zone.thread is thread_of(zone, 10) and zone.cpu_user == 0


def test_b49_cgroup_subsystems_have_their_names() -> None:
    zone = small_zone()
    feed(zone, executed(10, cgroups=["cpuset_cgroup=/a", "perf=/b", "mem=/c", "io=/d"]))
    assert thread_of(zone, 10).cgroups.items == [b"cpuset=/a", b"perf_event=/b", b"memory=/c", b"blkio=/d"]
    feed(zone, executed(10, cgroups=["cpu=/x", "broken"]))
    assert thread_of(zone, 10).cgroups.items == [b"cpuset=/a", b"perf_event=/b", b"memory=/c", b"blkio=/d"]


@pytest.mark.parametrize("code", [t.PPME_SYSCALL_DUP_X, t.PPME_SOCKET_ACCEPT_X, t.PPME_PROCEXIT_E, t.PPME_SCHEDSWITCH_1_E])
def test_b50_old_versions_have_no_parser(code: int) -> None:
    """The reader refuses them; should one come by, it is not read with the new layout."""
    assert t.EVENTS[code].old
    zone = small_zone()
    number = (7).to_bytes(8, "little")
    feed(zone, Event(START, 10, 0, code, [number, number, number]))
    quiet(zone)
    assert zone.find_thread(10) is not None and len(files_of(zone, 10)) == 3


@pytest.mark.parametrize(
    ("code", "values", "number"),
    [
        (t.PPME_SYSCALL_DUP_1_X, {"res": -1, "oldfd": 1}, 1),
        (t.PPME_SYSCALL_FCNTL_X, {"res": 0, "fd": 2, "cmd": 4, "arg": 0}, 2),
        (t.PPME_SYSCALL_RENAMEAT_X, {"res": 0, "olddirfd": 1, "oldpath": "/a", "newdirfd": 2, "newpath": "/b"}, -1),
        (t.PPME_SYSCALL_EPOLL_CREATE_X, {"res": 5, "size": 1}, 5),
        (t.PPME_SYSCALL_USERFAULTFD_X, {"res": 5, "flags": 1}, 5),
        (t.PPME_SYSCALL_IO_URING_SETUP_X, {"res": 5}, 5),
        (t.PPME_SYSCALL_PIPE_X, {"res": 0, "fd1": 5, "fd2": 6, "ino": 1}, 6),
    ],
)
def test_b51_the_events_fd_is_the_right_one(code: int, values: dict[str, int], number: int) -> None:
    zone = small_zone()
    feed(zone, event(code, 10, 0, 0, **values))
    assert zone.fd_num == number
    assert (zone.fd is None) == (number < 0)


def test_b53_names_are_kept_as_they_were_given() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "a//../b"), event(t.PPME_SYSCALL_DUP_1_X, 10, res=6, oldfd=5))
    assert fd_of(zone, 10, 5).name_raw == fd_of(zone, 10, 6).name_raw == b"a//../b"


def test_b55_ends_without_a_role_are_nobodys() -> None:
    """Who asks for the client's address has to see that there is no role."""
    zone = zone_of(
        told(20, fds=[told_fd(3, t.SCAP_FD_IPV6_SOCK, sip=LOOPBACK6, sport=1, dip=LOOPBACK6, dport=2, l4proto=t.SCAP_L4_TCP)])
    )
    assert not fd_of(zone, 20, 3).has_role()


def test_b61_a_tid_needs_no_entry() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 999, next=1))
    assert zone.thread is None


def test_b62_leaders_are_looked_up_and_never_oneself() -> None:
    zone = zone_of(
        told(1, ptid=0, sid=1, pgid=1, vpgid=1),
        told(10, ptid=1, sid=10, pgid=10, vpgid=10),
        told(11, ptid=10, sid=10, pgid=99, vpgid=99),
        told(12, ptid=1, sid=10, pgid=11, vpgid=11),
    )
    leader = zone.session_leader(thread_of(zone, 12))  # no ancestor of it, and found all the same
    assert leader is not None and leader.tid == 10
    assert zone.pgid_leader(thread_of(zone, 11)) is None
    group = zone.pgid_leader(thread_of(zone, 12))
    assert group is not None and group.tid == 11
