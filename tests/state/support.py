"""Events and zones made by hand: values by the types of the event table, so that a test says ``event(CODE, tid, res=3, name="/x")``."""

from __future__ import annotations

import struct

import pytest

from edera_falcod.scap import tables
from edera_falcod.scap.event import Event
from edera_falcod.scap.snapshot import SnapshotFd, SnapshotThread
from edera_falcod.state import fdtable, threadtable
from edera_falcod.state.export import export_threads
from edera_falcod.state.fd import Fd
from edera_falcod.state.fdtable import FdTable
from edera_falcod.state.registry import PARSERS
from edera_falcod.state.thread import Thread
from edera_falcod.state.zone import ZoneState
from tests.scap.plain import plain

Value = int | str | bytes | list[str]

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND

LOOPBACK6 = bytes(15) + b"\1"

WIDTHS = {
    tables.PT_INT8: 1, tables.PT_UINT8: 1, tables.PT_FLAGS8: 1, tables.PT_ENUMFLAGS8: 1, tables.PT_SIGTYPE: 1,
    tables.PT_INT16: 2, tables.PT_UINT16: 2, tables.PT_FLAGS16: 2, tables.PT_ENUMFLAGS16: 2,
    tables.PT_INT32: 4, tables.PT_UINT32: 4, tables.PT_FLAGS32: 4, tables.PT_ENUMFLAGS32: 4, tables.PT_UID: 4, tables.PT_GID: 4,
    tables.PT_MODE: 4,
}  # fmt: skip

_clock = START


