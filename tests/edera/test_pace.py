"""edera/pace.py: how much of one zone is handed on at a time."""

from __future__ import annotations

import pytest

from edera_falcod.edera.pace import HEAVY, MAX_PACE, PORTION, SLICE, Pace

QUICK = SLICE / 8  # s


def test_what_takes_long_goes_in_smaller_pieces_and_in_larger_ones_again() -> None:
    pace = Pace()
    assert pace.next == MAX_PACE
    sizes = []
    for _ in range(8):
        pace.took(pace.next, SLICE, 0)
        sizes.append(pace.next)
    assert sizes == [32, 16, 8, 4, 2, 1, 1, 1]
    pace.took(1, SLICE / 3, 0)  # neither long nor short
    assert pace.next == 1
    for _ in range(8):
        pace.took(pace.next, QUICK, 0)
    assert pace.next == MAX_PACE


@pytest.mark.parametrize(("made", "after"), [(PORTION // 2, MAX_PACE), (PORTION // 2 + 1, MAX_PACE // 2)])
def test_what_becomes_much_goes_in_smaller_pieces(made: int, after: int) -> None:
    pace = Pace()
    pace.took(MAX_PACE, QUICK, made)
    assert pace.next == after


@pytest.mark.parametrize(("made", "after"), [(PORTION // 4 - 1, 2), (PORTION // 4, 1)])
def test_and_in_larger_ones_when_it_becomes_less(made: int, after: int) -> None:
    pace = Pace()
    for _ in range(8):
        pace.took(1, SLICE, 0)
    pace.took(1, QUICK, made)
    assert pace.next == after


def test_a_portion_ends_with_what_goes_beyond_it_and_the_next_begins_with_nothing() -> None:
    pace = Pace()
    half = PORTION // 2
    assert [pace.took(8, QUICK, made) for made in (half, half, 1, half, half, 24)] == [0, 0, (PORTION + 1) // 24, 0, 0, PORTION // 24 + 1]


def test_no_event_and_yet_bytes() -> None:
    """A consumer whose buffer shrank and grew meanwhile: nothing is divided by zero."""
    assert Pace().took(0, QUICK, PORTION + 1) == PORTION + 1


def test_ordinary_events_are_not_heavy_and_large_ones_are() -> None:
    def average(size: int) -> int:
        pace = Pace()
        while not (found := pace.took(4, QUICK, 4 * size)):
            pass
        return found

    assert average(1700) <= HEAVY < average(90_000)
    assert average(HEAVY) == HEAVY
