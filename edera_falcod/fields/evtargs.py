"""The parameters of an event as text and as raw values: evt.args, evt.arg.NAME, evt.rawarg.NAME.

Every parameter renders to a pair (raw, resolved); evt.args prints ``name=raw(resolved)`` or ``name=raw``, evt.arg prints the
resolved text if there is one, else the raw one. So the text of evt.args is made once per event and nearly everything else is a
slice of it; docs/protocol.md, Parameter table, says how the slices are written down.
Source: userspace/libsinsp/event.cpp (get_param_as_str), sinsp_filtercheck_event.cpp (TYPE_ARGS, TYPE_ARGSTR, extract_argraw).

What needs the zone's state is here: names of fds, threads' comms, paths from a working directory; the rest is scap/format.py.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i64_le
from mypy_extensions import i64

from ..scap import format as fmt
from ..scap import tables
from ..scap.event import Event
from ..scap.safetext import COMPILED, safe
from ..scap.schema import FlagTable, ParamInfo
from ..state import fd as fdmod
from ..state import paths
from ..state.block import Shown
from ..state.fd import Fd
from ..state.thread import Thread
from ..state.zone import ZoneState
from . import slots
from .cells import Cells
from .user import group_name, user_facts

# What the raw value of a parameter is, in bits 62 and 63 of its entry's first word (docs/protocol.md); as signed numbers
KIND_NONE: Final[i64] = 0
KIND_UNSIGNED: Final[i64] = 1 << 62
KIND_SIGNED: Final[i64] = -(1 << 63)
KIND_BYTES: Final[i64] = -(1 << 62)
BINARY: Final[i64] = 1 << 31  # in the offset of a raw value of bytes: not text, to be shown with dots or in hexadecimal

ENTRY_SIZE: Final = 16

# What rendering has to do, by type
K_NUMBER: Final = 0  # decimal or by print format, nothing to resolve
K_ERRNO: Final = 1
K_FD: Final = 2
K_FLAGS: Final = 3
K_ENUM: Final = 4
K_BYTES: Final = 5
K_STRING: Final = 6
K_PATH: Final = 7
K_PID: Final = 8
K_TUPLE: Final = 9
K_MODE: Final = 10
K_USER: Final = 11
K_SIGNAL: Final = 12
K_SYSCALL: Final = 13
K_RELTIME: Final = 14
K_ABSTIME: Final = 15
K_SIGSET: Final = 16
K_SOCKADDR: Final = 17
K_FDLIST: Final = 18
K_VARIANT: Final = 19
K_GROUP: Final = 20
K_OTHER: Final = 21  # a number of a type that libsinsp has no form for

# type -> (what to do, width in bytes or 0 for any, signed)
_FORMS: Final[dict[int, tuple[int, int, bool]]] = {
    tables.PT_INT8: (K_NUMBER, 1, True),
    tables.PT_INT16: (K_NUMBER, 2, True),
    tables.PT_INT32: (K_NUMBER, 4, True),
    tables.PT_INT64: (K_NUMBER, 8, True),
    tables.PT_UINT8: (K_NUMBER, 1, False),
    tables.PT_UINT16: (K_NUMBER, 2, False),
    tables.PT_UINT32: (K_NUMBER, 4, False),
    tables.PT_UINT64: (K_NUMBER, 8, False),
    tables.PT_ERRNO: (K_ERRNO, 8, True),
    tables.PT_FD: (K_FD, 8, True),
    tables.PT_PID: (K_PID, 8, True),
    tables.PT_FLAGS8: (K_FLAGS, 1, False),
    tables.PT_FLAGS16: (K_FLAGS, 2, False),
    tables.PT_FLAGS32: (K_FLAGS, 4, False),
    tables.PT_ENUMFLAGS8: (K_ENUM, 1, False),
    tables.PT_ENUMFLAGS16: (K_ENUM, 2, False),
    tables.PT_ENUMFLAGS32: (K_ENUM, 4, False),
    tables.PT_MODE: (K_MODE, 4, False),
    tables.PT_UID: (K_USER, 4, False),
    tables.PT_GID: (K_GROUP, 4, False),
    tables.PT_SIGTYPE: (K_SIGNAL, 1, False),
    tables.PT_SYSCALLID: (K_SYSCALL, 2, False),
    tables.PT_RELTIME: (K_RELTIME, 8, False),
    tables.PT_ABSTIME: (K_ABSTIME, 8, False),
    tables.PT_SIGSET: (K_SIGSET, 4, False),
    tables.PT_CHARBUF: (K_STRING, 0, False),
    tables.PT_FSPATH: (K_PATH, 0, False),
    tables.PT_FSRELPATH: (K_PATH, 0, False),
    tables.PT_BYTEBUF: (K_BYTES, 0, False),
    tables.PT_SOCKADDR: (K_SOCKADDR, 0, False),
    tables.PT_SOCKTUPLE: (K_TUPLE, 0, False),
    tables.PT_FDLIST: (K_FDLIST, 0, False),
    tables.PT_DYN: (K_VARIANT, 0, False),
    tables.PT_BOOL: (K_OTHER, 4, False),
    tables.PT_PORT: (K_OTHER, 2, False),
    tables.PT_L4PROTO: (K_OTHER, 1, False),
    tables.PT_SOCKFAMILY: (K_OTHER, 1, False),
    tables.PT_FD32: (K_OTHER, 4, True),
    tables.PT_PID32: (K_OTHER, 4, True),
}
_ANY_BYTES: Final = (K_BYTES, 0, False)  # internal types that hold pointers in libsinsp and cannot come from a zone

_L4_CHARS: Final[list[bytes]] = [b"", b"", b"t", b"u", b"i", b"r"]  # by SCAP_L4_*
_ID_NONE: Final = 0xFFFF_FFFF


# Texts that follow from the parameter's bytes alone, of which there are few: results, flags, modes. Addresses and times are not.
_MEMOISED: Final = (K_ERRNO, K_FLAGS, K_ENUM, K_MODE, K_SIGNAL, K_SYSCALL, K_SIGSET, K_OTHER)
MAX_SHOWN: Final = 16_384  # interpreted: of all parameters' memos together, 5 MB

# Compiled, what was shown lately has a place that its value gives: looking there is a tenth of what a dictionary takes. A power of two;
# with the parameters that there are 6 MB at most.
RECENT: Final = 128
_RECENT_MASK: Final = RECENT - 1

# Interpreted: paths and other short texts are often the same as lately. Of each, the bytes as they came and what is made of them: 2 MB in
# all. (Compiled, looking one up costs what making it does.)
MAX_TEXTS: Final = 2048
LONGEST_TEXT: Final = 256  # bytes; most paths are shorter, and the memo stays small whatever a zone sends


@final
class Generic:
    """A generic event, which is a quarter of all: both parameters are of fixed width. ``heap``: the parameter table, evt.args and the
    texts of the parameters. ``first``: what evt.arg[0] prints."""

    __slots__ = ("first", "heap")

    def __init__(self, heap: bytes, first: bytes) -> None:
        self.heap = heap
        self.first = first


_recents: Final[dict[tuple[bytes, int, int, str], list[Shown | None]]] = {}
_no_recent: Final[list[Shown | None]] = []


@final
class ParamPlan:
    """How to render one parameter, worked out once from the event table.

    ``label``: ``name=`` with a blank before it. ``size``: width of a number in bytes, 0 for what has no fixed width. ``bits``: what C's
    printf takes the number for. ``names``: memo of flag texts, shared by all parameters with the same table. ``memo``: interpreted, of the
    parameter's whole text, by its bytes; None where it follows from more than these, or hardly ever is the same. ``codes``: the same of
    what stands for no file in a fd's place, None for all other parameters. ``recent``: compiled, the same as both, see ``_recent``; shared
    by all that print alike, empty where there is none. ``form``: interpreted, what a number of 64 bits that is like no other is printed
    with, label and all, ``b""`` for all other parameters. ``dirfd``: index of the parameter with the directory, -1: the path starts at the
    working directory.
    """

    __slots__ = (
        "name", "label", "kind", "size", "signed", "bits", "fmt", "table", "names", "memo", "codes", "recent", "form", "dirfd", "variants",
        "empty",
    )

    def __init__(self, info: ParamInfo, print_format: int) -> None:
        form = _FORMS.get(info.type, _ANY_BYTES)
        self.name = info.name
        self.label = b" " + info.name + b"="
        self.kind = form[0]
        self.size = form[1]
        self.signed = form[2]
        self.bits = 64 if form[1] == 8 else 32
        self.fmt = print_format
        self.table: FlagTable | None = info.flags
        self.names: dict[int, bytes] = _memo_of(info)
        self.memo: dict[bytes, Shown] | None = None
        self.codes: dict[bytes, Shown] | None = None
        if self.kind in _MEMOISED or (self.kind == K_NUMBER and self.size < 8):
            self.memo = {}
        elif self.kind == K_FD:
            self.codes = {}
        self.recent = _no_recent
        if self.memo is not None or self.codes is not None or (self.kind == K_NUMBER and print_format != tables.PF_HEX):
            table = info.flags.name if info.flags is not None else ""
            alike = (b"" if self.kind == K_FD else info.name, info.type, print_format, table)
            self.recent = _recents.setdefault(alike, [None] * RECENT)
        self.form = b""
        if self.kind == K_NUMBER and self.size == 8 and print_format in (tables.PF_HEX, tables.PF_DEC):
            self.form = self.label + (b"%X" if print_format == tables.PF_HEX else b"%d")
        self.dirfd = info.dirfd if info.type == tables.PT_FSRELPATH else -1
        # A variant prints in the format of the parameter that holds it (event.cpp, param_fmt)
        self.variants: list[ParamPlan] = [ParamPlan(variant, print_format) for variant in info.variants]
        self.empty = fmt.NOT_AVAILABLE
        if info.type in (
            tables.PT_BYTEBUF, tables.PT_SOCKTUPLE, tables.PT_FDLIST, tables.PT_CHARBUFARRAY, tables.PT_CHARBUF_PAIR_ARRAY,
            tables.PT_DYN,
        ):
            self.empty = fmt.EMPTY_BUFFER


_memos: Final[dict[tuple[str, int], dict[int, bytes]]] = {}


def _memo_of(info: ParamInfo) -> dict[int, bytes]:
    if info.flags is None:
        return {}
    form = _FORMS.get(info.type, _ANY_BYTES)
    return _memos.setdefault((info.flags.name, form[0]), {})


def _plan(params: tuple[ParamInfo, ...]) -> list[ParamPlan]:
    plans: list[ParamPlan] = []
    for info in params:
        plan = ParamPlan(info, info.fmt)
        if plan.dirfd >= len(params) or (plan.dirfd >= 0 and params[plan.dirfd].type != tables.PT_FD):
            plan.dirfd = -1  # get_base_dir: the working directory then
        plans.append(plan)
    return plans


# By event code
PLANS: Final[list[list[ParamPlan]]] = [_plan(event.params) for event in tables.EVENTS]
_GENERIC: Final = PLANS[tables.PPME_GENERIC_X]
_WORDS: Final = [Struct(f"<{2 * count}q") for count in range(max(map(len, PLANS)) + 1)]  # interpreted: the parameter table by its length

# An event's evt.args in the making, and raw values that are not a slice of it
_text: Final = BytesWriter()
_extras: Final = BytesWriter()

_tuple_memo: Final[dict[bytes, bytes]] = {}
_texts: Final[dict[bytes, tuple[bytes, bytes]]] = {}
_generic: Final[dict[bytes, Generic]] = {}  # by the bytes of both parameters, of two each
_shown: Final[list[dict[bytes, Shown]]] = [
    memo for plans in PLANS for plan in plans for memo in (plan.memo, plan.codes) if memo is not None
]
_shown_count: Final = [0]


def args_cells(cells: Cells, zone: ZoneState, event: Event) -> bytes:
    """Write the parameter table (cell 0, of which evt.arg, evt.rawarg and evt.buffer are served) and evt.args of an event, before anything
    else is on the heap.

    Returns what evt.arg[0] prints, ``b""`` for an event without parameters: evt.res is made of it.
    """
    code = event.code
    plans = PLANS[code]
    params = event.params
    count = len(params)
    if count > len(plans):
        count = len(plans)
    if count == 0:
        cells.text(slots.EVT_ARGS, b"")
        return b""
    if not COMPILED:
        return _joined(cells, zone, plans, params[:count])
    if code != tables.PPME_GENERIC_X:
        return _args(cells, zone, plans, params, count)
    # evt.args of a generic event is empty; its parameters' texts follow all the same
    key = params[0] + params[1] if count == 2 and len(params[0]) == 2 and len(params[1]) == 2 else b""
    known = _generic.get(key)
    if known is None:
        first = _args(cells, zone, plans, params, count)
        known = Generic(cells.heap.getvalue(), first)
        if key:
            if len(_generic) >= fmt.MAX_MEMO:
                _generic.clear()
            _generic[key] = known
    else:
        cells.heap.write(known.heap)
    start = ENTRY_SIZE * count
    cells.slice(slots.EVT_PARAMS, 0, start)
    cells.slice(slots.EVT_ARGS, start, 0)
    return known.first


def _args(cells: Cells, zone: ZoneState, plans: list[ParamPlan], params: list[bytes], count: i64) -> bytes:
    table = cells.heap
    start: i64 = ENTRY_SIZE * count  # offsets count from the table's start
    text = _text
    text.truncate(0)
    extras = _extras  # raw values that are not a slice of evt.args; they lie behind its NUL
    extras.truncate(0)
    moved: list[int] | None = None  # where in the table the place of such a value is, and which place among the extras
    generic = plans is _GENERIC
    if generic:
        text.append(0)  # the NUL of evt.args, which is empty
    first = b""
    index: i64 = 0
    while index < count:
        plan = plans[index]
        data = params[index]
        pos: i64 = start + len(text)
        size: i64 = plan.size
        value: i64 = 0
        shown: Shown | None = None
        if len(data) == size and size > 0:
            value = number_of(plan, data)
            if plan.kind == K_FD:
                shown = _fd_shown(plan, value, zone)
            elif plan.recent:
                shown = _recent(plan, value, zone)
        if shown is not None:
            if plan.kind == K_FD:
                text.write(plan.label)
                pos += len(plan.label)
            text.write(shown.text)
            write_i64_le(table, shown.word + pos)
            write_i64_le(table, shown.value)
            if index == 0:
                first = shown.arg
            index += 1
            continue
        label = plan.label
        text.write(label)
        pos += len(label)
        resolved = b""
        raw_kind = KIND_NONE
        raw_value: i64 = 0
        if size > 0:
            if len(data) == size:
                raw_value = value
                raw, resolved = _number(plan, raw_value, zone)
                raw_kind = KIND_SIGNED if plan.signed else KIND_UNSIGNED
            else:
                raw = fmt.NOT_AVAILABLE
        else:
            raw_kind = KIND_BYTES
            kind = plan.kind
            if kind in (K_PATH, K_STRING):
                given = fmt.charbuf(data)
                raw = safe(given)
                if kind == K_PATH and not given.startswith(b"/"):
                    resolved = _resolved_path(plan, given, zone, params)
                if raw is given:
                    raw_value = pos | len(raw) << 32
                else:
                    given = given.decode("utf-8", "replace").encode()
                    raw_value = len(extras) | len(given) << 32
                    moved = _moved(moved, len(table) + 8, len(extras))
                    extras.write(given)
            elif len(data) == 0:
                raw = plan.empty
                raw_value = pos | BINARY
            else:
                raw, resolved = _binary(plan, data, zone)
                if raw == data:
                    raw_value = pos | BINARY | len(data) << 32
                else:
                    raw_value = len(extras) | BINARY | len(data) << 32
                    moved = _moved(moved, len(table) + 8, len(extras) | BINARY)
                    extras.write(data)
        text.write(raw)
        if resolved:
            write_i64_le(table, pos + len(raw) + 1 | len(resolved) << 32 | raw_kind)
            text.append(0x28)
            text.write(resolved)
            text.append(0x29)
            if index == 0:
                first = resolved
        else:
            write_i64_le(table, pos | len(raw) << 32 | raw_kind)
            if index == 0:
                first = raw
        write_i64_le(table, raw_value)
        index += 1
    length: i64 = len(text)
    text.append(0)
    if moved is not None:
        _move(table, moved, start + length + 1)  # behind the NUL of evt.args
        text.write(extras.getvalue())
    table.write(text.getvalue())
    if not generic:
        cells.slice(slots.EVT_PARAMS, 0, start)
        cells.slice(slots.EVT_ARGS, start + 1, length - 1)  # without the first label's blank
    return first


def _joined(cells: Cells, zone: ZoneState, plans: list[ParamPlan], params: list[bytes]) -> bytes:
    """Interpreted, what ``_args`` does, with less to do for each parameter: numbers and pieces of text are put together at the end."""
    start = ENTRY_SIZE * len(params)
    words: list[int] = []
    pieces: list[bytes] = []
    pos = start  # where the next piece will be
    extras: list[bytes] = []
    moved: list[int] = []  # which of the words are the places of such a value
    extra = 0  # bytes in front of the next
    generic = plans is _GENERIC
    if generic:
        pieces.append(b"\0")
        pos += 1
    first: bytes | None = None
    for plan, data in zip(plans, params, strict=False):
        label = plan.label
        memo = plan.memo
        shown: Shown | None = None
        if memo is not None:
            shown = memo.get(data) or _show(plan, memo, data, zone)
        elif plan.codes is not None and len(data) == 8 and zone.thread is not None:
            pieces.append(label)
            pos += len(label)
            if data[7] < 0x80:
                shown = _fd_shown(plan, int.from_bytes(data, "little"), zone)
            else:
                shown = plan.codes.get(data) or _show(plan, plan.codes, data, zone)
        elif plan.form and len(data) == 8:
            value = read_i64_le(data, 0)
            text = plan.form % (value if value >= 0 or plan.fmt != tables.PF_HEX else value + (1 << 64))
            at = len(label)
            words.append(pos + at | len(text) - at << 32 | (KIND_SIGNED if plan.signed else KIND_UNSIGNED))
            words.append(value)
            pieces.append(text)
            pos += len(text)
            if first is None:
                first = text[at:]
            continue
        if shown is not None:
            text = shown.text
            words.append(shown.word + pos)
            words.append(shown.value)
            pieces.append(text)
            pos += len(text)
            if first is None:
                first = shown.arg
            continue
        pos += len(label)
        resolved = b""
        size = plan.size
        if size > 0:
            raw_kind: int = KIND_NONE
            raw_value = 0
            if len(data) == size:
                raw_value = number_of(plan, data)
                raw, resolved = _number(plan, raw_value, zone)
                raw_kind = KIND_SIGNED if plan.signed else KIND_UNSIGNED
            else:
                raw = fmt.NOT_AVAILABLE
        else:
            raw_kind = KIND_BYTES
            kind = plan.kind
            if kind in (K_PATH, K_STRING):
                given, raw = _texts.get(data) or _text_of(data)
                if kind == K_PATH and not given.startswith(b"/"):
                    resolved = _resolved_path(plan, given, zone, params)
                raw_value = len(given) << 32
                other = b"" if raw is given else given.decode("utf-8", "replace").encode()
            elif data:
                raw, resolved = _binary(plan, data, zone)
                raw_value = len(data) << 32 | BINARY
                other = b"" if raw == data else data
            else:
                raw = plan.empty
                raw_value = BINARY
                other = b""
            if other:
                moved.append(len(words) + 1)
                raw_value = len(other) << 32 | raw_value & BINARY | extra
                extras.append(other)
                extra += len(other)
            else:
                raw_value |= pos
        if resolved:
            words.append(pos + len(raw) + 1 | len(resolved) << 32 | raw_kind)
            pieces.append(b"%b%b(%b)" % (label, raw, resolved))
            pos += len(raw) + len(resolved) + 2
        else:
            words.append(pos | len(raw) << 32 | raw_kind)
            pieces.append(label + raw)
            pos += len(raw)
        words.append(raw_value)
        if first is None:
            first = resolved or raw
    for index in moved:
        words[index] += pos + 1  # behind the NUL of evt.args
    heap = cells.heap
    heap.write(_WORDS[len(params)].pack(*words))
    pieces.append(b"\0")
    heap.write(b"".join(pieces + extras))
    cells.slice(slots.EVT_PARAMS, 0, start)
    if generic:
        cells.slice(slots.EVT_ARGS, start, 0)
    else:
        cells.slice(slots.EVT_ARGS, start + 1, pos - start - 1)  # without the first label's blank
    return first or b""


def _recent(plan: ParamPlan, value: i64, zone: ZoneState) -> Shown:
    """Compiled: a parameter of fixed width that is likely to come again. Each value has one place; what was there before goes."""
    recent = plan.recent
    place = (value ^ value >> 6 ^ value >> 12 ^ value >> 18) & _RECENT_MASK
    shown = recent[place]
    if shown is None or shown.value != value:
        if plan.kind == K_FD and value >= 0:
            shown = _shown_as(plan, value, fmt.decimal(value), b"")
        else:
            raw, resolved = _number(plan, value, zone)
            shown = _shown_as(plan, value, raw, resolved)
        recent[place] = shown
    return shown


def _fd_shown(plan: ParamPlan, number: i64, zone: ZoneState) -> Shown | None:
    """The number of a file, or what stands there for none, without a label: parameters of several names are files. None where the thread is
    not known."""
    thread = zone.thread
    if thread is None:
        return None
    fd: Fd | None = None
    if number >= 0:
        if number == zone.fd_num:
            fd = zone.fd
        if fd is None:
            files = zone.fd_table(thread)
            if files is not None:
                fd = files.map.fds.get(number)
    if fd is None:
        return _recent(plan, number, zone) if COMPILED else _shown_as(plan, number, fmt.decimal(number), b"")
    shown = fd.shown
    if shown is None or shown.value != number:
        shown = _show_fd(plan, number, fd)
    return shown


def _text_of(data: bytes) -> tuple[bytes, bytes]:
    """A string as it came, without its NUL, and made safe (the same object if it was); short ones are kept."""
    given = fmt.charbuf(data)
    made = given, safe(given)
    if len(data) <= LONGEST_TEXT:
        if len(_texts) >= MAX_TEXTS:
            _texts.clear()
        _texts[data] = made
    return made


def _moved(moved: list[int] | None, entry: i64, place: i64) -> list[int]:
    if moved is None:
        moved = []
    moved.append(entry)
    moved.append(place)
    return moved


def _move(table: BytesWriter, moved: list[int], by: int) -> None:
    """Now that it is known where the extras begin: put their places right, the lower half of each word."""
    for number in range(0, len(moved), 2):
        at = moved[number]
        place = moved[number + 1] + by
        table[at] = place & 0xFF
        table[at + 1] = place >> 8 & 0xFF
        table[at + 2] = place >> 16 & 0xFF
        table[at + 3] = place >> 24 & 0xFF


def _show(plan: ParamPlan, memo: dict[bytes, Shown], data: bytes, zone: ZoneState) -> Shown:
    """What a parameter of fixed width prints; kept in its memo."""
    if len(data) != plan.size:
        label = plan.label
        return Shown(label + fmt.NOT_AVAILABLE, len(label) | len(fmt.NOT_AVAILABLE) << 32, 0, fmt.NOT_AVAILABLE)
    value = number_of(plan, data)
    raw, resolved = _number(plan, value, zone)
    shown = _shown_as(plan, value, raw, resolved)
    if _shown_count[0] >= MAX_SHOWN:
        _shown_count[0] = 0
        for known in _shown:
            known.clear()
    _shown_count[0] += 1
    memo[data] = shown
    return shown


def _show_fd(plan: ParamPlan, number: i64, fd: Fd) -> Shown:
    """What the number of a file prints; kept on the file."""
    text = fd.arg_text
    shown = _shown_as(plan, number, fmt.decimal(number), text if text is not None else fd_text(fd))
    fd.shown = shown
    return shown


def _shown_as(plan: ParamPlan, value: i64, raw: bytes, resolved: bytes) -> Shown:
    label = plan.label if plan.kind != K_FD else b""
    kind = KIND_SIGNED if plan.signed else KIND_UNSIGNED
    at: i64 = len(label)
    size: i64 = len(resolved)
    if size > 0:
        at += len(raw) + 1
        return Shown(b"%b%b(%b)" % (label, raw, resolved), at | size << 32 | kind, value, resolved)
    size = len(raw)
    return Shown(label + raw, at | size << 32 | kind, value, raw)


def number_of(plan: ParamPlan, data: bytes) -> i64:
    """The number in a parameter of the plan's width; one of 64 bits comes signed, whatever its type."""
    size = plan.size
    if size == 8:
        return read_i64_le(data, 0)
    if size == 4:
        number = i64(read_i32_le(data, 0))
        return number if plan.signed or number >= 0 else number + (1 << 32)
    if size == 2:
        number = data[0] | data[1] << 8
        return number if not plan.signed or number < 1 << 15 else number - (1 << 16)
    number = data[0]
    return number if not plan.signed or number < 1 << 7 else number - (1 << 8)


