"""clone from both sides, execve, exits, reapers."""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state.thread import Thread
from edera_falcod.state.threadtable import ThreadTable
from edera_falcod.state.zone import ZoneState

from .support import (
    SECOND,
    START,
    Value,
    check_stranger,
    check_without_main,
    cloned,
    codes_of,
    event,
    event_of,
    executed,
    exited,
    fd_of,
    feed,
    files_of,
    has_fd,
    opened,
    quiet,
    small_zone,
    thread_of,
    told,
    zone_of,
)

CLONES = [t.PPME_SYSCALL_CLONE_20_X, t.PPME_SYSCALL_CLONE3_X, t.PPME_SYSCALL_FORK_20_X]


def check_child(zone: ZoneState, tid: int) -> None:
    child = thread_of(zone, tid)
    assert (child.pid, child.ptid, child.vtid, child.vpid) == (tid, 10, tid, tid)
    assert (child.comm, child.exe, child.args.items) == (b"child", b"/bin/child", [b"-c", b"x"])
    assert (child.uid, child.gid, child.fdlimit) == (5, 6, 1024)
    assert (child.pfmajor, child.pfminor, child.vmsize_kb, child.vmrss_kb) == (1, 2, 100, 50)
    assert child.cgroups.items == [b"cpu=/a"]
    # From the parent, whom the event does not quote
    assert (child.exepath, child.sid, child.pgid, child.vpgid, child.tty) == (b"/bin/exe10", 10, 10, 10, 34816)
    assert (child.cwd, child.env.items, child.root) == (b"/home/", [b"A=1", b"B=2"], b"/")
    assert fd_of(zone, tid, 2).name == b"/dev/pts/0"
    assert child.lastexec_ts == 0
    assert zone.nthreads(child) == 1 and zone.nchilds(child) == 0
    parent = zone.parent(child)
    assert parent is not None and parent.tid == 10


@pytest.mark.parametrize("code", CLONES)
def test_either_side_makes_the_child(code: int) -> None:
    caller = small_zone()
    feed(caller, cloned(code, 10, 30, pid=10, ptid=1))
    check_child(caller, 30)
    assert caller.thread is thread_of(caller, 10)
    child = small_zone()
    feed(child, cloned(code, 30, 0, pid=30, ptid=10))
    check_child(child, 30)
    assert child.thread is thread_of(child, 30)


@pytest.mark.parametrize("code", CLONES)
@pytest.mark.parametrize("caller_first", [True, False])
def test_the_second_side_changes_nothing(code: int, caller_first: bool) -> None:
    zone = small_zone()
    sides = [cloned(code, 10, 30, pid=10, ptid=1, ts=START), cloned(code, 30, 0, pid=30, ptid=10, ts=START + 5)]
    if not caller_first:
        sides.reverse()
    feed(zone, sides[0])
    made = thread_of(zone, 30)
    feed(zone, sides[1])
    assert thread_of(zone, 30) is made
    check_child(zone, 30)


def test_a_clone_that_failed_changes_nothing() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, -11, pid=10, ptid=1))
    assert len(zone.threads) == 5


def test_the_caller_leaves_some_children_to_themselves() -> None:
    for flags, code in (
        (t.PPM_CL_CHILD_IN_PIDNS, t.PPME_SYSCALL_CLONE_20_X),
        (t.PPM_CL_CLONE_NEWPID, t.PPME_SYSCALL_CLONE_20_X),
        (t.PPM_CL_CLONE_PARENT, t.PPME_SYSCALL_CLONE_20_X),
        (t.PPM_CL_CLONE_VFORK, t.PPME_SYSCALL_CLONE3_X),
        (0, t.PPME_SYSCALL_VFORK_20_X),
    ):
        zone = small_zone()
        feed(zone, cloned(code, 10, 30, pid=10, ptid=1, flags=flags))
        assert zone.find_thread(30) is None
    zone = zone_of(told(1, ptid=0), told(10, vtid=3, vpid=3))
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 30, pid=10, ptid=1))
    assert zone.find_thread(30) is None


