"""Edera's control interface: the only module that knows the generated message classes and betterproto.

betterproto 2 is about to be succeeded by betterproto2, whose classes differ; whoever needs a message imports it from here.
Kernel events never pass through it: it takes about a millisecond for one of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, TypeVar, final

import betterproto

from .frames import FrameSplitter
from .proto.control import (
    AnnotationSpec,
    ControlServiceBase,
    EnvironmentVariableSpec,
    GetHostStatusReply,
    GetHostStatusRequest,
    ListImagesReply,
    ListImagesRequest,
    ListWorkloadsReply,
    ListWorkloadsRequest,
    ListZonesReply,
    ListZonesRequest,
    MonitorZoneKernelEventReply,
    MonitorZoneKernelEventRequest,
    MountSpec,
    OciImageFormat,
    OciImageInfo,
    OciImageMetadata,
    OciImageSpec,
    ProcessSpec,
    WatchEventsReply,
    WatchEventsRequest,
    Workload,
    WorkloadChangedEvent,
    WorkloadSecuritySpec,
    WorkloadSpec,
    WorkloadState,
    WorkloadStatus,
    Zone,
    ZoneChangedEvent,
    ZoneErrorStatus,
    ZoneExitStatus,
    ZoneKernelEventParam,
    ZoneKernelEventStreamStop,
    ZoneKernelEventStreamUpdate,
    ZoneKernelSyscallEvent,
    ZoneKernelThreadInfo,
    ZoneKernelThreadSnapshotEvent,
    ZoneNetworkInterfaceStatus,
    ZoneNetworkIp,
    ZoneNetworkIpVersion,
    ZoneNetworkStatus,
    ZoneSpec,
    ZoneState,
    ZoneStatus,
)
from .sink import ZoneInfo
from .transport import Call, Late, Link, Lost, Unreadable

__all__ = [
    "AnnotationSpec",
    "ControlClient",
    "ControlServiceBase",
    "EnvironmentVariableSpec",
    "GetHostStatusReply",
    "GetHostStatusRequest",
    "ListImagesReply",
    "ListImagesRequest",
    "ListWorkloadsReply",
    "ListWorkloadsRequest",
    "ListZonesReply",
    "ListZonesRequest",
    "MonitorZoneKernelEventReply",
    "MonitorZoneKernelEventRequest",
    "MountSpec",
    "OciImageFormat",
    "OciImageInfo",
    "OciImageMetadata",
    "OciImageSpec",
    "ProcessSpec",
    "WatchEventsReply",
    "WatchEventsRequest",
    "Watch",
    "Workload",
    "WorkloadChangedEvent",
    "WorkloadSecuritySpec",
    "WorkloadSpec",
    "WorkloadState",
    "WorkloadStatus",
    "Zone",
    "ZoneChangedEvent",
    "ZoneErrorStatus",
    "ZoneExitStatus",
    "ZoneKernelEventParam",
    "ZoneKernelEventStreamStop",
    "ZoneKernelEventStreamUpdate",
    "ZoneKernelSyscallEvent",
    "ZoneKernelThreadInfo",
    "ZoneKernelThreadSnapshotEvent",
    "ZoneNetworkInterfaceStatus",
    "ZoneNetworkIp",
    "ZoneNetworkIpVersion",
    "ZoneNetworkStatus",
    "ZoneSpec",
    "ZoneState",
    "ZoneStatus",
    "monitor_request",
    "monitor_stop",
    "monitor_update",
    "present",
    "zone_info",
]

SERVICE: Final = "/protect.control.v1.ControlService/"
MONITOR: Final = SERVICE + "MonitorZoneKernelEvents"

# One page of a list: Edera sends all zones in one or a few; a zone takes some hundred bytes, an image with its OCI config some kB.
MAX_PAGE: Final = 16 << 20
# A whole list: protects our memory from a daemon that never ends it.
MAX_LIST: Final = 64 << 20
# Answers come from the daemon's memory; one that takes this long is stuck.
CALL_TIME: Final = 10.0
_READ: Final = 64 << 10

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# The Python types of a field's values; all other types are whole numbers
_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    betterproto.TYPE_STRING: str,
    betterproto.TYPE_BYTES: bytes,
    betterproto.TYPE_BOOL: bool,
    betterproto.TYPE_DOUBLE: float,
    betterproto.TYPE_FLOAT: float,
    betterproto.TYPE_MESSAGE: (betterproto.Message, datetime, timedelta),
}

_M = TypeVar("_M")


def present(message: Any) -> bool:
    """Whether a message field is set. betterproto gives an empty message for one that is not."""
    return bool(betterproto.serialized_on_wire(message))


def parse(kind: type[_M], data: bytes) -> _M:
    """``data`` as a message of class ``kind``. Raises ``Unreadable`` for whatever betterproto trips over, and for what it takes although
    it is not of the field's type."""
    try:
        message: _M = kind.FromString(data)  # type: ignore[attr-defined]
    except Exception as error:  # it raises what comes: ValueError, EOFError, UnicodeDecodeError, struct.error, ...
        raise Unreadable(f"{kind.__name__}: {error}") from error
    _check(message)
    return message


