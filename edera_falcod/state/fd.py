"""One open file or socket of a process."""

from __future__ import annotations

from typing import Final, final

from .block import Block

# State flags, as in sinsp_fdinfo (edera-control-protocol.md section 10)
FROM_PROC: Final = 1 << 0
ROLE_CLIENT: Final = 1 << 2
ROLE_SERVER: Final = 1 << 3
CLOEXEC: Final = 1 << 4
SOCKET_CONNECTED: Final = 1 << 13
IS_CLONED: Final = 1 << 14
CONNECTION_PENDING: Final = 1 << 15
CONNECTION_FAILED: Final = 1 << 16
OVERLAY_UPPER: Final = 1 << 17
OVERLAY_LOWER: Final = 1 << 18


@final
class Fd:
    """What is known of one open file. ``kind``: ``scap_fd_type``. Addresses: 4 or 16 bytes in network order, ``b""`` when
    none; ports in host order; stored as libsinsp stores them, source = client and dest = server once the role is known; a
    listening socket keeps its address in ``dip``/``dport``. ``source``/``dest``: unix socket kernel addresses.
    ``name``/``name_raw``: bytes as made, not yet safe text. ``pid``: process of a pidfd.

    Whoever changes an attribute calls ``touch()``: the cached block no longer speaks for it.
    """

    __slots__ = (
        "kind", "flags", "open_flags", "name", "name_raw", "dev", "ino", "mount_id",
        "sip", "dip", "sport", "dport", "l4proto", "source", "dest", "pid", "block", "arg_text",
    )

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
        self.pid = -1
        self.block: Block | None = None
        self.arg_text: bytes | None = None  # cached "<f>/path" of evt.args

    def touch(self) -> None:
        self.block = None
        self.arg_text = None

    def clone(self) -> Fd:
        """A copy with the same facts; the block is shared until either side changes."""
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
        other.block = self.block
        other.arg_text = self.arg_text
        return other
