"""Replies mean to the wire reader what they mean to Google's protobuf and to betterproto, however they are written."""

from __future__ import annotations

import io
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.edera.proto import control as edera_proto
from edera_falcod.scap import errors, protobuf, threads, wire
from edera_falcod.scap import tables as t
from edera_falcod.scap.capture import CaptureEvent, read_capture
from edera_falcod.scap.errors import WireError
from edera_falcod.scap.event import Event
from edera_falcod.scap.snapshot import SnapshotFd, SnapshotThread
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from edera_falcod.sim.encode import Encoder

from . import control
from .plain import names, plain

NET1 = Path(__file__).resolve().parents[1] / "data" / "net1.scap"
MALFORMED = {errors.TRUNCATED, errors.VARINT, errors.TAG, errors.WIRE_TYPE}


def full(thread: SnapshotThread) -> dict[str, Any]:
    return plain(thread) | {"fds": [plain(fd) for fd in thread.fds]}


INTERPRETED = wire.__file__.endswith(".py")


def outcome(buf: bytes, start: int, end: int) -> object:
    """Something to compare."""
    try:
        parsed = parse_reply(buf, start, end)
    except WireError as error:
        return error.cause
    return plain(parsed) if isinstance(parsed, Event) else (parsed.boot_epoch, parsed.total)


def parse(data: bytes) -> Event | SnapshotReader:
    """Embedded in other bytes, which must not matter. Interpreted, what the compiled reader does otherwise has to mean the same."""
    whole = (b"\xff" * 3 + data + b"\x12\x03\x01", 3, 3 + len(data))
    if INTERPRETED and not vars(wire)["COMPILED"]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wire, "COMPILED", True)
            compiled = outcome(*whole)
        assert compiled == outcome(*whole)
    return parse_reply(*whole)


def parse_all(data: bytes) -> Event | tuple[int, list[dict[str, Any]]]:
    """An event, or a snapshot's boot epoch and threads."""
    parsed = parse(data)
    if isinstance(parsed, Event):
        return parsed
    found = []
    while (thread := parsed.next_thread()) is not None:
        found.append(full(thread))
    assert parsed.total == len(found)
    return parsed.boot_epoch, found


# What Google's reading of a message means


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def expected_event(syscall: Any) -> dict[str, Any] | str:
    """The event's attributes, or why it has to be refused."""
    params = [param.param_data for param in syscall.event_params]
    info = t.EVENTS[syscall.event_type] if syscall.event_type < t.PPM_EVENT_MAX else None
    if len(params) > wire.MAX_PARAMS:
        return errors.TOO_MANY_PARAMS
    if info is None or info.unused:
        return errors.UNKNOWN_EVENT
    if info.old:
        return errors.OLD_EVENT
    if any(len(param) > wire.MAX_PARAM for param in params):
        return errors.TOO_LONG
    if syscall.timestamp >= 1 << 63:
        return errors.TIMESTAMP
    return {
        "ts": syscall.timestamp,
        "tid": signed(syscall.thread_id),
        "cpu": syscall.cpuid,
        "code": syscall.event_type,
        "params": params[: info.nparams],
    }


def address(text: bytes, width: int) -> bytes:
    try:
        packed = ipaddress.ip_address(text.decode()).packed
    except ValueError:
        return bytes(width)
    if len(packed) == width:
        return packed
    if width == 16:
        return bytes(10) + b"\xff\xff" + packed
    return packed[12:] if packed[:12] == bytes(10) + b"\xff\xff" else bytes(4)


def expected_fd(key: int, value: Any) -> dict[str, Any]:
    fd = SnapshotFd(signed(value.fd if value.HasField("fd") else key))
    fd.kind, fd.ino, fd.state_flags = value.fd_type, value.inode, value.state_flags
    fd.open_flags = value.open_flags
    which = value.info.WhichOneof("info_type")
    info: Any = getattr(value.info, which) if which else None
    if which in ("ipv4_socket", "ipv6_socket"):
        width = 4 if which == "ipv4_socket" else 16
        fd.sip, fd.dip = address(info.source_ip, width), address(info.dest_ip, width)
        fd.sport, fd.dport, fd.l4proto = info.source_port & 0xFFFF, info.dest_port & 0xFFFF, info.protocol
    elif which in ("ipv4_server_socket", "ipv6_server_socket"):
        fd.dip = address(info.local_ip, 4 if which == "ipv4_server_socket" else 16)
        fd.dport, fd.l4proto = info.local_port & 0xFFFF, info.protocol
    elif which == "unix_socket":
        fd.source, fd.dest, fd.name = info.source, info.destination, info.name
    elif which == "regular_file":
        fd.open_flags = info.open_flags or fd.open_flags
        fd.name, fd.mount_id, fd.dev = info.name, info.mount_id, info.device
    elif which == "file_name":
        fd.name = info
    elif which == "pidfd":
        fd.pid = signed(info.pid)
    if not 0 <= fd.kind <= t.SCAP_FD_PIDFD:
        fd.kind, fd.name = t.SCAP_FD_UNSUPPORTED, b"unknown-type:[%d]" % fd.kind
    if not 0 <= fd.l4proto <= 5:
        fd.l4proto = 0
    source, dest = {3: (4, 4), 4: (16, 16), 5: (0, 4), 6: (0, 16)}.get(fd.kind, (0, 0))
    fd.sip = fd.sip if len(fd.sip) == source else bytes(source)
    fd.dip = fd.dip if len(fd.dip) == dest else bytes(dest)
    return plain(fd)


def expected_thread(key: int, value: Any) -> dict[str, Any]:
    thread = SnapshotThread(signed(value.tid if value.HasField("tid") else key))
    for name in ("pid", "ptid", "vtid", "vpid"):
        setattr(thread, name, signed(getattr(value, name)) if value.HasField(name) else -1)
    for name in ("sid", "vpgid", "pgid"):
        setattr(thread, name, signed(getattr(value, name)))
    done = {"tid", "pid", "ptid", "vtid", "vpid", "sid", "vpgid", "pgid", "fds"}
    for name in set(names(SnapshotThread)) - done:
        setattr(thread, name, getattr(value, name))
    return full(thread) | {"fds": [expected_fd(entry.key, entry.value) for entry in value.fdlist]}


def expected(data: bytes) -> dict[str, Any] | str | tuple[int, list[dict[str, Any]]]:
    message = control.reply("entries").FromString(data)
    which = message.WhichOneof("reply")
    if which is None:
        return errors.EMPTY
    if which == "syscall":
        return expected_event(message.syscall)
    snapshot = message.threadsnap
    return snapshot.zone_boot_epoch, [expected_thread(entry.key, entry.value) for entry in snapshot.thread_info]


def check(data: bytes) -> None:
    """What Google's reader takes, ours takes with the same meaning or refuses with the right reason."""
    wanted = expected(data)
    try:
        parsed = parse_all(data)
    except WireError as error:
        assert error.cause == wanted
        assert error.cause in errors.CAUSES
        return
    assert (plain(parsed) if isinstance(parsed, Event) else parsed) == wanted


# Messages as a zone could write them: any order, repeated, in pieces, with unknown fields, with longer varints than needed

NUMBERS = st.one_of(
    st.integers(0, 200),
    st.sampled_from([(1 << 16) - 1, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]),
    st.integers(0, (1 << 64) - 1),
)
CODES = st.one_of(
    st.integers(0, t.PPM_EVENT_MAX + 2),
    st.sampled_from([t.PPME_SYSCALL_OPENAT_2_X, t.PPME_SYSCALL_CLOSE_X, t.PPME_ASYNCEVENT_E, t.PPME_PROCEXIT_1_E]),
    NUMBERS,
)
ADDRESSES = st.one_of(
    st.ip_addresses().map(lambda a: str(a).encode()),
    st.sampled_from([b"::ffff:1.2.3.4", b"fe80::1%eth0", b"1.2.3", b"1.2.3.4 ", b"::", b"\xff", b"0" * 65, b""]),
)
ENUMS = st.one_of(st.integers(0, 25), NUMBERS)


