"""Interpreted: events that are, but for their time, their thread and its numbers, what one before them was. Six of ten are.

What a record says of an event follows from few things: its parameters, the file it is about, where its process stands. Where these are
the same as once before, so are all cells but a dozen, and the record is made by one call of struct. (Compiled, looking a record up costs
what making it does.) Left out are event types that look at more than that, and those that say something new each time.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from ..scap import tables
from ..state.preparation import EXIT, PREPARATION
from . import evtargs, slots

MAX_REPEATS: Final = 8192  # records remembered that came twice at least, of all zones: 10 MB
MAX_ONCE: Final = 8192  # and of those that came once: 8 MB
LONGEST: Final = 768  # bytes of a record, and of what it was made of; nearly all have less, and what is longer hardly comes again

# Code, number and block of the file, whether its name is new, the working directory if that matters, and the parameters
Key = tuple[int, int, int, bool, bytes, tuple[bytes, ...]]

# What a parameter of these kinds prints follows from its bytes, the event's file and the working directory
_PLAIN: Final = frozenset((
    evtargs.K_NUMBER, evtargs.K_ERRNO, evtargs.K_FD, evtargs.K_FLAGS, evtargs.K_ENUM, evtargs.K_BYTES, evtargs.K_STRING, evtargs.K_PATH,
    evtargs.K_MODE, evtargs.K_SIGNAL, evtargs.K_SYSCALL, evtargs.K_SIGSET, evtargs.K_SOCKADDR, evtargs.K_OTHER,
))  # fmt: skip

_HEAD: Final = 64  # bytes: time, thread and the ids of blocks
_CELLS: Final = _HEAD + 4 + 8  # where the cells begin, behind a presence word and that there is one
_HOT: Final = 1 << slots.LINEAGE | 1 << slots.EVT_CPU | 1 << slots.EVT_DELTATIME | 0x1FF << slots.PROC_VMSIZE  # what is always made anew
_LAST: Final = slots.FD_TYPECHAR_EVENT  # of the others: behind it is what changes with the thread


@final
class RepeatPlan:
    """An event type whose events may be remembered. ``fds``: indexes of the parameters that are numbers of files, and ``paths``,
    of those that may be paths, which may begin at the working directory."""

    __slots__ = ("fds", "paths")

    def __init__(self, code: int) -> None:
        plans = evtargs.PLANS[code]
        self.fds: list[int] = [index for index, plan in enumerate(plans) if plan.kind == evtargs.K_FD]
        self.paths: list[int] = [index for index, plan in enumerate(plans) if plan.kind in (evtargs.K_PATH, evtargs.K_STRING)]


def _plans() -> list[RepeatPlan | None]:
    plans: list[RepeatPlan | None] = []
    for code, info in enumerate(tables.EVENTS):
        params = evtargs.PLANS[code]
        plain = PREPARATION[code] == EXIT and all(plan.kind in _PLAIN for plan in params)
        # What is written is hardly ever the same, nor is where memory lies
        new = info.flags & tables.EF_WRITES_TO_FD != 0 or any(param.name == b"addr" for param in info.params)
        plans.append(RepeatPlan(code) if plain and not new else None)
    return plans


# By event code; None: none of them is remembered
PLANS: Final[list[RepeatPlan | None]] = _plans()


def _place(presence: int, slot: int) -> int:
    """Where a record with these cells has this one."""
    return _CELLS + 8 * (presence & (1 << slot) - 1).bit_count()


@final
class Form:
    """How records with the same cells are put together. ``pack`` takes the eight numbers of the head, the bytes up to LINEAGE, this,
    EVT_ARGS, EVT_CPU, the bytes up to EVT_DELTATIME, this, the bytes up to PROC_VMSIZE, and the nine numbers from this on. The others are
    the places of these cells in a record, and of what follows them."""

    __slots__ = ("args", "cpu", "delta", "lineage", "pack", "rest", "vmsize")

    def __init__(self, presence: int) -> None:
        self.lineage = _place(presence, slots.LINEAGE)
        self.args = _place(presence, slots.EVT_ARGS)
        self.cpu = _place(presence, slots.EVT_CPU)
        self.delta = _place(presence, slots.EVT_DELTATIME)
        self.vmsize = _place(presence, slots.PROC_VMSIZE)
        self.rest = _place(presence, slots.PROC_VMSIZE + 9)
        sizes = self.lineage - _HEAD, self.delta - self.cpu - 8, self.vmsize - self.delta - 8
        self.pack = Struct("<8q{}s3q{}sq{}s9q".format(*sizes)).pack


@final
class Repeat:
    """A record as it was made. ``front``, ``args``, ``result``, ``file``: what stands before and between what is made anew (Form);
    ``rest``: what follows."""

    __slots__ = ("args", "file", "front", "pack", "rest", "result")

    def __init__(self, form: Form, data: bytes) -> None:
        self.pack = form.pack
        self.front = data[_HEAD : form.lineage]
        self.args = int.from_bytes(data[form.args : form.cpu], "little")
        self.result = data[form.cpu + 8 : form.delta]
        self.file = data[form.delta + 8 : form.vmsize]
        self.rest = data[form.rest :]


_forms: Final[dict[int, Form]] = {}  # by presence word; a few dozen
REPEATS: Final[dict[Key, Repeat]] = {}
ONCE: Final[dict[Key, bytes]] = {}  # records that were made once: most never come again, and are not taken apart


def again(key: Key) -> Repeat | None:
    """The record that was made of this once, taken apart as it seems to come again."""
    data = ONCE.pop(key, b"")
    if not data:
        return None
    presence = int.from_bytes(data[_HEAD + 4 : _CELLS], "little")
    form = _forms.get(presence)
    if form is None:
        form = _forms[presence] = Form(presence)
    if len(REPEATS) >= MAX_REPEATS:
        REPEATS.clear()
    known = REPEATS[key] = Repeat(form, data)
    return known


def remember(key: Key, data: bytes) -> None:
    """Keep the record that was made of this, if it is one of the usual ones."""
    presence = int.from_bytes(data[_HEAD + 4 : _CELLS], "little")
    if len(data) > LONGEST or data[_HEAD] != 1 or presence & _HOT != _HOT or presence >> _LAST > 1:
        return
    if len(key[4]) + sum(map(len, key[5])) > LONGEST:
        return
    if len(ONCE) >= MAX_ONCE:
        ONCE.clear()
    ONCE[key] = data
