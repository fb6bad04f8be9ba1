"""What a simulated zone has to send: a capture encoded ahead, or a recording; replies with their gRPC prefixes."""

from __future__ import annotations

import gzip
import zlib
from bisect import bisect_left
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, Final, cast, final

from ..scap.capture import CaptureEvent, Interface, read_capture
from ..scap.errors import CaptureError, WireError
from ..scap.event import Event
from ..scap.recording import MAGIC, PREFIX, Recording, framed
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
from ..scap.wire import SnapshotReader, parse_reply
from .encode import Encoder, varint

# What tonic collects before it lets a stream's bytes go to HTTP/2, which cuts them into frames of 16 KiB.
TONIC_BUFFER: Final = 32 << 10

_SNAPSHOT: Final = b"\x1a"  # what a reply with a snapshot begins with
_GENERIC: Final = 1 << 16  # generic events are chosen by their system call: this, plus the PPM_SC code in their first parameter
_TRACEPOINTS: Final = {
    b"sched_process_exit": PPME_PROCEXIT_1_E,
    b"sched_switch": PPME_SCHEDSWITCH_6_E,
    b"page_fault_user": PPME_PAGE_FAULT_E,
    b"page_fault_kernel": PPME_PAGE_FAULT_E,
    b"signal_deliver": PPME_SIGNALDELIVER_E,
}


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


def _key(event: CaptureEvent | Event) -> int:
    if event.code in (PPME_GENERIC_E, PPME_GENERIC_X) and event.params:
        return _GENERIC | int.from_bytes(event.params[0][:2], "little")
    return event.code


DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile)


