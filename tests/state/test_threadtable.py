"""Threads, their groups and parents, where a zone says what cannot be or the table is full."""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state import threadtable
from edera_falcod.state.limits import (
    MAX_LINEAGE,
    MAX_RECENTLY_EXITED,
    PLACEHOLDER_IDLE,
    PURGE_FIRST,
    PURGE_IDLE,
    PURGE_INTERVAL,
    PURGE_SHARE,
)
from edera_falcod.state.thread import Strings, Thread
from edera_falcod.state.threadtable import PGID, SID, VPGID
from edera_falcod.state.zone import ZoneState

from . import invariants
from .support import SECOND, START, cloned, event_of, executed, exited, feed, opened, quiet, small_zone, thread_of, told, zone_of

CLONE = t.PPME_SYSCALL_CLONE_20_X

interpreted = pytest.mark.skipif(not threadtable.__file__.endswith(".py"), reason="constants are compiled in")


def chain(length: int) -> ZoneState:
    """Processes 1 to ``length``, each the child of the one before."""
    return zone_of(*[told(tid, ptid=tid - 1, sid=1, vpgid=7, pgid=7) for tid in range(1, length + 1)])


def test_a_snapshot_takes_the_place_of_everything() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"), opened(999, 5, "/x"))
    zone.begin_snapshot(0)
    zone.end_snapshot()
    assert not zone.threads and not zone.table.groups and zone.table.text == 0 and zone.table.fd_budget.entries == 0


@pytest.mark.parametrize("known", [True, False])
def test_a_thread_told_anew_keeps_its_children_if_it_is_known(known: bool) -> None:
    zone = small_zone()
    feed(zone, cloned(CLONE, 10, 30, pid=10, ptid=1))
    if known:
        feed(zone, cloned(CLONE, 10, 0, pid=10, ptid=1))
        assert thread_of(zone, 30).ptid == 10 and list(thread_of(zone, 10).children) == [30]
    else:
        feed(zone, event_of(CLONE, 10, {"res": 0, "exe": "/x", "comm": "x", "ptid": 1}))
        assert thread_of(zone, 10).is_invalid() and thread_of(zone, 30).ptid == 0
    invariants.check(zone)


def test_a_parent_that_is_a_child_is_none() -> None:
    """A placeholder that becomes a thread says that its own child is its parent, or that it is its own."""
    zone = small_zone()
    for tid, ptid in ((40, 41), (50, 50)):
        feed(zone, opened(tid, 3, "/x"))
        placeholder = thread_of(zone, tid)
        placeholder.children[41] = thread_of(zone, 20) if ptid == 41 else placeholder
        if ptid == 41:
            thread_of(zone, 20).ptid = 40
            ptid = 20
        feed(zone, executed(tid, ptid=ptid))
        assert thread_of(zone, tid).ptid == 0
    assert zone.counters.cycles_cut == 2


def test_texts_that_are_the_same_are_held_once() -> None:
    table = small_zone().table
    thread = table.threads[10]
    args, env, cgroups = Strings([b"a"]), Strings([b"b"]), Strings([b"c"])
    for _ in range(2):
        table.set_args(thread, args)
        table.set_env(thread, env)
        table.set_cgroups(thread, cgroups)
        assert (args.holders, env.holders, cgroups.holders) == (1, 1, 1)


def test_who_is_not_there_is_not_removed() -> None:
    zone = small_zone()
    removed = zone.counters.threads_removed
    zone.table.remove(999, START)
    assert zone.counters.threads_removed == removed
    feed(zone, opened(999, 3, "/x"))
    zone.table.remove(999, START)
    assert zone.counters.threads_removed == removed + 1 and 999 not in zone.threads


@interpreted
def test_a_full_table_lets_idle_placeholders_go(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = small_zone()
    feed(zone, cloned(CLONE, 10, 30, pid=10, ptid=1, ts=START))
    zone.table.placeholder(999, START)
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(zone.threads))
    assert zone.table.placeholder(998, START + PLACEHOLDER_IDLE + 1) is not None
    assert 999 not in zone.threads and zone.counters.threads_purged == 1


