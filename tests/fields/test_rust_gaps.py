"""Mistakes of Edera's own plugin that fields must not repeat: one test for each of its faults B1 to B63 that concerns what is extracted,
named after it; those that concern state alone are in tests/state/test_rust_gaps.py. The values are what libsinsp printed.
"""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.scap.event import Event
from edera_falcod.state.zone import ZoneState

from ..state.support import (
    LOOPBACK6,
    SECOND,
    START,
    cloned,
    event,
    executed,
    inet,
    inet6_tuple,
    inet_tuple,
    opened,
    small_zone,
    told,
    told_fd,
    unix_tuple,
    zone_of,
)
from .watch import Watch


def seen(*events: Event, zone: ZoneState | None = None) -> Watch:
    return Watch(zone if zone is not None else small_zone()).see(*events)


def values(watch: Watch, *forms: str) -> list[object]:
    return [watch.value(form) for form in forms]


def socket(number: int, domain: int = t.PPM_AF_INET, kind: int = 1) -> Event:
    return event(t.PPME_SOCKET_SOCKET_X, 20, fd=number, domain=domain, type=kind, proto=0, flags=0)


def connect(number: int, data: bytes) -> Event:
    return event(t.PPME_SOCKET_CONNECT_X, 20, res=0, tuple=data, fd=number)


def test_b06_command_lines_are_joined_by_blanks() -> None:
    watch = seen(executed(10, args=["-c", "echo hi", ""], env=["A=1", "B=2"], cgroups=["cpu=/a", "memory=/b"]))
    assert watch.value("proc.args") == "-c echo hi "
    assert watch.value("proc.cmdline") == "prog -c echo hi "
    assert watch.value("proc.exeline") == "/bin/prog -c echo hi "
    assert watch.value("proc.env") == "A=1 B=2" and watch.value("thread.cgroups") == "cpu=/a memory=/b"
    watch.see(cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10))
    assert values(watch, "proc.pcmdline", "proc.acmdline[1]", "proc.aargs[1]", "proc.aenv[1]") == [
        "prog -c echo hi ", "prog -c echo hi ", "-c echo hi ", "A=1 B=2",
    ]  # fmt: skip


def test_b18_exits_count_and_abspath_is_the_files() -> None:
    watch = seen(event(t.PPME_SYSCALL_UNLINKAT_2_X, 10, res=0, dirfd=t.PPM_AT_FDCWD, name="../x", flags=0))
    assert values(watch, "evt.count.exit", "evt.abspath", "proc.cwd") == [1, "/x", "/home/"]
    watch.see(event(t.PPME_SIGNALDELIVER_E, 10, spid=1, dpid=10, sig=9))
    assert watch.value("evt.count.exit") is None and watch.value("evt.abspath") is None


def test_b19_standard_streams_have_types_and_names() -> None:
    zone = small_zone()
    watch = seen(socket(0), connect(0, inet_tuple("1.1.1.1", 5000, "9.9.9.9", 80)), zone=zone)
    assert values(watch, "proc.stdin.type", "proc.stdin.name", "proc.stdout.type") == ["ipv4", "1.1.1.1:5000->9.9.9.9:80", None]
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 10, uid=0))
    assert values(watch, "proc.stdout.type", "proc.stderr.name") == ["file", "/dev/pts/0"]


def test_b20_ancestors_without_an_index_are_all_but_oneself() -> None:
    zone = zone_of(told(1, ptid=0), told(10), told(11, ptid=10), told(12, ptid=11))
    watch = seen(event(t.PPME_SYSCALL_GETUID_X, 12, uid=0), zone=zone)
    assert watch.value("proc.aname") == "comm11 comm10 comm1"
    assert watch.value("proc.aexepath") == "/bin/exe11 /bin/exe10 /bin/exe1"
    assert values(watch, "proc.aname[0]", "proc.aname[1]", "proc.aname[3]", "proc.aname[4]") == ["comm12", "comm11", "comm1", None]


