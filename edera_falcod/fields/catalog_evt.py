"""Fields of what an event says: evt.*, syscall.*, fs.path.*, fdlist.*, and its parameters one by one."""

from __future__ import annotations

from typing import Final

from ..scap import tables as t
from . import names
from .declare import CONSTANT, REL, B, I, S, U, bit_field, cell_field, field_at, mask_of, no_field, numbered_field, slot_of, unsigned_field
from .spec import NO_NAME, Arg, Field, Kind, Op


def evt_fields() -> list[Field]:
    latency = "EVT_LATENCY"
    rawres = cell_field("evt.rawres", I, "Return value of the system call. No value if the event has none.")
    fields = [
        cell_field("evt.latency", REL, f"Always 0. {CONSTANT}.", latency),
        cell_field("evt.latency.s", REL, f"Always 0. {CONSTANT}.", latency),
        cell_field("evt.latency.ns", REL, f"Always 0. {CONSTANT}.", latency),
        cell_field("evt.latency.quantized", U, f"Always 0. {CONSTANT}.", latency, hidden=True),
        cell_field("evt.latency.human", S, f"Always 0ns. {CONSTANT}."),
        cell_field("evt.deltatime", REL, "Nanoseconds since the zone's previous event, 0 for its first."),
        field_at("evt.deltatime.s", REL, "Whole seconds since the zone's previous event.", Op.CELLDIV, "EVT_DELTATIME"),
        field_at("evt.deltatime.ns", REL, "Nanoseconds of evt.deltatime beyond its whole seconds.", Op.CELLMOD, "EVT_DELTATIME"),
        no_field(
            "evt.outputtime",
            S,
            "Time in Falco's output format: print only, use evt.time.",
            note="no value: it is the reading program's setting",
        ),
        cell_field("evt.dir", S, "'>' for an enter event, '<' for an exit event. Deprecated: nearly all are exit events."),
        cell_field("evt.type", S, "Name of the event, for example openat; the system call's name for those without an event of their own."),
        Field(
            "evt.type.is",
            U,
            "1 if the event has the type in brackets, else 0; evt.type.is.NAME is the same.",
            Op.TYPEIS,
            Kind.ETYPE,
            NO_NAME,
            slot_of("EVT_TYPE_NUMBER"),
            Arg.REQUIRED_KEY,
        ),
        cell_field("syscall.type", S, "As evt.type, for system calls only."),
        field_at(
            "evt.category",
            S,
            "What the event is about: file, net, ipc, memory, process, sleep, system, signal, user, time, processing, wait, "
            "scheduler, internal, other, unknown. Reads and writes have the category of their file.",
            Op.OVERRIDE,
            "EVT_CATEGORY",
            "EVT_CATEGORY_EVENT",
        ),
        cell_field("evt.cpu", U, "Number of the virtual CPU."),
        cell_field("evt.args", S, "All parameters: name=value or name=value(resolved), joined by blanks."),
        Field(
            "evt.arg",
            S,
            "A parameter as text, by name or position: evt.arg[fd], evt.arg[0]. evt.arg.NAME is the same.",
            Op.ARG,
            slot=NO_NAME,
            arg=Arg.INDEX_OR_KEY,
        ),
        Field(
            "evt.rawarg",
            S,
            "A parameter's bare value as text, by name: evt.rawarg[fd]. evt.rawarg.NAME has a number where it can.",
            Op.RAWARG,
            slot=NO_NAME,
            arg=Arg.KEY,
        ),
        cell_field("evt.info", S, "The same as evt.args.", "EVT_ARGS"),
        Field(
            "evt.buffer",
            S,
            "Data that was read or written, as far as it was captured.",
            Op.BUFFER,
            slot=names.ARG_NAMES.index("data"),
            note="text with a dot for each byte that is not printable ASCII, as it prints in libsinsp; filters there see the bytes",
        ),
        cell_field("evt.buflen", U, "Bytes that were moved: the return value of a read or write on a known file."),
        field_at("evt.res", S, "SUCCESS, or the name of the error that the system call returned.", Op.RESULT, "EVT_RES", "EVT_RAWRES"),
        rawres,
        unsigned_field(rawres),
        numbered_field("evt.failed", B, "Whether the system call returned an error.", Op.FAILED, Kind.EVENT, 0, slot_of("EVT_RAWRES")),
        cell_field("evt.is_io", B, "Whether the event reads from or writes to a file."),
        cell_field("evt.is_io_read", B, "Whether the event reads from a file."),
        cell_field("evt.is_io_write", B, "Whether the event writes to a file."),
        cell_field("evt.io_dir", S, "read or write, for events that do."),
        cell_field("evt.is_wait", B, "Whether the event waits, for example select or nanosleep."),
        cell_field("evt.wait_latency", REL, f"Always 0. {CONSTANT}.", latency),
        bit_field("evt.is_syslog", B, "Whether the event writes to /dev/log.", "SYSLOG"),
        cell_field("evt.count", U, "Always 1."),
        numbered_field("evt.count.error", U, "1 if the call returned an error, else 0.", Op.FAILED, Kind.EVENT, 0, slot_of("EVT_RAWRES")),
    ]
    for name, bit, what in (
        ("file", "ERROR_FILE", "on a file"), ("net", "ERROR_NET", "on a socket"), ("memory", "ERROR_MEMORY", "that is about memory"),
        ("other", "ERROR_OTHER", "that is about anything else"),
    ):  # fmt: skip
        doc = f"As evt.count.error, for a system call {what}."
        fields.append(numbered_field(f"evt.count.error.{name}", U, doc, Op.FAILED, Kind.EVENT, mask_of(bit), slot_of("EVT_RAWRES")))
    fields += [
        cell_field("evt.count.exit", U, "1 for an exit event."),
        bit_field("evt.count.procinfo", U, "1 for a procinfo event of a main thread.", "PROCINFO_MAIN", hidden=True),
        cell_field("evt.count.threadinfo", U, "1 for a procinfo event.", hidden=True),
        no_field(
            "evt.around",
            U,
            "Only in filters on the host: events around a time.",
            Arg.REQUIRED_INDEX,
            note="no value: it is a filter of libsinsp's",
        ),
        cell_field("evt.abspath", S, "Absolute path of a system call that names a file by directory and path."),
        cell_field("evt.abspath.src", S, "First path of evt.abspath where there are two."),
        cell_field("evt.abspath.dst", S, "Second path of evt.abspath where there are two."),
    ]
    for suffix, bits, what in (
        ("in", ("IO_IN",), "reads"), ("out", ("IO_OUT",), "writes"), ("file", ("IO_FILE",), "files"),
        ("file.in", ("IO_FILE", "IO_IN"), "reads of files"),
        ("file.out", ("IO_FILE", "IO_OUT"), "writes to files"), ("net", ("IO_NET",), "sockets"),
        ("net.in", ("IO_NET", "IO_IN"), "reads from sockets"),
        ("net.out", ("IO_NET", "IO_OUT"), "writes to sockets"),
    ):  # fmt: skip
        fields.append(
            numbered_field(
                f"evt.buflen.{suffix}",
                U,
                f"As evt.buflen, for {what}.",
                Op.MASKED,
                Kind.EVENT,
                slot_of("EVT_BUFLEN"),
                mask_of(*bits),
                hidden=True,
            )
        )
    fields += [
        bit_field("evt.is_open_read", B, "Whether the event opens a file for reading.", "OPEN_READ"),
        bit_field("evt.is_open_write", B, "Whether the event opens a file for writing.", "OPEN_WRITE"),
        bit_field("evt.is_open_exec", B, "Whether the event creates a file that is executable.", "OPEN_EXEC"),
        bit_field("evt.is_open_create", B, "Whether the event created the file that it opened.", "OPEN_CREATE"),
    ]
    for name in ("name", "container.id", "container.name", "container.image"):
        fields.append(no_field(f"evt.infra.docker.{name}", S, "Of an infrastructure event, which zones do not have."))
    return fields


