"""The other end of the ctl service: what `ctl` and `doctor` ask with. Imports little, so that a command is there at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from grpclib.client import Channel

from .proto.ctl import CtlStub, GetStatusReply, GetStatusRequest

CALL_TIMEOUT: Final = 5.0  # seconds: a daemon that does not answer by then is not well


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
