from __future__ import annotations

from edera_falcod.falco import notices
from edera_falcod.falco.batch import Batcher
from edera_falcod.falco.notices import Notices
from edera_falcod.falco.ring import Ring
from edera_falcod.falco.zoneblock import zone_block
from edera_falcod.fields import registry, slots
from edera_falcod.fields.reader import BlockTable, EventView, value
from edera_falcod.fields.spec import Kind
from edera_falcod.state.block import Block

from .records import record, take


def put(ring: Ring, zone: int, body: bytes = b"") -> None:
    ring.zones[zone].received += 1
    ring.append(record(ring, zone, body))


def known(blocks: tuple[Block, ...]) -> BlockTable:
    table = BlockTable()
    for block in blocks:
        table.define(block.id, block.kind, block.data)
    return table


def told(ring: Ring, name: str = "falco") -> list[tuple[str, str, int, str]]:
    """kind, zone, count and cause of the notices that wait for a consumer."""
    found: list[tuple[str, str, int, str]] = []
    for one in ring.consumers[name].queue.waiting:
        view = EventView(one.item, known(one.blocks))
        kind = view.event.text(slots.EDERA_NOTICE_KIND)
        if kind is not None:
            cells = view.event
            zone, cause = cells.text(slots.EDERA_NOTICE_ZONE) or "", cells.text(slots.EDERA_NOTICE_CAUSE) or ""
            found.append((kind, zone, cells.cell(slots.EDERA_NOTICE_COUNT) or 0, cause))
    return found


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
    assert told(ring)[2:] == [("consumer_gap", "a", 10, "overload")]
    assert board.look(7.9, 5) == {}
    assert board.look(8.0, 6) == {}
    assert told(ring)[3:] == [("overload_ends", "", 0, "")]
    assert sum(count for kind, _, count, _ in told(ring) if kind == "consumer_gap") == consumer.shares[flood.index].lost()
    assert ring.verify() == []


def test_a_gone_zones_losses_are_not_told_twice() -> None:
    ring = Ring(budget=1 << 20)
    consumer = ring.declare("falco")
    board = Notices(ring)
    for number in range(100):
        zone = ring.add_zone(str(number), "")
        zone.received += 1
        ring.skip(zone)
        assert board.look(float(number), 1) == {"falco": 1}
        while take(consumer) is not None:
            consumer.acknowledge(consumer.sent)
        ring.remove_zone(zone)
    assert len(ring.zones) < 100
    assert board.look(1000.0, 1) == {}


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
