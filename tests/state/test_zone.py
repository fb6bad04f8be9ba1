"""How an event finds its thread and its file, and what a zone says of the event afterwards."""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.scap.event import Event
from edera_falcod.state import params, threadtable
from edera_falcod.state import zone as zone_module
from edera_falcod.state.fd import Fd
from edera_falcod.state.limits import MAX_FDS, MAX_SHARED_CGROUPS, PURGE_INTERVAL
from edera_falcod.state.preparation import BIRTH, DEATH, ENTER, EXIT, FD_POSITION, HAS_FD, LOOKUP, NOBODY, PREPARATION, USES_FD
from edera_falcod.state.registry import PARSERS, parses
from edera_falcod.state.zone import ZoneState

from .support import START, cloned, closed, event, event_of, executed, fd_of, feed, files_of, opened, small_zone, thread_of, told, zone_of


def test_every_fd_position_is_a_fd() -> None:
    for code, info in enumerate(t.EVENTS):
        assert USES_FD[code] == (FD_POSITION[code] >= 0), info.code_name
        if not info.old and info.params:
            assert USES_FD[code] == (info.flags & t.EF_USES_FD != 0), info.code_name
            if USES_FD[code]:
                assert info.params[FD_POSITION[code]].type == t.PT_FD, info.code_name
                assert HAS_FD[code]


@pytest.mark.parametrize("count", range(10))
def test_no_number_of_parameters_raises(count: int) -> None:
    """Old events too, which no driver sends any more: of the zone's bytes anything may be among them."""
    for code, info in enumerate(t.EVENTS):
        zone = small_zone()
        feed(zone, Event(START, 10, 0, code, [(7).to_bytes(8, "little")] * count))
        if info.flags & t.EF_USES_FD and not info.flags & t.EF_CREATES_FD:
            assert thread_of(zone, 10).last_fd == (7 if USES_FD[code] and count > FD_POSITION[code] else -1), info.code_name


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (t.PPME_SYSCALL_OPENAT_2_X, EXIT),
        (t.PPME_GENERIC_X, EXIT),
        (t.PPME_SYSCALL_OPEN_E, ENTER),
        (t.PPME_SIGNALDELIVER_E, ENTER),
        (t.PPME_SYSCALL_CLONE3_X, BIRTH),
        (t.PPME_SYSCALL_VFORK_20_X, BIRTH),
        (t.PPME_PROCEXIT_1_E, DEATH),
        (t.PPME_SCHEDSWITCH_6_E, LOOKUP),
        (t.PPME_PROCINFO_E, LOOKUP),
        (t.PPME_PAGE_FAULT_E, NOBODY),
        (t.PPME_DROP_E, NOBODY),
        (t.PPME_CPU_HOTPLUG_E, NOBODY),
        (t.PPME_CONTAINER_JSON_2_E, NOBODY),
        (t.PPME_USER_ADDED_E, NOBODY),
        (t.PPME_ASYNCEVENT_E, NOBODY),
    ],
)
def test_how_an_event_finds_its_thread(code: int, how: int) -> None:
    assert PREPARATION[code] == how


@pytest.mark.parametrize("how", [EXIT, ENTER])
def test_most_events_make_a_placeholder(how: int) -> None:
    code = t.PPME_SYSCALL_GETUID_X if how == EXIT else t.PPME_SIGNALDELIVER_E
    zone = small_zone()
    feed(zone, Event(START, 77, 0, code, []))
    thread = thread_of(zone, 77)
    assert zone.thread is thread and thread.is_invalid() and (thread.comm, thread.exe) == (b"<NA>", b"<NA>")
    assert thread.flags & t.PPM_CL_ACTIVE


@pytest.mark.parametrize("code", [t.PPME_SCHEDSWITCH_6_E, t.PPME_PROCINFO_E, t.PPME_PROCEXIT_1_E, t.PPME_PAGE_FAULT_E, t.PPME_DROP_E])
def test_some_events_make_none_but_know_who_is_there(code: int) -> None:
    zone = small_zone()
    feed(zone, Event(START, 77, 0, code, []))
    assert about(zone) == (None, -1) and 77 not in zone.threads
    feed(zone, Event(START, 10, 0, code, []))
    assert about(zone) == (10, -1)


def test_times() -> None:
    zone = small_zone()
    assert zone.prev_ts == 0
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=START, uid=0))
    assert zone.prev_ts == 0 and zone.ts == START
    feed(zone, event(t.PPME_DROP_E, 10, ts=START + 5, ratio=1))
    assert zone.prev_ts == START and zone.ts == START + 5


