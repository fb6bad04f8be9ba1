from __future__ import annotations

import gc

from hypothesis import given, settings
from hypothesis import strategies as st

from edera_falcod.falco import notices
from edera_falcod.falco.accounting import MALFORMED
from edera_falcod.falco.batch import Batcher
from edera_falcod.falco.notices import Notices
from edera_falcod.falco.ring import MAX_GONE, Consumer, Ring
from edera_falcod.falco.zoneblock import zone_block
from edera_falcod.fields import registry, slots
from edera_falcod.fields.priority import NOTICE
from edera_falcod.fields.reader import BlockTable, EventView, value
from edera_falcod.fields.record import Record
from edera_falcod.fields.spec import Kind
from edera_falcod.state.block import Block

from .records import lose, put, work


def known(blocks: tuple[Block, ...]) -> BlockTable:
    table = BlockTable()
    for block in blocks:
        table.define(block.id, block.kind, block.data)
    return table


def told(ring: Ring, name: str = "falco") -> list[tuple[str, str, int, str]]:
    """kind, zone, count and cause of the notices that wait for a consumer."""
    found = [said(one) for one in ring.consumers[name].queue.waiting]
    return [notice for notice in found if notice is not None]


def said(one: Record) -> tuple[str, str, int, str] | None:
    """kind, zone, count and cause of a notice, None: it is none."""
    cells = EventView(one.item, known(one.blocks)).event
    kind = cells.text(slots.EDERA_NOTICE_KIND)
    if kind is None:
        return None
    zone, cause = cells.text(slots.EDERA_NOTICE_ZONE) or "", cells.text(slots.EDERA_NOTICE_CAUSE) or ""
    return kind, zone, cells.cell(slots.EDERA_NOTICE_COUNT) or 0, cause


def read(ring: Ring, consumer: Consumer, count: int = 1 << 30) -> int:
    """The consumer takes so many and acknowledges them. Returns how many lost events it was told of with them."""
    found = [said(one) for one in work(ring, consumer, count)]
    return sum([notice[2] for notice in found if notice is not None and notice[0] == notices.CONSUMER_GAP])


def test_a_notice_is_an_event_that_rules_can_match() -> None:
    ring = Ring()
    zone = ring.add_zone("id-1", "web")
    consumer = ring.declare("falco")
    zone.block = zone_block("id-1", "web", tainted=True)
    Notices(ring).tell(notices.GAP, "events may\0 be\nmissing", 123, zone, "stream_lost", 7)
    (one,) = consumer.queue.waiting
    view = EventView(one.item, known(one.blocks))
    wanted = {
        "edera.notice.kind": "gap",
        "edera.notice.text": "events may\ufffd be\ufffdmissing",
        "edera.notice.zone": "id-1",
        "edera.notice.count": 7,
        "edera.notice.cause": "stream_lost",
        "edera.zone.name": "web",
        "edera.zone.tainted": True,
        "evt.type": "notice",
        "proc.name": None,
    }
    assert {name: value(registry.by_name()[name], None, view) for name in wanted} == wanted
    assert (view.ts, view.tid, view.seq) == (123, -1, 1)
    assert (zone.received, zone.notices, zone.entered) == (1, 1, 1)
    assert ring.verify() == []


def test_every_kind_has_a_meaning() -> None:
    kinds = {value for name, value in vars(notices).items() if name.isupper() and isinstance(value, str)}
    assert kinds == notices.KINDS.keys()


def test_notices_can_be_switched_off() -> None:
    ring = Ring()
    ring.declare("falco")
    Notices(ring, enabled=False).tell(notices.GAP, "x", 1)
    assert ring.head == 0


