"""What holds after every event, whatever a zone sends."""

from __future__ import annotations

from edera_falcod.state.fd import Fd
from edera_falcod.state.fdtable import LOW, FdMap, FdTable, kind_byte
from edera_falcod.state.thread import Strings
from edera_falcod.state.zone import ZoneState


def check(zone: ZoneState) -> None:
    threads_and_groups(zone)
    lineage_ends(zone)
    files_are_counted(zone)
    texts_are_counted(zone)


def threads_and_groups(zone: ZoneState) -> None:
    for tid, thread in zone.threads.items():
        assert thread.tid == tid
        group = thread.group
        if group is None:
            assert thread.is_invalid(), f"thread {tid} without a group"
            assert not thread.children, f"placeholder {tid} with children"
        else:
            assert zone.table.groups.get(thread.pid) is group and group.pid == thread.pid
            assert group.threads.get(tid) is thread
            if thread.ptid != 0:
                assert zone.threads[thread.ptid].children.get(tid) is thread, f"thread {tid} is no child of its parent"
        for child_tid, child in thread.children.items():
            assert zone.threads.get(child_tid) is child and child.ptid == tid and child.group is not None
    for pid, group in zone.table.groups.items():
        assert group.threads, f"orphan group {pid}"
        assert group.alive == sum(not thread.is_dead() for thread in group.threads.values())
        assert all(zone.threads.get(tid) is thread for tid, thread in group.threads.items())
        assert group.main is None or group.threads.get(group.main.tid) is group.main
    grouped = sum(len(group.threads) for group in zone.table.groups.values())
    assert grouped == sum(thread.group is not None for thread in zone.threads.values())


def lineage_ends(zone: ZoneState) -> None:
    for thread in zone.threads.values():
        step, steps = thread, 0
        while step.ptid in zone.threads and step.ptid != 0 and step.group is not None:
            step = zone.threads[step.ptid]
            steps += 1
            assert steps <= len(zone.threads), f"a ring of parents above {thread.tid}"


def files_are_counted(zone: ZoneState) -> None:
    tables: list[FdTable] = [thread.fds for thread in zone.threads.values() if thread.fds is not None]
    assert len({id(table) for table in tables}) == len(tables), "two threads own one table"
    maps: dict[int, FdMap] = {}
    users: dict[int, int] = {}
    owned: dict[int, int] = {}
    for table in tables:
        maps[id(table.map)] = table.map
        users[id(table.map)] = users.get(id(table.map), 0) + 1
        kinds: dict[int, int] = {}
        for fd in table.fds.values():
            kinds[fd.kind] = kinds.get(fd.kind, 0) + 1
        assert kinds == table.kinds
        assert list(table.low) == [kind_byte(table.fds[number].kind) if number in table.fds else 0 for number in range(LOW)]
    for key, one in maps.items():
        assert one.users == users[key]
        for fd in one.fds.values():
            if fd.owner is one.generation:
                assert id(fd) not in owned, "an entry that two maps may change"
                owned[id(fd)] = key
    for key, one in maps.items():
        for fd in one.fds.values():
            assert owned.get(id(fd), key) == key, "a shared entry that one map may change"
    assert zone.table.fd_budget.entries == sum(len(one.fds) for one in maps.values())


def texts_are_counted(zone: ZoneState) -> None:
    held: dict[int, Strings] = {}
    holders: dict[int, int] = {}
    total = 0
    for thread in zone.threads.values():
        total += thread.text
        assert thread.text == len(thread.comm) + len(thread.exe) + len(thread.exepath) + len(thread.cwd) + len(thread.root)
        for strings in (thread.args, thread.env, thread.cgroups):
            if strings.raw:
                held[id(strings)] = strings
                holders[id(strings)] = holders.get(id(strings), 0) + 1
    for key, strings in held.items():
        assert strings.holders == holders[key]
        total += len(strings.raw)
    assert zone.table.text == total


def facts(fd: Fd) -> tuple[object, ...]:
    return (fd.kind, fd.flags, fd.open_flags, fd.name, fd.name_raw, fd.memory)
