from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.falco.batch import FRAME_EVENTS, FRAME_TARGET, Batcher
from edera_falcod.falco.ring import Ring
from edera_falcod.fields.priority import LOW
from edera_falcod.state.block import Block

from .mirror import Mirror
from .records import block, lose, put


def send_all(batcher: Batcher, mirror: Mirror) -> int:
    frames = 0
    while data := batcher.next():
        mirror.feed(data)
        frames += 1
    return frames


def test_a_block_travels_once_and_before_what_names_it() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "").index
    batcher, mirror = Batcher(ring, ring.attach("falco")), Mirror()
    parent = block(b"parent")
    thread = block(b"thread", (parent,))
    for _ in range(3):
        put(ring, zone, b"event", (thread, parent))
    send_all(batcher, mirror)
    assert mirror.seqs == [1, 2, 3]
    assert mirror.blocks == {parent.id: b"parent", thread.id: b"thread"}
    assert mirror.defined == 2
    assert batcher.next() == b""


def test_a_new_connection_gets_its_blocks_again_and_is_told_what_it_may_have_seen() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "").index
    consumer = ring.attach("falco")
    thread = block(b"thread")
    for _ in range(4):
        put(ring, zone, blocks=(thread,))
    first = Mirror()
    send_all(Batcher(ring, consumer), first)
    consumer.acknowledge(2)
    ring.detach(consumer, 0.0)
    put(ring, zone, blocks=(thread,))
    again = Mirror(due=3)
    send_all(Batcher(ring, ring.attach("falco")), again)
    assert again.got == [(3, True), (4, True), (5, False)]
    assert again.blocks == first.blocks


def test_gaps_are_told_in_their_place_also_at_the_end() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("z", "")
    batcher, mirror = Batcher(ring, ring.attach("falco")), Mirror()
    for number in range(10):
        if number in (0, 4, 5, 9):
            lose(ring, zone)
        else:
            put(ring, zone.index)
    send_all(batcher, mirror)
    assert mirror.shed == [(1, 1), (5, 6), (10, 10)]
    assert mirror.seqs == [2, 3, 4, 7, 8, 9]
    assert mirror.due == ring.head + 1


def test_batches_grow_with_what_waits_and_are_bounded() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "").index
    consumer = ring.attach("falco")
    batcher, mirror = Batcher(ring, consumer), Mirror()
    for _ in range(3 * FRAME_EVENTS):
        put(ring, zone, b"x" * 20)
    assert send_all(batcher, mirror) == 3
    assert consumer.acknowledge(consumer.sent)
    for _ in range(3):
        put(ring, zone, b"x" * FRAME_TARGET)
    assert send_all(batcher, mirror) == 3
    assert mirror.seqs == list(range(1, 3 * FRAME_EVENTS + 4))


def test_a_long_chain_of_new_blocks_is_spread_over_frames() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "").index
    batcher = Batcher(ring, ring.attach("falco"))
    known: dict[int, Block] = {}
    one: Block | None = None
    for _ in range(3000):
        one = block(b"x" * 2000, (one,) if one is not None else ())
        known[one.id] = one
    assert one is not None
    put(ring, zone, blocks=(one,))
    mirror = Mirror(known=known)
    assert send_all(batcher, mirror) > 20
    assert mirror.seqs == [1]
    assert len(mirror.blocks) == 3000


def test_what_the_other_side_holds_is_bounded() -> None:
    budget = 200_000
    ring = Ring()
    zone = ring.add_zone("z", "").index
    consumer = ring.attach("falco")
    batcher, mirror = Batcher(ring, consumer, budget), Mirror()
    long_lived = [block(b"l" * 500) for _ in range(20)]
    for number in range(20_000):
        put(ring, zone, blocks=(block(b"s" * 500), long_lived[number % 20]))
        if number % 50 == 49:
            send_all(batcher, mirror)
            consumer.acknowledge(consumer.sent)
    assert mirror.most <= budget + 60 * 500
    assert mirror.defined <= 20_020, "what is in use must not be sent again"
    assert batcher.held()[0] == len(mirror.blocks)


@given(st.integers(0, 2**32), st.integers(300, 5000))
@settings(max_examples=40, deadline=None)
def test_whatever_happens_the_other_side_can_follow(seed: int, budget: int) -> None:
    """Random families of blocks, a small block budget, shedding, reconnects: the mirror asserts every rule of the protocol."""
    choose = random.Random(seed)
    ring = Ring(budget=60_000)
    zones = [ring.add_zone(str(number), "").index for number in range(3)]
    consumer = ring.attach("falco")
    known: dict[int, Block] = {}
    blocks: list[Block] = []
    batcher, mirror = Batcher(ring, consumer, budget), Mirror(known=known)
    for _ in range(400):
        if not blocks or choose.random() < 0.2:
            refs = tuple(choose.sample(blocks, min(len(blocks), choose.randrange(3))))
            blocks.append(block(b"b" * choose.randrange(400), refs))
            known[blocks[-1].id] = blocks[-1]
        named = tuple(choose.choices(blocks[-12:], k=choose.randrange(4)))
        put(ring, choose.choice(zones), b"x" * choose.randrange(400), named, choose.randrange(LOW, 4))
        if choose.random() < 0.1:
            send_all(batcher, mirror)
            if choose.random() < 0.7 and mirror.got:
                consumer.acknowledge(choose.choice(mirror.seqs[-5:]))
        if choose.random() < 0.02:
            ring.detach(consumer, 0.0)
            consumer = ring.attach("falco")
            batcher, mirror = Batcher(ring, consumer, budget), Mirror(consumer.acknowledged + 1, known)
        assert ring.verify() == []
    send_all(batcher, mirror)
    assert mirror.due == ring.head + 1
