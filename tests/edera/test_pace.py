"""edera/pace.py: how much of one zone is handed on at a time."""

from __future__ import annotations

import pytest

from edera_falcod.edera.pace import MAX_PACE, PORTION, SLICE, Pace

QUICK = SLICE / 8  # s


def test_what_takes_long_goes_in_smaller_pieces_and_in_larger_ones_again() -> None:
    pace = Pace()
    assert pace.next == MAX_PACE
    sizes = []
    for _ in range(8):
        pace.took(SLICE, 0)
        sizes.append(pace.next)
    assert sizes == [32, 16, 8, 4, 2, 1, 1, 1]
    pace.took(SLICE / 3, 0)  # neither long nor short
    assert pace.next == 1
    for _ in range(8):
        pace.took(QUICK, 0)
    assert pace.next == MAX_PACE


@pytest.mark.parametrize(("made", "after"), [(PORTION // 2, MAX_PACE), (PORTION // 2 + 1, MAX_PACE // 2)])
def test_what_becomes_much_goes_in_smaller_pieces(made: int, after: int) -> None:
    pace = Pace()
    pace.took(QUICK, made)
    assert pace.next == after


@pytest.mark.parametrize(("made", "after"), [(PORTION // 4 - 1, 2), (PORTION // 4, 1)])
def test_and_in_larger_ones_when_it_becomes_less(made: int, after: int) -> None:
    pace = Pace()
    for _ in range(8):
        pace.took(SLICE, 0)
    pace.took(QUICK, made)
    assert pace.next == after


def test_a_portion_ends_with_what_goes_beyond_it_and_the_next_begins_with_nothing() -> None:
    pace = Pace()
    half = PORTION // 2
    assert [pace.took(QUICK, made) for made in (half, half, 1, half, half, 24)] == [False, False, True, False, False, True]