@pytest.mark.parametrize("code", CLONES)
def test_threads_share_what_their_process_has(code: int) -> None:
    for zone, side in (
        (small_zone(), cloned(code, 10, 30, pid=10, ptid=1, flags=t.PPM_CL_CLONE_THREAD)),
        (small_zone(), cloned(code, 30, 0, pid=10, ptid=1, flags=t.PPM_CL_CLONE_THREAD)),
    ):
        feed(zone, executed(10, ts=START), side)
        thread = thread_of(zone, 30)
        assert (thread.pid, thread.ptid, thread.is_main()) == (10, 1, False)
        assert thread.lastexec_ts == START
        assert thread.env.items == [] and thread.cwd == b"" and thread.fds is None
        assert zone.cwd(thread) == b"/home/"
        assert zone.fd_table(thread) is files_of(zone, 10)
        assert zone.nthreads(thread) == 2 and zone.nchilds(thread) == 1
        main = zone.main_thread(thread)
        assert main is not None and main.tid == 10


def test_a_child_of_an_unknown_caller_repairs_the_caller() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 50, 51, pid=50, ptid=10, comm="unseen", vtid=50, vpid=50))
    caller = thread_of(zone, 50)
    assert (caller.pid, caller.ptid, caller.comm, caller.args.items) == (50, 10, b"unseen", [b"-c", b"x"])
    child = thread_of(zone, 51)
    assert (child.ptid, child.comm, child.exepath, child.sid) == (50, b"unseen", b"", -1)
    assert not caller.is_invalid() and caller.group is not None


def test_a_thread_of_an_unknown_process_repairs_its_main_thread() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 61, 0, pid=60, ptid=10, flags=t.PPM_CL_CLONE_THREAD, vtid=3, vpid=2))
    main = thread_of(zone, 60)
    assert (main.pid, main.ptid, main.vtid, main.vpid, main.comm) == (60, 10, 2, 2, b"child")
    assert zone.nthreads(main) == 2


def test_a_child_of_an_unknown_parent_stands_alone() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 71, 0, pid=71, ptid=70))
    assert thread_of(zone, 70).is_invalid() and thread_of(zone, 70).comm == b"<NA>"
    child = thread_of(zone, 71)
    assert (child.ptid, child.exepath) == (0, b"") and zone.parent(child) is None


def test_a_tid_taken_anew_belongs_to_the_new_thread() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 30, pid=10, ptid=1, ts=START))
    first = thread_of(zone, 30)
    # Its exit was lost. The child's side of a later clone: older than 2 s, so another thread
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=20, comm="other", ts=START + 2 * SECOND))
    second = thread_of(zone, 30)
    assert second is not first and (second.comm, second.ptid) == (b"other", 20)
    # The caller's side: whatever its age, unless the child itself made it
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 30, pid=10, ptid=1, comm="third", ts=START + 2 * SECOND + 1))
    assert thread_of(zone, 30) is second
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 31, pid=10, ptid=1))
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 31, pid=10, ptid=1, comm="again"))
    assert thread_of(zone, 31).comm == b"again"
    assert zone.counters.tid_collisions == 2


def test_pidns_start_is_that_of_the_namespace_or_of_the_machine() -> None:
    zone = zone_of(told(1, ptid=0), told(10), boot_epoch=1000)
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 30, pid=10, ptid=1))
    assert thread_of(zone, 30).pidns_init_start_ts == 1000
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 31, 0, pid=31, ptid=10, vtid=1, vpid=1, pidns_init_start_ts=77))
    assert thread_of(zone, 31).pidns_init_start_ts == 1077


