"""The registry: every field that a rule may name, and where its value lies.

``CELLS`` numbers what blocks hold, ``FIELDS`` declares the fields over it. Both are append-only once released: a cell's place in its
list is its slot, a field's place is its id, and registry.lock (generated, checked) keeps the declarations that daemon and shim
agree on. Everything else that has to know fields is made from here: slots.py, the shim's header, docs/fields.md.

Names, types and meaning are libsinsp's (0.25.4) where it has the field, the container plugin's where that has it. What differs by
what a plugin field can be: a signed number is served as text (``Type.SIGNED``) and has a companion ``NAME.unsigned``, a fraction
as the whole number below it, bytes as text with dots, and ``evt.arg.NAME`` and the like are fields of their own, since a plugin
field's argument is only ever in brackets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..scap import tables as t
from . import names
from .spec import NO_NAME, Arg, Field, Kind, Op, Type

CELLS: Final[dict[Kind, tuple[str, ...]]] = {
    # Presence words are as many as the highest slot needs: what most events have comes first.
    Kind.EVENT: tuple(
        """
        EVT_PARAMS LINEAGE EVT_ARGS EVT_CPU EVT_RAWRES EVT_RES EVT_BITS EVT_DELTATIME EVT_BUFLEN FD_NUM
        PROC_VMSIZE PROC_VMRSS PROC_VMSWAP THREAD_PFMAJOR THREAD_PFMINOR PROC_NTHREADS PROC_NCHILDS PROC_FDOPENCOUNT PROC_FDUSAGE
        EVT_CATEGORY_EVENT EVT_ABSPATH EVT_ABSPATH_SRC EVT_ABSPATH_DST
        FS_PATH_NAME FS_PATH_NAMERAW FS_PATH_SOURCE FS_PATH_SOURCERAW FS_PATH_TARGET FS_PATH_TARGETRAW
        FD_NAME_EVENT FD_NAMERAW_EVENT FD_DIRECTORY_EVENT FD_TYPECHAR_EVENT
        FDLIST_NUMS FDLIST_NAMES FDLIST_CIPS FDLIST_SIPS FDLIST_CPORTS FDLIST_SPORTS
        THREAD_EXECTIME THREAD_TOTEXECTIME THREAD_CPU THREAD_CPU_USER THREAD_CPU_SYSTEM
        EDERA_NOTICE_KIND EDERA_NOTICE_TEXT EDERA_NOTICE_ZONE EDERA_NOTICE_COUNT EDERA_NOTICE_CAUSE
        """.split()
    ),
    Kind.ETYPE: tuple(
        """
        EVT_PARAM_NAMES EVT_TYPE_NUMBER EVT_TYPE SYSCALL_TYPE EVT_DIR EVT_CATEGORY EVT_IS_IO EVT_IS_IO_READ EVT_IS_IO_WRITE EVT_IO_DIR
        EVT_IS_WAIT EVT_COUNT EVT_COUNT_EXIT EVT_COUNT_THREADINFO EVT_LATENCY EVT_LATENCY_HUMAN
        """.split()
    ),
    Kind.ZONE: tuple(
        """
        EDERA_ZONE_ID EDERA_ZONE_NAME EDERA_ZONE_STATE EDERA_ZONE_HOST EDERA_ZONE_DOMID EDERA_ZONE_IP EDERA_ZONE_KERNEL EDERA_ZONE_ANNOTATIONS
        EDERA_ZONE_READY_TIME EDERA_ZONE_TAINTED
        """.split()
    ),
    Kind.THREAD: tuple(
        """
        THREAD_ENV PROC_NAME PROC_EXE PROC_EXEPATH PROC_ARGS PROC_ARGS_LIST PROC_CMDLINE PROC_EXELINE PROC_CMDNARGS PROC_CMDLENARGS
        PROC_CWD PROC_TTY PROC_PID PROC_VPID PROC_SID PROC_VPGID PROC_PGID PROC_PID_TS PROC_IS_EXE_WRITABLE PROC_IS_EXE_UPPER_LAYER
        PROC_IS_EXE_LOWER_LAYER PROC_IS_EXE_FROM_MEMFD PROC_IS_SID_LEADER PROC_IS_VPGID_LEADER PROC_IS_PGID_LEADER PROC_EXE_INO
        PROC_EXE_INO_CTIME PROC_EXE_INO_MTIME PROC_EXE_INO_CTIME_DURATION_PROC_START PROC_EXE_INO_CTIME_DURATION_PIDNS_START
        PROC_PIDNS_INIT_START_TS PROC_FDLIMIT THREAD_CAP_PERMITTED THREAD_CAP_INHERITABLE THREAD_CAP_EFFECTIVE THREAD_ISMAIN THREAD_VTID
        THREAD_CGROUPS THREAD_CGROUP_LIST USER_UID USER_NAME USER_HOMEDIR USER_SHELL USER_LOGINUID USER_LOGINNAME GROUP_GID GROUP_NAME
        """.split()
        + [f"THREAD_CGROUP_{name.upper()}" for name in names.CGROUPS]
    ),
    Kind.ENV: ("PROC_ENV", "PROC_ENV_LIST"),
    Kind.FD: tuple(
        """
        FD_TYPE FD_TYPECHAR FD_NAME FD_NAMERAW FD_DIRECTORY FD_FILENAME FD_L4PROTO FD_SOCKFAMILY FD_IS_SERVER FD_CONNECTED FD_DEV
        FD_DEV_MAJOR FD_DEV_MINOR FD_INO FD_IS_UPPER_LAYER FD_IS_LOWER_LAYER FD_CIP FD_SIP FD_LIP FD_RIP FD_CPORT FD_SPORT FD_LPORT FD_RPORT
        FD_CPROTO FD_SPROTO FD_LPROTO FD_RPROTO FD_IP_SOURCE FD_IP_DEST FD_PORT_SOURCE FD_PORT_DEST FD_PROTO_SOURCE FD_PROTO_DEST
        """.split()
    ),
    Kind.FILES: tuple(
        """
        FD_TYPES FD_TYPE_TABLE PROC_STDIN_TYPE PROC_STDOUT_TYPE PROC_STDERR_TYPE PROC_STDIN_NAME PROC_STDOUT_NAME PROC_STDERR_NAME
        """.split()
    ),
    Kind.WORKLOAD: tuple(
        """
        CONTAINER_ID CONTAINER_FULL_ID CONTAINER_NAME CONTAINER_IMAGE CONTAINER_IMAGE_ID CONTAINER_TYPE CONTAINER_PRIVILEGED CONTAINER_MOUNTS
        CONTAINER_MOUNT_LIST CONTAINER_MOUNT_SOURCES CONTAINER_MOUNT_DESTS CONTAINER_MOUNT_MODES CONTAINER_MOUNT_RDWRS
        CONTAINER_MOUNT_PROPAGATIONS CONTAINER_IMAGE_REPOSITORY CONTAINER_IMAGE_TAG CONTAINER_IMAGE_DIGEST CONTAINER_HEALTHCHECK
        CONTAINER_LIVENESS_PROBE CONTAINER_READINESS_PROBE CONTAINER_START_TS CONTAINER_IP CONTAINER_CNI_JSON CONTAINER_HOST_PID
        CONTAINER_HOST_NETWORK CONTAINER_HOST_IPC CONTAINER_LABEL_LIST CONTAINER_LABELS PROC_IS_CONTAINER_HEALTHCHECK
        PROC_IS_CONTAINER_LIVENESS_PROBE PROC_IS_CONTAINER_READINESS_PROBE
        K8S_POD_NAME K8S_NS_NAME K8S_POD_ID K8S_POD_UID K8S_POD_SANDBOX_ID K8S_POD_FULL_SANDBOX_ID K8S_POD_LABEL_LIST K8S_POD_LABELS K8S_POD_IP
        K8S_POD_CNI_JSON K8S_RC_NAME K8S_RC_ID K8S_RC_LABEL_LIST K8S_RC_LABELS K8S_SVC_NAME K8S_SVC_ID K8S_SVC_LABEL_LIST K8S_SVC_LABELS
        K8S_NS_ID K8S_NS_LABEL_LIST K8S_NS_LABELS K8S_RS_NAME K8S_RS_ID K8S_RS_LABEL_LIST K8S_RS_LABELS K8S_DEPLOYMENT_NAME
        K8S_DEPLOYMENT_ID K8S_DEPLOYMENT_LABEL_LIST K8S_DEPLOYMENT_LABELS
        EDERA_WORKLOAD_ID EDERA_WORKLOAD_NAME EDERA_WORKLOAD_IMAGE EDERA_WORKLOAD_ANNOTATIONS
        """.split()
    ),
    Kind.LINEAGE: tuple(
        """
        LINEAGE_MAIN LINEAGE_ANCESTORS LINEAGE_THREADS SID_LEADER VPGID_LEADER PGID_LEADER PROC_PVPID PROC_PPID_TS PROC_LOGINSHELLID
        """.split()
    ),
}

BITS: Final = tuple(
    """
    OPEN_READ OPEN_WRITE OPEN_EXEC OPEN_CREATE SYSLOG NAME_CHANGED PROCINFO_MAIN IO_IN IO_OUT IO_FILE IO_NET
    ERROR_FILE ERROR_NET ERROR_MEMORY ERROR_OTHER
    """.split()
)
"""The bits of the EVENT cell EVT_BITS, by number. ERROR_*: which of evt.count.error.* the event counts for; IO_*: which evt.buflen.*."""

_SLOTS: Final[dict[str, tuple[Kind, int]]] = {cell: (kind, slot) for kind, cells in CELLS.items() for slot, cell in enumerate(cells)}

S: Final = Type.STRING
U: Final = Type.UINT64
I: Final = Type.SIGNED  # noqa: E741
B: Final = Type.BOOL
REL: Final = Type.RELTIME
ABS: Final = Type.ABSTIME
IP: Final = Type.IPADDR
NET: Final = Type.IPNET


def _slot(cell: str) -> int:
    return _SLOTS[cell][1]


def _field(
    name: str, type: Type, doc: str, op: Op, cell: str = "", second: str = "", arg: Arg = Arg.NO, is_list: bool = False, hidden: bool = False,
    note: str = "", suggested: bool = False,
) -> Field:  # fmt: skip
    kind, slot = _SLOTS[cell] if cell else (Kind.EVENT, 0)
    return Field(name, type, doc, op, kind, slot, _slot(second) if second else 0, arg, is_list, suggested, hidden, note)


def _cell(name: str, type: Type, doc: str, cell: str = "", hidden: bool = False, note: str = "", suggested: bool = False) -> Field:
    """A field that is a cell; the cell has the field's name unless told."""
    return _field(name, type, doc, Op.CELL, cell or name.upper().replace(".", "_"), hidden=hidden, note=note, suggested=suggested)