def test_what_a_consumer_loses_is_told_once_a_second_by_zone_and_cause() -> None:
    ring = Ring(budget=1 << 20)
    flood, other = ring.add_zone("a", "flood"), ring.add_zone("b", "other")
    consumer = ring.declare("falco")
    board = Notices(ring)
    assert board.look(0.0, 1) == {}
    for _ in range(5000):
        put(ring, flood.index, b"x" * 400)
    lost = consumer.shares[flood.index].lost()
    assert board.look(1.0, 2) == {"falco": lost}
    assert told(ring) == [("overload_begins", "", 0, "overload"), ("consumer_gap", "a", lost, "overload")]
    assert board.look(2.0, 3) == {}
    for _ in range(10):
        put(ring, flood.index, b"x" * 400)
        put(ring, other.index, b"y")
    assert board.look(3.0, 4) == {"falco": 10}
    assert told(ring)[2:] == [], "it has not read the first yet"
    assert board.look(7.9, 5) == {}
    assert board.look(8.0, 6) == {}
    assert told(ring)[2:] == [("overload_ends", "", 0, "")]
    assert read(ring, consumer) == lost
    assert board.look(9.0, 7) == {}
    assert told(ring) == [("consumer_gap", "a", 10, "overload")]
    assert lost + 10 == consumer.shares[flood.index].lost()
    assert ring.verify() == []


def test_the_last_look_waits_for_nobody() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    consumer = ring.declare("falco")
    board = Notices(ring)
    for _ in range(2):
        for _ in range(5000):
            put(ring, zone.index, b"x" * 400)
        assert board.look(1.0, 2, last=True)["falco"] > 0
    assert board.look(1.0, 2, last=True) == {}
    assert sum(count for _, _, count, _ in told(ring)) == consumer.dropped


def test_what_is_lost_while_notices_are_off_is_not_told_later() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    consumer = ring.declare("falco")
    board = Notices(ring, enabled=False)
    for _ in range(5000):
        put(ring, zone.index, b"x" * 400)
    zone.received += 1
    zone.refuse(MALFORMED)
    assert board.look(1.0, 2) == {"falco": consumer.dropped}
    board.enabled = True
    assert board.look(2.0, 3) == {} and told(ring) == []


def finish(ring: Ring, board: Notices, consumer: Consumer, now: float = 0.0) -> int:
    """The consumer works until nothing more is told; of how many lost events it was."""
    found = 0
    for _ in range(5):
        found += read(ring, consumer)
        ring.tick(now)
        board.look(now, 1)
    return found + read(ring, consumer)


def test_a_notice_for_which_there_is_no_room_is_made_again() -> None:
    ring = Ring(budget=64_000)
    zone = ring.add_zone("a", "")
    consumer = ring.declare("falco")
    board = Notices(ring)
    while ring.wants(zone, NOTICE):
        put(ring, zone.index, b"x" * 100, priority=NOTICE)
    put(ring, zone.index, b"x" * 2000, priority=NOTICE)
    assert board.look(1.0, 1) == {"falco": 1}
    assert [notice for notice in told(ring) if notice[1]] == [] and zone.notices == 1
    assert finish(ring, board, consumer) == consumer.dropped == 2
    assert ring.verify() == []


def test_a_notice_that_is_larger_than_it_was_taken_to_be_is_made_again() -> None:
    """There is room for an ordinary one in its zone's line, but it tells of a zone with a long name."""
    ring = Ring(budget=64_000)
    zone = ring.add_zone("a", "n" * 1000)
    consumer = ring.attach("falco")
    board = Notices(ring)
    lose(ring, zone)
    assert finish(ring, board, consumer) == 1
    lose(ring, zone)
    while consumer.admits(zone.index, NOTICE, 1200, zone.lined_bytes, ring.lined_bytes):
        put(ring, zone.index, b"", priority=NOTICE)
    assert ring.lining and ring.wants(zone, NOTICE)
    lined, records = ring.lined, ring.lined_bytes
    assert board.look(1.0, 1) == {"falco": 1}
    assert (ring.lined, ring.lined_bytes) == (lined + 1, records), "it was refused, which has its place in the line"
    assert finish(ring, board, consumer) + 1 == consumer.dropped == 3
    assert ring.verify() == []


