"""Bounds of what a zone may make the daemon remember, and the counters of what was refused or evicted.

A zone is hostile territory: nothing that it sends may grow our memory without end. What the limits add up to, measured, is in
docs/limits.md.
"""

from __future__ import annotations

from typing import Final, final

# libsinsp keeps 262,144 threads for a whole host (thread_manager.h); a zone is a microVM, whose kernel.pid_max is 32,768 by
# default, so more threads than that cannot be alive at once.
MAX_THREADS: Final = 32_768

# Open files of one process: libsinsp's own limit (settings.h). More are counted and not kept.
MAX_FDS: Final = 4_096

# Open files of all processes, those that a fork shares counted once: 16 processes at their limit.
MAX_ZONE_FDS: Final = 65_536

# libscap cuts each of them at 4,096 bytes (scap_limits.h: SCAP_MAX_ARGS_SIZE, SCAP_MAX_ENV_SIZE, SCAP_MAX_CGROUPS_SIZE); a parameter
# of an event is 65,535 bytes at most, and large environments are an option of libs.
MAX_ARGS: Final = 16_384
MAX_ENV: Final = 65_536
MAX_CGROUPS: Final = 16_384

# The kernel's PATH_MAX: executables, and names of files as a program gave them (MAX_PATH once a zone has MAX_FDS files).
MAX_RAW_PATH: Final = 4_096

# SCAP_MAX_PATH_SIZE: a path that we put together is shorter than this, or libsinsp's text for "too long".
MAX_PATH: Final = 1_024

# The kernel's TASK_COMM_LEN is 16; snapshots of kernel threads have longer ones (up to 64). libscap allows 1,024.
MAX_COMM: Final = 1_024

# Arguments, environments, cgroups, executables and directories of all threads of a zone, in bytes. 32,768 processes with the 4 kB that
# an average one needs; beyond it, environments and arguments are left out, and counted.
MAX_ZONE_TEXT: Final = 134_217_728

# Steps of a walk towards the root of the process tree. A kernel has no such limit; deeper than this is a program that plays with forks, and
# each step costs every event of that process.
MAX_LINEAGE: Final = 1_024

# Users, and groups, that the zone told us of. More than any /etc/passwd of a workload.
MAX_USERS: Final = 4_096

# CPUs of which we remember the last context switch; the kernel's NR_CPUS on x86-64 is 8,192.
MAX_CPUS: Final = 8_192

# Different cgroup lists that we share between threads that have the same one.
MAX_SHARED_CGROUPS: Final = 256

# Descriptors in one SCM_RIGHTS message: the kernel's SCM_MAX_FD.
MAX_PASSED_FDS: Final = 253

# Enter events that wait for their exit, of drivers that send both for open and connect; one a thread, and a thread is in one system call.
MAX_ENTERS: Final = 1_024
MAX_ENTER_SIZE: Final = 2 * MAX_RAW_PATH  # bytes of its parameters; a path and some numbers

# libsinsp's ring of threads that exited lately (thread_manager.h, RECENTLY_EXITED_RING_SIZE).
MAX_RECENTLY_EXITED: Final = 8_192

# Times, ns
CLONE_STALE: Final = 2_000_000_000  # CLONE_STALE_TIME_NS: an entry older than this at its own clone event is another thread's
RECENTLY_EXITED: Final = 2_000_000_000  # how long an exit forbids the caller's side of clone to make the child again
PURGE_INTERVAL: Final = 1_200_000_000_000  # libsinsp scans its table every 20 min of event time
PURGE_FIRST: Final = 30_000_000_000  # ... and first after 30 s
SET_BACK: Final = PURGE_INTERVAL + PURGE_FIRST  # ns before the next scan at which a zone's clock must have been set back
PURGE_IDLE: Final = 1_800_000_000_000  # a thread that did nothing for 30 min may be gone ...
PURGE_SHARE: Final = 8  # threads scanned for each event at most, whatever times a zone's events have: less than the event itself costs
PURGE_AT_ONCE: Final = 256  # threads that go with the event that found them idle; of more, PURGE_SHARE with each event behind it
PURGE_ABOVE: Final = MAX_THREADS // 2  # ... which we cannot ask in a zone: it is given up only when the table is this full
PLACEHOLDER_IDLE: Final = 30_000_000_000  # a thread of which we know nothing but that it was there


@final
class Counters:
    """What was refused or evicted in one zone, since its state was made. All only grow."""

    __slots__ = (
        "threads_refused", "fds_refused", "text_refused", "text_truncated", "cycles_cut", "lineage_cut", "users_refused",
        "placeholders", "threads_purged", "tid_collisions", "threads_added", "threads_removed", "snapshots", "drop_events",
        "malformed_params",
    )  # fmt: skip

    def __init__(self) -> None:
        self.threads_refused = 0  # table full
        self.fds_refused = 0  # table of a process or of the zone full
        self.text_refused = 0  # arguments or environments left out, MAX_ZONE_TEXT
        self.text_truncated = 0  # single texts cut at their limit
        self.cycles_cut = 0  # a parent that is its own descendant
        self.lineage_cut = 0  # walks given up at MAX_LINEAGE
        self.users_refused = 0
        self.placeholders = 0  # threads that no snapshot and no clone told of
        self.threads_purged = 0  # removed without an exit event
        self.tid_collisions = 0  # a clone for a tid that was there: its exit was lost
        self.threads_added = 0
        self.threads_removed = 0
        self.snapshots = 0
        self.drop_events = 0  # PPME_DROP_*: the zone's own driver told of a loss
        self.malformed_params = 0  # parameters whose length does not fit their type, read as absent

    def items(self) -> list[tuple[str, int]]:
        """Names and values, for metrics."""
        return [
            ("threads_refused", self.threads_refused),
            ("fds_refused", self.fds_refused),
            ("text_refused", self.text_refused),
            ("text_truncated", self.text_truncated),
            ("cycles_cut", self.cycles_cut),
            ("lineage_cut", self.lineage_cut),
            ("users_refused", self.users_refused),
            ("placeholders", self.placeholders),
            ("threads_purged", self.threads_purged),
            ("tid_collisions", self.tid_collisions),
            ("threads_added", self.threads_added),
            ("threads_removed", self.threads_removed),
            ("snapshots", self.snapshots),
            ("drop_events", self.drop_events),
            ("malformed_params", self.malformed_params),
        ]
