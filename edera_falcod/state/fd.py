"""One open file or socket of a process."""

from __future__ import annotations

from typing import Final, final

from ..scap.tables import (
    PPM_O_CLOEXEC,
    SCAP_FD_DIRECTORY,
    SCAP_FD_EVENTPOLL,
    SCAP_FD_FILE,
    SCAP_FD_FILE_V2,
    SCAP_FD_IPV4_SOCK,
    SCAP_FD_MEMFD,
    SCAP_L4_TCP,
    SCAP_L4_UDP,
)
from .block import Block, Shown

SCAP_FD_UNINITIALIZED: Final = -1  # a fd of which not even the type was told

# State flags, as in sinsp_fdinfo (edera-control-protocol.md section 10)
FROM_PROC: Final = 1 << 0
ROLE_CLIENT: Final = 1 << 2
ROLE_SERVER: Final = 1 << 3
SOCKET_CONNECTED: Final = 1 << 13
IS_CLONED: Final = 1 << 14
CONNECTION_PENDING: Final = 1 << 15
CONNECTION_FAILED: Final = 1 << 16
OVERLAY_UPPER: Final = 1 << 17
OVERLAY_LOWER: Final = 1 << 18

ROLES: Final = ROLE_CLIENT | ROLE_SERVER

# In open_flags, by kind: PPM_EPOLL_CLOEXEC and PPM_MFD_CLOEXEC of driver/ppm_events_public.h
EPOLL_CLOEXEC: Final = 1
MFD_CLOEXEC: Final = 1


@final
class Fd:
    """What is known of one open file. ``kind``: ``scap_fd_type``. Addresses: 4 or 16 bytes in network order, ``b""`` when
    none; ports in host order; stored as libsinsp stores them, source = client and dest = server once the role is known; a
    listening socket keeps its address in ``dip``/``dport``. ``source``/``dest``: unix socket kernel addresses.
    ``name``/``name_raw``: bytes as made, not yet safe text. ``pid``: process of a pidfd.

    Addresses, ports, ``l4proto``, ``source`` and ``dest`` are what ``sockinfo.view`` reads in ``memory``, libsinsp's union of
    socket facts: write them through ``sockinfo``. ``owner``: the table generation that may change this object in place; any
    other has to change a copy (``FdTable.writable``).

    Whoever changes an attribute calls ``touch()``: the cached block no longer speaks for it.
    """

    __slots__ = (
        "kind", "flags", "open_flags", "name", "name_raw", "dev", "ino", "mount_id", "sip", "dip", "sport", "dport", "l4proto", "source",
        "dest", "pid", "memory", "owner", "block", "arg_text", "shown",
    )  # fmt: skip

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.flags = 0
        self.open_flags = 0
        self.name = b""
        self.name_raw = b""
        self.dev = 0
        self.ino = 0
        self.mount_id = 0
        self.sip = b""
        self.dip = b""
        self.sport = 0
        self.dport = 0
        self.l4proto = 0
        self.source = 0
        self.dest = 0
        self.pid = 0  # as libsinsp has it for what is not a pidfd
        self.memory = b""
        self.owner: object | None = None
        self.block: Block | None = None
        self.arg_text: bytes | None = None  # cached "<f>/path" of evt.args ...
        self.shown: Shown | None = None  # ... and as a parameter, under the number that it was last seen with

    def touch(self) -> None:
        self.block = None
        self.arg_text = None
        self.shown = None

    def clone(self) -> Fd:
        """A copy with the same facts and no owner; the block is shared until either side changes."""
        other = Fd(self.kind)
        other.flags = self.flags
        other.open_flags = self.open_flags
        other.name = self.name
        other.name_raw = self.name_raw
        other.dev = self.dev
        other.ino = self.ino
        other.mount_id = self.mount_id
        other.sip = self.sip
        other.dip = self.dip
        other.sport = self.sport
        other.dport = self.dport
        other.l4proto = self.l4proto
        other.source = self.source
        other.dest = self.dest
        other.pid = self.pid
        other.memory = self.memory
        other.block = self.block
        other.arg_text = self.arg_text
        return other

    # What libsinsp's fdinfo.h asks of a fd; its UDP and TCP mean IPv4 only.

    def is_file(self) -> bool:
        return self.kind == SCAP_FD_FILE_V2 or self.kind == SCAP_FD_FILE

    def is_directory(self) -> bool:
        return self.kind == SCAP_FD_DIRECTORY

    def is_tcp4(self) -> bool:
        return self.kind == SCAP_FD_IPV4_SOCK and self.l4proto == SCAP_L4_TCP

    def is_udp4(self) -> bool:
        return self.kind == SCAP_FD_IPV4_SOCK and self.l4proto == SCAP_L4_UDP

    def has_role(self) -> bool:
        return self.flags & ROLES != 0

    def is_server(self) -> bool:
        return self.flags & ROLE_SERVER != 0

    def is_client(self) -> bool:
        return self.flags & ROLE_CLIENT != 0

    def closes_on_exec(self) -> bool:
        if self.open_flags & PPM_O_CLOEXEC != 0:
            return True
        if self.kind == SCAP_FD_EVENTPOLL:
            return self.open_flags & EPOLL_CLOEXEC != 0
        return self.kind == SCAP_FD_MEMFD and self.open_flags & MFD_CLOEXEC != 0

    def clear_close_on_exec(self) -> None:
        """Clears bit 0 whatever the kind, which for a file takes O_RDONLY away: as libsinsp does."""
        self.open_flags &= ~(PPM_O_CLOEXEC | EPOLL_CLOEXEC | MFD_CLOEXEC)

    def set_connected(self) -> None:
        self.flags = self.flags & ~(CONNECTION_PENDING | CONNECTION_FAILED) | SOCKET_CONNECTED