def test_b52_a_failed_open_has_the_name_that_was_asked_for() -> None:
    watch = seen(event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=-2, dirfd=t.PPM_AT_FDCWD, name="../etc/./shadow", flags=1))
    assert values(watch, "fd.num", "fd.name", "fd.directory", "fd.filename") == ["-1", "/etc/shadow", "/etc", None]
    # What old drivers send for a name that they could not read
    watch.see(event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=-2, dirfd=t.PPM_AT_FDCWD, name=b"(NULL)\0", flags=1))
    assert values(watch, "fd.name", "fd.nameraw") == ["/home/<NA>", "<NA>"]


def test_b54_names_of_sockets_are_those_of_libsinsp() -> None:
    watch = seen(socket(5), connect(5, inet_tuple("1.1.1.1", 5000, "9.9.9.9", 80)))
    assert watch.value("fd.name") == "1.1.1.1:5000->9.9.9.9:80"
    watch.see(socket(6, t.PPM_AF_INET6), connect(6, inet6_tuple(LOOPBACK6, 5000, LOOPBACK6, 80)))
    assert watch.value("fd.name") == "::1:5000->::1:80"
    watch.see(socket(7, t.PPM_AF_UNIX), connect(7, unix_tuple(0xFFFF888004A01B00, 0xAB, "/run/x.sock")))
    assert watch.value("fd.name") == "ffff888004a01b00->ab /run/x.sock"
    watch.see(socket(8), event(t.PPME_SOCKET_BIND_X, 20, res=0, addr=inet("0.0.0.0", 80), fd=8))
    assert values(watch, "fd.name", "fd.type") == ["0.0.0.0:80", "ipv4"]


def test_b55_ends_without_a_role_are_nobodys_and_local_is_by_address() -> None:
    zone = small_zone()
    zone.local_ips = frozenset([bytes([9, 9, 9, 9])])
    watch = seen(socket(5), zone=zone)
    assert values(watch, "fd.cip", "fd.sip", "fd.cport", "fd.sport") == [None] * 4
    watch.see(connect(5, inet_tuple("1.1.1.1", 5000, "9.9.9.9", 80)))
    assert values(watch, "fd.cip", "fd.sip", "fd.cport", "fd.sport") == ["1.1.1.1", "9.9.9.9", 5000, 80]
    assert values(watch, "fd.lip", "fd.rip", "fd.lport", "fd.rport") == ["9.9.9.9", "1.1.1.1", 80, 5000]
    assert values(watch, "fd.lproto", "fd.rproto") == ["80", "5000"]


def test_b56_protocols_are_numbers_of_ports() -> None:
    watch = seen(socket(5), connect(5, inet_tuple("1.1.1.1", 5000, "9.9.9.9", 80)))
    assert values(watch, "fd.sproto", "fd.cproto", "fd.l4proto") == ["80", "5000", "tcp"]


def test_b57_no_name_is_looked_up() -> None:
    watch = seen(socket(5), connect(5, inet_tuple("127.0.0.1", 5000, "127.0.0.1", 80)))
    assert values(watch, "fd.cip.name", "fd.sip.name", "fd.lip.name", "fd.rip.name") == [None] * 4


def test_b58_paths_are_of_successful_calls_resolved_and_normalised() -> None:
    watch = seen(event(t.PPME_SYSCALL_MKDIR_2_X, 10, res=-17, path="/x"))
    assert values(watch, "fs.path.name", "fs.path.nameraw") == [None, None]
    watch.see(opened(10, 7, "/var/log", t.PPM_O_DIRECTORY), event(t.PPME_SYSCALL_MKDIRAT_X, 10, res=0, dirfd=7, path="../a//b/./c"))
    assert values(watch, "fs.path.name", "fs.path.nameraw") == ["/var/a/b/c", "../a//b/./c"]
    watch.see(event(t.PPME_SYSCALL_FCHMOD_X, 10, res=0, fd=7, mode=1))
    assert watch.value("fs.path.name") == "/var/log"
    watch.see(event(t.PPME_SYSCALL_FCHOWN_X, 10, res=0, fd=7, uid=1, gid=1))
    assert watch.value("fs.path.name") == "/var/log"