def varint(value: int, size: int = 0) -> bytes:
    """With ``size``: padded to that many bytes, as nobody writes but every reader takes."""
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < size:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@st.composite
def numbers(draw: st.DrawFn, strategy: st.SearchStrategy[int] = NUMBERS) -> bytes:
    size = draw(st.sampled_from([0, 0, 0, 0, 2, 10]))
    return varint(draw(strategy), size)


@st.composite
def tags(draw: st.DrawFn, number: int, kind: int) -> bytes:
    return varint(number << 3 | kind, draw(st.sampled_from([0, 0, 0, 0, 0, 2, 5])))


@st.composite
def blobs(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> bytes:
    drawn = draw(data)
    return varint(len(drawn), draw(st.sampled_from([0, 0, 0, 3]))) + drawn


@st.composite
def unknown(draw: st.DrawFn, numbers_left: st.SearchStrategy[int], depth: int = 2) -> bytes:
    number = draw(numbers_left)
    kind = draw(st.sampled_from([0, 1, 2, 5, 3] if depth else [0, 1, 2, 5]))
    out = draw(tags(number, kind))
    if kind == 0:
        return out + draw(numbers())
    if kind == 2:
        return out + draw(blobs(st.binary(max_size=4)))
    if kind == 3:
        inner = [draw(unknown(numbers_left, depth - 1)) for _ in range(draw(st.integers(0, 2)))]
        return out + b"".join(inner) + draw(tags(number, 4))
    return out + bytes(8 if kind == 1 else 4)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, most: int = 7) -> bytes:
    fields = list(descriptor.fields)
    parts = []
    for _ in range(draw(st.integers(0, most))):
        form = draw(st.integers(0, 14))
        if form == 0:
            parts.append(draw(unknown(st.integers(50, (1 << 29) - 1))))
            continue
        if form == 1:  # a known number, as likely as not with another wire type
            field = draw(st.sampled_from(fields))
            others = {0, 1, 2, 5} - {2 if field.type in (F.TYPE_MESSAGE, F.TYPE_BYTES) else 0}
            kind = draw(st.sampled_from(sorted(others)))
            value = {0: numbers(), 1: st.just(bytes(8)), 2: blobs(st.binary(max_size=4)), 5: st.just(bytes(4))}[kind]
            parts.append(draw(tags(field.number, kind)) + draw(value))
            continue
        field = draw(st.sampled_from(fields))
        if field.type == F.TYPE_MESSAGE:
            parts.append(draw(tags(field.number, 2)) + draw(blobs(messages(field.message_type, most))))
        elif field.type == F.TYPE_BYTES:
            content = ADDRESSES if field.name.endswith("_ip") else st.binary(max_size=6)
            parts.append(draw(tags(field.number, 2)) + draw(blobs(content)))
        else:
            strategy = CODES if field.name == "event_type" else ENUMS if field.type == F.TYPE_ENUM else NUMBERS
            parts.append(draw(tags(field.number, 0)) + draw(numbers(strategy)))
    return b"".join(parts)


def of(name: str) -> Descriptor:
    found: Descriptor = control.descriptor("entries").file.message_types_by_name[name]
    return found


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


