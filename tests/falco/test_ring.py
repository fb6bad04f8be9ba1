from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edera_falcod.falco import accounting, handover
from edera_falcod.falco.lines import QUANTUM
from edera_falcod.falco.ring import (
    DAEMON,
    FRONT_PART,
    GONE,
    LINE_TIME,
    MAX_CONSUMERS,
    MAX_GONE,
    MAX_RECORD,
    MOVE,
    STEP,
    Consumer,
    Refused,
    Ring,
)
from edera_falcod.fields.priority import HIGH, LOW, NORMAL, NOTICE

from .records import block, lose, put, record, take, work


def drain(consumer: Consumer) -> list[int]:
    taken = []
    while (one := take(consumer)) is not None:
        taken.append(one.seq)
    return taken


def test_sequence_numbers_grow_by_one_and_are_taken_in_order() -> None:
    ring = Ring(first=100)
    zone = ring.add_zone("z", "zone")
    consumer = ring.attach("falco")
    for _ in range(5):
        put(ring, zone.index)
    assert drain(consumer) == [100, 101, 102, 103, 104]
    assert consumer.acknowledge(102)
    share = consumer.shares[zone.index]
    assert (share.acknowledged, share.unacknowledged, share.waiting) == (3, 2, 0)
    assert ring.verify() == []


def test_what_a_zone_holds_is_told_of_connected_consumers() -> None:
    ring = Ring()
    zone, other = ring.add_zone("z", "zone"), ring.add_zone("o", "other")
    falco, second = ring.attach("falco"), ring.attach("second")
    tail = ring.attach("tail", ephemeral=True)
    assert ring.held(zone) == 0
    put(ring, zone.index, b"x" * 1000)
    size = falco.bytes
    assert size > 1000 and ring.held(zone) == size and ring.held(other) == 0
    for consumer in (falco, second):
        drain(consumer)
    assert ring.held(zone) == size, "until it is acknowledged"
    falco.acknowledge(falco.sent)
    assert ring.held(zone) == 0 < second.bytes, "the fastest counts"
    ring.detach(falco, 0.0)
    assert ring.held(zone) == size
    ring.detach(second, 0.0)
    assert ring.held(zone) == 0 < tail.bytes, "who only watches does not count"


def test_what_was_not_acknowledged_comes_again() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "zone")
    consumer = ring.attach("falco")
    for _ in range(4):
        put(ring, zone.index)
    take(consumer)
    take(consumer)
    consumer.acknowledge(1)
    ring.detach(consumer, 0.0)
    assert ring.attach("falco") is consumer
    assert consumer.due == 2
    assert drain(consumer) == [2, 3, 4]
    assert consumer.shares[zone.index].redelivered == 1
    assert ring.verify() == []


def test_a_claim_beyond_what_was_sent_is_refused() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "zone")
    consumer = ring.attach("falco")
    put(ring, zone.index)
    assert not consumer.acknowledge(1)
    take(consumer)
    assert consumer.acknowledge(1)
    assert consumer.acknowledge(1)
    assert not consumer.acknowledge(2)
    ring.detach(consumer, 0.0)
    ring.attach("falco")
    assert not consumer.acknowledge(1 << 63)
    assert ring.verify() == []


def test_a_smaller_budget_leaves_what_the_consumer_is_working_on() -> None:
    ring = Ring(budget=20_000, part=1)
    zone = ring.add_zone("z", "zone")
    consumer = ring.attach("falco")
    for _ in range(5):
        put(ring, zone.index, b"x" * 3000)
    assert [take(consumer) is not None for _ in range(3)] == [True] * 3
    ring.resize(5000)
    assert (len(consumer.queue.unacknowledged), len(consumer.queue.waiting)) == (3, 0)
    assert consumer.shares[zone.index].dropped == {accounting.OVERLOAD: 2}
    assert ring.verify() == []
    ring.detach(consumer, 0.0)
    put(ring, zone.index)
    assert ring.verify() == [] and len(consumer.queue.waiting) == 3, "and nothing new until there is room"
    ring.attach("falco")
    assert drain(consumer) == [1, 2, 3] and consumer.acknowledge(3)
    put(ring, zone.index)
    assert len(consumer.queue.waiting) == 1 and ring.verify() == []


