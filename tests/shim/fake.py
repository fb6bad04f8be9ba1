"""A daemon made of struct.pack, for tests of the shim: what it sends is written down here and nowhere else.

Deliberately not falco/frames.py: the shim is held against docs/protocol.md, not against our own encoder.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.registry import prefix_hashes

HELLO, WELCOME, REFUSED, BATCH, ACK, SYSCALLS, PING, SHED = range(1, 9)
DEFINE, RELEASE, EVENT = 1, 2, 3
NOT_MIRRORED = 0xFFFF_FFFF

ETYPE_ID, ZONE_ID, THREAD_ID, FD_ID, FILES_ID, WORKLOAD_ID = range(6)  # places in an event's head


def frame(type_: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("<IBBH", len(payload), type_, flags, 0) + payload


def text(value: bytes) -> bytes:
    return struct.pack("<H", len(value)) + value


def welcome(
    fields: int | None = None, hash_: int | None = None, last: int = 0, major: int = 1, minor: int = 0, version: bytes = b"9.8.7"
) -> bytes:
    fields = len(FIELDS) if fields is None else fields
    if hash_ is None:
        hash_ = prefix_hashes()[fields]
    return frame(WELCOME, struct.pack("<HHIQ", major, minor, fields, hash_) + text(version) + struct.pack("<Q", last))


def refused(code: int, reason: bytes) -> bytes:
    return frame(REFUSED, struct.pack("<H", code) + text(reason))


def item(kind: int, body: bytes) -> bytes:
    return struct.pack("<I", kind << 28 | len(body)) + body


def define(id_: int, kind: int, block: bytes) -> bytes:
    return item(DEFINE, struct.pack("<QB", id_, kind) + block)


def release(*ids: int) -> bytes:
    return item(RELEASE, struct.pack(f"<{len(ids)}Q", *ids))


def event(seq: int, block: bytes, ids: dict[int, int] | None = None, ts: int = 1_700_000_000_000_000_000, tid: int = 42) -> bytes:
    places = [0] * 6
    for place, id_ in (ids or {}).items():
        places[place] = id_
    return item(EVENT, struct.pack("<QQq6Q", seq, ts, tid, *places) + block)


def batch(*items: bytes, redelivered: bool = False) -> bytes:
    return frame(BATCH, b"".join(items), 1 if redelivered else 0)


def shed(first: int, last: int) -> bytes:
    return frame(SHED, struct.pack("<QQ", first, last))


class Block:
    """Writes a block as docs/protocol.md says, Blocks."""

    def __init__(self) -> None:
        self._cells: dict[int, tuple[int, int | None]] = {}
        self._heap = b""

    def number(self, slot: int, value: int) -> None:
        self._cells[slot] = (value, None)

    def heap(self, data: bytes) -> int:
        """Put bytes on the heap; returns their place there."""
        self._heap += data
        return len(self._heap) - len(data)

    def slice(self, slot: int, at: int, length: int) -> None:
        """A reference to what lies on the heap."""
        self._cells[slot] = (at, length)

    def text(self, slot: int, value: bytes) -> None:
        self.slice(slot, self.heap(value + b"\0"), len(value))

    def raw(self, slot: int, value: bytes) -> None:
        self.slice(slot, self.heap(value), len(value))

    def finish(self, words: int | None = None) -> bytes:
        if words is None:
            words = max(self._cells, default=0) // 64 + 1
        base = 4 + 8 * words + 8 * len(self._cells)
        presence = [sum(1 << slot % 64 for slot in self._cells if slot // 64 == word) for word in range(words)]
        values = [value if length is None else value + base | length << 32 for _, (value, length) in sorted(self._cells.items())]
        return struct.pack(f"<I{words}Q{len(values)}Q", words, *presence, *values) + self._heap


def cells(
    words: int | None = None,
    numbers: dict[int, int] | None = None,
    texts: dict[int, bytes] | None = None,
    raw: dict[int, bytes] | None = None,
) -> bytes:
    """A block: numbers, texts and bytes by slot."""
    block = Block()
    for slot, number in (numbers or {}).items():
        block.number(slot, number)
    for slot, value in (texts or {}).items():
        block.text(slot, value)
    for slot, value in (raw or {}).items():
        block.raw(slot, value)
    return block.finish(words)


class Closed(Exception):
    """The shim closed the connection."""


class Connection:
    """The daemon's end of one connection."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._buffer = b""

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                data = self.sock.recv(65536)
            except (ConnectionError, OSError) as error:
                raise Closed from error
            if not data:
                raise Closed
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def frame(self) -> tuple[int, bytes]:
        length, type_, flags, zero = struct.unpack("<IBBH", self.read(8))
        assert flags == 0 and zero == 0
        return type_, self.read(length)

    def hello(self) -> bytes:
        type_, payload = self.frame()
        assert type_ == HELLO
        return payload

    def ack(self) -> int:
        type_, payload = self.frame()
        assert type_ == ACK and len(payload) == 8
        return int(struct.unpack("<Q", payload)[0])

    def send(self, *data: bytes) -> None:
        try:
            self.sock.sendall(b"".join(data))
        except OSError as error:
            raise Closed from error

    def greet(self, **keys: int) -> None:
        self.hello()
        self.send(welcome(**keys))  # type: ignore[arg-type]

    def drain(self) -> bytes:
        """Everything until the shim closes."""
        data = self._buffer
        self._buffer = b""
        with contextlib.suppress(OSError):
            while more := self.sock.recv(65536):
                data += more
        return data

    def closed(self) -> bool:
        """Wait for the shim to close; False if it does not within the socket's timeout."""
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


class FakeDaemon:
    """Listens, and runs ``script`` for each connection, one after the other or, ``parallel``, all at once. What a script raises is
    raised by ``stop``."""

    def __init__(self, path: Path, script: Callable[[Connection], None], parallel: bool = False) -> None:
        self.path = path
        self._parallel = parallel
        self._threads: list[threading.Thread] = []
        self.connections = 0
        self._script = script
        self._errors: list[BaseException] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._stopping = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(20)
            number = self.connections
            self.connections += 1
            if self._parallel:
                thread = threading.Thread(target=self._serve, args=(sock, number))
                thread.start()
                self._threads.append(thread)
            else:
                self._serve(sock, number)
            if self._errors:
                return

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            with sock:
                self._script(Connection(sock, number))
        except Closed:
            pass
        except BaseException as error:
            self._errors.append(error)

    def stop(self) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        for thread in self._threads:
            thread.join(30)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        assert not any(thread.is_alive() for thread in (self._thread, *self._threads)), "the script hangs"
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> FakeDaemon:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.stop()
        else:
            with contextlib.suppress(BaseException):
                self.stop()
