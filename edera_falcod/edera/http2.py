"""DATA frames, taken out of an HTTP/2 connection's bytes before h2 sees them. No I/O.

h2 needs about 10 us for a DATA frame, more than all else that is done with an event, and some senders put one message into a frame.
So the DATA frames of streams that were opened for it are cut here, and h2 gets everything else in its order: other frames, DATA of
other streams, and from the first frame on that breaks a rule everything, for it knows what to answer. An END_STREAM flag on a frame
that was taken goes to h2 as an empty DATA frame.

What h2 would have watched is watched here: the size of frames, padding (RFC 9113, section 6.1), that no DATA comes within a header
block, and both windows (section 5.2). h2 knows nothing of the bytes that were taken, so whoever reads them gives their windows back
with ``window_update``, not through h2.
"""

from __future__ import annotations

from typing import Final, final

HEADER: Final = 9  # bytes: length, type, flags, stream
MAX_FRAME: Final = 16_384  # SETTINGS_MAX_FRAME_SIZE: h2 announces no other, and nobody may send more
# Pieces that a stream keeps before they are joined: a window full of DATA frames of one byte must not cost 50 bytes for each.
MAX_PIECES: Final = 4096

_DATA: Final = 0
_HEADERS: Final = 1
_PUSH_PROMISE: Final = 5
_CONTINUATION: Final = 9
_END_STREAM: Final = 0x1
_END_HEADERS: Final = 0x4
_PADDED: Final = 0x8


class WindowError(Exception):
    """More was sent than a window allows."""


@final
class Inflow:
    """What has come on one stream and was not taken yet. ``left``: of the stream's window. ``consumed``: bytes of it that can be given
    back: of what was taken, and padding."""

    __slots__ = ("_pieces", "consumed", "left")

    def __init__(self, window: int) -> None:
        self._pieces: list[bytes] = []
        self.left = window
        self.consumed = 0

    def add(self, data: bytes, size: int) -> None:
        """``size``: what the frame took of the windows, at least the data's length."""
        self.consumed += size - len(data)
        if data:
            pieces = self._pieces
            if len(pieces) >= MAX_PIECES:
                pieces[:] = [b"".join(pieces)]
            pieces.append(data)

    @property
    def waits(self) -> bool:
        """Whether ``take`` has something."""
        return len(self._pieces) > 0

    def take(self, limit: int) -> bytes:
        """The next bytes, of whole frames, until there are at least ``limit`` or no more; b"" if nothing is there."""
        pieces = self._pieces
        count = 0
        size = 0
        for piece in pieces:
            if size >= limit:
                break
            size += len(piece)
            count += 1
        self.consumed += size
        if count == 1:
            return pieces.pop(0)
        taken = b"".join(pieces[:count])
        del pieces[:count]
        return taken


@final
class DataFrames:
    """The DATA frames of one connection: ``push`` what has come, then call ``next`` until it returns b"". ``touched``: streams that got
    something since it was cleared. ``consumed``: bytes of the connection's window that can be given back, at once: each stream has a
    window of its own. Both sides of it are the caller's to reset."""

    __slots__ = ("_at", "_data", "_in_headers", "_plain", "_streams", "_window", "consumed", "touched")

    def __init__(self, window: int) -> None:
        self._window = window
        self._streams: dict[int, Inflow] = {}
        self._data = b""
        self._at = 0
        self._in_headers = False  # between HEADERS and the CONTINUATION that ends the block
        self._plain = False  # a frame has broken a rule: all that follows is h2's
        self.touched: list[int] = []
        self.consumed = 0

    def open(self, stream: int, inflow: Inflow) -> None:
        """From now on take this stream's DATA: its response's headers have come."""
        self._streams[stream] = inflow

    def close(self, stream: int) -> None:
        """The stream has ended, or nobody reads it any more."""
        self._streams.pop(stream, None)

    def push(self, data: bytes) -> None:
        """What has come of the connection."""
        at = self._at
        rest = self._data[at:] if at < len(self._data) else b""
        self._data = rest + data if rest else data
        self._at = 0

    def next(self) -> bytes:
        """Keep the DATA up to the next frame that is h2's; the bytes of that and of those behind it up to the next DATA frame. b"":
        there is no other whole frame. Raises ``WindowError``."""
        data = self._data
        at = self._at
        end = len(data)
        start = at  # of what is h2's
        while True:
            body = at + HEADER
            if self._plain:
                self._at = end
                return data[start:]
            if body > end:
                break
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            kind = data[at + 3]
            if length > MAX_FRAME:
                self._plain = True
                continue
            after = body + length
            if after > end:
                break
            flags = data[at + 4]
            if kind != _DATA:
                if kind in (_HEADERS, _PUSH_PROMISE, _CONTINUATION):
                    self._in_headers = flags & _END_HEADERS == 0
                at = after
                continue
            if at > start:
                break  # h2 first: it may be about to open this very stream
            stream = (data[at + 5] & 0x7F) << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]
            inflow = self._streams.get(stream)
            if inflow is None or self._in_headers:
                at = after
                self._at = at
                return data[start:at]
            last = after
            if flags & _PADDED != 0:
                if length == 0 or data[body] >= length:
                    self._plain = True
                    continue
                last -= data[body]
                body += 1
            inflow.left -= length
            self.consumed += length
            if inflow.left < 0 or self.consumed > self._window:
                raise WindowError
            inflow.add(data[body:last], length)
            touched = self.touched
            if not touched or touched[-1] != stream:
                touched.append(stream)
            at = after
            start = at
            if flags & _END_STREAM != 0:
                self._at = at
                return b"\0\0\0\0\x01" + stream.to_bytes(4, "big")
        self._at = at
        return data[start:at]


def window_update(stream: int, size: int) -> bytes:
    """A frame that gives ``size`` bytes of a window back; stream 0 is the connection."""
    return b"\0\0\4\x08\0" + stream.to_bytes(4, "big") + size.to_bytes(4, "big")