def test_one_connection_a_name_and_a_limit_of_names() -> None:
    ring = Ring()
    ring.attach("falco")
    with pytest.raises(Refused) as busy:
        ring.attach("falco")
    assert busy.value.busy
    for number in range(MAX_CONSUMERS - 1):
        ring.attach(f"c{number}")
    with pytest.raises(Refused) as limit:
        ring.attach("one-too-many")
    assert not limit.value.busy


def test_a_declared_consumer_gets_what_came_before_it_connected() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "zone")
    ring.declare("falco")
    put(ring, zone.index)
    late = ring.attach("late")
    put(ring, zone.index)
    assert drain(ring.attach("falco")) == [1, 2]
    assert drain(late) == [2]
    assert late.shares[zone.index].before == 1
    assert ring.verify() == []


def test_lag_is_the_age_of_the_oldest_event_that_is_not_acknowledged() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "zone")
    consumer = ring.attach("falco")
    assert ring.lag(consumer, 50.0) == 0.0
    for second in range(100, 103):
        put(ring, zone.index)
        ring.tick(float(second))
    assert ring.lag(consumer, 105.0) == 5.0
    drain(consumer)
    assert ring.lag(consumer, 105.0) == 5.0, "sent is not done"
    consumer.acknowledge(2)
    assert ring.lag(consumer, 105.0) == 3.0
    consumer.acknowledge(3)
    assert ring.lag(consumer, 105.0) == 0.0
    put(ring, zone.index)
    assert ring.lag(consumer, 105.0) == 0.0, "it came within this second"


def test_an_ephemeral_consumer_is_forgotten_when_it_goes() -> None:
    ring = Ring()
    zone = ring.add_zone("z", "zone")
    tail = ring.attach("tail", ephemeral=True)
    put(ring, zone.index)
    ring.detach(tail, 0.0)
    assert "tail" not in ring.consumers
    assert put(ring, zone.index) == 0
    assert ring.verify() == []


def test_the_age_bound_drops_what_nobody_took() -> None:
    ring = Ring(max_age=10.0)
    zone = ring.add_zone("z", "zone")
    consumer = ring.declare("falco")
    ring.tick(0.0)
    put(ring, zone.index)
    for second in range(1, 10):
        ring.tick(float(second))
    put(ring, zone.index)
    ring.tick(10.0)
    assert len(consumer.queue.waiting) == 2  # the first came after second 0 and may be younger than 10 s
    ring.tick(11.0)
    assert [r.seq for r in consumer.queue.waiting] == [2]
    assert consumer.shares[zone.index].dropped == {accounting.AGE: 1}
    assert ring.verify() == []


def test_unacknowledged_events_do_not_age_while_connected() -> None:
    ring = Ring(max_age=10.0)
    zone = ring.add_zone("z", "zone")
    consumer = ring.attach("falco")
    put(ring, zone.index)
    take(consumer)
    for second in range(30):
        ring.tick(float(second))
    assert consumer.shares[zone.index].unacknowledged == 1
    ring.detach(consumer, 30.0)
    ring.tick(30.0)
    assert consumer.shares[zone.index].dropped == {accounting.AGE: 1}
    ring.tick(39.9)
    assert "falco" in ring.consumers
    ring.tick(40.0)
    assert "falco" not in ring.consumers


def test_one_flooding_zone_takes_nothing_from_the_others() -> None:
    ring = Ring(budget=1 << 20)
    flood, quiet = ring.add_zone("a", "flood"), ring.add_zone("b", "quiet")
    consumer = ring.declare("falco")
    for number in range(20_000):
        put(ring, flood.index, b"x" * 300, priority=HIGH)
        if number % 500 == 0:
            put(ring, quiet.index, b"y" * 300, priority=LOW)
    assert consumer.shares[quiet.index].lost() == 0
    assert consumer.shares[flood.index].dropped[accounting.OVERLOAD] > 10_000
    assert consumer.bytes <= ring.budget
    assert ring.verify() == []


