"""Reader of .scap capture files: machine, interfaces, threads with their open files, then events one at a time.

A capture is a sequence of blocks (see ``blocks``): a section header, blocks that describe the machine at the start, then event
blocks to the end; a user list is skipped, since a zone sends none. Thread and file entries of newer versions carry their own
length and grow at their end; older ones are fixed. Source: libscap scap_savefile.h and engine/savefile/scap_savefile.c.

The reader asks the stream that its caller opened for bytes, gzip or plain, and nothing else. Only one block is in memory at a
time. Whatever the file holds, the outcome is data or a ``CaptureError`` that names the offset and the reason.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, final

from .blocks import EVENT_BLOCKS, LARGE_EVENT_BLOCKS, SECTION, Body, Source, read_block
from .errors import CaptureError
from .snapshot import SnapshotFd, SnapshotThread
from .tables import (
    EVENTS,
    PPM_EVENT_MAX,
    PPME_INFRASTRUCTURE_EVENT_E,
    PPME_NOTIFICATION_E,
    SCAP_FD_FILE_V2,
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_PIDFD,
    SCAP_FD_UNIX_SOCK,
    SCAP_FD_UNKNOWN,
    SCAP_FD_UNSUPPORTED,
)

MAX_PARAMS: Final = 32  # PPM_MAX_EVENT_PARAMS of the driver
MAX_THREADS: Final = 262_144  # libsinsp's own limit of the thread table
MAX_FDS: Final = 4_194_304  # of the whole file: more than a kernel opens by default (fs.file-max), ~1 GB here
MAX_INTERFACES: Final = 65_536  # addresses; a host has some tens
MAX_PATH: Final = 1024  # scap_limits.h, SCAP_MAX_PATH_SIZE; also comm, exe and root
MAX_ARGS: Final = 4096  # scap_limits.h, arguments, environment and cgroups alike

MAGIC: Final = 0x1A2B3C4D
MAGIC_SWAPPED: Final = 0x4D3C2B1A
MAJOR_VERSION: Final = 1

_MACHINE: Final = frozenset((0x201, 0x8002ABCD))
# Block type -> version of the thread list
_THREADS: Final[dict[int, int]] = {
    0x202: 1, 0x8000ABCD: 1, 0x207: 2, 0x8013ABCD: 2, 0x209: 3, 0x8014ABCD: 3,
    0x210: 4, 0x211: 5, 0x212: 6, 0x213: 7, 0x214: 8, 0x215: 9,
}  # fmt: skip
_FDS: Final[dict[int, int]] = {0x203: 1, 0x8001ABCD: 1, 0x218: 2}
_INTERFACES: Final[dict[int, int]] = {0x205: 1, 0x8011ABCD: 1, 0x219: 2}
_EVENTS_WITH_FLAGS: Final = frozenset((0x208, 0x217, 0x222))
_EVENTS_WITH_COUNT: Final = frozenset((0x216, 0x217, 0x221, 0x222))  # number of parameters in the header

_SECTION: Final = struct.Struct("<IHHQ")
_MACHINE_INFO: Final = struct.Struct("<IQQ128sQQQQ")
_EVENT: Final = struct.Struct("<QqIH")  # ts, tid, length with header, type


@final
class Machine:
    """The recording machine. ``boot_epoch``: ns since the epoch. Source: scap_machine_info.h."""

    __slots__ = ("num_cpus", "memory_bytes", "max_pid", "hostname", "boot_epoch", "flags")

    def __init__(self) -> None:
        self.num_cpus = 0
        self.memory_bytes = 0
        self.max_pid = 0
        self.hostname = b""
        self.boot_epoch = 0
        self.flags = 0


@final
class Interface:
    """One address of a network interface; ``address`` and ``netmask``: 4 or 16 bytes in network order."""

    __slots__ = ("name", "address", "netmask")

    def __init__(self, name: bytes, address: bytes, netmask: bytes) -> None:
        self.name = name
        self.address = address
        self.netmask = netmask


@final
class CaptureEvent:
    """One event as the file has it, of any version. ``flags``: scap_dump_flags of its block. The rest as in ``Event``."""

    __slots__ = ("ts", "tid", "cpu", "code", "flags", "params")

    def __init__(self, ts: int, tid: int, cpu: int, code: int, flags: int, params: list[bytes]) -> None:
        self.ts = ts
        self.tid = tid
        self.cpu = cpu
        self.code = code
        self.flags = flags
        self.params = params


@final
class Capture:
    """A capture: what its head says, and its events to be read once, front to back.

    ``orphan_fds``: files of threads that the file does not list. ``skipped_events``: of codes beyond our event table, which
    libscap skips too; counted while events are read.
    """

    __slots__ = ("machine", "interfaces", "threads", "orphan_fds", "skipped_events", "_source", "_next", "_ended")

    def __init__(self, source: Source) -> None:
        self.machine = Machine()
        self.interfaces: list[Interface] = []
        self.threads: list[SnapshotThread] = []
        self.orphan_fds = 0
        self.skipped_events = 0
        self._source = source
        self._next: tuple[int, Body] | None = None  # the first event's block, already read
        self._ended = False

    def events(self) -> Iterator[CaptureEvent]:
        """The events in the order of the file. Raises ``CaptureError`` where the file is damaged."""
        while True:
            event = self.next_event()
            if event is None:
                return
            yield event

    def next_event(self) -> CaptureEvent | None:
        """The next event, None at the end of the file."""
        while not self._ended:
            block = self._next if self._next is not None else read_block(self._source)
            self._next = None
            if block is None:
                break
            kind, body = block
            if kind not in EVENT_BLOCKS:
                self._ended = True
                raise CaptureError(body.base, f"a block of type {kind:#x} where only events may be (joined captures are not read)")
            event = _read_event(kind, body)
            if event is not None:
                return event
            self.skipped_events += 1
        self._ended = True
        return None


def read_capture(stream: BinaryIO) -> Capture:
    """Read the head of a capture, plain or gzip, up to the first event. Raises ``CaptureError``."""
    source = Source(stream)
    block = read_block(source)
    if block is None:
        raise CaptureError(0, "the file is empty")
    _check_section(block[1])  # nothing else begins a file

    capture = Capture(source)
    threads: dict[int, SnapshotThread] = {}
    fds: dict[int, dict[int, SnapshotFd]] = {}
    count = 0
    while True:
        block = read_block(source)
        if block is None:
            raise CaptureError(source.offset, "no events in the file")
        kind, body = block
        if kind in EVENT_BLOCKS:
            capture._next = block
            break
        if kind in _MACHINE:
            _read_machine(body, capture.machine)
        elif kind in _THREADS:
            _read_threads(body, _THREADS[kind], threads)
        elif kind in _FDS:
            tid = body.i64("the tid of an fd list")
            count += _read_fds(body, _FDS[kind], fds.setdefault(tid, {}), MAX_FDS - count)
        elif kind in _INTERFACES:
            capture.interfaces = _read_interfaces(body, _INTERFACES[kind])
        elif kind == SECTION:
            raise CaptureError(body.base, "a second section (joined captures are not read)")

    for tid, entries in fds.items():
        thread = threads.get(tid)
        if thread is None:
            capture.orphan_fds += len(entries)
        else:
            thread.fds = list(entries.values())
    capture.threads = list(threads.values())
    return capture


def _check_section(body: Body) -> None:
    magic, major, _minor, _length = _SECTION.unpack(body.take(_SECTION.size, "the section header"))
    if magic == MAGIC_SWAPPED:
        raise CaptureError(body.base, "recorded on a machine of the other byte order")
    if magic != MAGIC:
        raise CaptureError(body.base, f"not a scap capture: byte order mark {magic:#010x}")
    if major > MAJOR_VERSION:
        raise CaptureError(body.base, f"format version {major} is newer than {MAJOR_VERSION}")


def _read_machine(body: Body, machine: Machine) -> None:
    values = _MACHINE_INFO.unpack(body.take(_MACHINE_INFO.size, "the machine info"))
    machine.num_cpus = values[0]
    machine.memory_bytes = values[1]
    machine.max_pid = values[2]
    machine.hostname = values[3].partition(b"\0")[0]
    machine.boot_epoch = values[4]
    machine.flags = values[5]


def _entry_end(body: Body, sized: bool, what: str) -> int:
    """Where the entry that begins here ends, -1 if it does not say. Newer entries begin with their length, itself included for
    threads and files."""
    if not sized:
        return -1
    start = body.at
    size = body.u32(f"the length of {what}")
    if size < 4 or size > body.end - start:
        body.at = start
        raise body.fail(f"{what} is {size} bytes long, {body.end - start} are left in its block")
    return start + size


def _read_threads(body: Body, version: int, threads: dict[int, SnapshotThread]) -> None:
    """A thread list. What is left at the end below 4 bytes is padding."""
    while body.left() >= 4:
        if len(threads) >= MAX_THREADS:
            raise body.fail(f"more than {MAX_THREADS} threads")
        end = _entry_end(body, version >= 9, "a thread")
        thread = _read_thread(body, version, end)
        threads[thread.tid] = thread
        if end >= 0:
            if body.at > end:
                raise body.fail(f"thread {thread.tid} is longer than its length says")
            body.at = end


def _read_thread(body: Body, version: int, end: int) -> SnapshotThread:
    thread = SnapshotThread(body.i64("a tid"))
    thread.loginuid = 0xFFFFFFFF
    thread.pid = body.i64("a pid")
    thread.ptid = body.i64("a ptid")
    if version >= 6:
        thread.sid = body.i64("a sid")
    if version >= 8:
        thread.vpgid = body.i64("a vpgid")
    thread.comm = body.string(MAX_PATH, "comm")
    thread.exe = body.string(MAX_PATH, "exe")
    if version >= 7:
        thread.exepath = body.string(MAX_PATH, "exepath")
    thread.args = body.strings(MAX_ARGS, "args")
    thread.cwd = body.string(MAX_PATH, "cwd")
    thread.fdlimit = body.i64("fdlimit")
    thread.flags = body.u32("flags")
    thread.uid = body.u32("uid")
    thread.gid = body.u32("gid")
    if version >= 2:
        thread.vmsize_kb = body.u32("vmsize")
        thread.vmrss_kb = body.u32("vmrss")
        thread.vmswap_kb = body.u32("vmswap")
        thread.pfmajor = body.u64("pfmajor")
        thread.pfminor = body.u64("pfminor")
    if version >= 3:
        thread.env = body.strings(MAX_ARGS, "env")
    if version >= 4:
        thread.vtid = body.i64("vtid")
        thread.vpid = body.i64("vpid")
        thread.cgroups = body.text(MAX_ARGS, "cgroups")
    if version >= 5:
        thread.root = body.string(MAX_PATH, "root")
    if end >= 0:
        _read_thread_tail(body, thread, end)
    return thread


def _read_thread_tail(body: Body, thread: SnapshotThread, end: int) -> None:
    """What was appended to the entry over time: each is there if the entry is long enough for it. libs 0.10 put two values
    before loginuid; an entry with at most 29 bytes left (loginuid, exe_writable and three sets of capabilities) is older."""
    if end - body.at > 29:
        thread.pidns_init_start_ts = body.u64("pidns start")
        thread.tty = body.u32("tty")
    if end - body.at >= 4:
        thread.loginuid = body.u32("loginuid")
    if end - body.at >= 1:
        thread.exe_writable = body.u8("exe_writable") != 0
    if end - body.at >= 8:
        thread.cap_inheritable = body.u64("cap_inheritable")
    if end - body.at >= 8:
        thread.cap_permitted = body.u64("cap_permitted")
    if end - body.at >= 8:
        thread.cap_effective = body.u64("cap_effective")
    if end - body.at >= 1:
        thread.exe_upper_layer = body.u8("exe_upper_layer") != 0
    if end - body.at >= 8:
        thread.exe_ino = body.u64("exe_ino")
    if end - body.at >= 8:
        thread.exe_ino_ctime = body.u64("exe_ino_ctime")
    if end - body.at >= 8:
        thread.exe_ino_mtime = body.u64("exe_ino_mtime")
    if end - body.at >= 1:
        thread.exe_from_memfd = body.u8("exe_from_memfd") != 0
    if end - body.at >= 1:
        thread.exe_lower_layer = body.u8("exe_lower_layer") != 0
    if end - body.at >= 8:
        thread.pgid = body.i64("pgid")


def _read_fds(body: Body, version: int, fds: dict[int, SnapshotFd], most: int) -> int:
    """The open files of one thread; returns how many entries there were, at most ``most``."""
    count = 0
    while body.left() >= 4:
        if count >= most:
            raise body.fail(f"more than {MAX_FDS} open files")
        count += 1
        end = _entry_end(body, version >= 2, "an fd")
        fd = _read_fd(body, end)
        fds[fd.fd] = fd
        if end >= 0:
            if body.at > end:
                raise body.fail(f"fd {fd.fd} is longer than its length says")
            body.at = end
    return count


def _read_fd(body: Body, end: int) -> SnapshotFd:
    fd = SnapshotFd(body.i64("an fd number"))
    fd.ino = body.u64("an inode")
    fd.kind = body.u8("an fd type")
    if fd.kind == SCAP_FD_IPV4_SOCK or fd.kind == SCAP_FD_IPV6_SOCK:
        size = 4 if fd.kind == SCAP_FD_IPV4_SOCK else 16
        fd.sip = body.take(size, "an address")
        fd.dip = body.take(size, "an address")
        fd.sport = body.u16("a port")
        fd.dport = body.u16("a port")
        fd.l4proto = body.u8("a protocol")
    elif fd.kind == SCAP_FD_IPV4_SERVSOCK or fd.kind == SCAP_FD_IPV6_SERVSOCK:
        fd.dip = body.take(4 if fd.kind == SCAP_FD_IPV4_SERVSOCK else 16, "an address")
        fd.dport = body.u16("a port")
        fd.l4proto = body.u8("a protocol")
    elif fd.kind == SCAP_FD_UNIX_SOCK:
        fd.source = body.u64("a socket address")
        fd.dest = body.u64("a socket address")
        fd.name = body.string(MAX_PATH, "a socket path")
    elif fd.kind == SCAP_FD_FILE_V2:
        fd.open_flags = body.u32("open flags")
        fd.name = body.string(MAX_PATH, "a file name")
        if end - body.at >= 4:
            fd.dev = body.u32("a device")
    elif fd.kind == SCAP_FD_UNKNOWN:
        pass
    elif fd.kind <= SCAP_FD_PIDFD:
        fd.name = body.string(MAX_PATH, "a file name")
    else:
        fd.name = b"unknown-type:[%d]" % fd.kind
        fd.kind = SCAP_FD_UNSUPPORTED
        if end < 0:
            raise body.fail(f"an fd of unknown type in a list whose entries have no length ({fd.name.decode()})")
    return fd


def _read_interfaces(body: Body, version: int) -> list[Interface]:
    """An interface list: type 1 and 3 are IPv4, 2 and 4 IPv6; 3 and 4 have no link speed. Entries of version 2 begin with the
    length of what follows."""
    interfaces: list[Interface] = []
    while body.left() >= 4:
        if len(interfaces) >= MAX_INTERFACES:
            raise body.fail(f"more than {MAX_INTERFACES} interfaces")
        end = -1
        if version >= 2:
            size = body.u32("the length of an interface")
            if size > body.left():
                raise body.fail(f"an interface is {size} bytes long, {body.left()} are left in its block")
            end = body.at + size
        kind = body.u16("an interface type")
        length = body.u16("the length of an interface name")
        if kind < 1 or kind > 4:
            raise body.fail(f"an interface of unknown type {kind}")
        if length >= MAX_PATH:
            raise body.fail(f"an interface name is {length} bytes long, {MAX_PATH - 1} is the most")
        width = 4 if kind == 1 or kind == 3 else 16
        address = body.take(width, "an address")
        netmask = body.take(width, "a netmask")
        body.take(width, "a broadcast address")
        if kind <= 2:
            body.take(8, "a link speed")
        name = body.take(length, "an interface name").partition(b"\0")[0]
        if end >= 0:
            if body.at > end:
                raise body.fail("an interface is longer than its length says")
            body.at = end
        interfaces.append(Interface(name, address, netmask))
    return interfaces


def _read_event(kind: int, body: Body) -> CaptureEvent | None:
    """One event, None if its code is beyond our table."""
    cpu = body.u16("a cpu number")
    flags = body.u32("event flags") if kind in _EVENTS_WITH_FLAGS else 0
    start = body.at
    ts, tid, length, code = _EVENT.unpack(body.take(_EVENT.size, "an event header"))
    if code >= PPM_EVENT_MAX:
        return None
    counted = kind in _EVENTS_WITH_COUNT
    if not counted and code in (PPME_NOTIFICATION_E, PPME_INFRASTRUCTURE_EVENT_E):
        length -= 3  # old recorders wrote it too long
    count = body.u32("a parameter count") if counted else -1
    end = start + length
    if end < body.at or end > body.end:
        raise CaptureError(body.base + start, f"event {EVENTS[code].code_name} is {length} bytes long in a block of {body.left()}")
    width = 4 if kind in LARGE_EVENT_BLOCKS else 2
    if not counted:
        count = _count_params(body, end, EVENTS[code].nparams)
    if count > MAX_PARAMS:
        raise CaptureError(body.base + start, f"event {EVENTS[code].code_name} has {count} parameters, {MAX_PARAMS} is the most")
    if width * count > end - body.at:
        raise CaptureError(body.base + start, f"event {EVENTS[code].code_name} ends within its {count} lengths")
    lengths: tuple[int, ...] = struct.unpack_from(f"<{count}{'I' if width == 4 else 'H'}", body.data, body.at)
    at = body.at + width * count
    params: list[bytes] = []
    for size in lengths:
        if size > end - at:
            raise CaptureError(body.base + start, f"event {EVENTS[code].code_name} ends within parameter {len(params)}")
        params.append(body.data[at : at + size])
        at += size
    return CaptureEvent(ts, tid, cpu, code, flags, params)


def _count_params(body: Body, end: int, most: int) -> int:
    """The number of parameters of an event whose header does not have it: the most, not above the table's, whose lengths and
    values fill the event exactly. As libscap infers it."""
    count = min(most, MAX_PARAMS)
    while True:  # none fills the event, or leaves some of it
        at = body.at + 2 * count
        if at <= end:
            lengths: tuple[int, ...] = struct.unpack_from(f"<{count}H", body.data, body.at)
            filled = at + sum(lengths)
            if filled == end:
                return count
            if filled < end:
                raise body.fail("the number of an event's parameters cannot be told")
        count -= 1
