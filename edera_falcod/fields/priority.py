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

_LOW_KINDS: Final = frozenset(
    (t.EC_IO_READ, t.EC_IO_WRITE, t.EC_IO_OTHER, t.EC_MEMORY, t.EC_WAIT, t.EC_SLEEP, t.EC_TIME, t.EC_SCHEDULER, t.EC_PROCESSING)
)
_LOW_NAMES: Final = frozenset(
    "futex fstat stat lstat newfstatat lseek llseek getdents getdents64 getuid geteuid getgid getegid page_fault procinfo".split()
)
_HIGH_KINDS: Final = frozenset((t.EC_PROCESS, t.EC_USER, t.EC_SIGNAL))
_HIGH_NAMES: Final = frozenset(
    """
    accept accept4 bind bpf connect delete_module dup dup2 dup3 finit_module init_module keyctl listen memfd_create mount process_vm_writev
    seccomp socket socketpair umount umount2 userfaultfd
    """.split()
)


def _priority(info: EventInfo) -> int:
    name = info.name.decode()
    if name in _HIGH_NAMES:
        return HIGH
    if name in _LOW_NAMES or info.kind in _LOW_KINDS:
        return LOW
    return HIGH if info.kind in _HIGH_KINDS else NORMAL


PRIORITIES: Final[list[int]] = [_priority(info) for info in t.EVENTS]
"""By event code."""
