"""A capture as a zone's replies: the same events, chosen by system call, moved in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from edera_falcod.edera.control import MonitorZoneKernelEventReply
from edera_falcod.edera.frames import FrameSplitter
from edera_falcod.scap.capture import read_capture
from edera_falcod.scap.errors import CaptureError
from edera_falcod.scap.event import Event
from edera_falcod.scap.tables import (
    PPME_CPU_HOTPLUG_E,
    PPME_GENERIC_X,
    PPME_PROCEXIT_1_E,
    SYSCALL_EXIT_EVENTS,
    SYSCALL_NAMES,
)
from edera_falcod.scap.threads import SnapshotReader
from edera_falcod.scap.wire import parse_reply
from edera_falcod.sim.feed import Feed, choice

from .support import CAPTURE

ZONE = "664ab320-dfef-58c9-9f9e-0a2a3cdca899"


@pytest.fixture(scope="module")
def feed() -> Feed:
    return Feed(CAPTURE, ZONE)


def messages(data: bytes) -> list[bytes]:
    splitter = FrameSplitter()
    found = splitter.feed(data)
    splitter.end()
    assert splitter.fault is None
    return found


def event(data: bytes) -> Event:
    (message,) = messages(data)
    reply = parse_reply(message, 0, len(message))
    assert isinstance(reply, Event)
    return reply


def test_all_events_of_the_capture_come_as_they_are(feed: Feed) -> None:
    with open(CAPTURE, "rb") as stream:
        capture = read_capture(stream)
        recorded = list(capture.events())
    index, replies = feed.take(0, len(feed), None, 0, 1 << 60)
    assert index == len(feed) == len(replies) == len(recorded) == 12928
    for one, reply in zip(recorded, replies, strict=True):
        read = event(reply)
        assert (read.ts, read.tid, read.cpu, read.code, read.params) == (one.ts, one.tid, one.cpu, one.code, one.params)
    assert (feed.first, feed.last) == (recorded[0].ts, recorded[-1].ts)
    assert [interface.name for interface in feed.interfaces] == [b"lo", b"lo"]


def test_a_reply_is_what_the_generated_classes_read(feed: Feed) -> None:
    reply = MonitorZoneKernelEventReply().parse(messages(feed.event(100))[0])
    assert reply.syscall.zone_id == ZONE
    assert reply.syscall.event_name
    snapshot = MonitorZoneKernelEventReply().parse(messages(feed.snapshot())[0]).threadsnap
    assert len(snapshot.thread_info) == 13
    assert snapshot.zone_id == ZONE


@pytest.mark.parametrize("shift", [1, 10**9, 10**18, -(10**18), -1_795_000_000_000_000_000])
def test_times_are_moved_and_nothing_else(feed: Feed, shift: int) -> None:
    for index in range(0, len(feed), 997):
        plain, moved = event(feed.event(index)), event(feed.event(index, shift))
        if plain.ts + shift < 0:
            continue
        assert moved.ts == plain.ts + shift
        assert (moved.tid, moved.cpu, moved.code, moved.params) == (plain.tid, plain.cpu, plain.code, plain.params)


def test_the_times_of_a_snapshot_are_moved(feed: Feed) -> None:
    def boot(data: bytes) -> int:
        (message,) = messages(data)
        reply = parse_reply(message, 0, len(message))
        assert isinstance(reply, SnapshotReader)
        return reply.boot_epoch

    assert boot(feed.snapshot(5)) == boot(feed.snapshot()) + 5


def test_only_events_of_the_chosen_system_calls(feed: Feed) -> None:
    read = SYSCALL_NAMES.index(b"read")
    keys = choice((read,))
    _, replies = feed.take(0, len(feed), keys, 0, 1 << 60)
    codes = {event(reply).code for reply in replies}
    assert codes == {SYSCALL_EXIT_EVENTS[read]}
    everything = choice(range(len(SYSCALL_NAMES)))
    assert len(feed.take(0, len(feed), everything, 0, 1 << 60)[1]) == len(feed)
    assert choice(()) is None


def test_generic_events_are_chosen_by_their_system_call(feed: Feed) -> None:
    generic = [index for index in range(len(feed)) if event(feed.event(index)).code == PPME_GENERIC_X]
    code = int.from_bytes(event(feed.event(generic[0])).params[0], "little")
    _, replies = feed.take(0, len(feed), choice((code,)), 0, 1 << 60)
    assert {(event(reply).code, int.from_bytes(event(reply).params[0], "little")) for reply in replies} == {(PPME_GENERIC_X, code)}


def test_tracepoints_are_chosen_by_their_names(feed: Feed) -> None:
    _, replies = feed.take(0, len(feed), choice((SYSCALL_NAMES.index(b"sched_process_exit"),)), 0, 1 << 60)
    assert {event(reply).code for reply in replies} == {PPME_PROCEXIT_1_E}
    assert choice((10**6,)) == frozenset()


def test_hotplug(feed: Feed) -> None:
    hotplug = event(feed.hotplug(17))
    assert (hotplug.code, hotplug.ts, len(hotplug.params)) == (PPME_CPU_HOTPLUG_E, 17, 2)


def test_events_are_taken_by_size_and_time(feed: Feed) -> None:
    index, replies = feed.take(10, len(feed), None, 0, 1000)
    assert index == 10 + len(replies)
    assert sum(map(len, replies)) >= 1000 > sum(map(len, replies[:-1]))
    assert feed.until(0, feed.time(50)) > 50
    assert feed.until(0, feed.time(0) - 1) == 0


def test_a_limit_cuts_the_capture() -> None:
    assert len(Feed(CAPTURE, ZONE, limit=7)) == 7


def test_a_bad_capture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.scap").write_bytes(b"nonsense, not a capture")
    with pytest.raises(CaptureError):
        Feed(tmp_path / "bad.scap", ZONE)
    with pytest.raises(FileNotFoundError):
        Feed(tmp_path / "none.scap", ZONE)
