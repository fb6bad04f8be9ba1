"""What becomes of a snapshot."""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state import threadtable
from edera_falcod.state.fd import FROM_PROC, ROLE_CLIENT, ROLE_SERVER, ROLES, SOCKET_CONNECTED
from edera_falcod.state.limits import MAX_ARGS, MAX_ENV, MAX_FDS, MAX_PATH, MAX_RAW_PATH
from edera_falcod.state.zone import ZoneState

from .support import (
    LOOPBACK6,
    event,
    executed,
    exited,
    fd_of,
    feed,
    files_of,
    has_fd,
    mapped,
    opened,
    small_zone,
    thread_of,
    told,
    told_fd,
    zone_of,
)

LOCAL = b"\x7f\0\0\1"


def test_a_thread_says_what_it_is() -> None:
    zone = zone_of(
        told(1, ptid=0),
        told(
            10, sid=3, pgid=4, vpgid=5, args=b"-a\0\0b\0", env=b"A=1\0B=2", cwd=b"/a/../b", root=b"/r", exepath=b"/x (deleted)",
            cgroups=b"cpu_cgroup=/a\0perf=/b\0mem=/c\0io=/d\0name=e=f\0", uid=5, gid=6, loginuid=7, tty=8, cap_effective=9,
            clone_ts=10, lastexec_ts=11, exe_ino=12, vmsize_kb=13, pfmajor=14, pidns_init_start_ts=15, exe_writable=True,
        ),
    )  # fmt: skip
    thread = thread_of(zone, 10)
    assert (thread.sid, thread.pgid, thread.vpgid, thread.uid, thread.gid, thread.loginuid, thread.tty) == (3, 4, 5, 5, 6, 7, 8)
    assert thread.args.items == [b"-a", b"", b"b"] and thread.env.items == [b"A=1", b"B=2"]
    assert (zone.cwd(thread), thread.root, thread.exepath) == (b"/b/", b"/r", b"/x")
    assert thread.cgroups.items == [b"cpu=/a", b"perf_event=/b", b"memory=/c", b"blkio=/d", b"name=e=f"]
    assert (thread.cap_effective, thread.clone_ts, thread.lastexec_ts, thread.exe_ino, thread.vmsize_kb) == (9, 10, 0, 12, 13)
    assert thread.flags & t.PPM_CL_ACTIVE and thread.exe_writable and thread.pidns_init_start_ts == 15


def test_what_the_message_leaves_out() -> None:
    zone = zone_of(told(1, ptid=-1), told(10, ptid=-1))
    thread_of(zone, 10).pid = 10
    assert not thread_of(zone, 1).is_invalid()
    zone = zone_of(told(5, cgroups=b"broken", cwd=b"", comm=b""))
    assert thread_of(zone, 5).cgroups.items == [] and zone.cwd(thread_of(zone, 5)) == b"/"
    said = told(7)
    said.pid = -1
    assert zone_of(said).find_thread(7) is not None


def test_only_main_threads_have_environment_directory_and_files() -> None:
    files = [told_fd(3, t.SCAP_FD_FILE_V2, name=b"/x")]
    zone = zone_of(told(1, ptid=0), told(20, fds=files, env=b"A=1"), told(21, pid=20, env=b"B=2", cwd=b"/elsewhere"))
    thread = thread_of(zone, 21)
    assert thread.env.items == [] and zone.cwd(thread) == b"/home/" and fd_of(zone, 21, 3).name == b"/x"
    assert zone.nthreads(thread) == 2 and not thread.is_main()


def test_parents_and_groups_are_tied_in_any_order() -> None:
    zone = zone_of(told(30, ptid=20), told(21, pid=20, ptid=10), told(20, ptid=10), told(10, ptid=1), told(1, ptid=0), told(40, ptid=99))
    assert [thread.tid for thread in zone.lineage(thread_of(zone, 30), 9)] == [20, 10, 1]
    assert sorted(thread_of(zone, 10).children) == [20, 21]
    assert thread_of(zone, 40).ptid == 0  # its parent is not there
    group = thread_of(zone, 21).group
    assert group is not None and group.main is thread_of(zone, 20) and group.alive == 2
    assert zone.table.groups[1].reaper and not zone.table.groups[20].reaper


def test_knots_are_cut() -> None:
    zone = zone_of(told(5, ptid=5), told(6, ptid=7), told(7, ptid=8), told(8, ptid=6), told(9, ptid=7), told(1, ptid=9))
    assert zone.counters.cycles_cut == 2
    for tid in (5, 6, 7, 8, 9, 1):
        assert len(zone.lineage(thread_of(zone, tid), 50)) <= 4
    assert thread_of(zone, 5).ptid == 0


