"""Calls over real sockets: flow control, ends of every kind, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpclib
import hpack
import pytest
from grpclib.const import Status
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamReset

from edera_falcod.edera import transport
from edera_falcod.edera.control import MONITOR, monitor_stop, monitor_update
from edera_falcod.edera.frames import FrameSplitter
from edera_falcod.edera.transport import STREAM_WINDOW, Call, Link, Links, Lost, Refused, Unreachable, Unreadable, check_grpclib
from edera_falcod.edera.zonestream import Settings
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import Play

from .support import CAPTURE, Sink, following, open_files, until

METHOD = "/test.Service/Method"


class Raw:
    """An HTTP/2 server whose every byte the test decides. ``on_request``: called with the connection and the stream's id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.h2: H2Connection | None = None
        self.events: list[Event] = []
        self.writer: asyncio.StreamWriter | None = None
        self.streams: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        self.h2, self.writer = h2, writer
        self.flush()
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                for event in h2.receive_data(data):
                    self.events.append(event)
                    if isinstance(event, RequestReceived):
                        self.streams.append(event.stream_id)
                    if isinstance(event, DataReceived):
                        h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.flush()
        writer.close()

    def flush(self) -> None:
        assert self.h2 is not None and self.writer is not None
        self.writer.write(self.h2.data_to_send())

    def headers(self, *headers: tuple[str, str], end: bool = False, stream: int = 0) -> None:
        assert self.h2 is not None
        self.h2.send_headers(stream or self.streams[-1], list(headers), end_stream=end)
        self.flush()

    def ok(self) -> None:
        self.headers((":status", "200"), ("content-type", "application/grpc"))

    def data(self, data: bytes, pad: int | None = None) -> None:
        assert self.h2 is not None
        self.h2.send_data(self.streams[-1], data, pad_length=pad)
        self.flush()


@asynccontextmanager
async def raw(tmp_path: Path) -> AsyncIterator[tuple[Raw, Link]]:
    server = Raw(tmp_path / "raw.sock")
    listener = await asyncio.start_unix_server(server.serve, server.path)
    link = Link(str(server.path))
    try:
        yield server, link
    finally:
        await link.aclose()
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0.01)


async def read_all(call: Call) -> bytes:
    data = b""
    while not call.ended:
        await call.wait()
        data += call.take(1 << 20)
    return data


def test_grpclib_is_one_that_the_adapter_was_written_for() -> None:
    check_grpclib()


def test_another_grpclib_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "version", lambda name: "0.5.0")
    with pytest.raises(RuntimeError, match=r"grpclib 0\.5\.0 is installed; edera-falcod needs at least 0\.4\.8 and less than 0\.5\.0"):
        check_grpclib()
    monkeypatch.setattr(transport, "version", lambda name: "0.4.99")
    monkeypatch.delattr(grpclib.protocol.EventsProcessor, "register")
    with pytest.raises(RuntimeError, match=r"lacks what edera-falcod builds on: EventsProcessor\.register"):
        check_grpclib()


async def test_a_call_from_its_opening_to_its_end(tmp_path: Path) -> None:
    async with raw(tmp_path) as (server, link):
        async with link.call(METHOD) as call:
            await call.send(b"question", end=True)
            await until(lambda: any(isinstance(event, DataReceived) for event in server.events))
            request = next(event for event in server.events if isinstance(event, RequestReceived))
            headers = {bytes(name): bytes(value) for name, value in request.headers or ()}
            assert headers[b":path"] == METHOD.encode()
            assert headers[b":authority"] == b"localhost"
            assert headers[b"content-type"] == b"application/grpc"
            assert headers[b"te"] == b"trailers"
            server.ok()
            server.data(b"first")
            server.data(b"second", pad=20)
            server.headers(("grpc-status", "0"), end=True)
            assert await read_all(call) == b"firstsecond"
            call.status()
        assert not any(isinstance(event, StreamReset) for event in server.events)
        assert link.calls == 0