@pytest.mark.parametrize("floods", [1, 10])
@pytest.mark.parametrize(("priority", "part"), [(LOW, 1 / 3), (NORMAL, 2 / 3), (HIGH, 8 / 9)])
def test_what_a_quiet_zone_finds_free_beside_zones_that_flood(floods: int, priority: int, part: float) -> None:
    """As docs/delivery.md says: so much of 1/(8 floods + 1) of the buffer, and from then on it loses."""
    ring = Ring(budget=2 << 20)
    zones = [ring.add_zone(str(number), "flood") for number in range(floods)]
    quiet = ring.add_zone("q", "quiet")
    share = ring.declare("falco").share(quiet)
    for _ in range(10_000):
        for zone in zones:
            put(ring, zone.index, b"x" * 100, priority=HIGH)
    while share.lost() == 0:
        put(ring, quiet.index, priority=priority)
    assert share.bytes == pytest.approx(part * ring.budget / (8 * floods + 1), rel=0.05)
    assert ring.verify() == []


def test_reads_and_writes_are_shed_before_what_matters() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "busy")
    consumer = ring.declare("falco")
    lost = {LOW: 0, NORMAL: 0, HIGH: 0, NOTICE: 0}
    for number in range(960):
        priority = (LOW, LOW, LOW, LOW, LOW, NORMAL, NORMAL, HIGH)[number % 8]
        lost[priority] += put(ring, zone.index, b"x" * 600, priority=priority) == 0
    lost[NOTICE] += put(ring, DAEMON, b"n" * 600, priority=NOTICE) == 0
    assert lost[LOW] > 100
    assert lost[NORMAL] == 0
    assert lost[HIGH] == 0
    assert lost[NOTICE] == 0
    assert consumer.bytes <= ring.budget


def test_zones_at_full_speed_share_evenly() -> None:
    ring = Ring(budget=1 << 20)
    zones = [ring.add_zone(str(number), "") for number in range(8)]
    consumer = ring.declare("falco")
    for _ in range(4000):
        for zone in zones:
            put(ring, zone.index, b"x" * 300)
    held = [consumer.shares[zone.index].waiting for zone in zones]
    assert max(held) - min(held) <= 2
    assert consumer.bytes > ring.budget // 2


def test_a_slow_consumer_costs_another_nothing() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    ring.declare("slow")
    fast = ring.attach("fast")
    for _ in range(50_000):
        put(ring, zone.index, b"x" * 300)
        one = take(fast)
        assert one is not None
        fast.acknowledge(one.seq)
    assert fast.shares[zone.index].lost() == 0
    assert fast.bytes == 0


def test_blocks_are_charged_to_the_record_that_brought_them() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    consumer = ring.declare("falco")
    parent = block(b"p" * 1000)
    thread = block(b"t" * 1000, (parent,))
    put(ring, zone.index, blocks=(thread,))
    first = consumer.bytes
    put(ring, zone.index, blocks=(thread,))
    assert first > 2000
    assert consumer.bytes - first < 500


def test_blocks_that_came_with_a_refused_record_cannot_ride_along_for_nothing() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    consumer = ring.declare("falco")
    held: dict[int, int] = {}
    for _ in range(5000):
        big = block(b"e" * 100_000)
        put(ring, zone.index, blocks=(big,), priority=LOW)  # often refused, for it is large
        put(ring, zone.index, blocks=(big,), priority=LOW)  # small itself, but keeps the block alive
    for one in consumer.queue.waiting:
        for other in one.blocks:
            held[other.id] = len(other.data)
    assert sum(held.values()) <= ring.budget
    ring.tick(0.0)
    drain(consumer)
    consumer.acknowledge(consumer.sent)
    put(ring, zone.index)
    ring.tick(1.0)
    small = block(b"s" * 1000)
    put(ring, zone.index, blocks=(small,))
    before = consumer.bytes
    put(ring, zone.index, blocks=(small,))
    assert consumer.bytes - before < 500  # no longer strict


