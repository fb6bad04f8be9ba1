"""What the interpreted core does in its own way: the bytes are those that the compiled one makes.

Most of it is records that are made of one that was made before.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.fields import cells, evt, evtargs, fspath, repeats
from edera_falcod.fields import record as record_module
from edera_falcod.fields.blocks import IDS
from edera_falcod.fields.record import Encoder
from edera_falcod.fields.repeats import Key, Repeat
from edera_falcod.fields.workload import Attribution, Workloads, host_block
from edera_falcod.scap import tables as t
from edera_falcod.scap.capture import read_capture
from edera_falcod.scap.event import Event
from edera_falcod.scap.safetext import COMPILED
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from edera_falcod.state.zone import ZoneState
from tests.state.support import event, small_zone, thread_of
from tests.support.core import of_capture

pytestmark = pytest.mark.skipif(COMPILED, reason="the compiled core looks up no records")

DATA = Path(__file__).parents[1] / "data"


class Kept(dict[Key, Repeat]):
    """Records that came twice. ``once``: those that came once. ``found``: how many were asked for and there."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0
        self.once: dict[Key, bytes] = {}

    def get(self, key: Key, default: object = None) -> Repeat | None:  # type: ignore[override]
        known = super().get(key)
        self.found += known is not None or key in self.once
        return known


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    kept = Kept()
    monkeypatch.setattr(repeats, "REPEATS", kept)
    monkeypatch.setattr(repeats, "ONCE", kept.once)
    return kept


class Pair:
    """One zone and two encoders, one of which works as compiled."""

    def __init__(self, zone: ZoneState) -> None:
        self.zone = zone
        workloads = Workloads(Attribution.CGROUP, host_block(IDS.next()))
        zone_block = host_block(IDS.next())
        self.ours = Encoder(1, zone, zone_block, workloads)
        self.other = Encoder(1, zone, zone_block, workloads)
        self.other._blocks = self.ours._blocks

    def see(self, *events: Event) -> None:
        """Both say the same of them."""
        for one in events:
            self.zone.apply(one)
            record = self.ours.encode(one)
            with pytest.MonkeyPatch.context() as patch:
                for module in (cells, evtargs, record_module):
                    patch.setattr(module, "COMPILED", True)
                other = self.other.encode(one)
            assert record.data == other.data and record.blocks == other.blocks
            assert (record.seq, record.zone, record.size, record.priority) == (0, 1, 0, other.priority)


@pytest.mark.parametrize("name", ["attack1", "net1", "procs1", "extra1"])
def test_records_of_a_capture(name: str, kept: Kept) -> None:
    with (DATA / f"{name}.scap").open("rb") as stream:
        core, replies = of_capture(read_capture(stream))
        pair = Pair(core.zone)
        count = 0
        for reply in replies:
            parsed = parse_reply(reply, 0, len(reply))
            if isinstance(parsed, SnapshotReader):
                core.seed(parsed)
            else:
                pair.see(parsed)
                count += 1
    assert kept.found > count // 10


CODES = [code for code in range(t.PPM_EVENT_MAX) if not t.EVENTS[code].old and not t.EVENTS[code].unused]
WIDE = st.sampled_from([bytes(8), b"\xff" * 8, b"\x9c" + b"\xff" * 7, b"\x03" + bytes(7)])
PARAM = WIDE | st.binary(max_size=12) | st.sampled_from([b"/a\0", b"rel/../a\0", b"\xff\0", b"a\x01\0", bytes(4), b"\x01\0"])


@given(st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from([10, 20, 22, 99]), st.lists(PARAM, max_size=32)), max_size=12))
def test_whatever_a_zone_sends(events: list[tuple[int, int, list[bytes]]]) -> None:
    pair = Pair(small_zone())
    ts = 1
    for code, tid, params in events * 2:
        ts += 1
        pair.see(Event(ts, tid, 0, code, params[: len(t.EVENTS[code].params)]))


def openat(path: bytes, fd: int = 3, dirfd: int = -100, tid: int = 10) -> Event:
    return event(t.PPME_SYSCALL_OPENAT_2_X, tid, fd=fd, dirfd=dirfd, name=path, flags=1, mode=0, dev=5, ino=6)


def read(fd: int, tid: int = 10) -> Event:
    return event(t.PPME_SYSCALL_READ_X, tid, res=1, data=b"x", fd=fd, size=1)


def test_the_same_again(kept: Kept) -> None:
    pair = Pair(small_zone())
    pair.see(openat(b"/a\0"), read(3), read(3), openat(b"/a\0"), openat(b"/a\0", -2), openat(b"/a\0", -2), read(3, 20))
    assert kept.found == 3 and len(kept) == 3 and not kept.once


