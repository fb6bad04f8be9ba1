"""The open files of one process, shared between a parent and its child until either opens, closes or changes one."""

from __future__ import annotations

from typing import Final, final

from ..scap.tables import SCAP_FD_PIDFD
from .block import Block
from .fd import Fd
from .limits import MAX_FDS, MAX_ZONE_FDS, Counters

__all__ = ["MAX_FDS", "FdBudget", "FdMap", "FdTable", "kind_byte"]

LOW: Final = 32  # numbers below are kept by kind beside the entries: rules ask for the types of standard streams and their like


def kind_byte(kind: int) -> int:
    """A ``scap_fd_type`` as a byte above 0; unknown ones are all alike."""
    return kind + 1 if 0 <= kind <= SCAP_FD_PIDFD else 1


@final
class FdBudget:
    """How many entries all maps of a zone hold together, and where refusals are counted."""

    __slots__ = ("entries", "counters")

    def __init__(self, counters: Counters) -> None:
        self.entries = 0
        self.counters = counters


@final
class FdMap:
    """fd number -> Fd, for one table or several after a fork. ``users``: how many tables hold it.

    ``generation``: the Fds whose ``owner`` it is are in no other map, so they may be changed in place. A fork that leads to two
    maps gives both a new generation.
    """

    __slots__ = ("fds", "users", "generation")

    def __init__(self, fds: dict[int, Fd]) -> None:
        self.fds = fds
        self.users = 1
        self.generation = object()


@final
class Look:
    """What a table looks like from afar (``FdTable``), and the block that says it. Shared by all tables that look like this."""

    __slots__ = ("block", "low", "mask", "streams")

    def __init__(self, low: bytes, mask: int, streams: tuple[bytes, bytes, bytes], block: Block) -> None:
        self.low = low
        self.mask = mask
        self.streams = streams
        self.block = block


@final
class FdTable:
    """Bounded. What a process's files look like from afar: ``low``, what kinds of files the numbers below ``LOW`` are, as ``kind_byte``
    says, 0 for none; ``mask``, which of these bytes there are among all, a bit each; ``streams``, the names of fd 0 to 2, None where
    these have to be asked for. ``block``: the fields room's cache of these three, None when one of them has changed; ``look``: of
    what it was made last, ``before``: what it was before that, which it often is again: a file is opened and closed.

    Numbers may be negative: libsinsp keeps what a failed memfd_create or pidfd_getfd returned (parsers.cpp), counts it, and
    never finds it again.
    """

    __slots__ = ("map", "kinds", "mask", "low", "streams", "block", "look", "before", "budget")

    def __init__(self, budget: FdBudget) -> None:
        self.map = FdMap({})
        self.kinds: dict[int, int] = {}  # kind -> how many entries
        self.mask = 0
        self.low = bytearray(LOW)
        self.streams: tuple[bytes, bytes, bytes] | None = None
        self.block: Block | None = None
        self.look: Look | None = None
        self.before: Look | None = None
        self.budget = budget

    @property
    def fds(self) -> dict[int, Fd]:
        """To read only: the entries may be another table's too."""
        return self.map.fds

    def __len__(self) -> int:
        return len(self.map.fds)

    def find(self, number: int) -> Fd | None:
        return self.map.fds.get(number)

    def add(self, number: int, fd: Fd) -> bool:
        """Put ``fd``, which must be in no table, in place of whatever had the number; False when there is no room for a new one."""
        own = self._own()
        old = own.fds.get(number)
        if old is None:
            if len(own.fds) >= MAX_FDS or self.budget.entries >= MAX_ZONE_FDS:
                self.budget.counters.fds_refused += 1
                return False
            self.budget.entries += 1
            self._note_kind(fd.kind)
        elif old.kind != fd.kind:
            self._forget_kind(old.kind)
            self._note_kind(fd.kind)
        fd.owner = own.generation
        own.fds[number] = fd
        if 0 <= number < LOW:
            self._set_low(number, kind_byte(fd.kind))
        return True

    def remove(self, number: int) -> None:
        if number not in self.map.fds:
            return
        fd = self._own().fds.pop(number, None)
        if fd is None:
            return
        self.budget.entries -= 1
        self._forget_kind(fd.kind)
        if 0 <= number < LOW:
            self._set_low(number, 0)

    def writable(self, number: int) -> Fd | None:
        """The entry, made this table's own and marked as changed; call ``changed`` afterwards with the kind it had."""
        if number not in self.map.fds:
            return None
        own = self._own()
        fd = own.fds.get(number)
        if fd is None:
            return None
        if fd.owner is not own.generation:
            fd = fd.clone()
            fd.owner = own.generation
            own.fds[number] = fd
        fd.touch()
        return fd

    def changed(self, number: int, kind_before: int) -> None:
        """An entry that ``writable`` gave has been changed."""
        fd = self.map.fds.get(number)
        if fd is None:
            return
        if fd.kind != kind_before:
            self._forget_kind(kind_before)
            self._note_kind(fd.kind)
        if 0 <= number < LOW:
            self._set_low(number, kind_byte(fd.kind))

    def fork(self) -> FdTable:
        """A table with the same entries; nothing is copied until one of the two changes. libsinsp marks the copies IS_CLONED, which nothing
        reads; shared entries cannot carry it."""
        other = FdTable(self.budget)
        other.map = self.map
        self.map.users += 1
        other.kinds = dict(self.kinds)
        other.mask = self.mask
        other.low = bytearray(self.low)
        other.streams = self.streams
        other.block = self.block
        other.look = self.look
        other.before = self.before
        return other

    def clear(self) -> None:
        """Let go of everything, as when the process is gone."""
        self._release()
        self.map = FdMap({})
        self._empty()

    def _release(self) -> None:
        self.map.users -= 1
        if self.map.users == 0:
            self.budget.entries -= len(self.map.fds)

    def _own(self) -> FdMap:
        """The map, made this table's alone."""
        shared = self.map
        if shared.users == 1:
            return shared
        # Entries that both maps now hold belong to neither: nobody may change them in place.
        shared.users -= 1
        shared.generation = object()
        if self.budget.entries + len(shared.fds) > MAX_ZONE_FDS:
            self.budget.counters.fds_refused += len(shared.fds)
            own = FdMap({})
            self._empty()
        else:
            own = FdMap(shared.fds.copy())
            self.budget.entries += len(own.fds)
        self.map = own
        return own

    def _empty(self) -> None:
        self.kinds = {}
        self.mask = 0
        self.low = bytearray(LOW)
        self.streams = None
        self.block = None
        self.look = None
        self.before = None

    def _set_low(self, number: int, kind: int) -> None:
        if self.low[number] != kind:
            self.low[number] = kind
            self.block = None
        if number <= 2:
            self.streams = None
            self.block = None

    def _note_kind(self, kind: int) -> None:
        count = self.kinds.get(kind, 0)
        self.kinds[kind] = count + 1
        if count == 0:
            self.mask |= 1 << kind_byte(kind)
            self.block = None

    def _forget_kind(self, kind: int) -> None:
        count = self.kinds.get(kind, 0)
        if count > 1:
            self.kinds[kind] = count - 1
            return
        self.kinds.pop(kind, None)
        mask = 0
        for left in self.kinds:  # two unknown kinds have the same byte
            mask |= 1 << kind_byte(left)
        self.mask = mask
        self.block = None
