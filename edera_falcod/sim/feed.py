"""What a simulated zone has to send: a capture, encoded ahead as replies with their gRPC prefixes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Final, final

from ..scap.capture import CaptureEvent, Interface, read_capture
from ..scap.snapshot import SnapshotThread
from ..scap.tables import (
    EVENTS,
    PPM_SC_MAX,
    PPME_CPU_HOTPLUG_E,
    PPME_GENERIC_E,
    PPME_GENERIC_X,
    PPME_PAGE_FAULT_E,
    PPME_PROCEXIT_1_E,
    PPME_SCHEDSWITCH_6_E,
    PPME_SIGNALDELIVER_E,
    SYSCALL_EXIT_EVENTS,
    SYSCALL_NAMES,
)
from .encode import Encoder, varint

# What tonic collects before it lets a stream's bytes go to HTTP/2, which cuts them into frames of 16 KiB.
TONIC_BUFFER: Final = 32 << 10

_GENERIC: Final = 1 << 16  # generic events are chosen by their system call: this, plus the PPM_SC code in their first parameter
_TRACEPOINTS: Final = {
    b"sched_process_exit": PPME_PROCEXIT_1_E,
    b"sched_switch": PPME_SCHEDSWITCH_6_E,
    b"page_fault_user": PPME_PAGE_FAULT_E,
    b"page_fault_kernel": PPME_PAGE_FAULT_E,
    b"signal_deliver": PPME_SIGNALDELIVER_E,
}


def framed(message: bytes) -> bytes:
    """A message with its gRPC prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _sources(code: int) -> frozenset[int]:
    """The keys of the events that a PPM_SC code makes."""
    if not 0 <= code < PPM_SC_MAX:
        return frozenset()
    tracepoint = _TRACEPOINTS.get(SYSCALL_NAMES[code])
    if tracepoint is not None:
        return frozenset((tracepoint,))
    event = SYSCALL_EXIT_EVENTS[code]
    if event in (PPME_GENERIC_E, PPME_GENERIC_X, -1):
        return frozenset((_GENERIC | code,))
    return frozenset((event, event & ~1))


# Events that no system call makes (hotplug, drops) come whatever was asked for.
_CHOSEN: Final = frozenset().union(*[_sources(code) for code in range(PPM_SC_MAX)])


def choice(syscalls: Iterable[int]) -> frozenset[int] | None:
    """The keys of the events that these PPM_SC codes make, None for no codes: everything."""
    keys = frozenset().union(*[_sources(code) for code in syscalls])
    return keys if syscalls else None


def _key(event: CaptureEvent) -> int:
    if event.code in (PPME_GENERIC_E, PPME_GENERIC_X) and event.params:
        return _GENERIC | int.from_bytes(event.params[0][:2], "little")
    return event.code


@final
class Feed:
    """A capture as the zone ``zone_id`` sends it. Raises ``OSError`` and ``CaptureError``.

    ``limit``: events that are taken of the capture, 0: all. ``interfaces``: of the capture. ``first``, ``last``: ns, times of the first
    and the last event.
    """

    def __init__(self, capture: str | Path, zone_id: str, *, limit: int = 0) -> None:
        self.encoder = Encoder(zone_id)
        self._zone_id = zone_id
        self._head = len(b"\x0a" + varint(len(zone_id)) + zone_id.encode() + b"\x10")  # of an event, up to its time
        self._replies: list[bytes] = []
        self._times: list[int] = []
        self._keys: list[int] = []
        with open(capture, "rb") as stream:
            read = read_capture(stream)
            self.interfaces: list[Interface] = read.interfaces
            self._threads: list[SnapshotThread] = read.threads
            self.boot_epoch = read.machine.boot_epoch
            for event in read.events():
                if limit and len(self._replies) >= limit:
                    break
                if EVENTS[event.code].old or EVENTS[event.code].unused:
                    continue  # of an old capture: no zone sends such events
                self._replies.append(framed(self.encoder.event(event)))
                self._times.append(event.ts)
                self._keys.append(_key(event))
        self.first = self._times[0] if self._times else 0
        self.last = self._times[-1] if self._times else 0

    def __len__(self) -> int:
        return len(self._replies)

    def snapshot(self, shift: int = 0) -> bytes:
        """The snapshot, framed; ``shift``: ns added to its times."""
        return framed(Encoder(self._zone_id, shift=shift).snapshot(self._threads, self.boot_epoch))

    def hotplug(self, ts: int, cpu: int = 1) -> bytes:
        """A CPU hotplug event, framed."""
        params = [cpu.to_bytes(4, "little"), (1).to_bytes(4, "little")]
        return framed(self.encoder.event(CaptureEvent(ts, 0, 0, PPME_CPU_HOTPLUG_E, 0, params)))

    def time(self, index: int) -> int:
        """ns, of the event ``index``."""
        return self._times[index]

    def until(self, start: int, ts: int) -> int:
        """The index of the first event from ``start`` on that is later than ``ts``, as far as times do not go back."""
        return bisect_left(self._times, ts + 1, start)

    def event(self, index: int, shift: int = 0) -> bytes:
        """The event ``index``, framed; ``shift``: ns added to its time."""
        reply = self._replies[index]
        if not shift:
            return reply
        # 5 bytes of prefix, then the tag and length of the event, then the part before the time.
        start = 6
        while reply[start] >= 0x80:
            start += 1
        start += 1
        body = reply[start : start + self._head] + varint(self._times[index] + shift)
        rest = start + self._head
        while reply[rest] >= 0x80:
            rest += 1
        body += reply[rest + 1 :]
        return framed(b"\x12" + varint(len(body)) + body)

    def take(self, start: int, end: int, keys: frozenset[int] | None, shift: int, size: int) -> tuple[int, list[bytes]]:
        """Events from ``start`` on, before ``end``, of those that are asked for, at least ``size`` bytes if there are so many; the
        index after the last that was looked at, and the events."""
        events: list[bytes] = []
        index = start
        while index < end and size > 0:
            if keys is None or self._keys[index] in keys or self._keys[index] not in _CHOSEN:
                event = self.event(index, shift)
                events.append(event)
                size -= len(event)
            index += 1
        return index, events