def about(zone: ZoneState) -> tuple[int | None, int]:
    """The event's tid, if the thread is known, and fd number."""
    return zone.thread.tid if zone.thread is not None else None, zone.fd_num


def attached(zone: ZoneState) -> tuple[int, bytes | None, bool, bool]:
    """The event's fd number, the name of its file if known, whether libsinsp attached it, whether its name changed."""
    name = zone.fd.name if zone.fd is not None else None
    return zone.fd_num, name, zone.event_fd is not None, zone.fd_name_changed


def test_the_fd_of_an_event() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/x"))
    assert attached(zone) == (5, b"/x", True, True)
    for read, expected in (
        (event(t.PPME_SYSCALL_READ_X, 10, res=1, data=b"x", fd=5, size=1), (5, b"/x", True, False)),
        (event(t.PPME_SYSCALL_READ_X, 10, res=-9, fd=77, size=1), (77, None, False, False)),
        (event(t.PPME_SYSCALL_MKDIRAT_X, 10, res=0, dirfd=t.PPM_AT_FDCWD, path="/d"), (t.PPM_AT_FDCWD, None, False, False)),
        (event(t.PPME_SYSCALL_READ_X, 10, res=-9), (-1, None, False, False)),
        (event(t.PPME_SYSCALL_GETUID_X, 10, uid=0), (-1, None, False, False)),
        # A thread without a process has no files but its own
        (event(t.PPME_SYSCALL_READ_X, -5, res=1, fd=5, size=1), (5, None, False, False)),
    ):
        feed(zone, read)
        assert attached(zone) == expected


def test_an_accept_without_addresses_shows_what_has_the_number() -> None:
    """libsinsp attaches no file to the event, and its fields look the number up."""
    zone = small_zone()
    feed(zone, opened(10, 5, "/stale"), event(t.PPME_SOCKET_ACCEPT_5_X, 10, fd=5))
    assert zone.event_fd is None and zone.fd is fd_of(zone, 10, 5) and not zone.fd_name_changed


def test_codes_that_do_not_exist() -> None:
    zone = small_zone()
    for code in (-1, t.PPM_EVENT_MAX, 10**6):
        feed(zone, Event(START, 10, 0, code, [b"x"]))
        assert zone.thread is thread_of(zone, 10)


def test_a_parser_is_registered_once() -> None:
    def other(zone: ZoneState, event: Event) -> None:
        pass

    with pytest.raises(ValueError, match="two parsers"):
        parses(t.PPME_SYSCALL_OPEN_X)(other)
    assert PARSERS[t.PPME_SYSCALL_OPEN_X] is not other
    for code, parser in enumerate(PARSERS):
        assert parser is None or not t.EVENTS[code].old


def test_versions_grow_with_what_blocks_show() -> None:
    zone = small_zone()
    thread = thread_of(zone, 10)
    version, epoch = thread.version, zone.identity_epoch
    feed(zone, opened(10, 5, "/x"), event(t.PPME_SYSCALL_BRK_4_X, 10, res=0, vm_size=1, vm_rss=1, vm_swap=1), closed(10, 5))
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, uid=0))
    assert (thread.version, zone.identity_epoch) == (version, epoch)
    for change, others in (
        (event(t.PPME_SYSCALL_SETUID_X, 10, res=0, uid=5), False),
        (event(t.PPME_SYSCALL_CHDIR_X, 10, res=0, path="/else"), False),
        (event(t.PPME_SYSCALL_SETSID_X, 10, res=5), True),
        (executed(10), True),
    ):
        version, epoch = thread.version, zone.identity_epoch
        feed(zone, change)
        assert thread.version > version and (zone.identity_epoch > epoch) == others, change.code
    epoch = zone.identity_epoch
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10))
    assert zone.identity_epoch > epoch


def test_a_new_parent_is_a_change_of_the_child() -> None:
    from .support import exited, quiet

    zone = small_zone()
    feed(zone, cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10), exited(10, reaper=1))
    child = thread_of(zone, 30)
    version, epoch = child.version, zone.identity_epoch
    quiet(zone, 20)
    assert child.ptid == 1 and child.version > version and zone.identity_epoch > epoch


def test_cgroups_that_are_the_same_are_one() -> None:
    zone = small_zone()
    feed(zone, executed(10, cgroups=["cpu=/a"]), executed(20, cgroups=["cpu=/a"]))
    assert thread_of(zone, 10).cgroups is thread_of(zone, 20).cgroups


