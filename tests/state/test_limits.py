"""A zone that forks, opens and renames without end: how much it can make us remember."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state import limits, threadtable
from edera_falcod.state.limits import (
    MAX_ENTER_SIZE,
    MAX_ENTERS,
    MAX_LINEAGE,
    MAX_RECENTLY_EXITED,
    MAX_SHARED_CGROUPS,
    MAX_THREADS,
    MAX_ZONE_FDS,
    MAX_ZONE_TEXT,
    PLACEHOLDER_IDLE,
    PURGE_ABOVE,
    PURGE_AT_ONCE,
    PURGE_FIRST,
    PURGE_IDLE,
    PURGE_INTERVAL,
    PURGE_SHARE,
    Counters,
)
from edera_falcod.state.zone import ZoneState

from .support import SECOND, START, cloned, event, executed, exited, feed, files_of, has_fd, opened, small_zone, thread_of, told, zone_of

CLONE = t.PPME_SYSCALL_CLONE_20_X

interpreted = pytest.mark.skipif(not threadtable.__file__.endswith(".py"), reason="constants are compiled in")


def fork_storm(zone: ZoneState, count: int, first: int = 1000) -> None:
    template = cloned(CLONE, first, 0, pid=first, ptid=10)
    for number in range(first, first + count):
        tid = number.to_bytes(8, "little")
        template.tid = number
        template.params[4] = template.params[18] = template.params[19] = tid
        template.ts += 1
        zone.apply(template)


def test_forks_without_end() -> None:
    zone = small_zone()
    fork_storm(zone, MAX_THREADS + 3000)
    assert len(zone.threads) == MAX_THREADS
    assert zone.counters.threads_refused == 3005
    assert zone.thread is None
    # Who is in the table is served as before, and there is room again when somebody exits
    feed(zone, exited(1000), executed(1001, pid=1001, ptid=10))
    assert thread_of(zone, 1001).comm == b"prog"
    fork_storm(zone, 1, 900_000)
    assert 900_000 in zone.threads


def test_unknown_threads_without_end() -> None:
    zone = small_zone()
    template = event(t.PPME_SYSCALL_GETUID_X, 0, uid=0)
    for tid in range(1000, 1000 + MAX_THREADS + 10):
        template.tid = tid
        zone.apply(template)
    assert len(zone.threads) == MAX_THREADS and zone.counters.threads_refused >= 10
    # A full table is searched for placeholders that nothing came of
    template.ts += PLACEHOLDER_IDLE + 1
    zone.counters.threads_refused += 2_000
    fork_storm_at = cloned(CLONE, 500_000, 0, pid=500_000, ptid=10, ts=template.ts)
    feed(zone, fork_storm_at)
    assert 500_000 in zone.threads and zone.counters.threads_purged == PURGE_AT_ONCE
    for _ in range(MAX_THREADS // PURGE_SHARE):
        feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=template.ts, uid=0))
    assert 500_000 in zone.threads and len(zone.threads) < 20
    assert zone.counters.threads_purged > MAX_THREADS - 20


def test_opens_without_end() -> None:
    zone = small_zone()
    fork_storm(zone, 20)
    template = opened(0, 0, "/x")
    for tid in range(1000, 1020):
        template.tid = tid
        for number in range(4200):
            template.params[0] = number.to_bytes(8, "little")
            zone.apply(template)
    assert zone.table.fd_budget.entries <= MAX_ZONE_FDS
    assert max(len(files_of(zone, tid)) for tid in range(1000, 1020)) == 4096
    assert zone.counters.fds_refused > 15_000
    # The others still work
    feed(zone, event(t.PPME_SYSCALL_CLOSE_RANGE_X, 1000, res=0, first=0, last=5000, flags=0), opened(20, 9, "/y"))
    assert has_fd(zone, 20, 9)


def test_forks_of_a_process_with_many_files_cost_nothing_until_they_open() -> None:
    zone = small_zone()
    for number in range(3, 4000):
        feed(zone, opened(10, number, "/x"))
    fork_storm(zone, 2000)
    assert zone.table.fd_budget.entries == 4000
    for tid in range(1000, 1100):
        feed(zone, opened(tid, 3, "/own"))
    assert zone.table.fd_budget.entries <= MAX_ZONE_FDS
    assert zone.counters.fds_refused > 0


@interpreted
def test_texts_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threadtable, "MAX_ZONE_TEXT", 200_000)
    zone = small_zone()
    fork_storm(zone, 50)
    for tid in range(1000, 1050):
        feed(zone, executed(tid, pid=tid, ptid=10, env=b"A=" + b"x" * 10_000, args=[f"{tid}"]))
        assert zone.table.text < 210_000
    assert zone.counters.text_refused > 20
    assert thread_of(zone, 1049).env.items == [] and thread_of(zone, 1049).comm == b"prog"
    for tid in range(1000, 1050):
        feed(zone, exited(tid))
    feed(zone, executed(10, env=["X=1"]))
    assert thread_of(zone, 10).env.items == [b"X=1"] and zone.table.text < 2_000


def test_the_same_text_counts_once() -> None:
    zone = small_zone()
    feed(zone, executed(10, env=b"A=" + b"x" * 10_000))
    before = zone.table.text
    fork_storm(zone, 100)
    assert zone.table.text - before < 100 * 100
    feed(zone, exited(10))
    feed(zone, executed(1000, pid=1000, ptid=1))
    assert zone.table.text > 10_000  # the others have it still


def test_a_chain_of_forks_has_an_end() -> None:
    zone = small_zone()
    depth = 3 * MAX_LINEAGE
    started = time.process_time()
    for tid in range(1000, 1000 + depth):
        feed(zone, cloned(CLONE, tid, 0, pid=tid, ptid=tid - 1 if tid > 1000 else 10))
    last = thread_of(zone, 1000 + depth - 1)
    assert len(zone.lineage(last, 10**9)) == MAX_LINEAGE
    assert zone.ancestor(last, MAX_LINEAGE + 1) is None and zone.ancestor(last, 5) is thread_of(zone, last.tid - 5)
    zone.session_leader(last)
    # Exits from the middle, with reapers below, above and nowhere: each walk is bounded
    for tid in range(1100, 1100 + 200):
        feed(zone, exited(tid, reaper=(last.tid, 1, 0, 77)[tid % 4]))
    assert time.process_time() - started < 20
    assert zone.counters.lineage_cut > 0


def test_exits_enter_events_and_cgroups_are_remembered_in_bounds() -> None:
    zone = small_zone()
    for tid in range(1000, 1000 + MAX_RECENTLY_EXITED + 50):
        feed(zone, cloned(CLONE, tid, 0, pid=tid, ptid=10), exited(tid))
    assert len(zone.table.exited) == MAX_RECENTLY_EXITED
    for tid in range(2000, 2000 + MAX_ENTERS + 50):
        feed(zone, event(t.PPME_SYSCALL_OPEN_E, tid, name="/x", flags=1, mode=0))
    assert len(zone.enters) == MAX_ENTERS
    feed(zone, event(t.PPME_SYSCALL_OPEN_E, 10, name=b"x" * MAX_ENTER_SIZE, flags=1, mode=0))
    assert 10 not in zone.enters
    for number in range(MAX_SHARED_CGROUPS + 50):
        feed(zone, executed(10, cgroups=[f"cpu=/{number}"]))
    assert len(zone.cgroups) <= MAX_SHARED_CGROUPS
    assert thread_of(zone, 10).cgroups.items == [b"cpu=/%d" % (MAX_SHARED_CGROUPS + 49)]


def test_placeholders_are_purged() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START, uid=0))
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 77, ts=START + 1, uid=0))
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 78, ts=START + PURGE_FIRST, uid=0))
    assert 77 in zone.threads
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START + PURGE_FIRST + 2, uid=0))
    assert 77 not in zone.threads and 78 in zone.threads  # 78 was just seen
    assert zone.counters.threads_purged == 1
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START + PURGE_FIRST + PURGE_INTERVAL, uid=0))
    assert 78 in zone.threads
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START + PURGE_FIRST + PURGE_INTERVAL + 10, uid=0))
    assert 78 not in zone.threads


def test_sleepers_are_kept_while_there_is_room() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START, uid=0))
    for days in range(1, 4):
        feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START + days * 86_400 * SECOND, uid=0))
    assert sorted(zone.threads) == [1, 10, 20, 21, 22] and zone.counters.threads_purged == 0


def test_sleepers_go_when_the_table_is_half_full() -> None:
    zone = small_zone()
    fork_storm(zone, PURGE_ABOVE)
    later = zone.ts + PURGE_IDLE + PURGE_INTERVAL
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=later, uid=0))
    purged = PURGE_AT_ONCE
    assert zone.counters.threads_purged == purged, "no more than a moment takes"
    slow = 1000 + PURGE_ABOVE - 1
    assert not {1000, 1000 + purged - 1} & zone.threads.keys() and {1000 + purged, slow} <= zone.threads.keys()
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, slow, ts=later, uid=0))
    while zone.table.idle:
        before = zone.counters.threads_purged
        feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=later, uid=0))
        assert before < zone.counters.threads_purged <= before + PURGE_SHARE
    assert {1, 10, 20, 21, 22, slow} == zone.threads.keys(), "what did something in time stays"
    assert zone.counters.threads_purged == PURGE_ABOVE - 1
    assert zone.table.next_purge == later + PURGE_INTERVAL


def test_a_snapshot_ends_a_purge() -> None:
    zone = small_zone()
    fork_storm(zone, PURGE_ABOVE)
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=zone.ts + PURGE_IDLE + PURGE_INTERVAL, uid=0))
    assert zone.table.idle
    zone.begin_snapshot(0)
    list(zone.finish_snapshot())
    assert not zone.table.idle and zone.table.next_purge == 0


def test_a_clock_that_goes_back_does_not_stop_the_purge() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START, uid=0), event(t.PPME_SYSCALL_GETUID_X, 77, ts=START + 86_400 * SECOND, uid=0))
    now = START - 86_400 * SECOND
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 78, ts=now, uid=0))
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=now + PURGE_INTERVAL + 1, uid=0))
    assert 78 not in zone.threads


def test_counters_are_all_told() -> None:
    counters = Counters()
    names = [name for name, _ in counters.items()]
    assert sorted(names) == sorted(name for name in dir(Counters) if not name.startswith("_") and name != "items")
    counters.fds_refused = 5
    assert dict(counters.items())["fds_refused"] == 5
    assert all(type(getattr(limits, name)) is int for name in vars(limits) if name.startswith(("MAX_", "PURGE_")))
    assert MAX_ZONE_TEXT > 1_000_000


def measured(work: object) -> int:
    """Bytes that are allocated more after the call."""
    assert callable(work)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_memory_of_a_thread_and_of_a_file() -> None:
    """The figures of docs/limits.md, with a margin: they differ a little between versions of Python."""
    zone = zone_of(told(1, ptid=0), told(10))
    threads = measured(lambda: fork_storm(zone, 2000)) / 2000
    assert threads < 1_900, threads

    def open_many() -> None:
        for number in range(3, 3003):
            feed(zone, opened(10, number, f"/usr/lib/x86_64-linux-gnu/lib{number}.so.1"))

    files = measured(open_many) / 3000
    assert files < 650, files
