"""The bytes of a gRPC stream, cut into messages. No I/O: DATA payloads in, whole messages out.

A gRPC message is a flag byte (1: compressed), its length as four bytes big-endian, and its bytes; DATA frames cut the stream
anywhere. The length is the sender's word, so it is held against a limit before a byte is kept for it.
"""

from __future__ import annotations

from enum import Enum
from io import BytesIO
from typing import Final, final

PREFIX: Final = 5

# A reply with one event: at most 128 kB of raw parameters (the driver's largest event), again as much as text, and names. Twice that.
MAX_EVENT: Final = 1 << 20
# A reply with a snapshot: 10,000 threads with 4 kB of arguments, 4 kB of environment and 40 open files take about 120 MB.
MAX_SNAPSHOT: Final = 128 << 20

_TAG_SNAPSHOT: Final = 0x1A  # MonitorZoneKernelEventReply.threadsnap: field 3, length-delimited


class FrameFault(Enum):
    """Why a stream's bytes cannot be cut into messages any further. The value is the counter's cause."""

    COMPRESSED = "compressed"  # we announce no compression, so a compressed message is a fault of the sender
    MESSAGE_TOO_LARGE = "message_too_large"
    SNAPSHOT_TOO_LARGE = "snapshot_too_large"
    TRUNCATED = "truncated"  # the stream ended inside a message


@final
class FrameSplitter:
    """Cuts the DATA payloads of one stream at the gRPC prefixes.

    ``max_message`` and ``max_snapshot``: bytes, the prefix not counted. A message counts as a snapshot when its first byte is
    the tag of the reply's ``threadsnap``. After a fault nothing more comes out: without a valid prefix the next one cannot be found.
    """

    __slots__ = ("fault", "announced", "_max_message", "_max_snapshot", "_head", "_body", "_missing")

    def __init__(self, max_message: int = MAX_EVENT, max_snapshot: int = MAX_SNAPSHOT) -> None:
        self.fault: FrameFault | None = None
        self.announced = 0  # length of the message that is being collected, 0 between messages
        self._max_message = max_message
        self._max_snapshot = max_snapshot
        self._head = b""  # an incomplete prefix, or a prefix whose message's first byte is not there yet
        # Of the message that is being collected; one buffer, so that tiny frames cost no more than large ones, and one that gives its
        # bytes away without a copy, which takes tens of milliseconds for a large snapshot.
        self._body = BytesIO()
        self._missing = 0  # bytes that it lacks

    @property
    def pending(self) -> int:
        """Bytes kept for a message that is not complete."""
        return len(self._head) + self.announced - self._missing

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; the messages that they complete, in order. Look at ``fault`` afterwards."""
        messages: list[bytes] = []
        if self.fault is not None:
            return messages
        at = 0
        end = len(data)
        if self._missing:
            if end < self._missing:
                self._body.write(data)
                self._missing -= end
                return messages
            at = self._missing
            self._body.write(data[:at])
            messages.append(self._body.getvalue())
            self._body = BytesIO()
            self._missing = 0
            self.announced = 0
        elif self._head:
            data = self._head + data
            end = len(data)
            self._head = b""
        while True:
            body = at + PREFIX
            if body > end:
                self._head = data[at:]
                return messages
            if data[at]:
                return self._stop(FrameFault.COMPRESSED, messages)
            length = data[at + 1] << 24 | data[at + 2] << 16 | data[at + 3] << 8 | data[at + 4]
            if length > self._max_message:
                # Only a snapshot may be larger, and whether it is one its first byte says.
                if body == end:
                    self._head = data[at:]
                    return messages
                if data[body] != _TAG_SNAPSHOT:
                    return self._stop(FrameFault.MESSAGE_TOO_LARGE, messages)
                if length > self._max_snapshot:
                    return self._stop(FrameFault.SNAPSHOT_TOO_LARGE, messages)
            at = body + length
            if at > end:
                self._body.write(data[body:])
                self._missing = at - end
                self.announced = length
                return messages
            messages.append(data[body:at])

    def end(self) -> None:
        """The stream has ended; a message that is not complete is a fault."""
        if self.fault is None and (self._missing or self._head):
            self._stop(FrameFault.TRUNCATED, [])

    def _stop(self, fault: FrameFault, messages: list[bytes]) -> list[bytes]:
        self.fault = fault
        self._head = b""
        self._body = BytesIO()
        self._missing = 0
        self.announced = 0
        return messages