def test_a_notice_that_is_refused_when_it_gets_its_number_is_made_again() -> None:
    ring = Ring(budget=64_000)
    zone = ring.add_zone("a", "")
    slow, fast = ring.declare("slow"), ring.attach("fast")
    board = Notices(ring)
    while not slow.dropped:
        put(ring, zone.index, b"x" * 100, priority=NOTICE)
        read(ring, fast)
    while not ring.lining:
        put(ring, zone.index, b"x" * 100, priority=NOTICE)
    for now in (1.0, 2.0):
        board.look(now, 1)
    assert ring.lined == 2 and [notice for notice in told(ring, "slow") if notice[0]] == []
    assert read(ring, fast) > 0, "it reads of the other's losses, too"
    assert [notice for notice in told(ring, "slow") if notice[0] == notices.CONSUMER_GAP] == []
    assert finish(ring, board, slow) == slow.dropped > 0 == fast.dropped
    assert ring.verify() == []


def test_a_notice_that_gets_too_old_is_made_again() -> None:
    ring = Ring(budget=1 << 20, max_age=5.0)
    zone = ring.add_zone("a", "")
    consumer = ring.declare("falco")
    board = Notices(ring)
    lose(ring, zone)
    board.look(1.0, 1)
    assert [kind for kind, *_ in told(ring)] == ["overload_begins", "consumer_gap"]
    for now in (1.0, 6.0):
        ring.tick(now)
    assert told(ring) == []
    board.look(6.0, 1)
    wanted = [("consumer_gap", "", 1, "age"), ("consumer_gap", "a", 1, "age"), ("consumer_gap", "a", 1, "overload")]
    assert sorted(told(ring)) == wanted
    assert finish(ring, board, consumer) == consumer.dropped == 3
    assert ring.verify() == []


def test_a_notice_is_made_again_also_when_its_zone_has_been_added_up_with_others() -> None:
    ring = Ring(budget=1 << 20, max_age=5.0)
    consumer = ring.declare("falco")
    board = Notices(ring)
    ring.tick(0.0)
    for number in range(MAX_GONE + 10):
        zone = ring.add_zone(str(number), "")
        lose(ring, zone)
        board.look(0.0, 1)
        ring.remove_zone(zone)
    for now in (0.0, 6.0):
        ring.tick(now)
    assert len(ring.zones) == MAX_GONE + 2 and told(ring) == []
    board.look(6.0, 1)
    assert ("consumer_gap", "", 10, "overload") in told(ring)
    assert finish(ring, board, consumer) == consumer.dropped
    assert not consumer.missed


ACTIONS = st.sampled_from(["flood", "flood", "work", "work", "look", "tick", "leave", "come", "zone", "churn", "resize"])