def path_fields() -> list[Field]:
    fields = [
        cell_field("fs.path.name", S, "Full path that a successful system call was about, where it takes one path."),
        cell_field("fs.path.nameraw", S, "fs.path.name as the program gave it."),
        cell_field("fs.path.source", S, "Full path of the source of a successful system call that takes two paths."),
        cell_field("fs.path.sourceraw", S, "fs.path.source as the program gave it."),
        cell_field("fs.path.target", S, "Full path of the target of a successful system call that takes two paths."),
        cell_field("fs.path.targetraw", S, "fs.path.target as the program gave it."),
        no_field("util.cnt", U, "A counter of libsinsp's.", note="no value: it counts how often it was asked for"),
    ]
    for name, what in (
        ("nums", "Numbers"), ("names", "Names"), ("cips", "Client addresses"), ("sips", "Server addresses"),
        ("cports", "Client ports"), ("sports", "Server ports"),
    ):  # fmt: skip
        fields.append(cell_field(f"fdlist.{name}", S, f"{what} of the files that poll or ppoll waited for, joined by commas."))
    return fields


_SIGNED_PT: Final = frozenset(
    (t.PT_INT8, t.PT_INT16, t.PT_INT32, t.PT_INT64, t.PT_ERRNO, t.PT_FD, t.PT_PID, t.PT_FD32, t.PT_PID32),
)
_UNSIGNED_PT: Final = frozenset(
    (
        t.PT_UINT8, t.PT_UINT16, t.PT_UINT32, t.PT_UINT64, t.PT_FLAGS8, t.PT_FLAGS16, t.PT_FLAGS32, t.PT_ENUMFLAGS8, t.PT_ENUMFLAGS16,
        t.PT_ENUMFLAGS32, t.PT_MODE, t.PT_UID, t.PT_GID, t.PT_BOOL, t.PT_SIGTYPE, t.PT_SYSCALLID, t.PT_RELTIME, t.PT_ABSTIME, t.PT_PORT,
        t.PT_SIGSET, t.PT_L4PROTO,
    ),
)  # fmt: skip


