"""What systemd is told and asked (sd_notify(3)); nothing where there is no systemd."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Sends states to the service manager. ``watchdog``: seconds within which it wants to hear of us, 0 = never."""

    def __init__(self) -> None:
        self._path = os.environ.get("NOTIFY_SOCKET", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = os.environ.get("WATCHDOG_USEC", "") if mine and self._path else ""
        self.watchdog = int(usec) / 1e6 if usec.isdigit() else 0.0

    def send(self, state: str) -> None:
        """``state``: lines such as READY=1. A manager that does not listen is no reason to fail."""
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(state.encode(), address)
        except OSError:
            pass
