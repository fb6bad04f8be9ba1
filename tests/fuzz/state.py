"""Invariant: no sequence of well-formed events, whatever they say, raises out of a zone's state, makes its tables disagree, or goes beyond
its limits; and the zone can always be told as a snapshot that means the same."""

from __future__ import annotations

import struct
from collections.abc import Callable

from edera_falcod.scap import tables as t
from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import (
    EVENTS,
    PT_BYTEBUF,
    PT_CHARBUF,
    PT_CHARBUFARRAY,
    PT_ERRNO,
    PT_FD,
    PT_FDLIST,
    PT_FSPATH,
    PT_FSRELPATH,
    PT_PID,
    PT_SOCKADDR,
    PT_SOCKTUPLE,
)
from edera_falcod.state import limits
from edera_falcod.state.export import export_threads
from edera_falcod.state.registry import PARSERS
from edera_falcod.state.zone import ZoneState
from tests.fields.watch import Watch
from tests.state import invariants
from tests.state.captures import zone_from
from tests.state.support import WIDTHS, inet, inet6, inet6_tuple, inet_tuple, told, unix, unix_tuple

from .dice import EDGES, Dice

START = 1_700_000_000_000_000_000
TIDS = (1, 2, 3, 4, 5, 6, 7, 100, 0, (1 << 64) - 1, 1 << 62, 1 << 63)
NUMBERS = (0, 1, 2, 3, 4, 5, 1023, (1 << 64) - 1, (1 << 64) - 100, 1 << 31)
TEXTS = (b"/", b"a", b"../..", b"/etc/passwd", b"//x/./y/../z", b"", b"\xff\xfe", b"\x1b[2J\n\0x", b"d" * 300, b"A=1", b"\xed\xa0\x80")
PARSED = tuple(code for code in range(len(EVENTS)) if PARSERS[code] is not None and not EVENTS[code].old)
CODES = PARSED + tuple(code for code in range(len(EVENTS)) if code not in PARSED)
TUPLES = (b"", inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), inet6_tuple(bytes(16), 1, bytes(15) + b"\1", 2), unix_tuple(1, 2, "/s"), b"\2\1")
SOCKETS = (b"", inet("1.1.1.1", 2), inet6(bytes(16), 2), unix("/s"), b"\x02", b"\x63x")
LONGEST = 200  # events: more of them make inputs slow, not better
EVERY = 8  # events between looks at the whole zone, which cost as much as four; what is wrong mostly stays wrong, and inputs end anywhere


def corpus() -> list[bytes]:
    """Every kind of event once, in blocks of twelve that meet the same few threads; and a process's life, whole and in parts."""
    steps = [bytes([1]) + (index).to_bytes(2, "little") + bytes([index % 7, index % 5] * 24) for index in range(len(PARSED))]
    told = life()
    calls = [call(code, *ends) for code in PARSED for ends in ((3, b"", b""), (5, TUPLES[1], SOCKETS[1]), (0, TUPLES[3], SOCKETS[3]))]
    return [
        *[b"".join(steps[at : at + 12]) for at in range(0, len(steps), 12)],
        *[b"".join(told[at : at + 5]) for at in range(0, len(told), 5)],
        *[b"".join(told[:10] + calls[at : at + 12]) for at in range(0, len(calls), 12)],
        b"".join(told),
    ]


def step(code: int, tid: int, cpu: int = 0, /, **values: int | bytes) -> bytes:
    """An event as ``drawn`` reads it; a parameter that is not given is 0 or empty."""
    out = [b"\0", CODES.index(code).to_bytes(2, "little"), bytes([TIDS.index(tid), cpu])]
    for param in EVENTS[code].params:
        out += [b"\0", _choice(param.type, values.pop(param.name.decode(), None))]
    assert not values
    return b"".join(out)


