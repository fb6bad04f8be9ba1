"""Memory, limits and CPU time of threads and processes (state-machine.md section 4; parsers.cpp, sinsp_filtercheck_thread.cpp)."""

from __future__ import annotations

from typing import Final

from ..scap.event import Event
from ..scap.tables import (
    PPM_RLIMIT_NOFILE,
    PPME_DROP_E,
    PPME_DROP_X,
    PPME_PROCINFO_E,
    PPME_SCHEDSWITCH_6_E,
    PPME_SYSCALL_BRK_4_X,
    PPME_SYSCALL_GETRLIMIT_X,
    PPME_SYSCALL_MMAP2_X,
    PPME_SYSCALL_MMAP_X,
    PPME_SYSCALL_MUNMAP_X,
    PPME_SYSCALL_PRLIMIT_X,
    PPME_SYSCALL_SETRLIMIT_X,
)
from .limits import MAX_CPUS
from .params import given, i64, returned, u8, u32, u64
from .registry import parses
from .thread import Thread
from .zone import ZoneState

NO_VALUE: Final = -1  # a limit that was not asked for, or that is infinite


@parses(PPME_SYSCALL_BRK_4_X, PPME_SYSCALL_MMAP_X, PPME_SYSCALL_MMAP2_X, PPME_SYSCALL_MUNMAP_X)
def memory(zone: ZoneState, event: Event) -> None:
    """Of the calling thread, whether the call succeeded or not."""
    thread = zone.thread
    params = event.params
    if thread is None:
        return
    if given(params, 1):
        thread.vmsize_kb = u32(params, 1)
    if given(params, 3):
        thread.vmrss_kb = u32(params, 2)
        thread.vmswap_kb = u32(params, 3)


@parses(PPME_SCHEDSWITCH_6_E)
def switch(zone: ZoneState, event: Event) -> None:
    """Faults of the thread that leaves the CPU, memory of its process. Its time on the CPU is that since the CPU's last switch."""
    params = event.params
    thread = zone.thread
    if zone.num_cpus > 0:
        last = zone.switches.get(event.cpu, 0)
        if last != 0:
            zone.exectime = event.ts - last
        if last != 0 or len(zone.switches) < MAX_CPUS:
            zone.switches[event.cpu] = event.ts
    if thread is None:
        return
    thread.exectime = zone.exectime
    thread.totexectime += zone.exectime
    if not given(params, 5):
        return
    thread.pfmajor = u64(params, 1)
    thread.pfminor = u64(params, 2)
    main = thread.main()
    if main is not None:
        main.vmsize_kb = u32(params, 3)
        main.vmrss_kb = u32(params, 4)
        main.vmswap_kb = u32(params, 5)


@parses(PPME_PROCINFO_E)
def procinfo(zone: ZoneState, event: Event) -> None:
    """CPU time of a thread so far; what fields show is how much it grew, 0 the first time."""
    thread = zone.thread
    if thread is None:
        return
    user = u64(event.params, 0)
    system = u64(event.params, 1)
    zone.cpu_user = max(user - thread.cpu_user, 0) if thread.cpu_user != 0 else 0
    zone.cpu_system = max(system - thread.cpu_system, 0) if thread.cpu_system != 0 else 0
    thread.cpu_user = user
    thread.cpu_system = system


@parses(PPME_SYSCALL_GETRLIMIT_X, PPME_SYSCALL_SETRLIMIT_X)
def rlimit(zone: ZoneState, event: Event) -> None:
    params = event.params
    if zone.thread is not None and returned(params) >= 0 and u8(params, 3) == PPM_RLIMIT_NOFILE:
        set_fdlimit(zone, zone.thread, i64(params, 1, NO_VALUE))


@parses(PPME_SYSCALL_PRLIMIT_X)
def prlimit(zone: ZoneState, event: Event) -> None:
    """Of any process, 0 is the own one; the pid is one of the caller's namespace, but libsinsp takes it for a global one."""
    params = event.params
    if returned(params) != 0 or u8(params, 6) != PPM_RLIMIT_NOFILE or not given(params, 5):
        return
    limit = i64(params, 1, NO_VALUE)
    if limit == NO_VALUE:
        return
    tid = i64(params, 5)
    thread = zone.table.placeholder(event.tid if tid == 0 else tid, event.ts)
    if thread is not None and not thread.is_invalid():
        set_fdlimit(zone, thread, limit)


def set_fdlimit(zone: ZoneState, thread: Thread, limit: int) -> None:
    main = thread.main()
    if main is not None and limit != NO_VALUE:
        main.fdlimit = limit
        zone.changed(main, len(main.group.threads) > 1 if main.group is not None else False)


@parses(PPME_DROP_E, PPME_DROP_X)
def drop(zone: ZoneState, event: Event) -> None:
    """The zone's driver left events out; what we know may be behind."""
    zone.counters.drop_events += 1
