"""What is handed over a restart comes out as it went in; whatever else lies there is refused and leaves the ring as it was."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.falco import handover
from edera_falcod.falco.accounting import RESTART
from edera_falcod.falco.handover import HandoverError
from edera_falcod.falco.ring import Ring

from .records import block, put, record, take
from .test_ring import drain

FIELDS, HASH = 5, 7


def full(count: int = 6, budget: int = 1 << 20) -> Ring:
    """Two consumers, of which one has been sent half and has acknowledged one; blocks that name blocks."""
    ring = Ring(budget=budget)
    ring.declare("falco")
    zone = ring.add_zone("id", "name")
    busy = ring.attach("busy")
    deep = block(b"deep", (block(b"root"),))
    for number in range(count):
        put(ring, zone.index, b"x" * number, (deep, block(b"own%d" % number)))
    for _ in range(count // 2):
        take(busy)
    busy.acknowledge(1)
    ring.detach(busy, 0.0)
    return ring


def restored(data: bytes, budget: int = 1 << 20, known: int = 9) -> Ring:
    ring = Ring(budget=budget, first=100)
    ring.declare("falco")
    handover.restore(ring, data, lambda fields: HASH, known, 1.0)
    assert ring.verify() == []
    return ring


def test_consumers_go_on_where_they_were() -> None:
    old = full()
    new = restored(handover.dump(old, FIELDS, HASH)[0])
    assert new.head == old.head
    for name in ("falco", "busy"):
        before, after = old.consumers[name], new.consumers[name]
        for one, other in zip(after.queue.waiting, before.queue.waiting, strict=True):
            assert (one.seq, one.data, one.priority) == (other.seq, other.data, other.priority)
            assert [(b.id, b.kind, b.data, [r.id for r in b.refs]) for b in one.blocks] == [
                (b.id, b.kind, b.data, [r.id for r in b.refs]) for b in other.blocks
            ]
        assert (after.acknowledged, after.sent, after.connections) == (before.acknowledged, before.sent, before.connections)
    busy = new.attach("busy")
    assert drain(busy) == [2, 3, 4, 5, 6]
    assert busy.shares[new.gone[0].index].redelivered == 2, "what it had been sent and not acknowledged"


def test_a_smaller_buffer_keeps_the_newest_and_counts_the_rest() -> None:
    data, count = handover.dump(full(50), FIELDS, HASH)
    new = restored(data, budget=5000)
    falco = new.consumers["falco"]
    assert falco.queue.waiting[-1].seq == new.head and 0 < len(falco.queue.waiting) < count
    assert falco.shares[new.gone[0].index].dropped == {RESTART: count - len(falco.queue.waiting)}


def test_several_consumers_are_left_no_more_than_allowed() -> None:
    ring = full(200, budget=20_000)
    dropped = handover.trim(ring)
    assert ring.verify() == []
    data, _ = handover.dump(ring, FIELDS, HASH)
    assert len(data) < handover.PARTS * 20_000 + 10_000
    assert dropped == sum([share.dropped.get(RESTART, 0) for one in ring.consumers.values() for share in one.shares.values()])


@given(st.data())
def test_whatever_is_changed_is_refused_and_leaves_the_ring_as_it_was(data: st.DataObject) -> None:
    good = bytearray(handover.dump(full(), FIELDS, HASH)[0])
    at = data.draw(st.integers(0, len(good) - 5))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if kind == "flip":
        good[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del good[at : at + data.draw(st.integers(1, 50))]
    else:
        good[at:at] = data.draw(st.binary(min_size=1, max_size=20))
    whole = data.draw(st.booleans())  # as by somebody who means it: the sum fits
    if whole:
        good[-4:] = zlib.crc32(bytes(good[:-4])).to_bytes(4, "little")
    ring = Ring(first=100)
    ring.declare("falco")
    try:
        handover.restore(ring, bytes(good), lambda fields: HASH, 9, 1.0)
    except HandoverError:
        assert (ring.head, list(ring.zones), list(ring.consumers)) == (99, [0], ["falco"])
        assert not ring.consumers["falco"].queue.waiting
    else:
        assert whole, "a change that the sum does not cover"
    assert ring.verify() == []


@pytest.mark.parametrize(("known", "hash_"), [(4, HASH), (9, 8)])
def test_of_a_newer_or_another_registry(known: int, hash_: int) -> None:
    data = handover.dump(full(), FIELDS, HASH)[0]
    with pytest.raises(HandoverError, match="fields"):
        handover.restore(Ring(), data, lambda fields: hash_, known, 1.0)


def test_the_file_is_ours_alone_whole_and_taken_once(tmp_path: Path) -> None:
    path = str(tmp_path / "events")
    (tmp_path / "events.new").write_bytes(b"left by one that was killed while it wrote")
    handover.write(path, b"data")
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == ["events"]
    assert handover.read(path) == b"data"
    assert handover.read(path) is None and not os.listdir(tmp_path)


@pytest.mark.parametrize("trap", ["mode", "link", "folder", "pipe"])
def test_what_somebody_else_could_have_put_there_is_not_read(tmp_path: Path, trap: str) -> None:
    path = tmp_path / "events"
    if trap == "mode":
        path.write_bytes(b"x")
        path.chmod(0o660)
    elif trap == "link":
        (tmp_path / "secret").write_bytes(b"x")
        path.symlink_to(tmp_path / "secret")
    elif trap == "folder":
        path.mkdir()
    else:
        os.mkfifo(path, 0o600)
    with pytest.raises((HandoverError, OSError)):
        handover.read(str(path))
    assert trap != "link" or (tmp_path / "secret").exists()


def test_more_records_after_it_have_higher_numbers() -> None:
    new = restored(handover.dump(full(), FIELDS, HASH)[0])
    zone = new.add_zone("id", "name")
    zone.received += 1
    new.append(record(new, zone.index))
    assert [one.seq for one in new.consumers["falco"].queue.waiting] == [1, 2, 3, 4, 5, 6, 7]
