"""Calls over Edera's socket: the one module that knows grpclib's inside.

grpclib reads messages whole, keeps whatever length a prefix announces, gives a stream's and the connection's window back
together, and wakes a waiting task by cancelling it, which can swallow the cancellation of a shutdown that happens at the
same moment. Here grpclib keeps the connection (h2, settings, GOAWAY, headers), and:

* DATA frames are taken out of the connection's bytes before h2 sees them (``http2.py``), and their payloads come out as they
  arrive; ``frames.py`` cuts them. No codec is involved: requests and replies are bytes.
* The connection's window is given back on receipt and a stream's on consumption: a stream that nobody reads fills its own
  window and stops its own sender, nobody else's.
* What ends a stream is a value that the reader finds after the data before it, never a cancellation.

The hooks: ``Channel._protocol_factory`` makes our ``H2Protocol``, which gives grpclib's what is left of the bytes, and whose events
processor puts an ``_Inbox`` where grpclib keeps a stream's ``buffer`` and ``wrapper``. ``check_grpclib`` holds what is used against
the installed version.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, cast, final

import grpclib.client
import grpclib.protocol
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.metadata import decode_grpc_message
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived
from h2.events import Event as H2Event
from h2.exceptions import H2Error

from .http2 import DataFrames, Inflow, WindowError, window_update

GRPCLIB_RANGE: Final = ((0, 4, 8), (0, 5, 0))  # from, below; the same as in pyproject.toml

# What one unread stream can make us keep. 1 MiB is 4,000 events: the sender of a busy zone need not stop while we do other zones.
STREAM_WINDOW: Final = 1 << 20
# Given back on receipt, so it only has to cover what is on its way.
CONNECTION_WINDOW: Final = 16 << 20
# Calls on one connection: servers commonly allow 100 to 200, and a connection that is lost should not take every zone with it.
CALLS_PER_LINK: Final = 64
# How long a closing connection may take to send what it still has before it is cut.
CLOSE_TIME: Final = 1.0
# A status text goes into a log line.
MAX_STATUS_TEXT: Final = 500

_HEADERS: Final = (
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),  # not meaningful on a unix socket (spec section 2)
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "edera-falcod"),
)


class LinkError(Exception):
    """Something between us and the Edera daemon went wrong. ``cause`` is the counter's name for it, the text is for people."""

    cause = "error"


@final
class Unreachable(LinkError):
    """Nobody answers at the socket: it is missing, refused, or not ours to open."""

    cause = "unreachable"


@final
class Refused(LinkError):
    """The daemon answered with a gRPC status that is not OK."""

    cause = "refused"

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(f"{status.name}: {message}" if message else status.name)
        self.status = status


@final
class Lost(LinkError):
    """The stream or its connection went away without a status."""

    cause = "lost"


@final
class Unreadable(LinkError):
    """What the daemon sent is not gRPC or not the message it should be."""

    cause = "unreadable"


@final
class Late(LinkError):
    """The daemon took longer than allowed."""

    cause = "late"


def check_grpclib() -> None:
    """Raise ``RuntimeError`` when the installed grpclib is not one that this module was written for and tested with."""
    found = version("grpclib")
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    if not GRPCLIB_RANGE[0] <= numbers < GRPCLIB_RANGE[1]:
        low, high = (".".join(map(str, end)) for end in GRPCLIB_RANGE)
        raise RuntimeError(f"grpclib {found} is installed; edera-falcod needs at least {low} and less than {high}")
    used = {
        grpclib.client.Channel: ("_protocol_factory", "__connect__", "close"),
        grpclib.protocol.H2Protocol: ("connection_made", "connection_lost", "data_received"),
        grpclib.protocol.EventsProcessor: ("register", "process", "process_data_received", "process_response_received", "close"),
        grpclib.protocol.Connection: ("create_stream", "flush", "is_closing"),
        grpclib.protocol.Stream: ("send_request", "send_data", "end", "reset_nowait", "closable", "init_stream"),
        grpclib.protocol.Buffer: ("add", "eof", "unacked_size"),
    }
    missing = [f"{owner.__name__}.{name}" for owner, names in used.items() for name in names if not hasattr(owner, name)]
    if "wrapper" not in inspect.signature(grpclib.protocol.Connection.create_stream).parameters:
        missing.append("Connection.create_stream(wrapper=)")
    if missing:
        raise RuntimeError(f"grpclib {found} lacks what edera-falcod builds on: {', '.join(missing)}")


