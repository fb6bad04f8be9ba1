"""When blocks are made and when they are not, whom they name, and what they say of lineage, files and users."""

from __future__ import annotations

import pytest

from edera_falcod.fields import blocks, proc
from edera_falcod.fields.blocks import MAX_ANCESTORS, etype_block
from edera_falcod.fields.spec import Kind
from edera_falcod.scap import tables as t
from edera_falcod.scap.event import Event
from edera_falcod.state.block import Block
from edera_falcod.state.fdtable import LOW
from edera_falcod.state.zone import ZoneState
from tests.state.support import Value, event, event_of, inet_tuple, small_zone, thread_of, told, told_fd, unix_tuple, zone_of

from .watch import Watch

interpreted = pytest.mark.skipif(not blocks.__file__.endswith(".py"), reason="constants are compiled in")

def clone(parent: int, child: int) -> list[Event]:
    """Both sides of a fork."""
    made: list[Event] = []
    for tid, res, of in ((parent, child, parent), (child, 0, child)):
        values: dict[str, Value] = {
            "res": res, "exe": "/bin/sh", "args": ["-c"], "tid": of, "pid": of, "ptid": parent if of == child else 1, "fdlimit": 1024,
            "comm": "sh", "flags": 0, "uid": 0, "gid": 0, "vtid": of, "vpid": of,
        }  # fmt: skip
        made.append(event_of(t.PPME_SYSCALL_CLONE_20_X, tid, values))
    return made


def exec_(tid: int, ptid: int, comm: str, path: str) -> Event:
    values: dict[str, Value] = {
        "res": 0, "exe": path, "args": ["-x", "y"], "tid": tid, "pid": tid, "ptid": ptid, "fdlimit": 1024, "comm": comm,
        "env": ["HOME=/root", "E="], "tty": 0, "vpgid": 10, "loginuid": 0xFFFFFFFF, "flags": 0,
        "cap_inheritable": 0, "cap_permitted": 0, "cap_effective": 1,
        "uid": 0, "trusted_exepath": path, "pgid": 10, "gid": 0,
    }  # fmt: skip
    return event_of(t.PPME_SYSCALL_EXECVE_19_X, tid, values)


def getuid(tid: int) -> Event:
    return event(t.PPME_SYSCALL_GETUID_X, tid, uid=0)


def test_an_event_that_changes_nothing_makes_no_block() -> None:
    watch = Watch(small_zone())
    watch.see(getuid(10))
    assert sorted(watch.defined) == sorted([Kind.ETYPE, Kind.THREAD, Kind.THREAD, Kind.ENV, Kind.ENV, Kind.LINEAGE, Kind.FILES])
    first = watch.record.blocks
    watch.see(getuid(10))
    assert watch.defined == [] and watch.record.blocks == first


def test_threads_of_a_process_share_its_lineage_and_environment() -> None:
    watch = Watch(small_zone())
    lineages = []
    for tid in (20, 21, 22):
        watch.see(getuid(tid))
        lineages.append(watch.block(Kind.LINEAGE))
    assert lineages[0] is lineages[1] is lineages[2]
    assert watch.defined == [Kind.THREAD]


def test_a_change_makes_the_own_block_anew_and_no_other_threads() -> None:
    watch = Watch(small_zone())
    watch.see(getuid(20), getuid(10))
    watch.see(event(t.PPME_SYSCALL_SETUID_X, 10, res=0, uid=1000))
    assert watch.defined.count(Kind.THREAD) == 1
    assert watch.value("user.uid") == 1000
    watch.see(getuid(20))
    assert watch.defined == [] and watch.value("user.uid") == 0


def test_exec_of_a_parent_costs_its_child_a_lineage_only() -> None:
    watch = Watch(small_zone())
    watch.see(*clone(10, 30))
    watch.see(getuid(30))
    assert watch.value("proc.pname") == "comm10"
    watch.see(exec_(10, 1, "new", "/bin/new"))
    watch.see(getuid(30))
    assert watch.defined == [Kind.LINEAGE]
    assert watch.value("proc.pname") == "new" and watch.value("proc.pcmdline") == "new -x y"
    assert watch.value("proc.aname[1]") == "new" and watch.value("proc.aname[2]") == "comm1"


def test_a_block_names_what_it_needs_and_blocks_of_a_record_are_closed() -> None:
    watch = Watch(small_zone())
    watch.see(*clone(10, 30))
    lineage = watch.block(Kind.LINEAGE)
    assert lineage is not None and {block.kind for block in lineage.refs} == {Kind.THREAD}
    for block in lineage.refs:
        assert [ref.kind for ref in block.refs] == [Kind.ENV]
    for block in watch.record.blocks:
        assert all(ref.id != block.id for ref in block.refs)


