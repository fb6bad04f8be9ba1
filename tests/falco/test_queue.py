"""The queue against two plain deques."""

from __future__ import annotations

import sys
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edera_falcod._pure import compiled
from edera_falcod.falco.queue import SLACK, Queue
from edera_falcod.fields.record import Record


def made(seq: int) -> Record:
    return Record(seq, 1, b"", (), 0, 0)


class AsTwo(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
        self.unacknowledged: deque[Record] = deque()
        self.waiting: deque[Record] = deque()
        self.seq = 0

    @rule(count=st.integers(1, 700))
    def append(self, count: int) -> None:
        for _ in range(count):
            self.seq += 1
            record = made(self.seq)
            self.queue.append(record)
            self.waiting.append(record)

    @rule(count=st.integers(1, 900))
    def send(self, count: int) -> None:
        count = min(count, len(self.waiting))
        sent = [self.waiting.popleft() for _ in range(count)]
        assert self.queue.ready(count) == sent
        assert self.queue.send(count) == sent
        self.unacknowledged.extend(sent)

    @rule(count=st.integers(1, 900))
    def acknowledge(self, count: int) -> None:
        done = [self.unacknowledged.popleft() for _ in range(min(count, len(self.unacknowledged)))]
        assert self.queue.acknowledge(done[-1].seq if done else 0) == done

    @rule()
    def rewind(self) -> None:
        assert self.queue.rewind() == list(self.unacknowledged)
        self.waiting.extendleft(reversed(self.unacknowledged))
        self.unacknowledged.clear()

    @rule(count=st.integers(0, 900))
    def drop(self, count: int) -> None:
        count = min(count, len(self.waiting))
        self.queue.drop(count)
        for _ in range(count):
            self.waiting.popleft()

    @invariant()
    def the_same(self) -> None:
        queue = self.queue
        assert queue.unacknowledged == list(self.unacknowledged)
        assert queue.waiting == list(self.waiting)
        assert queue.waits == len(self.waiting)
        assert queue.oldest() is (self.unacknowledged[0] if self.unacknowledged else None)
        for place in (0, 1, 5):
            assert queue.next(place) is (self.waiting[place] if place < len(self.waiting) else None)


TestAsTwo = AsTwo.TestCase
TestAsTwo.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_is_done_is_let_go_at_once() -> None:
    queue = Queue()
    data = b"held by its record"
    for seq in range(3):
        queue.append(Record(seq, 1, data, (), 0, 0))
        queue.send(1)
    held = sys.getrefcount(data)
    for done in range(1, 4):
        queue.acknowledge(done - 1)
        assert sys.getrefcount(data) == held - done
    assert not queue.waits and queue.oldest() is None


@pytest.mark.skipif(compiled(), reason="the list is out of sight there")
def test_places_of_what_is_done_do_not_pile_up() -> None:
    queue = Queue()
    for seq in range(20 * SLACK):
        queue.append(made(seq))
        queue.send(1)
        queue.acknowledge(seq)
        assert len(queue._records) <= SLACK