@final
class _Inbox:
    """What has arrived on one stream and is not read yet. Stands where grpclib keeps a stream's buffer and its wrapper."""

    __slots__ = ("_protocol", "_waiter", "ended", "inflow", "lost", "stream_id", "taken")

    def __init__(self) -> None:
        self.ended = False
        self.lost = ""  # why the stream ended without an end
        self.stream_id = 0
        self.inflow = Inflow(STREAM_WINDOW)
        self.taken = False  # its DATA does not pass through h2
        self._protocol: _Protocol | None = None
        self._waiter: asyncio.Future[None] | None = None

    def bind(self, protocol: _Protocol, stream_id: int) -> None:
        self._protocol = protocol
        self.stream_id = stream_id

    # what grpclib calls

    def add(self, data: bytes, ack_size: int) -> None:
        self.inflow.add(data, ack_size)
        self.wake()

    def eof(self) -> None:
        self.ended = True
        self.leave()
        self.wake()

    def cancel(self, error: Exception) -> None:
        if not self.ended:
            self.ended = True
            self.lost = str(error) or "stream terminated"
            self.leave()
            self.wake()

    def unacked_size(self) -> int:
        return 0  # the connection's window has been given back on receipt

    # what the protocol uses

    def answered(self, event: ResponseReceived) -> None:
        """The response's headers are there. A length that they promise is h2's to watch, which then has to see the data."""
        protocol = self._protocol
        if protocol is not None and not any(str(name) == "content-length" for name, _ in event.headers or ()):
            self.taken = True
            protocol.frames.open(self.stream_id, self.inflow)

    # what the call uses

    def leave(self) -> None:
        """Nothing more of this stream is wanted."""
        if self._protocol is not None:
            self._protocol.frames.close(self.stream_id)

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def readable(self) -> bool:
        return self.inflow.waits or self.ended

    async def wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def take(self, limit: int) -> bytes:
        inflow = self.inflow
        data = inflow.take(limit)
        if inflow.consumed >= STREAM_WINDOW // 2 and not self.ended:
            self._give_back()
        return data

    def _give_back(self) -> None:
        inflow = self.inflow
        size, inflow.consumed = inflow.consumed, 0
        protocol = self._protocol
        assert protocol is not None
        connection = protocol.connection
        if connection.is_closing():
            return
        if self.taken:
            inflow.left += size
            connection._transport.write(window_update(self.stream_id, size))
            return
        try:
            connection._connection.increment_flow_control_window(size, self.stream_id)
        except (H2Error, KeyError):
            return  # the stream has ended under us: nothing will come any more
        connection.flush()


class _Processor(grpclib.protocol.EventsProcessor):
    """grpclib's, but data goes to our inbox and its connection window back at once."""

    def __init__(self, handler: Any, protocol: _Protocol) -> None:
        super().__init__(handler, protocol.connection)
        self._protocol = protocol
        self._received = 0  # of the connection's window, seen by h2 and not given back yet

    def register(self, stream: grpclib.protocol.Stream) -> Any:
        inbox: Any = stream.wrapper
        inbox.bind(self._protocol, stream.id)
        stream.buffer = inbox
        return super().register(stream)

    def process(self, event: H2Event) -> None:
        # grpclib raises for events that it does not know, such as frames of an extension; HTTP/2 says to ignore them.
        if event.__class__ in getattr(self, "processors", ()):
            super().process(event)

    def process_response_received(self, event: ResponseReceived) -> None:
        super().process_response_received(event)
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            inbox: Any = stream.wrapper
            inbox.answered(event)

    def process_data_received(self, event: DataReceived) -> None:
        size = event.flow_controlled_length
        self._received += size
        # A quarter: h2 gives data of streams that we have reset back by itself, at half of the window.
        if self._received >= CONNECTION_WINDOW // 4:
            self.connection._connection.increment_flow_control_window(self._received)
            self._received = 0
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.buffer.add(event.data, size)


