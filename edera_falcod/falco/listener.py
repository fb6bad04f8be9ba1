"""A listening unix socket: made without a moment of wrong permissions, taken over from a dead daemon without a race, left
without a trace; and who may connect to it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

BACKLOG: Final = 64
MAX_PATH: Final = 107  # bytes: sockaddr_un of Linux
_UCRED: Final = struct.Struct("iII")
_SO_PEERGROUPS: Final = 59  # asm-generic/socket.h; Python has no name for it
_MAX_GROUPS: Final = 4096


class ListenError(Exception):
    """The socket cannot be had; the text says why and what to do."""


class Listener:
    """Owns the socket file at ``path`` from ``open`` to ``close``.

    Beside it lies ``path`` + ``.lock``, held with flock(2) as long as we live: whoever holds it may take a socket file for stale.
    The socket is bound under a temporary name, given its owner and mode, and renamed over the old one.
    """

    def __init__(self, path: str, mode: int = 0o660, group: int = -1) -> None:
        self.path = path
        self.mode = mode
        self.group = group
        self.socket: socket.socket | None = None
        self.orphaned = False  # whoever listened here before us did not close: it was killed, or the machine was
        self.adopted = False
        self._lock = -1
        self._inode = (0, 0)

    @property
    def inode(self) -> int:
        """Of the socket file, by which a socket that was kept for us is known to be the one that the path leads to."""
        return self._inode[1]

    def open(self, kept: socket.socket | None = None, inode: int = 0) -> socket.socket:
        """``kept``: a socket that has been kept for us, whose file had that inode (0: not known); it is used if ``path`` still leads to
        it, else closed. Raises ListenError."""
        if len(os.fsencode(self.path)) + 8 > MAX_PATH:
            raise ListenError(f"{self.path}: a socket's path may have at most {MAX_PATH - 8} bytes; choose a shorter one")
        try:
            self._check_folder()
            self._take_lock()
        except OSError as error:
            hint = "make it, or choose another path" if isinstance(error, FileNotFoundError) else "run as its owner, or choose another path"
            raise ListenError(f"{self.path}: cannot write to the folder: {error.strerror}; {hint}") from error
        try:
            if kept is None or not self._adopt(kept, inode):
                self._bind()
        except OSError as error:
            self.close()
            raise ListenError(f"{self.path}: cannot listen: {error.strerror}") from error
        except BaseException:
            self.close()
            raise
        assert self.socket is not None
        return self.socket

    def _adopt(self, kept: socket.socket, inode: int) -> bool:
        try:
            there = self._own(self.path)
            names = (self.path, f"{self.path}.new")  # it was bound under the second, and renamed
            listening = kept.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            fits = kept.family == socket.AF_UNIX and kept.type == socket.SOCK_STREAM and kept.getsockname() in names
            if not (listening and fits and inode in (0, there.st_ino)):
                kept.close()
                return False
        except OSError:
            kept.close()
            return False
        kept.setblocking(False)
        self.socket = kept
        self.adopted = True
        self._inode = (there.st_dev, there.st_ino)
        return True

    def _check_folder(self) -> None:
        """Whoever may rename what lies in the folder, or the folder or one above it, may put a socket of their own in place of ours, and
        read what is meant for us. That is root and we, and others only where a sticky bit keeps them off. Raises ListenError, OSError."""
        named = os.path.abspath(os.path.dirname(self.path))
        folders = [Path(named), *Path(named).parents]
        folders += [folder for folder in (Path(os.path.realpath(named)), *Path(os.path.realpath(named)).parents) if folder not in folders]
        for folder in folders:
            there = os.stat(folder)
            if there.st_uid not in (0, os.geteuid()):
                who = f"belongs to user {there.st_uid}"
            elif there.st_mode & 0o022 and not there.st_mode & stat.S_ISVTX:
                who = "can be written by others"
            else:
                continue
            which = "its folder" if folder == folders[0] else f"{folder}, above it,"
            raise ListenError(f"{self.path}: {which} {who}, who could put another socket there; chown or chmod it, or choose another path")

    def _take_lock(self) -> None:
        path = self.path + ".lock"
        self.orphaned = os.path.lexists(path)
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                ours = os.fstat(fd)
                # The one before us may have removed the file between our open and our flock.
                with contextlib.suppress(FileNotFoundError):
                    there = os.stat(path, follow_symlinks=False)
                    if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                        self._lock = fd
                        return
            except BlockingIOError:
                os.close(fd)
                raise ListenError(f"{self.path}: another edera-falcod listens there; stop it, or choose another path") from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _bind(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.stat(self.path, follow_symlinks=False).st_mode):
                raise ListenError(f"{self.path}: there is something that is not a socket; remove it, or choose another path")
        temporary = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        mask = os.umask(0o777)
        try:
            self.socket.bind(temporary)
        finally:
            os.umask(mask)
        try:
            there = self._own(temporary)
            self.socket.listen(BACKLOG)
            os.rename(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        self._inode = (there.st_dev, there.st_ino)

    def _own(self, path: str) -> os.stat_result:
        """Give the socket at ``path`` its group and mode. Raises OSError, also for what is no socket of ours: never is a link followed,
        nor anything changed that has taken the socket's place meanwhile."""
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            there = os.fstat(fd)
            if not stat.S_ISSOCK(there.st_mode) or there.st_uid not in (0, os.geteuid()):
                raise OSError(errno.ESTALE, "somebody else has put something there")
            itself = f"/proc/self/fd/{fd}"  # the way to change what an O_PATH descriptor stands for
            if self.group != -1:
                os.chown(itself, -1, self.group)
            os.chmod(itself, self.mode)
            return there
        finally:
            os.close(fd)

    def close(self, keep: bool = False) -> None:
        """Remove what we made; not what somebody else has put there since. ``keep``: the socket is kept for who follows us, so leave its
        file there."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
            if not keep:
                with contextlib.suppress(FileNotFoundError):
                    there = os.stat(self.path, follow_symlinks=False)
                    if (there.st_dev, there.st_ino) == self._inode:
                        os.unlink(self.path)
        if self._lock >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + ".lock")
            os.close(self._lock)
            self._lock = -1


class Peer:
    """Who is at the other end, by SO_PEERCRED: as of its connect(2)."""

    def __init__(self, pid: int, uid: int, gids: frozenset[int]) -> None:
        self.pid = pid
        self.uid = uid
        self.gids = gids

    @staticmethod
    def of(sock: socket.socket) -> Peer:
        pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        gids = {gid}
        with contextlib.suppress(OSError):  # kernels before 4.13 do not have it
            raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MAX_GROUPS)
            gids.update(struct.unpack(f"={len(raw) // 4}I", raw))
        return Peer(pid, uid, frozenset(gids))


class Access:
    """Who may connect, beyond what the file's mode says: root, ourselves, and these users and groups; everybody if there are none."""

    def __init__(self, users: frozenset[int] = frozenset(), groups: frozenset[int] = frozenset()) -> None:
        self.users = users
        self.groups = groups

    def allows(self, peer: Peer) -> bool:
        if not self.users and not self.groups:
            return True
        return peer.uid in (0, os.geteuid()) or peer.uid in self.users or bool(self.groups & peer.gids)