def test_what_follows_from_more_than_the_parameters(kept: Kept) -> None:
    """Another file of that number, another directory to begin at, a file that is no longer there, another one than the event's."""
    pair = Pair(small_zone())
    pair.see(openat(b"/a\0"), read(3), openat(b"/b\0"), read(3))
    pair.see(event(t.PPME_SYSCALL_CLOSE_X, 10, res=0, fd=3), read(3), read(3))
    assert kept.found == 0
    pair.see(openat(b"rel\0", -2), event(t.PPME_SYSCALL_CHDIR_X, 10, res=0, path=b"/tmp\0"), openat(b"rel\0", -2))
    assert kept.found == 0
    pair.see(read(0, 20), openat(b"rel\0", -2, tid=20))  # it still is where the other was
    assert kept.found == 1
    pair.see(openat(b"/dir\0", 7), openat(b"rel\0", -2, 7), openat(b"/other\0", 7), openat(b"rel\0", -2, 7), openat(b"rel\0", 4, 7))
    pair.see(*[event(t.PPME_SYSCALL_DUP2_X, 10, res=new, oldfd=old, newfd=new) for old, new in ((0, 7), (0, 7), (4, 7), (7, 7))])
    assert kept.found == 1


def test_what_is_not_remembered(kept: Kept) -> None:
    """Events of threads of whom nothing is known; ones with fewer parameters than usual are."""
    pair = Pair(small_zone())
    pair.see(openat(b"/a\0", -2, tid=4711), openat(b"/a\0", -2, tid=4711))
    assert kept.found == 0 and not kept and not kept.once
    whole = openat(b"/a\0", -2)
    for _ in range(2):
        pair.see(Event(whole.ts, 10, 0, whole.code, whole.params[:1]))
    assert kept.found == 1


def test_sockets(kept: Kept) -> None:
    """What becomes of a socket is in its block, and this in what a record is remembered by."""
    pair = Pair(small_zone())
    socket = event(t.PPME_SOCKET_SOCKET_X, 10, fd=5, domain=2, type=1, proto=0)
    end = b"\x02\x0a\0\0\x01\x00\x04\x0a\0\0\x02\x50\x00"
    connect = event(t.PPME_SOCKET_CONNECT_X, 10, res=0, tuple=end, fd=5, addr=end[:7])
    pair.see(socket, read(5), connect, read(5), read(5))
    assert kept.found == 1


def test_what_changes_with_the_thread(kept: Kept) -> None:
    pair = Pair(small_zone())
    thread = thread_of(pair.zone, 10)
    pair.see(read(0))
    for number in (1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 0):
        thread.pfmajor = thread.pfminor = number
        thread.vmsize_kb = thread.vmrss_kb = thread.vmswap_kb = number & (1 << 63) - 1
        pair.see(read(0))
    for limit in (0, 1, 2, 3, -1):
        thread.fdlimit = limit
        pair.see(read(0))
    assert kept.found == 10
    thread.totexectime = 1
    pair.see(read(0))
    thread.totexectime = 0
    pair.zone.prev_ts = 0
    pair.see(read(0), event(t.PPME_SYSCALL_READ_X, 10, ts=5, res=1, data=b"x", fd=0, size=1))
    assert kept.found == 12


def test_memory_is_bounded(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, in what is made, and in what it was made of: bytes behind a NUL are shown nowhere."""
    pair = Pair(small_zone())
    monkeypatch.setattr(repeats, "MAX_REPEATS", 3)
    monkeypatch.setattr(repeats, "MAX_ONCE", 4)
    for number in range(10):
        pair.see(openat(b"/%d\0" % number, -2))
        assert 0 < len(kept.once) <= 4
    for number in range(10):
        pair.see(openat(b"/again%d\0" % number, -2), openat(b"/again%d\0" % number, -2))
        assert 0 < len(kept) <= 3
    kept.clear()
    kept.once.clear()
    pair.see(openat(b"/" + b"a" * 200 + b"\0", -2), openat(b"/a\0" + bytes(repeats.LONGEST), -2))
    thread_of(pair.zone, 10).cwd = b"/" + b"c" * repeats.LONGEST + b"/"
    pair.see(openat(b"a\0", -2))
    assert not kept and not kept.once


def test_what_is_remembered_is_all_that_counts() -> None:
    """Whatever else of an event type looks at a path or at a directory's fd, looks at a parameter of that kind."""
    for code, plan in enumerate(repeats.PLANS):
        if plan is None:
            continue
        looks = evt.PLANS[code]
        of_paths = [looks.path1, looks.path2, looks.handle]
        of_fds = [looks.dir1, looks.dir2]
        shown = fspath.PLANS[code]
        if shown is not None:
            of_paths += [one.index for one in (shown.name, shown.source, shown.target)]
            of_fds += [one.index - 1 for one in (shown.name, shown.source, shown.target) if one.base == fspath.BASE_PARAM]
        assert {index for index in of_paths if index >= 0} <= set(plan.paths), t.EVENTS[code].name
        assert {index for index in of_fds if index >= 0} <= set(plan.fds), t.EVENTS[code].name