def test_arguments_of_a_child_are_its_parents_if_they_are_the_same() -> None:
    zone = small_zone()
    feed(zone, executed(10, args=["-c", "x"]), cloned(t.PPME_SYSCALL_CLONE_20_X, 30, 0, pid=30, ptid=10, args=["-c", "x"]))
    assert thread_of(zone, 30).args is thread_of(zone, 10).args and thread_of(zone, 30).env is thread_of(zone, 10).env


def test_local_addresses_may_be_set_as_a_whole() -> None:
    zone = zone_of(told(1, ptid=0))
    zone.local_ips = frozenset([b"\x7f\0\0\1", bytes([10, 0, 0, 5])])
    assert zone.local_ips == frozenset([b"\x7f\0\0\1", bytes([10, 0, 0, 5])])
    assert zone.interfaces.guess4(b"\x7f\0\0\2") == b"\x7f\0\0\1"


def test_parameters_of_a_wrong_length_read_as_absent() -> None:
    zone = small_zone()
    for code, info in enumerate(t.EVENTS):
        if PARSERS[code] is None:
            continue
        for size in (0, 1, 3, 9, 70):
            feed(zone, Event(START, 10, 0, code, [b"\1" * size for _ in info.params]))
            feed(zone, event_of(code, 10, {}))
    assert zone.find_thread(1) is not None


def test_nobodys_files() -> None:
    """An event without a thread, and one whose thread has no files: nothing is added or changed."""
    zone = zone_of(told(1, ptid=0), told(23, pid=99))
    for tid in (None, 23):
        zone.thread = None if tid is None else thread_of(zone, tid)
        zone.event_fd = Fd(t.SCAP_FD_FIFO)
        found = [zone.change_fd()]
        zone.fd_changed(t.SCAP_FD_FIFO)
        zone.add_fd(5, Fd(t.SCAP_FD_FIFO))
        assert [*found, zone.event_fd, zone.change_fd()] == [None, None, None]
    assert zone.table.fd_budget.entries == 0


def test_a_process_with_as_many_files_as_there_may_be() -> None:
    zone = small_zone()
    for number in range(3, MAX_FDS):
        feed(zone, opened(10, number, "/x"))
    feed(zone, opened(10, MAX_FDS, "/one more"))
    assert zone.event_fd is None and zone.fd is None and zone.fd_num == MAX_FDS and zone.counters.fds_refused == 1


def test_relatives() -> None:
    zone = small_zone()
    feed(zone, opened(999, 3, "/x"))
    shell, thread, stranger = thread_of(zone, 10), thread_of(zone, 21), thread_of(zone, 999)
    assert zone.main_thread(thread) is thread_of(zone, 20) and zone.parent(shell) is thread_of(zone, 1)
    assert zone.ancestor(thread, 1) is thread_of(zone, 1) and zone.lineage(shell, 5) == [thread_of(zone, 1)]
    leaders = (zone.session_leader(thread), zone.vpgid_leader(thread), zone.pgid_leader(thread))
    assert leaders == (thread_of(zone, 20),) * 3
    assert (zone.nthreads(thread), zone.nchilds(thread), zone.nthreads(stranger), zone.nchilds(stranger)) == (3, 2, 0, 0)
    thread_of(zone, 20).flags |= t.PPM_CL_CLOSED
    zone.table.groups[20].alive -= 1
    assert (zone.nthreads(thread), zone.nchilds(thread)) == (2, 2), "all that live are but its main thread"
    assert zone.cwd(thread) == b"/home/" and zone.cwd(stranger) == b"./"


@pytest.mark.parametrize("removes", [True, False])
def test_a_file_whose_process_is_gone_when_it_would_be_closed(removes: bool) -> None:
    """Of a placeholder, which nobody has heard of for longer than such are kept."""
    zone = small_zone()
    zone.removes_threads = removes
    feed(zone, opened(999, 3, "/x"), closed(999, 3))
    start = zone.ts
    quiet_at = [start + 1, start + PURGE_INTERVAL * 2]
    zone.closed = False
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=quiet_at[0], uid=0), closed(999, 3))
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, ts=quiet_at[1], uid=0))
    assert (999 in zone.threads) is not removes and not zone.closed


def test_enter_events_count_only_for_the_exit_right_behind_them() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_OPEN_E, 10, name="/enter", flags=2))
    exit_ = event(t.PPME_SYSCALL_OPEN_X, 10, fd=5, name="/exit", flags=1)
    assert zone.enter_event(exit_) is None
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 10, uid=0), exit_)
    assert fd_of(zone, 10, 5).name == b"/exit"
    zone.thread = None
    assert zone.enter_event(exit_) is None