def test_b59_lists_of_files_categories_and_missing_arguments() -> None:
    poll = (2).to_bytes(2, "little") + b"".join([fd.to_bytes(8, "little") + b"\x01\0" for fd in (0, 9)])
    watch = seen(event(t.PPME_SYSCALL_POLL_X, 10, res=1, fds=poll, timeout=5))
    assert values(watch, "fdlist.nums", "fdlist.names") == ["0,9", "/dev/pts/0,<NA>"]
    assert watch.value("evt.args") == "res=1 fds=0:f1 9:?1 timeout=5"
    assert watch.value("evt.arg.name") is None and watch.value("evt.arg[3]") is None
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=1, data=b"x", fd=0, size=1))
    assert values(watch, "evt.category", "evt.io_dir", "evt.arg.fd") == ["file", "read", "<f>/dev/pts/0"]
    watch.see(socket(5, t.PPM_AF_UNIX), event(t.PPME_SYSCALL_WRITE_X, 20, res=1, data=b"x", fd=5, size=1))
    assert values(watch, "evt.category", "evt.io_dir") == ["ipc", "write"]


@pytest.mark.parametrize(("args", "number", "length"), [([], 0, 0), (["-c", "a b"], 2, 5), (["", "x"], 2, 1)])
def test_b60_arguments_are_counted_as_they_are(args: list[str], number: int, length: int) -> None:
    assert values(seen(executed(10, args=args)), "proc.cmdnargs", "proc.cmdlenargs") == [number, length]


def test_b60_the_share_of_files_is_of_the_limit() -> None:
    zone = zone_of(told(1, ptid=0, fdlimit=0), told(10, fdlimit=8, fds=[told_fd(number, t.SCAP_FD_FIFO) for number in range(3)]))
    watch = seen(event(t.PPME_SYSCALL_GETUID_X, 10, uid=0), zone=zone)
    assert values(watch, "proc.fdopencount", "proc.fdlimit", "proc.fdusage") == [3, 8, 37]
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 1, uid=0))
    assert watch.value("proc.fdusage") == 0


def test_b61_a_tid_needs_no_entry() -> None:
    zone = small_zone()
    zone.num_cpus = 1
    watch = seen(*[event(t.PPME_SCHEDSWITCH_6_E, 999, ts=START + number * SECOND, next=1) for number in range(2)], zone=zone)
    assert values(watch, "thread.tid", "proc.pid") == [999, None]


def test_b62_groups_are_named_by_their_leaders() -> None:
    zone = zone_of(
        told(1, ptid=0, sid=1, pgid=1, vpgid=1), told(10, sid=10, pgid=10, vpgid=10), told(12, ptid=1, sid=10, pgid=10, vpgid=10)
    )
    watch = seen(event(t.PPME_SYSCALL_GETUID_X, 12, uid=0), zone=zone)
    assert values(watch, "proc.sname", "proc.pgid.name", "proc.vpgid.name", "proc.sid.exe") == ["comm10"] * 3 + ["exe10"]


def test_b63_lengths_need_a_file_and_errors_are_by_its_kind() -> None:
    watch = seen(event(t.PPME_SYSCALL_READ_X, 10, res=5, data=b"hello", fd=0, size=5))
    assert values(watch, "evt.buflen", "evt.buflen.file", "evt.buflen.file.in", "evt.buflen.net") == [5, 5, 5, None]
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=-5, data=b"", fd=0, size=5))
    assert values(watch, "evt.buflen", "evt.count.error", "evt.count.error.file", "evt.count.error.net") == [None, 1, 1, None]
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=5, data=b"hello", fd=99, size=5))
    assert values(watch, "evt.buflen", "evt.buflen.file") == [None, None]
    watch.see(socket(5), connect(5, b""))
    assert values(watch, "evt.count.error", "evt.count.error.net", "evt.count.error.file") == [0, 0, None]