def unpacked(path: str | Path) -> BinaryIO:
    """The file, as if it were not gzip-compressed. Raises ``OSError``."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if packed else open(path, "rb")


def is_recording(path: str | Path) -> bool:
    """Whether the file begins as a recording does. Raises ``OSError``."""
    with unpacked(path) as stream:
        try:
            return stream.read(len(MAGIC)) == MAGIC
        except DAMAGED:
            return False  # the reader of captures says what is wrong


def playable(path: str | Path, zone_id: str, *, limit: int = 0) -> Playable:
    """The capture or recording in a file, as the zone ``zone_id`` sends it. Raises ``OSError`` and ``CaptureError``."""
    if not is_recording(path):
        return Feed(path, zone_id, limit=limit)
    try:
        with unpacked(path) as stream:
            return Recorded(stream, zone_id, limit=limit)
    except DAMAGED as error:
        raise CaptureError(0, f"the recording's compression is damaged: {error}") from None


class Playable:
    """What a zone has to send. ``interfaces``: its own. ``first``, ``last``: ns, times of the first and the last event. ``events``: how
    many there are. ``recorded``: these are the bytes that a zone has sent."""

    recorded = False

    def __init__(self, zone_id: str) -> None:
        self.encoder = Encoder(zone_id)
        self.interfaces: list[Interface] = []
        self.boot_epoch = 0
        self._zone_id = zone_id
        self._replies: list[bytes] = []
        self._times: list[int] = []
        self._keys: list[int] = []

    def __len__(self) -> int:
        return len(self._replies)

    @property
    def events(self) -> int:
        return len(self._replies)

    @property
    def first(self) -> int:
        return self._times[0] if self._times else 0

    @property
    def last(self) -> int:
        return self._times[-1] if self._times else 0

    def snapshot(self, shift: int = 0) -> bytes:
        """The snapshot, framed; ``shift``: ns added to its times."""
        raise NotImplementedError

    def snapshot_at(self, index: int, shift: int) -> bytes:
        """The snapshot that a stream begins with which goes on at ``index``."""
        return self.snapshot(shift)

    def snapshots(self, start: int, end: int) -> int:
        """How many of these replies are snapshots."""
        return 0

    def event(self, index: int, shift: int = 0) -> bytes:
        """The reply ``index``, framed; ``shift``: ns added to its time."""
        raise NotImplementedError

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


@final
class Feed(Playable):
    """A capture as the zone sends it. ``limit``: events that are taken of it, 0: all. Raises ``OSError`` and ``CaptureError``."""

    def __init__(self, capture: str | Path, zone_id: str, *, limit: int = 0) -> None:
        super().__init__(zone_id)
        self._head = len(b"\x0a" + varint(len(zone_id)) + zone_id.encode() + b"\x10")  # of an event, up to its time
        with open(capture, "rb") as stream:
            read = read_capture(stream)
            self.interfaces = read.interfaces
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

    def snapshot(self, shift: int = 0) -> bytes:
        """The snapshot, framed; ``shift``: ns added to its times."""
        return framed(Encoder(self._zone_id, shift=shift).snapshot(self._threads, self.boot_epoch))

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


@final
class Recorded(Playable):
    """What a zone has sent, byte for byte as long as it is played in its own time. ``cut``: the recording was cut off."""

    recorded = True

    def __init__(self, stream: BinaryIO, zone_id: str, *, limit: int = 0) -> None:
        super().__init__(zone_id)
        recording = Recording(stream)
        self.interfaces = _interfaces(recording.addresses)
        self._snapshots: list[int] = [-1]  # places in the sequence of those behind the first
        self._first = b""
        last = 0
        for reply in recording.replies():
            if not self._first:
                self._first = reply
                continue
            if limit and self.events >= limit:
                break
            last, key = _read(reply, last)
            if reply[:1] == _SNAPSHOT:
                self._snapshots.append(len(self._replies))
            self._replies.append(framed(reply))
            self._times.append(last)
            self._keys.append(key)
        self.cut = recording.cut
        if self._first[:1] != _SNAPSHOT:
            raise CaptureError(0, "the recording does not begin with a snapshot")

    @property
    def events(self) -> int:
        return len(self._replies) - len(self._snapshots) + 1

    def snapshot(self, shift: int = 0) -> bytes:
        return self._shifted(self._first, shift)

    def snapshot_at(self, index: int, shift: int) -> bytes:
        at = self._snapshots[bisect_left(self._snapshots, index) - 1] if index > 0 else -1
        return self.snapshot(shift) if at < 0 else self.event(at, shift)

    def snapshots(self, start: int, end: int) -> int:
        return bisect_left(self._snapshots, end) - bisect_left(self._snapshots, start)

    def event(self, index: int, shift: int = 0) -> bytes:
        reply = self._replies[index]
        return self._shifted(reply[PREFIX:], shift) if shift else reply

    def _shifted(self, reply: bytes, shift: int) -> bytes:
        """The reply with later times; one that cannot be read stays as it is."""
        if not shift:
            return framed(reply)
        try:
            found = parse_reply(reply, 0, len(reply))
            if isinstance(found, Event):
                return framed(self.encoder.event(CaptureEvent(found.ts + shift, found.tid, found.cpu, found.code, 0, found.params)))
            threads: list[SnapshotThread] = []
            while (thread := found.next_thread()) is not None:
                threads.append(thread)
            return framed(Encoder(self._zone_id, shift=shift).snapshot(threads, found.boot_epoch))
        except WireError:
            return framed(reply)


def _read(reply: bytes, last: int) -> tuple[int, int]:
    """When it is due, and what it is chosen by; a reply that is no event comes with the one before and is always chosen."""
    try:
        found = parse_reply(reply, 0, len(reply))
    except WireError:
        return last, -1
    return (last, -1) if isinstance(found, SnapshotReader) else (max(found.ts, last), _key(found))


def _interfaces(texts: list[str]) -> list[Interface]:
    found: list[Interface] = []
    for text in texts:
        try:
            packed = ip_address(text.partition("/")[0]).packed
        except ValueError:
            continue
        found.append(Interface(b"eth0", packed, b"\xff" * len(packed)))
    return found
