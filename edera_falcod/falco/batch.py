"""From a consumer's queue to the bytes of its connection: batches, blocks and gaps. Synchronous, no I/O.

Which blocks the other side has. Blocks that a connection was sent live in two generations. An event's blocks, and all that they
refer to, are moved to the young one when it is sent. When the young generation has grown to half the budget, whatever is still
in the old one has not been named for that long: it is released, and the young one becomes the old. So both sides hold at most the
budget (and one frame), without the state having to say when a block is dead; each generation is closed under references, so
nothing that is released is named by what stays; a block that comes back after its release is defined again, with the same bytes.
"""

from __future__ import annotations

import struct
from typing import Final, final

from ..fields.record import Record
from ..state.block import Block
from .frames import BATCH, BATCH_REDELIVERED, DEFINE, DEFINE_HEAD, EVENT, HEADER, HEADER_SIZE, KIND_SHIFT, RELEASE, WORD, encode_shed
from .ring import Consumer, Ring

BLOCK_BUDGET: Final = 32 << 20  # bytes of blocks that a connection keeps on the other side; the shim allows itself more
BLOCK_COUNT: Final = 1 << 16  # blocks, likewise
FRAME_TARGET: Final = 256 << 10  # bytes after which a BATCH is closed: a few hundred events, far from the limit of a frame
FRAME_EVENTS: Final = 1024  # events after which it is closed: what a consumer works through before it acknowledges
SHED_SIZE: Final = 24
_DEFINE_WORD: Final = DEFINE << KIND_SHIFT
_RELEASE_WORD: Final = RELEASE << KIND_SHIFT
_EVENT_WORD: Final = EVENT << KIND_SHIFT
_RELEASE_CHUNK: Final = 1 << 16  # ids in one RELEASE item: 512 kB


@final
class Batcher:
    """Makes the frames of one connection. ``frames``, ``events``, ``bytes``, ``defined`` and ``released`` count what was made."""

    __slots__ = (
        "_budget", "_consumer", "_head", "_old", "_parts", "_ring", "_size", "_total", "_young", "_young_bytes", "bytes", "defined",
        "events", "frames", "released",
    )

    def __init__(self, ring: Ring, consumer: Consumer, budget: int = BLOCK_BUDGET) -> None:
        self._ring = ring
        self._consumer = consumer
        self._budget = budget
        self._young: dict[int, int] = {}  # block id -> bytes
        self._old: dict[int, int] = {}
        self._young_bytes = 0
        self._parts: list[bytes] = []
        self._head = 0  # where in _parts the open frame's header goes
        self._size = 0  # payload of the open frame
        self._total = 0  # bytes of what was made before it
        self.frames = 0
        self.events = 0
        self.bytes = 0
        self.defined = 0
        self.released = 0

    def next(self) -> bytes:
        """What to send next: BATCH frames and, between them in their places, SHED frames; b"" when there is nothing."""
        consumer = self._consumer
        waiting = consumer.waiting
        if not waiting:
            if consumer.due > self._ring.head:
                return b""
            shed = encode_shed(consumer.due, self._ring.head)
            consumer.due = self._ring.head + 1
            self.bytes += len(shed)
            return shed
        parts = self._parts
        young = self._young
        last_sent = consumer.sent
        redelivered = waiting[0].seq <= last_sent
        count = 0
        self._open()
        while waiting:
            record: Record = waiting[0]
            seq = record.seq
            if redelivered and seq > last_sent:
                self._close(True)
                self._open()
                redelivered = False
            if seq != consumer.due:
                self._close(redelivered)
                parts.append(encode_shed(consumer.due, seq - 1))
                consumer.due = seq
                self._total += SHED_SIZE
                self._open()
            full = False
            for block in record.blocks:
                if block.id not in young and not self._bring(block):
                    full = True
                    break
            if full:
                break  # the rest of its blocks, and the event, come with the next frame
            data = record.data
            parts.append(WORD.pack(_EVENT_WORD | len(data)))
            parts.append(data)
            self._size += 4 + len(data)
            consumer.take()
            count += 1
            if self._total + self._size > FRAME_TARGET or count == FRAME_EVENTS:
                break
        if self._young_bytes > self._budget >> 1 or len(young) > BLOCK_COUNT >> 1:
            self._turn()
        self._close(redelivered)
        made = b"".join(parts)
        parts.clear()
        self._total = 0
        self.events += count
        self.bytes += len(made)
        return made

    def _open(self) -> None:
        """Begin a BATCH; its header is known when it is closed."""
        self._head = len(self._parts)
        self._parts.append(b"")
        self._size = 0

    def _close(self, redelivered: bool) -> None:
        if self._size:
            self._parts[self._head] = HEADER.pack(self._size, BATCH, BATCH_REDELIVERED if redelivered else 0, 0)
            self._total += self._size + HEADER_SIZE
            self.frames += 1
        self._size = 0

    def _bring(self, block: Block) -> bool:
        """Make the block, and before it all that it refers to, known to the other side and young; False when the frame was
        full before all was in it (what is in it is closed under references, so that the next frame may go on)."""
        young = self._young
        stack = [block]
        while stack:
            top = stack[-1]
            if top.id in young:
                stack.pop()
                continue
            missing = [other for other in top.refs if other.id not in young and other is not top]
            if missing:
                stack.extend(missing)
                continue
            if self._total + self._size > FRAME_TARGET:
                return False
            stack.pop()
            size = len(top.data)
            if self._old.pop(top.id, -1) < 0:
                self._parts.append(DEFINE_HEAD.pack(_DEFINE_WORD | (size + 9), top.id, top.kind))
                self._parts.append(top.data)
                self._size += 13 + size
                self.defined += 1
            young[top.id] = size
            self._young_bytes += size
        return True

    def _turn(self) -> None:
        """Release the old generation."""
        ids = list(self._old)
        for at in range(0, len(ids), _RELEASE_CHUNK):
            chunk = ids[at : at + _RELEASE_CHUNK]
            self._parts.append(struct.pack(f"<I{len(chunk)}Q", _RELEASE_WORD | 8 * len(chunk), *chunk))
            self._size += 4 + 8 * len(chunk)
        self.released += len(ids)
        self._old = self._young
        self._young = {}
        self._young_bytes = 0

    def held(self) -> tuple[int, int]:
        """Blocks that the other side holds, and the bytes of the young ones."""
        return len(self._young) + len(self._old), self._young_bytes