def _numbers(name: str, type: Type, doc: str, op: Op, kind: Kind, slot: int, slot2: int = 0, hidden: bool = False, note: str = "") -> Field:
    """A field whose slots are plain numbers."""
    return Field(name, type, doc, op, kind, slot, slot2, hidden=hidden, note=note)


def _bit(name: str, type: Type, doc: str, bit: str, kind: Kind = Kind.EVENT, hidden: bool = False) -> Field:
    return _numbers(name, type, doc, Op.BIT, kind, BITS.index(bit), hidden=hidden)


def _mask(*bits: str) -> int:
    return sum([1 << BITS.index(bit) for bit in bits])


def _none(name: str, type: Type, doc: str, arg: Arg = Arg.NO, hidden: bool = True, note: str = "") -> Field:
    return Field(name, type, doc, Op.NONE, arg=arg, hidden=hidden, note=note)


_CONSTANT: Final = "Deprecated in libsinsp, kept so that rules load"
_UNSIGNED: Final = "unsigned, for order comparisons: use it beside a test that the value is at least 0 (a negative one reads as 2^64 less)"


def _unsigned(of: Field) -> Field:
    """The companion of a signed number: plugin fields have no signed type, and text has no numeric order."""
    return replace(of, name=f"{of.name}.unsigned", type=U, doc=f"The number {of.name} as {_UNSIGNED}.", note="not in libsinsp")