def test_what_no_frame_can_hold_is_counted() -> None:
    ring = Ring()
    zone = ring.add_zone("a", "")
    consumer = ring.declare("falco")
    put(ring, zone.index, b"x" * MAX_RECORD)
    huge = block(b"x" * (MAX_RECORD + 1))
    put(ring, zone.index, blocks=(block(b"t", (huge,)), huge))
    put(ring, zone.index, blocks=(huge,))
    put(ring, zone.index, blocks=(block(b"t", (huge,)),))
    assert consumer.shares[zone.index].dropped == {accounting.TOO_LARGE: 4}
    assert ring.verify() == []


def test_old_gone_zones_are_added_up() -> None:
    ring = Ring()
    consumer = ring.attach("falco")
    for _ in range(3 * MAX_GONE):
        zone = ring.add_zone("z", "")
        put(ring, zone.index)
        zone.received += 1
        zone.refuse(accounting.MALFORMED)
        drain(consumer)
        consumer.acknowledge(consumer.sent)
        ring.remove_zone(zone)
    assert len(ring.gone) == MAX_GONE
    assert len(ring.zones) == MAX_GONE + 2
    assert ring.zones[GONE].received == 2 * 2 * MAX_GONE
    assert consumer.shares[GONE].acknowledged == 2 * MAX_GONE
    assert ring.verify() == []


def test_it_is_pressed_until_everybody_takes_what_comes() -> None:
    ring = Ring(budget=20_000, part=1)
    zone = ring.add_zone("z", "zone")
    seen = [ring.pressed]
    put(ring, zone.index)
    seen.append(ring.pressed)
    consumer = ring.attach("falco")
    put(ring, zone.index)
    seen.append(ring.pressed)
    assert seen == [True, True, False], "until there is somebody"
    other = ring.attach("other")
    while taken := put(ring, zone.index, b"x" * 3000):
        assert ring.pressed is (taken < 2)
    drain(consumer)
    consumer.acknowledge(consumer.sent)
    assert (put(ring, zone.index, b"x" * 3000), ring.pressed) == (1, True), "one has room again"
    drain(other)
    other.acknowledge(other.sent)
    assert (put(ring, zone.index), ring.pressed) == (2, False)
    assert ring.verify() == []


def test_wants_tells_that_making_a_record_is_of_no_use() -> None:
    ring = Ring(budget=1 << 20)
    zone = ring.add_zone("a", "")
    assert not ring.wants(zone, HIGH)
    ring.declare("falco")
    assert ring.wants(zone, LOW)
    while put(ring, zone.index, b"x" * 700, priority=LOW):
        pass
    assert not ring.wants(zone, LOW)
    assert ring.wants(zone, HIGH)
    lose(ring, zone)
    assert ring.verify() == []


