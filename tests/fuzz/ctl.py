"""Invariant: whatever bytes come on the ctl socket, or over the metrics endpoint, the daemon answers or closes, and the next caller is
answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from functools import cache
from http import HTTPStatus

import structlog
from grpclib.client import Channel
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, StreamReset

from edera_falcod.edera.sink import Verdict, ZoneInfo
from edera_falcod.edera.zones import Zones
from edera_falcod.edera.zonestream import ZoneStream
from edera_falcod.falco.notices import Notices
from edera_falcod.falco.ring import Ring
from edera_falcod.ops.access import SERVICE
from edera_falcod.ops.ctl import Ctl, CtlServer
from edera_falcod.ops.http import HttpServer
from edera_falcod.ops.operations import Operations, Reloaded
from edera_falcod.ops.proto.ctl import (
    CtlStub,
    GetHealthReply,
    GetProcessesRequest,
    GetStatusReply,
    GetStatusRequest,
    GetSyscallsReply,
    GetTypesRequest,
    GetZoneRequest,
    RecordRequest,
    ResyncRequest,
    ZoneStatus,
)
from edera_falcod.ops.record import Recorder
from edera_falcod.pipeline import Pipelines

from . import captured
from .dice import Dice
from .loop import Loop

LONG = 5.0  # seconds of the loop's clock: neither answered nor closed
CALL, RAW, HTTP = range(3)
METHODS = (
    "GetStatus", "GetZone", "GetProcesses", "GetHealth", "Resync", "SetLogLevel", "Reload", "GetSyscalls", "Record", "GetTypes", "Nothing",
)  # fmt: skip
EVERY = 64  # inputs between calls of a well-behaved client


def corpus() -> list[bytes]:
    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.send_headers(1, _headers("GetStatus"))
    connection.send_data(1, bytes(5), end_stream=True)
    return [
        *[bytes([CALL, index]) for index in range(len(METHODS))],
        bytes([CALL, 1]) + bytes(GetZoneRequest(zone="web")),
        bytes([CALL, 2]) + bytes(GetProcessesRequest(zone="web", arguments=True)),
        bytes([CALL, 4]) + bytes(ResyncRequest(all=True)),
        bytes([CALL, 8]) + bytes(RecordRequest(zone="web")),
        bytes([CALL, 8]) + bytes(RecordRequest(zone=captured.ZONE, keep_arguments=True, keep_environment=True, max_bytes=500)),
        bytes([CALL, 9]) + bytes(GetTypesRequest(zone=captured.ZONE[:4])),
        bytes([RAW]) + connection.data_to_send(),
        bytes([HTTP]) + b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes([HTTP]) + b"HEAD /livez?x HTTP/1.0\r\n\r\n",
        bytes([HTTP]) + b"POST / HTTP/1.1\r\n\r\n",
    ]


def _headers(method: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"), (":scheme", "http"), (":path", SERVICE + method), (":authority", "x"), ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]  # fmt: skip


class Rig:
    """The ctl service and the metrics endpoint of a daemon with one zone, and an event loop that is run from outside."""

    def __init__(self) -> None:
        logging.getLogger("grpclib.server").disabled = True  # it tells every error of a caller with its traceback
        self.loop = Loop()
        self.errors: list[dict[str, object]] = []
        self.loop.set_exception_handler(lambda loop, context: self.errors.append(context))
        self.inputs = 0
        self.ctl_socket, self.http_socket = self.listening(), self.listening()
        self.loop.run_until_complete(self.start())

    @staticmethod
    def listening() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind("")  # an abstract address of the kernel's choice
        sock.listen(8)
        sock.setblocking(False)
        return sock

    async def start(self) -> None:
        ring = Ring()
        pipelines = Pipelines(ring, Notices(ring, True), None, structlog.get_logger())
        zones = Zones("/nowhere", pipelines)
        zone = ZoneInfo(captured.ZONE, "web")
        self.stream = ZoneStream(zone, zones._links, pipelines, zones._settings, zones._budget, lambda: True, zones._busy)
        zones.streams[zone.id] = self.stream
        pipelines.zone_changed(zone)
        self.replies = captured.snapshots()[:1] + captured.replies()
        assert await pipelines.snapshot(zone.id, self.replies[0]) is Verdict.OK
        assert pipelines.messages(zone.id, self.replies, 1, len(self.replies))[0] == len(self.replies)
        operations = Operations(
            zones=zones,
            pipelines=pipelines.by_id,
            describe=GetStatusReply,
            zone_status=lambda zone_id: ZoneStatus(),
            health=GetHealthReply,
            set_level=lambda level: {"info": "info"}[level] if level == "info" else _bad(level),
            reload=Reloaded,
            syscalls=GetSyscallsReply,
            recorder=Recorder(zones, structlog.get_logger()),
        )
        self.ctl = CtlServer(Ctl(operations))
        await self.ctl.start(self.ctl_socket)
        self.http = HttpServer({"/metrics": lambda: (HTTPStatus.OK, "text/plain", "x 1\n")}, structlog.get_logger())
        await self.http.start(self.http_socket)

    async def connected(self, to: socket.socket) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        await self.loop.sock_connect(sock, to.getsockname())
        return sock

    async def say(self, to: socket.socket, data: bytes) -> bytes:
        """What is answered to these bytes until the connection is closed, as it has to be after our end of it."""
        answer = b""
        with await self.connected(to) as sock, contextlib.suppress(ConnectionError):
            async with asyncio.timeout(LONG):
                await self.loop.sock_sendall(sock, data)
                sock.shutdown(socket.SHUT_WR)
                while part := await self.loop.sock_recv(sock, 1 << 16):
                    answer += part
        return answer

    async def call(self, method: str, body: bytes) -> None:
        """A call in a well-formed connection, whose request may be hostile: it is answered. A recording, which only its caller ends, is
        taken as far as what the zone sends first."""
        connection = H2Connection(H2Configuration(client_side=True))
        connection.initiate_connection()
        connection.send_headers(1, _headers(method))
        connection.send_data(1, b"\0" + len(body).to_bytes(4, "big") + body, end_stream=True)
        with await self.connected(self.ctl_socket) as sock:
            async with asyncio.timeout(LONG):
                await self.loop.sock_sendall(sock, connection.data_to_send())
                pieces = 0
                while part := await self.loop.sock_recv(sock, 1 << 16):
                    events = connection.receive_data(part)
                    if any(isinstance(event, StreamEnded | StreamReset) for event in events):
                        return
                    if method == "Record" and any(isinstance(event, DataReceived) for event in events):
                        pieces += 1
                        if pieces > 1:
                            return
                        for tap in self.stream.taps:
                            tap(self.replies)
        raise AssertionError("the connection was closed without an answer")

    async def well(self) -> None:
        """A caller that asks rightly is answered."""
        async with asyncio.timeout(LONG):
            sock = await self.connected(self.ctl_socket)
            channel = Channel(path="/unused")

            async def made() -> object:
                _, protocol = await self.loop.create_unix_connection(channel._protocol_factory, sock=sock)
                return protocol

            channel._create_connection = made  # type: ignore[assignment,method-assign]
            await CtlStub(channel).get_status(GetStatusRequest())
            channel.close()
        assert (await self.say(self.http_socket, b"GET /metrics HTTP/1.1\r\n\r\n")).endswith(b"x 1\n")


def _bad(level: str) -> str:
    raise ValueError(level)


@cache
def rig() -> Rig:
    return Rig()


async def _round(it: Rig, dice: Dice) -> None:
    kind = dice.below(3)
    if kind == CALL:
        await it.call(METHODS[dice.below(256) % len(METHODS)], dice.rest()[:8000])
    elif kind == RAW:
        await it.say(it.ctl_socket, dice.rest())
    else:
        answer = await it.say(it.http_socket, dice.rest())
        assert not answer or answer.startswith(b"HTTP/1.1 ")
    it.inputs += 1
    if it.inputs % EVERY == 0:
        await it.well()
    assert not it.errors, it.errors


def one(data: bytes) -> None:
    it = rig()
    it.loop.run_until_complete(_round(it, Dice(data)))
