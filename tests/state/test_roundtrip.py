"""Seeding from a snapshot of ours, taken anywhere in a capture, then replaying the rest gives what the whole replay gives, for
all that a snapshot carries."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edera_falcod.scap import tables as t
from edera_falcod.state.export import export_threads
from edera_falcod.state.fd import OVERLAY_LOWER, OVERLAY_UPPER, ROLES, SOCKET_CONNECTED
from edera_falcod.state.thread import Thread
from edera_falcod.state.zone import ZoneState

from ..scap.plain import names
from .captures import capture, zone_from
from .support import closed, exited, fd_of, feed, opened, small_zone, thread_of, told, told_fd

AFTER = 1500  # events to compare behind the cut: differences show at once or stay

SOCKETS = (t.SCAP_FD_IPV4_SOCK, t.SCAP_FD_IPV6_SOCK, t.SCAP_FD_UNIX_SOCK)


def identity(zone: ZoneState, thread: Thread) -> dict[str, object]:
    """All of a thread that a snapshot carries, and what is worked out from it."""
    main = thread.main() or thread
    parent = zone.parent(thread)
    leaders = (zone.session_leader(thread), zone.pgid_leader(thread), zone.vpgid_leader(thread))
    return {
        "ids": (thread.tid, thread.pid, thread.ptid, thread.vtid, thread.vpid, thread.sid, thread.pgid, thread.vpgid),
        "program": (thread.comm, thread.exe, thread.exepath, thread.args.raw, main.env.raw, zone.cwd(thread), thread.root),
        "executable": (thread.exe_ino, thread.exe_ino_ctime, thread.exe_ino_mtime, thread.exe_writable, thread.exe_upper_layer,
                       thread.exe_lower_layer, thread.exe_from_memfd),
        "credentials": (thread.uid, thread.gid, thread.loginuid, thread.cap_permitted, thread.cap_effective, thread.cap_inheritable),
        "times": (thread.clone_ts, thread.pidns_init_start_ts),
        "memory": (thread.vmsize_kb, thread.vmrss_kb, thread.vmswap_kb, thread.pfmajor, thread.pfminor),
        "rest": (thread.tty, thread.cgroups.raw, main.fdlimit, thread.is_dead(), thread.is_invalid()),
        "parent": parent.tid if parent is not None else None,
        "lineage": [one.tid for one in zone.lineage(thread, 50)],
        "leaders": [one.tid if one is not None else None for one in leaders],
        "threads": (zone.nthreads(thread), zone.nchilds(thread)),
    }  # fmt: skip


def files(zone: ZoneState) -> dict[str, object]:
    """What fd.* fields have to say of the event."""
    thread = zone.thread
    assert thread is not None
    table = zone.fd_table(thread)
    fd = zone.fd
    said: dict[str, object] = {"count": len(table) if table is not None else -1, "number": zone.fd_num, "known": fd is not None}
    if fd is not None:
        said.update(kind=fd.kind, ino=fd.ino, dev=fd.dev, open_flags=fd.open_flags, connected=fd.flags & SOCKET_CONNECTED)
        said["layer"] = fd.flags & (OVERLAY_UPPER | OVERLAY_LOWER)
        # Not carried: names as programs gave them. The role of an IPv4 socket, and with it the order of its ends and its name, where
        # nobody listens on its port any more, as after the first message to a UDP server. What unix sockets' roles are, which
        # nothing shows. What is in a socket's memory beyond its view.
        if fd.kind not in SOCKETS:
            said["name"] = fd.name
        elif fd.kind == t.SCAP_FD_UNIX_SOCK:
            said["name"] = (fd.name, fd.source, fd.dest)
        else:
            said["name"] = sorted(((fd.sip, fd.sport), (fd.dip, fd.dport)))
        if fd.kind == t.SCAP_FD_IPV6_SOCK:
            said["role"] = fd.flags & ROLES
    return said


def shares_files(thread: Thread) -> bool:
    """Whether all threads of the process look at the same table. The child's side of clone3 may come without flags; libsinsp
    then takes a thread for a process with files of its own, while a snapshot tells whose thread it is."""
    group = thread.group
    if group is None:
        return False
    return all(one.tid == one.pid or one.flags & t.PPM_CL_CLONE_FILES for one in group.threads.values())


@pytest.mark.parametrize("name", ["net1", "attack1"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_property_any_cut(name: str, data: st.DataObject) -> None:
    threads, events = capture(name)
    cut = data.draw(st.integers(0, len(events) - 1))
    whole = zone_from(threads)
    feed(whole, *events[:cut])
    seeded = zone_from(export_threads(whole))
    seeded.ts = whole.ts
    odd: set[int] = set()
    for number, event in enumerate(events[cut : cut + AFTER], cut):
        whole.apply(event)
        seeded.apply(event)
        one, other = whole.thread, seeded.thread
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        assert identity(seeded, other) == identity(whole, one), f"event {number}"
        if not shares_files(one):
            odd.add(one.pid)
        if one.pid not in odd:
            assert files(seeded) == files(whole), f"event {number}"


def test_what_is_due_to_be_removed_is_not_exported() -> None:
    from .support import closed, exited

    zone = small_zone()
    feed(zone, opened(20, 3, "/x"), opened(20, 4, "/y"), closed(20, 3))
    again = zone_from(export_threads(zone))
    assert sorted(thread_of(again, 20).own_fds(again.table.fd_budget).fds) == [4]
    feed(zone, exited(10))
    assert 10 not in zone_from(export_threads(zone)).threads
    feed(zone, exited(20))
    assert 20 in zone_from(export_threads(zone)).threads  # its threads live
    feed(zone, *[exited(tid) for tid in list(thread_of(zone, 20).group.threads) if tid != 20])  # type: ignore[union-attr]
    assert zone.threads[20].is_dead() and 20 not in zone_from(export_threads(zone)).threads  # with the last of them it is gone


def test_the_export_of_an_import_is_the_same() -> None:
    zone = small_zone()
    feed(zone, opened(20, 3, "/x"))
    once = export_threads(zone)
    twice = export_threads(zone_from(once))
    for one, other in zip(once, twice, strict=True):
        for name in names(type(one)):
            if name not in ("fds", "flags"):
                assert getattr(one, name) == getattr(other, name), name
        assert [[getattr(fd, name) for name in names(type(fd)) if name != "state_flags"] for fd in one.fds] == [
            [getattr(fd, name) for name in names(type(fd)) if name != "state_flags"] for fd in other.fds
        ]
    assert fd_of(zone_from(twice), 20, 3).name == b"/x"


def test_every_kind_of_file_is_told_as_it_was() -> None:
    six = bytes(range(1, 17))
    files = [told_fd(kind, kind, ino=5, name=b"/name") for kind in range(t.SCAP_FD_FIFO, t.SCAP_FD_PIDFD)]
    fds = [fd for fd in files if fd.kind not in (*SOCKETS, t.SCAP_FD_IPV4_SERVSOCK, t.SCAP_FD_IPV6_SERVSOCK)]
    fds += [
        told_fd(40, t.SCAP_FD_IPV4_SOCK, sip=b"\1\1\1\1", dip=b"\2\2\2\2", sport=1, dport=2, l4proto=t.SCAP_L4_TCP),
        told_fd(41, t.SCAP_FD_IPV4_SOCK, sip=b"\1\1\1\1", dip=b"\2\2\2\2", sport=80, dport=2, l4proto=t.SCAP_L4_TCP),
        told_fd(42, t.SCAP_FD_IPV6_SOCK, sip=six, dip=six[::-1], sport=1, dport=2, l4proto=t.SCAP_L4_UDP),
        told_fd(43, t.SCAP_FD_IPV4_SERVSOCK, dip=b"\1\1\1\1", dport=80, l4proto=t.SCAP_L4_TCP),
        told_fd(44, t.SCAP_FD_IPV6_SERVSOCK, dip=six, dport=81, l4proto=t.SCAP_L4_TCP),
        told_fd(45, t.SCAP_FD_UNIX_SOCK, source=7, dest=8, name=b"/sock"),
        told_fd(46, t.SCAP_FD_PIDFD, pid=9, name=b"/proc/9"),
    ]
    zone = zone_from((told(1, ptid=0), told(10, fds=fds)))
    server = fd_of(zone, 10, 41)
    assert server.is_server() and server.sip == b"\2\2\2\2", "a server sees its client first"
    (_, thread) = export_threads(zone)
    facts = ("fd", "kind", "ino", "name", "sip", "dip", "sport", "dport", "l4proto", "source", "dest", "pid")
    assert [[getattr(fd, fact) for fact in facts] for fd in thread.fds] == [[getattr(fd, fact) for fact in facts] for fd in fds]


def test_of_whom_nothing_is_known_is_not_told() -> None:
    zone = small_zone()
    feed(zone, opened(999, 3, "/x"), opened(10, 5, "/x"), closed(10, 5))
    assert [thread.tid for thread in export_threads(zone)] == [1, 10, 20, 21, 22]
    assert [fd.fd for fd in export_threads(zone)[1].fds] == [0, 1, 2], "it is closed, though rules still see it"
    feed(zone, exited(21))
    assert [thread.tid for thread in export_threads(zone)] == [1, 10, 20, 22]
