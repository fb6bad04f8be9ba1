"""Blocks as they are written and read again: docs/protocol.md, Blocks."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edera_falcod.fields import cells as module
from edera_falcod.fields import slots
from edera_falcod.fields.cells import MAX_SLOTS, Cells
from edera_falcod.fields.views import BlockView

NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1) | st.sampled_from([0, 1, -1, (1 << 60) - 1, 1 << 60, -(1 << 60), (1 << 63) - 1, 1 << 63])
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
CONTENT = NUMBERS | TEXTS | st.lists(TEXTS, max_size=4) | st.binary(max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.integers(0, MAX_SLOTS - 1), CONTENT, max_size=MAX_SLOTS), max_size=3))
def test_what_is_written_is_read(blocks: list[dict[int, int | str | list[str] | bytes]]) -> None:
    cells = Cells()
    for block in blocks:
        cells.start()
        for slot, content in block.items():
            if isinstance(content, int):
                cells.number(slot, content)
            elif isinstance(content, str):
                cells.text(slot, content.encode())
            elif isinstance(content, bytes):
                cells.raw(slot, content)
            else:
                cells.strings(slot, [item.encode() for item in content])
        view = BlockView(cells.finish())
        for slot in range(MAX_SLOTS + 64):
            if slot not in block:
                assert view.cell(slot) is None and view.bytes(slot) is None
                continue
            content = block[slot]
            if isinstance(content, int):
                assert view.cell(slot) == content % (1 << 64)
            elif isinstance(content, str):
                assert view.text(slot) == content
            elif isinstance(content, bytes):
                assert view.bytes(slot) == content
            else:
                assert view.strings(slot) == content


@pytest.fixture(params=[False, True], ids=["interpreted", "as compiled"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells lie elsewhere where loops are compiled; the bytes are the same. (The compiled core has one way, whatever is set.)"""
    monkeypatch.setattr(module, "COMPILED", request.param)


@pytest.mark.parametrize("slot", [0, 1, 15, 16, 31, 32, 47, 48, 63, 64, 95, 96, 127])
def test_every_piece_of_the_presence_words(slot: int) -> None:
    cells = Cells()
    for _ in range(2):
        cells.start()
        cells.number(slot, 7)
        other = 127 - slot
        cells.text(other, b"text")
        view = BlockView(cells.finish())
        assert view.cell(slot) == 7 and view.text(other) == "text"
        assert [place for place in range(MAX_SLOTS + 64) if view.cell(place) is not None] == sorted([slot, other])


@pytest.mark.parametrize("value", [0, 1, -1, (1 << 60) - 1, 1 << 60, -(1 << 60), (1 << 63) - 1, 1 << 63, -(1 << 63), (1 << 64) - 1])
def test_numbers_are_twos_complement(value: int) -> None:
    cells = Cells()
    cells.start()
    cells.number(3, value)
    if -(1 << 63) <= value < 1 << 63:
        cells.native(4, value)
    cells.hot(9, (1 << 32) - 1, 1, 2, value, value, 5, 6, 7, 8)
    view = BlockView(cells.finish())
    assert view.cell(3) == value % (1 << 64) and view.cell(slots.LINEAGE) == 9
    assert view.cell(4) == (value % (1 << 64) if value < 1 << 63 else None)
    hot = [view.cell(slot) for slot in range(slots.PROC_VMSIZE, slots.PROC_FDUSAGE + 1)]
    assert hot == [(1 << 32) - 1, 1, 2, value % (1 << 64), value % (1 << 64), 5, 6, 7, 8]


def test_an_empty_block() -> None:
    assert Cells().finish() == struct.pack("<IQ", 1, 0)


def test_layout_is_the_protocols() -> None:
    """The bytes themselves, for those who read them in another language."""
    cells = Cells()
    cells.text(33, b"hi")
    cells.number(2, -1)
    cells.raw(40, b"\x7f\0\0\1")
    head = 4 + 8 + 3 * 8
    want = struct.pack("<IQqIIII", 1, 1 << 2 | 1 << 33 | 1 << 40, -1, head, 2, head + 3, 4) + b"hi\0" + b"\x7f\0\0\1"
    assert cells.finish() == want


def test_second_presence_word_only_where_it_is_needed() -> None:
    cells = Cells()
    cells.number(63, 1)
    assert cells.finish()[:12] == struct.pack("<IQ", 1, 1 << 63)
    cells.number(64, 2)
    assert cells.finish() == struct.pack("<IQQQQ", 2, 1 << 63, 1, 1, 2)


def test_slices_share_the_heap() -> None:
    cells = Cells()
    at = cells.text(1, b"/etc/passwd")
    cells.slice(2, at + 5, 6)
    view = BlockView(cells.finish())
    assert view.text(1) == "/etc/passwd" and view.text(2) == "passwd"
    assert view.data.count(b"passwd") == 1


def test_a_slot_written_twice_leaves_a_block_that_reads() -> None:
    cells = Cells()
    cells.number(3, 1)
    cells.number(3, 2)
    cells.number(4, 5)
    view = BlockView(cells.finish())
    assert view.cell(3) == 2 and view.cell(4) == 5


def test_empty_list_is_a_value() -> None:
    cells = Cells()
    cells.strings(0, [])
    view = BlockView(cells.finish())
    assert view.strings(0) == [] and view.strings(1) is None


def test_a_single_cell() -> None:
    cells = Cells()
    cells.text(5, b"x")
    assert BlockView(cells.finish()).text(5) == "x"


def test_shapes_that_are_remembered_are_bounded() -> None:
    """A zone decides in which order the cells of its control groups are written."""
    cells = Cells()
    for number in range(module.MAX_SHAPES + 10):
        cells.start()
        low, high = number % 48, number // 48
        for slot in (low, 50 + high, 100):
            cells.number(slot, slot)
        assert BlockView(cells.finish()).cell(50 + high) == 50 + high
    assert len(module._shapes) <= module.MAX_SHAPES
