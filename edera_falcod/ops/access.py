"""Who may change something through the ctl socket: root and the daemon's own user, whoever else its mode lets in to look."""

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


def trusted(peer: Peer) -> bool:
    return peer.uid in (0, os.geteuid())


async def _check(event: RecvRequest) -> None:
    try:
        peer = Peer.of(event.peer._transport.get_extra_info("socket"))
    except (OSError, AttributeError):
        raise GRPCError(Status.UNAUTHENTICATED, "the caller's credentials cannot be had") from None
    TRUSTED.set(trusted(peer))
    if event.method_name.removeprefix(SERVICE) in CHANGING:
        require_trust(peer.uid)


def require_trust(uid: int | None = None) -> None:
    """Raise PERMISSION_DENIED unless the caller is trusted."""
    if not TRUSTED.get():
        who = f"user {uid}" if uid is not None else "you"
        raise GRPCError(Status.PERMISSION_DENIED, f"{who} may only look; run as root or as the daemon's own user")


def guard(server: Server) -> None:
    """Have every request to ``server`` checked."""
    listen(server, RecvRequest, _check)