def test_children_share_the_environment_block() -> None:
    watch = Watch(small_zone())
    watch.see(getuid(10))
    watch.see(*clone(10, 30))
    watch.see(getuid(30))
    assert watch.value("proc.env") == "A=1 B=2"
    assert thread_of(watch.zone, 30).env.block is thread_of(watch.zone, 10).env.block


# Lineage


def deep_zone(depth: int) -> ZoneState:
    """A line of processes, 100 the first, each the next one's parent; all in the session of the first."""
    line = [told(100 + n, ptid=99 + n if n else 1, sid=100, pgid=100 + n, vpgid=100 + n) for n in range(depth)]
    return zone_of(told(1, ptid=0, sid=1, pgid=1, vpgid=1), *line)


def test_ancestors_by_index_joined_and_as_list() -> None:
    watch = Watch(deep_zone(4)).see(getuid(103))
    assert watch.value("proc.aname") == "comm102 comm101 comm100 comm1"
    assert watch.value("proc.anames") == ["comm102", "comm101", "comm100", "comm1"]
    assert [watch.value(f"proc.aname[{n}]") for n in range(6)] == ["comm103", "comm102", "comm101", "comm100", "comm1", None]
    assert watch.value("proc.apid") == 103 and watch.value("proc.apids") == [102, 101, 100, 1]
    assert watch.value("proc.aexepath[4]") == "/bin/exe1"
    assert watch.value("proc.sname") == "comm100" and watch.value("proc.pgid.name") == "comm103"


def test_a_line_without_end_is_cut_and_costs_the_same() -> None:
    watch = Watch(deep_zone(900)).see(getuid(999))
    assert watch.value(f"proc.apid[{MAX_ANCESTORS}]") == 999 - MAX_ANCESTORS
    assert watch.value(f"proc.apid[{MAX_ANCESTORS + 1}]") is None
    assert watch.defined.count(Kind.THREAD) <= MAX_ANCESTORS + 2
    lineage = watch.block(Kind.LINEAGE)
    assert lineage is not None and len(lineage.data) < 1024


def test_a_circle_of_parents_ends() -> None:
    zone = deep_zone(3)
    thread_of(zone, 100).ptid = 102
    thread_of(zone, 100).version += 1
    watch = Watch(zone).see(getuid(102))
    assert watch.value("proc.aname") == "comm101 comm100"
    thread_of(zone, 101).ptid = 101
    thread_of(zone, 101).version += 1
    zone.table.epoch += 1
    watch.see(getuid(102))
    assert watch.value("proc.aname") == "comm101"


def test_a_placeholder_has_what_libsinsp_gives_it() -> None:
    watch = Watch(small_zone()).see(getuid(4711))
    assert watch.value("proc.pid") == "-1" and watch.value("proc.pid.unsigned") == (1 << 64) - 1
    assert watch.value("proc.name") == "<NA>" and watch.value("proc.cwd") == "./" and watch.value("proc.fdlimit") == 0
    assert watch.value("proc.ppid") is None and watch.value("proc.aname[0]") is None and watch.value("proc.vpid") is None
    assert watch.value("user.loginuid") == "-1" and watch.value("thread.tid") == 4711
    assert watch.value("proc.sname") == "", "no leader is an empty text"
    assert watch.value("proc.aenv[1]") == watch.value("proc.aenv[HOME]") == "" and watch.value("proc.aenvs") is None


def test_login_shell_is_the_oldest() -> None:
    zone = zone_of(told(1, ptid=0), told(10, comm=b"bash"), told(11, ptid=10, comm=b"zsh"), told(12, ptid=11, comm=b"make"))
    watch = Watch(zone).see(getuid(12))
    assert watch.value("proc.loginshellid") == 10
    watch.see(getuid(1))
    assert watch.value("proc.loginshellid") is None


def test_parent_thread_that_is_not_its_process_main_thread() -> None:
    """proc.pname is the parent process's, the joined names are those of the threads that begot (threadinfo.cpp, thread_manager.cpp)."""
    zone = zone_of(told(1, ptid=0), told(20), told(21, pid=20, comm=b"worker"), told(30, ptid=21))
    watch = Watch(zone).see(getuid(30))
    assert watch.value("proc.pname") == "comm20" and watch.value("proc.aname[1]") == "comm20"
    assert watch.value("proc.aname") == "worker comm1" and watch.value("proc.anames") == ["worker", "comm1"]