class Schedules(RuleBasedStateMachine):
    """Whatever the order of arrivals, sends, acknowledgements, losses of connections and passing time: all adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(budget=20_000, max_age=5.0)
        self.ring.declare("falco")
        self.now = 0.0
        self.zones = [self.ring.add_zone("first", "")]
        self.seen: dict[str, list[int]] = {}

    @rule(number=st.integers(0, 5))
    def add_zone(self, number: int) -> None:
        self.zones.append(self.ring.add_zone(f"z{number}", ""))

    @precondition(lambda self: len(self.zones) > 1)
    @rule(data=st.data())
    def remove_zone(self, data: st.DataObject) -> None:
        zone = data.draw(st.sampled_from(self.zones))
        self.zones.remove(zone)
        self.ring.remove_zone(zone)

    @rule(data=st.data(), size=st.integers(0, 3000), count=st.integers(1, 8), priority=st.integers(0, 3), new=st.booleans())
    def arrive(self, data: st.DataObject, size: int, count: int, priority: int, new: bool) -> None:
        zone = data.draw(st.sampled_from(self.zones))
        for _ in range(count):
            put(self.ring, zone.index, b"x" * size, (block(b"b" * size),) if new else (), priority)

    @rule(data=st.data())
    def arrive_broken_or_unwanted(self, data: st.DataObject) -> None:
        zone = data.draw(st.sampled_from(self.zones))
        zone.received += 2
        zone.refuse(accounting.MALFORMED)
        self.ring.skip(zone)

    @rule(name=st.sampled_from(["falco", "other", "tail"]))
    def connect(self, name: str) -> None:
        try:
            consumer = self.ring.attach(name, ephemeral=name == "tail")
        except Refused:
            assert self.ring.consumers[name].attached
        else:
            self.seen[name] = [consumer.acknowledged]

    @rule(name=st.sampled_from(["falco", "other", "tail"]))
    def disconnect(self, name: str) -> None:
        consumer = self.ring.consumers.get(name)
        if consumer is not None and consumer.attached:
            self.ring.detach(consumer, self.now)

    @rule(name=st.sampled_from(["falco", "other", "tail"]), count=st.integers(1, 20))
    def send(self, name: str, count: int) -> None:
        consumer = self.ring.consumers.get(name)
        if consumer is None or not consumer.attached:
            return
        for _ in range(count):
            one = take(consumer)
            if one is None:
                break
            assert one.seq > self.seen[name][-1], "out of order, or twice within one connection or the acknowledged range"
            assert int.from_bytes(one.item[:8], "little") == one.seq
            self.seen[name].append(one.seq)

    @rule(name=st.sampled_from(["falco", "other", "tail"]), back=st.integers(0, 5))
    def acknowledge(self, name: str, back: int) -> None:
        consumer = self.ring.consumers.get(name)
        if consumer is not None and consumer.attached:
            seen = self.seen[name]
            assert consumer.acknowledge(seen[max(0, len(seen) - 1 - back)])
            self.ring.move_up()

    @rule(size=st.integers(5_000, 30_000))
    def resize(self, size: int) -> None:
        """As a reload of the configuration does."""
        self.ring.resize(size)

    @rule(known=st.booleans())
    def restart(self, known: bool) -> None:
        """A planned restart: consumers, and all that they have not acknowledged, go on in a new ring, or the oldest is told as dropped."""
        old = self.ring
        for consumer in list(old.consumers.values()):
            if consumer.attached:
                old.detach(consumer, self.now)
        trimmed = handover.trim(old)
        assert old.verify() == []
        data, count = handover.dump(old, 5, 7)
        self.ring = Ring(old.budget, 5.0, first=1_000_000)
        if known:
            self.ring.declare("falco")
        assert handover.restore(self.ring, data, lambda fields: 7, 9, self.now)[0] == count
        assert self.ring.head == old.head and set(self.ring.consumers) == set(old.consumers) | ({"falco"} if known else set())
        for name, before in old.consumers.items():
            consumer = self.ring.consumers[name]
            kept, there = [one.seq for one in before.queue.waiting], [one.seq for one in consumer.queue.waiting]
            assert there == kept[len(kept) - len(there) :], "the newest, in order"
            lost = sum([share.dropped.get(accounting.RESTART, 0) for share in consumer.shares.values()])
            assert lost == len(kept) - len(there)
            assert (consumer.acknowledged, consumer.sent) == (before.acknowledged, before.sent)
        assert trimmed >= 0
        self.zones = [self.ring.add_zone("after", "")]

    @rule(seconds=st.floats(0.1, 4.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.ring.tick(self.now)

    @invariant()
    def adds_up(self) -> None:
        ring = self.ring
        assert ring.verify() == []
        fronts = [consumer for consumer in ring.consumers.values() if consumer.attached and not consumer.ephemeral]
        if not fronts:
            assert not ring.lined, "without anybody who is connected nobody waits for a number"
        if ring.lined:
            assert ring.lining
        if ring.lined_bytes:  # there may be nothing but what was refused
            assert any(ring.charged(consumer) <= consumer.budget for consumer in ring.consumers.values())


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4000), st.integers(0, 3)), max_size=300))
@settings(max_examples=60, deadline=None)
def test_the_budget_is_never_exceeded(arrivals: list[tuple[int, int, int]]) -> None:
    ring = Ring(budget=30_000)
    zones = [ring.add_zone(str(number), "") for number in range(4)]
    consumer = ring.declare("falco")
    for zone, size, priority in arrivals:
        put(ring, zones[zone].index, b"x" * size, priority=priority)
        assert consumer.bytes <= ring.budget
    assert ring.verify() == []


def flood(ring: Ring) -> None:
    while not ring.lining:
        put(ring, 1, b"x" * 100)


def flooded(budget: int = 64_000) -> tuple[Ring, Consumer]:
    """A ring with zones 1 and 2 and a connected consumer that has all in front of it that is numbered ahead."""
    ring = Ring(budget=budget)
    ring.add_zone("loud", "")
    ring.add_zone("quiet", "")
    consumer = ring.attach("falco")
    flood(ring)
    return ring, consumer


def test_a_quiet_zone_does_not_wait_behind_what_another_has_in_line() -> None:
    ring, consumer = flooded()
    ahead = len(consumer.queue.waiting)
    for _ in range(80):
        put(ring, 1, b"x" * 100)
    put(ring, 2, b"x" * 100)
    assert ring.lined == 81 and consumer.bytes < 2 * 64_000 // FRONT_PART
    seen = []
    while (one := take(consumer)) is not None:
        seen.append(one)
        consumer.acknowledge(one.seq)
        ring.move_up()
        assert ring.verify() == []
    assert [one.seq for one in seen] == list(range(1, ahead + 82)) == [int.from_bytes(one.item[:8], "little") for one in seen]
    (place,) = [place for place, one in enumerate(seen) if one.zone == 2]
    assert place <= ahead + QUANTUM // seen[0].size + 1
    assert (ring.lining, ring.lined) == (False, 0)


def test_what_is_lined_up_counts_as_held_and_is_shed_by_priority() -> None:
    """As it is where all is numbered: a zone of low priority stops at a third of the budget, one of high priority goes on."""
    ring, consumer = flooded()
    for _ in range(1000):
        put(ring, 1, b"x" * 100, priority=0)
    share = consumer.shares[1]
    assert 64_000 * 0.3 < ring.charged(consumer) < 64_000 / 3
    seen = [(ring.lined, ring.pressed)]
    put(ring, 1, b"x" * 100, priority=2)
    seen.append((ring.lined, ring.pressed))
    assert seen == [(seen[0][0], True), (seen[0][0] + 1, False)]
    assert ring.held(ring.zones[1]) == share.bytes + ring.lined_bytes
    assert ring.verify() == [] and not share.dropped, "what was refused has its place behind those in line"
    taken = work(ring, consumer)
    assert ring.lined == 0 and share.dropped[accounting.OVERLOAD] > 900
    assert [one.seq for one in taken[:-1]] == list(range(1, len(taken)))
    assert (taken[-1].priority, taken[-1].seq) == (2, len(taken) + share.dropped[accounting.OVERLOAD])
    assert ring.verify() == []


def test_what_one_consumer_refuses_when_it_gets_its_number_leaves_its_blocks_to_be_charged() -> None:
    """As where it is refused at once: nobody has been charged for the blocks in that consumer's queue."""
    ring, consumer = flooded()
    other = ring.attach("slow")
    ring.detach(other, 0.0)
    while not (lost := other.shares[1].lost()):
        put(ring, 1, b"x" * 100)
        work(ring, consumer)
    flood(ring)
    new = block(b"y" * 500)
    sizes = []
    for _ in range(2):
        ring.zones[1].received += 1
        one = record(ring, 1, blocks=(new,))
        ring.append(one)
        assert ring.lined == 1
        work(ring, consumer)
        flood(ring)
        sizes.append(one.size)
    assert other.shares[1].lost() > lost and sizes[0] == sizes[1] > 600
    assert ring.verify() == []


