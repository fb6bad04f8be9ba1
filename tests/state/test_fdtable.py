"""Tables of open files: shared after a fork until one side changes, and bounded."""

from __future__ import annotations

import pytest

from edera_falcod.fields.slots import KIND_FILES
from edera_falcod.scap.tables import SCAP_FD_DIRECTORY, SCAP_FD_FIFO, SCAP_FD_FILE_V2
from edera_falcod.state import fdtable
from edera_falcod.state.block import Block
from edera_falcod.state.fd import Fd
from edera_falcod.state.fdtable import LOW, MAX_FDS, FdBudget, FdTable, kind_byte
from edera_falcod.state.limits import Counters


def table() -> FdTable:
    return FdTable(FdBudget(Counters()))


def named(name: bytes, kind: int = SCAP_FD_FILE_V2) -> Fd:
    fd = Fd(kind)
    fd.name = name
    return fd


def test_a_fork_shares_until_either_side_changes() -> None:
    parent = table()
    for number in range(5):
        assert parent.add(number, named(b"f%d" % number))
    child = parent.fork()
    assert child.fds is parent.fds
    assert parent.budget.entries == 5

    child.remove(3)
    assert 3 in parent.fds and 3 not in child.fds
    assert child.find(4) is parent.find(4)  # entries are shared still
    assert parent.budget.entries == 9


def test_changing_a_shared_entry_does_not_show_on_the_other_side() -> None:
    parent = table()
    parent.add(3, named(b"before"))
    child = parent.fork()
    grandchild = child.fork()

    mine = child.writable(3)
    assert mine is not None
    mine.name = b"child"
    theirs = parent.writable(3)
    assert theirs is not None
    theirs.name = b"parent"
    last = grandchild.find(3)
    assert last is not None and last.name == b"before"
    for owner, name in ((parent, b"parent"), (child, b"child"), (grandchild, b"before")):
        found = owner.find(3)
        assert found is not None and found.name == name


def test_an_own_entry_is_changed_in_place() -> None:
    files = table()
    fd = named(b"x")
    files.add(3, fd)
    assert files.writable(3) is fd
    child = files.fork()
    assert files.writable(3) is not fd  # the child may still look at it
    child.clear()
    again = files.writable(3)
    assert files.writable(3) is again


def test_an_entry_made_before_a_fork_and_detachment_is_nobodys() -> None:
    """The fork detaches first, then the parent changes: its generation has to be new, or the child would see the change."""
    parent = table()
    parent.add(3, named(b"x"))
    child = parent.fork()
    child.add(4, named(b"y"))  # the child has a map of its own now, with the parent's entry in it
    mine = parent.writable(3)
    assert mine is not None
    mine.name = b"changed"
    seen = child.find(3)
    assert seen is not None and seen.name == b"x"


def test_block_is_forgotten_when_files_look_different_from_afar() -> None:
    files = table()
    block = Block(1, KIND_FILES, b"", ())

    def forgotten() -> bool:
        gone = files.block is None
        files.block = block
        return gone

    files.add(3, named(b"x"))
    assert forgotten() and files.low[3] == kind_byte(SCAP_FD_FILE_V2)  # the first file
    files.add(LOW, named(b"y"))
    assert not forgotten()  # one more file
    files.add(4, named(b"y"))
    assert forgotten()  # one more file, with a low number
    files.add(4, named(b"z"))
    assert not forgotten()
    files.add(1, named(b"stdout"))
    assert forgotten() and files.streams is None
    files.add(1, named(b"stdout"))
    assert forgotten()  # its name may be another
    files.add(LOW, named(b"d", SCAP_FD_DIRECTORY))
    assert forgotten() and files.kinds == {SCAP_FD_FILE_V2: 3, SCAP_FD_DIRECTORY: 1}
    assert files.mask == 1 << kind_byte(SCAP_FD_FILE_V2) | 1 << kind_byte(SCAP_FD_DIRECTORY)
    fd = files.writable(LOW)
    assert fd is not None and not forgotten()
    fd.kind = SCAP_FD_FIFO
    files.changed(LOW, SCAP_FD_DIRECTORY)
    assert forgotten() and files.kinds == {SCAP_FD_FILE_V2: 3, SCAP_FD_FIFO: 1}
    assert files.mask == 1 << kind_byte(SCAP_FD_FILE_V2) | 1 << kind_byte(SCAP_FD_FIFO)
    assert files.fork().block is block
    files.remove(LOW)
    assert forgotten() and files.mask == 1 << kind_byte(SCAP_FD_FILE_V2)
    files.remove(4)
    assert forgotten()
    assert files.kinds == {SCAP_FD_FILE_V2: 2}
    files.remove(4)  # once more: nothing
    assert not forgotten() and files.kinds == {SCAP_FD_FILE_V2: 2}
    files.clear()
    assert forgotten() and files.mask == 0