def test_the_fd_of_an_enter_event_is_that_of_its_exit() -> None:
    zone = small_zone()
    feed(zone, opened(10, 5, "/five"), opened(10, 6, "/six"))
    feed(zone, event(t.PPME_SOCKET_CONNECT_E, 10, fd=5), event(t.PPME_SOCKET_CONNECT_X, 10, res=-88, fd=6))
    assert zone.fd_num == 5 and zone.fd is fd_of(zone, 10, 5)
    feed(zone, event(t.PPME_SOCKET_CONNECT_X, 10, res=-88, fd=6))
    assert zone.fd_num == 6


def test_a_zone_of_strangers_shares_control_groups_only_so_long() -> None:
    zone = small_zone()
    zone.cgroups.clear()
    for number in range(MAX_SHARED_CGROUPS + 5):
        feed(zone, executed(10, cgroups=[f"cpu=/{number}"]))
    assert len(zone.cgroups) == 5 and thread_of(zone, 10).cgroups.items == [b"cpu=/%d" % (MAX_SHARED_CGROUPS + 4)]


def test_no_room_for_an_events_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = small_zone()
    monkeypatch.setattr(threadtable, "MAX_THREADS", len(zone.threads))
    feed(zone, event(t.PPME_SYSCALL_GETUID_X, 777, uid=0))
    assert zone.thread is None and zone.fd_num == -1 and zone.counters.threads_refused == 1


def test_counters_are_told_by_name() -> None:
    zone = small_zone()
    feed(zone, opened(999, 3, "/x"))
    told_of = dict(zone.counters.items())
    assert (told_of["placeholders"], told_of["threads_added"], told_of["snapshots"]) == (1, 6, 1)
    assert all(getattr(zone.counters, name) == value for name, value in told_of.items())


def test_parameters() -> None:
    values = [b"\1\2\3\4\5\6\7\x88", b"\1\2\3\x84", b"\1\x82", b"\x81", b"", b"text\0rest", b"(NULL)\0", b"text"]
    assert [params.i64(values, index, -7) for index in range(9)] == [-0x77F8F9FAFBFCFDFF, *[-7] * 8]
    assert [params.u64(values, index) for index in range(9)] == [0x8807060504030201, *[0] * 6, 0, 0]
    assert [params.u32(values, index) for index in range(9)] == [0, 0x84030201, *[0] * 5, int.from_bytes(b"text", "little"), 0]
    assert [params.u16(values, index) for index in range(9)] == [0, 0, 0x8201, *[0] * 6]
    assert [params.u8(values, index) for index in range(9)] == [0, 0, 0, 0x81, *[0] * 5]
    assert [params.given(values, index) for index in range(9)] == [True, True, True, True, False, True, True, True, False]
    assert [params.text(values, index) for index in (4, 5, 6, 7, 8)] == [b"<NA>", b"text", b"<NA>", b"text", b"<NA>"]
    found = [params.returned(values[index:]) for index in range(9)]
    assert found[:2] == [-0x77F8F9FAFBFCFDFF, -0x7BFCFDFF] and found[2:7] == [0] * 5 and found[8] == 0


def test_files_of_a_thread_are_its_process_s() -> None:
    zone = small_zone()
    feed(zone, opened(21, 5, "/x"))
    assert zone.event_fd is fd_of(zone, 20, 5)
    fd = zone.change_fd()
    assert fd is not None and fd is zone.event_fd
    kind, fd.kind = fd.kind, t.SCAP_FD_FIFO
    zone.fd_changed(kind)
    assert files_of(zone, 22).kinds == {t.SCAP_FD_FIFO: 1}


def test_runs_of_events_find_their_threads_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one found is found without the table, but not when the table has changed."""
    monkeypatch.setattr(zone_module, "COMPILED", True)
    zone = small_zone()
    first = thread_of(zone, 10)
    for _ in range(2):
        feed(zone, closed(10, 77))
        assert zone.thread is first
    feed(zone, closed(1, 77), closed(10, 77))
    assert zone.thread is first
    zone.table.remove(10, START)
    feed(zone, event(t.PPME_PROCINFO_E, 10, cpu_usr=1, cpu_sys=1))
    assert [zone.thread] == [None]  # mypy takes it for first still
    feed(zone, closed(10, 77))
    assert zone.thread is not None and zone.thread is not first and zone.thread is zone.threads[10]