def _evt() -> list[Field]:
    latency = "EVT_LATENCY"
    rawres = _cell("evt.rawres", I, "Return value of the system call. No value if the event has none.")
    fields = [
        _cell("evt.latency", REL, f"Always 0. {_CONSTANT}.", latency),
        _cell("evt.latency.s", REL, f"Always 0. {_CONSTANT}.", latency),
        _cell("evt.latency.ns", REL, f"Always 0. {_CONSTANT}.", latency),
        _cell("evt.latency.quantized", U, f"Always 0. {_CONSTANT}.", latency, hidden=True),
        _cell("evt.latency.human", S, f"Always 0ns. {_CONSTANT}."),
        _cell("evt.deltatime", REL, "Nanoseconds since the zone's previous event, 0 for its first."),
        _field("evt.deltatime.s", REL, "Whole seconds since the zone's previous event.", Op.CELLDIV, "EVT_DELTATIME"),
        _field("evt.deltatime.ns", REL, "Nanoseconds of evt.deltatime beyond its whole seconds.", Op.CELLMOD, "EVT_DELTATIME"),
        _none("evt.outputtime", S, "Time in Falco's output format: print only, use evt.time.", note="no value: it is the reading program's setting"),
        _cell("evt.dir", S, "'>' for an enter event, '<' for an exit event. Deprecated: nearly all are exit events."),
        _cell("evt.type", S, "Name of the event, for example openat; the system call's name for those without an event of their own."),
        Field(
            "evt.type.is", U, "1 if the event has the type in brackets, else 0; evt.type.is.NAME is the same.", Op.TYPEIS, Kind.ETYPE, NO_NAME,
            _slot("EVT_TYPE_NUMBER"), Arg.REQUIRED_KEY,
        ),
        _cell("syscall.type", S, "As evt.type, for system calls only."),
        _field(
            "evt.category", S, "What the event is about: file, net, ipc, memory, process, sleep, system, signal, user, time, processing, wait, "
            "scheduler, internal, other, unknown. Reads and writes have the category of their file.", Op.OVERRIDE, "EVT_CATEGORY",
            "EVT_CATEGORY_EVENT",
        ),
        _cell("evt.cpu", U, "Number of the virtual CPU."),
        _cell("evt.args", S, "All parameters: name=value or name=value(resolved), joined by blanks."),
        Field(
            "evt.arg", S, "A parameter as text, by name or position: evt.arg[fd], evt.arg[0]. evt.arg.NAME is the same.", Op.ARG, slot=NO_NAME,
            arg=Arg.INDEX_OR_KEY,
        ),
        Field(
            "evt.rawarg", S, "A parameter's bare value as text, by name: evt.rawarg[fd]. evt.rawarg.NAME has a number where it can.", Op.RAWARG,
            slot=NO_NAME, arg=Arg.KEY,
        ),
        _cell("evt.info", S, "The same as evt.args.", "EVT_ARGS"),
        Field(
            "evt.buffer", S, "Data that was read or written, as far as it was captured.", Op.BUFFER, slot=names.ARG_NAMES.index("data"),
            note="text with a dot for each byte that is not printable ASCII, as it prints in libsinsp; filters there see the bytes",
        ),
        _cell("evt.buflen", U, "Bytes that were moved: the return value of a read or write on a known file."),
        _field("evt.res", S, "SUCCESS, or the name of the error that the system call returned.", Op.RESULT, "EVT_RES", "EVT_RAWRES"),
        rawres,
        _unsigned(rawres),
        _numbers("evt.failed", B, "Whether the system call returned an error.", Op.FAILED, Kind.EVENT, 0, _slot("EVT_RAWRES")),
        _cell("evt.is_io", B, "Whether the event reads from or writes to a file."),
        _cell("evt.is_io_read", B, "Whether the event reads from a file."),
        _cell("evt.is_io_write", B, "Whether the event writes to a file."),
        _cell("evt.io_dir", S, "read or write, for events that do."),
        _cell("evt.is_wait", B, "Whether the event waits, for example select or nanosleep."),
        _cell("evt.wait_latency", REL, f"Always 0. {_CONSTANT}.", latency),
        _bit("evt.is_syslog", B, "Whether the event writes to /dev/log.", "SYSLOG"),
        _cell("evt.count", U, "Always 1."),
        _numbers("evt.count.error", U, "1 if the system call returned an error, else 0.", Op.FAILED, Kind.EVENT, 0, _slot("EVT_RAWRES")),
    ]
    for name, bit, what in (
        ("file", "ERROR_FILE", "on a file"), ("net", "ERROR_NET", "on a socket"), ("memory", "ERROR_MEMORY", "that is about memory"),
        ("other", "ERROR_OTHER", "that is about anything else"),
    ):  # fmt: skip
        doc = f"As evt.count.error, for a system call {what}."
        fields.append(_numbers(f"evt.count.error.{name}", U, doc, Op.FAILED, Kind.EVENT, _mask(bit), _slot("EVT_RAWRES")))
    fields += [
        _cell("evt.count.exit", U, "1 for an exit event."),
        _bit("evt.count.procinfo", U, "1 for a procinfo event of a main thread.", "PROCINFO_MAIN", hidden=True),
        _cell("evt.count.threadinfo", U, "1 for a procinfo event.", hidden=True),
        _none("evt.around", U, "Only in filters on the host: events around a time.", Arg.REQUIRED_INDEX, note="no value: it is a filter of libsinsp's"),
        _cell("evt.abspath", S, "Absolute path of a system call that names a file by directory and path."),
        _cell("evt.abspath.src", S, "First path of evt.abspath where there are two."),
        _cell("evt.abspath.dst", S, "Second path of evt.abspath where there are two."),
    ]
    for suffix, bits, what in (
        ("in", ("IO_IN",), "reads"), ("out", ("IO_OUT",), "writes"), ("file", ("IO_FILE",), "files"), ("file.in", ("IO_FILE", "IO_IN"), "reads of files"),
        ("file.out", ("IO_FILE", "IO_OUT"), "writes to files"), ("net", ("IO_NET",), "sockets"), ("net.in", ("IO_NET", "IO_IN"), "reads from sockets"),
        ("net.out", ("IO_NET", "IO_OUT"), "writes to sockets"),
    ):  # fmt: skip
        fields.append(
            _numbers(f"evt.buflen.{suffix}", U, f"As evt.buflen, for {what}.", Op.MASKED, Kind.EVENT, _slot("EVT_BUFLEN"), _mask(*bits), hidden=True)
        )
    fields += [
        _bit("evt.is_open_read", B, "Whether the event opens a file for reading.", "OPEN_READ"),
        _bit("evt.is_open_write", B, "Whether the event opens a file for writing.", "OPEN_WRITE"),
        _bit("evt.is_open_exec", B, "Whether the event creates a file that is executable.", "OPEN_EXEC"),
        _bit("evt.is_open_create", B, "Whether the event created the file that it opened.", "OPEN_CREATE"),
    ]
    for name in ("name", "container.id", "container.name", "container.image"):
        fields.append(_none(f"evt.infra.docker.{name}", S, "Of an infrastructure event, which zones do not have."))
    return fields