@interpreted
def test_a_thread_that_goes_while_its_children_are_given_away_goes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reaper is not known, there is no room for one, and whoever has done nothing for half an hour goes: so does the thread itself."""
    zone = small_zone()
    feed(
        zone,
        cloned(CLONE, 21, 0, pid=20, ptid=1, flags=t.PPM_CL_CLONE_THREAD, ts=START, args=["some", "text"]),
        cloned(CLONE, 40, 0, pid=40, ptid=21, ts=START),
        exited(21, reaper=777, ts=START),
    )
    assert list(thread_of(zone, 21).children) == [40] and thread_of(zone, 21).args.items == [b"some", b"text"]
    late = START + PURGE_IDLE + SECOND
    thread_of(zone, 20).last_access_ts = late
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(zone.threads))
    removed, there = zone.counters.threads_removed, len(zone.threads)
    zone.table.remove(21, late)
    assert 21 not in zone.threads and 20 in zone.threads
    assert zone.counters.threads_removed - removed == there + 1 - len(zone.threads), "each once, and 777 came"
    invariants.check(zone)


def test_children_of_nobody_have_no_reaper() -> None:
    """Of init itself, and where no ancestor is a reaper."""
    zone = zone_of(told(5, ptid=0), told(6, ptid=5))
    feed(zone, exited(5, reaper=0))
    quiet(zone, 6)
    assert thread_of(zone, 6).ptid == 0
    invariants.check(zone)


def test_a_thread_of_the_process_that_is_below_is_no_reaper() -> None:
    """Thread 31 of process 30 says that its parent is 40, a child of 30: 40 cannot come to it."""
    zone = small_zone()
    feed(
        zone,
        cloned(CLONE, 30, 0, pid=30, ptid=10),
        cloned(CLONE, 40, 0, pid=40, ptid=30),
        cloned(CLONE, 31, 0, pid=30, ptid=40, flags=t.PPM_CL_CLONE_THREAD),
        exited(30),
    )
    quiet(zone)
    assert thread_of(zone, 40).ptid == 1
    invariants.check(zone)


def test_nobody_else_of_its_process_lives() -> None:
    zone = small_zone()
    assert zone.table.find_new_reaper(thread_of(zone, 10)) is thread_of(zone, 1)


def test_a_reaper_is_looked_for_only_so_far_up() -> None:
    zone = chain(MAX_LINEAGE + 10)
    zone.table.groups[1].reaper = True
    assert zone.table.find_new_reaper(thread_of(zone, MAX_LINEAGE)) is thread_of(zone, 1)
    assert zone.table.find_new_reaper(thread_of(zone, MAX_LINEAGE + 10)) is None and zone.counters.lineage_cut > 0


def test_rings_of_a_snapshot_are_cut() -> None:
    zone = zone_of(told(1, ptid=0), told(5, ptid=6), told(6, ptid=7), told(7, ptid=5), told(8, ptid=8), told(9, ptid=999))
    assert zone.counters.cycles_cut == 2
    invariants.check(zone)
    assert thread_of(zone, 8).ptid == 0 and thread_of(zone, 9).ptid == 0


def test_ancestors_end_somewhere() -> None:
    zone = zone_of(told(1, ptid=0), told(10), told(23, pid=99), told(24, ptid=23))
    assert zone.table.ancestor(thread_of(zone, 23), 0) is None and zone.table.ancestor(thread_of(zone, 23), 1) is None
    assert zone.table.ancestor(thread_of(zone, 24), 2) is None, "its parent's process has no main thread that is known"
    assert zone.table.ancestor(thread_of(zone, 10), 1) is thread_of(zone, 1)
    assert zone.table.ancestor(thread_of(zone, 10), 2) is None
    assert zone.table.ancestor(thread_of(zone, 10), MAX_LINEAGE + 1) is None


def test_leaders_are_looked_for_only_so_far_up() -> None:
    zone = chain(MAX_LINEAGE + 10)
    last = thread_of(zone, MAX_LINEAGE + 10)
    leader = zone.table.leader(last, SID)
    assert leader is thread_of(zone, 1), "by its id"
    for which in (VPGID, PGID):
        assert zone.table.leader(last, which) is thread_of(zone, 7)
    zone.table.remove(7, START)
    leader = zone.table.leader(last, PGID)
    assert leader is not None and leader.tid == 10, "the oldest of those below the gap"
    again = chain(MAX_LINEAGE + 10)
    for thread in again.threads.values():
        thread.sid = 5_000
    leader = again.table.leader(thread_of(again, MAX_LINEAGE + 10), SID)
    assert leader is not None and leader.tid == 10


def test_thread_ids_beyond_32_bits_do_not_end_one_anothers() -> None:
    zone = small_zone()
    zone.table.note_exit(30, START)
    assert not zone.table.exited_recently(30, 10, START)
    child = Thread(30, 30, 10)
    zone.table.add(child, START)
    zone.table.note_exit(30, START)
    assert zone.table.exited_recently(30, 10, START + 1) and not zone.table.exited_recently(31, 10, START + 1)


def test_placeholders_go_after_half_a_minute_when_it_is_looked_for_them() -> None:
    zone = small_zone()
    table = zone.table
    table.purge(START)
    assert table.next_purge == START + PURGE_FIRST
    table.placeholder(999, START)
    table.purge(START + PURGE_FIRST)
    assert 999 in zone.threads
    table.placeholder(998, START + PURGE_FIRST + 1)
    table.purge(START + PURGE_FIRST + 1)
    assert 999 not in zone.threads and 998 in zone.threads and zone.counters.threads_purged == 1
    assert table.next_purge == START + PURGE_FIRST + 1 + PURGE_INTERVAL
    table.purge(START - PURGE_INTERVAL)
    assert table.next_purge == START, "the zone's clock was set back"


@interpreted
def test_processes_go_only_from_a_table_that_is_half_full(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = small_zone()
    table = zone.table
    feed(zone, event_of(t.PPME_SYSCALL_GETUID_X, 10, {"uid": 0}, START))
    late = START + PURGE_IDLE + 1
    table.next_purge = 1
    table.purge(late)
    assert len(zone.threads) == 5
    monkeypatch.setattr(threadtable, "PURGE_ABOVE", 4)
    table.next_purge = 1
    table.purge(late)
    assert 10 not in zone.threads and len(zone.threads) == 4, "the others were told before the first event: they count from the first look"


@interpreted
def test_of_many_that_go_a_few_go_with_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order; who does something meanwhile stays, who is gone meanwhile is not looked for."""
    monkeypatch.setattr(threadtable, "PURGE_AT_ONCE", 3)
    monkeypatch.setattr(threadtable, "PURGE_SHARE", 2)
    zone = small_zone()
    table = zone.table
    table.purge(START)
    for tid in range(900, 910):
        table.placeholder(tid, START)
    late = START + PURGE_FIRST + PLACEHOLDER_IDLE
    table.purge(late)
    assert not {900, 901, 902} & zone.threads.keys() and 903 in zone.threads and zone.counters.threads_purged == 3
    table.purge(late)
    assert not {903, 904} & zone.threads.keys() and 905 in zone.threads
    thread_of(zone, 905).last_access_ts = late
    table.remove(906, late)
    table.purge(late)
    assert {905, 907} <= zone.threads.keys() and zone.counters.threads_purged == 5
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(zone.threads))
    zone.counters.threads_refused += 2_000
    monkeypatch.setattr(threadtable, "PURGE_AT_ONCE", 1)
    assert table.placeholder(999, late) is not None, "a table that is full is looked through anew"
    assert 907 not in zone.threads and table.idle == [909, 908]
    table.purge(late)
    assert table.idle == [] and table.next_purge == late + PURGE_INTERVAL, "then as if all had gone at once"
    assert 905 in zone.threads and not {907, 908, 909} & zone.threads.keys() and zone.counters.threads_purged == 8
    invariants.check(zone)