REPLIES = st.one_of(
    messages(control.descriptor("entries"), 3),
    messages(of("ZoneKernelSyscallEvent"), 12).map(lambda data: field(2, data)),
    messages(of("ZoneKernelThreadSnapshotEvent"), 4).map(lambda data: field(3, data)),
    messages(of("ZoneKernelThreadInfo"), 20).map(lambda data: field(3, field(1, field(2, data)))),
    messages(of("ZoneKernelFdInfo"), 8).map(lambda data: field(3, field(1, field(2, field(40, field(2, data)))))),
    messages(of("ZoneKernelFdInfoData"), 8).map(lambda data: field(3, field(1, field(2, field(40, field(2, field(4, data))))))),
)
# The way to each message that is read: the field numbers from the reply down
WAYS = {
    "ZoneKernelSyscallEvent": (2,), "ZoneKernelEventParam": (2, 7), "ZoneKernelThreadSnapshotEvent": (3,),
    "ZoneKernelThreadInfoEntry": (3, 1),
    "ZoneKernelThreadInfo": (3, 1, 2), "ZoneKernelFdInfoEntry": (3, 1, 2, 40), "ZoneKernelFdInfo": (3, 1, 2, 40, 2),
    "ZoneKernelFdInfoData": (3, 1, 2, 40, 2, 4), "ZoneKernelIpv4SocketInfo": (3, 1, 2, 40, 2, 4, 1),
    "ZoneKernelIpv6SocketInfo": (3, 1, 2, 40, 2, 4, 2), "ZoneKernelIpv4ServerSocketInfo": (3, 1, 2, 40, 2, 4, 3),
    "ZoneKernelIpv6ServerSocketInfo": (3, 1, 2, 40, 2, 4, 4), "ZoneKernelUnixSocketInfo": (3, 1, 2, 40, 2, 4, 5),
    "ZoneKernelRegularFileInfo": (3, 1, 2, 40, 2, 4, 6), "ZoneKernelPidFd": (3, 1, 2, 40, 2, 4, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_every_field_with_every_wire_type(name: str) -> None:
    """Each field by itself and behind itself, and numbers that no field has."""
    way = WAYS[name]
    kind = t.SCAP_FD_IPV6_SOCK if "Ipv6" in name else t.SCAP_FD_IPV4_SOCK
    for number in (*[field_.number for field_ in of(name).fields], 17, 50, 99):
        for content in (
            varint(number << 3) + b"\x05", varint(number << 3) + varint((1 << 64) - 1), varint(number << 3 | 1) + bytes(range(1, 9)),
            field(number, b""), field(number, b"\x08\x07"), field(number, b"1.2.3.4"), varint(number << 3 | 5) + b"\1\2\3\4",
            varint(number << 3 | 3) + b"\x08\x01" + varint(number << 3 | 4),
        ):  # fmt: skip
            for data in (content, content + content):
                for step in reversed(way):
                    data = field(step, data if step != 2 or len(way) < 5 else varint(3 << 3) + varint(kind) + data)
                try:
                    control.reply("entries").FromString(data)
                except DecodeError:
                    assert refused(data) in MALFORMED
                else:
                    check(data)


@given(REPLIES)
def test_same_as_google(data: bytes) -> None:
    check(data)


@given(REPLIES, st.data())
def test_same_as_google_when_damaged(data: bytes, more: st.DataObject) -> None:
    """Ours refuses as malformed only what Google's refuses; what Google's refuses, ours refuses too, unless it never looks there
    (a member of the oneof that a later one replaced)."""
    damaged = bytearray(data)
    for _ in range(more.draw(st.integers(1, 3))):
        if damaged:
            damaged[more.draw(st.integers(0, len(damaged) - 1))] = more.draw(st.integers(0, 255))
    data = bytes(damaged[: more.draw(st.integers(0, len(damaged)))])
    try:
        control.reply("entries").FromString(data)
    except DecodeError:
        try:
            parse_all(data)
        except WireError as error:
            assert error.cause in errors.CAUSES
        else:
            assert members(data) > 1
    else:
        check(data)


def members(data: bytes) -> int:
    """How many members of its oneof a reply has, however their tags are written."""
    found = 0
    at = 0
    while at < len(data):
        number, at = protobuf.tag(data, at, len(data))
        found += number in (0x12, 0x1A)
        at = protobuf.skip(data, at, len(data), number)
    return found


@given(st.binary(max_size=64))
def test_any_bytes(data: bytes) -> None:
    try:
        parse_all(data)
    except WireError as error:
        assert error.cause in errors.CAUSES


# Messages that Google's library and betterproto write

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def filled(draw: st.DrawFn, message: Any, skip: frozenset[str] = frozenset()) -> Any:
    """A message object with random values in some of its fields."""
    for field_ in message.DESCRIPTOR.fields:
        if field_.name in skip or not draw(st.booleans()):
            continue
        if field_.message_type is not None and field_.message_type.GetOptions().map_entry:
            for key in draw(st.lists(st.integers(0, 1 << 22), max_size=2, unique=True)):
                draw(filled(getattr(message, field_.name)[key]))
        elif field_.name == "event_params":
            for _ in range(draw(st.integers(0, 6))):
                draw(filled(message.event_params.add()))
        elif field_.type == F.TYPE_MESSAGE:
            getattr(message, field_.name).SetInParent()
            draw(filled(getattr(message, field_.name)))
        elif field_.type == F.TYPE_STRING:
            text = draw(ADDRESSES.filter(bytes.isascii)).decode() if field_.name.endswith("_ip") else draw(TEXTS)
            setattr(message, field_.name, text)
        elif field_.type == F.TYPE_BYTES:
            setattr(message, field_.name, draw(st.binary(max_size=12)))
        elif field_.type == F.TYPE_BOOL:
            setattr(message, field_.name, True)
        elif field_.type == F.TYPE_ENUM:
            setattr(message, field_.name, draw(st.sampled_from([value.number for value in field_.enum_type.values])))
        elif field_.name == "event_type":
            setattr(message, field_.name, draw(st.integers(0, t.PPM_EVENT_MAX + 1)))
        else:
            bits = 64 if field_.type == F.TYPE_UINT64 else 32 if field_.type == F.TYPE_UINT32 else 63
            setattr(message, field_.name, draw(st.integers(0, (1 << bits) - 1)))
    return message


@st.composite
def written(draw: st.DrawFn) -> bytes:
    message = control.reply("plain")()
    draw(filled(getattr(message, draw(st.sampled_from(["syscall", "threadsnap"])))))
    data: bytes = message.SerializeToString()
    return data


@given(written())
def test_written_by_google(data: bytes) -> None:
    check(data)


BETTER_FD = {"ipv4_socket": 4, "ipv6_socket": 16, "ipv4_server_socket": 4, "ipv6_server_socket": 16}


@given(written())
def test_same_as_betterproto(data: bytes) -> None:
    better = edera_proto.MonitorZoneKernelEventReply().parse(data)
    try:
        parsed = parse_all(bytes(better))  # as betterproto writes it
    except WireError as error:
        assert error.cause not in MALFORMED
        return
    if isinstance(parsed, Event):
        event = better.syscall
        assert (parsed.ts, parsed.tid, parsed.cpu, parsed.code) == (event.timestamp, signed(event.thread_id), event.cpuid, event.event_type)
        assert parsed.params == [param.param_data for param in event.event_params][: t.EVENTS[parsed.code].nparams]
        return
    epoch, found = parsed
    snapshot = better.threadsnap
    assert epoch == snapshot.zone_boot_epoch
    wanted = {signed(key if value.tid is None else value.tid): value for key, value in snapshot.thread_info.items()}
    assert {thread["tid"] for thread in found} == set(wanted)
    for thread in found:
        value = wanted[thread["tid"]]
        if len(wanted) == len(snapshot.thread_info):
            for name in ("comm", "exe", "exepath", "cwd", "root", "args", "env", "cgroups"):
                assert thread[name] == getattr(value, name).encode()
            for name in ("uid", "gid", "flags", "loginuid", "tty", "clone_ts", "cap_effective", "fdlimit", "reaper", "exe_from_memfd"):
                assert thread[name] == getattr(value, name)
            assert len(thread["fds"]) == len(value.fdlist)


# Single cases


def event_bytes(code: int = t.PPME_SYSCALL_CLOSE_X, params: tuple[bytes, ...] = (), extra: bytes = b"") -> bytes:
    body = b"".join(field(7, field(1, b"name") + b"\x10\x09" + field(3, param)) for param in params)
    return field(2, b"\x10\x05\x18\x07" + body + b"\x48" + varint(code) + b"\x50\x01" + extra)


def refused(data: bytes) -> str:
    with pytest.raises(WireError) as caught:
        parse_all(data)
    return caught.value.cause


def test_an_event() -> None:
    event = parse(event_bytes(params=(b"\0" * 8, b"")))
    assert isinstance(event, Event)
    assert (event.ts, event.tid, event.cpu, event.code, event.params) == (5, 7, 1, t.PPME_SYSCALL_CLOSE_X, [bytes(8), b""])


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", errors.EMPTY),
        (b"\x08\x01", errors.EMPTY),
        (field(2, b""), errors.OLD_EVENT),  # event_type 0 is PPME_GENERIC_E
        (event_bytes(t.PPME_GENERIC_E), errors.OLD_EVENT),
        (event_bytes(t.PPME_SYSCALL_OPENAT_X), errors.OLD_EVENT),
        (event_bytes(t.PPM_EVENT_MAX), errors.UNKNOWN_EVENT),
        (event_bytes((1 << 32) - 1), errors.UNKNOWN_EVENT),
        (event_bytes(t.PPME_PROCEXIT_1_X), errors.UNKNOWN_EVENT),  # EF_UNUSED
        (event_bytes(params=(b"",) * 33), errors.TOO_MANY_PARAMS),
        (event_bytes(params=(b"x" * 65_536,)), errors.TOO_LONG),
        (event_bytes(t.PPME_PLUGINEVENT_E, params=(b"", b"x" * ((1 << 20) + 1))), errors.TOO_LONG),
        (event_bytes(extra=b"\x10" + varint(1 << 63)), errors.TIMESTAMP),
        (b"\x12", errors.TRUNCATED),
        (b"\x12\x01", errors.TRUNCATED),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", errors.TRUNCATED),  # a length of 2^64 - 1
        (b"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", errors.OLD_EVENT),  # 0 in ten bytes: an empty event
        (b"\x12" + b"\x80" * 10 + b"\x00", errors.VARINT),
        (b"\x12\x80", errors.TRUNCATED),
        (b"\x92\x80\x80\x80\x80\x80\x00\x00", errors.TAG),
        (b"\x02\x00", errors.TAG),
        (b"\x00\x00", errors.TAG),
        (b"\x0e\x00", errors.WIRE_TYPE),
        (b"\x0c", errors.WIRE_TYPE),  # the end of a group that never began
        (b"\x0b\x14", errors.WIRE_TYPE),
        (b"\x0b" * 200, errors.WIRE_TYPE),
        (b"\x0b\x10\x01", errors.TRUNCATED),
        (b"\x09\x00", errors.TRUNCATED),
        (field(2, b"\x10"), errors.TRUNCATED),
        (field(2, b"\x3a\x02\x1a\x05"), errors.TRUNCATED),
        (field(2, b"\x3a"), errors.TRUNCATED),
        (field(2, b"\x3a\x01\x1a"), errors.TRUNCATED),
        (field(2, b"\x3a\xff\x01"), errors.TRUNCATED),
        (field(2, b"\x3a" + varint((1 << 64) - 1)), errors.TRUNCATED),
        (field(2, b"\x00\x00"), errors.TAG),
        (field(3, b"\x0a\x05"), errors.TRUNCATED),
        (field(3, field(1, b"\x12\x05")), errors.TRUNCATED),
        (field(3, field(1, field(2, b"\x3a\x05"))), errors.TRUNCATED),
    ],
)
def test_refused(data: bytes, cause: str) -> None:
    assert refused(data) == cause