def test_a_thread_told_twice_counts_once() -> None:
    zone = zone_of(told(1, ptid=0), told(20), told(20, comm=b"later"), told(21, pid=20), told(21, pid=20))
    assert thread_of(zone, 20).comm == b"later" and zone.nthreads(thread_of(zone, 20)) == 2


def test_a_dead_thread_of_a_snapshot_lives() -> None:
    """Who is in a snapshot is there; a count that starts wrong would never be right again."""
    zone = zone_of(told(20, flags=t.PPM_CL_CLOSED))
    assert zone.nthreads(thread_of(zone, 20)) == 1
    feed(zone, exited(20))
    feed(zone, executed(20))
    assert zone.find_thread(20) is not None


def test_kinds_of_files() -> None:
    zone = zone_of(
        told(
            10,
            fds=[
                told_fd(0, t.SCAP_FD_FILE_V2, name=b"/f", open_flags=3, dev=4, mount_id=5, ino=6),
                told_fd(1, t.SCAP_FD_FIFO, name=b"pipe:[7]", ino=7),
                told_fd(2, t.SCAP_FD_EVENTPOLL, name=b"anon_inode:[eventpoll]"),
                told_fd(3, t.SCAP_FD_UNIX_SOCK, name=b"/run/x", source=1, dest=2),
                told_fd(4, t.SCAP_FD_UNIX_SOCK),
                told_fd(5, t.SCAP_FD_UNKNOWN, name=b"?"),
                told_fd(-3, t.SCAP_FD_FILE, name=b"?"),
            ],
        )
    )
    file = fd_of(zone, 10, 0)
    assert (file.name, file.open_flags, file.dev, file.mount_id, file.ino, file.flags) == (b"/f", 3, 4, 5, 6, FROM_PROC)
    assert fd_of(zone, 10, 1).name == b"pipe:[7]" and fd_of(zone, 10, 2).name == b"anon_inode:[eventpoll]"
    named, nameless = fd_of(zone, 10, 3), fd_of(zone, 10, 4)
    assert (named.name, named.source, named.dest, named.flags & ROLES) == (b"/run/x", 1, 2, ROLE_SERVER)
    assert nameless.flags & ROLES == ROLE_CLIENT
    assert not has_fd(zone, 10, 5) and len(files_of(zone, 10)) == 5


def test_ends_of_connections_by_who_listens_in_the_zone() -> None:
    zone = zone_of(
        told(
            10,
            fds=[
                told_fd(3, t.SCAP_FD_IPV4_SERVSOCK, dip=LOCAL, dport=80, l4proto=t.SCAP_L4_TCP),
                told_fd(
                    4, t.SCAP_FD_IPV4_SOCK, sip=LOCAL, sport=80, dip=bytes([9, 9, 9, 9]), dport=5000, l4proto=t.SCAP_L4_TCP
                ),
                told_fd(5, t.SCAP_FD_IPV6_SERVSOCK, dip=LOOPBACK6, dport=81, l4proto=t.SCAP_L4_TCP),
            ],
        ),
        told(
            11,
            fds=[
                told_fd(
                    4, t.SCAP_FD_IPV4_SOCK, sip=LOCAL, sport=5000, dip=LOCAL, dport=80, l4proto=t.SCAP_L4_TCP
                ),
                told_fd(
                    5, t.SCAP_FD_IPV6_SOCK, sip=mapped("127.0.0.1"), sport=81, dip=mapped("1.2.3.4"), dport=6000, l4proto=t.SCAP_L4_UDP
                ),
                told_fd(
                    6, t.SCAP_FD_IPV6_SOCK, sip=LOOPBACK6, sport=81, dip=LOOPBACK6, dport=6000, l4proto=t.SCAP_L4_TCP
                ),
            ],
        ),
    )
    assert fd_of(zone, 10, 3).name == b"127.0.0.1:80" and fd_of(zone, 10, 5).name == b"::1:81"
    server = fd_of(zone, 10, 4)
    assert (server.name, server.sport, server.dport, server.flags & (ROLES | SOCKET_CONNECTED)) == (
        b"9.9.9.9:5000->127.0.0.1:80", 5000, 80, ROLE_SERVER | SOCKET_CONNECTED,
    )  # fmt: skip
    client = fd_of(zone, 11, 4)
    assert (client.name, client.flags & ROLES) == (b"127.0.0.1:5000->127.0.0.1:80", ROLE_CLIENT)
    dual = fd_of(zone, 11, 5)  # an IPv4 socket in truth, UDP not connected
    assert (dual.kind, dual.name, dual.flags & (ROLES | SOCKET_CONNECTED)) == (
        t.SCAP_FD_IPV4_SOCK, b"1.2.3.4:6000->127.0.0.1:81", ROLE_SERVER,
    )  # fmt: skip
    wide = fd_of(zone, 11, 6)  # libsinsp looks at IPv4 only
    assert (wide.name, wide.flags & (ROLES | SOCKET_CONNECTED)) == (b"::1:81->::1:6000", SOCKET_CONNECTED)