def test_execve_replaces_the_program() -> None:
    zone = small_zone()
    epoch, version = zone.identity_epoch, thread_of(zone, 10).version
    feed(zone, executed(10, ts=START, flags=t.PPM_EXE_WRITABLE | t.PPM_EXE_LOWER_LAYER))
    thread = thread_of(zone, 10)
    assert (thread.comm, thread.exe, thread.exepath) == (b"prog", b"/bin/prog", b"/usr/bin/prog")
    assert (thread.args.items, thread.env.items, thread.cgroups.items) == ([b"a", b"b"], [b"X=1"], [b"cpu=/a"])
    assert (thread.tty, thread.vpgid, thread.pgid, thread.loginuid, thread.uid, thread.gid) == (3, 7, 8, 1000, 0, 0)
    assert (thread.exe_writable, thread.exe_upper_layer, thread.exe_lower_layer, thread.exe_from_memfd) == (True, False, True, False)
    assert (thread.exe_ino, thread.exe_ino_ctime, thread.exe_ino_mtime, thread.cap_permitted) == (99, 5, 6, 1)
    assert thread.lastexec_ts == START
    assert zone.identity_epoch > epoch and thread.version > version


def test_execve_that_failed_changes_nothing() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_EXECVE_19_X, 10, res=-2, exe="x", comm="x"))
    assert thread_of(zone, 10).comm == b"comm10"


def test_execve_leaves_alone_what_it_does_not_tell() -> None:
    zone = small_zone()
    before = thread_of(zone, 10)
    env, tty, exepath, uid = before.env, before.tty, before.exepath, before.uid
    feed(zone, event(t.PPME_SYSCALL_EXECVE_19_X, 10, res=0, exe="/x/y", pid=10, ptid=1))
    after = thread_of(zone, 10)
    assert (after.env, after.tty, after.exepath, after.uid, after.comm) == (env, tty, exepath, uid, b"/x/y")
    assert after.pgid == -1 and after.args.items == []


def test_execve_from_a_thread_ends_the_others() -> None:
    zone = small_zone()
    feed(zone, executed(20))
    assert zone.find_thread(21) is None and zone.find_thread(22) is None
    assert zone.nthreads(thread_of(zone, 20)) == 1


def test_execve_wakes_the_dead_main_thread() -> None:
    """A thread calls execve after the main thread exited: the kernel gives it the main thread's tid."""
    zone = small_zone()
    feed(zone, exited(20))
    quiet(zone)
    main = thread_of(zone, 20)
    assert main.is_dead() and zone.nthreads(main) == 2
    feed(zone, executed(20))
    assert not main.is_dead() and zone.nthreads(main) == 1


def test_execve_cannot_leave_its_process() -> None:
    zone = small_zone()
    feed(zone, executed(21, pid=99))
    assert thread_of(zone, 21).pid == 20 and zone.counters.malformed_params == 1
    assert 99 not in zone.table.groups


def test_execve_makes_a_placeholder_a_thread() -> None:
    zone = small_zone()
    feed(zone, opened(80, 3, "/x"))
    assert thread_of(zone, 80).is_invalid() and zone.counters.placeholders == 1
    feed(zone, executed(80, pid=80, ptid=10))
    thread = thread_of(zone, 80)
    assert (thread.pid, thread.ptid, thread.vtid, thread.vpid) == (80, 10, 80, 80)
    assert zone.nthreads(thread) == 1 and has_fd(zone, 80, 3)


def test_the_dead_are_seen_until_the_next_event() -> None:
    zone = small_zone()
    feed(zone, exited(10))
    assert zone.thread is thread_of(zone, 10) and zone.nthreads(thread_of(zone, 10)) == 0
    quiet(zone, 20)
    assert zone.find_thread(10) is None
    assert 10 not in zone.table.groups


def test_a_main_thread_stays_as_long_as_its_process() -> None:
    zone = small_zone()
    feed(zone, opened(20, 3, "/kept"), exited(20))
    quiet(zone)
    assert zone.find_thread(20) is not None
    assert fd_of(zone, 21, 3).name == b"/kept"
    assert zone.nchilds(thread_of(zone, 21)) == 2
    feed(zone, exited(21))
    quiet(zone)
    assert zone.find_thread(21) is None and zone.find_thread(20) is not None
    feed(zone, exited(22))
    quiet(zone)
    assert zone.find_thread(22) is None and zone.find_thread(20) is None
    assert 20 not in zone.table.groups and zone.table.fd_budget.entries == 3