def one_fd(info: bytes) -> bytes:
    return field(3, field(1, field(2, field(40, field(2, info)))))


@pytest.mark.parametrize(
    "data",
    [
        event_bytes(extra=b"\x50" + varint((1 << 40) + 3)),  # 32 bit fields drop what is above
        event_bytes(extra=b"\x48" + varint((1 << 40) + t.PPME_SYSCALL_CLOSE_X)),
        event_bytes(extra=b"\x18" + b"\xff" * 9 + b"\x7f"),  # a tenth byte holds one bit, the rest is dropped
        event_bytes(extra=b"\x18" + varint((1 << 64) - 1)),
        event_bytes(extra=varint(0x18, 5) + b"\x09"),
        event_bytes(extra=b"\x33\x10\x01\x34"),  # a group
        event_bytes() + event_bytes(params=(b"x",), code=t.PPME_SYSCALL_READ_X),  # merged
        event_bytes() + field(3, b"\x18\x05") + event_bytes(params=(b"x",)),  # replaced
        field(3, b"\x18\x05") + field(3, field(1, b"\x08\x01")),
        field(3, field(1, field(2, b"\x20\x05") + field(2, b"\x28\x06"))),  # a value of a map in two pieces
        one_fd(b"\x18" + varint((1 << 64) - 1)),  # an enum of -1
        one_fd(b"\x18" + varint((1 << 32) + 1) + field(4, field(7, b"name"))),
        one_fd(b"\x18\x10\x28\x07" + field(4, field(6, b"\x12\x01x"))),  # open_flags outside of info
        one_fd(b"\x18\x10\x28\x07" + field(4, field(6, b"\x08\x03")) + field(4, field(6, b"\x12\x01x"))),
        one_fd(b"\x18\x03" + field(4, field(1, field(1, b"1.2.3.4"))) + field(4, field(7, b"x")) + field(4, field(1, b"\x18\x05"))),
        one_fd(b"\x18\x15" + field(4, field(8, b""))),
        one_fd(b"\x18\x05" + field(4, field(3, field(1, b"1.2.3.4") + b"\x10\x50"))),
        one_fd(b"\x18\x06" + field(4, field(4, field(1, b"::1") + b"\x10\x50"))),
        one_fd(b"\x18\x06"),
        one_fd(b"\x18\x04" + field(4, field(1, field(1, b"1.2.3.4")))),  # info of another kind of file
    ],
)
def test_awkward_but_right(data: bytes) -> None:
    check(data)


WRONG = [varint(0x18, 6) + b"\x09", b"\x33\x10\x01\x3c", b"\x34"]


@pytest.mark.parametrize("data", [event_bytes(extra=extra) for extra in WRONG])
def test_wrong_for_google_too(data: bytes) -> None:
    with pytest.raises(DecodeError):
        control.reply("entries").FromString(data)
    assert refused(data) in MALFORMED


def test_bounds_of_the_buffer() -> None:
    data = event_bytes()
    for start, end in ((-1, len(data)), (5, 4), (0, len(data) + 1)):
        with pytest.raises(WireError):
            parse_reply(data, start, end)
        with pytest.raises(WireError):
            SnapshotReader(data, start, end)
    for end in range(len(data)):
        with pytest.raises(WireError):
            parse_reply(data, 0, end)


def test_longest_parameters() -> None:
    event = parse(event_bytes(params=(b"x" * 65_535,)))
    assert isinstance(event, Event) and len(event.params[0]) == 65_535
    event = parse(event_bytes(t.PPME_PLUGINEVENT_E, params=(b"", b"x" * (1 << 20))))
    assert isinstance(event, Event) and len(event.params[1]) == 1 << 20


def test_parameters_of_newer_zones_are_cut_off() -> None:
    event = parse(event_bytes(params=(b"a", b"b", b"c")))
    assert isinstance(event, Event) and event.params == [b"a", b"b"]


def test_snapshot_is_read_in_steps_and_its_epoch_may_come_last() -> None:
    entries = [field(1, b"\x08" + varint(tid) + field(2, b"\x08" + varint(tid))) for tid in (5, 6, 7)]
    reader = parse(field(3, b"".join(entries) + b"\x18\x2a"))
    assert isinstance(reader, SnapshotReader)
    assert (reader.boot_epoch, reader.total) == (42, 3)
    found = [reader.next_thread() for _ in range(5)]
    assert [thread and thread.tid for thread in found] == [5, 6, 7, None, None]


def test_a_large_snapshot_is_looked_at_in_steps() -> None:
    entries = b"".join([field(1, b"\x08" + varint(tid)) for tid in range(threads.EAGER + 10)])
    data = field(3, entries + b"\x18\x2a")
    reader = parse(data)
    assert isinstance(reader, SnapshotReader) and (reader.boot_epoch, reader.total) == (0, threads.EAGER)
    assert not reader.scan(5) and reader.total == threads.EAGER + 5
    assert reader.scan(100) and (reader.boot_epoch, reader.total) == (42, threads.EAGER + 10)
    reader = parse(data)
    assert isinstance(reader, SnapshotReader)
    first = reader.next_thread()
    assert first is not None and first.tid == 0
    assert (reader.boot_epoch, reader.total) == (42, threads.EAGER + 10), "all is looked at before the first thread is read"


def test_a_snapshot_with_fields_without_end_is_refused() -> None:
    fields = b"\x20\x01" * threads.MAX_OTHERS
    assert parse_all(field(3, fields)) == (0, [])
    assert refused(field(3, fields + b"\x20\x01")) == errors.TOO_MANY_FIELDS


def test_snapshot_ids() -> None:
    reader = parse(field(3, field(1, b"\x08\x09" + field(2, b"\x20" + varint((1 << 64) - 1)))))
    assert isinstance(reader, SnapshotReader)
    thread = reader.next_thread()
    assert thread is not None
    assert (thread.tid, thread.pid, thread.ptid, thread.vtid, thread.vpid) == (9, -1, -1, -1, -1)  # optional: unknown
    assert (thread.sid, thread.vpgid, thread.pgid) == (-1, 0, 0)


def test_snapshot_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    fds = b"".join(field(40, b"\x08" + varint(number)) for number in range(6))
    texts = field(7, b"x" * (threads.MAX_COMM + 1)) + field(14, b"y" * (threads.MAX_STRINGS + 1))
    data = field(3, field(1, b"\x08\x01" + field(2, texts + fds)) * 3)
    monkeypatch.setattr(threads, "MAX_FDS", 4)
    monkeypatch.setattr(threads, "MAX_THREADS", 2)
    if threads.__file__.endswith(".py"):
        reader = parse(data)
        assert isinstance(reader, SnapshotReader)
        found = []
        while (thread := reader.next_thread()) is not None:
            found.append(thread)
        assert len(found) == 2 and all(len(thread.fds) == 4 for thread in found)
        assert (reader.total, reader.dropped_threads, reader.dropped_fds, reader.cut_texts) == (3, 1, 4, 4)
        assert len(found[0].comm) == threads.MAX_COMM and len(found[0].args) == threads.MAX_STRINGS


def test_fd_limit() -> None:
    fds = field(40, b"\x08\x01") * (threads.MAX_FDS + 3)
    reader = parse(field(3, field(1, field(2, fds))))
    assert isinstance(reader, SnapshotReader)
    thread = reader.next_thread()
    assert thread is not None and len(thread.fds) == threads.MAX_FDS and reader.dropped_fds == 3