def test_what_is_too_large_is_not_lined_up() -> None:
    ring, consumer = flooded(budget=64 << 20)
    put(ring, 1, b"x" * (MAX_RECORD + 1))
    assert ring.lined == 0 and consumer.shares[1].dropped == {accounting.TOO_LARGE: 1}
    assert ring.verify() == []


def test_nobody_waits_for_a_number_when_the_consumer_goes_or_a_faster_one_comes() -> None:
    ring, consumer = flooded()
    put(ring, 1)
    ring.attach("fast")
    assert (ring.lining, ring.lined) == (False, 0), "it has nothing in front of it"
    flood(ring)
    put(ring, 1)
    ring.detach(ring.consumers["fast"], 0.0)
    assert ring.lined == 1, "the other is still there"
    ring.detach(consumer, 0.0)
    assert ring.lined == 0 and not ring.lining and ring.verify() == []


def test_a_consumer_that_is_stuck_is_not_waited_for() -> None:
    ring, consumer = flooded()
    put(ring, 1)
    ring.tick(100.0)
    for second in range(1, int(LINE_TIME)):
        ring.tick(100.0 + second)
        assert ring.lined == 1
        assert ring.lag(consumer, 100.0 + second) == second
    ring.tick(100.0 + LINE_TIME)
    seen = [(ring.lined, ring.lining)]
    last = consumer.queue.waiting[-1].seq
    put(ring, 1)
    seen.append((ring.lined, ring.lining))
    assert consumer.queue.waiting[-1].seq == last + 1
    first = take(consumer)
    assert first is not None and consumer.acknowledge(first.seq)
    ring.move_up()  # it works again
    put(ring, 1)
    seen.append((ring.lined, ring.lining))
    assert seen == [(0, False), (0, False), (0, True)]
    assert ring.verify() == []


