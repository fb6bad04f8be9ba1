"""The ctl service: a gRPC service of our own on its own unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from .access import guard
from .operations import Operations
from .proto.ctl import (
    CtlBase,
    CtlStub,
    GetHealthReply,
    GetHealthRequest,
    GetProcessesRequest,
    GetStatusReply,
    GetStatusRequest,
    GetSyscallsReply,
    GetSyscallsRequest,
    GetZoneReply,
    GetZoneRequest,
    ProcessPage,
    ReloadReply,
    ReloadRequest,
    ResyncReply,
    ResyncRequest,
    SetLogLevelReply,
    SetLogLevelRequest,
)

CALL_TIMEOUT: Final = 5.0  # seconds: a daemon that does not answer by then is not well


class Ctl(CtlBase):
    """Answers with what ``operations`` finds. Who may call what: access.py."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def get_status(self, get_status_request: GetStatusRequest) -> GetStatusReply:
        return self._operations.describe()

    async def get_zone(self, get_zone_request: GetZoneRequest) -> GetZoneReply:
        return self._operations.zone(get_zone_request.zone)

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

    async def reload(self, reload_request: ReloadRequest) -> ReloadReply:
        return self._operations.reloaded()


class CtlServer:
    """Serves ``ctl`` on ``listening``, which stays the caller's."""

    def __init__(self, ctl: Ctl) -> None:
        self._server = Server([ctl])
        guard(self._server)
        self._started = False

    async def start(self, listening: socket.socket) -> None:
        await self._server.start(sock=listening.dup())
        self._started = True

    async def close(self) -> None:
        if not self._started:
            return
        self._server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), CALL_TIMEOUT)


@contextlib.asynccontextmanager
async def connected(path: str) -> AsyncIterator[CtlStub]:
    """A connection to the daemon behind ``path``; calls raise OSError, grpclib's errors, TimeoutError."""
    channel = Channel(path=path)
    try:
        yield CtlStub(channel, timeout=CALL_TIMEOUT)
    finally:
        channel.close()


async def get_status(path: str) -> GetStatusReply:
    """Ask the daemon behind ``path``. Raises OSError, grpclib's errors, TimeoutError."""
    async with connected(path) as stub, asyncio.timeout(CALL_TIMEOUT):
        return await stub.get_status(GetStatusRequest())
