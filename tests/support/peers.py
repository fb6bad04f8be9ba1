"""Connections of other users', which only root can make."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def connect_as(path: Path, uid: int, gid: int) -> socket.socket:
    """A connection of another user's: what the kernel says of a peer is who it was when it connected. Raises OSError."""
    path.parent.chmod(0o711)
    there, groups = os.getcwd(), os.getgroups()
    sock = socket.socket(socket.AF_UNIX)
    os.chdir(path.parent)  # the folders above are for us alone
    os.setgroups([gid])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        sock.connect(path.name)
    except BaseException:
        sock.close()
        raise
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.chdir(there)
    sock.setblocking(False)
    return sock
