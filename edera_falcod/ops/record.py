"""Recordings: a zone's replies as they come, redacted and counted, for `ctl record`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from .. import __version__
from ..edera.sink import ZoneInfo
from ..edera.zones import Zones
from ..scap import redact
from ..scap.errors import WireError
from ..scap.recording import PREFIX, framed, header
from ..turns import Turns
from .proto.ctl import RecordChunk, RecordRequest

MAX_RECORDINGS: Final = 4  # at a time: each costs the daemon as much again as the zone's own reading
MAX_PENDING: Final = 32 << 20  # bytes that wait for a caller; what comes then is left out and counted. A snapshot that finds nothing
# waiting is taken whatever its size.
CHUNK: Final = 256 << 10  # bytes in one message
SLICE: Final = 0.005  # seconds of work before others get their turn
THREADS: Final = 8  # of a snapshot that are redacted before the clock is looked at
LOOK: Final = 1.0  # seconds after which it is looked whether the zone is still there
SNAPSHOT: Final = b"\x1a"  # what a reply with a snapshot begins with


def what(request: RecordRequest) -> int:
    """What has to be redacted: bits of edera_falcod/scap/redact.py."""
    kept = redact.ARGUMENTS if request.keep_arguments else 0
    kept |= redact.ENVIRONMENT if request.keep_environment else 0
    kept |= redact.BUFFERS if request.keep_buffers else 0
    return redact.ALL & ~kept


def facts(zone: ZoneInfo, without: int) -> dict[str, Any]:
    """The header of a recording."""
    return {
        "zone": {"id": zone.id, "name": zone.name, "domid": zone.domid, "ips": list(zone.ips), "kernel": zone.kernel},
        "recorded_at": time.time_ns(),
        "recorded_by": __version__,
        "redacted": [name for bit, name in redact.NAMES.items() if without & bit],
    }


class Tap:
    """What a zone has sent and the caller has not taken yet, from the first snapshot on."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.size = 0
        self.lost = 0
        self.woken = asyncio.Event()
        self._begun = False

    def __call__(self, messages: list[bytes]) -> None:
        for message in messages:
            if not self._begun:
                if message[:1] != SNAPSHOT:
                    continue
                self._begun = True
            if self.waiting and self.size + len(message) > MAX_PENDING:
                self.lost += 1
                continue
            self.waiting.append(message)
            self.size += len(message)
        self.woken.set()

    def take(self) -> bytes:
        message = self.waiting.popleft()
        self.size -= len(message)
        return message


async def redacted(message: bytes, without: int, turns: Turns) -> bytes:
    """See ``redact``; a snapshot may have a hundred thousand threads. Raises WireError."""
    if not without:
        return message
    redaction = redact.Redaction(message, without)
    while not redaction.step(THREADS):
        await turns.give()
    return redaction.result()


class Recorder:
    """All recordings. ``running``: how many there are now."""

    def __init__(self, zones: Zones, log: Any) -> None:
        self.running = 0
        self._zones = zones
        self._log = log

    async def record(self, zone_id: str, request: RecordRequest) -> AsyncGenerator[RecordChunk, None]:
        """The file's bytes until the zone is gone or the limit is met; what ends it earlier is the caller's going."""
        if self.running >= MAX_RECORDINGS:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"there are already {MAX_RECORDINGS} recordings; end one of them first")
        stream = self._zones.streams[zone_id]
        without = what(request)
        tap = Tap()
        chunk = RecordChunk()
        self.running += 1
        stream.taps.append(tap)
        log = self._log.bind(zone=zone_id, name=stream.zone.name)
        log.info("recording", redacted=[name for bit, name in redact.NAMES.items() if without & bit])
        written = 0
        try:
            self._zones.resync(zone_id, "a recording begins with a snapshot")
            data = bytearray(header(facts(stream.zone, without)))
            turns = Turns(SLICE)
            while not chunk.ended:
                while tap.waiting and len(data) < CHUNK and not chunk.ended:
                    message = tap.take()
                    try:
                        message = await redacted(message, without, turns)
                    except WireError:
                        chunk.withheld += 1
                        continue
                    if request.max_bytes and written + len(data) + PREFIX + len(message) > request.max_bytes:
                        chunk.ended = "the size that was asked for is reached"
                        break
                    data += framed(message)
                    chunk.replies += 1
                    await turns.give()
                if not chunk.ended and not tap.waiting and self._zones.streams.get(zone_id) is not stream:
                    chunk.ended = "the zone is gone"
                chunk.lost = tap.lost
                for at in range(0, max(len(data), 1), CHUNK):
                    part = bytes(data[at : at + CHUNK])
                    last = at + CHUNK >= len(data)
                    written += len(part)
                    yield RecordChunk(part, chunk.replies, chunk.lost, chunk.withheld, chunk.ended if last else "")
                data.clear()
                if not tap.waiting and not chunk.ended:
                    await self._wait(tap)
        finally:
            stream.taps.remove(tap)
            self.running -= 1
            log.info("recorded", replies=chunk.replies, bytes=written, lost=tap.lost or None, withheld=chunk.withheld or None)

    async def _wait(self, tap: Tap) -> None:
        tap.woken.clear()
        try:
            async with asyncio.timeout(LOOK):
                await tap.woken.wait()
        except TimeoutError:
            return
