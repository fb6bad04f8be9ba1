"""The metrics endpoint: /metrics, /livez and /readyz over HTTP on a unix socket or a loopback address. It answers GET and HEAD, one
request a connection, and nothing else; what a client may take of us is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from ..falco.listener import ListenError

MAX_REQUEST: Final = 8192  # bytes of a request's head
MAX_CONNECTIONS: Final = 16
TIMEOUT: Final = 10.0  # seconds for a request to come and its answer to leave

# path -> what makes its status, its content type and its body
Routes = dict[str, Callable[[], tuple[HTTPStatus, str, str]]]


def loopback(text: str) -> tuple[str, int]:
    """Address and port of "127.0.0.1:9469" or "[::1]:9469". Raises ValueError, also for addresses that others can reach."""
    host, colon, port = text.rpartition(":")
    address = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    if not colon or not address.is_loopback or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(text)
    return str(address), int(port)


def listen_on_loopback(text: str) -> socket.socket:
    """Raises ListenError."""
    host, port = loopback(text)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(MAX_CONNECTIONS)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ListenError(f"metrics.listen = {text}: cannot listen: {error.strerror}; choose another port, or unix:PATH") from error
    return sock


class HttpServer:
    """Serves ``routes`` on a listening socket, which stays the caller's."""

    def __init__(self, routes: Routes, log: Any) -> None:
        self._routes = routes
        self._log = log
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        make = asyncio.start_unix_server if listening.family == socket.AF_UNIX else asyncio.start_server
        # Made first and started then: who is cancelled in between has something to close.
        self._server = await make(self._serve, sock=listening.dup(), limit=MAX_REQUEST, start_serving=False)
        await self._server.start_serving()

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._tasks) < MAX_CONNECTIONS:
                self._tasks.add(task)
                async with asyncio.timeout(TIMEOUT):
                    writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()  # we stop
        except Exception:
            self._log.exception("internal error", what="metrics")
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception, asyncio.CancelledError):  # it is closed, whatever of that went wrong
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response(HTTPStatus.BAD_REQUEST, "text/plain", "this is HTTP/1.1\n", True)
        body = words[0] != b"HEAD"
        if words[0] not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n", body)
        route = self._routes.get(words[1].split(b"?")[0].decode("ascii", "replace"))
        if route is None:
            return _response(HTTPStatus.NOT_FOUND, "text/plain", f"there are {', '.join(self._routes)}\n", body)
        try:
            return _response(*route(), body)
        except Exception:
            self._log.exception("internal error", what="metrics")
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", "internal error, see the log\n", body)


def _response(status: HTTPStatus, content: str, text: str, body: bool) -> bytes:
    data = text.encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (data if body else b"")