def encoded(kind: int, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return b"".join(item.encode() + b"\0" for item in value)
    if isinstance(value, str):
        return value.encode() + b"\0"
    width = WIDTHS.get(kind, 8)
    return (value & ((1 << (8 * width)) - 1)).to_bytes(width, "little")


def event(code: int, tid: int, ts: int = 0, cpu: int = 0, **values: Value) -> Event:
    """An event of this type; a parameter that is not named is empty. ``ts`` 0: a microsecond after the one before."""
    return event_of(code, tid, values, ts, cpu)


def event_of(code: int, tid: int, values: dict[str, Value], ts: int = 0, cpu: int = 0) -> Event:
    """The same with the parameters in a dictionary."""
    global _clock
    values = dict(values)
    if ts == 0:
        _clock += 1000
        ts = _clock
    else:
        _clock = ts
    info = tables.EVENTS[code]
    assert not info.old, info.code_name
    params = []
    for param in info.params:
        name = param.name.decode()
        params.append(encoded(param.type, values.pop(name)) if name in values else b"")
    assert not values, f"{info.code_name} has no {sorted(values)}"
    return Event(ts, tid, cpu, code, params)


def inet(ip: str, port: int) -> bytes:
    """A PT_SOCKADDR of IPv4."""
    return bytes([2]) + bytes(int(part) for part in ip.split(".")) + struct.pack("<H", port)


def inet_tuple(sip: str, sport: int, dip: str, dport: int) -> bytes:
    return inet(sip, sport) + inet(dip, dport)[1:]


def inet6(ip: bytes, port: int) -> bytes:
    return bytes([10]) + ip + struct.pack("<H", port)


def inet6_tuple(sip: bytes, sport: int, dip: bytes, dport: int) -> bytes:
    return inet6(sip, sport) + inet6(dip, dport)[1:]


def mapped(ip: str) -> bytes:
    return bytes(10) + b"\xff\xff" + bytes(int(part) for part in ip.split("."))


def unix(path: str) -> bytes:
    return b"\x01" + path.encode() + b"\0"


def unix_tuple(source: int, dest: int, path: str) -> bytes:
    return b"\x01" + struct.pack("<QQ", source, dest) + path.encode() + b"\0"


def told(tid: int, pid: int | None = None, ptid: int = 1, **facts: object) -> SnapshotThread:
    """A thread of a snapshot."""
    thread = SnapshotThread(tid)
    thread.pid = tid if pid is None else pid
    thread.ptid = ptid
    thread.vtid = tid
    thread.vpid = thread.pid
    thread.comm = b"comm%d" % tid
    thread.exe = b"exe%d" % tid
    thread.exepath = b"/bin/exe%d" % tid
    thread.cwd = b"/home"
    thread.fdlimit = 1024
    for name, value in facts.items():
        assert hasattr(thread, name), name
        setattr(thread, name, value)
    return thread


def told_fd(number: int, kind: int, **facts: object) -> SnapshotFd:
    fd = SnapshotFd(number)
    fd.kind = kind
    for name, value in facts.items():
        assert hasattr(fd, name), name
        setattr(fd, name, value)
    return fd


def zone_of(*threads: SnapshotThread, boot_epoch: int = 0) -> ZoneState:
    zone = ZoneState()
    zone.begin_snapshot(boot_epoch)
    for thread in threads:
        zone.add_snapshot_thread(thread)
    zone.end_snapshot()
    return zone


def small_zone() -> ZoneState:
    """init (1), a shell (10) with a terminal on 0 to 2, a server process (20) with threads 21 and 22."""
    terminal = [told_fd(number, tables.SCAP_FD_FILE_V2, name=b"/dev/pts/0") for number in range(3)]
    return zone_of(
        told(1, ptid=0, sid=1, pgid=1, vpgid=1),
        told(10, sid=10, pgid=10, vpgid=10, tty=34816, fds=terminal, env=b"A=1\0B=2\0", args=b"-i\0", root=b"/"),
        told(20, sid=20, pgid=20, vpgid=20),
        told(21, pid=20, sid=20, pgid=20, vpgid=20),
        told(22, pid=20, sid=20, pgid=20, vpgid=20),
    )


def thread_of(zone: ZoneState, tid: int) -> Thread:
    thread = zone.find_thread(tid)
    assert thread is not None, tid
    return thread


def files_of(zone: ZoneState, tid: int) -> FdTable:
    files = zone.fd_table(thread_of(zone, tid))
    assert files is not None
    return files


def fd_of(zone: ZoneState, tid: int, number: int) -> Fd:
    fd = zone.find_fd(thread_of(zone, tid), number)
    assert fd is not None, (tid, number)
    return fd


def has_fd(zone: ZoneState, tid: int, number: int) -> bool:
    return zone.find_fd(thread_of(zone, tid), number) is not None


def feed(zone: ZoneState, *events: Event) -> None:
    for one in events:
        zone.apply(one)


def quiet(zone: ZoneState, tid: int = 10) -> None:
    """An event that changes nothing, so that what the one before left to be done is done."""
    zone.apply(event(tables.PPME_SYSCALL_GETUID_X, tid, uid=0))


# What the tests say most often


def opened(tid: int, number: int, name: str, flags: int = tables.PPM_O_RDONLY, dirfd: int = tables.PPM_AT_FDCWD) -> Event:
    return event(tables.PPME_SYSCALL_OPENAT_2_X, tid, fd=number, dirfd=dirfd, name=name, flags=flags, dev=0x801, ino=7)


def closed(tid: int, number: int, res: int = 0) -> Event:
    return event(tables.PPME_SYSCALL_CLOSE_X, tid, res=res, fd=number)


def cloned(
    code: int, tid: int, res: int, pid: int, ptid: int, flags: int = 0, comm: str = "child", ts: int = 0, **values: Value
) -> Event:
    """One side of a clone: the child's if ``res`` is 0."""
    everything: dict[str, Value] = {
        "exe": "/bin/child", "args": ["-c", "x"], "fdlimit": 1024, "pgft_maj": 1, "pgft_min": 2, "vm_size": 100, "vm_rss": 50,
        "vm_swap": 0, "cgroups": ["cpu=/a"], "uid": 5, "gid": 6, "vtid": tid, "vpid": pid, "pidns_init_start_ts": 0,
    }  # fmt: skip
    everything.update(values)
    everything.update({"res": res, "pid": pid, "ptid": ptid, "flags": flags, "comm": comm})
    return event_of(code, tid, everything, ts)


def executed(tid: int, pid: int = -1, ptid: int = 1, comm: str = "prog", ts: int = 0, **values: Value) -> Event:
    everything: dict[str, Value] = {
        "exe": "/bin/prog", "args": ["a", "b"], "fdlimit": 1024, "pgft_maj": 1, "pgft_min": 2, "vm_size": 100, "vm_rss": 50,
        "vm_swap": 0, "cgroups": ["cpu=/a"], "env": ["X=1"], "tty": 3, "vpgid": 7, "loginuid": 1000, "flags": 0,
        "cap_inheritable": 0, "cap_permitted": 1, "cap_effective": 1, "exe_ino": 99, "exe_ino_ctime": 5, "exe_ino_mtime": 6,
        "uid": 0, "trusted_exepath": "/usr/bin/prog", "pgid": 8, "gid": 0, "filename": "/bin/prog",
    }  # fmt: skip
    everything.update(values)
    everything.update({"res": 0, "pid": pid if pid >= 0 else tid, "ptid": ptid, "comm": comm})
    return event_of(tables.PPME_SYSCALL_EXECVE_19_X, tid, everything, ts)


def exited(tid: int, reaper: int = 0, ts: int = 0) -> Event:
    return event(tables.PPME_PROCEXIT_1_E, tid, ts=ts, status=0, ret=0, sig=0, core=0, reaper_tid=reaper)


# What every parser has to bear


def codes_of(module: str) -> list[int]:
    """The events that a module of ``state`` has parsers for."""
    return [code for code, parser in enumerate(PARSERS) if parser is not None and parser.__module__.endswith(f".{module}")]


def likely(code: int, tid: int, result: int = 5) -> Event:
    """An event with something in every parameter: 5 where it is a number, the result in the first."""
    global _clock
    _clock += 1000
    values: list[bytes] = []
    for param in tables.EVENTS[code].params:
        if param.type == tables.PT_SOCKTUPLE:
            values.append(inet_tuple("1.1.1.1", 1, "2.2.2.2", 2))
        elif param.type == tables.PT_SOCKADDR:
            values.append(inet("1.1.1.1", 1))
        elif param.type in (tables.PT_CHARBUF, tables.PT_FSPATH, tables.PT_FSRELPATH, tables.PT_BYTEBUF, tables.PT_CHARBUFARRAY):
            values.append(b"/x\0")
        else:
            values.append(encoded(param.type, 5 if values else result))
    return Event(_clock, tid, 0, code, values)


def everything(zone: ZoneState) -> list[object]:
    return [plain(thread) | {"fds": [plain(fd) for fd in thread.fds]} for thread in export_threads(zone)]


def check_stranger(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """An event of a thread for which the table has no room changes nothing of anybody else."""
    zone = small_zone()
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(zone.threads))
    before = everything(zone)
    for result in (5, 0, -1):
        feed(zone, likely(code, 777, result))
        assert zone.thread is None and zone.fd is None and not zone.doomed and not zone.closed
    assert everything(zone) == before


def check_without_main(code: int) -> None:
    """An event of a thread whose process's main thread is not known, so that it has no files."""
    zone = zone_of(told(1, ptid=0), told(10), told(23, pid=99))
    assert zone.fd_table(thread_of(zone, 23)) is None
    others = everything(zone)[:2]
    for result in (5, 0, -1):
        feed(zone, likely(code, 23, result))
        assert zone.fd is None
    quiet(zone, 1)
    assert everything(zone)[:2] == others and 99 not in zone.threads


def out_of_files(monkeypatch: pytest.MonkeyPatch) -> ZoneState:
    """The zone's budget of files is used up, and 30 is a child that shares the files of 10: what changes its own ones loses them."""
    zone = small_zone()
    feed(zone, cloned(tables.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10))
    monkeypatch.setattr(fdtable, "MAX_ZONE_FDS", zone.table.fd_budget.entries)
    return zone
