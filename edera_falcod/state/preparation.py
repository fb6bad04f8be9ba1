"""What has to be known of an event type before its parser runs: whose thread it is, and where its fd stands (state-machine.md
section 2)."""

from __future__ import annotations

from typing import Final

from ..scap.tables import (
    EF_CREATES_FD,
    EF_DESTROYS_FD,
    EF_SKIPPARSERESET,
    EF_USES_FD,
    EVENTS,
    PPM_EVENT_MAX,
    PPME_ASYNCEVENT_E,
    PPME_CONTAINER_JSON_2_E,
    PPME_GROUP_ADDED_E,
    PPME_GROUP_DELETED_E,
    PPME_PLUGINEVENT_E,
    PPME_PROCEXIT_1_E,
    PPME_PROCINFO_E,
    PPME_SCHEDSWITCH_6_E,
    PPME_SOCKET_BIND_X,
    PPME_SOCKET_CONNECT_X,
    PPME_SOCKET_GETSOCKOPT_X,
    PPME_SOCKET_LISTEN_X,
    PPME_SOCKET_RECV_X,
    PPME_SOCKET_RECVFROM_X,
    PPME_SOCKET_RECVMMSG_X,
    PPME_SOCKET_RECVMSG_X,
    PPME_SOCKET_SEND_X,
    PPME_SOCKET_SENDMMSG_X,
    PPME_SOCKET_SENDMSG_X,
    PPME_SOCKET_SENDTO_X,
    PPME_SOCKET_SETSOCKOPT_X,
    PPME_SOCKET_SHUTDOWN_X,
    PPME_SYSCALL_CLONE3_X,
    PPME_SYSCALL_CLONE_20_X,
    PPME_SYSCALL_CLOSE_X,
    PPME_SYSCALL_COPY_FILE_RANGE_X,
    PPME_SYSCALL_DUP2_X,
    PPME_SYSCALL_DUP3_X,
    PPME_SYSCALL_DUP_1_X,
    PPME_SYSCALL_FCHDIR_X,
    PPME_SYSCALL_FCHMOD_X,
    PPME_SYSCALL_FCHMODAT_X,
    PPME_SYSCALL_FCHOWN_X,
    PPME_SYSCALL_FCHOWNAT_X,
    PPME_SYSCALL_FCNTL_X,
    PPME_SYSCALL_FINIT_MODULE_X,
    PPME_SYSCALL_FLOCK_X,
    PPME_SYSCALL_FORK_20_X,
    PPME_SYSCALL_FSCONFIG_X,
    PPME_SYSCALL_FSTAT_X,
    PPME_SYSCALL_GETDENTS64_X,
    PPME_SYSCALL_GETDENTS_X,
    PPME_SYSCALL_IO_URING_ENTER_X,
    PPME_SYSCALL_IO_URING_REGISTER_X,
    PPME_SYSCALL_IOCTL_3_X,
    PPME_SYSCALL_LLSEEK_X,
    PPME_SYSCALL_LSEEK_X,
    PPME_SYSCALL_MKDIRAT_X,
    PPME_SYSCALL_MKNODAT_X,
    PPME_SYSCALL_MMAP2_E,
    PPME_SYSCALL_MMAP2_X,
    PPME_SYSCALL_MMAP_E,
    PPME_SYSCALL_MMAP_X,
    PPME_SYSCALL_NEWFSTATAT_X,
    PPME_SYSCALL_PREAD_X,
    PPME_SYSCALL_PREADV_X,
    PPME_SYSCALL_PWRITE_X,
    PPME_SYSCALL_PWRITEV_X,
    PPME_SYSCALL_READ_X,
    PPME_SYSCALL_READV_X,
    PPME_SYSCALL_SENDFILE_X,
    PPME_SYSCALL_SETNS_X,
    PPME_SYSCALL_SPLICE_E,
    PPME_SYSCALL_SPLICE_X,
    PPME_SYSCALL_SYMLINKAT_X,
    PPME_SYSCALL_UNLINKAT_2_X,
    PPME_SYSCALL_VFORK_20_X,
    PPME_SYSCALL_WRITE_X,
    PPME_SYSCALL_WRITEV_X,
    PPME_USER_ADDED_E,
    PPME_USER_DELETED_E,
)

# How an event finds its thread
NOBODY: Final = 0  # has none: about the machine, or by another room
LOOKUP: Final = 1  # only if it is in the table; nothing else is prepared
BIRTH: Final = 2  # clone and its kin: only if it is in the table, for a child that is not there yet must not become a placeholder
DEATH: Final = 3  # procexit: only if it is in the table, for a placeholder would never be removed again
ENTER: Final = 4  # the table's, or a placeholder
EXIT: Final = 5  # the same, and the fd and return value of a system call

_NOBODY: Final = frozenset(
    (
        PPME_CONTAINER_JSON_2_E, PPME_USER_ADDED_E, PPME_USER_DELETED_E, PPME_GROUP_ADDED_E, PPME_GROUP_DELETED_E, PPME_PLUGINEVENT_E,
        PPME_ASYNCEVENT_E,
    )
)  # fmt: skip
_BIRTH: Final = frozenset((PPME_SYSCALL_CLONE_20_X, PPME_SYSCALL_CLONE3_X, PPME_SYSCALL_FORK_20_X, PPME_SYSCALL_VFORK_20_X))

