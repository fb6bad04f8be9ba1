"""The consumer socket: accepts consumers, shakes hands, sends what their queues hold, reads what they acknowledge.

One `Link` per connection. A link sends ahead as long as the socket takes it. When its queue runs dry it asks the ring to wake it,
and flushes at once if it has been idle, else after LINGER, so that a batch holds whatever came meanwhile: batches grow with load.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from . import frames
from .batch import Batcher
from .frames import FrameError
from .listener import Access, Peer
from .ring import Consumer, Refused, Ring

HELLO_TIMEOUT: Final = 5.0  # seconds from connect to a complete HELLO: docs/protocol.md
PING_INTERVAL: Final = 5.0  # seconds of silence before a PING
LINGER: Final = 0.001  # seconds that a busy link waits for company before it sends
BURST: Final = 1 << 20  # bytes that a link writes before others get their turn
WRITE_HIGH: Final = 512 << 10  # bytes in the transport above which a link stops writing; the queue is the place to wait
MAX_STRANGERS: Final = 32  # connections that have not said HELLO yet; a local user cannot exhaust our descriptors
CLOSE_TIMEOUT: Final = 1.0  # seconds that a refusal or a last batch may take to leave


class Registry:
    """What this side knows of fields: how many, and the hash of each prefix."""

    def __init__(self, fields: int, prefix_hash: Callable[[int], int]) -> None:
        self.fields = fields
        self.prefix_hash = prefix_hash


class Link(asyncio.Protocol):
    """One connection. ``consumer`` is None until the handshake is done."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = server.loop
        self._transport: asyncio.Transport | None = None
        self._splitter = frames.Splitter(frames.MAX_REQUEST)
        self._timer: asyncio.TimerHandle | None = None
        self._flusher: asyncio.Handle | None = None
        self._writable = True
        self._last_write = 0.0
        self._closing = False
        self.peer: Peer | None = None
        self.hello: frames.Hello | None = None
        self.codes: list[int] | None = None  # the consumer's mirrored syscall set; None: not mirrored
        self.consumer: Consumer | None = None
        self.batcher: Batcher | None = None
        self.since = 0.0

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is no instance of it
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH)
        server = self._server
        server.links.add(self)
        try:
            self.peer = Peer.of(transport.get_extra_info("socket"))
        except OSError as error:
            server.log.warning("consumer without credentials", error=error.strerror)
            self._drop()
            return
        if server.closing:
            self._drop()
        elif not server.access.allows(self.peer):
            server.refused["DENIED"] += 1
            self._refuse(frames.DENIED, f"user {self.peer.uid} may not connect: see falco.allow_users and falco.allow_groups")
        elif sum(1 for link in server.links if link.consumer is None) > MAX_STRANGERS:
            server.refused["LIMIT"] += 1
            self._refuse(frames.LIMIT, "too many connections that have not said who they are")
        else:
            self._timer = self._loop.call_later(HELLO_TIMEOUT, self._late)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            for frame in self._splitter.feed(data):
                if self.consumer is None:
                    self._shake(frames.decode_hello(frame))
                else:
                    self._heed(frame)
                if self._stopped():
                    return
        except FrameError as error:
            self._server.broken += 1
            self._server.log.warning("consumer broke the protocol", consumer=self._name(), pid=self._pid(), error=str(error))
            self._drop()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._cancel()
        server = self._server
        server.links.discard(self)
        consumer = self.consumer
        if consumer is not None:
            self.consumer = None
            server.ring.detach(consumer, self._loop.time())
            server.log.info(
                "consumer disconnected",
                consumer=consumer.name,
                acknowledged=consumer.acknowledged,
                waiting=consumer.queue.waits,
                error=str(exc) if exc is not None else None,
            )
            server.changed()
        server.gone.set()

    @property
    def writable(self) -> bool:
        """Whether the socket takes what waits."""
        return self._writable and not self._closing

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._flush()

    # Handshake

    def _shake(self, hello: frames.Hello) -> None:
        server = self._server
        ours = f"edera-falcod {server.software} (frames {frames.MAJOR}.{frames.MINOR}, {server.registry.fields} fields)"
        theirs = f"the consumer {hello.software or '?'} (frames {hello.major}.{hello.minor}, {hello.fields} fields)"
        if hello.major != frames.MAJOR:
            server.refused["VERSION"] += 1
            self._refuse(frames.VERSION, f"{theirs} and {ours} speak different major versions; install both from one release")
            return
        fields = min(hello.fields, server.registry.fields)
        if hello.fields <= server.registry.fields and server.registry.prefix_hash(fields) != hello.hash:
            server.refused["REGISTRY"] += 1
            self._refuse(
                frames.REGISTRY,
                f"{theirs}, registry {hello.hash:016x}, and {ours}, registry {server.registry.prefix_hash(fields):016x} at that length, "
                "do not share their fields; install both from one release",
            )
            return
        try:
            consumer = server.ring.attach(hello.name, hello.ephemeral)
        except Refused as error:
            code = frames.BUSY if error.busy else frames.LIMIT
            server.refused[frames.CODES[code]] += 1
            self._refuse(code, str(error))
            return
        self._cancel()
        self.hello = hello
        self.codes = hello.codes
        self.consumer = consumer
        self.batcher = Batcher(server.ring, consumer)
        self.since = server.wall_time()
        total = server.registry.fields
        welcome = frames.Welcome(total, server.registry.prefix_hash(total), server.software, consumer.acknowledged)
        self._write(frames.encode_welcome(welcome))
        server.log.info(
            "consumer connected",
            consumer=hello.name,
            pid=self._pid(),
            software=hello.software,
            fields=hello.fields,
            acknowledged=consumer.acknowledged,
            waiting=consumer.queue.waits,
        )
        self._timer = self._loop.call_later(PING_INTERVAL, self._ping)
        server.changed()
        self._flush()

    def _refuse(self, code: int, text: str) -> None:
        self._server.log.warning("consumer refused", code=frames.CODES[code], pid=self._pid(), reason=text)
        self._write(frames.encode_refused(code, text))
        self.close()

    def _late(self) -> None:
        self._server.log.warning("consumer said nothing", pid=self._pid(), seconds=HELLO_TIMEOUT)
        self._server.broken += 1
        self._drop()

    # Live

    def _heed(self, frame: frames.Frame) -> None:
        assert self.consumer is not None
        if frame.type == frames.ACK:
            seq = frames.decode_ack(frame.payload)
            if not self.consumer.acknowledge(seq):
                raise FrameError(f"acknowledged {seq}, but was sent only what is below {self.consumer.due}")
            if not self.consumer.ephemeral:  # nobody waits for these
                self._server.ring.move_up()
            self._server.acknowledged()
        elif frame.type == frames.SYSCALLS:
            self.codes = frames.decode_syscalls(frame.payload)
            self._server.changed()
        elif frame.type == frames.HELLO:
            raise FrameError("said HELLO twice")
        # Types that we do not know belong to a later minor version.

    def _woken(self) -> None:
        """The ring has something for us, after it had nothing."""
        if self._flusher is None:
            idle = self._loop.time() - self._last_write > LINGER
            self._flusher = self._loop.call_soon(self._flush) if idle else self._loop.call_later(LINGER, self._flush)

    def _flush(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        consumer, batcher = self.consumer, self.batcher
        if consumer is None or batcher is None or self._closing:
            return
        written = 0
        observe = self._server.delivered
        while self._writable:
            first = consumer.queue.next()
            fresh = first is not None and first.seq > consumer.sent and not consumer.ephemeral
            events = batcher.events
            data = batcher.next()
            if not data:
                consumer.wake = self._woken
                return
            if fresh and first is not None and first.zone:
                observe(int.from_bytes(first.data[:8], "little"), batcher.events - events)
            self._write(data)
            written += len(data)
            if written > BURST:
                self._flusher = self._loop.call_soon(self._flush)
                return

    def _ping(self) -> None:
        if self._loop.time() - self._last_write >= PING_INTERVAL - 0.1 and self._writable:
            self._write(frames.frame(frames.PING))
            self._flush()  # tells of events that were shed since the last one that was sent
        self._timer = self._loop.call_later(PING_INTERVAL, self._ping)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._last_write = self._loop.time()
        self._transport.write(data)

    # The end

    def close(self) -> None:
        """Let what was written leave, for at most CLOSE_TIMEOUT, then close."""
        self._closing = True
        self._cancel()
        if self._transport is not None:
            self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)
            self._transport.close()

    def _drop(self) -> None:
        self._closing = True
        self._cancel()
        if self._transport is not None:
            self._transport.abort()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None

    def _stopped(self) -> bool:
        return self._closing

    def _name(self) -> str:
        return self.consumer.name if self.consumer is not None else ""

    def _pid(self) -> int:
        return self.peer.pid if self.peer is not None else 0


