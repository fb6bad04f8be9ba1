"""What systemd is told and asked (sd_notify(3), sd_listen_fds(3)); nothing where there is no systemd.

The listening sockets are put into its file-descriptor store under names of ours. A service that is started again, planned or not, gets
them back: consumers that connect meanwhile wait instead of being refused.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Final

FIRST_FD: Final = 3  # sd_listen_fds(3)
MAX_FDS: Final = 64  # more are not ours


class Notifier:
    """Sends states to the service manager. ``watchdog``: seconds within which it wants to hear of us, 0 = never.
    ``stores``: it keeps descriptors for the process that follows us, and says so."""

    def __init__(self) -> None:
        self._path = os.environ.get("NOTIFY_SOCKET", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        slots = os.environ.get("FDSTORE", "")  # systemd 254 and later
        self.stores = bool(self._path) and slots.isdigit() and int(slots) > 0
        usec = os.environ.get("WATCHDOG_USEC", "") if mine and self._path else ""
        self.watchdog = int(usec) / 1e6 if usec.isdigit() else 0.0

    def store(self, name: str, fd: int) -> None:
        """Keep ``fd`` for the process that follows us, under ``name`` (no colon, at most 255 characters)."""
        self.send(f"FDSTORE=1\nFDNAME={name}", fd)

    def unstore(self, name: str) -> None:
        self.send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def send(self, state: str, fd: int = -1) -> bool:
        """``state``: lines such as READY=1. A manager that does not listen, or not now, is no reason to fail: False."""
        if not self._path:
            return False
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                if fd < 0:
                    sock.sendto(state.encode(), address)
                else:
                    passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]).tobytes())]
                    sock.sendmsg([state.encode()], passed, 0, address)
        except OSError:
            return False
        return True


def inherited() -> dict[str, socket.socket]:
    """The sockets that the service manager has given us, by name; asked once, since they are then ours to close."""
    environ = os.environ
    mine = environ.pop("LISTEN_PID", "") == str(os.getpid())
    count, names = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_FDNAMES", "").split(":")
    found: dict[str, socket.socket] = {}
    if not mine or not count.isdigit():
        return found
    for number in range(min(int(count), MAX_FDS)):
        fd = FIRST_FD + number
        try:
            os.set_inheritable(fd, False)
            sock = socket.socket(fileno=fd)
        except OSError:
            continue
        name = names[number] if number < len(names) else ""
        if name in found:
            sock.close()
        else:
            found[name] = sock
    return found
