"""Processes come, become other programs, and go: clone, execve, procexit, prctl (state-machine.md section 4; parsers.cpp).

A clone is told twice, by the caller and by the child, in any order, and either may be lost. Both sides can make the child;
whoever comes second finds it done. In a pid namespace the caller does not know the child's tid, so only the child's side
counts.
"""

from __future__ import annotations

from typing import Final

from ..scap.event import Event
from ..scap.tables import (
    PPM_CL_ACTIVE,
    PPM_CL_CHILD_IN_PIDNS,
    PPM_CL_CLONE_FILES,
    PPM_CL_CLONE_INVERTED,
    PPM_CL_CLONE_NEWPID,
    PPM_CL_CLONE_PARENT,
    PPM_CL_CLONE_THREAD,
    PPM_CL_CLONE_VFORK,
    PPM_CL_CLOSED,
    PPM_CL_IS_MAIN_THREAD,
    PPM_CL_NAME_CHANGED,
    PPM_CL_PIPE_DST,
    PPM_CL_PIPE_SRC,
    PPM_EXE_FROM_MEMFD,
    PPM_EXE_LOWER_LAYER,
    PPM_EXE_UPPER_LAYER,
    PPM_EXE_WRITABLE,
    PPM_PR_GET_CHILD_SUBREAPER,
    PPM_PR_SET_CHILD_SUBREAPER,
    PPME_PROCEXIT_1_E,
    PPME_SYSCALL_CLONE3_X,
    PPME_SYSCALL_CLONE_20_X,
    PPME_SYSCALL_EXECVE_19_X,
    PPME_SYSCALL_EXECVEAT_X,
    PPME_SYSCALL_FORK_20_X,
    PPME_SYSCALL_PRCTL_X,
    PPME_SYSCALL_VFORK_20_X,
)
from .limits import CLONE_STALE, MAX_ARGS, MAX_COMM, MAX_ENV, MAX_RAW_PATH
from .params import given, i64, returned, text, u32, u64
from .registry import parses
from .texts import cgroups_of, cut, cut_strings
from .thread import Thread
from .zone import ZoneState

MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
DELETED: Final = b" (deleted)"

# What of a thread's flags outlives an execve
KEPT_BY_EXEC: Final = PPM_CL_PIPE_SRC | PPM_CL_PIPE_DST | PPM_CL_IS_MAIN_THREAD | PPM_CL_CLONE_INVERTED
# The caller cannot name the child by its return value
CHILD_SPEAKS: Final = PPM_CL_CHILD_IN_PIDNS | PPM_CL_CLONE_NEWPID | PPM_CL_CLONE_PARENT


@parses(PPME_SYSCALL_CLONE_20_X, PPME_SYSCALL_CLONE3_X, PPME_SYSCALL_FORK_20_X, PPME_SYSCALL_VFORK_20_X)
def clone(zone: ZoneState, event: Event) -> None:
    result = returned(event.params)
    if result == 0:
        clone_child(zone, event)
    elif result > 0:
        clone_caller(zone, event, result)