_ANCESTORS: Final = (
    # field, list field, type, cell, what
    ("proc.aexe", "proc.aexes", S, "PROC_EXE", "first argument"),
    ("proc.aexepath", "proc.aexepaths", S, "PROC_EXEPATH", "executable's path"),
    ("proc.aname", "proc.anames", S, "PROC_NAME", "name"),
    ("proc.aargs", "proc.aargslist", S, "PROC_ARGS", "arguments"),
    ("proc.acmdline", "proc.acmdlines", S, "PROC_CMDLINE", "command line"),
    ("proc.apid", "proc.apids", U, "PROC_PID", "process id"),
)


def _proc() -> list[Field]:
    lineage = "The ancestors' values, from the parent up. A filter on {0} without index is true if any ancestor matches; for that use {1} with intersects."
    fields = [
        _cell("proc.exe", S, "First argument of the process (argv[0])."),
        _field("proc.pexe", S, "First argument of the parent process.", Op.PARENT, "PROC_EXE"),
        _cell("proc.exepath", S, "Path of the executable."),
        _field("proc.pexepath", S, "Path of the parent's executable.", Op.PARENT, "PROC_EXEPATH"),
        _cell("proc.name", S, "Name of the thread (comm), at most 15 bytes."),
        _field("proc.pname", S, "Name of the parent process.", Op.PARENT, "PROC_NAME"),
        _field(
            "proc.args", S, "Arguments without the first, joined by blanks; proc.args[n] is one of them, counted from 0.", Op.ITEM, "PROC_ARGS",
            "PROC_ARGS_LIST", Arg.INDEX,
        ),
        _cell("proc.cmdline", S, "Name and arguments, joined by blanks."),
        _field("proc.pcmdline", S, "Name and arguments of the parent process.", Op.PARENT, "PROC_CMDLINE"),
        _cell("proc.cmdnargs", U, "Number of arguments without the first."),
        _cell("proc.cmdlenargs", U, "Length of all arguments without the first, in bytes, blanks not counted."),
        _cell("proc.exeline", S, "First argument and the others, joined by blanks."),
        _field("proc.env", S, "Environment, joined by blanks; proc.env[NAME] is the value of one variable.", Op.ENV, "PROC_ENV", "PROC_ENV_LIST", Arg.KEY),
        _field(
            "proc.aenv", S, "proc.aenv[n]: environment of the n-th ancestor. proc.aenv[NAME]: the nearest ancestor's value of a variable, looked for in 20 "
            "of them. Without index the own environment; for any ancestor's use proc.aenvs.", Op.AENV, "PROC_ENV", "PROC_ENV_LIST", Arg.INDEX_OR_KEY,
        ),
        _field("proc.aenvs", S, "Environments of all ancestors, from the parent up.", Op.AENVS, "PROC_ENV", is_list=True, note="not in libsinsp"),
        _field("proc.cwd", S, "Current directory of the process, with a slash at its end.", Op.MAIN, "PROC_CWD"),
        _cell("proc.loginshellid", U, "Process id of the oldest shell (name ending in sh) among the process and its ancestors."),
        _cell("proc.tty", U, "Device number of the controlling terminal, 0 if none."),
        _cell("proc.pid", I, "Process id, in the zone's first pid namespace."),
        _field("proc.ppid", U, "Process id of the parent.", Op.PARENT, "PROC_PID"),
        _cell("proc.vpid", U, "Process id as the process sees it, in its own pid namespace."),
        _cell("proc.pvpid", I, "Process id of the parent in the parent's own pid namespace."),
        _cell("proc.sid", I, "Session id."),
        _field("proc.sname", S, "Name of the session's leader, or of the oldest ancestor in the session.", Op.LEADER, "PROC_NAME", "SID_LEADER"),
        _field("proc.sid.exe", S, "First argument of the session's leader.", Op.LEADER, "PROC_EXE", "SID_LEADER"),
        _field("proc.sid.exepath", S, "Path of the executable of the session's leader.", Op.LEADER, "PROC_EXEPATH", "SID_LEADER"),
        _cell("proc.vpgid", I, "Process group id as the process sees it."),
        _field("proc.vpgid.name", S, "Name of the process group's leader, found by proc.vpgid.", Op.LEADER, "PROC_NAME", "VPGID_LEADER"),
        _field("proc.vpgid.exe", S, "First argument of the process group's leader, found by proc.vpgid.", Op.LEADER, "PROC_EXE", "VPGID_LEADER"),
        _field("proc.vpgid.exepath", S, "Executable of the process group's leader, found by proc.vpgid.", Op.LEADER, "PROC_EXEPATH", "VPGID_LEADER"),
        _cell("proc.pgid", I, "Process group id, in the zone's first pid namespace."),
        _field("proc.pgid.name", S, "Name of the process group's leader.", Op.LEADER, "PROC_NAME", "PGID_LEADER"),
        _field("proc.pgid.exe", S, "First argument of the process group's leader.", Op.LEADER, "PROC_EXE", "PGID_LEADER"),
        _field("proc.pgid.exepath", S, "Path of the executable of the process group's leader.", Op.LEADER, "PROC_EXEPATH", "PGID_LEADER"),
        _field("proc.duration", REL, "Nanoseconds since the process began.", Op.SINCE, "PROC_PID_TS"),
        _field("proc.ppid.duration", REL, "Nanoseconds since the parent process began.", Op.PSINCE, "PROC_PID_TS"),
        _cell("proc.pid.ts", REL, "When the process began, in nanoseconds since the epoch."),
        _cell("proc.ppid.ts", REL, "When the parent process began, in nanoseconds since the epoch."),
        _cell("proc.is_exe_writable", B, "Whether the user who runs the executable may write it."),
        _cell("proc.is_exe_upper_layer", B, "Whether the executable is in an overlay's upper layer: not part of the image."),
        _cell("proc.is_exe_lower_layer", B, "Whether the executable is in an overlay's lower layer."),
        _cell("proc.is_exe_from_memfd", B, "Whether the executable is a file that exists in memory only."),
        _cell("proc.is_sid_leader", B, "Whether the process leads its session."),
        _cell("proc.is_vpgid_leader", B, "Whether the process leads its process group, by proc.vpgid."),
        _cell("proc.is_pgid_leader", B, "Whether the process leads its process group."),
        _cell("proc.exe_ino", U, "Inode of the executable."),
        _cell("proc.exe_ino.ctime", ABS, "When the executable's inode changed last, in nanoseconds since the epoch."),
        _cell("proc.exe_ino.mtime", ABS, "When the executable was written last, in nanoseconds since the epoch."),
        _cell("proc.exe_ino.ctime_duration_proc_start", ABS, "Nanoseconds from the last change of the executable's inode to the start of the process."),
        _cell("proc.exe_ino.ctime_duration_pidns_start", ABS, "Nanoseconds from the start of the pid namespace to the last change of the executable's inode."),
        _cell("proc.pidns_init_start_ts", U, "When the pid namespace began, in nanoseconds since the epoch."),
        _cell("thread.cap_permitted", S, "Permitted capabilities, joined by blanks."),
        _cell("thread.cap_inheritable", S, "Inheritable capabilities, joined by blanks."),
        _cell("thread.cap_effective", S, "Effective capabilities, joined by blanks."),
        _cell("proc.fdopencount", U, "Number of open files of the process."),
        _field("proc.fdlimit", U, "Number of files that the process may open.", Op.MAIN, "PROC_FDLIMIT"),
        _cell("proc.fdusage", U, "Open files in percent of the limit.", note="whole number below libsinsp's fraction"),
        _cell("proc.vmsize", U, "Virtual memory, kB."),
        _cell("proc.vmrss", U, "Resident memory, kB."),
        _cell("proc.vmswap", U, "Swapped memory, kB."),
        _cell("thread.pfmajor", U, "Major page faults since the thread began."),
        _cell("thread.pfminor", U, "Minor page faults since the thread began."),
        Field("thread.tid", U, "Thread id, in the zone's first pid namespace.", Op.TID),
        _cell("thread.ismain", B, "Whether the thread is the main thread of its process."),
        _cell("thread.vtid", U, "Thread id as the thread sees it, in its own pid namespace."),
        _field("thread.nametid", S, "Name of the thread followed by its id.", Op.WITHTID, "PROC_NAME", hidden=True),
        _field("thread.exectime", REL, "For a switch event: nanoseconds since the previous switch of that CPU; else 0.", Op.ZERO, "THREAD_EXECTIME"),
        Field("thread.totexectime", REL, "Sum of thread.exectime of the thread.", Op.ZERO, Kind.THREAD, _slot("THREAD_TOTEXECTIME")),
        _cell("thread.cgroups", S, "Control groups as subsystem=path, joined by blanks."),
        _field("thread.cgroup", S, "Path of one control group: thread.cgroup[cpu]; thread.cgroup.cpu is the same.", Op.KEY, "THREAD_CGROUP_LIST", arg=Arg.REQUIRED_KEY),
        _cell("proc.nthreads", U, "Number of live threads of the process."),
        _cell("proc.nchilds", U, "Number of live threads of the process without the main thread."),
        _cell("thread.cpu", U, "Of a procinfo event: CPU time since the one before, at most 100."),
        _cell("thread.cpu.user", U, "User part of thread.cpu."),
        _cell("thread.cpu.system", U, "System part of thread.cpu."),
    ]
    for name, cell, shift in (
        ("thread.vmsize", "PROC_VMSIZE", 0), ("thread.vmrss", "PROC_VMRSS", 0), ("thread.vmsize.b", "PROC_VMSIZE", 10), ("thread.vmrss.b", "PROC_VMRSS", 10),
    ):  # fmt: skip
        doc = f"As proc.{name[7:12].rstrip('.')}{', in bytes' if shift else ''}, for the main thread; 0 for the others."
        fields.append(_numbers(name, U, doc, Op.IFMAIN, Kind.EVENT, _slot(cell), shift, hidden=bool(shift)))
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        fields.append(_cell(f"proc.{stream}.type", S, f"Type of file {number}, as fd.type."))
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        fields.append(_cell(f"proc.{stream}.name", S, f"Name of file {number}, as fd.name."))
    for name, many, type, cell, what in _ANCESTORS:
        own = "Without index the own process id." if type is U else "Without index those of all ancestors, joined by blanks."
        doc = f"{name}[n]: {what} of the n-th ancestor, the parent being 1 and the process itself 0. {own} For any ancestor's use {many}."
        fields.append(_field(name, type, doc, Op.ANCESTOR, cell, arg=Arg.INDEX))
        fields.append(_field(many, type, lineage.format(name, many), Op.ANCESTORS, cell, is_list=True, note="not in libsinsp"))
    for name in names.CGROUPS:
        fields.append(_cell(f"thread.cgroup.{name}", S, f"Path of the control group of {name}."))
    signed = [field for field in fields if field.type is I]
    return fields + [_unsigned(field) for field in signed]


