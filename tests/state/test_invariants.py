"""Random and hostile sequences of events: no orphan group, no ring, counts that agree, no table without owner, no exception."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edera_falcod.scap import tables as t
from edera_falcod.scap.event import Event
from edera_falcod.scap.snapshot import SnapshotThread
from edera_falcod.state.export import export_threads
from edera_falcod.state.registry import PARSERS
from edera_falcod.state.zone import ZoneState

from .invariants import check, facts
from .support import (
    LOOPBACK6,
    SECOND,
    START,
    Value,
    encoded,
    event_of,
    inet,
    inet6,
    inet6_tuple,
    inet_tuple,
    mapped,
    told,
    told_fd,
    unix,
    unix_tuple,
)

# Few of each, so that sequences meet
TIDS = st.sampled_from([1, 2, 3, 4, 5, 6, 7])
ODD_TIDS = st.one_of(TIDS, st.sampled_from([0, -1, 2**62]))
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 5])
RESULTS = st.sampled_from([0, 1, 3, 4, 5, -1, -115])
CLONES = st.sampled_from(
    [t.PPME_SYSCALL_CLONE_20_X, t.PPME_SYSCALL_CLONE3_X, t.PPME_SYSCALL_FORK_20_X, t.PPME_SYSCALL_VFORK_20_X]
)
CLONE_FLAGS = st.sampled_from(
    [
        0, t.PPM_CL_CLONE_THREAD | t.PPM_CL_CLONE_FILES, t.PPM_CL_CLONE_FILES, t.PPM_CL_CHILD_IN_PIDNS, t.PPM_CL_CLONE_NEWPID,
        t.PPM_CL_CLONE_PARENT, t.PPM_CL_CLOSED, t.PPM_CL_IS_MAIN_THREAD, t.PPM_CL_IS_MAIN_THREAD | t.PPM_CL_CLONE_THREAD, 0xFFFFFFFF,
    ]
)  # fmt: skip
TUPLES = st.sampled_from(
    [
        b"", inet_tuple("1.1.1.1", 1, "2.2.2.2", 2), inet_tuple("0.0.0.0", 1, "2.2.2.2", 2), inet_tuple("2.2.2.2", 2, "1.1.1.1", 1),
        inet6_tuple(LOOPBACK6, 1, LOOPBACK6, 2), inet6_tuple(mapped("1.1.1.1"), 1, mapped("2.2.2.2"), 2), unix_tuple(1, 2, "/x"),
        b"\2\1", b"\x10", b"\1\0",
    ]
)  # fmt: skip
ADDRESSES = st.sampled_from([b"", inet("1.1.1.1", 2), inet("1.1.1.1", 0), inet6(bytes(16), 2), inet6(LOOPBACK6, 2), unix("/x"), b"\2"])

PARSED = [code for code in range(t.PPM_EVENT_MAX) if PARSERS[code] is not None]


class Zone(RuleBasedStateMachine):
    """A zone that does as it likes."""

    @initialize(order=st.permutations(range(6)), parents=st.lists(ODD_TIDS, min_size=6, max_size=6))
    def seed(self, order: list[int], parents: list[int]) -> None:
        self.zone = ZoneState()
        self.zone.interfaces.set_networks([(b"\x7f\0\0\1", 8)])
        self.now = START
        self.import_threads([self.member(number, parents[number]) for number in order])

    @staticmethod
    def member(number: int, ptid: int) -> SnapshotThread:
        """Processes 1 to 4, and threads 5 and 6 of 4."""
        tid = number + 1
        files = [told_fd(0, t.SCAP_FD_FILE_V2, name=b"/dev/tty"), told_fd(3, t.SCAP_FD_IPV4_SERVSOCK, dip=bytes(4), dport=2)]
        return told(tid, pid=min(tid, 4), ptid=ptid, fds=files, env=b"A=1\0", args=b"a\0b\0")

    def import_threads(self, threads: list[SnapshotThread]) -> None:
        self.zone.begin_snapshot(0)
        for thread in threads:
            self.zone.add_snapshot_thread(thread)
        self.zone.end_snapshot()

    def send(self, code: int, tid: int, values: dict[str, Value]) -> None:
        self.now += 1000
        self.zone.apply(event_of(code, tid, values, self.now))

    @rule(code=CLONES, tid=ODD_TIDS, res=st.one_of(st.just(0), ODD_TIDS), pid=ODD_TIDS, ptid=ODD_TIDS, flags=CLONE_FLAGS)
    def clone(self, code: int, tid: int, res: int, pid: int, ptid: int, flags: int) -> None:
        values: dict[str, Value] = {"res": res, "exe": "c", "args": ["x"], "pid": pid, "ptid": ptid, "comm": "c", "flags": flags}
        values.update({"cgroups": ["cpu=/a"], "vtid": tid, "vpid": pid, "uid": 0, "gid": 0})
        self.send(code, tid, values)

    @rule(tid=ODD_TIDS, pid=ODD_TIDS, ptid=ODD_TIDS, env=st.sampled_from(["A=1", "B=" + "x" * 300]))
    def execve(self, tid: int, pid: int, ptid: int, env: str) -> None:
        values: dict[str, Value] = {"res": 0, "exe": "e", "args": ["y"], "pid": pid, "ptid": ptid, "comm": "e", "env": [env]}
        values.update({"cgroups": ["cpu=/b"], "trusted_exepath": "/bin/e"})
        self.send(t.PPME_SYSCALL_EXECVE_19_X, tid, values)

    @rule(tid=ODD_TIDS, reaper=ODD_TIDS)
    def procexit(self, tid: int, reaper: int) -> None:
        self.send(t.PPME_PROCEXIT_1_E, tid, {"status": 0, "reaper_tid": reaper})

    @rule(tid=TIDS, value=st.sampled_from([0, 1]))
    def subreaper(self, tid: int, value: int) -> None:
        self.send(t.PPME_SYSCALL_PRCTL_X, tid, {"res": 0, "option": t.PPM_PR_SET_CHILD_SUBREAPER, "arg2_int": value})

    @rule(tid=ODD_TIDS, number=NUMBERS, cloexec=st.booleans())
    def open_(self, tid: int, number: int, cloexec: bool) -> None:
        flags = t.PPM_O_CLOEXEC if cloexec else t.PPM_O_RDONLY
        self.send(t.PPME_SYSCALL_OPENAT_2_X, tid, {"fd": number, "dirfd": -100, "name": f"f{number}", "flags": flags})

    @rule(tid=TIDS, number=NUMBERS)
    def close(self, tid: int, number: int) -> None:
        self.send(t.PPME_SYSCALL_CLOSE_X, tid, {"res": 0, "fd": number})

    @rule(tid=TIDS, first=NUMBERS, last=NUMBERS, flags=st.sampled_from([0, t.PPM_CLOSE_RANGE_CLOEXEC]))
    def close_range(self, tid: int, first: int, last: int, flags: int) -> None:
        self.send(t.PPME_SYSCALL_CLOSE_RANGE_X, tid, {"res": 0, "first": first, "last": last, "flags": flags})

    @rule(tid=TIDS, old=NUMBERS, new=RESULTS)
    def dup(self, tid: int, old: int, new: int) -> None:
        self.send(t.PPME_SYSCALL_DUP3_X, tid, {"res": new, "oldfd": old, "flags": t.PPM_O_CLOEXEC})

    @rule(tid=TIDS, number=NUMBERS, domain=st.sampled_from([1, 2, 10, 16]), kind=st.sampled_from([1, 2, 3]))
    def socket(self, tid: int, number: int, domain: int, kind: int) -> None:
        self.send(t.PPME_SOCKET_SOCKET_X, tid, {"fd": number, "domain": domain, "type": kind, "proto": 0, "flags": 0})

    @rule(tid=TIDS, number=NUMBERS, data=TUPLES, res=RESULTS, address=ADDRESSES)
    def connect(self, tid: int, number: int, data: bytes, res: int, address: bytes) -> None:
        self.send(t.PPME_SOCKET_CONNECT_X, tid, {"res": res, "tuple": data, "fd": number, "addr": address})

    @rule(tid=TIDS, number=NUMBERS, address=ADDRESSES)
    def bind(self, tid: int, number: int, address: bytes) -> None:
        self.send(t.PPME_SOCKET_BIND_X, tid, {"res": 0, "addr": address, "fd": number})

    @rule(tid=TIDS, number=RESULTS, data=TUPLES)
    def accept(self, tid: int, number: int, data: bytes) -> None:
        self.send(t.PPME_SOCKET_ACCEPT4_6_X, tid, {"fd": number, "tuple": data, "flags": 0})

    @rule(tid=TIDS, number=NUMBERS, data=TUPLES, sends=st.booleans())
    def message(self, tid: int, number: int, data: bytes, sends: bool) -> None:
        code = t.PPME_SOCKET_SENDTO_X if sends else t.PPME_SOCKET_RECVFROM_X
        self.send(code, tid, {"res": 1, "data": b"x", "fd": number, "size": 1, "tuple": data})

    @rule(tid=TIDS, path=st.sampled_from(["/a", "..", "b"]))
    def chdir(self, tid: int, path: str) -> None:
        self.send(t.PPME_SYSCALL_CHDIR_X, tid, {"res": 0, "path": path})

    @rule(tid=TIDS, wanted=NUMBERS, other=ODD_TIDS)
    def pidfd(self, tid: int, wanted: int, other: int) -> None:
        self.send(t.PPME_SYSCALL_PIDFD_OPEN_X, tid, {"fd": 5, "pid": other, "flags": 0})
        self.send(t.PPME_SYSCALL_PIDFD_GETFD_X, tid, {"fd": 4, "pid_fd": 5, "target_fd": wanted, "flags": 0})

    @rule(seconds=st.sampled_from([1, 3, 40, 1300, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(code=st.sampled_from(PARSED), tid=ODD_TIDS, params=st.lists(st.binary(max_size=40), max_size=8))
    def anything(self, code: int, tid: int, params: list[bytes]) -> None:
        self.now += 1
        self.zone.apply(Event(self.now, tid, 0, code, params))

    @rule()
    def snapshot(self) -> None:
        self.import_threads(export_threads(self.zone))

    @rule(on=st.booleans())
    def removal(self, on: bool) -> None:
        self.zone.removes_threads = on

    @invariant()
    def sane(self) -> None:
        check(self.zone)


Zone.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TestZone = Zone.TestCase


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_property_any_parameters(data: st.DataObject) -> None:
    """Any event code, any bytes, any number of parameters: state stays sane and no exception comes out."""
    zone = ZoneState()
    zone.begin_snapshot(0)
    zone.add_snapshot_thread(told(1, ptid=0))
    zone.add_snapshot_thread(told(2, fds=[told_fd(3, t.SCAP_FD_IPV4_SOCK, sip=b"\1\1\1\1", sport=1, dip=b"\2\2\2\2", dport=2)]))
    zone.end_snapshot()
    for number in range(data.draw(st.integers(1, 8))):
        code = data.draw(st.integers(-1, t.PPM_EVENT_MAX + 1))
        params: list[bytes] = []
        if 0 <= code < t.PPM_EVENT_MAX:
            for param in t.EVENTS[code].params[: data.draw(st.integers(0, 31))]:
                small = encoded(param.type, data.draw(st.integers(-2, 5)))
                params.append(data.draw(st.one_of(st.just(small), st.binary(max_size=60), TUPLES)))
        zone.apply(Event(START + number, data.draw(ODD_TIDS), number, code, params))
        check(zone)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_property_any_snapshot(data: st.DataObject) -> None:
    zone = ZoneState()
    zone.begin_snapshot(data.draw(st.integers(0, 2**63)))
    for _ in range(data.draw(st.integers(0, 12))):
        thread = told(data.draw(ODD_TIDS))
        thread.pid = data.draw(ODD_TIDS)
        thread.ptid = data.draw(ODD_TIDS)
        thread.flags = data.draw(CLONE_FLAGS)
        thread.cwd = data.draw(st.binary(max_size=20))
        thread.cgroups = data.draw(st.binary(max_size=20))
        for _ in range(data.draw(st.integers(0, 3))):
            fd = told_fd(data.draw(st.integers(-1, 5)), data.draw(st.integers(-1, 25)))
            fd.sip = data.draw(st.binary(max_size=16))
            fd.dip = data.draw(st.binary(max_size=16))
            fd.sport = data.draw(st.integers(0, 2**32 - 1))
            fd.l4proto = data.draw(st.integers(-1, 300))
            fd.source = data.draw(st.integers(-1, 2**64))
            thread.fds.append(fd)
        zone.add_snapshot_thread(thread)
    zone.end_snapshot()
    check(zone)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TIDS, st.sampled_from(["open", "socket", "close", "dup", "send"]), NUMBERS), max_size=30))
def test_property_a_child_never_sees_what_its_parent_does(actions: list[tuple[int, str, int]]) -> None:
    """Copies on write are copies: process 2, forked from 1, keeps its files whatever 1 and its other child 3 do."""
    zone = ZoneState()
    zone.begin_snapshot(0)
    zone.add_snapshot_thread(told(1, ptid=0, fds=[told_fd(n, t.SCAP_FD_IPV4_SOCK, sport=n, dip=b"\1\1\1\1", dport=9) for n in range(4)]))
    zone.end_snapshot()

    def fork(tid: int) -> None:
        values: dict[str, Value] = {"res": 0, "exe": "c", "pid": tid, "ptid": 1, "comm": "c", "flags": 0, "vtid": tid, "vpid": tid}
        zone.apply(event_of(t.PPME_SYSCALL_CLONE_20_X, tid, values))

    fork(2)
    fork(3)
    watched = zone.find_thread(2)
    assert watched is not None
    files = zone.fd_table(watched)
    assert files is not None
    before = {number: facts(fd) for number, fd in files.fds.items()}
    for tid, action, number in actions:
        tid = 1 if tid % 2 else 3
        if action == "open":
            zone.apply(event_of(t.PPME_SYSCALL_OPENAT_2_X, tid, {"fd": number, "dirfd": -100, "name": "x", "flags": 1}))
        elif action == "socket":
            zone.apply(event_of(t.PPME_SOCKET_SOCKET_X, tid, {"fd": number, "domain": 2, "type": 2, "proto": 0, "flags": 0}))
        elif action == "close":
            zone.apply(event_of(t.PPME_SYSCALL_CLOSE_X, tid, {"res": 0, "fd": number}))
        elif action == "dup":
            zone.apply(event_of(t.PPME_SYSCALL_DUP2_X, tid, {"res": number, "oldfd": 0, "newfd": number}))
        else:
            data = inet_tuple("3.3.3.3", 7, "4.4.4.4", number)
            zone.apply(event_of(t.PPME_SOCKET_SENDTO_X, tid, {"res": 1, "fd": number, "size": 1, "tuple": data}))
        assert {number: facts(fd) for number, fd in files.fds.items()} == before
        check(zone)