def _number(plan: ParamPlan, value: i64, zone: ZoneState) -> tuple[bytes, bytes]:
    """Raw and resolved text of a parameter of fixed width."""
    kind = plan.kind
    if kind == K_NUMBER:
        if plan.size == 4 and value >= 1 << 31:
            value -= 1 << 32  # decimal takes unsigned parameters for signed ones (PRId32; those of 64 bits are)
        return fmt.integer(value, plan.fmt, plan.bits), b""
    if kind == K_ERRNO:
        return fmt.decimal(value), fmt.errno(value) if value < 0 else b""
    if kind == K_FD:
        return fmt.decimal(value), _fd_name(value, zone)
    if kind in (K_FLAGS, K_ENUM, K_MODE):
        text = plan.names.get(value)
        if text is None:
            text = _names(plan, value)
        if kind == K_MODE:
            return fmt.integer(value, plan.fmt, 32), text
        return fmt.decimal(value), text
    if kind == K_PID:
        named = zone.find_thread(value)
        return fmt.decimal(value), safe(fmt.cstring(named.comm)) if named is not None else b""
    if kind in (K_USER, K_GROUP):
        if value == _ID_NONE:
            return b"-1", b"<NONE>"
        shown = fmt.decimal(value - (1 << 32) if value >= 1 << 31 else value)
        if zone.thread is None:
            return shown, fmt.NOT_AVAILABLE
        name = user_facts(zone, value)[0] if kind == K_USER else group_name(zone, value)
        return shown, name if name else fmt.NOT_AVAILABLE
    if kind == K_SIGNAL:
        return fmt.decimal(value), fmt.signal(value)
    if kind == K_SYSCALL:
        if value >= tables.PPM_SC_MAX:
            return b"<unknown syscall>", b""
        return fmt.decimal(value), fmt.syscall(value)
    if kind == K_RELTIME:
        if value == -1:
            return b"none", b""
        span: int = value
        if span < 0:
            span += 1 << 64
        return fmt.decimal(span), fmt.reltime(span)
    if kind == K_ABSTIME:
        since: int = value
        if since < 0:
            since += 1 << 64
        return fmt.abstime(since), b""
    if kind == K_SIGSET:
        return fmt.sigset(value), b""
    return fmt.NO_FORM, b""