def _user() -> list[Field]:
    fallback = "names come from the zone's own events, else root for id 0 and <NA> for others"
    loginuid = _cell("user.loginuid", I, "User id that the session was opened with, -1 if unknown.")
    return [
        _cell("user.uid", U, "User id."),
        _cell("user.name", S, "User name.", note=fallback),
        _cell("user.homedir", S, "Home directory of the user.", note=fallback),
        _cell("user.shell", S, "Login shell of the user.", note=fallback),
        loginuid,
        _unsigned(loginuid),
        _cell("user.loginname", S, "Name of the user that the session was opened with.", note=fallback),
        _cell("group.gid", U, "Group id."),
        _cell("group.name", S, "Group name.", note=fallback),
    ]


def _fd() -> list[Field]:
    num = _cell("fd.num", I, "Number of the file that the event is about, negative if there is none.")
    either = "A list with both ends. For = or != use {0} and {1}: a list has only in (all of them), intersects (any) and exists."
    filter_only = "has a value here; in libsinsp it can only be compared"
    fields = [
        num,
        _unsigned(num),
        _cell("fd.type", S, "file, directory, ipv4, ipv6, unix, pipe, event, signalfd, eventpoll, inotify, timerfd, netlink, bpf, userfaultfd, io_uring, memfd or pidfd."),
        _field("fd.typechar", S, "Type as one character: f file, d directory, 4 IPv4, 6 IPv6, u unix or userfaultfd, p pipe, e event, s signalfd, l eventpoll, "
               "i inotify, t timerfd, n netlink, b bpf, r io_uring, m memfd, P pidfd, o unknown.", Op.OVERRIDE, "FD_TYPECHAR", "FD_TYPECHAR_EVENT"),
        _field("fd.name", S, "Full path of a file, client:port->server:port of a socket, or what else the file is called.", Op.OVERRIDE, "FD_NAME", "FD_NAME_EVENT"),
        _field("fd.directory", S, "Directory of a file.", Op.OVERRIDE, "FD_DIRECTORY", "FD_DIRECTORY_EVENT"),
        _cell("fd.filename", S, "Name of a file without its directory."),
        _field("fd.ip", IP, f"Client and server address. {either.format('fd.ip.source', 'fd.ip.dest')}", Op.ENDS, "FD_IP_SOURCE", "FD_IP_DEST", is_list=True, note=filter_only),
        _cell("fd.cip", IP, "Client address."),
        _cell("fd.sip", IP, "Server address; a listening socket's own."),
        _cell("fd.lip", IP, "Local address: the client's if the zone has it, else the server's."),
        _cell("fd.rip", IP, "Remote address: the other end of fd.lip."),
        _field("fd.port", U, f"Client and server port. {either.format('fd.port.source', 'fd.port.dest')}", Op.ENDS, "FD_PORT_SOURCE", "FD_PORT_DEST", is_list=True, note=filter_only),
        _cell("fd.cport", U, "Client port."),
        _cell("fd.sport", U, "Server port; a listening socket's own."),
        _cell("fd.lport", U, "Local port."),
        _cell("fd.rport", U, "Remote port."),
        _cell("fd.l4proto", S, "tcp, udp, icmp or raw; <NA> if not known or not a socket."),
        _cell("fd.sockfamily", S, "ip or unix, of a socket."),
        _cell("fd.is_server", B, "Whether the socket listens, or its server address is the zone's own."),
        _field("fd.uid", S, "Thread id directly followed by the file's number.", Op.WITHTID, "FD_NUM"),
        _field("fd.containername", S, "Container id, a colon, and fd.name.", Op.PREFIXED, "FD_NAME", "FD_NAME_EVENT"),
        _field("fd.containerdirectory", S, "Container id, a colon, and fd.directory.", Op.PREFIXED, "FD_DIRECTORY", "FD_DIRECTORY_EVENT"),
        _field("fd.proto", S, f"Client and server port as text. {either.format('fd.port.source', 'fd.port.dest')}", Op.ENDS, "FD_PROTO_SOURCE", "FD_PROTO_DEST", is_list=True, note=filter_only),
        _cell("fd.cproto", S, "Client port as text."),
        _cell("fd.sproto", S, "Server port as text."),
        _cell("fd.lproto", S, "Local port as text."),
        _cell("fd.rproto", S, "Remote port as text."),
        _field("fd.net", NET, f"Client and server address, for networks. {either.format('fd.net.source', 'fd.net.dest')}", Op.ENDS, "FD_IP_SOURCE", "FD_IP_DEST", is_list=True, note=filter_only),
        _cell("fd.cnet", NET, "Client address, for networks.", "FD_CIP"),
        _cell("fd.snet", NET, "Server address, for networks.", "FD_SIP"),
        _cell("fd.lnet", NET, "Local address, for networks.", "FD_LIP"),
        _cell("fd.rnet", NET, "Remote address, for networks.", "FD_RIP"),
        _cell("fd.connected", B, "Whether the socket is connected."),
        _bit("fd.name_changed", B, "Whether the event changed the file's name, as the first packet of a UDP socket does.", "NAME_CHANGED", Kind.FD),
    ]
    for side, what in (("c", "client"), ("s", "server"), ("l", "local"), ("r", "remote")):
        fields.append(_none(f"fd.{side}ip.name", S, f"Domain name of the {what} address.", hidden=False, note="no value: it is a look-up of the reading machine's"))
    fields += [
        _cell("fd.dev", U, "Device that holds the file.", note="prints decimal; libsinsp prints hexadecimal"),
        _cell("fd.dev.major", U, "Major number of fd.dev."),
        _cell("fd.dev.minor", U, "Minor number of fd.dev."),
        _cell("fd.ino", U, "Inode of the file."),
        _field("fd.nameraw", S, "Path as the program gave it, repeated slashes removed.", Op.OVERRIDE, "FD_NAMERAW", "FD_NAMERAW_EVENT"),
        _field(
            "fd.types", S, "Types of all open files of the process, each once; fd.types[n] is that of file n alone.", Op.FDTYPE, "FD_TYPES", "FD_TYPE_TABLE",
            Arg.INDEX, is_list=True, note="fd.types[n] for n below 32",
        ),
        _cell("fd.is_upper_layer", B, "Whether the file is in an overlay's upper layer."),
        _cell("fd.is_lower_layer", B, "Whether the file is in an overlay's lower layer."),
    ]
    for end, what in (("source", "First end of fd.{0}: the client's once roles are known; a listening socket's own."), ("dest", "Second end of fd.{0}: the server's once roles are known; a listening socket's own.")):
        upper = end.upper()
        fields += [
            _cell(f"fd.ip.{end}", IP, what.format("ip"), note="not in libsinsp"),
            _cell(f"fd.net.{end}", NET, what.format("net"), f"FD_IP_{upper}", note="not in libsinsp"),
            _cell(f"fd.port.{end}", U, what.format("port"), note="not in libsinsp"),
            _cell(f"fd.proto.{end}", S, what.format("proto"), note="not in libsinsp"),
        ]
    return fields


