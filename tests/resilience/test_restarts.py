"""Restarts under a service manager that keeps descriptors: consumers that connect while no daemon runs wait, and are served by the next."""

from __future__ import annotations

import array
import os
import socket
import sys
from pathlib import Path

from edera_falcod.falco import notices
from edera_falcod.sim.host import SimHost
from edera_falcod.sim.player import Play

from .ledger import Ledger, Reader, Recording, sums
from .support import CAPTURE, Process

LIMIT = 100
# What systemd does between fork and exec (sd_listen_fds(3)): descriptors from 3 on, and whom they are for.
LAUNCH = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"


class Manager:
    """The part of systemd that matters here: NOTIFY_SOCKET and the descriptor store. ``kept``: by name; ``states``: what it was told."""

    def __init__(self, folder: Path, daemon: Process) -> None:
        self.path = folder / "notify.sock"
        self.daemon = daemon
        self.kept: dict[str, int] = {}
        self.states: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)

    def hear(self) -> None:
        """Take all that has been sent."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
            except BlockingIOError:
                return
            lines = data.decode().splitlines()
            self.states += lines
            name = next((line.partition("=")[2] for line in lines if line.startswith("FDNAME=")), "")
            if "FDSTORE=1" in lines:
                fds = array.array("i")
                fds.frombytes(ancillary[0][2])
                if name in self.kept:  # systemd keeps both; the same file twice would be closed
                    os.close(self.kept[name])
                self.kept[name] = fds[0]
            elif "FDSTOREREMOVE=1" in lines:
                os.close(self.kept.pop(name))

    async def start(self) -> None:
        """As systemd would: the store's descriptors are passed at 3, 4, ..."""
        names = list(self.kept)
        environ = {"NOTIFY_SOCKET": str(self.path), "FDSTORE": "8"}
        plain = self.daemon.command
        if names:
            environ |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
            moves = "".join([f"os.dup2({self.kept[name]}, {100 + at}); " for at, name in enumerate(names)])
            moves += "".join([f"os.dup2({100 + at}, {3 + at}); " for at in range(len(names))])
            self.daemon.command = [sys.executable, "-c", LAUNCH.replace("os.execv", f"{moves}os.execv"), *plain]
        try:
            await self.daemon.start(pass_fds=tuple(self.kept.values()), **environ)
        finally:
            self.daemon.command = plain
        self.hear()

    def close(self) -> None:
        for fd in self.kept.values():
            os.close(fd)
        self._socket.close()


async def test_sockets_are_kept_over_restarts_of_every_kind(tmp_path: Path) -> None:
    recording = Recording(CAPTURE, LIMIT)
    daemon = Process(tmp_path, f"buffer.handover={tmp_path / 'handover'}")
    manager = Manager(tmp_path, daemon)
    try:
        async with SimHost(tmp_path / "edera.sock") as host:
            host.add_zone("a", CAPTURE, Play(speed=2.0, loop=True), limit=LIMIT)
            await manager.start()
            assert "READY=1" in manager.states and sorted(name.partition("-")[0] for name in manager.kept) == ["ctl", "falco"]
            inode = daemon.falco.stat().st_ino
            ledger = Ledger()
            reader = Reader(daemon.falco, ledger)
            reader.start()
            await reader.more(20)
            for planned in (True, False, True):
                if planned:
                    await daemon.stop()
                else:
                    await daemon.kill()
                assert daemon.falco.stat().st_ino == inode, "the file stays"
                # A consumer that comes now is not refused: it waits in the backlog of the socket that the manager holds.
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as early:
                    early.connect(str(daemon.falco))
                    await manager.start()
                    assert daemon.falco.stat().st_ino == inode and len(manager.kept) == 2
                    await reader.more(20)
                assert sums(await daemon.status()) == []
            await reader.stop()
            assert ledger.check({"a": recording}) == []
            assert [one.cause for one in ledger.notices(notices.GAP) if not one.zone] == ["daemon_stops", "daemon_crashed", "daemon_stops"]
            await daemon.stop()
            manager.hear()
            assert "STOPPING=1" in manager.states
    finally:
        if daemon.process is not None and daemon.process.returncode is None:
            await daemon.kill()
        manager.close()


async def test_a_kept_socket_whose_file_is_gone_is_let_go(tmp_path: Path) -> None:
    """Somebody has removed the file, or another daemon has put its own there: the kept one leads nowhere any more."""
    daemon = Process(tmp_path)
    manager = Manager(tmp_path, daemon)
    try:
        await manager.start()
        await daemon.stop()
        daemon.falco.unlink()
        before = set(manager.kept)
        await manager.start()
        assert daemon.falco.exists() and any(line.startswith("FDSTOREREMOVE") for line in manager.states)
        assert len(manager.kept) == 2 and set(manager.kept) != before
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as consumer:
            consumer.connect(str(daemon.falco))
        await daemon.stop()
    finally:
        if daemon.process is not None and daemon.process.returncode is None:
            await daemon.kill()
        manager.close()