@interpreted
def test_texts_and_files_of_whom_there_is_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = small_zone()
    monkeypatch.setattr(threadtable, "MAX_ZONE_TEXT", zone.table.text + 100)
    feed(zone, executed(10, args=["x" * 200], env=["A=1"], cgroups=[]))
    assert thread_of(zone, 10).args.items == [] and thread_of(zone, 10).env.items == [b"A=1"] and zone.counters.text_refused == 1
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(zone.threads))
    entries = zone.table.fd_budget.entries
    feed(zone, cloned(CLONE, 30, 0, pid=30, ptid=10))
    assert 30 not in zone.threads and zone.table.fd_budget.entries == entries
    invariants.check(zone)


def test_as_many_exits_are_remembered_as_there_may_be() -> None:
    zone = small_zone()
    for tid in range(1000, 1000 + MAX_RECENTLY_EXITED + 1):
        zone.table.note_exit(tid, START)
    assert len(zone.table.exited) == MAX_RECENTLY_EXITED
    assert not zone.table.exited_recently(1000, -1, START + 1) and zone.table.exited_recently(1001, -1, START + 1)


@pytest.mark.parametrize(("reaper", "found"), [(10, 10), (999, 1), (50, 1)])
def test_whom_children_go_to(reaper: int, found: int) -> None:
    """Whom the kernel names; not whom nobody knows, nor who is below them."""
    zone = small_zone()
    feed(zone, cloned(CLONE, 30, 0, pid=30, ptid=10), cloned(CLONE, 40, 0, pid=40, ptid=30), cloned(CLONE, 50, 0, pid=50, ptid=40))
    feed(zone, exited(30, reaper=reaper))
    quiet(zone)
    assert thread_of(zone, 40).ptid == found
    invariants.check(zone)