def test_bad_addresses_are_counted_and_read_as_zero() -> None:
    info = field(1, field(1, b"not an address") + field(2, b"1.2.3.4"))
    reader = parse(field(3, field(1, field(2, field(40, field(2, b"\x18\x03" + field(4, info)))))))
    assert isinstance(reader, SnapshotReader)
    thread = reader.next_thread()
    assert thread is not None
    assert (thread.fds[0].sip, thread.fds[0].dip, reader.bad_addresses) == (bytes(4), b"\1\2\3\4", 1)


# A recorded capture, as the simulated zone sends it


@pytest.mark.parametrize("pretty", [False, True])
def test_every_message_of_a_capture(pretty: bool) -> None:
    encoder = Encoder("8c4a9a3e-0000-4000-8000-0123456789ab", pretty=pretty)
    capture = read_capture(io.BytesIO(NET1.read_bytes()))
    snapshot = encoder.snapshot(capture.threads, capture.machine.boot_epoch)
    assert parse_all(snapshot) == (capture.machine.boot_epoch, [full(thread) for thread in capture.threads])
    check(snapshot)
    google = control.reply("bytes")
    assert len(google.FromString(snapshot).threadsnap.thread_info) == len(capture.threads)
    for number, event in enumerate(capture.events()):
        data = encoder.event(event)
        parsed = parse(data)
        assert isinstance(parsed, Event)
        assert (parsed.ts, parsed.tid, parsed.cpu, parsed.code) == (event.ts, event.tid, event.cpu, event.code)
        assert parsed.params == event.params
        if number % 10 == 0:
            check(data)
            assert google.FromString(data).SerializeToString() == data


# What mutation testing has shown to be missing (tools/mutate.py)


def test_the_whole_buffer() -> None:
    """Not embedded in anything: first and last byte are the message's own."""
    data = event_bytes(params=(b"\0" * 8, b"x"))
    event = parse_reply(data, 0, len(data))
    assert isinstance(event, Event) and event.params == [bytes(8), b"x"]
    snapshot = parse_reply(b"\x1a\x00", 0, 2)
    assert isinstance(snapshot, SnapshotReader) and snapshot.total == 0


@pytest.mark.parametrize("pieces", [1, 2, 3, 4])
def test_an_event_in_pieces(pieces: int) -> None:
    """The same member of the oneof several times: they are merged."""
    whole = event_bytes(params=(b"\1" * 8, b"\2"))[2:]
    parts = [b"\x10\x05", b"\x18\x07", whole[4:-2], whole[-2:]]
    parts = [*parts[: pieces - 1], b"".join(parts[pieces - 1 :])]
    data = b"".join(field(2, part) for part in parts)
    check(data)
    event = parse(data)
    assert isinstance(event, Event) and (event.ts, event.tid, event.cpu, len(event.params)) == (5, 7, 1, 2)


def test_the_last_moment() -> None:
    event = parse(event_bytes(extra=b"\x10" + varint((1 << 63) - 1)))
    assert isinstance(event, Event) and event.ts == (1 << 63) - 1


@pytest.mark.parametrize("number", [16, 17, 2047, 2048, (1 << 29) - 1])
@pytest.mark.parametrize("kind", [0, 1, 2, 5])
def test_tags_of_several_bytes(number: int, kind: int) -> None:
    """In the event, in a parameter, and around them: skipped, whatever their first byte is."""
    content = {0: b"\x07", 1: bytes(8), 2: b"\x02ab", 5: bytes(4)}[kind]
    extra = varint(number << 3 | kind) + content
    params = field(7, extra + field(3, b"\3" * 8) + extra)
    data = extra + field(2, extra + b"\x10\x05\x18\x07" + extra + params + b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X) + extra)
    check(data)
    event = parse(data)
    assert isinstance(event, Event) and event.params == [b"\3" * 8]


@pytest.mark.parametrize("first", range(8))
def test_a_tag_without_a_number(first: int) -> None:
    """0 is no field's number, in one byte or in several, in an event or in a parameter."""
    for tag_bytes in (bytes([first]), bytes([first | 0x80, 0])):
        assert refused(event_bytes(extra=tag_bytes + bytes(8))) == errors.TAG
        assert refused(field(2, field(7, tag_bytes + bytes(8)))) == errors.TAG


@pytest.mark.parametrize("size", [126, 127, 128, 129, 255, 16_383, 16_384, 65_534, 65_535])
def test_lengths_of_several_bytes(size: int) -> None:
    data = event_bytes(t.PPME_SYSCALL_WRITE_X, (bytes(8), b"x" * size))
    check(data)
    event = parse(data)
    assert isinstance(event, Event) and event.params == [bytes(8), b"x" * size]
    assert refused(field(2, field(7, b"\x1a" + varint(size) + b"x" * (size - 1)))) == errors.TRUNCATED


@pytest.mark.parametrize("kind", [t.PPME_ASYNCEVENT_E, t.PPME_SYSCALL_WRITE_X])
def test_the_longest_parameters(kind: int) -> None:
    longest = wire.MAX_LARGE_PARAM if kind == t.PPME_ASYNCEVENT_E else wire.MAX_PARAM
    event = parse(event_bytes(kind, (b"x" * longest,)))
    assert isinstance(event, Event) and len(event.params[0]) == longest
    assert refused(event_bytes(kind, (b"x" * (longest + 1),))) == errors.TOO_LONG
    assert wire.MAX_PARAM == 65_535 and wire.MAX_LARGE_PARAM == 1_048_576 and wire.MAX_PARAMS == 32 and wire.MAX_TIMESTAMP == (1 << 63) - 1


def test_the_type_of_a_parameter_is_skipped_whatever_it_is() -> None:
    for value in (0, 1, 127, 128, 300, (1 << 64) - 1):
        param = field(7, b"\x10" + varint(value) + field(3, b"\4" * 8))
        event = parse(field(2, b"\x10\x05\x18\x07" + param + b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X)))
        assert isinstance(event, Event) and event.params == [b"\4" * 8]
    param = field(7, b"\x11" + bytes(8) + field(3, b"\4" * 8))  # of a fixed width, which it never has
    event = parse(field(2, b"\x10\x05\x18\x07" + param + b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X)))
    assert isinstance(event, Event) and event.params == [b"\4" * 8]
    assert refused(field(2, field(7, b"\x10"))) == errors.TRUNCATED
    assert refused(field(2, field(7, b"\x1a"))) == errors.TRUNCATED
    assert refused(field(2, b"\x3a")) == errors.TRUNCATED


def test_what_is_absent_is_zero() -> None:
    """Of an event that says nothing but its type, and of one of type 0, which is superseded."""
    event = parse(field(2, b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X)))
    assert isinstance(event, Event)
    assert (event.ts, event.tid, event.cpu, event.code, event.params) == (0, 0, 0, t.PPME_SYSCALL_CLOSE_X, [])
    assert refused(field(2, b"\x10\x05")) == errors.OLD_EVENT
    event = parse(field(2, field(7, b"") + b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X)))
    assert isinstance(event, Event) and event.params == [b""]


@pytest.mark.parametrize("extra", [b"\x08\x01", b"\x12\x00"])
def test_fields_of_a_reply_have_a_limit(extra: bytes) -> None:
    last = event_bytes()
    event = parse(extra * (wire.MAX_FIELDS - 1) + last)
    assert isinstance(event, Event) and wire.MAX_FIELDS == 1024
    assert refused(extra * wire.MAX_FIELDS + last) == errors.TOO_MANY_FIELDS


def test_longer_tags_than_needed_mean_the_same() -> None:
    param = varint(7 << 3 | 2, 2) + b"\x0b" + varint(3 << 3 | 2, 2) + b"\x08" + b"\5" * 8
    data = field(2, varint(2 << 3, 3) + b"\x05" + varint(3 << 3, 2) + b"\x07" + param + varint(9 << 3, 2) + varint(t.PPME_SYSCALL_CLOSE_X))
    check(data)
    event = parse(data)
    assert isinstance(event, Event) and (event.ts, event.tid, event.params) == (5, 7, [b"\5" * 8])