def family() -> ZoneState:
    """1 - 10 - 30 - 40 and a second thread 31 of process 30."""
    zone = small_zone()
    feed(
        zone,
        cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10),
        cloned(t.PPME_SYSCALL_CLONE_20_X, 40, 0, pid=40, ptid=30),
    )
    return zone


def test_orphans_go_where_the_kernel_says() -> None:
    zone = family()
    feed(zone, exited(30, reaper=10))
    quiet(zone)
    assert thread_of(zone, 40).ptid == 10
    assert zone.table.groups[10].reaper


def test_orphans_go_to_another_thread_of_the_process_first() -> None:
    zone = family()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 31, 0, pid=30, ptid=10, flags=t.PPM_CL_CLONE_THREAD), exited(30))
    quiet(zone)
    assert thread_of(zone, 40).ptid == 31
    parent = zone.parent(thread_of(zone, 40))
    assert parent is not None and parent.tid == 30  # the dead main thread of the living process


@pytest.mark.parametrize("reaper", [0, -1, 999])
def test_orphans_go_to_the_nearest_reaper_if_the_kernel_does_not_say(reaper: int) -> None:
    zone = family()
    feed(zone, exited(30, reaper=reaper))
    quiet(zone)
    assert thread_of(zone, 40).ptid == 1  # init is one from the start
    zone = family()
    feed(zone, event(t.PPME_SYSCALL_PRCTL_X, 10, res=0, option=t.PPM_PR_SET_CHILD_SUBREAPER, arg2_str="", arg2_int=1))
    feed(zone, exited(30, reaper=reaper))
    quiet(zone)
    assert thread_of(zone, 40).ptid == 10


def test_a_subreaper_may_resign() -> None:
    zone = family()
    for value in (1, 0):
        feed(zone, event(t.PPME_SYSCALL_PRCTL_X, 10, res=0, option=t.PPM_PR_SET_CHILD_SUBREAPER, arg2_str="", arg2_int=value))
        assert zone.table.groups[10].reaper is bool(value)
    feed(zone, event(t.PPME_SYSCALL_PRCTL_X, 10, res=-22, option=t.PPM_PR_SET_CHILD_SUBREAPER, arg2_int=1))
    feed(zone, event(t.PPME_SYSCALL_PRCTL_X, 10, res=0, option=t.PPM_PR_SET_NAME, arg2_str="me", arg2_int=1))
    assert not zone.table.groups[10].reaper


def test_no_reaper_beyond_the_pid_namespace() -> None:
    zone = small_zone()
    inside = t.PPM_CL_CHILD_IN_PIDNS
    feed(
        zone,
        cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10, flags=inside, vtid=2, vpid=2),
        cloned(t.PPME_SYSCALL_CLONE_20_X, 40, 0, pid=40, ptid=30, flags=inside, vtid=3, vpid=3),
        exited(30),
    )
    quiet(zone)
    assert thread_of(zone, 40).ptid == 0


def test_the_init_of_a_namespace_is_a_reaper() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10, flags=t.PPM_CL_CLONE_NEWPID, vtid=1, vpid=1))
    assert zone.table.groups[30].reaper


def test_a_reaper_below_the_dying_thread_is_not_believed() -> None:
    """A zone that names a child of the child as its parent would tie a knot."""
    zone = family()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 50, 0, pid=50, ptid=40), exited(30, reaper=50))
    quiet(zone)
    assert thread_of(zone, 40).ptid == 1 and zone.counters.cycles_cut == 1


def test_a_late_caller_does_not_bring_the_dead_back() -> None:
    zone = small_zone()
    feed(
        zone,
        cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10, ts=START),
        exited(30, ts=START + 10),
        cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 30, pid=10, ptid=1, ts=START + 20),
    )
    assert zone.find_thread(30) is None
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 30, pid=10, ptid=1, ts=START + 20 + 2 * SECOND))
    assert zone.find_thread(30) is not None