class Server:
    """Serves ``ring`` on ``listening`` (a bound, listening socket that stays the caller's).

    ``changed`` is called when consumers come, go or change their syscall set; ``acknowledged`` when a queue has shrunk;
    ``delivered`` with the ts (ns) of a batch's oldest event and the number of its events when it was given to the socket, for batches
    that were not sent before.
    """

    def __init__(
        self,
        ring: Ring,
        registry: Registry,
        software: str,
        log: Any,
        wall_time: Callable[[], float],
        access: Access | None = None,
        changed: Callable[[], None] = lambda: None,
        acknowledged: Callable[[], None] = lambda: None,
        delivered: Callable[[int, int], None] = lambda ts, count: None,
    ) -> None:
        self.ring = ring
        self.registry = registry
        self.software = software
        self.log = log
        self.wall_time = wall_time
        self.access = access if access is not None else Access()
        self.changed = changed
        self.acknowledged = acknowledged
        self.delivered = delivered
        self.links: set[Link] = set()
        self.refused: dict[str, int] = dict.fromkeys(frames.CODES.values(), 0)
        self.broken = 0
        self.closing = False
        self.gone = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        # A duplicate, for asyncio closes the socket that it is given; the path is the listener's to remove.
        # Made first and started then: who is cancelled in between has something to close.
        self._server = await self.loop.create_unix_server(lambda: Link(self), sock=listening.dup(), start_serving=False)
        await self._server.start_serving()

    def change_access(self, access: Access) -> None:
        """From now on; whoever is connected and may no longer be is let go."""
        self.access = access
        for link in list(self.links):
            if link.peer is not None and not access.allows(link.peer):
                self.log.warning("consumer let go", pid=link.peer.pid, reason=f"user {link.peer.uid} may no longer connect")
                link.close()

    def link(self, consumer: Consumer) -> Link | None:
        for link in self.links:
            if link.consumer is consumer:
                return link
        return None

    async def drain(self, limit: float) -> bool:
        """Wait at most ``limit`` seconds until connected consumers were sent all that waits for them; False if it took longer."""
        deadline = self.loop.time() + limit
        self.ring.all_up()
        while any(link.consumer is not None and link.consumer.queue.waits for link in self.links):
            if self.loop.time() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def close(self) -> None:
        """No connection and no timer is left when this returns."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        for link in list(self.links):
            link.close()
        while self.links:
            self.gone.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), 2 * CLOSE_TIMEOUT)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