def _choice(kind: int, value: int | bytes | None) -> bytes:
    """What makes ``parameter`` choose ``value``."""
    if kind in (PT_CHARBUFARRAY, PT_FDLIST):
        return b"\0"
    if isinstance(value, bytes) and kind == PT_BYTEBUF:
        return bytes([len(value)]) + value
    if isinstance(value, bytes):
        return bytes([{PT_SOCKTUPLE: TUPLES, PT_SOCKADDR: SOCKETS}.get(kind, TEXTS).index(value)])
    if kind in (PT_CHARBUF, PT_FSPATH, PT_FSRELPATH):
        return bytes([TEXTS.index(b"")])
    if kind in (PT_BYTEBUF, PT_SOCKTUPLE, PT_SOCKADDR):
        return b"\0"
    if kind in (PT_FD, PT_ERRNO, PT_PID):
        return bytes([(TIDS if kind == PT_PID else NUMBERS).index(value or 0)])
    return b"\0" + (value or 0).to_bytes(4, "little")


def call(code: int, fd: int, ends: bytes, address: bytes) -> bytes:
    """A system call of process 100 that succeeds, about its file ``fd``."""
    kinds: dict[int, int | bytes] = {
        PT_FD: fd, PT_PID: 100, PT_CHARBUF: b"/", PT_FSPATH: b"/etc/passwd", PT_FSRELPATH: b"a", PT_BYTEBUF: b"x", PT_SOCKTUPLE: ends,
        PT_SOCKADDR: address,
    }  # fmt: skip
    names = {param.name.decode(): param.type for param in EVENTS[code].params}
    return step(code, 100, **{name: 0 if name == "res" else kinds.get(kind, 1) for name, kind in names.items()})


def life() -> list[bytes]:
    """A process that is born, runs a program, opens files, has a thread and a child, and exits while they live."""
    born = {"exe": b"/etc/passwd", "comm": b"a", "cwd": b"/", "args": b"x\0y\0", "cgroups": b"cpuset=/a\0"}
    thread = t.PPM_CL_CLONE_THREAD | t.PPM_CL_CLONE_FILES
    return [
        step(t.PPME_SYSCALL_CLONE_20_X, 2, res=100, tid=2, pid=2, ptid=1, vtid=2, vpid=2, **born),
        step(t.PPME_SYSCALL_CLONE_20_X, 100, tid=100, pid=100, ptid=2, vtid=100, vpid=100, **born),
        step(t.PPME_SYSCALL_EXECVE_19_X, 100, tid=100, pid=100, ptid=2, env=b"A=1\0", filename=b"/etc/passwd", **born),
        step(t.PPME_SYSCALL_OPENAT_2_X, 100, fd=3, dirfd=(1 << 64) - 100, name=b"../..", flags=1, ino=7),
        step(t.PPME_SYSCALL_PIPE2_X, 100, fd1=1, fd2=2, ino=8),
        step(t.PPME_SYSCALL_DUP3_X, 100, res=4, oldfd=3, newfd=4),
        step(t.PPME_SOCKET_SOCKET_X, 100, fd=5, domain=2, type=1),
        step(t.PPME_SOCKET_CONNECT_X, 100, tuple=TUPLES[1], fd=5, addr=SOCKETS[1]),
        step(t.PPME_SOCKET_SOCKET_X, 100, fd=0, domain=1, type=1),
        step(t.PPME_SOCKET_RECVMSG_X, 100, fd=0, size=1, tuple=TUPLES[3], msgcontrol=struct.pack("<QIII", 20, 1, 1, 4)),
        step(t.PPME_SYSCALL_CHDIR_X, 100, path=b"//x/./y/../z"),
        step(t.PPME_SYSCALL_CLONE_20_X, 100, res=1 << 62, flags=thread, tid=100, pid=100, ptid=2, vtid=100, vpid=100, **born),
        step(t.PPME_SYSCALL_CLONE_20_X, 1 << 62, flags=thread, tid=1 << 62, pid=100, ptid=2, vtid=1 << 62, vpid=100, **born),
        step(t.PPME_SYSCALL_OPENAT_2_X, 1 << 62, fd=0, dirfd=3, name=b"a", ino=9),
        step(t.PPME_SYSCALL_FORK_20_X, 1 << 62, res=7, tid=1 << 62, pid=100, ptid=2, vtid=1 << 62, vpid=100, **born),
        step(t.PPME_SYSCALL_FORK_20_X, 7, tid=7, pid=7, ptid=100, vtid=7, vpid=7, **born),
        step(t.PPME_SYSCALL_CLOSE_X, 7, fd=3),
        step(t.PPME_PROCEXIT_1_E, 100, reaper_tid=1),
        step(t.PPME_SYSCALL_DUP3_X, 7, res=0, oldfd=4),
        step(t.PPME_PROCEXIT_1_E, 1 << 62, reaper_tid=1),
        step(t.PPME_USER_ADDED_E, 1, uid=3, gid=4, name=b"a", home=b"/"),
        step(t.PPME_SCHEDSWITCH_6_E, 7, 1, next=1),
    ]


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def parameter(dice: Dice, kind: int) -> bytes:
    if dice.below(16) == 15:
        return dice.blob()
    if kind in (PT_CHARBUF, PT_FSPATH, PT_FSRELPATH):
        return dice.pick(TEXTS) + b"\0"
    if kind == PT_CHARBUFARRAY:
        return b"".join(dice.pick(TEXTS) + b"\0" for _ in range(dice.below(4)))
    if kind == PT_BYTEBUF:
        return dice.blob()
    if kind == PT_SOCKTUPLE:
        return dice.pick(TUPLES)
    if kind == PT_SOCKADDR:
        return dice.pick(SOCKETS)
    if kind == PT_FDLIST:
        count = dice.below(4)
        return count.to_bytes(2, "little") + b"".join(dice.pick(NUMBERS).to_bytes(8, "little") + b"\1\0" for _ in range(count))
    if kind in (PT_FD, PT_ERRNO):
        number = dice.pick(NUMBERS)
    elif kind == PT_PID:
        number = dice.pick(TIDS)
    else:
        number = dice.pick(EDGES) if dice.below(2) else dice.number(4)
    width = WIDTHS.get(kind, 8)
    return (number & (1 << 8 * width) - 1).to_bytes(width, "little")