def clone_caller(zone: ZoneState, event: Event, child_tid: int) -> None:
    """The caller's side: repairs the caller if it is a placeholder, and makes the child unless that is the child's own business."""
    params = event.params
    ts = event.ts
    table = zone.table
    caller = table.placeholder(event.tid, ts)
    zone.thread = caller
    if caller is None:
        return
    known = not caller.is_invalid()
    if not known:
        caller.pid = i64(params, 4, -1)
        caller.ptid = i64(params, 5, -1)
        if given(params, 19):
            caller.vtid = i64(params, 18)
            caller.vpid = i64(params, 19)
        else:
            caller.vtid = event.tid
            caller.vpid = -1
        table.tie(caller)
        zone.changed(caller, True)
    flags = u32(params, 15)
    if flags & CHILD_SPEAKS != 0 or caller.vtid != event.tid:
        return
    if flags & PPM_CL_CLONE_VFORK != 0 or event.code == PPME_SYSCALL_VFORK_20_X:
        return  # the child has run, and maybe exited, before the caller comes back
    if table.exited_recently(child_tid, event.tid, ts):
        return
    if child_tid == event.tid:
        zone.counters.malformed_params += 1
        return
    existing = zone.threads.get(child_tid)
    if existing is not None:
        if existing.flags & PPM_CL_CLONE_INVERTED != 0:
            return  # the child made it
        table.remove(child_tid, ts)
        zone.counters.tid_collisions += 1

    child = Thread(child_tid, -1, -1)
    child.flags = flags
    child.last_access_ts = ts
    if flags & PPM_CL_CLONE_THREAD == 0:
        if known:
            inherit_process(zone, child, caller)
        child.pid = child_tid
        child.ptid = caller.tid
    else:
        child.pid = caller.pid
        child.ptid = caller.ptid
        child.flags |= PPM_CL_CLONE_FILES
        child.lastexec_ts = caller.lastexec_ts
    child.vtid = child.tid
    child.vpid = child.pid
    read_identity(zone, child, event)
    child.pidns_init_start_ts = zone.boot_epoch
    if known:
        inherit(child, caller)
    else:
        caller.exe = child.exe
        caller.comm = child.comm
        table.set_args(caller, child.args)
        table.charge(caller)
        zone.changed(caller, True)
    table.add(child, ts)
    if existing is not None:
        zone.prepare(event)


def clone_child(zone: ZoneState, event: Event) -> None:
    """The child's side: makes the child unless the caller's side just did."""
    params = event.params
    ts = event.ts
    table = zone.table
    tid = event.tid
    existing = zone.thread
    stale = False
    if existing is not None and existing.clone_ts != 0:
        if 0 <= ts - existing.clone_ts < CLONE_STALE:
            return
        table.remove(tid, ts)
        zone.counters.tid_collisions += 1
        zone.thread = None
        stale = True

    child = Thread(tid, i64(params, 4, -1), i64(params, 5, -1))
    child.last_access_ts = ts
    if given(params, 19):
        child.vtid = i64(params, 18)
        child.vpid = i64(params, 19)
    else:
        child.vtid = tid
        child.vpid = -1
    child.flags = u32(params, 15) | PPM_CL_CLONE_INVERTED
    leads = child.flags & PPM_CL_CLONE_THREAD == 0
    if not leads:
        child.flags |= PPM_CL_CLONE_FILES
    # The caller is not named: a process takes after its parent, a thread after its process
    source = table.placeholder(child.ptid if leads else child.pid, ts)
    if source is None:
        zone.thread = None
        return
    known = not source.is_invalid()
    if not known and not leads:
        source.pid = child.pid
        source.ptid = child.ptid
        source.vpid = child.vpid
        source.vtid = source.vpid
        table.tie(source)
    read_identity(zone, child, event)
    if known:
        inherit(child, source)
        if leads:
            inherit_process(zone, child, source)
        else:
            child.lastexec_ts = source.lastexec_ts
    elif not leads:
        source.exe = child.exe
        source.comm = child.comm
        table.set_args(source, child.args)
        table.charge(source)
        zone.changed(source, True)
    if child.flags & (PPM_CL_CHILD_IN_PIDNS | PPM_CL_CLONE_NEWPID) != 0 or child.vtid != tid:
        if given(params, 20):
            child.pidns_init_start_ts = u64(params, 20) + zone.boot_epoch
    else:
        child.pidns_init_start_ts = zone.boot_epoch
    zone.thread = child if table.add(child, ts) else None
    if stale:
        zone.prepare(event)


