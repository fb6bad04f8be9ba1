"""The core's stages in one process, beside the reference: `python -m bench.stages CAPTURE LIMIT ROUNDS`, figures as JSON on stdout.

Run from a folder whose edera_falcod is the interpreted or the compiled one (bench/builds.py).
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

from edera_falcod._pure import compiled
from edera_falcod.daemon import GC_THRESHOLDS
from edera_falcod.falco.batch import Batcher
from edera_falcod.falco.ring import Ring
from edera_falcod.fields.record import Encoder, Record
from edera_falcod.scap.event import Event
from edera_falcod.scap.wire import parse_reply
from edera_falcod.state.zone import ZoneState

from .corpus import Corpus
from .reference import Reference


def decode(messages: list[bytes]) -> tuple[float, list[Event]]:
    events: list[Event] = []
    add = events.append
    began = time.process_time()
    for message in messages:
        event = parse_reply(message, 0, len(message))
        assert isinstance(event, Event)
        add(event)
    return time.process_time() - began, events


def seeded(corpus: Corpus) -> ZoneState:
    zone = ZoneState()
    reader = corpus.reader()
    zone.begin_snapshot(reader.boot_epoch)
    while (thread := reader.next_thread()) is not None:
        zone.add_snapshot_thread(thread)
    zone.end_snapshot()
    return zone


def state(corpus: Corpus, events: list[Event]) -> float:
    apply = seeded(corpus).apply
    began = time.process_time()
    for event in events:
        apply(event)
    return time.process_time() - began


def fields(corpus: Corpus, events: list[Event]) -> float:
    """State and fields together; whoever wants the fields alone takes the state's time off."""
    zone = seeded(corpus)
    apply = zone.apply
    encode = Encoder(1, zone).encode
    began = time.process_time()
    for event in events:
        apply(event)
        encode(event)
    return time.process_time() - began


def records_of(corpus: Corpus, events: list[Event], index: int) -> list[Record]:
    zone = seeded(corpus)
    encoder = Encoder(index, zone)
    records: list[Record] = []
    for event in events:
        zone.apply(event)
        records.append(encoder.encode(event))
    return records


def deliver(ring: Ring, records: list[Record]) -> tuple[float, int]:
    """Through the ring and into the bytes of a connection, acknowledged after each frame; without the socket."""
    consumer = ring.attach("bench")
    batcher = Batcher(ring, consumer)
    append = ring.append
    size = 0
    began = time.process_time()
    for start in range(0, len(records), 64):
        for record in records[start : start + 64]:
            append(record)
        size += len(batcher.next())
        consumer.acknowledge(consumer.due - 1)
    return time.process_time() - began, size


def main() -> int:
    capture, limit, rounds = sys.argv[1:]
    corpus = Corpus(Path(capture), int(limit))
    reference = Reference()
    count = len(corpus.messages)
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()
    best: dict[str, float] = {}
    size = 0
    for _ in range(int(rounds)):
        found = {"upb": reference.run(corpus.messages)}
        found["decode"], events = decode(corpus.messages)
        found["state"] = state(corpus, events)
        ring = Ring(first=1)
        found["fields"] = fields(corpus, events) - found["state"]
        records = records_of(corpus, events, ring.add_zone("bench", "bench").index)
        found["deliver"], size = deliver(ring, records)
        for name, seconds in found.items():
            best[name] = min(seconds, best.get(name, seconds))
        del events, records
        gc.collect()
    figures = {name: 1e6 * seconds / count for name, seconds in best.items()}
    print(json.dumps({"compiled": compiled(), "implementation": reference.kind, "events": count, "us": figures, "bytes": size / count}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