def _check(message: Any) -> None:
    """betterproto takes a field of any wire type and leaves there what it made of it: a list where one number belongs, a number where a
    text or a message does. Raises ``Unreadable``."""
    about = message._betterproto
    for name, meta in about.meta_by_field_name.items():
        value = message.__dict__.get(name, betterproto.PLACEHOLDER)
        if value is betterproto.PLACEHOLDER or (value is None and meta.optional):
            continue
        if meta.proto_type == betterproto.TYPE_MAP:
            (key_type, value_type), values = meta.map_types, value
            good = isinstance(value, dict) and all(isinstance(key, _TYPES.get(key_type, int)) for key in value)
            values, kind = value.values() if good else (), _TYPES.get(value_type, int)
        else:
            repeated = about.default_gen[name] is list
            good = isinstance(value, list) == repeated
            values, kind = value if repeated and good else (value,), _TYPES.get(meta.proto_type, int)
        if not good or not all(isinstance(each, kind) for each in values):
            raise Unreadable(f"{type(message).__name__}.{name} has a value of another type")
        for each in values:
            if isinstance(each, betterproto.Message):
                _check(each)


def nanoseconds(time: datetime) -> int:
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return max(0, (time - _EPOCH) // _MICROSECOND * 1000)


def zone_info(zone: Zone) -> ZoneInfo:
    """What we use of a Zone message."""
    spec, status = zone.spec, zone.status
    return ZoneInfo(
        id=zone.id,
        name=spec.name,
        state=_state_name(status.state),
        domid=status.domid,
        host=status.host,
        exited=present(status.exit_status),
        exit_code=status.exit_status.code,
        error=status.error_status.message,
        ips=tuple(ip.address.partition("/")[0] for interface in status.network_status.interfaces for ip in interface.ips),
        annotations=tuple((annotation.key, annotation.value) for annotation in spec.annotations),
        kernel=spec.kernel.digest,
        initrd=spec.initrd.digest,
        addons=tuple(addon.digest for addon in spec.addons),
        created_at=nanoseconds(status.created_at),
        ready_at=nanoseconds(status.ready_at),
    )


def _state_name(number: int) -> str:
    try:
        return str(ZoneState(number).name).lower()
    except ValueError:
        return f"state-{int(number)}"  # of a daemon newer than we are


def monitor_update(zone_id: str, syscalls: tuple[int, ...]) -> bytes:
    """The request that starts a kernel event stream or changes its system calls (PPM_SC codes; none: the zone's default set)."""
    update = ZoneKernelEventStreamUpdate(enabled_syscalls=list(syscalls))
    return bytes(MonitorZoneKernelEventRequest(zone_id=zone_id, update=update))


def monitor_stop(zone_id: str) -> bytes:
    """The request that ends a kernel event stream."""
    return bytes(MonitorZoneKernelEventRequest(zone_id=zone_id, stop=ZoneKernelEventStreamStop()))


def monitor_request(request: MonitorZoneKernelEventRequest) -> tuple[str, tuple[int, ...]]:
    """What a request of a kernel event stream asks for: "update" and its system calls, "stop", or "" for neither."""
    chosen: tuple[str, Any] = betterproto.which_one_of(request, "request")
    name, content = chosen
    return name, tuple(content.enabled_syscalls) if name == "update" else ()


@final
class Watch:
    """The open WatchEvents stream: changes of zones and workloads. Use it as a context manager; opening raises ``LinkError``."""

    def __init__(self, link: Link) -> None:
        self._call = link.call(SERVICE + "WatchEvents")
        self._splitter = FrameSplitter(MAX_PAGE, MAX_PAGE)
        self._replies: deque[bytes] = deque()

    async def __aenter__(self) -> Watch:
        try:
            async with asyncio.timeout(CALL_TIME):
                await self._call.__aenter__()
                await self._call.send(bytes(WatchEventsRequest()), end=True)
        except BaseException as error:
            await self._call.__aexit__(type(error), error, None)
            if isinstance(error, TimeoutError):
                raise Late(f"WatchEvents: not open within {CALL_TIME:g} s") from None
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._call.__aexit__(kind, error, trace)

    async def next(self, seconds: float) -> ZoneInfo | Workload | None:
        """The next change; None when none came within ``seconds`` (0: only what is here already). Cancelling it loses nothing.

        Raises ``Refused``, ``Lost`` or ``Unreadable`` when the stream has ended, whatever its status: it never should.
        """
        change = self.ready()
        if change is None and seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    while change is None:
                        await self._call.wait()
                        change = self.ready()
            except TimeoutError:
                return None
        return change

    def ready(self) -> ZoneInfo | Workload | None:
        """The next change of those that are here already. Raises as ``next`` does."""
        while True:
            while self._replies:
                change = _change(self._replies.popleft())
                if change is not None:
                    return change
            if not self._call.readable:
                return None
            self._replies.extend(_cut(self._call, self._splitter))
            if self._call.ended and not self._replies:
                self._call.status()
                raise Lost("the daemon has ended WatchEvents")


def _change(data: bytes) -> ZoneInfo | Workload | None:
    reply = parse(WatchEventsReply, data)
    chosen: tuple[str, Any] = betterproto.which_one_of(reply, "event")
    name, event = chosen
    if name == "zone_changed" and present(event.zone):
        return zone_info(event.zone)
    if name == "workload_changed" and present(event.workload):
        workload: Workload = event.workload
        return workload
    return None  # an event without content or of a kind that we do not know


def _cut(call: Call, splitter: FrameSplitter) -> list[bytes]:
    """The messages in what the call holds. Raises ``Unreadable``."""
    messages = splitter.feed(call.take(_READ))
    if call.ended:
        splitter.end()
        if splitter.fault is not None:
            call.status()  # says more than that a message is incomplete
    if splitter.fault is not None:
        raise Unreadable(splitter.fault.value)
    return messages


@final
class ControlClient:
    """The calls of the control interface that we use. Each raises a ``LinkError`` when it fails or takes longer than ``CALL_TIME``."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._zones: dict[bytes, ZoneInfo] = {}  # of the last list, by their bytes
        self._workloads: dict[bytes, Workload] = {}

    def watch(self) -> Watch:
        return Watch(self._link)

    async def list_zones(self) -> list[ZoneInfo]:
        """All zones. What has not changed since the last list is not parsed again: it is asked for every few seconds."""
        pages = await self._list("ListZones", bytes(ListZonesRequest()))
        self._zones = await _entries_of(pages, self._zones, lambda data: zone_info(parse(Zone, data)))
        return list(self._zones.values())

    async def list_workloads(self) -> list[Workload]:
        """All workloads; unchanged ones are the very objects of the last list."""
        pages = await self._list("ListWorkloads", bytes(ListWorkloadsRequest()))
        self._workloads = await _entries_of(pages, self._workloads, lambda data: parse(Workload, data))
        return list(self._workloads.values())

    async def list_images(self) -> list[OciImageInfo]:
        """All images."""
        pages = await self._list("ListImages", bytes(ListImagesRequest()))
        return list((await _entries_of(pages, {}, lambda data: parse(OciImageInfo, data))).values())

    async def host_status(self) -> GetHostStatusReply:
        """The host."""
        replies = await self._list("GetHostStatus", bytes(GetHostStatusRequest()))
        if len(replies) != 1:
            raise Unreadable(f"GetHostStatus has {len(replies)} replies")
        return parse(GetHostStatusReply, replies[0])

    async def _list(self, method: str, request: bytes) -> list[bytes]:
        """All replies of a call with one request."""
        replies: list[bytes] = []
        size = 0
        splitter = FrameSplitter(MAX_PAGE, MAX_PAGE)
        try:
            async with asyncio.timeout(CALL_TIME), self._link.call(SERVICE + method) as call:
                await call.send(request, end=True)
                while not call.ended:
                    await call.wait()
                    for reply in _cut(call, splitter):
                        size += len(reply)
                        replies.append(reply)
                    if size > MAX_LIST:
                        raise Unreadable(f"{method}: more than {MAX_LIST} bytes")
                call.status()
        except TimeoutError:
            raise Late(f"{method}: no answer within {CALL_TIME:g} s") from None
        return replies


async def _entries_of(pages: list[bytes], known: dict[bytes, _M], read: Callable[[bytes], _M]) -> dict[bytes, _M]:
    """The entries of all pages by their bytes; those that are known already are not read again."""
    found: dict[bytes, _M] = {}
    for page in pages:
        for data in _entries(page):
            entry = known.get(data)
            if entry is None:
                entry = read(data)
                await asyncio.sleep(0)  # reading one takes up to a millisecond, and there may be thousands
            found[data] = entry
    return found


def _entries(page: bytes) -> list[bytes]:
    """The entries of a page, whose only field is the repeated field 1. Other fields are skipped. Raises ``Unreadable``."""
    entries = []
    at = 0
    while at < len(page):
        tag, at = _varint(page, at)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(page, at)
            continue
        if wire == 2:
            length, at = _varint(page, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise Unreadable(f"wire type {wire} in a list")
        if length > len(page) - at:
            raise Unreadable("a list is cut short")
        if tag == 0x0A:
            entries.append(page[at : at + length])
        at += length
    return entries


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Unreadable("a number in a list is malformed")