def _names(plan: ParamPlan, value: int) -> bytes:
    """Text of flags, an enum or a mode, by the table; kept in the plan's memo."""
    table = plan.table
    if table is None:
        return b""
    if plan.kind == K_ENUM:
        text = fmt.enum(table, value)
    elif plan.kind == K_MODE:
        text = fmt.mode(table, value)
    else:
        text = fmt.flags(table, value)
    if len(plan.names) >= fmt.MAX_MEMO:
        plan.names.clear()
    plan.names[value] = text
    return text


def _binary(plan: ParamPlan, data: bytes, zone: ZoneState) -> tuple[bytes, bytes]:
    """Raw and resolved text of a buffer, an address, a tuple, a list of fds or a variant that is not empty."""
    kind = plan.kind
    if kind == K_BYTES:
        return fmt.dotted(data), b""
    if kind == K_TUPLE:
        text = _tuple_memo.get(data)
        if text is None:
            text = fmt.socktuple(data)
            if len(_tuple_memo) >= fmt.MAX_MEMO:
                _tuple_memo.clear()
            _tuple_memo[data] = text
        return text, b""
    if kind == K_SOCKADDR:
        return fmt.sockaddr(data), b""
    if kind == K_FDLIST:
        return _fd_list(data, zone), b""
    return _variant(plan, data, zone)  # K_VARIANT