def read_identity(zone: ZoneState, child: Thread, event: Event) -> None:
    """What both sides of a clone tell of the child."""
    params = event.params
    child.exe = cut(zone, text(params, 1), MAX_RAW_PATH)
    child.args = cut_strings(zone, params, 2, MAX_ARGS)
    child.comm = cut(zone, text(params, 13), MAX_COMM) if given(params, 13) else child.exe
    child.fdlimit = i64(params, 7)
    read_memory(child, params)
    child.uid = u32(params, 16)
    child.gid = u32(params, 17)
    if given(params, 14):
        child.cgroups = cgroups_of(zone, params[14], child.cgroups)
    child.clone_ts = event.ts


def read_memory(thread: Thread, params: list[bytes]) -> None:
    """Page faults and sizes, which clone and execve have in the same places, all or none."""
    if given(params, 12):
        thread.pfmajor = u64(params, 8)
        thread.pfminor = u64(params, 9)
        thread.vmsize_kb = u32(params, 10)
        thread.vmrss_kb = u32(params, 11)
        thread.vmswap_kb = u32(params, 12)


def inherit(child: Thread, source: Thread) -> None:
    """What the event does not tell and a child has from the thread that it takes after."""
    child.exepath = source.exepath
    child.exe_writable = source.exe_writable
    child.exe_upper_layer = source.exe_upper_layer
    child.exe_lower_layer = source.exe_lower_layer
    child.exe_from_memfd = source.exe_from_memfd
    child.root = source.root
    child.sid = source.sid
    child.vpgid = source.vpgid
    child.pgid = source.pgid
    child.tty = source.tty
    child.loginuid = source.loginuid
    child.cap_permitted = source.cap_permitted
    child.cap_inheritable = source.cap_inheritable
    child.cap_effective = source.cap_effective
    child.exe_ino = source.exe_ino
    child.exe_ino_ctime = source.exe_ino_ctime
    child.exe_ino_mtime = source.exe_ino_mtime
    child.exe_ino_ctime_duration_clone_ts = source.exe_ino_ctime_duration_clone_ts
    if child.args.raw == source.args.raw:
        child.args = source.args


def inherit_process(zone: ZoneState, child: Thread, source: Thread) -> None:
    """What only main threads have: files (copied even where CLONE_FILES shares them, as libsinsp has it), directory, environment."""
    files = zone.fd_table(source)
    if files is not None:
        child.fds = files.fork()
    child.cwd = zone.cwd(source)
    child.env = source.env


@parses(PPME_SYSCALL_EXECVE_19_X, PPME_SYSCALL_EXECVEAT_X)
def execve(zone: ZoneState, event: Event) -> None:
    """A new program in an old process. A placeholder becomes a thread like any other."""
    params = event.params
    thread = zone.thread
    if returned(params) < 0 or thread is None:
        return
    table = zone.table
    group = thread.group
    if thread.is_dead():  # another thread took the dead main thread's place
        thread.flags &= ~PPM_CL_CLOSED
        if group is not None:
            group.alive += 1
    thread.exe = cut(zone, text(params, 1), MAX_RAW_PATH)
    thread.lastexec_ts = event.ts
    thread.comm = cut(zone, text(params, 13), MAX_COMM) if given(params, 13) else thread.exe
    table.set_args(thread, cut_strings(zone, params, 2, MAX_ARGS))
    pid = i64(params, 4, -1)
    if group is None:
        thread.pid = pid
        if thread.is_invalid():
            thread.ptid = i64(params, 5, -1)
            if thread.flags & PPM_CL_CHILD_IN_PIDNS == 0:
                thread.vtid = thread.tid
                thread.vpid = thread.pid
        table.tie(thread)
    elif pid != thread.pid:
        zone.counters.malformed_params += 1  # an execve cannot leave its process
    thread.fdlimit = i64(params, 7)
    read_memory(thread, params)
    if given(params, 15):
        table.set_env(thread, cut_strings(zone, params, 15, MAX_ENV))
    if given(params, 14):
        table.set_cgroups(thread, cgroups_of(zone, params[14], thread.cgroups))
    read_program(thread, params)
    if given(params, 27):
        set_exepath(zone, thread, text(params, 27))
    table.charge(thread)

    files = zone.fd_table(thread)
    if files is not None:
        for number in [number for number, fd in files.fds.items() if fd.closes_on_exec()]:
            files.remove(number)
    thread.flags = thread.flags & KEPT_BY_EXEC | PPM_CL_ACTIVE | PPM_CL_NAME_CHANGED
    group = thread.group
    if group is not None and group.alive > 1:
        for other in list(group.threads.values()):
            if not other.is_main() and other is not thread:
                table.remove(other.tid, event.ts)
    zone.changed(thread, True)