async def test_padding_counts_for_the_windows(tmp_path: Path) -> None:
    async with raw(tmp_path) as (server, link), link.call(METHOD) as call:
        await call.send(b"", end=True)
        await until(lambda: server.streams)
        server.ok()
        assert server.h2 is not None
        for _ in range(3 * STREAM_WINDOW // 256):  # only padding: three windows of it
            while server.h2.local_flow_control_window(server.streams[0]) < 300:
                await call.wait()
                call.take(1 << 20)
                await asyncio.sleep(0.001)
            server.data(b"", pad=255)
        server.headers(("grpc-status", "0"), end=True)
        assert await read_all(call) == b""


@pytest.mark.parametrize(
    ("headers", "trailers", "error", "text"),
    [
        ([(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no%20such%20zone")], None,
         Refused, "NOT_FOUND: no such zone"),
        ([(":status", "200"), ("content-type", "application/grpc")], [("grpc-status", "14")], Refused, "UNAVAILABLE"),
        ([(":status", "200"), ("content-type", "application/grpc")], [("grpc-status", "99")], Unreadable, "grpc-status '99'"),
        ([(":status", "200"), ("content-type", "application/grpc")], [("x", "y")], Lost, "the stream ended without a status"),
        ([(":status", "503")], None, Unreadable, "HTTP status 503"),
        ([(":status", "200"), ("content-type", "text/html")], None, Unreadable, "content type 'text/html'"),
    ],
)  # fmt: skip
async def test_ends_with_a_status(
    tmp_path: Path, headers: list[tuple[str, str]], trailers: list[tuple[str, str]] | None, error: type[Exception], text: str
) -> None:
    async with raw(tmp_path) as (server, link), link.call(METHOD) as call:
        await call.send(b"", end=True)
        await until(lambda: server.streams)
        server.headers(*headers, end=trailers is None)
        if trailers is not None:
            server.headers(*trailers, end=True)
        assert await read_all(call) == b""
        with pytest.raises(error) as caught:
            call.status()
        assert str(caught.value) == text
        if isinstance(caught.value, Refused):
            assert caught.value.status in Status


async def test_data_before_a_break_is_read_first(tmp_path: Path) -> None:
    async with raw(tmp_path) as (server, link), link.call(METHOD) as call:
        await call.send(b"", end=True)
        await until(lambda: server.streams)
        server.ok()
        server.data(b"before")
        assert server.h2 is not None and server.writer is not None
        server.h2.reset_stream(server.streams[0], 2)
        server.flush()
        assert await read_all(call) == b"before"
        with pytest.raises(Lost, match="reset by remote"):
            call.status()
        with pytest.raises(Lost):
            await call.send(b"more")


@pytest.mark.parametrize("how", ["close", "abort", "goaway", "nonsense"])
async def test_a_connection_that_is_lost(tmp_path: Path, how: str) -> None:
    async with raw(tmp_path) as (server, link):
        async with link.call(METHOD) as call:
            await call.send(b"")
            await until(lambda: server.streams)
            assert server.h2 is not None and server.writer is not None
            if how == "close":
                server.writer.close()
            elif how == "abort":
                server.writer.transport.abort()
            elif how == "goaway":
                server.h2.close_connection()
                server.flush()
            else:
                server.writer.write(b"\0\0\x01\x01\x04\0\0\0\0x")  # headers of stream 0
            assert await read_all(call) == b""
            with pytest.raises(Lost):
                call.status()
        async with link.call(METHOD) as call:  # the next call makes a new connection
            await call.send(b"again", end=True)
            await until(lambda: server.streams == [1, 1])


async def test_frames_of_extensions_are_ignored(tmp_path: Path) -> None:
    async with raw(tmp_path) as (server, link), link.call(METHOD) as call:
        await call.send(b"", end=True)
        await until(lambda: server.streams)
        assert server.writer is not None
        server.writer.write(b"\0\0\x04\xee\0\0\0\0\0abcd")  # a frame type that does not exist
        server.ok()
        server.headers(("grpc-status", "0"), end=True)
        assert await read_all(call) == b""
        call.status()


async def test_leaving_a_call_resets_its_stream(tmp_path: Path) -> None:
    async with raw(tmp_path) as (server, link):
        async with link.call(METHOD) as call:
            await call.send(b"")
            await until(lambda: server.streams)
        await until(lambda: any(isinstance(event, StreamReset) for event in server.events))


@pytest.mark.parametrize("socket", ["missing", "plain", "closed"])
async def test_nobody_answers(tmp_path: Path, socket: str) -> None:
    path = tmp_path / "x.sock"
    if socket == "plain":
        path.write_text("not a socket")
    if socket == "closed":
        listener = await asyncio.start_unix_server(lambda r, w: None, path)
        listener.close()
        await listener.wait_closed()
    link = Link(str(path))
    with pytest.raises(Unreachable, match=str(path)):
        async with link.call(METHOD):
            pass
    assert link.calls == 0
    await link.aclose()


async def test_a_cancellation_is_not_swallowed_when_the_connection_is_lost_with_it(tmp_path: Path) -> None:
    """grpclib turns the first into the second; a shutdown would never end."""
    async with raw(tmp_path) as (server, link):

        async def use() -> None:
            with suppress(Lost):
                async with link.call(METHOD) as call:
                    await call.send(b"")
                    await read_all(call)
                    call.status()
            await asyncio.sleep(60)

        task = asyncio.create_task(use())
        await until(lambda: server.streams)
        task.cancel()
        link.close()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(1):
                await task


async def test_a_peer_that_does_not_read_does_not_hold_up_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CLOSE_TIME", 0.1)
    path = tmp_path / "deaf.sock"
    writers = []

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        h2.increment_flow_control_window(1 << 30)
        h2.update_settings({4: 1 << 30})
        writer.write(h2.data_to_send())

    listener = await asyncio.start_unix_server(deaf, path)
    link = Link(str(path))
    with suppress(TimeoutError):
        async with link.call(METHOD) as call, asyncio.timeout(0.3):
            while True:
                await call.send(b"x" * 100_000)
    async with asyncio.timeout(2):
        await link.aclose()
    for writer in writers:
        writer.transport.abort()
    listener.close()
    await listener.wait_closed()
    await asyncio.sleep(0.01)


async def test_one_unread_stream_holds_up_nobody(tmp_path: Path) -> None:
    """A hundred zones share a connection with one that nobody reads: it fills its own window, the others flow."""
    capture = CAPTURE
    async with SimHost(tmp_path / "edera.sock", max_streams=1000) as host:
        stuck = host.add_zone("stuck", capture, Play(speed=0, loop=True), limit=1000)
        others = [host.add_zone(f"z{number}", capture, Play(speed=0), limit=1000) for number in range(100)]
        link = Link(str(host.path))
        received: dict[str, int] = {}

        async def read(zone_id: str) -> None:
            splitter = FrameSplitter()
            async with link.call(MONITOR) as call:
                await call.send(monitor_update(zone_id, ()))
                while received.get(zone_id, 0) < 1001:
                    await call.wait()
                    received[zone_id] = received.get(zone_id, 0) + len(splitter.feed(call.take(1 << 16)))
                assert splitter.fault is None

        async with link.call(MONITOR) as unread:
            await unread.send(monitor_update(stuck.id, ()))
            await until(lambda: stuck.progress.events > 2000)  # its window is full
            sent = -1
            while sent != stuck.progress.events:
                sent = stuck.progress.events
                await asyncio.sleep(0.1)
            async with asyncio.TaskGroup() as group:
                for zone in others:
                    group.create_task(read(zone.id))
            assert set(received.values()) == {1001}
            assert link.calls == 1
            assert stuck.progress.events == sent, "it has not been read"
            kept = sum(len(data) for data in unread._inbox.inflow._pieces)
            assert STREAM_WINDOW - (64 << 10) <= kept <= STREAM_WINDOW
            # and it goes on when it is read
            splitter = FrameSplitter()
            count = 0
            async with asyncio.timeout(10):
                while count < 3 * sent:
                    await unread.wait()
                    count += len(splitter.feed(unread.take(1 << 16)))
            await unread.send(monitor_stop(stuck.id), end=True)
        await link.aclose()


async def test_connections_are_added_when_one_is_full(tmp_path: Path) -> None:
    async with SimHost(tmp_path / "edera.sock", max_streams=10) as host:
        names = [f"z{number}" for number in range(25)]
        for name in names:
            host.add_zone(name, CAPTURE, Play(speed=0), limit=10)
        links = Links(str(host.path))
        first = links.call(MONITOR)
        async with first:  # from here on the host's limit is known
            await first.send(monitor_update(host.zones["z0"].id, ()))
            await first.wait()
            calls = []
            for name in names[1:]:
                call = await links.call(MONITOR).__aenter__()
                await call.send(monitor_update(host.zones[name].id, ()))
                await call.wait()
                calls.append(call)
            assert len(links) == 3
            for call in calls:
                await call.__aexit__(None, None, None)
        links.call(MONITOR)
        assert len(links) == 1, "those that nobody uses are closed"
        await links.aclose()


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    gc.collect()
    before = open_files()
    tasks = asyncio.all_tasks()
    host = SimHost(tmp_path / "edera.sock")
    await host.start()
    sink = Sink()
    for number in range(5):
        host.add_zone(f"z{number}", CAPTURE, Play(speed=0, loop=True), limit=1000)
    for _ in range(3):
        async with following(host.path, sink, Settings(reconcile=0.1)):
            await until(lambda: len(sink.events) == 5)
            host.hotplug("z1")
            host.cut("z2")
            await asyncio.sleep(0.3)
        sink.events.clear()
    await host.stop()
    await until(lambda: asyncio.all_tasks() == tasks)
    gc.collect()
    assert open_files() == before
    assert not host.path.exists()


@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_a_connection_that_is_closed_as_soon_as_it_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay: float) -> None:
    """As systemd's socket proxy does when there is nobody behind it. ``delay``: the loop has seen the end before the call goes on."""
    path = tmp_path / "edera.sock"
    connect = Link._create_connection

    async def slow(link: Link) -> object:
        protocol = await connect(link)
        await asyncio.sleep(delay)
        return protocol

    monkeypatch.setattr(Link, "_create_connection", slow)

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_unix_server(close, path):
        for _ in range(5):
            link = Link(str(path))
            with pytest.raises((Unreachable, Lost)):
                async with link.call(METHOD) as call:
                    await call.wait()
                    call.status()
            assert link.calls == 0
            await link.aclose()


async def test_who_sends_more_than_the_window_allows_is_cut(tmp_path: Path) -> None:
    async with raw(tmp_path) as (server, link), link.call(METHOD) as call:
        await call.send(b"", end=True)
        await until(lambda: server.streams)
        server.ok()
        assert server.writer is not None
        frame = (16_384).to_bytes(3, "big") + b"\0\0" + server.streams[0].to_bytes(4, "big") + bytes(16_384)
        server.writer.write(frame * (STREAM_WINDOW // 16_384 + 1))
        await until(lambda: call._inbox.ended)
        with pytest.raises(Lost, match="more data than the windows allow"):
            call.status()


async def test_headers_that_are_no_text_end_the_connection(tmp_path: Path) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with raw(tmp_path) as (server, link), link.call(METHOD) as call:
        await call.send(b"", end=True)
        await until(lambda: server.streams)
        headers = hpack.Encoder().encode([(b":status", b"200"), (b"content-type", b"application/grpc\xd0")])
        assert server.writer is not None
        server.writer.write(len(headers).to_bytes(3, "big") + b"\1\4" + server.streams[0].to_bytes(4, "big") + headers)
        await until(lambda: call._inbox.ended)
        with pytest.raises(Lost, match="headers that are no text"):
            call.status()
    assert errors == []