@pytest.mark.parametrize(
    "data",
    [
        field(2, field(7, b"\x1a")), field(2, field(7, b"\x10")), field(2, b"\x3a"), field(2, b"\x10"), field(2, b"\x48\x80"),
        field(2, field(7, b"\x1a\x80")), field(2, field(7, b"\x9a")), field(2, b"\x90"), b"\x12", b"\x12\x80",
    ],
)  # fmt: skip
def test_cut_off_where_the_buffer_ends(data: bytes) -> None:
    """Nothing behind it that could be read instead."""
    with pytest.raises(WireError) as caught:
        parse_reply(data, 0, len(data))
    assert caught.value.cause in MALFORMED


def test_the_last_member_counts_also_after_pieces() -> None:
    pieces = field(2, b"\x10\x05") + field(2, b"\x18\x07")
    data = pieces + field(3, b"\x18\x09")
    check(data)
    snapshot = parse(data)
    assert isinstance(snapshot, SnapshotReader) and snapshot.boot_epoch == 9
    again = data + event_bytes()
    check(again)
    assert isinstance(parse(again), Event)


def test_every_type_with_as_many_parameters_as_it_has_and_one_more() -> None:
    for info in t.EVENTS:
        if not info.old and not info.unused and info.nparams < wire.MAX_PARAMS:
            event = parse(event_bytes(info.code, (b"x",) * (info.nparams + 1)))
            assert isinstance(event, Event) and event.params == [b"x"] * info.nparams, info.code_name


def test_a_parameter_that_ends_with_its_event_and_one_that_does_not() -> None:
    head = b"\x48" + varint(t.PPME_SYSCALL_WRITE_X)
    for size in (3, 200):
        event = parse(field(2, head + field(7, field(3, b"x" * size))))
        assert isinstance(event, Event) and event.params == [b"x" * size]
    data = field(2, head + b"\x3a\x04\x1a\x00")
    with pytest.raises(WireError):
        parse_reply(data + b"\x1a\x00", 0, len(data))
    for first in (b"\x18", b"\x50"):
        with pytest.raises(WireError):
            parse_reply(field(2, first), 0, 3)


# Interpreted, what is written in the usual way is read in strides

interpreted = pytest.mark.skipif(not INTERPRETED, reason="compiled, all is read in steps")


@interpreted
@given(st.data())
def test_strides_lead_to_what_steps_lead_to(data: st.DataObject) -> None:
    """Whatever is in place of a byte or two, in front of something else or at the end of the buffer: the same event, or none."""
    code = data.draw(st.sampled_from([t.PPME_SYSCALL_READ_X, t.PPME_SYSCALL_OPENAT_2_X, t.PPME_GENERIC_X]))
    params = data.draw(st.lists(st.binary(max_size=200), max_size=t.EVENTS[code].nparams + 1))
    small = st.integers(0, 1 << 22)
    event = CaptureEvent(1_764_000_000_000_000_000 + data.draw(small), data.draw(small), data.draw(small), code, 0, params)
    message = bytearray(Encoder("8a9d2c0e-1f5b-4a6e-9d57-0123456789ab").event(event))
    start = 2 if message[1] < 0x80 else 3
    for _ in range(data.draw(st.integers(0, 2))):
        message[data.draw(st.integers(start, len(message) - 1))] = data.draw(st.integers(0, 255) | st.sampled_from(list(message)))
    end = len(message) - data.draw(st.integers(0, 12))
    buf = bytes(message[: len(message) if data.draw(st.booleans()) else end])
    try:
        want = plain(wire._event(buf, start, end))
    except WireError:
        want = None
    for _ in range(2):  # the second time from memory
        found = wire._usual(buf, start, end)
        assert found is None or plain(found) == want
        if end == len(message) and message == Encoder("8a9d2c0e-1f5b-4a6e-9d57-0123456789ab").event(event) and 0 < event.tid < 1 << 21:
            assert found is not None


@interpreted
def test_nearly_all_events_are_read_in_strides() -> None:
    with NET1.open("rb") as file:
        replies = list(Encoder("8a9d2c0e-1f5b-4a6e-9d57-0123456789ab").replies(read_capture(file)))[1:]
    strides = [wire._usual(reply, 2 if reply[1] < 0x80 else 3, len(reply)) for reply in replies]
    assert sum(event is None for event in strides) < len(strides) / 50


@interpreted
@pytest.mark.parametrize("kept", ["parts", "tails", "tops"])
def test_what_strides_remember_is_bounded(kept: str) -> None:
    """It is remembered up to a number, and then all is forgotten at once."""
    memories: dict[str, tuple[dict[bytes, Any], int]] = {
        "parts": (wire._parts, wire.MAX_PARTS), "tails": (wire._tails, wire.MAX_TAILS), "tops": (wire._tops, wire.MAX_TOPS),
    }  # fmt: skip
    memory, limit = memories[kept]
    assert (wire.MAX_PARTS, wire.MAX_TAILS, wire.MAX_TOPS, wire.LONGEST_PART, wire.LONGEST_TAIL) == (8192, 4096, 64, 64, 16)
    memory.clear()
    for number in range(limit + 1):
        assert len(memory) == number
        if kept == "parts":
            assert wire._part(bytes((0x1A, 2, number >> 8, number & 0xFF))) == bytes((number >> 8, number & 0xFF))
        elif kept == "tails":
            tail = bytes((0x48, t.PPME_SYSCALL_CLOSE_X, 0x50, number & 0x7F | 0x80, number >> 7))
            assert wire._tail(tail) == (t.PPME_SYSCALL_CLOSE_X, number, t.EVENTS[t.PPME_SYSCALL_CLOSE_X].nparams)
        else:
            assert wire._top(bytes((0x80, 0x80, 0x80, 0x80, number))) == number << 56
    assert len(memory) == 1


@interpreted
def test_strides_remember_what_is_short() -> None:
    wire._parts.clear()
    for size in (wire.LONGEST_PART, wire.LONGEST_PART + 1):
        data = b"x" * (size - 2)
        assert wire._part(b"\x1a" + bytes((len(data),)) + data) == data
    assert [len(part) for part in wire._parts] == [wire.LONGEST_PART]
    longest = b"\x40" + varint(1, 3) + b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X, 5) + b"\x50" + varint(2, 5)
    assert len(longest) == wire.LONGEST_TAIL
    assert wire._tail(longest) == (t.PPME_SYSCALL_CLOSE_X, 2, t.EVENTS[t.PPME_SYSCALL_CLOSE_X].nparams)
    with pytest.raises(WireError):
        wire._tail(b"\x40" + varint(1, 4) + longest[4:])


@interpreted
def test_ends_of_times_and_events_that_strides_do_not_take() -> None:
    for top in (b"\x80\x01\x18\x05\x20", b"\x80\x80\x80\x80\x80", b"\x80\x80\x80\x01", b""):
        with pytest.raises(WireError):
            wire._top(top)
    negative = b"\x48" + varint((1 << 64) - 200)
    for tail in (b"", b"\x40", b"\x48\x00", negative, b"\x48" + varint(t.PPM_EVENT_MAX), b"\x48" + varint(t.PPME_SYSCALL_OPENAT_X)):
        with pytest.raises(WireError):
            wire._tail(tail)
    for info in t.EVENTS:
        if not info.old and not info.unused:
            assert wire._tail(b"\x48" + varint(info.code)) == (info.code, 0, info.nparams)