def parameter_fields() -> list[Field]:
    """evt.arg.NAME and evt.rawarg.NAME. The latter is a number only where every current event with the parameter makes it an
    unsigned one; where all are numbers and some are signed, it is text with an unsigned companion."""
    current: dict[str, set[int]] = {name: set() for name in names.ARG_NAMES}
    ever: dict[str, set[int]] = {name: set() for name in names.ARG_NAMES}
    for event in t.EVENTS:
        for param in event.params:
            name = param.name.decode()
            ever[name].add(param.type)
            if not event.old and not event.unused:
                current[name].add(param.type)
    fields: list[Field] = []
    for number, name in enumerate(names.ARG_NAMES):
        doc = f"Parameter {name} as text: what it means where that is known, else its bare value."
        fields.append(Field(f"evt.arg.{name}", S, doc, Op.ARG, slot=number))
    for number, name in enumerate(names.ARG_NAMES):
        types = current[name] or ever[name]
        unsigned = types <= _UNSIGNED_PT
        what = "as a number" if unsigned else "as text"
        raw = Field(f"evt.rawarg.{name}", U if unsigned else S, f"Bare value of parameter {name}, {what}.", Op.RAWARG, slot=number)
        fields.append(raw)
        if not unsigned and types <= _SIGNED_PT | _UNSIGNED_PT:
            fields.append(unsigned_field(raw))
    return fields


def event_type_fields() -> list[Field]:
    return [
        numbered_field(
            f"evt.type.is.{name}", U, f"1 if the event is of type {name}.", Op.TYPEIS, Kind.ETYPE, number, slot_of("EVT_TYPE_NUMBER")
        )
        for number, name in enumerate(names.EVENT_NAMES)
    ]