class _Protocol(grpclib.protocol.H2Protocol):
    """grpclib's, with our processor, without most of the data, and with a way to wait for its end."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.transport: asyncio.Transport | None = None
        self.gone = asyncio.Event()
        self.frames = DataFrames(CONNECTION_WINDOW)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no instance of it
        self.processor = _Processor(self.handler, self)

    def data_received(self, data: bytes) -> None:
        frames = self.frames
        frames.push(data)
        try:
            while other := frames.next():
                if self.connection.is_closing():
                    return
                super().data_received(other)
        except WindowError:
            self._close(ErrorCodes.FLOW_CONTROL_ERROR, "more data than the windows allow")
            return
        except UnicodeDecodeError:  # of h2, and grpclib lets it through
            self._close(ErrorCodes.PROTOCOL_ERROR, "headers that are no text")
            return
        if frames.touched:
            streams = self.processor.streams
            for number in frames.touched:
                stream = streams.get(number)
                if stream is not None:
                    inbox: Any = stream.wrapper
                    inbox.wake()
            frames.touched.clear()
            if frames.consumed >= CONNECTION_WINDOW // 4 and self.transport is not None and not self.connection.is_closing():
                self.transport.write(window_update(0, frames.consumed))
                frames.consumed = 0

    def _close(self, code: ErrorCodes, reason: str) -> None:
        with suppress(H2Error):
            self.connection._connection.close_connection(code)
            self.connection.flush()
        self.processor.close(reason)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.connection.resume_writing()  # nobody may wait for a connection that is no more
        self.gone.set()


class Link(grpclib.client.Channel):
    """One connection to the Edera daemon, made when it is first needed and made anew after it was lost. ``path``: its socket."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path=path,
            config=Configuration(http2_connection_window_size=CONNECTION_WINDOW, http2_stream_window_size=STREAM_WINDOW),
        )
        self.path = path
        self.calls = 0  # open now

    def _protocol_factory(self) -> _Protocol:
        return _Protocol(grpclib.client.Handler(), self._config, self._h2_config)

    async def connect(self) -> _Protocol:
        """The connection. Raises ``Unreachable``."""
        try:
            protocol = await self.__connect__()
        except OSError as error:
            raise Unreachable(f"{self.path}: {error.strerror or error}") from error
        assert isinstance(protocol, _Protocol)
        if protocol.connection.is_closing():  # accepted and closed at once: a proxy whose other side is not there, a daemon that stops
            raise Unreachable(f"{self.path}: the connection was closed as soon as it was made")
        return protocol

    def room(self) -> bool:
        """Whether another call fits on this connection."""
        allowed = CALLS_PER_LINK
        if self._protocol is not None and not self._protocol.handler.connection_lost:  # type: ignore[attr-defined]
            allowed = min(allowed, self._protocol.connection._connection.remote_settings.max_concurrent_streams)
        return self.calls < allowed

    def call(self, method: str) -> Call:
        """A call of ``/service/Method``; use it as a context manager."""
        return Call(self, method)

    async def aclose(self) -> None:
        """Close the connection and wait until it is closed."""
        protocol = self._protocol
        self.close()
        if not isinstance(protocol, _Protocol) or protocol.transport is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIME):
                await protocol.gone.wait()
        except TimeoutError:  # the other side does not read
            protocol.transport.abort()
            await protocol.gone.wait()
        except BaseException:  # nobody waits any longer
            protocol.transport.abort()
            raise