# Position of the fd among the parameters of exit events that use one (libscap scap_event.c, get_exit_event_fd_location)
_SECOND: Final = (
    PPME_SYSCALL_SETNS_X, PPME_SOCKET_LISTEN_X, PPME_SOCKET_SHUTDOWN_X, PPME_SYSCALL_FCHDIR_X, PPME_SYSCALL_LSEEK_X,
    PPME_SYSCALL_LLSEEK_X, PPME_SYSCALL_IOCTL_3_X, PPME_SYSCALL_FSTAT_X, PPME_SYSCALL_CLOSE_X, PPME_SYSCALL_GETDENTS_X,
    PPME_SYSCALL_GETDENTS64_X, PPME_SYSCALL_FLOCK_X, PPME_SYSCALL_COPY_FILE_RANGE_X, PPME_SYSCALL_FCNTL_X, PPME_SYSCALL_DUP_1_X,
    PPME_SYSCALL_DUP2_X, PPME_SYSCALL_DUP3_X, PPME_SYSCALL_NEWFSTATAT_X, PPME_SYSCALL_FCHOWNAT_X, PPME_SYSCALL_FCHMODAT_X,
    PPME_SYSCALL_MKDIRAT_X, PPME_SYSCALL_UNLINKAT_2_X, PPME_SYSCALL_MKNODAT_X, PPME_SOCKET_SENDMMSG_X, PPME_SOCKET_RECVMMSG_X,
    PPME_SYSCALL_IO_URING_REGISTER_X, PPME_SYSCALL_IO_URING_ENTER_X, PPME_SOCKET_SETSOCKOPT_X, PPME_SOCKET_GETSOCKOPT_X,
    PPME_SYSCALL_FSCONFIG_X, PPME_SYSCALL_FINIT_MODULE_X, PPME_SYSCALL_FCHMOD_X, PPME_SYSCALL_FCHOWN_X,
)  # fmt: skip
_THIRD: Final = (
    PPME_SYSCALL_READ_X, PPME_SYSCALL_PREAD_X, PPME_SOCKET_BIND_X, PPME_SYSCALL_WRITE_X, PPME_SYSCALL_PWRITE_X, PPME_SOCKET_RECV_X,
    PPME_SOCKET_SEND_X, PPME_SOCKET_SENDTO_X, PPME_SOCKET_SENDMSG_X, PPME_SYSCALL_SENDFILE_X, PPME_SYSCALL_SPLICE_X,
    PPME_SYSCALL_WRITEV_X, PPME_SYSCALL_PWRITEV_X, PPME_SOCKET_CONNECT_X, PPME_SYSCALL_SYMLINKAT_X,
)  # fmt: skip
_FOURTH: Final = (PPME_SOCKET_RECVFROM_X, PPME_SYSCALL_READV_X, PPME_SYSCALL_PREADV_X)
_SIXTH: Final = (PPME_SOCKET_RECVMSG_X,)
_NINTH: Final = (PPME_SYSCALL_MMAP_X, PPME_SYSCALL_MMAP2_X)
# ... and of enter events, of which a few may come (get_enter_event_fd_location): the first one but here
_ENTER_FIFTH: Final = (PPME_SYSCALL_MMAP_E, PPME_SYSCALL_MMAP2_E)
_ENTER_SECOND: Final = (PPME_SYSCALL_SPLICE_E,)


def _preparations() -> list[int]:
    table = [NOBODY] * PPM_EVENT_MAX
    for code, info in enumerate(EVENTS):
        if info.flags & EF_SKIPPARSERESET:
            table[code] = LOOKUP if code == PPME_PROCINFO_E else NOBODY
        elif code in _NOBODY:
            table[code] = NOBODY
        elif code == PPME_SCHEDSWITCH_6_E:
            table[code] = LOOKUP
        elif code in _BIRTH:
            table[code] = BIRTH
        elif code == PPME_PROCEXIT_1_E:
            table[code] = DEATH
        else:
            table[code] = EXIT if info.is_exit else ENTER
    return table


def _fd_positions() -> list[int]:
    table = [-1] * PPM_EVENT_MAX
    for code, info in enumerate(EVENTS):
        if info.flags & EF_USES_FD and not info.is_exit:
            table[code] = 0
    for position, codes in (
        (1, _SECOND), (2, _THIRD), (3, _FOURTH), (5, _SIXTH), (8, _NINTH), (4, _ENTER_FIFTH), (1, _ENTER_SECOND),
    ):  # fmt: skip
        for code in codes:
            table[code] = position
    return table


PREPARATION: Final[list[int]] = _preparations()
FD_POSITION: Final[list[int]] = _fd_positions()  # -1: the event uses none, or creates it
# Not the old ioctl and dup events: they say that they use one and have none among their parameters
USES_FD: Final[list[bool]] = [position >= 0 for position in FD_POSITION]
# Events that have fd.* fields (sinsp_filtercheck_fd.cpp, extract_fd)
HAS_FD: Final[list[bool]] = [info.flags & (EF_CREATES_FD | EF_USES_FD | EF_DESTROYS_FD) != 0 for info in EVENTS]
