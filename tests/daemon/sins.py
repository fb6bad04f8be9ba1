"""What a zone sends that is fully compromised: everything wrong that can be well-formed, and then everything that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from edera_falcod.scap import tables as t
from edera_falcod.scap.capture import CaptureEvent
from edera_falcod.scap.event import Event
from edera_falcod.scap.recording import framed
from edera_falcod.scap.snapshot import SnapshotThread
from edera_falcod.sim.encode import Encoder
from edera_falcod.sim.host import MALFORMED
from tests.state.support import Value, event_of, inet6_tuple, told, told_fd

MARK = b"sinner"  # in every name that the zone makes up
YEAR_2262 = (1 << 63) - 1  # ns
DIRTY = MARK + b"\0\x1b[2J\xff\xfe\xed\xa0\x80\n" + "\u202e\ufffe".encode()
TIDS = (0, -1, -(1 << 63), (1 << 63) - 1, (1 << 32) - 1, 1 << 32, 1, 2)
BURST = 200  # events between looks at the clock

SINS = (
    "a huge snapshot", "endless files", "wrapping and negative ids", "parents in a circle", "dirty text", "forged zone ids",
    "times from 1970 to 2262", "threads that come and go", "system calls without a thread", "unknown events",
)  # fmt: skip


class Sinner:
    """``zone_id``: its own; ``victim``: whose id it forges into its messages."""

    def __init__(self, zone_id: str, victim: str) -> None:
        self._own = Encoder(zone_id)
        self._forged = Encoder(victim)
        self._numbers = count(1000)

    def _framed(self, event: Event, forged: bool = False) -> bytes:
        encoder = self._forged if forged else self._own
        return framed(encoder.event(CaptureEvent(event.ts, event.tid, event.cpu, event.code, 0, event.params)))

    def snapshot(self, threads: int = 20_000) -> bytes:
        """Threads whose parents go in circles, with ids at every edge, texts at their limits, and files without end."""
        found: list[SnapshotThread] = []
        for tid in range(1, threads):
            thread = told(tid, ptid=tid % 64 + 1, comm=DIRTY, cwd=b"/" + b"../" * 300 + MARK, root=b"\xff" * 200)
            if tid % 16 == 0:
                thread.args = (MARK + b"\0") * 200
                thread.env = b"A=" + b"x" * 2000
            found.append(thread)
        for tid in TIDS:
            found.append(told(tid, pid=-5, ptid=tid, exe=MARK))
        found[0].fds = [told_fd(number, t.SCAP_FD_FILE_V2, name=b"/" + MARK + b"/%d" % number) for number in range(-10, 5000)]
        return framed(self._own.snapshot(found, YEAR_2262))

    def burst(self, sin: str, ts: int) -> Iterator[bytes]:
        """BURST messages of one kind, or one snapshot."""
        if sin == "a huge snapshot":
            yield self.snapshot()
            return
        if sin == "unknown events":
            yield from [MALFORMED["event"]] * BURST
            return
        for step in range(BURST):
            number = next(self._numbers)
            yield self._message(sin, number, step, ts + 1000 * step)

    def _message(self, sin: str, number: int, step: int, ts: int) -> bytes:
        values: dict[str, Value]
        if sin == "endless files":
            values = {"fd": number, "dirfd": -100, "name": b"/" + MARK + b"/" + b"n" * 900 + b"%d\0" % number, "flags": 1}
            return self._framed(event_of(t.PPME_SYSCALL_OPENAT_2_X, 1 + step % 3, values, ts))
        if sin == "wrapping and negative ids":
            tid = TIDS[step % len(TIDS)]
            values = {"res": TIDS[-step % len(TIDS)], "exe": MARK + b"\0", "pid": tid, "ptid": -tid, "comm": DIRTY, "flags": 0xFFFFFFFF}
            return self._framed(event_of(t.PPME_SYSCALL_CLONE3_X, tid, {**values, "vtid": -1, "vpid": 1 << 62}, ts))
        if sin == "parents in a circle":
            values = {"res": 0, "exe": MARK + b"\0", "pid": 1 + step % 9, "ptid": 1 + (step + 1) % 9, "comm": MARK + b"\0"}
            return self._framed(event_of(t.PPME_SYSCALL_EXECVE_19_X, 1 + step % 9, {**values, "env": b"X=" + b"y" * 30_000}, ts))
        if sin == "dirty text":
            return self._framed(event_of(t.PPME_SYSCALL_CHDIR_X, 1, {"res": 0, "path": DIRTY * 20}, ts))
        if sin == "forged zone ids":
            values = {"fd": 3, "dirfd": -100, "name": b"/" + MARK + b"\0"}
            return self._framed(event_of(t.PPME_SYSCALL_OPENAT_2_X, 1, values, ts), forged=True)
        if sin == "times from 1970 to 2262":
            return self._framed(event_of(t.PPME_SYSCALL_CLOSE_X, 1, {"res": 0, "fd": 3}, (1, YEAR_2262, ts)[step % 3]))
        if sin == "threads that come and go":
            tid = 100_000 + number // 2
            if step % 2 == 0:
                values = {"res": 0, "exe": MARK + b"\0", "pid": tid, "ptid": 1, "comm": b"%d\0" % tid, "flags": 0, "vtid": tid, "vpid": tid}
                return self._framed(event_of(t.PPME_SYSCALL_CLONE3_X, tid, values, ts))
            return self._framed(event_of(t.PPME_PROCEXIT_1_E, tid, {"status": 0, "reaper_tid": tid}, ts))
        assert sin == "system calls without a thread"
        values = {"res": 0, "tuple": inet6_tuple(bytes(16), step, bytes(16), step), "fd": 3}
        return self._framed(event_of(t.PPME_SOCKET_CONNECT_X, 50_000_000 + number, values, ts))
