"""How important an event type is when a consumer cannot keep up: falco/ring.py sheds the lowest first.

What changes the picture of a zone (processes, identities, connections, modules, mounts) outlasts what merely uses it.
"""

from __future__ import annotations

from typing import Final

from ..scap import tables as t
from ..scap.schema import EventInfo

LOW: Final = 0  # reads, writes, waits, memory, context switches
NORMAL: Final = 1  # all else: files and directories, mostly
HIGH: Final = 2  # processes, identities, connections
NOTICE: Final = 3  # what edera-falcod itself has to tell

_HIGH_CATEGORIES: Final = frozenset((t.EC_PROCESS, t.EC_USER, t.EC_SIGNAL))
_LOW_CATEGORIES: Final = frozenset(
    (t.EC_IO_READ, t.EC_IO_WRITE, t.EC_IO_OTHER, t.EC_MEMORY, t.EC_WAIT, t.EC_SLEEP, t.EC_TIME, t.EC_SCHEDULER, t.EC_PROCESSING, t.EC_INTERNAL)
)
_HIGH_NAMES: Final = frozenset(
    """
    clone clone3 fork vfork execve execveat procexit setsid setpgid prctl ptrace seccomp unshare setns setuid setgid setresuid setresgid setreuid setregid
    capset chroot connect accept accept4 bind listen socket socketpair dup dup2 dup3 mount umount umount2 init_module finit_module delete_module bpf
    memfd_create pidfd_getfd process_vm_writev kill tkill tgkill userfaultfd keyctl
    """.split()
)


def _priority(info: EventInfo) -> int:
    if info.name.decode() in _HIGH_NAMES:
        return HIGH
    kind = info.kind
    if kind in _LOW_CATEGORIES:
        return LOW
    return HIGH if kind in _HIGH_CATEGORIES and info.is_syscall else NORMAL


PRIORITIES: Final[list[int]] = [_priority(info) for info in t.EVENTS]
"""By event code."""