def _variant(plan: ParamPlan, data: bytes, zone: ZoneState) -> tuple[bytes, bytes]:
    """A PT_DYN: its first byte chooses the type of the rest."""
    chosen = data[0]
    if chosen >= len(plan.variants):
        return b"INVALID DYNAMIC PARAMETER", b""
    variant = plan.variants[chosen]
    rest = data[1:]
    if variant.size > 0:
        if len(rest) != variant.size:
            return fmt.NOT_AVAILABLE, b""
        return _number(variant, number_of(variant, rest), zone)
    if variant.kind == K_STRING:
        return safe(fmt.charbuf(rest)), b""
    return fmt.dotted(rest), b""


def fd_text(fd: Fd) -> bytes:
    """``<f>/etc/passwd``, ``<4t>10.0.0.1:1024->10.0.0.2:80``: type character, transport's character, name. Cached on the fd."""
    text = fd.arg_text
    if text is None:
        kind = fd.kind
        protocol = b""
        if tables.SCAP_FD_IPV4_SOCK <= kind <= tables.SCAP_FD_IPV6_SERVSOCK:
            l4proto = shown_l4proto(fd)
            if 0 <= l4proto < len(_L4_CHARS):
                protocol = _L4_CHARS[l4proto]
        text = b"<%s%s>%s" % (type_char(kind), protocol, safe(fd.name))
        fd.arg_text = text
    return text