ZONE = b"\x0a\x24" + b"z" * 36
TIME = b"\x10" + varint(1_764_000_000_000_000_000)
TYPE = b"\x40\x01\x48" + varint(t.PPME_SYSCALL_CLOSE_X) + b"\x50\x02"
RESULT = b"\x3a\x0a\x1a\x08" + bytes(8)
LONG = b"\x3a" + varint(203) + b"\x1a" + varint(200) + b"x" * 200


@interpreted
@pytest.mark.parametrize(
    ("parts", "usual"),
    [
        ((ZONE, TIME, b"\x18\x05\x20\x22\x2a\x01n\x32\x01c", RESULT, RESULT, TYPE), True),
        ((ZONE, TIME, b"\x18\x85\x01\x20\xa2\x01", RESULT, TYPE), True),
        ((ZONE, TIME, b"\x18\x85\x81\x01", LONG, TYPE), True),
        ((ZONE, TIME, b"\x18\x05", RESULT, RESULT, RESULT, TYPE), True),  # one too many for its type
        ((ZONE, TIME, b"\x18\x05", b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X)), True),
        ((ZONE, TIME, b"\x18\x05", RESULT, TYPE[2:]), True),
        ((TIME, b"\x18\x05", TYPE), False),  # no zone
        ((b"\x0a\x80\x01" + b"z" * 128, TIME, b"\x18\x05", TYPE), False),
        ((ZONE, b"\x10" + varint(1 << 40), b"\x18\x05", TYPE), False),  # the year 1970
        ((ZONE, b"\x10" + varint(5) + b"\x18\x05", TYPE), False),
        ((ZONE, TIME, b"\x50\x01", TYPE), False),  # no thread
        ((ZONE, TIME, b"\x18\x85\x81\x81\x01", TYPE), False),
        ((ZONE, TIME, b"\x18\x05\x20\xa2\x81\x01", TYPE), False),
        ((ZONE, TIME, b"\x18\x05\x2a\x80\x01" + b"n" * 128, TYPE), False),
        ((ZONE, TIME, b"\x18\x05\x32\x80\x01" + b"c" * 128, TYPE), False),
        ((ZONE, TIME, b"\x18\x05", b"\x3a" + varint(1 << 14) + b"\x1a" + varint((1 << 14) - 4) + bytes((1 << 14) - 4), TYPE), False),
        ((ZONE, TIME, b"\x18\x05", RESULT * 33, TYPE), False),
        ((ZONE, TIME, b"\x18\x05", TYPE, b"\x18\x06"), False),  # a field more
        ((ZONE, TIME, b"\x18\x05", RESULT), False),  # nothing behind the parameters
        ((ZONE, TIME, b"\x18\x05\x48\xff\x1f"), False),
        ((ZONE, TIME, b"\x18\x05", b"\x3a\x0a\x1a\x09", bytes(8), TYPE), False),
        ((ZONE, TIME, b"\x18\x05", RESULT * 32, TYPE), True),  # as many as there may be
        ((ZONE, TIME, b"\x18\x05\x20\x80\x01", RESULT, TYPE), True),
        ((ZONE, TIME, b"\x18\x05", b"\x3a" + varint(128) + b"\x1a\x7e" + b"x" * 126, TYPE), True),
        ((ZONE, b"\x10" + varint(0, 9), b"\x18\x05", TYPE), True),
        ((RESULT, TIME, b"\x18\x05", TYPE), False),  # something else than the zone comes first
        ((ZONE, b"\x48" + TIME[1:], b"\x18\x05", TYPE), False),  # as long as a time, and none
        ((ZONE, b"\x10\x05\x20\xa2\x01\xa0\x80\x80\x80\x00\x18\x05", TYPE), False),  # a time and what follows, as long as one
        # What would be right if the last byte of a number that goes on were its last
        ((b"\x0a\x80\x01" + b"z" * 127, TIME, b"\x18\x05", TYPE), False),
        ((ZONE, TIME, b"\x18\x80\x80\x80", TYPE), False),
        ((ZONE, TIME, b"\x18\x05\x20\xa2\x80", RESULT, TYPE), False),
        ((ZONE, TIME, b"\x18\x05\x2a\x80\x01" + b"n" * 127, TYPE), False),
        ((ZONE, TIME, b"\x18\x05\x32\x80\x01" + b"c" * 127, TYPE), False),
        ((ZONE, TIME, b"\x18\x05", b"\x3a\x85\x80\x1a" + varint(16_385) + bytes(16_385), TYPE), False),
    ],
)
def test_what_is_usual(parts: tuple[bytes, ...], usual: bool) -> None:
    data = b"".join(parts)
    try:
        want = plain(wire._event(data, 0, len(data)))
    except WireError:
        want = None
    for _ in range(2):
        event = wire._usual(data, 0, len(data))
        assert (None if event is None else plain(event)) == (want if usual else None)
    assert wire._usual(data, 0, len(data) - 1) is None or data[:-1].endswith(TYPE[:-3])
    try:
        assert plain(parse(field(2, data))) == want
    except WireError:
        assert want is None


@interpreted
def test_what_is_remembered_of_an_event_with_any_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands where the CPU is read without being looked at: in any order, the same event as read in steps."""
    head = ZONE + TIME + b"\x18\x05"
    types = [b"\x48" + varint(code) for code in (t.PPME_SYSCALL_CLOSE_X, 0x50, 0x150, 0xD0, 0x2850)]
    cpus = [b"", b"\x50\x00", b"\x50\x02", b"\x50\x50", b"\x50\x7f", b"\x50\x80", b"\x50\x82\x01", b"\x50\x82\x00", b"\x50\xd0\x50"]
    cpus += [b"\x50\x50\x50\x02", b"\x50", b"\x50\x50\x05\x05", b"\x40\x50\x50\x02"]
    messages = [head + RESULT + flags + type + cpu for flags in (b"", b"\x40\x50", b"\x40") for type in (*types, b"") for cpu in cpus]
    for order in (messages, messages[::-1]):
        monkeypatch.setattr(wire, "_rests", {})
        for data in order * 2:
            try:
                want = plain(wire._event(data, 0, len(data)))
            except WireError:
                want = None
            event = wire._usual(data, 0, len(data))
            assert event is None or plain(event) == want
        assert len(wire._rests) == 2


@interpreted
def test_an_event_is_known_by_what_is_behind_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it was read, with whatever CPU: nothing of it is looked at again."""
    monkeypatch.setattr(wire, "_rests", {})
    head = ZONE + TIME + b"\x18\x05"
    rest = b"\x20\x22" + RESULT + TYPE[:-2]
    other = b"\x20\x22" + RESULT + RESULT + TYPE[:-2]
    for data in (rest + b"\x50\x02", other, rest + b"\x50\x82\x01", rest + b"\x50\x03"):  # a CPU of two bytes does not count
        assert wire._usual(head + data, 0, len(head + data)) is not None
    assert list(wire._rests) == [rest, other]
    for name in ("_part", "_tail"):
        monkeypatch.delattr(wire, name)
    for name in ("_parts", "_tails"):
        monkeypatch.setattr(wire, name, {})
    for cpu in (0, 2, 0x50, 0x7F):
        for known, params in ((rest, 1), (other, 2)):
            data = head + known + bytes((0x50, cpu))
            event = wire._usual(data, 0, len(data))
            assert event is not None
            assert (event.tid, event.cpu, event.code, event.params) == (5, cpu, t.PPME_SYSCALL_CLOSE_X, [bytes(8)] * params)
    event = wire._usual(head + rest, 0, len(head + rest))
    assert event is not None and (event.cpu, event.params) == (0, [bytes(8)])


