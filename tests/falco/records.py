"""Records and blocks for tests of the falco room, laid out as the fields room lays them out."""

from __future__ import annotations

import itertools

from edera_falcod.falco.accounting import ZoneAccount
from edera_falcod.falco.frames import EVENT_HEAD, SEQ_SIZE
from edera_falcod.falco.ring import Consumer, Ring
from edera_falcod.fields.record import Record, newest_of
from edera_falcod.state.block import Block

_ids = itertools.count(1)


def block(data: bytes = b"", refs: tuple[Block, ...] = (), kind: int = 3) -> Block:
    """A block with a fresh id; its bytes begin with the ids of what it refers to."""
    return Block(next(_ids), kind, data, refs)


def record(ring: Ring, zone: int, body: bytes = b"", blocks: tuple[Block, ...] = (), priority: int = 1) -> Record:
    """A record for ``ring``, told apart by what its time is: the sequence number it may get. Its ids are those of ``blocks``, in order."""
    seq = ring.head + 1
    ids = [block.id for block in blocks[:6]] + [0] * (6 - len(blocks[:6]))
    return Record(0, zone, EVENT_HEAD.pack(0, 1000 + seq, zone, *ids)[SEQ_SIZE:] + body, blocks, newest_of(blocks), priority)


def put(ring: Ring, zone: int, body: bytes = b"", blocks: tuple[Block, ...] = (), priority: int = 1) -> int:
    """A record that comes as a zone's do: lined up where that is due. Returns how many consumers take it."""
    ring.zones[zone].received += 1
    return ring.append(record(ring, zone, body, blocks, priority))


def lose(ring: Ring, zone: ZoneAccount) -> None:
    """One that came when there was no room for it."""
    zone.received += 1
    ring.skip(zone)


def take(consumer: Consumer) -> Record | None:
    """The next record to send, now unacknowledged; None if nothing waits."""
    record = consumer.queue.next()
    if record is not None:
        consumer.send(1)
    return record


def work(ring: Ring, consumer: Consumer, count: int = 1 << 30) -> list[Record]:
    """The consumer takes so many, or all that come, and acknowledges each. Returns them."""
    taken: list[Record] = []
    while len(taken) < count and (one := take(consumer)) is not None:
        taken.append(one)
        consumer.acknowledge(one.seq)
        ring.move_up()
    return taken
