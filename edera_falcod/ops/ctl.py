"""The ctl service: a gRPC service of our own on its own unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from grpclib.client import Channel
from grpclib.server import Server

from .proto.ctl import CtlBase, CtlStub, GetStatusReply, GetStatusRequest

CALL_TIMEOUT: Final = 5.0  # seconds: a daemon that does not answer by then is not well


class Ctl(CtlBase):
    """Answers from what ``describe`` gives."""

    def __init__(self, describe: Callable[[], GetStatusReply]) -> None:
        self._describe = describe

    async def get_status(self, get_status_request: GetStatusRequest) -> GetStatusReply:
        return self._describe()


class CtlServer:
    """Serves ``ctl`` on ``listening``, which stays the caller's."""

    def __init__(self, ctl: Ctl) -> None:
        self._server = Server([ctl])
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


async def get_status(path: str) -> GetStatusReply:
    """Ask the daemon behind ``path``. Raises OSError, grpclib's errors, TimeoutError."""
    channel = Channel(path=path)
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            return await CtlStub(channel).get_status(GetStatusRequest())
    finally:
        channel.close()