def type_char(kind: int) -> bytes:
    """fd.typechar of a SCAP_FD_* type."""
    if 0 <= kind < len(tables.FD_TYPE_CHARS):
        return tables.FD_TYPE_CHARS[kind]
    return b"?"


def shown_l4proto(fd: Fd) -> int:
    """The transport (SCAP_L4_*) as libsinsp shows it: a socket that is not listening and has no role yet shows none, unless it is
    a raw one (fdinfo.cpp, get_l4proto)."""
    kind = fd.kind
    if kind in (tables.SCAP_FD_IPV4_SERVSOCK, tables.SCAP_FD_IPV6_SERVSOCK):
        return fd.l4proto
    if kind in (tables.SCAP_FD_IPV4_SOCK, tables.SCAP_FD_IPV6_SOCK):
        if fd.l4proto != tables.SCAP_L4_RAW and fd.flags & (fdmod.ROLE_CLIENT | fdmod.ROLE_SERVER) == 0:
            return tables.SCAP_L4_NA
        return fd.l4proto
    return tables.SCAP_L4_NA


def _fd_name(number: int, zone: ZoneState) -> bytes:
    """What a fd resolves to: the open file, AT_FDCWD, or the error that a negative one stands for."""
    thread = zone.thread
    if thread is None:
        return b""
    if number >= 0:
        fd = zone.find_fd(thread, number)
        return b"" if fd is None else fd_text(fd)
    if number == tables.PPM_AT_FDCWD:
        return b"AT_FDCWD"
    return fmt.errno(number)


