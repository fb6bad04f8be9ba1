"""Records: their bytes, what they name, what they cost, and that nothing a zone sends makes the encoder fail."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.falco.frames import EVENT_HEAD, EVENT_HEAD_SIZE
from edera_falcod.fields import cells as cells_module
from edera_falcod.fields import evtargs, priority, record, slots
from edera_falcod.fields.blocks import IDS, make_block
from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.cells import Cells
from edera_falcod.fields.reader import value
from edera_falcod.fields.record import Encoder
from edera_falcod.fields.spec import Kind
from edera_falcod.fields.workload import Attribution, Workload, Workloads, host_block
from edera_falcod.scap import tables as t
from edera_falcod.scap.capture import read_capture
from edera_falcod.scap.event import Event
from edera_falcod.state.zone import ZoneState
from tests.state.support import event, small_zone, told, zone_of
from tests.support.core import of_capture

from .watch import Watch

DATA = Path(__file__).parents[1] / "data"


def test_head_is_the_protocols() -> None:
    cells = Cells()
    cells.text(slots.EDERA_ZONE_ID, b"z")
    zone_block = make_block(slots.KIND_ZONE, cells)
    watch = Watch(small_zone(), zone_block)
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=3, fd=0, size=3, data=b"abc"))
    record = watch.record
    assert (record.seq, record.zone, record.size) == (1, 7, 0)
    seq, ts, tid, *ids = EVENT_HEAD.unpack_from(record.item)
    assert (seq, tid) == (1, 10) and ts == watch.zone.ts
    named = {block.kind: block.id for block in record.blocks}
    kinds = (Kind.ETYPE, Kind.ZONE, Kind.THREAD, Kind.FD, Kind.FILES, Kind.WORKLOAD)
    assert ids == [named.get(kind, 0) for kind in kinds] and ids[1] == zone_block.id and ids[5] == 0
    assert watch.view.event.cell(slots.LINEAGE) == named[Kind.LINEAGE]
    words = struct.unpack_from("<I", record.item, EVENT_HEAD_SIZE)[0]
    assert words == 1, "what most events have fits one presence word"
    assert watch.value("edera.zone.id") == "z"


def test_an_event_without_thread_has_few_values() -> None:
    watch = Watch(small_zone())
    watch.see(event(t.PPME_DROP_E, 4711, ratio=2))
    assert {block.kind for block in watch.record.blocks} == {Kind.ETYPE}
    assert watch.value("proc.name") is None and watch.value("proc.aname") is None and watch.value("user.uid") is None
    assert watch.value("thread.exectime") == 0 and watch.value("thread.totexectime") is None and watch.value("thread.tid") == 4711
    assert watch.value("evt.type") == "drop" and watch.value("evt.is_io") is False and watch.value("fd.name_changed") is None


def test_hot_values_follow_the_thread() -> None:
    watch = Watch(zone_of(told(1, ptid=0), told(20, vmsize_kb=100, vmrss_kb=10, pfminor=3), told(21, pid=20, vmsize_kb=7)))
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 20, uid=0))
    assert (watch.value("proc.vmsize"), watch.value("thread.vmsize"), watch.value("thread.vmsize.b")) == (100, 100, 102400)
    assert (watch.value("proc.nthreads"), watch.value("proc.nchilds"), watch.value("thread.pfminor")) == (2, 1, 3)
    watch.see(event(t.PPME_SYSCALL_BRK_4_X, 21, res=0, vm_size=9, vm_rss=8, vm_swap=1, addr=0))
    assert [watch.value(form) for form in ("proc.vmsize", "proc.vmswap", "thread.vmsize", "thread.vmrss.b")] == [9, 1, 0, 0]
    assert watch.value("thread.ismain") is False and watch.value("thread.nametid") == "comm2121"
    assert watch.defined == [Kind.ETYPE, Kind.THREAD], "the main thread's lineage is this thread's too"


def test_a_process_of_which_no_file_is_known() -> None:
    watch = Watch(zone_of(told(1, ptid=0), told(20), told(21, pid=20)))
    watch.zone.threads[20].fds = None
    watch.zone.threads[21].flags &= ~t.PPM_CL_CLONE_FILES
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 21, uid=0))
    assert watch.value("proc.fdopencount") == 0 and watch.value("proc.nthreads") == 2


def test_durations_travel_as_their_start() -> None:
    watch = Watch(zone_of(told(1, ptid=0), told(10, clone_ts=1000), told(11, ptid=10)))
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 10, ts=5000, uid=0))
    assert watch.value("proc.duration") == 4000 and watch.value("proc.pid.ts") == 1000 and watch.value("proc.ppid.duration") is None
    first = watch.block(Kind.THREAD)
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 10, ts=6000, uid=0))
    assert watch.value("proc.duration") == 5000 and watch.block(Kind.THREAD) is first
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 11, ts=7000, uid=0))
    assert watch.value("proc.duration") is None and watch.value("proc.ppid.duration") == 6000 and watch.value("proc.ppid.ts") == 1000
    assert watch.value("evt.deltatime") == 1000 and watch.value("evt.deltatime.s") == 0 and watch.value("evt.deltatime.ns") == 1000


def test_workload_of_the_thread() -> None:
    workload = Workload(b"c0ffee000001ffff")
    workload.name = b"web"
    workloads = Workloads(Attribution.CGROUP, host_block(IDS.next()))
    workloads.replace([workload], IDS.next())
    zone = zone_of(told(1, ptid=0), told(10, cgroups=b"cpu=/pods/c0ffee000001ffff\0"), told(11))
    watch = Watch(zone, None, workloads)
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 10, uid=0))
    assert watch.value("container.id") == "c0ffee000001" and watch.value("edera.workload.name") == "web"
    watch.see(event(t.PPME_SYSCALL_OPEN_X, 11, fd=3, name="/a/b", flags=1, mode=0, dev=0, ino=1))
    assert watch.value("container.id") == watch.value("container.name") == "host" and watch.value("container.privileged") is False
    assert watch.value("container.image") is None and watch.value("fd.containername") == ":/a/b"
    watch.see(event(t.PPME_SYSCALL_OPEN_X, 10, fd=3, name="/a/b", flags=1, mode=0, dev=0, ino=1))
    assert watch.value("fd.containername") == "c0ffee000001:/a/b" and watch.value("fd.containerdirectory") == "c0ffee000001:/a"


def test_priorities_keep_what_outlasts() -> None:
    of = {info.code_name.removeprefix("PPME_"): priority.PRIORITIES[info.code] for info in t.EVENTS}
    for name in ("SYSCALL_READ_X", "SYSCALL_MMAP_X", "SCHEDSWITCH_6_E", "SYSCALL_FUTEX_X"):
        assert of[name] == priority.LOW, name
    for name in ("SYSCALL_OPENAT_2_X", "SYSCALL_UNLINKAT_2_X", "GENERIC_X"):
        assert of[name] == priority.NORMAL, name
    for name in ("SYSCALL_EXECVE_19_X", "SYSCALL_CLONE3_X", "PROCEXIT_1_E", "SYSCALL_SETUID_X", "SOCKET_CONNECT_X"):
        assert of[name] == priority.HIGH, name


CODES = [info.code for info in t.EVENTS if not info.unused and not info.old]
NUMBERS = [number.to_bytes(8, "little", signed=True) for number in (-100, -1, 0, 3, 10, 1 << 40)]
PARAM = st.binary(max_size=40) | st.sampled_from([b"", b"\0", b"/etc/passwd\0", b"rel/a\0", *NUMBERS])
TIDS = st.sampled_from([1, 10, 20, 21, 99, -1, 1 << 62])
EVENTS = st.lists(st.tuples(st.sampled_from(CODES), TIDS, st.integers(0, (1 << 63) - 1), st.lists(PARAM, max_size=32)), max_size=12)


@given(EVENTS)
@settings(max_examples=150, deadline=None)
def test_nothing_a_zone_sends_makes_the_encoder_fail(events: list[tuple[int, int, int, list[bytes]]]) -> None:
    """Any bytes in any parameter of any event: a record whose every field can be asked."""
    watch = Watch(small_zone())
    for code, tid, ts, params in events:
        watch.see(Event(ts, tid, 0, code, params[: len(t.EVENTS[code].params)]))
        for field in FIELDS[:330]:
            value(field, None, watch.view)


def test_size_of_what_travels() -> None:
    """Half a kB an event, as the design says, blocks included."""
    with (DATA / "attack1.scap").open("rb") as stream:
        core, replies = of_capture(read_capture(stream))
        for reply in replies:
            core.feed(reply)
            if core.seq == 3000:
                break
    assert core.event_bytes / core.seq < 600
    assert (core.event_bytes + core.defined_bytes) / core.seq < 800


@pytest.mark.parametrize("index", [0, 1, 1 << 40])
def test_index_of_the_zone_is_the_accounts(index: int) -> None:
    zone = ZoneState()
    one = event(t.PPME_SYSCALL_GETUID_X, 10, uid=0)
    zone.apply(one)
    assert Encoder(index, zone).encode(one).zone == index


def test_a_thread_without_files_and_one_whose_process_is_not_known() -> None:
    workloads = Workloads(Attribution.CGROUP, host_block(IDS.next()))
    watch = Watch(zone_of(told(1, ptid=0), told(23, pid=99, fdlimit=0), told(30, fdlimit=0)), None, workloads)
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 23, uid=0))
    assert watch.block(Kind.FILES) is None and watch.value("proc.fdopencount") == 0 and watch.value("container.id") == "host"
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 30, uid=0))
    assert (watch.value("proc.fdopencount"), watch.value("proc.fdlimit"), watch.value("proc.fdusage")) == (0, 0, 0)
    watch.see(event(t.PPME_SYSCALL_GETUID_X, 999, uid=0))
    assert watch.value("thread.tid") == 999 and watch.value("proc.nthreads") == 0


def test_times_on_the_cpu() -> None:
    zone = small_zone()
    zone.num_cpus = 1
    watch = Watch(zone)
    watch.see(event(t.PPME_PROCINFO_E, 10, cpu_usr=10, cpu_sys=5), event(t.PPME_PROCINFO_E, 10, cpu_usr=40, cpu_sys=500))
    assert [watch.value(f"thread.cpu{which}") for which in ("", ".user", ".system")] == [100, 30, 100]
    watch.see(event(t.PPME_SCHEDSWITCH_6_E, 10, next=1), event(t.PPME_SCHEDSWITCH_6_E, 10, next=1))
    assert watch.value("thread.exectime") == 1000


def test_the_bytes_are_the_same_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where interpreted and compiled code go different ways. (The compiled core has one way, whatever is set.)"""
    zone = small_zone()
    one = event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=3, dirfd=-100, name=b"rel/\x01a\0", flags=0, mode=0, dev=0, ino=0)
    zone.apply(one)
    encoder = Encoder(1, zone)
    interpreted = encoder.encode(one).data
    for module in (cells_module, evtargs, record):
        monkeypatch.setattr(module, "COMPILED", True)
    assert Encoder(1, zone).encode(one).data == interpreted == encoder.encode(one).data
