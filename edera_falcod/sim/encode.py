"""Captures as an Edera zone would send them: MonitorZoneKernelEventReply messages, written straight in protobuf's wire format.

One snapshot made of the capture's threads and open files, then one reply per event with raw parameters, names and types. Field
numbers and layouts: edera-control-protocol.md sections 4, 7, 10 and 11. Fields are written in the order of their numbers and
left out where they have proto3's default, as Edera's daemon does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..scap.addresses import format_address
from ..scap.capture import Capture, CaptureEvent
from ..scap.snapshot import SnapshotFd, SnapshotThread
from ..scap.tables import (
    EVENTS,
    PT_CHARBUF,
    PT_FSPATH,
    PT_FSRELPATH,
    SCAP_FD_FILE_V2,
    SCAP_FD_IPV4_SERVSOCK,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_IPV6_SERVSOCK,
    SCAP_FD_IPV6_SOCK,
    SCAP_FD_PIDFD,
    SCAP_FD_UNIX_SOCK,
    SCAP_FD_UNKNOWN,
)

MASK64: Final = (1 << 64) - 1
EVENT_HEADER: Final = 26  # bytes of ppm_evt_hdr; event_length counts it

_CATEGORIES: Final = {
    1: "EC_OTHER", 2: "EC_FILE", 3: "EC_NET", 4: "EC_IPC", 5: "EC_MEMORY", 6: "EC_PROCESS", 7: "EC_SLEEP", 8: "EC_SYSTEM",
    9: "EC_SIGNAL", 10: "EC_USER", 11: "EC_TIME", 12: "EC_PROCESSING", 32: "EC_IO_READ", 33: "EC_IO_WRITE", 34: "EC_IO_OTHER",
    64: "EC_WAIT", 128: "EC_SCHEDULER",
}  # fmt: skip
_CATEGORY_BITS: Final = (
    (256, "EC_INTERNAL"), (512, "EC_SYSCALL"), (1024, "EC_TRACEPOINT"), (2048, "EC_PLUGIN"), (4096, "EC_METAEVENT"), (8192, "EC_ITER"),
)  # fmt: skip


def _long_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL: Final = [_long_varint(value) for value in range(1 << 14)]


def varint(value: int) -> bytes:
    """A number of at most 64 bits; negative ones as two's complement."""
    value &= MASK64
    return _SMALL[value] if value < 1 << 14 else _long_varint(value)


def number(field: int, value: int) -> bytes:
    """A varint field, nothing for 0."""
    return varint(field << 3) + varint(value) if value else b""


def blob(field: int, data: bytes) -> bytes:
    """A bytes, string or message field, nothing for empty."""
    return varint(field << 3 | 2) + varint(len(data)) + data if data else b""


def message(field: int, data: bytes) -> bytes:
    """A message field that is there even if it is empty."""
    return varint(field << 3 | 2) + varint(len(data)) + data


def category_text(category: int) -> bytes:
    """``EC_FILE | EC_SYSCALL``"""
    names = [_CATEGORIES[category & 0xFF]] if category & 0xFF else []
    names += [name for bit, name in _CATEGORY_BITS if category & bit]
    return " | ".join(names).encode() or b"EC_UNKNOWN"