def _fd_list(data: bytes, zone: ZoneState) -> bytes:
    thread = zone.thread
    entries: list[bytes] = []
    for number, bits in fmt.fdlist(data):
        char = b"?"
        if thread is not None and number >= 0:
            fd = zone.find_fd(thread, number)
            if fd is not None:
                char = type_char(fd.kind)
        entries.append(fmt.fdlist_entry(number, char, bits))
    return b" ".join(entries)


def _resolved_path(plan: ParamPlan, path: bytes, zone: ZoneState, params: list[bytes]) -> bytes:
    """A relative path from its directory on; nothing for an absolute, an empty or an unknown one."""
    thread = zone.thread
    if thread is None or not path or path[0] == 0x2F or path == fmt.NOT_AVAILABLE:
        return b""
    if plan.dirfd < 0:
        base = working_directory(zone, thread)
    else:
        raw = params[plan.dirfd] if plan.dirfd < len(params) else b""
        if len(raw) != 8:
            return b""
        number = read_i64_le(raw, 0)
        if number == tables.PPM_AT_FDCWD:
            base = working_directory(zone, thread)
        else:
            base = directory_path(zone, thread, number)
    return paths.shown(base, path)


def working_directory(zone: ZoneState, thread: Thread) -> bytes:
    """The working directory of the thread's process, with a ``/`` at its end; ``./`` when its main thread is unknown."""
    return zone.cwd(thread)


def directory_path(zone: ZoneState, thread: Thread, number: int) -> bytes:
    """The path of a directory's fd with a ``/`` at its end, empty if the fd is unknown or has no name (libsinsp would then ask the
    /proc of the machine that it runs on)."""
    fd = zone.find_fd(thread, number) if number >= 0 else None
    if fd is None or not fd.name:
        return b""
    name = safe(fd.name)
    return name if name.endswith(b"/") else name + b"/"
