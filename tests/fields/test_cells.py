"""Blocks as they are written and read again: docs/protocol.md, Blocks."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.fields.cells import MAX_SLOTS, Cells
from edera_falcod.fields.views import BlockView

NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1) | st.sampled_from([0, 1, -1, (1 << 60) - 1, 1 << 60, -(1 << 60), (1 << 63) - 1, 1 << 63])
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
CONTENT = NUMBERS | TEXTS | st.lists(TEXTS, max_size=4) | st.binary(max_size=20)


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