def test_a_long_line_is_not_numbered_in_one_go() -> None:
    """When the only consumer goes, or is stuck: a part at once and with each tick, and the rest with what comes, in order."""
    ring, consumer = flooded(budget=64 << 20)
    count = 3 * MOVE
    for _ in range(count):
        put(ring, 1)
    assert ring.lined == count
    ring.detach(consumer, 0.0)
    assert (ring.lined, ring.lining) == (count - MOVE, True)
    ring.tick(1.0)
    assert ring.lined == count - 2 * MOVE
    came = 0
    while ring.lining:
        put(ring, came % 2 + 1)
        came += 1
        assert ring.lined == max(0, count - 2 * MOVE - (STEP - 1) * came)
    assert ring.verify() == []
    ring.attach("falco")
    times: dict[int, list[int]] = {1: [], 2: []}
    while (one := take(consumer)) is not None:
        times[one.zone].append(int.from_bytes(one.data[:8], "little"))
    assert len(times[2]) == came // 2 and len(times[1]) > count
    assert ring.verify() == []


def test_those_who_only_watch_have_nobody_lined_up() -> None:
    ring = Ring(budget=64_000)
    ring.add_zone("loud", "")
    tail = ring.attach("tail", ephemeral=True)
    for _ in range(200):
        put(ring, 1, b"x" * 100)
    assert not ring.lining and ring.lined == 0 and tail.dropped


def test_a_zone_that_goes_keeps_its_account_while_it_has_records_in_line() -> None:
    ring, consumer = flooded()
    put(ring, 1, b"x" * 100)
    ring.remove_zone(ring.zones[1])
    for number in range(MAX_GONE + 5):
        ring.remove_zone(ring.add_zone(f"gone{number}", ""))
    assert 1 in ring.zones and ring.verify() == []
    work(ring, consumer)
    ring.remove_zone(ring.zones[2])
    assert 1 not in ring.zones and ring.verify() == []