@given(st.lists(st.tuples(ACTIONS, st.integers(1, 300)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_whatever_happens_all_that_a_consumer_has_lost_is_told_once(schedule: list[tuple[str, int]]) -> None:
    ring = Ring(budget=64_000, max_age=5.0)
    zones = [ring.add_zone("first", ""), ring.add_zone("second", "")]
    consumer = ring.declare("falco")
    board = Notices(ring)
    found, now = 0, 0.0
    for action, number in schedule:
        if action == "flood":
            for _ in range(number):
                put(ring, zones[number % len(zones)].index, b"x" * 400)
        elif action == "work" and consumer.attached:
            found += read(ring, consumer, number)
        elif action == "look":
            board.look(now, 1)
        elif action == "tick":
            now += 0.01 * number
            ring.tick(now)
        elif action == "leave" and consumer.attached:
            ring.detach(consumer, now)
        elif action == "come" and not consumer.attached:
            ring.attach("falco")
        elif action == "zone" and len(zones) > 1:
            ring.remove_zone(zones.pop(number % len(zones)))
            zones.append(ring.add_zone(str(number), ""))
        elif action == "churn":
            for _ in range(number):
                zone = ring.add_zone("brief", "")
                for _ in range(10):
                    put(ring, zone.index, b"x" * 400)
                ring.remove_zone(zone)
        elif action == "resize":
            ring.resize(30_000 + 100 * number)
    if not consumer.attached:
        ring.attach("falco")
    assert found + finish(ring, board, consumer, now) == consumer.dropped
    assert ring.verify() == []


def test_losses_of_zones_that_are_gone_are_told() -> None:
    """They may be added up before anybody has looked."""
    ring = Ring(budget=1 << 20)
    consumer = ring.declare("falco")
    board = Notices(ring)
    for number in range(100):
        zone = ring.add_zone(str(number), "")
        lose(ring, zone)
        ring.remove_zone(zone)
    assert len(ring.zones) < 100
    assert board.look(1.0, 1) == {"falco": 100}
    assert sum(count for _, zone_id, count, _ in told(ring) if not zone_id) == 100 - MAX_GONE
    assert read(ring, consumer) == 100
    assert board.look(2.0, 1) == {} and told(ring) == []


def test_a_gone_zones_losses_are_not_told_twice() -> None:
    ring = Ring(budget=1 << 20)
    consumer = ring.declare("falco")
    board = Notices(ring)
    for number in range(100):
        zone = ring.add_zone(str(number), "")
        lose(ring, zone)
        assert board.look(float(number), 1) == {"falco": 1}
        assert read(ring, consumer) == 1
        ring.remove_zone(zone)
    assert len(ring.zones) < 100
    assert board.look(100.0, 1) == {} and told(ring) == []


def test_a_consumer_that_is_forgotten_is_let_go() -> None:
    ring = Ring(budget=1 << 20)
    board = Notices(ring)
    for number in range(20):
        consumer = ring.attach("forgotten")
        board.look(float(number), 1)
        ring.detach(consumer, 0.0)
        ring.forget(consumer)
    board.look(20.0, 1)
    del consumer
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, Consumer) and one.name == "forgotten"] == []


def test_a_tails_losses_are_its_own_affair() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    ring.attach("tail", ephemeral=True)
    board = Notices(ring)
    for _ in range(2000):
        put(ring, zone.index, b"x" * 400)
    assert ring.consumers["tail"].dropped > 0
    assert board.look(1.0, 1) == {}


def test_notices_find_room_where_events_do_not_any_more() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    ring.declare("falco")
    board = Notices(ring)
    for _ in range(20_000):
        put(ring, zone.index, b"x" * 100)
    for _ in range(50):
        board.tell(notices.GAP, "still told", 1, zone)
    assert [kind for kind, *_ in told(ring)] == ["gap"] * 50


def test_a_zone_block_says_what_is_known_and_nothing_else() -> None:
    full = zone_block(
        "id", "na\0me", "ready", "host-1", 7, (b"\x20\x01" + bytes(13) + b"\1", b"\x0a\0\0\1"), "sha256:k", (("a", "b"),), 99, True
    )
    table = known((full,))
    ring = Ring()
    ring.declare("falco")
    zone = ring.add_zone("id", "")
    zone.block = full
    Notices(ring).tell(notices.GAP, "x", 1, zone)
    (one,) = ring.consumers["falco"].queue.waiting
    for block in one.blocks:
        table.define(block.id, block.kind, block.data)
    view = EventView(one.item, table)
    names = ("id", "name", "state", "host", "domid", "ip", "kernel", "ready_time", "tainted")
    found = [value(registry.by_name()[f"edera.zone.{name}"], None, view) for name in names]
    assert found == ["id", "name", "ready", "host-1", 7, "10.0.0.1", "sha256:k", 99, True]
    assert value(registry.by_name()["edera.zone.annotation"], "a", view) == "b"
    bare = known((zone_block("id"),)).get(full.id + 1, Kind.ZONE)
    assert bare is None or bare.text(slots.EDERA_ZONE_NAME) is None


def test_notices_travel() -> None:
    ring = Ring()
    consumer = ring.attach("falco")
    Notices(ring).tell(notices.GAP, "x", 1)
    assert Batcher(ring, consumer).next() != b""
