"""Whose a thread is: by its cgroups or because the zone has one workload; and what a workload's block says."""

from __future__ import annotations

import pytest

from edera_falcod.fields import slots, workload
from edera_falcod.fields.views import BlockView
from edera_falcod.fields.workload import Attribution, Mount, Workload, Workloads, host_block, names
from edera_falcod.state.thread import Strings, Thread
from tests.state.captures import zone_from
from tests.state.support import told

FULL = b"0123456789abcdef" * 4


def thread(*cgroups: bytes) -> Thread:
    zone = zone_from([told(1, cgroups=b"".join(one + b"\0" for one in cgroups))])
    return zone.threads[1]


def workloads(attribution: Attribution, *ids: bytes) -> Workloads:
    made = Workloads(attribution, host_block(1))
    made.replace([Workload(one) for one in ids], 2)
    return made


@pytest.mark.parametrize(
    ("path", "good"),
    [
        (b"cpu=/kubepods/pod1/abc", True), (b"cpu=/cri-abc.scope", True), (b"abc", True), (b"cpu=/abc/def", True), (b"cpu=/xabc", False),
        (b"cpu=/abcd", False), (b"cpu=/abcd/abc", True), (b"cpu=/", False), (b"", False), (b"cpu=/1abc/abc2", False),
    ],
)  # fmt: skip
def test_an_id_stands_whole_in_a_cgroups_path(path: bytes, good: bool) -> None:
    assert names(path, b"abc") is good


def test_a_thread_belongs_to_the_workload_that_its_cgroups_name() -> None:
    made = workloads(Attribution.CGROUP, b"aaa", b"bbb")
    _, first, second = made.blocks()
    assert made.of(thread(b"cpu=/x", b"memory=/pod/bbb")) is second
    assert made.of(thread(b"cpu=/aaa/x")) is first
    assert made.of(thread(b"cpu=/ccc")) is made.host
    assert made.of(thread()) is made.host
    assert made.of(None) is made.host


def test_lists_are_looked_up_once_and_the_memory_of_that_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = workloads(Attribution.CGROUP, b"aaa")
    one = thread(b"cpu=/aaa")
    first = made.of(one)
    assert made.of(one) is first and len(made._by_cgroups) == 1
    monkeypatch.setattr(workload, "MAX_CACHED", 3)
    kept = [thread(b"cpu=/%d" % number) for number in range(7)]
    for other in kept:
        assert made.of(other) is made.host
        assert len(made._by_cgroups) <= 3
    assert made.of(one) is first


def test_the_only_workload_of_a_zone_has_all_its_threads_if_so_attributed() -> None:
    made = workloads(Attribution.ZONE, b"aaa")
    assert made.of(None) is made.of(thread(b"cpu=/other")) is made.blocks()[1]
    assert workloads(Attribution.ZONE).of(thread(b"cpu=/aaa")).id == 1
    two = workloads(Attribution.ZONE, b"aaa", b"bbb")
    assert two.of(thread(b"cpu=/other")) is two.host and two.of(thread(b"cpu=/bbb")) is two.blocks()[2]


def test_replacing_gives_new_blocks_and_gives_the_old_ones_back() -> None:
    made = workloads(Attribution.CGROUP, b"aaa", b"bbb")
    old = made.blocks()[1:]
    one = thread(b"cpu=/bbb")
    assert made.of(one) is old[1]
    assert made.replace([Workload(b"bbb"), Workload(b"")], 10) == old
    assert [block.id for block in made.blocks()] == [1, 10]
    assert made.of(one).id == 10
    assert made.replace([], 20)[0].id == 10
    assert made.of(one) is made.host and made.blocks() == [made.host]


def test_the_block_of_a_workload_of_which_all_is_known() -> None:
    one = Workload(FULL)
    one.name, one.image = b"na\x1bme", b"registry.local/x:1"
    one.privileged, one.start_ts = 1, 5
    one.mounts_known = True
    one.mounts = [Mount(b"/a", b"/b", b"rw", b"true", b"private"), Mount(b"/c", b"/d")]
    one.texts = {slots.CONTAINER_IMAGE_TAG: b"1"}
    one.key_lists = {slots.EDERA_WORKLOAD_ANNOTATIONS: [b"k", b"v\xff"]}
    block = one.block(7)
    view = BlockView(block.data)
    assert (block.id, block.kind, block.refs) == (7, slots.KIND_WORKLOAD, ())
    assert view.text(slots.CONTAINER_ID) == FULL[:12].decode()
    assert view.text(slots.CONTAINER_FULL_ID) == view.text(slots.EDERA_WORKLOAD_ID) == FULL.decode()
    assert view.text(slots.CONTAINER_NAME) == view.text(slots.EDERA_WORKLOAD_NAME) == "na\ufffdme"
    assert view.text(slots.CONTAINER_IMAGE) == view.text(slots.EDERA_WORKLOAD_IMAGE) == "registry.local/x:1"
    assert (view.cell(slots.CONTAINER_PRIVILEGED), view.cell(slots.CONTAINER_START_TS)) == (1, 5)
    assert view.text(slots.CONTAINER_MOUNTS) == "/a:/b:rw:true:private,/c:/d:::"
    assert view.strings(slots.CONTAINER_MOUNT_LIST) == ["/a:/b:rw:true:private", "/c:/d:::"]
    assert view.strings(slots.CONTAINER_MOUNT_SOURCES) == ["/a", "/c"] and view.strings(slots.CONTAINER_MOUNT_DESTS) == ["/b", "/d"]
    assert view.strings(slots.CONTAINER_MOUNT_MODES) == ["rw", ""] and view.strings(slots.CONTAINER_MOUNT_RDWRS) == ["true", ""]
    assert view.strings(slots.CONTAINER_MOUNT_PROPAGATIONS) == ["private", ""]
    assert view.text(slots.CONTAINER_IMAGE_TAG) == "1" and view.strings(slots.EDERA_WORKLOAD_ANNOTATIONS) == ["k", "v\ufffd"]


def test_the_block_of_a_workload_of_which_little_is_known() -> None:
    view = BlockView(Workload(b"x").block(7).data)
    assert view.text(slots.CONTAINER_TYPE) == "edera" and view.text(slots.CONTAINER_ID) == "x"
    for slot in (slots.CONTAINER_NAME, slots.CONTAINER_IMAGE, slots.CONTAINER_PRIVILEGED, slots.CONTAINER_START_TS, slots.CONTAINER_MOUNTS):
        assert view.cell(slot) is None


def test_the_block_of_the_zones_own_processes() -> None:
    view = BlockView(host_block(3).data)
    named = (slots.CONTAINER_ID, slots.CONTAINER_FULL_ID, slots.CONTAINER_NAME, slots.CONTAINER_TYPE)
    assert [view.text(slot) for slot in named] == ["host"] * 4
    assert view.cell(slots.CONTAINER_PRIVILEGED) == view.cell(slots.CONTAINER_HOST_PID) == 0


def test_strings_without_content() -> None:
    made = workloads(Attribution.CGROUP, b"aaa")
    one = thread(b"cpu=/aaa")
    one.cgroups = Strings([])
    assert made.of(one) is made.host
