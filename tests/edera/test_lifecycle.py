"""The table of a zone's life: complete, without dead ends, and never silent about a loss."""

from __future__ import annotations

from itertools import product

import pytest

from edera_falcod.edera.lifecycle import FAULTS, GAPS, IGNORED, TRANSITIONS, Action, Event, State, step

# Events that need an open stream, and so cannot come in states without one, and the reverse.
OF_STREAMS = {
    Event.SNAPSHOT, Event.SNAPSHOT_LATE, Event.CPU_HOTPLUG, Event.MALFORMED, Event.UNREADABLE, Event.STREAM_ENDED, Event.STREAM_LOST,
}  # fmt: skip
WITHOUT_STREAM = {State.DISCOVERED, State.OPENING, State.BACKOFF, State.QUARANTINED, State.GONE}
OPENS = {State.OPENING, State.RESEEDING}
WAITS = {State.BACKOFF, State.QUARANTINED}


def possible(state: State, event: Event) -> bool:
    if state is State.GONE:
        return False
    if event is Event.START:
        return state is State.DISCOVERED
    if event in OF_STREAMS:
        return state not in WITHOUT_STREAM
    if event in (Event.OPENED, Event.OPEN_FAILED):
        return state in OPENS
    if event is Event.TIME_IS_UP:
        return state in WAITS
    if event is Event.TOO_MANY_FAULTS:  # follows a fault, which leads to these two
        return state in (State.BACKOFF, State.RESEEDING)
    if event is Event.LOSS:  # found while reading
        return state not in WITHOUT_STREAM
    return True


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_the_table_holds_what_can_happen_and_nothing_else(state: State, event: Event) -> None:
    assert ((state, event) in TRANSITIONS or (state, event) in IGNORED) == possible(state, event)
    assert not ((state, event) in TRANSITIONS and (state, event) in IGNORED)
    if possible(state, event):
        step(state, event)
    else:
        with pytest.raises(KeyError):
            step(state, event)


@pytest.mark.parametrize("start", [state for state in State if state is not State.GONE])
@pytest.mark.parametrize("end", [State.LIVE, State.GONE])
def test_no_dead_ends(start: State, end: State) -> None:
    reached = {start}
    while True:
        more = {after for (before, _), (after, _) in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert end in reached


def test_every_fault_leads_to_a_new_stream_and_can_lead_to_quarantine() -> None:
    for (_, event), (after, action) in TRANSITIONS.items():
        if event in FAULTS:
            assert action in (Action.STOP_AND_REOPEN, Action.WAIT_AND_RETRY)
            assert TRANSITIONS[after, Event.TOO_MANY_FAULTS] == (State.QUARANTINED, Action.WAIT_IN_QUARANTINE)


def test_what_ends_certainty_is_told_as_a_gap_and_followed_by_a_new_snapshot() -> None:
    for row, (after, _) in TRANSITIONS.items():
        before, event = row
        ends_a_stream = before not in WITHOUT_STREAM and after in (State.RESEEDING, State.BACKOFF)
        assert (row in GAPS) == (ends_a_stream and event not in (Event.OPENED, Event.OPEN_FAILED)), row
    assert {row for row in TRANSITIONS if row[1] in FAULTS} <= GAPS
    assert (State.LIVE, Event.RESYNC) in GAPS, "between its end and the next one's beginning nobody listens, whoever wanted it"


def test_only_a_snapshot_makes_a_zone_live() -> None:
    assert {event for (_, event), (after, _) in TRANSITIONS.items() if after is State.LIVE} == {Event.SNAPSHOT}


def test_hotplug_in_any_state_with_a_stream_brings_a_new_snapshot() -> None:
    for state in (State.SEEDING, State.LIVE, State.RESEEDING):
        assert step(state, Event.CPU_HOTPLUG) == (State.RESEEDING, Action.STOP_AND_REOPEN)


def test_the_states_have_the_names_that_people_know() -> None:
    assert [state.value for state in State] == [
        "discovered", "opening", "seeding", "live", "reseeding", "backoff", "quarantined", "gone",
    ]  # fmt: skip