def _others() -> list[Field]:
    fields = [
        _cell("fs.path.name", S, "Full path that a successful system call was about, where it takes one path."),
        _cell("fs.path.nameraw", S, "fs.path.name as the program gave it."),
        _cell("fs.path.source", S, "Full path of the source of a successful system call that takes two paths."),
        _cell("fs.path.sourceraw", S, "fs.path.source as the program gave it."),
        _cell("fs.path.target", S, "Full path of the target of a successful system call that takes two paths."),
        _cell("fs.path.targetraw", S, "fs.path.target as the program gave it."),
        _none("util.cnt", U, "A counter of libsinsp's.", note="no value: it counts how often it was asked for"),
    ]
    for name, what in (
        ("nums", "Numbers"), ("names", "Names"), ("cips", "Client addresses"), ("sips", "Server addresses"), ("cports", "Client ports"), ("sports", "Server ports"),
    ):  # fmt: skip
        fields.append(_cell(f"fdlist.{name}", S, f"{what} of the files that poll or ppoll waited for, joined by commas."))
    return fields


def _workload() -> list[Field]:
    def key(name: str, doc: str) -> Field:
        return _field(name, S, doc, Op.KEY, name.upper().replace(".", "_") + "_LIST", arg=Arg.REQUIRED_KEY)

    def mount(name: str, what: str, cell: str, by: str, keys: str) -> Field:
        doc = f"{what} of one mount, by number or by {by}, which may hold * and ?."
        return _field(name, S, doc, Op.GLOB, cell, keys, Arg.REQUIRED_INDEX_OR_KEY)

    fields = [
        _cell("container.id", S, "Id of the workload, its first 12 characters; host for what belongs to none.", suggested=True),
        _cell("container.full_id", S, "Full id of the workload."),
        _cell("container.name", S, "Name of the workload.", suggested=True),
        _cell("container.image", S, "Image of the workload, with its tag."),
        _cell("container.image.id", S, "Id of the image."),
        _cell("container.type", S, "Runtime that made the container: edera, or what its annotations say."),
        _cell("container.privileged", B, "Whether the workload is privileged."),
        _cell("container.mounts", S, "All mounts as source:dest:mode:rdwr:propagation, joined by commas."),
        mount("container.mount", "All facts", "CONTAINER_MOUNT_LIST", "source", "CONTAINER_MOUNT_SOURCES"),
        mount("container.mount.source", "Source", "CONTAINER_MOUNT_SOURCES", "destination", "CONTAINER_MOUNT_DESTS"),
        mount("container.mount.dest", "Destination", "CONTAINER_MOUNT_DESTS", "source", "CONTAINER_MOUNT_SOURCES"),
        mount("container.mount.mode", "Mode", "CONTAINER_MOUNT_MODES", "destination", "CONTAINER_MOUNT_DESTS"),
        mount("container.mount.rdwr", "Whether writable", "CONTAINER_MOUNT_RDWRS", "destination", "CONTAINER_MOUNT_DESTS"),
        mount("container.mount.propagation", "Propagation", "CONTAINER_MOUNT_PROPAGATIONS", "destination", "CONTAINER_MOUNT_DESTS"),
        _cell("container.image.repository", S, "Repository of the image.", suggested=True),
        _cell("container.image.tag", S, "Tag of the image.", suggested=True),
        _cell("container.image.digest", S, "Digest of the image."),
        _cell("container.healthcheck", S, "Health check of the container. Deprecated."),
        _cell("container.liveness_probe", S, "Liveness probe of the container. Deprecated."),
        _cell("container.readiness_probe", S, "Readiness probe of the container. Deprecated."),
        _cell("container.start_ts", ABS, "When the workload began, in nanoseconds since the epoch."),
        _field("container.duration", REL, "Nanoseconds since the workload began.", Op.SINCE, "CONTAINER_START_TS"),
        _cell("container.ip", S, "Address of the workload."),
        _cell("container.cni.json", S, "Result of the network plugin."),
        _cell("container.host_pid", B, "Whether the workload shares its zone's pid namespace."),
        _cell("container.host_network", B, "Whether the workload shares its zone's network namespace."),
        _cell("container.host_ipc", B, "Whether the workload shares its zone's ipc namespace."),
        key("container.label", "One label of the container."),
        _cell("container.labels", S, "All labels as key:value, joined by commas."),
        _cell("proc.is_container_healthcheck", B, "Whether the process is a health check. Deprecated."),
        _cell("proc.is_container_liveness_probe", B, "Whether the process is a liveness probe. Deprecated."),
        _cell("proc.is_container_readiness_probe", B, "Whether the process is a readiness probe. Deprecated."),
        _cell("k8s.pod.name", S, "Name of the pod.", suggested=True),
        _cell("k8s.ns.name", S, "Namespace of the pod.", suggested=True),
        _cell("k8s.pod.id", S, "Id of the pod. Deprecated: use k8s.pod.uid."),
        _cell("k8s.pod.uid", S, "Unique id of the pod."),
        _cell("k8s.pod.sandbox_id", S, "Id of the pod's sandbox, its first 12 characters."),
        _cell("k8s.pod.full_sandbox_id", S, "Full id of the pod's sandbox."),
        key("k8s.pod.label", "One label of the pod."),
        _cell("k8s.pod.labels", S, "All labels of the pod as key:value, joined by commas."),
        _cell("k8s.pod.ip", S, "Address of the pod."),
        _cell("k8s.pod.cni.json", S, "Result of the network plugin for the pod."),
    ]
    for short, what in (("rc", "replication controller"), ("svc", "service")):
        fields += [
            _cell(f"k8s.{short}.name", S, f"Name of the {what}. Deprecated."),
            _cell(f"k8s.{short}.id", S, f"Id of the {what}. Deprecated."),
            key(f"k8s.{short}.label", f"One label of the {what}. Deprecated."),
            _cell(f"k8s.{short}.labels", S, f"All labels of the {what}. Deprecated."),
        ]
    fields += [
        _cell("k8s.ns.id", S, "Id of the namespace. Deprecated."),
        key("k8s.ns.label", "One label of the namespace. Deprecated."),
        _cell("k8s.ns.labels", S, "All labels of the namespace. Deprecated."),
    ]
    for short, what in (("rs", "replica set"), ("deployment", "deployment")):
        fields += [
            _cell(f"k8s.{short}.name", S, f"Name of the {what}. Deprecated."),
            _cell(f"k8s.{short}.id", S, f"Id of the {what}. Deprecated."),
            key(f"k8s.{short}.label", f"One label of the {what}. Deprecated."),
            _cell(f"k8s.{short}.labels", S, f"All labels of the {what}. Deprecated."),
        ]
    return fields