def test_without_removal_the_dead_stay() -> None:
    zone = family()
    zone.removes_threads = False
    feed(zone, exited(30, reaper=10))
    quiet(zone)
    assert thread_of(zone, 30).is_dead() and thread_of(zone, 40).ptid == 30


def test_lineage_and_leaders() -> None:
    zone = family()
    grandchild = thread_of(zone, 40)
    assert [thread.tid for thread in zone.lineage(grandchild, 10)] == [30, 10, 1]
    assert [thread.tid for thread in zone.lineage(grandchild, 2)] == [30, 10]
    found = [zone.ancestor(grandchild, n) for n in range(5)]
    assert [thread.tid if thread else None for thread in found] == [40, 30, 10, 1, None]
    leader = zone.session_leader(grandchild)
    assert leader is not None and leader.tid == 10  # by its id


def test_leaders_in_a_pid_namespace_are_the_oldest_relatives() -> None:
    """There sid and vpgid are numbers of the namespace: only ancestors with the same number can tell who is meant."""
    zone = zone_of(
        told(1, ptid=0, sid=1, pgid=1, vpgid=1),
        told(100, ptid=1, vtid=1, vpid=1, sid=1, vpgid=1, pgid=100),
        told(101, ptid=100, vtid=2, vpid=2, sid=2, vpgid=2, pgid=101),
        told(102, ptid=101, vtid=3, vpid=3, sid=2, vpgid=3, pgid=101),
        told(103, ptid=102, vtid=4, vpid=4, sid=2, vpgid=-1, pgid=-1),
    )
    last = thread_of(zone, 103)
    leader = zone.session_leader(last)
    assert leader is not None and leader.tid == 101
    assert zone.vpgid_leader(last) is None and zone.pgid_leader(last) is None
    middle = thread_of(zone, 102)
    group = zone.pgid_leader(middle)
    assert group is not None and group.tid == 101  # pgid is global: looked up
    assert zone.vpgid_leader(middle) is None  # no ancestor has it
    assert zone.session_leader(thread_of(zone, 101)) is None  # self is not asked


def test_ids_of_placeholders_can_be_led_by() -> None:
    table = ThreadTable(small_zone().counters)
    one = table.placeholder(5, 0)
    assert one is not None and table.placeholder(5, 0) is one
    assert table.leader(one, 0) is None and table.lineage(one, 5) == [] and table.ancestor(one, 0) is None


@pytest.mark.parametrize("tid", [300, 10])
def test_clones_that_do_not_tell_the_namespaces_ids(tid: int) -> None:
    """Then those of the zone are the same, and the process's is not known."""
    zone = small_zone()
    values: dict[str, Value] = {"exe": "/x", "comm": "x", "ptid": 1, "flags": 0}
    feed(zone, event_of(t.PPME_SYSCALL_CLONE_20_X, 300, {"res": 301, "pid": 300, **values}))
    assert (thread_of(zone, 300).pid, thread_of(zone, 300).vtid, thread_of(zone, 300).vpid) == (300, 300, -1)
    feed(zone, event_of(t.PPME_SYSCALL_CLONE_20_X, 302, {"res": 0, "pid": 302, **values}))
    child = thread_of(zone, 302)
    assert (child.vtid, child.vpid, child.pidns_init_start_ts) == (302, -1, zone.boot_epoch)


def test_nobody_is_their_own_child() -> None:
    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 10, 10, pid=10, ptid=1))
    assert zone.counters.malformed_params == 1 and thread_of(zone, 10).comm == b"comm10"


def test_a_child_in_a_namespace_that_does_not_say_when_that_began() -> None:
    zone = zone_of(told(1, ptid=0), told(10), boot_epoch=1000)
    clone = cloned(t.PPME_SYSCALL_CLONE_20_X, 31, 0, pid=31, ptid=10, vtid=1, vpid=1)
    clone.params[20] = b""
    clone.params[14] = b""
    feed(zone, clone)
    assert thread_of(zone, 31).pidns_init_start_ts == 0 and thread_of(zone, 31).cgroups.items == []