def test_two_unknown_kinds_look_alike() -> None:
    files = table()
    files.add(40, named(b"x", 99))
    files.add(41, named(b"y", 100))
    files.remove(40)
    assert files.mask == 1 << kind_byte(99) == 1 << kind_byte(100)
    files.remove(41)
    assert files.mask == 0


def test_writable_forgets_the_block() -> None:
    files = table()
    fd = named(b"x")
    fd.arg_text = b"<f>x"
    files.add(3, fd)
    files.fork()
    mine = files.writable(3)
    assert mine is not None and mine.arg_text is None
    assert fd.arg_text == b"<f>x"


def test_a_process_has_at_most_4096_files() -> None:
    files = table()
    for number in range(MAX_FDS):
        assert files.add(number, named(b""))
    assert not files.add(MAX_FDS, named(b"one more"))
    assert files.add(5, named(b"again"))  # a number that is there is replaced
    assert len(files) == MAX_FDS
    assert files.budget.counters.fds_refused == 1
    files.remove(0)
    assert files.add(MAX_FDS, named(b"now"))


def test_a_zone_has_a_budget_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    if not fdtable.__file__.endswith(".py"):
        pytest.skip("constants are compiled in")
    monkeypatch.setattr(fdtable, "MAX_ZONE_FDS", 10)
    one = table()
    other = FdTable(one.budget)
    for number in range(6):
        assert one.add(number, named(b""))
    for number in range(4):
        assert other.add(number, named(b""))
    assert not other.add(9, named(b""))
    assert one.budget.counters.fds_refused == 1
    # A copy that a fork leads to is refused too: the child starts with what it opens itself
    child = one.fork()
    one.remove(5)
    assert len(one) == 0 and len(child) == 6
    assert one.budget.entries == 10
    assert one.budget.counters.fds_refused == 7
    child.clear()
    assert one.budget.entries == 4
    assert one.add(1, named(b"")) and one.kinds == {SCAP_FD_FILE_V2: 1}


def test_numbers_may_be_negative() -> None:
    files = table()
    assert files.add(-22, named(b"", -1))
    assert len(files) == 1


def test_files_are_counted_until_the_last_that_shares_them_is_gone() -> None:
    parent = table()
    parent.add(3, named(b"x"))
    child = parent.fork()
    child.clear()
    assert parent.budget.entries == 1 and len(child) == 0 and len(parent) == 1
    parent.clear()
    assert parent.budget.entries == 0


def test_numbers_that_are_not_there() -> None:
    files = table()
    files.add(2000, named(b"far"))
    assert files.writable(7) is None and files.find(7) is None
    files.block = block = Block(1, KIND_FILES, b"", ())
    files.changed(7, SCAP_FD_FIFO)
    assert files.block is block and files.kinds == {SCAP_FD_FILE_V2: 1}
    far = files.writable(2000)
    assert far is not None
    files.changed(2000, far.kind)
    assert files.block is block, "nothing that a record shows"
    files.remove(2000)
    assert len(files) == 0


def test_a_changed_standard_stream_looks_different() -> None:
    files = table()
    files.add(1, named(b"out"))
    files.block = Block(1, KIND_FILES, b"", ())
    fd = files.writable(1)
    assert fd is not None
    files.changed(1, fd.kind)
    assert files.block is None


def test_a_shared_table_without_budget_is_lost_by_whoever_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    if not fdtable.__file__.endswith(".py"):
        pytest.skip("constants are compiled in")
    parent = table()
    parent.add(3, named(b"x"))
    monkeypatch.setattr(fdtable, "MAX_ZONE_FDS", 1)
    for writes in (True, False):
        child = parent.fork()
        if writes:
            assert child.writable(3) is None
        else:
            child.remove(3)
        assert len(child) == 0 and len(parent) == 1 and child.kinds == {} and parent.budget.counters.fds_refused > 0
