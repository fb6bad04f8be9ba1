"""Fields of the thread and its process: proc.*, thread.*, user.*, group.*."""

from __future__ import annotations

from typing import Final

from . import names
from .declare import ABS, REL, B, I, S, U, cell_field, field_at, numbered_field, slot_of, unsigned_field
from .spec import Arg, Field, Kind, Op

_ANCESTORS: Final = (
    # field, list field, type, cell, what
    ("proc.aexe", "proc.aexes", S, "PROC_EXE", "first argument"),
    ("proc.aexepath", "proc.aexepaths", S, "PROC_EXEPATH", "executable's path"),
    ("proc.aname", "proc.anames", S, "PROC_NAME", "name"),
    ("proc.aargs", "proc.aargslist", S, "PROC_ARGS", "arguments"),
    ("proc.acmdline", "proc.acmdlines", S, "PROC_CMDLINE", "command line"),
    ("proc.apid", "proc.apids", U, "PROC_PID", "process id"),
)


def proc_fields() -> list[Field]:
    lineage = (
        "The ancestors' values, from the parent up. A filter on {0} without index is true on the host if any ancestor matches; "
        "for that use {1} with intersects."
    )
    fields = [
        cell_field("proc.exe", S, "First argument of the process (argv[0])."),
        field_at("proc.pexe", S, "First argument of the parent process.", Op.PARENT, "PROC_EXE"),
        cell_field("proc.exepath", S, "Path of the executable."),
        field_at("proc.pexepath", S, "Path of the parent's executable.", Op.PARENT, "PROC_EXEPATH"),
        cell_field("proc.name", S, "Name of the thread (comm), at most 15 bytes."),
        field_at("proc.pname", S, "Name of the parent process.", Op.PARENT, "PROC_NAME"),
        field_at(
            "proc.args",
            S,
            "Arguments without the first, joined by blanks; proc.args[n] is one of them, counted from 0.",
            Op.ITEM,
            "PROC_ARGS",
            "PROC_ARGS_LIST",
            Arg.INDEX,
        ),
        cell_field("proc.cmdline", S, "Name and arguments, joined by blanks."),
        field_at("proc.pcmdline", S, "Name and arguments of the parent process.", Op.PARENT, "PROC_CMDLINE"),
        cell_field("proc.cmdnargs", U, "Number of arguments without the first."),
        cell_field("proc.cmdlenargs", U, "Length of all arguments without the first, in bytes, blanks not counted."),
        cell_field("proc.exeline", S, "First argument and the others, joined by blanks."),
        field_at(
            "proc.env",
            S,
            "Environment, joined by blanks; proc.env[NAME] is the value of one variable.",
            Op.ENV,
            "PROC_ENV",
            "PROC_ENV_LIST",
            Arg.KEY,
        ),
        field_at(
            "proc.aenv",
            S,
            "proc.aenv[n]: environment of the n-th ancestor. proc.aenv[NAME]: the nearest ancestor's value of a variable, looked for in 20 "
            "of them. Without index the own environment; for any ancestor's use proc.aenvs.",
            Op.AENV,
            "PROC_ENV",
            "PROC_ENV_LIST",
            Arg.INDEX_OR_KEY,
        ),
        field_at(
            "proc.aenvs",
            S,
            "Environments of all ancestors, from the parent up.",
            Op.AENVS,
            "PROC_ENV",
            is_list=True,
            note="not in libsinsp",
        ),
        field_at("proc.cwd", S, "Current directory of the process, with a slash at its end.", Op.MAIN, "PROC_CWD"),
        cell_field("proc.loginshellid", U, "Process id of the oldest shell (name ending in sh) among the process and its ancestors."),
        cell_field("proc.tty", U, "Device number of the controlling terminal, 0 if none."),
        cell_field("proc.pid", I, "Process id, in the zone's first pid namespace."),
        field_at("proc.ppid", U, "Process id of the parent.", Op.PARENT, "PROC_PID"),
        cell_field("proc.vpid", U, "Process id as the process sees it, in its own pid namespace."),
        cell_field("proc.pvpid", I, "Process id of the parent in the parent's own pid namespace."),
        cell_field("proc.sid", I, "Session id."),
        field_at(
            "proc.sname", S, "Name of the session's leader, or of the oldest ancestor in the session.", Op.LEADER, "PROC_NAME", "SID_LEADER"
        ),
        field_at("proc.sid.exe", S, "First argument of the session's leader.", Op.LEADER, "PROC_EXE", "SID_LEADER"),
        field_at("proc.sid.exepath", S, "Path of the executable of the session's leader.", Op.LEADER, "PROC_EXEPATH", "SID_LEADER"),
        cell_field("proc.vpgid", I, "Process group id as the process sees it."),
        field_at("proc.vpgid.name", S, "Name of the process group's leader, found by proc.vpgid.", Op.LEADER, "PROC_NAME", "VPGID_LEADER"),
        field_at(
            "proc.vpgid.exe", S, "First argument of the process group's leader, found by proc.vpgid.", Op.LEADER, "PROC_EXE", "VPGID_LEADER"
        ),
        field_at(
            "proc.vpgid.exepath",
            S,
            "Executable of the process group's leader, found by proc.vpgid.",
            Op.LEADER,
            "PROC_EXEPATH",
            "VPGID_LEADER",
        ),
        cell_field("proc.pgid", I, "Process group id, in the zone's first pid namespace."),
        field_at("proc.pgid.name", S, "Name of the process group's leader.", Op.LEADER, "PROC_NAME", "PGID_LEADER"),
        field_at("proc.pgid.exe", S, "First argument of the process group's leader.", Op.LEADER, "PROC_EXE", "PGID_LEADER"),
        field_at("proc.pgid.exepath", S, "Path of the executable of the process group's leader.", Op.LEADER, "PROC_EXEPATH", "PGID_LEADER"),
        field_at("proc.duration", REL, "Nanoseconds since the process began.", Op.SINCE, "PROC_PID_TS"),
        field_at("proc.ppid.duration", REL, "Nanoseconds since the parent process began.", Op.PSINCE, "PROC_PID_TS"),
        cell_field("proc.pid.ts", REL, "When the process began, in nanoseconds since the epoch."),
        cell_field("proc.ppid.ts", REL, "When the parent process began, in nanoseconds since the epoch."),
        cell_field("proc.is_exe_writable", B, "Whether the user who runs the executable may write it."),
        cell_field("proc.is_exe_upper_layer", B, "Whether the executable is in an overlay's upper layer: not part of the image."),
        cell_field("proc.is_exe_lower_layer", B, "Whether the executable is in an overlay's lower layer."),
        cell_field("proc.is_exe_from_memfd", B, "Whether the executable is a file that exists in memory only."),
        cell_field("proc.is_sid_leader", B, "Whether the process leads its session."),
        cell_field("proc.is_vpgid_leader", B, "Whether the process leads its process group, by proc.vpgid."),
        cell_field("proc.is_pgid_leader", B, "Whether the process leads its process group."),
        cell_field("proc.exe_ino", U, "Inode of the executable."),
        cell_field("proc.exe_ino.ctime", ABS, "When the executable's inode changed last, in nanoseconds since the epoch."),
        cell_field("proc.exe_ino.mtime", ABS, "When the executable was written last, in nanoseconds since the epoch."),
        cell_field(
            "proc.exe_ino.ctime_duration_proc_start",
            ABS,
            "Nanoseconds from the last change of the executable's inode to the start of the process.",
        ),
        cell_field(
            "proc.exe_ino.ctime_duration_pidns_start",
            ABS,
            "Nanoseconds from the start of the pid namespace to the last change of the executable's inode.",
        ),
        cell_field("proc.pidns_init_start_ts", U, "When the pid namespace began, in nanoseconds since the epoch."),
        cell_field("thread.cap_permitted", S, "Permitted capabilities, joined by blanks."),
        cell_field("thread.cap_inheritable", S, "Inheritable capabilities, joined by blanks."),
        cell_field("thread.cap_effective", S, "Effective capabilities, joined by blanks."),
        cell_field("proc.fdopencount", U, "Number of open files of the process."),
        field_at("proc.fdlimit", U, "Number of files that the process may open.", Op.MAIN, "PROC_FDLIMIT"),
        cell_field("proc.fdusage", U, "Open files in percent of the limit.", note="whole number below libsinsp's fraction"),
        cell_field("proc.vmsize", U, "Virtual memory, kB."),
        cell_field("proc.vmrss", U, "Resident memory, kB."),
        cell_field("proc.vmswap", U, "Swapped memory, kB."),
        cell_field("thread.pfmajor", U, "Major page faults since the thread began."),
        cell_field("thread.pfminor", U, "Minor page faults since the thread began."),
        Field("thread.tid", U, "Thread id, in the zone's first pid namespace.", Op.TID),
        cell_field("thread.ismain", B, "Whether the thread is the main thread of its process."),
        cell_field("thread.vtid", U, "Thread id as the thread sees it, in its own pid namespace."),
        field_at("thread.nametid", S, "Name of the thread followed by its id.", Op.WITHTID, "PROC_NAME", hidden=True),
        field_at(
            "thread.exectime",
            REL,
            "For a switch event: nanoseconds since the previous switch of that CPU; else 0.",
            Op.ZERO,
            "THREAD_EXECTIME",
        ),
        Field("thread.totexectime", REL, "Sum of thread.exectime of the thread.", Op.ZERO, Kind.THREAD, slot_of("THREAD_TOTEXECTIME")),
        cell_field("thread.cgroups", S, "Control groups as subsystem=path, joined by blanks."),
        field_at(
            "thread.cgroup",
            S,
            "Path of one control group: thread.cgroup[cpu]; thread.cgroup.cpu is the same.",
            Op.KEY,
            "THREAD_CGROUP_LIST",
            arg=Arg.REQUIRED_KEY,
        ),
        cell_field("proc.nthreads", U, "Number of live threads of the process."),
        cell_field("proc.nchilds", U, "Number of live threads of the process without the main thread."),
        cell_field("thread.cpu", U, "Of a procinfo event: CPU time since the one before, at most 100."),
        cell_field("thread.cpu.user", U, "User part of thread.cpu."),
        cell_field("thread.cpu.system", U, "System part of thread.cpu."),
    ]
    for name, cell, shift in (
        ("thread.vmsize", "PROC_VMSIZE", 0), ("thread.vmrss", "PROC_VMRSS", 0),
        ("thread.vmsize.b", "PROC_VMSIZE", 10), ("thread.vmrss.b", "PROC_VMRSS", 10),
    ):  # fmt: skip
        doc = f"As proc.{name[7:12].rstrip('.')}{', in bytes' if shift else ''}, for the main thread; 0 for the others."
        fields.append(numbered_field(name, U, doc, Op.IFMAIN, Kind.EVENT, slot_of(cell), shift, hidden=bool(shift)))
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        fields.append(cell_field(f"proc.{stream}.type", S, f"Type of file {number}, as fd.type."))
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        fields.append(cell_field(f"proc.{stream}.name", S, f"Name of file {number}, as fd.name."))
    for name, many, type, cell, what in _ANCESTORS:
        own = "Without index the own process id." if type is U else "Without index those of all ancestors, joined by blanks."
        doc = f"{name}[n]: {what} of the n-th ancestor, the parent being 1 and the process itself 0. {own} For any ancestor's use {many}."
        fields.append(field_at(name, type, doc, Op.ANCESTOR, cell, arg=Arg.INDEX))
        fields.append(field_at(many, type, lineage.format(name, many), Op.ANCESTORS, cell, is_list=True, note="not in libsinsp"))
    for name in names.CGROUPS:
        fields.append(cell_field(f"thread.cgroup.{name}", S, f"Path of the control group of {name}."))
    signed = [field for field in fields if field.type is I]
    return fields + [unsigned_field(field) for field in signed]


def user_fields() -> list[Field]:
    fallback = "names come from the zone's own events, else root for id 0 and <NA> for others"
    loginuid = cell_field("user.loginuid", I, "User id that the session was opened with, -1 if unknown.")
    return [
        cell_field("user.uid", U, "User id."),
        cell_field("user.name", S, "User name.", note=fallback),
        cell_field("user.homedir", S, "Home directory of the user.", note=fallback),
        cell_field("user.shell", S, "Login shell of the user.", note=fallback),
        loginuid,
        unsigned_field(loginuid),
        cell_field("user.loginname", S, "Name of the user that the session was opened with.", note=fallback),
        cell_field("group.gid", U, "Group id."),
        cell_field("group.name", S, "Group name.", note=fallback),
    ]