# Environment


def test_variables_are_found_as_libsinsp_finds_them() -> None:
    zone = zone_of(
        told(1, ptid=0, env=b"TOP=1\0ONLY=init\0"),
        told(10, env=b"TOP= 2  \0EMPTY=\0X=a=b\0XY=c\0"),
        told(11, ptid=10, env=b"TOP=3\0"),
    )
    watch = Watch(zone).see(getuid(10))
    assert [watch.value(f"proc.env[{name}]") for name in ("TOP", "EMPTY", "X", "XY", "NONE")] == ["2", "", "a=b", "c", ""]
    assert watch.value("proc.env") == "TOP= 2   EMPTY= X=a=b XY=c"
    watch.see(getuid(11))
    assert watch.value("proc.aenv[TOP]") == "2", "the nearest ancestor's, not the own"
    assert watch.value("proc.aenv[ONLY]") == "init" and watch.value("proc.aenv[NONE]") == ""
    assert watch.value("proc.aenv[1]") == "TOP= 2   EMPTY= X=a=b XY=c" and watch.value("proc.aenv[3]") is None
    assert watch.value("proc.aenv") == watch.value("proc.aenv[0]") == "TOP=3"
    assert watch.value("proc.aenvs") == ["TOP= 2   EMPTY= X=a=b XY=c", "TOP=1 ONLY=init"]


# Arguments


def test_arguments_and_command_lines() -> None:
    zone = zone_of(told(1, ptid=0), told(10, comm=b"c", exe=b"/bin/e", args=b"-l\0a b\0\0"), told(11, comm=b"d", exe=b"e2", args=b""))
    watch = Watch(zone).see(getuid(10))
    assert watch.value("proc.args") == "-l a b " and watch.value("proc.cmdline") == "c -l a b "
    assert watch.value("proc.exeline") == "/bin/e -l a b "
    assert [watch.value(f"proc.args[{n}]") for n in range(4)] == ["-l", "a b", "", ""]
    assert watch.value("proc.cmdnargs") == 3 and watch.value("proc.cmdlenargs") == 5
    watch.see(getuid(11))
    assert watch.value("proc.args") == "" and watch.value("proc.cmdline") == "d" and watch.value("proc.exeline") == "e2 "
    assert watch.value("proc.args[0]") == "" and watch.value("proc.cmdnargs") == 0


def test_texts_are_made_safe_and_lengths_are_not() -> None:
    zone = zone_of(told(1, ptid=0), told(10, comm=b"a\x01\xff", args=b"x\ny\0"))
    watch = Watch(zone).see(getuid(10))
    assert watch.value("proc.name") == "a��" and watch.value("proc.cmdline") == "a�� x�y"
    assert watch.value("proc.args[0]") == "x�y" and watch.value("proc.cmdlenargs") == 3


def test_cgroups_as_text_by_name_and_by_key() -> None:
    zone = zone_of(told(1, ptid=0), told(10, cgroups=b"cpu=/a\0memory=/b=c\0cpu=/second\0other=/d\0"), told(11))
    watch = Watch(zone).see(getuid(10))
    assert watch.value("thread.cgroups") == "cpu=/a memory=/b=c cpu=/second other=/d"
    assert watch.value("thread.cgroup.cpu") == "/a" and watch.value("thread.cgroup.memory") == "/b=c"
    assert watch.value("thread.cgroup[cpu]") == "/a" and watch.value("thread.cgroup[other]") == "/d"
    assert watch.value("thread.cgroup.blkio") is None and watch.value("thread.cgroup[nil]") is None
    watch.see(getuid(11))
    assert watch.value("thread.cgroups") is None and watch.value("thread.cgroup.cpu") is None


def test_users_are_named_by_the_zones_own_events() -> None:
    watch = Watch(zone_of(told(1, ptid=0), told(10, uid=1000, gid=50, loginuid=0)))
    watch.see(getuid(10))
    assert (watch.value("user.name"), watch.value("user.homedir"), watch.value("group.name")) == ("<NA>", "<NA>", "<NA>")
    assert watch.value("user.loginname") == "root" and watch.value("user.loginuid") == "0"
    watch.see(event(t.PPME_USER_ADDED_E, 10, uid=1000, gid=50, name="bob", home="/home/bob", shell="/bin/sh"), getuid(10))
    assert (watch.value("user.name"), watch.value("user.homedir"), watch.value("user.shell")) == ("bob", "/home/bob", "/bin/sh")
    watch.see(event(t.PPME_GROUP_ADDED_E, 10, gid=50, name="staff"), getuid(10))
    assert watch.value("group.name") == "staff"