def read_program(thread: Thread, params: list[bytes]) -> None:
    """Terminal, groups, credentials and the executable's inode, as execve tells them; each is kept where the event has none, but pgid."""
    if given(params, 16):
        thread.tty = u32(params, 16)
    if given(params, 17):
        thread.vpgid = i64(params, 17)
    if given(params, 18):
        thread.loginuid = u32(params, 18)
    if given(params, 19):
        flags = u32(params, 19)
        thread.exe_writable = flags & PPM_EXE_WRITABLE != 0
        thread.exe_upper_layer = flags & PPM_EXE_UPPER_LAYER != 0
        thread.exe_from_memfd = flags & PPM_EXE_FROM_MEMFD != 0
        thread.exe_lower_layer = flags & PPM_EXE_LOWER_LAYER != 0
    if given(params, 22):
        thread.cap_inheritable = u64(params, 20)
        thread.cap_permitted = u64(params, 21)
        thread.cap_effective = u64(params, 22)
    if given(params, 25):
        thread.exe_ino = u64(params, 23)
        thread.exe_ino_ctime = u64(params, 24)
        thread.exe_ino_mtime = u64(params, 25)
        if thread.clone_ts != 0:
            thread.exe_ino_ctime_duration_clone_ts = (thread.clone_ts - thread.exe_ino_ctime) & MASK64
        start = thread.pidns_init_start_ts
        if start != 0 and thread.exe_ino_ctime > start:
            thread.exe_ino_ctime_duration_pidns_start = thread.exe_ino_ctime - start
    if given(params, 26):
        thread.uid = u32(params, 26)
    thread.pgid = i64(params, 28, -1)
    if given(params, 29):
        thread.gid = u32(params, 29)


def set_exepath(zone: ZoneState, thread: Thread, path: bytes) -> None:
    """The kernel marks the path of a file that is no more."""
    path = cut(zone, path, MAX_RAW_PATH)
    if len(path) > len(DELETED) and path.endswith(DELETED):
        path = path[: -len(DELETED)]
    thread.exepath = path


@parses(PPME_PROCEXIT_1_E)
def procexit(zone: ZoneState, event: Event) -> None:
    """Marks the thread dead; it is removed before the next event, so that rules on this one still see it."""
    thread = zone.thread
    if thread is None:
        return
    if not thread.is_dead():
        thread.flags |= PPM_CL_CLOSED
        group = thread.group
        if group is not None:
            group.alive -= 1
    zone.doomed = True
    zone.doomed_tid = event.tid
    if not thread.children:
        return
    if len(event.params) > 4:
        if given(event.params, 4):
            thread.reaper_tid = i64(event.params, 4, -1)
    else:
        thread.reaper_tid = -1


@parses(PPME_SYSCALL_PRCTL_X)
def prctl(zone: ZoneState, event: Event) -> None:
    """Orphans come to a process that calls itself a subreaper. PR_SET_NAME changes nothing here, as in libsinsp."""
    thread = zone.thread
    if returned(event.params) < 0 or thread is None or thread.group is None:
        return
    option = u32(event.params, 1)
    if option in (PPM_PR_SET_CHILD_SUBREAPER, PPM_PR_GET_CHILD_SUBREAPER):
        thread.group.reaper = i64(event.params, 3) != 0