@final
class Links:
    """Connections for calls that last: each takes ``CALLS_PER_LINK`` calls or as many as the daemon allows."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._links: list[Link] = []

    def __len__(self) -> int:
        return len(self._links)

    def call(self, method: str) -> Call:
        """A call on a connection that has room. Of connections that nobody uses any more one is kept."""
        chosen = next((link for link in self._links if link.room()), None) or Link(self._path)
        kept = []
        for link in self._links:
            if link.calls or link is chosen:
                kept.append(link)
            else:
                link.close()
        if chosen not in kept:
            kept.append(chosen)
        self._links = kept
        return chosen.call(method)

    async def aclose(self) -> None:
        links, self._links = self._links, []
        await asyncio.gather(*(link.aclose() for link in links))


@final
class Call:
    """One call: request messages out, the reply's DATA payloads in.

    ``async with`` opens and closes it; closing resets a stream that has not ended. Opening raises ``Unreachable`` or ``Lost``.
    """

    __slots__ = ("_inbox", "_link", "_method", "_release", "_stream")

    def __init__(self, link: Link, method: str) -> None:
        self._link = link
        self._method = method
        self._inbox = _Inbox()
        self._stream: grpclib.protocol.Stream | None = None
        self._release: Any = None

    async def __aenter__(self) -> Call:
        self._link.calls += 1  # before the first wait, so that others see it
        try:
            protocol = await self._link.connect()
            stream = protocol.connection.create_stream(wrapper=self._inbox)  # type: ignore[arg-type]
            try:
                self._release = await stream.send_request([(":path", self._method), *_HEADERS], _processor=protocol.processor)
            except H2Error as error:
                raise Lost(str(error) or type(error).__name__) from error
        except BaseException:
            self._link.calls -= 1
            raise
        self._stream = stream
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stream = self._stream
        if stream is None:
            return
        self._stream = None
        self._link.calls -= 1
        self._inbox.leave()
        try:
            if stream.closable:
                stream.reset_nowait(ErrorCodes.CANCEL)
        except H2Error:
            pass  # it ended in the meantime
        finally:
            self._release()

    async def send(self, message: bytes, *, end: bool = False) -> None:
        """Send one message; ``end``: it is the last. Waits as long as the daemon does not read. Raises ``Lost``."""
        stream = self._open()
        try:
            await stream.send_data(b"\0" + len(message).to_bytes(4, "big") + message, end_stream=end)
        except H2Error as error:
            raise Lost(str(error) or type(error).__name__) from error

    def _open(self) -> grpclib.protocol.Stream:
        stream = self._stream
        if stream is None or not stream.closable:
            raise Lost(self._inbox.lost or "the stream has ended")
        return stream

    @property
    def readable(self) -> bool:
        """Whether ``take`` has something, or the stream has ended."""
        return self._inbox.readable

    async def wait(self) -> None:
        """Wait until the call is readable or ``wake`` is called. Cancelling it loses nothing."""
        if not self._inbox.readable:
            await self._inbox.wait()

    def wake(self) -> None:
        """Make ``wait`` return."""
        self._inbox.wake()

    def take(self, limit: int) -> bytes:
        """The next bytes of the reply: of whole DATA frames, until there are at least ``limit`` or no more. b"" if nothing is there."""
        return self._inbox.take(limit)

    @property
    def ended(self) -> bool:
        """Whether the stream has ended and all of it was taken."""
        return self._inbox.ended and not self._inbox.inflow.waits

    def status(self) -> None:
        """How the ended stream ended: returns when its status is OK, else raises ``Refused``, ``Unreadable`` or ``Lost``."""
        stream = self._stream
        headers = dict(stream.headers or ()) if stream is not None else {}
        trailers = dict(stream.trailers or ()) if stream is not None else {}
        code = headers.get(":status", "200")
        if code != "200":
            raise Unreadable(f"HTTP status {code}")
        if headers and not headers.get("content-type", "").startswith("application/grpc"):
            raise Unreadable(f"content type {headers.get('content-type', '')!r}")
        text = trailers.get("grpc-status", headers.get("grpc-status"))
        if text is None:
            raise Lost(self._inbox.lost or "the stream ended without a status")
        try:
            status = Status(int(text))
        except ValueError:
            raise Unreadable(f"grpc-status {text!r}") from None
        if status is not Status.OK:
            message = trailers.get("grpc-message", headers.get("grpc-message", ""))
            raise Refused(status, decode_grpc_message(message)[:MAX_STATUS_TEXT])