# Files


def opened(tid: int, fd: int, path: str, ino: int = 5) -> Event:
    return event(t.PPME_SYSCALL_OPEN_X, tid, fd=fd, name=path, flags=1, mode=0, dev=0x801, ino=ino)


def test_files_that_are_alike_share_a_block() -> None:
    watch = Watch(small_zone())
    watch.see(opened(10, 3, "/lib/libc.so"))
    first = watch.block(Kind.FD)
    watch.see(opened(20, 7, "/lib/libc.so"))
    assert watch.block(Kind.FD) is first
    watch.see(opened(20, 8, "/lib/libc.so", ino=6))
    assert watch.block(Kind.FD) is not first
    assert watch.value("fd.directory") == "/lib" and watch.value("fd.filename") == "libc.so" and watch.value("fd.dev") == 0x801
    assert watch.value("fd.dev.major") == 8 and watch.value("fd.dev.minor") == 1 and watch.value("fd.ino") == 6


def test_open_and_close_again_come_back_to_the_same_files_block() -> None:
    watch = Watch(small_zone())
    watch.see(getuid(10))
    shut = watch.block(Kind.FILES)
    watch.see(opened(10, 3, "/a"))
    open_ = watch.block(Kind.FILES)
    watch.see(event(t.PPME_SYSCALL_CLOSE_X, 10, res=0, fd=3), getuid(10))
    assert watch.block(Kind.FILES) is shut is not open_
    watch.see(opened(10, 3, "/b"))
    assert watch.block(Kind.FILES) is open_


def test_types_of_files() -> None:
    fds = [told_fd(0, t.SCAP_FD_FIFO, name=b"pipe:[7]"), told_fd(2, t.SCAP_FD_FILE_V2, name=b"/dev/null")]
    fds.append(told_fd(3, t.SCAP_FD_FILE, name=b"/x"))
    fds.append(told_fd(LOW, t.SCAP_FD_EVENT, name=b"[eventfd]"))
    watch = Watch(zone_of(told(1, ptid=0), told(10, fds=fds)))
    watch.see(event(t.PPME_SYSCALL_READ_X, 10, res=1, fd=2, size=1, data=b"x"))
    types = watch.value("fd.types")
    assert isinstance(types, list) and sorted([str(item) for item in types]) == ["event", "file", "pipe"]
    assert [watch.value(f"fd.types[{n}]") for n in (0, 1, 2, 3, LOW)] == [["pipe"], None, ["file"], ["file"], None]
    assert watch.value("proc.stdin.type") == "pipe" and watch.value("proc.stdin.name") == "pipe:[7]"
    assert watch.value("proc.stdout.type") is None and watch.value("proc.stderr.name") == "/dev/null"
    assert watch.value("proc.fdopencount") == 4 and watch.value("proc.fdusage") == 0
    watch.see(getuid(10))
    assert watch.value("fd.types") is None and watch.value("fd.types[0]") is None, "the event is about no file"
    assert watch.value("proc.stdin.type") == "pipe"


def test_a_failed_open_has_a_name_from_the_event() -> None:
    watch = Watch(small_zone())
    watch.see(event(t.PPME_SYSCALL_OPENAT_2_X, 10, fd=-2, dirfd=-100, name="etc//x", flags=1, mode=0, dev=0, ino=0))
    assert watch.value("fd.name") == "/home/etc/x" and watch.value("fd.nameraw") == "etc/x" and watch.value("fd.directory") == "/home/etc"
    assert watch.value("fd.type") is None and watch.value("fd.typechar") == "f" and watch.value("fd.filename") is None
    assert watch.value("fd.num") == "-1" and watch.value("fd.uid") == "10-1" and watch.value("fd.containername") == ":/home/etc/x"
    assert watch.value("evt.failed") is True and watch.value("evt.res") == "ENOENT" and watch.value("evt.rawres") == "-2"