def test_no_reaper_and_no_leader_across_a_pid_namespace() -> None:
    zone = zone_of(
        told(1, ptid=0),
        told(30, ptid=1, vtid=2, vpid=2, sid=5, vpgid=-1, pgid=30),
        told(40, ptid=30, vtid=3, vpid=3, sid=5, vpgid=9, pgid=30),
    )
    table = zone.table
    inner = thread_of(zone, 40)
    assert table.leader(inner, VPGID) is None and table.leader(thread_of(zone, 30), VPGID) is None
    assert table.leader(inner, SID) is thread_of(zone, 30), "its oldest relative of the session"
    assert table.leader(inner, PGID) is thread_of(zone, 30), "by its id, which is the zone's"
    table.remove(30, START)
    assert inner.ptid == 0
    assert table.lineage(inner, 5) == []


def test_lineage_has_a_limit() -> None:
    zone = chain(20)
    last = thread_of(zone, 20)
    assert [thread.tid for thread in zone.table.lineage(last, 3)] == [19, 18, 17]
    assert [thread.tid for thread in zone.table.lineage(last, 100)] == list(range(19, 0, -1))


def test_lines_of_parents_that_are_too_long_to_tell() -> None:
    zone = chain(MAX_LINEAGE + 10)
    feed(zone, exited(5, reaper=MAX_LINEAGE + 10))
    quiet(zone, 1)
    assert zone.counters.lineage_cut > 0 and zone.counters.cycles_cut > 0 and thread_of(zone, 6).ptid != MAX_LINEAGE + 10
    invariants.check(zone)


def test_scans_have_to_be_earned_by_events() -> None:
    """Whatever times they have: between two scans lies one event for PURGE_SHARE threads."""
    table = zone_of(*[told(tid) for tid in range(1, 5 * PURGE_SHARE + 1)]).table
    ts = START
    table.purge(ts)
    scans = []
    for number in range(1, 20):
        ts += 2 * PURGE_INTERVAL
        due = table.next_purge
        table.purge(ts)
        if table.next_purge != due:
            scans.append(number)
    assert scans == [1, 6, 11, 16]
