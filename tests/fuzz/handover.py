"""Invariant: a file that a stopping daemon could have left is taken whole, or refused and then changes nothing; what was taken adds up and
can be handed over again."""

from __future__ import annotations

import zlib
from functools import cache

from edera_falcod.falco import handover
from edera_falcod.falco.handover import HandoverError
from edera_falcod.falco.ring import Ring
from tests.falco.records import block, record

FIELDS = 10


def prefix_hash(fields: int) -> int:
    return 0x1000 + fields


def ring(events: int) -> Ring:
    """Two consumers, one of which has acknowledged something, and a zone."""
    made = Ring(1 << 20)
    zone = made.add_zone("z", "zone")
    first, second = made.attach("falco"), made.attach("other")
    env = block(b"env", kind=4)
    for number in range(events):
        zone.received += 1
        made.append(record(made, zone.index, b"x" * number, (block(b"t", (env,)), env)))
    for consumer, acknowledged in ((first, 2), (second, 0)):
        if events:
            consumer.send(min(events, 3))
            consumer.acknowledge(min(acknowledged, events))
        made.detach(consumer, 1.0)
    return made


@cache
def corpus() -> list[bytes]:
    """Without their checksums: the fuzzer adds the right one."""
    return [handover.dump(ring(events), FIELDS, prefix_hash(FIELDS))[0][:-4] for events in (0, 1, 5)]


def one(data: bytes) -> None:
    whole = data + zlib.crc32(data).to_bytes(4, "little")
    fresh = Ring(1 << 20)
    zones, consumers = len(fresh.zones), len(fresh.consumers)
    try:
        events, last = handover.restore(fresh, whole, prefix_hash, FIELDS, 100.0)
    except HandoverError as error:
        assert str(error)
        assert (len(fresh.zones), len(fresh.consumers), fresh.head) == (zones, consumers, Ring(1 << 20).head)
        return
    assert events >= 0 and last >= 0
    assert fresh.verify() == []
    again, count = handover.dump(fresh, FIELDS, prefix_hash(FIELDS))
    assert count <= events
    second = Ring(1 << 20)
    assert handover.restore(second, again, prefix_hash, FIELDS, 100.0)[0] == count
    assert second.verify() == []