def test_ends_of_a_socket() -> None:
    zone = small_zone()
    zone.local_ips = frozenset([bytes([10, 0, 0, 2])])
    watch = Watch(zone)
    watch.see(event(t.PPME_SOCKET_SOCKET_X, 20, fd=5, domain=2, type=1, proto=6))
    assert watch.value("fd.type") == "ipv4" and watch.value("fd.cip") is None and watch.value("fd.l4proto") == "<NA>"
    watch.see(event(t.PPME_SOCKET_CONNECT_X, 20, res=0, tuple=inet_tuple("10.0.0.2", 4000, "10.0.0.9", 443), fd=5, addr=b""))
    assert watch.value("fd.name") == "10.0.0.2:4000->10.0.0.9:443" and watch.value("fd.name_changed") is True
    assert [watch.value(f"fd.{end}ip") for end in "cslr"] == ["10.0.0.2", "10.0.0.9", "10.0.0.2", "10.0.0.9"]
    assert [watch.value(f"fd.{end}port") for end in "cslr"] == [4000, 443, 4000, 443]
    assert watch.value("fd.ip") == ["10.0.0.2", "10.0.0.9"] and watch.value("fd.port") == [4000, 443]
    assert watch.value("fd.proto") == ["4000", "443"]
    assert watch.value("fd.is_server") is False and watch.value("fd.connected") is True and watch.value("fd.l4proto") == "tcp"
    zone.local_ips = frozenset([bytes([10, 0, 0, 9])])
    watch.see(event(t.PPME_SOCKET_SHUTDOWN_X, 20, res=0, fd=5, how=1))
    assert watch.value("fd.lip") == "10.0.0.9" and watch.value("fd.lport") == 443 and watch.value("fd.is_server") is True
    assert watch.value("fd.name_changed") is False


def test_a_unix_socket_has_a_family_and_no_addresses() -> None:
    watch = Watch(small_zone())
    watch.see(event(t.PPME_SOCKET_ACCEPT4_6_X, 20, fd=6, tuple=unix_tuple(0xAB, 0xCD, "/run/s"), flags=0))
    assert watch.value("fd.sockfamily") == "unix" and watch.value("fd.name") == "ab->cd /run/s" and watch.value("fd.typechar") == "u"
    assert watch.value("fd.cip") is None and watch.value("fd.ip") is None and watch.value("fd.is_server") is False


def test_blocks_of_types_are_made_once() -> None:
    for code, syscall in ((t.PPME_SYSCALL_GETUID_X, 0), (t.PPME_GENERIC_X, 7)):
        assert etype_block(code, syscall) is etype_block(code, syscall)
    assert etype_block(t.PPME_GENERIC_X, 8) is not etype_block(t.PPME_GENERIC_X, 7)


@interpreted
def test_what_is_remembered_of_files_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MAX_MEMO", 2)
    watch = Watch(small_zone())
    for number in range(8):
        watch.see(opened(10, number, f"/{number}"), opened(20, 3, "/shared"))
        assert watch.value("fd.name") == "/shared"
        maker = watch.encoder._blocks
        assert len(maker._fds) <= 2 and len(maker._files) <= 2


@interpreted
def test_capabilities_are_named_and_what_is_remembered_of_them_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "MAX_CAPS_TEXTS", 2)
    proc._caps_texts.clear()
    for mask, text in ((0, b""), (1, b"CAP_CHOWN"), (3, b"CAP_CHOWN CAP_DAC_OVERRIDE"), (1 << 50, b""), (1, b"CAP_CHOWN")):
        assert proc.caps_text(mask) == text and len(proc._caps_texts) <= 2


def test_what_is_known_of_a_program_and_what_is_not() -> None:
    facts = {"exe_ino": 5, "exe_ino_ctime": 6, "exe_ino_mtime": 7, "clone_ts": 8, "pidns_init_start_ts": 9,
             "exe_ino_ctime_duration_clone_ts": 10, "exe_ino_ctime_duration_pidns_start": 11}  # fmt: skip
    watch = Watch(zone_of(told(1, ptid=0), told(10, **facts), told(20, pid=1 << 40)))
    names = ("proc.exe_ino", "proc.exe_ino.ctime", "proc.exe_ino.mtime", "proc.exe_ino.ctime_duration_proc_start",
             "proc.exe_ino.ctime_duration_pidns_start", "proc.pid.ts", "proc.pidns_init_start_ts")  # fmt: skip
    watch.see(getuid(10))
    assert [watch.value(name) for name in names] == [5, 6, 7, 10, 11, 8, 9]
    watch.see(getuid(1))
    assert [watch.value(name) for name in names] == [None] * 7
    watch.see(getuid(20))
    assert watch.value("proc.pid") is None, "beyond what a pid can be"


def test_long_chains_of_blocks_are_freed_without_harm_to_what_lies_beside_them() -> None:
    beside: list[bytes] = []
    for _ in range(20):
        block = Block(1, 1, b"", ())
        for number in range(2000):
            block = Block(number, 1, b"%d" % number, (block,))
            beside.append(bytes(24))
        del block
    assert set(beside) == {bytes(24)}