def test_addresses_that_are_none() -> None:
    zone = zone_of(
        told(10, fds=[told_fd(3, t.SCAP_FD_IPV4_SERVSOCK, dport=80), told_fd(4, t.SCAP_FD_IPV6_SERVSOCK, dip=LOCAL, dport=81)])
    )
    assert fd_of(zone, 10, 3).name == b"0.0.0.0:80" and fd_of(zone, 10, 4).name == b"::ffff:127.0.0.1:81"


def test_interfaces_tell_nothing_of_a_snapshots_sockets() -> None:
    """An own end of all zeros is filled in when a message is learned from, not here."""
    zone = ZoneState()
    zone.local_ips = frozenset([LOCAL])
    zone.begin_snapshot(0)
    fd = told_fd(3, t.SCAP_FD_IPV4_SOCK, sip=bytes(4), sport=8080, dip=LOCAL, dport=65535, l4proto=t.SCAP_L4_TCP)
    zone.add_snapshot_thread(told(10, fds=[fd]))
    zone.end_snapshot()
    assert fd_of(zone, 10, 3).name == b"0.0.0.0:8080->127.0.0.1:65535"


def test_a_new_snapshot_replaces_everything() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"), event(t.PPME_USER_ADDED_E, -1, uid=1, gid=1, name="x"), exited(20))
    zone.begin_snapshot(5)
    assert zone.thread is None and not zone.threads and zone.table.fd_budget.entries == 0 and zone.table.text == 0
    zone.add_snapshot_thread(told(20))
    zone.end_snapshot()
    feed(zone, opened(20, 5, "/y"))  # what was to be removed is of another life
    assert sorted(zone.threads) == [20] and not zone.users.users and zone.boot_epoch == 5


@pytest.mark.parametrize(
    ("facts", "name", "limit"),
    [
        ({"args": b"a\0" * MAX_ARGS}, "args", MAX_ARGS),
        ({"env": b"a\0" * MAX_ENV}, "env", MAX_ENV),
        ({"exe": b"a" * 9000}, "exe", MAX_RAW_PATH),
        ({"exepath": b"a" * 9000}, "exepath", MAX_RAW_PATH),
        ({"root": b"a" * 9000}, "root", MAX_PATH),
        ({"cwd": b"/" + b"a" * 9000}, "cwd", MAX_PATH),
    ],
)
def test_texts_are_cut_at_their_limits(facts: dict[str, object], name: str, limit: int) -> None:
    zone = zone_of(told(10, None, 1, **facts))
    value = getattr(thread_of(zone, 10), name)
    assert len(value if isinstance(value, bytes) else value.raw) <= limit
    assert zone.counters.text_truncated == 1


def test_a_process_has_at_most_4096_files() -> None:
    zone = zone_of(told(10, fds=[told_fd(number, t.SCAP_FD_FILE, name=b"/x") for number in range(MAX_FDS + 5)]))
    assert len(files_of(zone, 10)) == MAX_FDS and zone.counters.fds_refused == 5


def test_threads_beyond_what_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    if not threadtable.__file__.endswith(".py"):
        pytest.skip("constants are compiled in")
    monkeypatch.setattr(threadtable, "MAX_THREADS", 2)
    zone = zone_of(told(1, ptid=0), told(10, fds=[told_fd(3, t.SCAP_FD_FIFO)]), told(20, fds=[told_fd(3, t.SCAP_FD_FIFO)]))
    assert list(zone.threads) == [1, 10] and zone.counters.threads_refused == 1 and zone.table.fd_budget.entries == 1
    zone = zone_of(told(1, ptid=0), boot_epoch=5)
    assert list(zone.threads) == [1]


def test_a_pidfd_of_no_process() -> None:
    zone = zone_of(told(1, ptid=0, fds=[told_fd(3, t.SCAP_FD_PIDFD, pid=7), told_fd(4, t.SCAP_FD_PIDFD)]))
    assert (fd_of(zone, 1, 3).pid, fd_of(zone, 1, 4).pid) == (7, 0)