@interpreted
def test_what_is_remembered_of_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (wire.LONGEST_REST, wire.MAX_RESTS) == (256, 8192)
    monkeypatch.setattr(wire, "_rests", {})
    monkeypatch.setattr(wire, "MAX_RESTS", 3)
    for number, kept in enumerate((1, 2, 3, 1, 2, 3, 1)):
        data = ZONE + TIME + b"\x18\x05\x3a\x03\x1a\x01" + bytes((number,)) + TYPE
        for _ in range(2):
            event = wire._usual(data, 0, len(data))
            assert event is not None and event.params == [bytes((number,))] and len(wire._rests) == kept
    for longer, kept in ((1, 0), (0, 1)):
        wire._rests.clear()
        size = wire.LONGEST_REST + longer - len(TYPE[:-2]) - 6
        data = ZONE + TIME + b"\x18\x05\x3a" + varint(size + 3) + b"\x1a" + varint(size) + b"x" * size + TYPE
        assert wire._usual(data, 0, len(data)) is not None and len(wire._rests) == kept


@interpreted
@pytest.mark.parametrize("tid", [0, 1, 127, 128, 129, 255, 16_383, 16_384, 16_385, 3 << 14, (1 << 21) - 1])
def test_threads_that_strides_read(tid: int) -> None:
    data = ZONE + TIME + b"\x18" + varint(tid) + RESULT + TYPE
    event = wire._usual(data, 0, len(data))
    assert event is not None and (event.tid, event.params) == (tid, [bytes(8)])
    for more in (1 << 21, (1 << 21) + 1, 1 << 30):
        data = ZONE + TIME + b"\x18" + varint(more) + RESULT + TYPE
        assert wire._usual(data, 0, len(data)) is None


@interpreted
def test_every_bit_of_a_time() -> None:
    for bit in range(63):
        ts = 1 << bit
        data = ZONE + b"\x10" + varint(ts, 9) + b"\x18\x05" + TYPE
        event = wire._usual(data, 0, len(data))
        assert event is not None and event.ts == ts
    assert {len(top) for top in wire._tops} == {5}


@interpreted
def test_strides_know_again_what_they_have_read(monkeypatch: pytest.MonkeyPatch) -> None:
    events = []
    data = [ZONE + b"\x10" + varint(ts, 9) + b"\x18\x05" + RESULT + TYPE for ts in (0, 1 << 28, (1 << 63) - 1)]
    for _ in range(2):
        events += [wire._usual(one, 0, len(one)) for one in data]
        for name in ("_top", "_part", "_tail"):
            monkeypatch.delattr(wire, name, raising=False)
        monkeypatch.setattr(wire, "_rests", {})
    assert None not in events and [plain(one) for one in events[:3]] == [plain(one) for one in events[3:]]


CODE = next(info.code for info in t.EVENTS if not info.old and not info.unused and 8 <= info.code < 128 and info.nparams > 1)


@interpreted
@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_a_reply_of_one_event_is_not_taken_apart(way: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its length of one or two bytes is, its member is found without the loop over a reply's fields; interpreted, it is read in
    strides, and compiled, never."""
    monkeypatch.setattr(wire, "COMPILED", way)
    for name in ("tag", "length", "_usual" if way else "_event"):
        monkeypatch.delattr(wire, name)
    usual = ZONE + TIME + b"\x18\x05"
    for size in (0, 1, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 127, 128, 4000, 15_000):
        part = b"\x1a" + varint(size) + b"x" * size
        data = field(2, usual + b"\x3a" + varint(len(part)) + part + TYPE)
        event = parse_reply(data, 0, len(data))
        assert isinstance(event, Event) and event.params == [b"x" * size]
    if way:
        event = parse_reply(bytes((0x12, 2, 0x48, CODE)), 0, 4)
        assert isinstance(event, Event) and event.code == CODE


def test_replies_that_only_look_like_one_event() -> None:
    """Lengths of three bytes, of which two would do as well, and replies of less than four bytes."""
    assert refused(b"\x12\x80\x80\x00") == errors.OLD_EVENT
    assert refused(b"\x12\x85\x80\x01" + bytes(16_388)) == errors.TRUNCATED
    for short in (b"", b"\x12", b"\x12\x80", b"\x12\x80\x80"):  # where the buffer ends
        with pytest.raises(WireError):
            parse_reply(b"\xff" * 8 + short, 8, 8 + len(short))


@interpreted
def test_what_is_short_is_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compiled, without a call: numbers, tags and lengths of one byte, and parameters of a name, a type and data."""
    monkeypatch.setattr(wire, "COMPILED", True)
    for called in ("tag", "length", "skip", "_varint", "_param"):
        monkeypatch.delattr(wire, called)
    for size in (0, 1, 5, 60, 127):
        short = min(size, 58)
        part = b"\x0a" + bytes((short,)) + b"n" * short + b"\x10\x7f\x1a" + bytes((short,)) + b"x" * short
        data = b"\x08\x01\x10\x7f\x18\x00\x2a" + bytes((size,)) + b"e" * size + b"\x3a" + bytes((len(part),)) + part
        data += bytes((0x48, CODE, 0x50, 0x7F)) + b"\x3a\x07\x0a\x00\x10\x05\x1a\x01x"
        event = wire._event(data, 0, len(data))
        assert (event.ts, event.tid, event.code, event.cpu) == (127, 0, CODE, 127)
        assert event.params == [b"x" * short, b"x"]


@interpreted
def test_a_parameter_is_read_in_place_whatever_is_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(wire, "tag")
    assert wire._param(b"\x08\x01\x1a\x02ab", 0, 6) == b"ab"


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        (b"\x0a\x80\x01" + b"n" * 127 + b"\x10\x05\x1a\x01x", errors.TAG),
        (b"\x0a\x01n\x10\x80\x1a\x01x", errors.TAG),
        (b"\x0a\x01n\x10\x05\x1a\x80\x01" + b"x" * 127, errors.TRUNCATED),
    ],
)
def test_numbers_of_a_parameter_that_go_on(part: bytes, cause: str) -> None:
    """Each would be right if the first byte of its number were the last."""
    assert refused(field(2, field(7, part) + b"\x48" + varint(t.PPME_SYSCALL_CLOSE_X))) == cause


@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_a_reply_of_one_event(way: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that nearly all go, and messages that only begin like it."""
    monkeypatch.setattr(wire, "COMPILED", way)
    data = ZONE + TIME + b"\x18\x05" + RESULT + TYPE
    event = parse(field(2, data))
    assert isinstance(event, Event) and (event.tid, event.cpu, event.params) == (5, 2, [bytes(8)])
    assert plain(parse(field(2, data) + b"\x20\x01")) == plain(event)
    assert plain(parse(field(2, b"\x0a\x00" + LONG + data))) == plain(event) | {"params": [b"x" * 200, bytes(8)]}
    assert plain(parse(b"\x12" + varint(len(LONG) + len(data)) + data + LONG)) == plain(event) | {"params": [bytes(8), b"x" * 200]}
    assert plain(parse(field(2, data + b"\x7a" + varint(1 << 15) + bytes(1 << 15)))) == plain(event)
    assert refused(b"\x12\xff\xff\x03\x00") == errors.TRUNCATED


@pytest.mark.parametrize(("tenth", "tid"), [(b"\x01", -1), (b"\x00", (1 << 63) - 1), (b"\x7f", -1), (b"\x7e", (1 << 63) - 1)])
def test_of_the_tenth_byte_one_bit_counts(tenth: bytes, tid: int) -> None:
    event = parse(field(2, TIME + b"\x18" + b"\xff" * 9 + tenth + TYPE))
    assert isinstance(event, Event) and event.tid == tid
    assert refused(field(2, TIME + b"\x18" + b"\xff" * 9 + bytes((tenth[0] | 0x80,)) + b"\x01" + TYPE)) == errors.VARINT
