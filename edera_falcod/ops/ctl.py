"""The ctl service: a gRPC service of our own on its own unix socket.

grpclib keeps HTTP/2; what it has no limit for is limited here: connections, what one request may have, and how long a connection may be
there without asking for anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import structlog
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import EventsProcessor, H2Protocol
from grpclib.server import Server
from h2.events import DataReceived
from h2.events import Event as H2Event
from h2.settings import SettingCodes

from .access import Admins
from .client import CALL_TIMEOUT
from .operations import Operations
from .proto.ctl import (
    CtlBase,
    GetHealthReply,
    GetHealthRequest,
    GetProcessesRequest,
    GetStatusReply,
    GetStatusRequest,
    GetSyscallsReply,
    GetSyscallsRequest,
    GetTypesReply,
    GetTypesRequest,
    GetZoneReply,
    GetZoneRequest,
    ProcessPage,
    RecordChunk,
    RecordRequest,
    ReloadReply,
    ReloadRequest,
    ResyncReply,
    ResyncRequest,
    SetLogLevelReply,
    SetLogLevelRequest,
)

MAX_CONNECTIONS: Final = 32  # some ctl and top at a time, and scripts
MAX_STREAMS: Final = 8  # calls at a time on a connection; ours makes one
MAX_REQUEST: Final = 64 << 10  # bytes of one call's requests: names and numbers
IDLE_TIMEOUT: Final = 30.0  # seconds without a call, or for a call's request to be whole; ours calls at once, top every few seconds
WINDOW: Final = 65_535  # bytes: HTTP/2's least, and as much as a request may have
MAX_HEADERS: Final = 16 << 10  # bytes of a call's headers, uncompressed; ours have 300


class Ctl(CtlBase):
    """Answers with what ``operations`` finds. Who may call what: access.py."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def get_status(self, get_status_request: GetStatusRequest) -> GetStatusReply:
        return self._operations.describe()

    async def get_zone(self, get_zone_request: GetZoneRequest) -> GetZoneReply:
        return self._operations.zone(get_zone_request.zone)

    async def get_types(self, get_types_request: GetTypesRequest) -> GetTypesReply:
        return GetTypesReply(await self._operations.types(get_types_request.zone))

    async def get_processes(self, get_processes_request: GetProcessesRequest) -> AsyncIterator[ProcessPage]:
        async for page in self._operations.processes(get_processes_request.zone, get_processes_request.arguments):
            yield page

    async def get_health(self, get_health_request: GetHealthRequest) -> GetHealthReply:
        return self._operations.health()

    async def get_syscalls(self, get_syscalls_request: GetSyscallsRequest) -> GetSyscallsReply:
        return self._operations.syscalls()

    async def resync(self, resync_request: ResyncRequest) -> ResyncReply:
        return ResyncReply(self._operations.resync(resync_request.zone, resync_request.all))

    async def set_log_level(self, set_log_level_request: SetLogLevelRequest) -> SetLogLevelReply:
        try:
            return SetLogLevelReply(self._operations.set_level(set_log_level_request.level))
        except ValueError as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None

    async def record(self, record_request: RecordRequest) -> AsyncIterator[RecordChunk]:
        async with contextlib.aclosing(self._operations.record(record_request)) as chunks:  # also when the caller goes
            async for chunk in chunks:
                yield chunk

    async def reload(self, reload_request: ReloadRequest) -> ReloadReply:
        return self._operations.reloaded()


class _Processor(EventsProcessor):
    """grpclib's, with a limit on what a call may send; and frames of extensions are ignored, as HTTP/2 says, where grpclib raises."""

    def process(self, event: H2Event) -> None:
        if event.__class__ in getattr(self, "processors", ()):
            super().process(event)

    def process_data_received(self, event: DataReceived) -> None:
        super().process_data_received(event)
        stream = self.streams.get(event.stream_id)
        if stream is not None and stream.data_received > MAX_REQUEST:
            self.close("request too large")


class _Protocol(H2Protocol):
    """grpclib's, for one of at most MAX_CONNECTIONS, which calls now and then or is closed."""

    def __init__(self, server: LimitedServer, *args: Any) -> None:
        super().__init__(*args)
        self._server = server
        self._calls = 0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no instance of it
        self.processor = _Processor(self.handler, self.connection)
        self.connection._connection.update_settings(
            {SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS, SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS}
        )
        self.connection.flush()
        self._server.connections.add(self)
        if len(self._server.connections) > MAX_CONNECTIONS:
            self._server.refused += 1
            self._transport.abort()
        else:
            self._look()

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # h2 and grpclib let through what headers raise that are no text, and the like
            self._server.broken += 1
            structlog.get_logger().warning("ctl connection broke the protocol", room="ops", error=type(error).__name__)
            self.processor.close("broken")
            if self._transport is not None:
                self._transport.abort()

    def _look(self) -> None:
        """Close a connection that has not made a call since we last looked and has none open, or one that is not asked to its end."""
        streams = self.processor.streams.values()
        idle = self.connection.streams_started == self._calls and not streams
        late = any(not stream.buffer._eof and time.monotonic() - (stream.created or 0.0) >= IDLE_TIMEOUT for stream in streams)
        if self._timer is not None and (idle or late):
            self.processor.close("idle")
            return
        self._calls = self.connection.streams_started
        self._timer = asyncio.get_running_loop().call_later(IDLE_TIMEOUT, self._look)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        self._server.connections.discard(self)


class LimitedServer(Server):
    """``connections``: those that are open. ``refused``: how many were one too many; ``broken``: closed for what came on them."""

    def __init__(self, ctl: Ctl) -> None:
        super().__init__([ctl], config=Configuration(http2_connection_window_size=WINDOW, http2_stream_window_size=WINDOW))
        self.connections: set[_Protocol] = set()
        self.refused = 0
        self.broken = 0

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        return _Protocol(self, made.handler, made.config, made.h2_config)


class CtlServer:
    """Serves ``ctl`` on ``listening``, which stays the caller's. ``admins``: who may change things."""

    def __init__(self, ctl: Ctl, admins: Admins | None = None) -> None:
        self.admins = admins if admins is not None else Admins()
        self._server = LimitedServer(ctl)
        self.admins.guard(self._server)
        self._started = False

    async def start(self, listening: socket.socket) -> None:
        sock = listening.dup()
        try:
            await self._server.start(sock=sock)
        except BaseException:  # asyncio listens already when it is cancelled, and grpclib has nothing to close yet
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
            raise
        self._started = True

    async def close(self) -> None:
        if not self._started:
            return
        self._server.close()
        for protocol in list(self._server.connections):
            protocol.processor.close("the daemon stops")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), CALL_TIMEOUT)