class Encoder:
    """Makes the replies of one zone. ``shift``: ns added to every time, so that a capture can be played again later than it was
    recorded. ``pretty``: with the texts that a zone may render beside raw values (param_pretty); the daemon does not read them."""

    def __init__(self, zone_id: str, *, shift: int = 0, pretty: bool = False) -> None:
        self.shift = shift
        self._pretty = pretty
        self._zone_id = zone_id.encode()
        self._head = blob(1, self._zone_id) + b"\x10"  # zone_id, then the tag of the timestamp
        self._names: list[bytes] = []  # by event code: event_name and event_category
        self._params: list[list[bytes]] = []  # by event code: name and type
        self._tails: list[bytes] = []  # by event code: event_flags and event_type
        for info in EVENTS:
            self._names.append(blob(5, info.name) + blob(6, category_text(info.category)))
            self._params.append([blob(1, param.name) + number(2, param.type) for param in info.params])
            self._tails.append(number(8, info.flags) + number(9, info.code))

    def replies(self, capture: Capture) -> Iterator[bytes]:
        """The snapshot, then the events, as a zone answers a request. Reads the capture to its end."""
        yield self.snapshot(capture.threads, capture.machine.boot_epoch)
        for event in capture.events():
            yield self.event(event)

    def event(self, event: CaptureEvent) -> bytes:
        """A reply with one event, of whatever version it is."""
        code = event.code
        heads = self._params[code]
        params = event.params
        parts = [self._head, varint(event.ts + self.shift), b"\x18", varint(event.tid), b"\x20"]
        parts.append(varint(EVENT_HEADER + sum([2 + len(data) for data in params])))
        parts.append(self._names[code])
        if self._pretty:
            for index, data in enumerate(params):
                parts.append(message(7, self._pretty_param(code, index, data)))
        else:
            for index, data in enumerate(params):
                head = heads[index] if index < len(heads) else b""
                if data:
                    size = varint(len(data))
                    parts += (b"\x3a", varint(len(head) + 1 + len(size) + len(data)), head, b"\x1a", size, data)
                else:
                    parts += (b"\x3a", varint(len(head)), head)
        parts.append(self._tails[code])
        if event.cpu:
            parts += (b"\x50", varint(event.cpu))
        body = b"".join(parts)
        return b"\x12" + varint(len(body)) + body

    def snapshot(self, threads: Iterable[SnapshotThread], boot_epoch: int) -> bytes:
        """A reply with the zone's threads and their open files."""
        parts = [message(1, number(1, thread.tid) + message(2, self.thread(thread))) for thread in threads]
        parts.append(blob(2, self._zone_id))
        parts.append(number(3, boot_epoch + self.shift if boot_epoch else 0))
        return message(3, b"".join(parts))

    def thread(self, t: SnapshotThread) -> bytes:
        """ZoneKernelThreadInfo."""
        return b"".join(
            (
                _optional(1, t.tid), _optional(2, t.pid), _optional(3, t.ptid),
                number(4, t.sid), number(5, t.vpgid), number(6, t.pgid),
                blob(7, t.comm), blob(8, t.exe), blob(9, t.exepath),
                number(10, t.exe_writable), number(11, t.exe_upper_layer), number(12, t.exe_lower_layer), number(13, t.exe_from_memfd),
                blob(14, t.args), blob(15, t.env), blob(16, t.cwd), number(17, t.fdlimit), number(18, t.flags),
                number(19, t.uid), number(20, t.gid),
                number(21, t.cap_permitted), number(22, t.cap_effective), number(23, t.cap_inheritable),
                number(24, t.exe_ino), number(25, t.exe_ino_ctime), number(26, t.exe_ino_mtime),
                number(27, t.exe_ino_ctime_duration_clone_ts), number(28, t.exe_ino_ctime_duration_pidns_start),
                number(29, t.vmsize_kb), number(30, t.vmrss_kb), number(31, t.vmswap_kb), number(32, t.pfmajor), number(33, t.pfminor),
                _optional(34, t.vtid), _optional(35, t.vpid), number(36, self._shifted(t.pidns_init_start_ts)),
                blob(37, t.cgroups), blob(38, t.root), number(39, t.filtered_out),
                *[message(40, number(1, fd.fd) + message(2, encode_fd(fd))) for fd in t.fds],
                number(41, self._shifted(t.clone_ts)), number(42, t.tty), number(43, t.loginuid),
                number(44, self._shifted(t.lastexec_ts)), number(45, t.reaper),
            )
        )  # fmt: skip

    def _shifted(self, ts: int) -> int:
        return ts + self.shift if ts else 0

    def _pretty_param(self, code: int, index: int, data: bytes) -> bytes:
        """A parameter with texts such as a zone may add."""
        params = EVENTS[code].params
        if index >= len(params):
            return blob(3, data)
        param = params[index]
        if param.type in (PT_CHARBUF, PT_FSPATH, PT_FSRELPATH):
            text = data.rstrip(b"\0").decode("utf-8", "replace")
        elif len(data) in (1, 2, 4, 8):
            text = str(int.from_bytes(data, "little"))
        else:
            text = data.hex()
        return blob(1, param.name) + number(2, param.type) + blob(3, data) + blob(4, text.encode()) + blob(5, b"PT_%d" % param.type)


def _optional(field: int, value: int) -> bytes:
    """A field with presence; -1 is unknown and left out."""
    return varint(field << 3) + varint(value) if value != -1 else b""


def encode_fd(fd: SnapshotFd) -> bytes:
    """ZoneKernelFdInfo."""
    kind = fd.kind
    outer_flags = fd.open_flags
    if kind == SCAP_FD_IPV4_SOCK or kind == SCAP_FD_IPV6_SOCK:  # noqa: SIM109
        info = message(1 if kind == SCAP_FD_IPV4_SOCK else 2, _socket(fd))
    elif kind == SCAP_FD_IPV4_SERVSOCK or kind == SCAP_FD_IPV6_SERVSOCK:  # noqa: SIM109
        local = blob(1, format_address(fd.dip).encode()) + number(2, fd.dport) + number(3, fd.l4proto)
        info = message(3 if kind == SCAP_FD_IPV4_SERVSOCK else 4, local)
    elif kind == SCAP_FD_UNIX_SOCK:
        info = message(5, number(1, fd.source) + number(2, fd.dest) + blob(3, fd.name))
    elif kind == SCAP_FD_FILE_V2:
        outer_flags = 0
        info = message(6, number(1, fd.open_flags) + blob(2, fd.name) + number(3, fd.mount_id) + number(4, fd.dev))
    elif kind == SCAP_FD_PIDFD and fd.pid >= 0:
        info = message(8, number(1, fd.pid))
    elif kind == SCAP_FD_UNKNOWN:
        info = b""
    else:
        info = message(7, fd.name)
    parts = (_optional(1, fd.fd), number(2, fd.ino), number(3, kind), blob(4, info), number(5, outer_flags), number(6, fd.state_flags))
    return b"".join(parts)


def _socket(fd: SnapshotFd) -> bytes:
    source = blob(1, format_address(fd.sip).encode())
    dest = blob(2, format_address(fd.dip).encode())
    return source + dest + number(3, fd.sport) + number(4, fd.dport) + number(5, fd.l4proto)