def drawn(dice: Dice, ts: int) -> Event:
    code = CODES[dice.number(2) % len(CODES)]
    tid = signed(dice.pick(TIDS))
    return Event(ts, tid, dice.below(4), code, [parameter(dice, param.type) for param in EVENTS[code].params])


def lasting(zone: ZoneState) -> set[int]:
    """Threads that are there beyond the next event: not those of which nothing is known, nor the dead, but for a main thread that exited
    before the others of its process. It keeps what is theirs, so it is told of; a snapshot cannot say that it is dead."""
    return {
        tid
        for tid, thread in zone.threads.items()
        if thread.group is not None and (not thread.is_dead() or (thread.is_main() and thread.group.alive > 0))
    }


def played(dice: Dice, check: Callable[[ZoneState], None]) -> ZoneState:
    """A zone to which the events of ``dice`` have happened, looked at by the way."""
    family = [told(1, ptid=0), told(2), told(3, ptid=2), told(4, pid=3, ptid=2), told(5, ptid=5), told(6, ptid=7), told(7, ptid=6)]
    watch = Watch(zone_from(family))
    zone = watch.zone
    now = START
    for number in range(LONGEST):
        if not dice.left:
            break
        now += (1000, 0, -5_000_000_000, 10**12)[dice.below(4) if dice.below(8) == 7 else 0]
        watch.see(drawn(dice, now & (1 << 63) - 1))
        if number % EVERY == 0:
            invariants.check(zone)
            check(zone)
    invariants.check(zone)
    check(zone)
    return zone


def within(zone: ZoneState) -> None:
    assert len(zone.threads) <= limits.MAX_THREADS


def one(data: bytes) -> None:
    zone = played(Dice(data), within)
    again = zone_from(tuple(export_threads(zone)))
    invariants.check(again)
    assert again.threads.keys() == lasting(zone)
    assert not any(thread.is_dead() for thread in again.threads.values())
