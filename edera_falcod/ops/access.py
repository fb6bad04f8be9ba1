"""Who may change something through the ctl socket: root, the daemon's own user and members of the admin groups; whoever else its mode lets
in may look."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import Final

from grpclib.const import Status
from grpclib.events import RecvRequest, listen
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from ..falco.listener import Peer

SERVICE: Final = "/edera_falcod.ctl.v1.Ctl/"
# Everything else only looks. What a look may show that is secret (arguments of processes) asks ``TRUSTED``.
CHANGING: Final = frozenset({"Resync", "SetLogLevel", "Reload", "Record"})

# Whether the caller of the request that this task serves may change things.
TRUSTED: Final[ContextVar[bool]] = ContextVar("trusted", default=False)


class Admins:
    """``groups``: the numbers of the admin groups."""

    def __init__(self, groups: frozenset[int] = frozenset()) -> None:
        self.groups = groups

    def trusted(self, peer: Peer) -> bool:
        return peer.uid in (0, os.geteuid()) or bool(self.groups & peer.gids)

    async def _check(self, event: RecvRequest) -> None:
        try:
            peer = Peer.of(event.peer._transport.get_extra_info("socket"))
        except (OSError, AttributeError):
            raise GRPCError(Status.UNAUTHENTICATED, "the caller's credentials cannot be had") from None
        TRUSTED.set(self.trusted(peer))
        if event.method_name.removeprefix(SERVICE) in CHANGING:
            require_trust(peer.uid)

    def guard(self, server: Server) -> None:
        """Have every request to ``server`` checked."""
        listen(server, RecvRequest, self._check)


def require_trust(uid: int | None = None) -> None:
    """Raise PERMISSION_DENIED unless the caller is trusted."""
    if not TRUSTED.get():
        who = f"user {uid}" if uid is not None else "you"
        raise GRPCError(Status.PERMISSION_DENIED, f"{who} may only look; run as root, the daemon's user or a member of ctl.admin_groups")