def _edera() -> list[Field]:
    return [
        _cell("edera.zone.id", S, "Id of the zone.", suggested=True),
        _cell("edera.zone.name", S, "Name of the zone.", suggested=True),
        _cell("edera.zone.state", S, "State of the zone as the host reports it: ready, ..."),
        _cell("edera.zone.host", S, "Host that the zone runs on."),
        _cell("edera.zone.domid", U, "Domain id of the zone in the hypervisor."),
        _cell("edera.zone.ip", IP, "Address of the zone: IPv4 if it has one, else IPv6."),
        _cell("edera.zone.kernel", S, "Image of the zone's kernel."),
        _field("edera.zone.annotation", S, "One annotation of the zone.", Op.KEY, "EDERA_ZONE_ANNOTATIONS", arg=Arg.REQUIRED_KEY),
        _cell("edera.zone.ready_time", ABS, "When the zone became ready, in nanoseconds since the epoch."),
        _cell("edera.zone.tainted", B, "Whether events of the zone were lost, so that what is known of its processes and files may be wrong."),
        _cell("edera.workload.id", S, "Id of the workload."),
        _cell("edera.workload.name", S, "Name of the workload."),
        _cell("edera.workload.image", S, "Image of the workload."),
        _field("edera.workload.annotation", S, "One annotation of the workload.", Op.KEY, "EDERA_WORKLOAD_ANNOTATIONS", arg=Arg.REQUIRED_KEY),
        Field("edera.redelivered", B, "Whether Falco may have seen this event before: it was sent again after a restart.", Op.FLAG),
        _cell("edera.notice.kind", S, "Of a notice, an event by which edera-falcod tells something: what kind it is."),
        _cell("edera.notice.text", S, "Text of a notice."),
        _cell("edera.notice.zone", S, "Id of the zone that a notice is about."),
        _cell("edera.notice.count", U, "How many events a notice is about."),
        _cell("edera.notice.cause", S, "Why it happened, of a notice."),
    ]


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


def _parameters() -> list[Field]:
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
            fields.append(_unsigned(raw))
    return fields


def _event_types() -> list[Field]:
    return [
        _numbers(f"evt.type.is.{name}", U, f"1 if the event is of type {name}, else 0.", Op.TYPEIS, Kind.ETYPE, number, _slot("EVT_TYPE_NUMBER"))
        for number, name in enumerate(names.EVENT_NAMES)
    ]


FIELDS: Final[tuple[Field, ...]] = (
    *_evt(), *_proc(), *_user(), *_fd(), *_others(), *_workload(), *_edera(), *_parameters(), *_event_types(),
)  # fmt: skip
"""Every field. A field's place is its id, in this daemon and in every shim whose registry begins like this one."""