def test_execve_of_a_placeholder_in_a_namespace_leaves_its_ids_there_alone() -> None:
    zone = small_zone()
    feed(zone, opened(80, 3, "/x"))
    thread_of(zone, 80).flags |= t.PPM_CL_CHILD_IN_PIDNS
    thread_of(zone, 80).vtid = 5
    feed(zone, executed(80, pid=80, ptid=10))
    assert (thread_of(zone, 80).vtid, thread_of(zone, 80).pid) == (5, 80)


def test_execve_of_a_dead_placeholder_and_of_one_that_says_no_pid() -> None:
    zone = small_zone()
    feed(zone, opened(80, 3, "/x"))
    thread_of(zone, 80).flags |= t.PPM_CL_CLOSED
    feed(zone, event(t.PPME_SYSCALL_EXECVE_19_X, 80, res=0, exe="/x", ptid=10))
    assert not thread_of(zone, 80).flags & t.PPM_CL_CLOSED and thread_of(zone, 80).is_invalid()
    thread = thread_of(zone, 80)
    thread.ptid = 10
    feed(zone, executed(80, pid=80, ptid=1))
    assert (thread.pid, thread.ptid) == (80, 10) and thread.group is not None


def test_execve_closes_what_is_to_be_closed() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x", t.PPM_O_CLOEXEC), opened(10, 6, "/y"), executed(10))
    assert sorted(files_of(zone, 10).fds) == [0, 1, 2, 6]


def test_how_old_an_executable_is() -> None:
    """Its inode's change time, before the thread's start and after the namespace's; a file that is no more says so."""
    zone = zone_of(told(1, ptid=0), told(10, pidns_init_start_ts=START, clone_ts=START + 9))
    feed(zone, executed(10, exe_ino_ctime=START + 5, trusted_exepath="/usr/bin/gone (deleted)"))
    thread = thread_of(zone, 10)
    assert (thread.exe_ino_ctime_duration_clone_ts, thread.exe_ino_ctime_duration_pidns_start) == (4, 5)
    assert thread.exepath == b"/usr/bin/gone"
    feed(zone, executed(10, exe_ino_ctime=START - 5, trusted_exepath=" (deleted)"))
    assert (thread.exe_ino_ctime_duration_pidns_start, thread.exepath) == (5, b" (deleted)"), "as it was: not after the start"


def test_an_exit_twice_and_one_of_a_placeholder() -> None:
    zone = family()
    zone.removes_threads = False
    alive = zone.table.groups[30].alive
    feed(zone, exited(30), exited(30))
    assert zone.table.groups[30].alive == alive - 1
    zone = small_zone()
    feed(zone, opened(80, 3, "/x"), exited(80))
    assert thread_of(zone, 80).is_dead()
    quiet(zone)
    assert 80 not in zone.threads


@pytest.mark.parametrize(("params", "reaper"), [(5, -1), (4, -1), (3, -1)])
def test_exits_of_older_drivers_name_no_reaper(params: int, reaper: int) -> None:
    zone = family()
    old = exited(30, reaper=10)
    del old.params[params:]
    if params == 5:
        old.params[4] = b""
    feed(zone, old)
    assert thread_of(zone, 30).reaper_tid == reaper
    quiet(zone)
    assert thread_of(zone, 40).ptid == 1


@pytest.mark.parametrize("code", codes_of("process"))
def test_threads_that_are_not_known(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    check_without_main(code)
    check_stranger(monkeypatch, code)


def test_threads_of_a_table_that_is_no_more_let_go_of_one_another() -> None:
    thread = thread_of(family(), 30)
    assert thread.group is not None and list(thread.children) == [40]
    thread.part()
    assert [thread.group, thread.children, thread.main()] == [None, {}, thread]


def test_a_thread_has_one_table_of_files() -> None:
    zone = small_zone()
    thread = thread_of(zone, 10)
    made = Thread(4711, 4711, 1)
    assert [made.own_fds(zone.table.fd_budget) for _ in range(2)] == 2 * [made.fds]
    assert thread.own_fds(zone.table.fd_budget) is thread.fds
