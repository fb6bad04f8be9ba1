"""From a consumer's queue to the bytes of its connection: batches, blocks and gaps. Synchronous, no I/O.

Which blocks the other side has. Blocks that a connection was sent live in two generations. An event's blocks, and all that they
refer to, are moved to the young one when it is sent. When the young generation has grown to half the budget, whatever is still
in the old one has not been named for that long: it is released, and the young one becomes the old. So both sides hold at most the
budget (and one frame), without the state having to say when a block is dead; each generation is closed under references, so
nothing that is released is named by what stays; a block that comes back after its release is defined again, with the same bytes.

Nearly all blocks of an event are young already, and looking six of them up costs as much as all else that is done here. So each young
generation of each connection has a number of its own, its stamp, with which it marks the blocks that it has: a block that bears it
need not be looked up. With several consumers a mark may be another's, and then the generations themselves are looked at.
"""

from __future__ import annotations

import struct
from typing import Final, final

from librt.strings import BytesWriter, write_i32_le, write_i64_le

from ..fields.blocks import Numbers
from ..state.block import Block
from .frames import BATCH, BATCH_REDELIVERED, DEFINE, EVENT, HEADER_SIZE, KIND_SHIFT, RELEASE, SEQ_SIZE, encode_shed
from .ring import Consumer, Ring

BLOCK_BUDGET: Final = 32 << 20  # bytes of blocks that a connection keeps on the other side; the shim allows itself more
BLOCK_COUNT: Final = 1 << 16  # blocks, likewise
FRAME_TARGET: Final = 128 << 10  # bytes after which a BATCH is closed: a quarter of what is numbered ahead of a consumer (ring.py)
FRAME_EVENTS: Final = 512  # events after which it is closed: what a consumer works through before it acknowledges
_DEFINE_WORD: Final = DEFINE << KIND_SHIFT
_RELEASE_WORD: Final = RELEASE << KIND_SHIFT
_EVENT_WORD: Final = EVENT << KIND_SHIFT
_RELEASE_CHUNK: Final = 1 << 16  # ids in one RELEASE item: 512 kB


_STAMPS: Final = Numbers()  # of young generations


@final
class Batcher:
    """Makes the frames of one connection. ``frames``, ``events``, ``bytes``, ``defined`` and ``released`` count what was made."""

    __slots__ = (
        "_budget", "_consumer", "_head", "_old", "_out", "_ring", "_stamp", "_young", "_young_bytes", "bytes", "defined", "events",
        "frames", "released",
    )  # fmt: skip

    def __init__(self, ring: Ring, consumer: Consumer, budget: int = BLOCK_BUDGET) -> None:
        self._ring = ring
        self._consumer = consumer
        self._budget = budget
        self._young: dict[int, int] = {}  # block id -> bytes
        self._old: dict[int, int] = {}
        self._young_bytes = 0
        self._stamp = _STAMPS.next()
        self._out = BytesWriter()
        self._head = 0  # where in it the open frame begins
        self.frames = 0
        self.events = 0
        self.bytes = 0
        self.defined = 0
        self.released = 0

    def next(self) -> bytes:
        """What to send next: BATCH frames and, between them in their places, SHED frames; b"" when there is nothing."""
        consumer = self._consumer
        due = consumer.due
        records = consumer.queue.ready(FRAME_EVENTS)
        if not records:
            if due > self._ring.head:
                return b""
            shed = encode_shed(due, self._ring.head)
            consumer.due = self._ring.head + 1
            self.bytes += len(shed)
            return shed
        out = self._out
        out.truncate(0)
        stamp = self._stamp
        last_sent = consumer.sent
        redelivered = records[0].seq <= last_sent
        count = 0
        self._open()
        for record in records:
            seq = record.seq
            if redelivered and seq > last_sent:
                self._close(True)
                self._open()
                redelivered = False
            if seq != due:
                self._close(redelivered)
                out.write(encode_shed(due, seq - 1))
                due = seq
                self._open()
            full = False
            for block in record.blocks:
                if block.mark != stamp and not self._bring(block):
                    full = True
                    break
            if full:
                break  # the rest of its blocks, and the event, come with the next frame
            data = record.data
            write_i32_le(out, _EVENT_WORD | (len(data) + SEQ_SIZE))
            write_i64_le(out, seq)
            out.write(data)
            due = seq + 1
            count += 1
            if len(out) > FRAME_TARGET:
                break
        if count:
            consumer.send(count)
        consumer.due = due
        if self._young_bytes > self._budget >> 1 or len(self._young) > BLOCK_COUNT >> 1:
            self._turn()
        self._close(redelivered)
        made = out.getvalue()
        if len(out) > 2 * FRAME_TARGET:  # a writer never shrinks
            self._out = BytesWriter()
        self.events += count
        self.bytes += len(made)
        return made

    def _open(self) -> None:
        """Begin a BATCH; its header is known when it is closed."""
        out = self._out
        self._head = len(out)
        write_i64_le(out, 0)

    def _close(self, redelivered: bool) -> None:
        out = self._out
        head = self._head
        size = len(out) - head - HEADER_SIZE
        if size == 0:
            out.truncate(head)
            return
        out[head] = size & 0xFF
        out[head + 1] = size >> 8 & 0xFF
        out[head + 2] = size >> 16 & 0xFF
        out[head + 3] = size >> 24 & 0xFF
        out[head + 4] = BATCH
        out[head + 5] = BATCH_REDELIVERED if redelivered else 0
        self.frames += 1

    def _bring(self, block: Block) -> bool:
        """Make the block, and before it all that it refers to, known to the other side and young; False when the frame was
        full before all was in it (what is in it is closed under references, so that the next frame may go on)."""
        young = self._young
        stamp = self._stamp
        out = self._out
        stack = [block]
        while stack:
            top = stack[-1]
            if top.id in young:
                top.mark = stamp
                stack.pop()
                continue
            missing = [other for other in top.refs if other.mark != stamp and other.id not in young and other is not top]
            if missing:
                stack.extend(missing)
                continue
            if len(out) > FRAME_TARGET:
                return False
            stack.pop()
            data = top.data
            if self._old.pop(top.id, -1) < 0:
                write_i32_le(out, _DEFINE_WORD | (len(data) + 9))
                write_i64_le(out, top.id)
                out.append(top.kind)
                out.write(data)
                self.defined += 1
            young[top.id] = len(data)
            top.mark = stamp
            self._young_bytes += len(data)
        return True

    def _turn(self) -> None:
        """Release the old generation."""
        ids = list(self._old)
        for at in range(0, len(ids), _RELEASE_CHUNK):
            chunk = ids[at : at + _RELEASE_CHUNK]
            self._out.write(struct.pack(f"<I{len(chunk)}Q", _RELEASE_WORD | 8 * len(chunk), *chunk))
        self.released += len(ids)
        self._old = self._young
        self._young = {}
        self._young_bytes = 0
        self._stamp = _STAMPS.next()

    def held(self) -> tuple[int, int]:
        """Blocks that the other side holds, and the bytes of the young ones."""
        return len(self._young) + len(self._old), self._young_bytes
