"""A consumer as docs/protocol.md describes it, that checks all it is told: for tests of what the daemon sends."""

from __future__ import annotations

import struct

from edera_falcod.falco import frames
from edera_falcod.state.block import Block


class Mirror:
    """``blocks``: what is defined now. ``got``: (seq, redelivered) of every event. ``shed``: ranges. ``due``: the next number."""

    def __init__(self, due: int = 1, known: dict[int, Block] | None = None) -> None:
        self.splitter = frames.Splitter(frames.MAX_FRAME)
        self.known = known if known is not None else {}  # to check references by
        self.blocks: dict[int, bytes] = {}
        self.held = 0
        self.most = 0
        self.defined = 0
        self.got: list[tuple[int, bool]] = []
        self.shed: list[tuple[int, int]] = []
        self.due = due
        self.pings = 0

    def feed(self, data: bytes) -> None:
        for frame in self.splitter.feed(data):
            self.take(frame)

    def take(self, frame: frames.Frame) -> None:
        if frame.type == frames.BATCH:
            self.batch(frame)
        elif frame.type == frames.SHED:
            first, last = frames.decode_shed(frame.payload)
            assert first == self.due
            self.shed.append((first, last))
            self.due = last + 1
        else:
            assert frame.type == frames.PING
            self.pings += 1

    def batch(self, frame: frames.Frame) -> None:
        payload = frame.payload
        for item in frames.items(payload):
            body = payload[item.start : item.end]
            if item.kind == frames.DEFINE:
                id_, data = struct.unpack_from("<Q", body)[0], body[9:]
                assert id_ not in self.blocks, "defined twice without a release"
                self.blocks[id_] = data
                self.held += len(data)
                self.most = max(self.most, self.held)
                self.defined += 1
                if id_ in self.known:
                    assert self.known[id_].data == data and self.known[id_].kind == body[8]
                    for other in self.known[id_].refs:
                        assert other.id in self.blocks, "a block names one that is not there"
            elif item.kind == frames.RELEASE:
                for (id_,) in struct.iter_unpack("<Q", body):
                    self.held -= len(self.blocks.pop(id_))
                if self.known:
                    for id_ in self.blocks:
                        for other in self.known[id_].refs:
                            assert other.id in self.blocks, "released what another block names"
            elif item.kind == frames.EVENT:
                seq, _, _, *ids = frames.EVENT_HEAD.unpack_from(body)
                assert seq == self.due, "a gap that nobody told of"
                self.due = seq + 1
                for id_ in ids:
                    assert id_ == 0 or id_ in self.blocks, "an event names a block that is not there"
                self.got.append((seq, bool(frame.flags & frames.BATCH_REDELIVERED)))

    @property
    def seqs(self) -> list[int]:
        return [seq for seq, _ in self.got]
