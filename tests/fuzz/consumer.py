"""Invariant: whatever a consumer says in whatever pieces, it is served, refused or dropped, and told nothing but what the protocol allows;
the accounting adds up, its peers get their events, and the next one is welcome."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from functools import cache

import structlog

from edera_falcod.falco import frames
from edera_falcod.falco.frames import Hello, Splitter
from edera_falcod.falco.ring import Ring
from edera_falcod.falco.server import Registry, Server
from tests.falco.mirror import Mirror
from tests.falco.records import block, record

from .dice import Dice
from .loop import Loop

FIELDS = 10
LONG = 5.0  # seconds of the loop's clock: a connection that is neither answered nor closed


def prefix_hash(fields: int) -> int:
    return 0x1000 + fields


def hello(name: str = "falco", fields: int = FIELDS, **more: object) -> bytes:
    return frames.encode_hello(Hello(name, fields, prefix_hash(fields), "1.0", **more))  # type: ignore[arg-type]


def corpus() -> list[bytes]:
    return [
        b"\0" + hello(),
        b"\0" + hello(codes=[1, 2, 3]) + frames.encode_ack(1) + frames.encode_syscalls([5]) + frames.encode_ack(2),
        b"\7" + hello(ephemeral=True) + frames.encode_ack(3),
        b"\0" + hello("tail-1", 11),
        b"\0" + hello("x", 5, major=2),
        b"\1" + hello() + frames.frame(77, b"later") + hello(),
        b"\0" + hello() + frames.encode_ack(99),
        b"\0\xff\xff\xff\xff\1\0\0\0",
    ]


class Rig:
    """A server with a zone, a peer that is always there, and an event loop that is run from outside."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.ring = Ring(1 << 20)
        self.zone = self.ring.add_zone("z", "zone")
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listening.bind("")  # an abstract address of the kernel's choice
        self.listening.listen(8)
        self.listening.setblocking(False)
        self.server = Server(self.ring, Registry(FIELDS, prefix_hash), "9.9", structlog.get_logger(), time.time)
        self.loop.run_until_complete(self.server.start(self.listening))
        self.env = block(b"env", kind=4)
        self.peer_socket = self.loop.run_until_complete(self.connect())
        self.loop.run_until_complete(self.loop.sock_sendall(self.peer_socket, hello("peer")))
        (welcome,) = Splitter(frames.MAX_FRAME).feed(self.loop.run_until_complete(self.loop.sock_recv(self.peer_socket, 1 << 16)))
        assert welcome.type == frames.WELCOME
        self.peer = Mirror(self.ring.head + 1)

    async def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        await self.loop.sock_connect(sock, self.listening.getsockname())
        return sock

    def put(self) -> None:
        self.zone.received += 1
        self.ring.append(record(self.ring, self.zone.index, b"x", (block(b"t", (self.env,)), self.env)))

    async def said(self, sock: socket.socket) -> None:
        """Read until it is closed: a refusal, or a welcome and what follows one."""
        splitter = Splitter(frames.MAX_FRAME)
        mirror: Mirror | None = None
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(LONG):
                while data := await self.loop.sock_recv(sock, 1 << 16):
                    for frame in splitter.feed(data):
                        if mirror is not None:
                            mirror.take(frame)
                        elif frame.type == frames.WELCOME:
                            mirror = Mirror(frames.decode_welcome(frame.payload).acknowledged + 1)
                        else:
                            assert frame.type == frames.REFUSED

    async def peer_has(self, seq: int) -> None:
        while self.peer.due <= seq:
            data = await asyncio.wait_for(self.loop.sock_recv(self.peer_socket, 1 << 16), LONG)
            assert data, "the peer was dropped"
            self.peer.feed(data)
        assert not self.peer.shed and {redelivered for _, redelivered in self.peer.got} == {False}
        self.peer.got.clear()
        await self.loop.sock_sendall(self.peer_socket, frames.encode_ack(seq))

    async def round(self, piece: int, stream: bytes) -> None:
        sock = await self.connect()
        with sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.put()
            for at in range(0, len(stream), piece):
                await self.loop.sock_sendall(sock, stream[at : at + piece])
                await asyncio.sleep(0)
            sock.shutdown(socket.SHUT_WR)
            self.put()
            await self.said(sock)
        await self.peer_has(self.ring.head)
        assert self.ring.verify() == []
        for name in [name for name in self.ring.consumers if name != "peer"]:
            if not self.ring.consumers[name].attached:
                self.ring.forget(self.ring.consumers[name])


@cache
def rig() -> Rig:
    return Rig()


def one(data: bytes) -> None:
    dice = Dice(data)
    piece = dice.below(256) or 1 << 16
    it = rig()
    it.loop.run_until_complete(it.round(piece, dice.rest()))
