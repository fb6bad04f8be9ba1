"""Who may change something through the ctl socket: root and the daemon's own user, whoever else its mode lets in to look."""

from __future__ import annotations

import os
from typing import Final

from grpclib.const import Status
from grpclib.events import RecvRequest, listen
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from ..falco.listener import Peer

SERVICE: Final = "/edera_falcod.ctl.v1.Ctl/"
# Everything else only looks. What a look may show that is secret (arguments of processes) is asked for in the request and checked there.
CHANGING: Final = frozenset({"Resync", "SetLogLevel", "Reload", "Record"})
# Set in a request's metadata for a caller that may change things; removed from what callers send.
TRUSTED: Final = "x-edera-falcod-trusted"


def trusted(peer: Peer) -> bool:
    return peer.uid in (0, os.geteuid())


async def _check(event: RecvRequest) -> None:
    try:
        sock = event.peer._transport.get_extra_info("socket")
        peer = Peer.of(sock)
        good = trusted(peer)
        who = f"user {peer.uid}"
    except (OSError, AttributeError):
        good, who = False, "a caller without credentials"
    name = event.method_name.removeprefix(SERVICE)
    if name in CHANGING and not good:
        raise GRPCError(Status.PERMISSION_DENIED, f"{who} may look but not change anything; run as root or as the daemon's user")
    event.metadata.pop(TRUSTED, None)
    if good:
        event.metadata[TRUSTED] = "1"


def guard(server: Server) -> None:
    """Have every request to ``server`` checked."""
    listen(server, RecvRequest, _check)
