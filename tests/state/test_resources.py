"""Memory, limits, CPU time."""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state.limits import MAX_CPUS

from .support import START, Value, check_stranger, check_without_main, codes_of, event, event_of, feed, small_zone, thread_of


@pytest.mark.parametrize("code", [t.PPME_SYSCALL_BRK_4_X, t.PPME_SYSCALL_MMAP_X, t.PPME_SYSCALL_MMAP2_X, t.PPME_SYSCALL_MUNMAP_X])
def test_memory_is_of_the_calling_thread_even_if_the_call_failed(code: int) -> None:
    zone = small_zone()
    feed(zone, event(code, 21, res=-12, vm_size=10, vm_rss=5, vm_swap=1))
    thread = thread_of(zone, 21)
    assert (thread.vmsize_kb, thread.vmrss_kb, thread.vmswap_kb) == (10, 5, 1)
    assert thread_of(zone, 20).vmsize_kb == 0
    feed(zone, event(code, 21, res=0, vm_size=11))
    assert (thread.vmsize_kb, thread.vmrss_kb) == (11, 5)


def test_a_switch_tells_faults_of_the_thread_and_memory_of_its_process() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 21, next=1, pgft_maj=3, pgft_min=4, vm_size=10, vm_rss=5, vm_swap=1))
    assert (thread_of(zone, 21).pfmajor, thread_of(zone, 21).pfminor) == (3, 4)
    assert (thread_of(zone, 20).vmsize_kb, thread_of(zone, 20).vmrss_kb, thread_of(zone, 20).pfmajor) == (10, 5, 0)
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 21, next=1, pgft_maj=9))
    assert thread_of(zone, 21).pfmajor == 3
    # A thread that is not known is none of ours: no placeholder
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 999, next=1, pgft_maj=3, pgft_min=4, vm_size=10, vm_rss=5, vm_swap=1))
    assert zone.thread is None and 999 not in zone.threads


def test_time_on_the_cpu_is_measured_where_cpus_are_known() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 10, ts=START, next=1), event(t.PPME_SCHEDSWITCH_6_E, 10, ts=START + 50, next=1))
    assert zone.exectime == 0 and thread_of(zone, 10).totexectime == 0
    zone.num_cpus = 2
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 10, ts=START + 100, next=1))
    assert zone.exectime == 0  # the first of its CPU
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 20, ts=START + 120, cpu=1, next=1))
    assert zone.exectime == 0
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 10, ts=START + 150, next=1))
    assert zone.exectime == 50
    feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 10, ts=START + 180, next=1), event(t.PPME_SYSCALL_GETUID_X, 10, uid=0))
    assert zone.exectime == 0 and thread_of(zone, 10).totexectime == 80


def test_cpus_are_counted() -> None:
    zone = small_zone()
    zone.num_cpus = 1
    for cpu in range(MAX_CPUS + 10):
        feed(zone, event(t.PPME_SCHEDSWITCH_6_E, 10, cpu=cpu, next=1))
    assert len(zone.switches) == MAX_CPUS


def test_procinfo_tells_growth() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_PROCINFO_E, 10, cpu_usr=100, cpu_sys=50))
    assert (zone.cpu_user, zone.cpu_system) == (0, 0)
    feed(zone, event(t.PPME_PROCINFO_E, 10, cpu_usr=130, cpu_sys=55))
    assert (zone.cpu_user, zone.cpu_system) == (30, 5)
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, uid=0))
    assert (zone.cpu_user, zone.cpu_system) == (-1, -1)
    feed(zone, event(t.PPME_PROCINFO_E, 999, cpu_usr=130, cpu_sys=55))
    assert zone.thread is None and zone.cpu_user == -1


@pytest.mark.parametrize("code", [t.PPME_SYSCALL_GETRLIMIT_X, t.PPME_SYSCALL_SETRLIMIT_X])
def test_limits_are_of_the_process(code: int) -> None:
    zone = small_zone()
    nofile = t.PPM_RLIMIT_NOFILE
    cases: list[dict[str, Value]] = [
        {"res": -1, "cur": 9, "resource": nofile}, {"res": 0, "cur": 9, "resource": 1}, {"res": 0, "cur": -1, "resource": nofile},
    ]  # fmt: skip
    for values in cases:
        feed(zone, event_of(code, 21, {"max": 9, **values}))
        assert thread_of(zone, 20).fdlimit == 1024
    feed(zone, event(code, 21, res=0, cur=77, max=9, resource=nofile))
    assert thread_of(zone, 20).fdlimit == 77 and thread_of(zone, 21).fdlimit == 1024


def test_prlimit_is_of_any_process() -> None:
    zone = small_zone()
    nofile = t.PPM_RLIMIT_NOFILE

    def prlimit(res: int, newcur: int, pid: int, resource: int) -> None:
        values = {"res": res, "newcur": newcur, "newmax": 9, "oldcur": 1, "oldmax": 1, "pid": pid, "resource": resource}
        feed(zone, event_of(t.PPME_SYSCALL_PRLIMIT_X, 10, {**values}))

    prlimit(0, 50, 21, nofile)
    assert thread_of(zone, 20).fdlimit == 50
    prlimit(0, 60, 0, nofile)
    assert thread_of(zone, 10).fdlimit == 60
    for res, newcur, resource in ((1, 70, nofile), (-1, 70, nofile), (0, -1, nofile), (0, 70, 3)):
        prlimit(res, newcur, 0, resource)
        assert thread_of(zone, 10).fdlimit == 60
    prlimit(0, 70, 555, nofile)
    assert thread_of(zone, 555).is_invalid()


def test_drops_are_counted() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_DROP_E, 10, ratio=2), event(t.PPME_DROP_X, 10, ratio=2))
    assert zone.counters.drop_events == 2


@pytest.mark.parametrize("code", codes_of("resources"))
def test_threads_that_are_not_known(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    check_without_main(code)
    check_stranger(monkeypatch, code)


def test_memory_that_is_not_told_stays() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_BRK_4_X, 10, res=0, vm_size=10, vm_rss=5, vm_swap=1), event(t.PPME_SYSCALL_BRK_4_X, 10, res=0))
    thread = thread_of(zone, 10)
    assert (thread.vmsize_kb, thread.vmrss_kb, thread.vmswap_kb) == (10, 5, 1)
