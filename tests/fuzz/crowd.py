"""Invariant: what a zone sends beyond its limits (here: a few threads, files and bytes) is refused and counted; its tables keep to the
limits and agree, nothing raises, and it can be told as a snapshot, which keeps to them too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from edera_falcod.scap import tables as t
from edera_falcod.state import fdtable, files, messages, resources, threadtable, users
from edera_falcod.state import zone as zones
from edera_falcod.state.export import export_threads
from edera_falcod.state.zone import ZoneState
from tests.state import invariants
from tests.state.captures import zone_from

from . import state
from .dice import Dice

# A family of seven is there at the beginning, and there are twelve thread ids and ten numbers of files (state.py).
LIMITS: dict[str, tuple[ModuleType, int]] = {
    "MAX_THREADS": (threadtable, 8),
    "PURGE_ABOVE": (threadtable, 4),
    "REFUSALS_A_PURGE": (threadtable, 3),
    "MAX_ZONE_TEXT": (threadtable, 400),
    "MAX_LINEAGE": (threadtable, 3),
    "MAX_RECENTLY_EXITED": (threadtable, 2),
    "MAX_FDS": (fdtable, 2),
    "MAX_ZONE_FDS": (fdtable, 4),
    "MAX_ENTERS": (files, 1),
    "MAX_ENTER_SIZE": (files, 64),
    "MAX_PASSED_FDS": (messages, 2),
    "MAX_CPUS": (resources, 2),
    "MAX_USERS": (users, 2),
    "MAX_SHARED_CGROUPS": (zones, 2),
}


@contextmanager
def small() -> Iterator[None]:
    before = {name: getattr(module, name) for name, (module, _) in LIMITS.items()}
    try:
        for name, (module, value) in LIMITS.items():
            setattr(module, name, value)
        yield
    finally:
        for name, (module, _) in LIMITS.items():
            setattr(module, name, before[name])


def corpus() -> list[bytes]:
    """As state.py, and events that make a zone grow beyond each of the limits."""
    long = b"A=" + b"x" * 60
    files_of_all = [state.step(t.PPME_SYSCALL_OPENAT_2_X, tid, fd=fd, name=b"a") for fd in range(4) for tid in range(1, 8)]
    forks = [state.step(t.PPME_SYSCALL_FORK_20_X, tid, res=tid + 1, tid=tid, pid=tid, ptid=1) for tid in (1, 2, 5, 6)]
    return state.corpus() + [
        b"".join(each)
        for each in (
            files_of_all,
            files_of_all[:7] + forks + files_of_all[7:],
            [state.step(t.PPME_SYSCALL_CLOSE_X, tid, fd=1) for tid in (100, 0, 1 << 62, 1)] * 4,
            [state.step(t.PPME_SYSCALL_EXECVE_19_X, tid, args=long, env=long, cgroups=long, tid=tid, pid=tid) for tid in range(1, 8)],
            [state.step(t.PPME_SYSCALL_EXECVE_19_X, 1, cgroups=b"cpu=/%d" % number, tid=1, pid=1) for number in range(4)],
            [state.step(t.PPME_USER_ADDED_E, 1, uid=uid, name=b"a") for uid in range(4)],
            [state.step(t.PPME_GROUP_ADDED_E, 1, gid=gid, name=b"a") for gid in range(4)],
            [state.step(t.PPME_SCHEDSWITCH_6_E, 1, cpu, next=2) for cpu in range(4)],
            [state.step(t.PPME_PROCEXIT_1_E, tid, reaper_tid=1) for tid in (7, 6, 5, 4, 3, 2)] + files_of_all[:7],
        )
    ]


def keeps_to_its_limits(zone: ZoneState) -> None:
    table = zone.table
    assert len(table.threads) <= LIMITS["MAX_THREADS"][1]
    assert len(table.exited) <= LIMITS["MAX_RECENTLY_EXITED"][1]
    assert table.fd_budget.entries <= LIMITS["MAX_ZONE_FDS"][1]
    assert all(thread.fds is None or len(thread.fds) <= LIMITS["MAX_FDS"][1] for thread in table.threads.values())
    held = {id(one): one.raw for thread in table.threads.values() for one in (thread.args, thread.env, thread.cgroups)}
    assert sum(map(len, held.values())) <= LIMITS["MAX_ZONE_TEXT"][1]  # names count, and are kept where the others no longer are
    assert len(zone.enters) <= LIMITS["MAX_ENTERS"][1] and len(zone.switches) <= LIMITS["MAX_CPUS"][1]
    assert len(zone.users.users) <= LIMITS["MAX_USERS"][1] and len(zone.users.groups) <= LIMITS["MAX_USERS"][1]
    assert len(zone.cgroups) <= LIMITS["MAX_SHARED_CGROUPS"][1]


def one(data: bytes) -> None:
    with small():
        zone = state.played(Dice(data), keeps_to_its_limits)
        again = zone_from(tuple(export_threads(zone)))
        invariants.check(again)
        keeps_to_its_limits(again)
        assert again.threads.keys() == state.lasting(zone)
