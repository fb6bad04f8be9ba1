"""A consumer in Python: what tail, replay and tests read the daemon's events with."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Final, Protocol, final

from . import frames
from .frames import BATCH_REDELIVERED, FrameError

READ: Final = 256 << 10
CONNECT_TIMEOUT: Final = 5.0  # seconds from connect to WELCOME


class ClientRefused(Exception):
    """The daemon said no. ``code``: see frames.CODES."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"refused ({frames.CODES.get(code, code)}): {text}")
        self.code = code


class Disconnected(Exception):
    """The connection ended."""


class Blocks(Protocol):
    """Who keeps the blocks: fields/reader's BlockTable."""

    def define(self, id: int, kind: int, data: bytes) -> None: ...

    def release(self, ids: list[int]) -> None: ...


@final
class Delivered:
    """One event: its sequence number, whether it may have come before, and its bytes (docs/protocol.md, Events)."""

    __slots__ = ("data", "redelivered", "seq")

    def __init__(self, seq: int, redelivered: bool, data: bytes) -> None:
        self.seq = seq
        self.redelivered = redelivered
        self.data = data


class Client:
    """One connection. ``next`` gives what has come and acknowledges what it gave before; blocks stay until then.

    ``fields`` and ``hash`` are those of this side's registry. ``shed`` and ``missing`` count sequence numbers that the daemon said
    would not come, and that never came without a word (which would be a bug). With ``acknowledge`` False nothing is acknowledged
    unless ``ack`` is called.
    """

    def __init__(
        self,
        path: str,
        name: str,
        fields: int,
        prefix_hash: Callable[[int], int],
        software: str,
        blocks: Blocks | None = None,
        ephemeral: bool = False,
        acknowledge: bool = True,
    ) -> None:
        self.path = path
        self.name = name
        self.fields = fields
        self.prefix_hash = prefix_hash
        self.software = software
        self.blocks = blocks
        self.ephemeral = ephemeral
        self.acknowledge = acknowledge
        self.welcome: frames.Welcome | None = None
        self.shed = 0
        self.missing = 0
        self.due = 0  # the next sequence number; 0 = not known
        self._splitter = frames.Splitter(frames.MAX_FRAME)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: list[frames.Frame] = []
        self._released: dict[int, None] = {}
        self._done = 0

    async def connect(self, codes: list[int] | None = None) -> frames.Welcome:
        """Raises OSError, ClientRefused, Disconnected, FrameError, TimeoutError."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            self._reader, self._writer = await asyncio.open_unix_connection(self.path)
            hello = frames.Hello(self.name, self.fields, self.prefix_hash(self.fields), self.software, codes, self.ephemeral)
            self._writer.write(frames.encode_hello(hello))
            while not self._pending:
                await self._read()
        first = self._pending.pop(0)
        if first.type == frames.REFUSED:
            code, text = frames.decode_refused(first.payload)
            await self.close()
            raise ClientRefused(code, text)
        if first.type != frames.WELCOME:
            raise FrameError(f"expected WELCOME, got a frame of type {first.type}")
        welcome = frames.decode_welcome(first.payload)
        shared = min(self.fields, welcome.fields)
        if welcome.major != frames.MAJOR or (welcome.fields <= self.fields and welcome.hash != self.prefix_hash(shared)):
            await self.close()
            theirs = f"edera-falcod {welcome.software} (frames {welcome.major}.{welcome.minor}, {welcome.fields} fields)"
            ours = f"this program {self.software} (frames {frames.MAJOR}.{frames.MINOR}, {self.fields} fields)"
            raise ClientRefused(frames.REGISTRY, f"{theirs} and {ours} do not share their fields; install both from one release")
        self.welcome = welcome
        self.due = 0 if self.ephemeral else welcome.acknowledged + 1
        return welcome

    async def next(self) -> list[Delivered]:
        """The events that have come since; waits until there is one. Raises Disconnected, FrameError, OSError."""
        self._finish()
        events: list[Delivered] = []
        while not events:
            while not self._pending:
                await self._read()
            for frame in self._pending:
                if frame.type == frames.BATCH:
                    self._take(frame, events)
                elif frame.type == frames.SHED:
                    first, last = frames.decode_shed(frame.payload)
                    self.shed += last - first + 1
                    if self.due in (0, first):
                        self.due = last + 1
            self._pending = []
        self._done = events[-1].seq
        return events

    def _take(self, frame: frames.Frame, events: list[Delivered]) -> None:
        payload = frame.payload
        redelivered = bool(frame.flags & BATCH_REDELIVERED)
        for item in frames.items(payload):
            if item.kind == frames.EVENT:
                seq = int.from_bytes(payload[item.start : item.start + 8], "little")
                if self.due and seq > self.due:
                    self.missing += seq - self.due
                self.due = seq + 1
                events.append(Delivered(seq, redelivered, payload[item.start : item.end]))
            elif self.blocks is None:
                continue
            elif item.kind == frames.DEFINE:
                id_, kind = struct.unpack_from("<QB", payload, item.start)
                self.blocks.define(id_, kind, payload[item.start + 9 : item.end])
                self._released.pop(id_, None)  # it came back before it was let go
            elif item.kind == frames.RELEASE:
                self._released.update(dict.fromkeys(struct.unpack_from(f"<{(item.end - item.start) // 8}Q", payload, item.start)))

    def _finish(self) -> None:
        """What was given is done with."""
        if self.blocks is not None:
            self.blocks.release(list(self._released))
        self._released.clear()
        if self._done and self.acknowledge:
            self.ack(self._done)
        self._done = 0

    def ack(self, seq: int) -> None:
        assert self._writer is not None
        self._writer.write(frames.encode_ack(seq))

    def mirror(self, codes: list[int] | None) -> None:
        """Say that the mirrored set of system calls has changed."""
        assert self._writer is not None
        self._writer.write(frames.encode_syscalls(codes))

    async def _read(self) -> None:
        assert self._reader is not None
        data = await self._reader.read(READ)
        if not data:
            raise Disconnected("the daemon closed the connection")
        self._pending.extend(self._splitter.feed(data))

    async def close(self) -> None:
        """What was given by the last ``next`` stays unacknowledged; call ``ack`` before if it is done."""
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None
