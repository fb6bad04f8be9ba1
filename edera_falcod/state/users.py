"""Users and groups that a zone told of (PPME_USER_*, PPME_GROUP_*)."""

from __future__ import annotations

from typing import final

from .limits import MAX_PATH, MAX_USERS, Counters


def is_compat(name: bytes) -> bool:
    """A line of /etc/passwd or /etc/group that names no user or group but asks for a name service (``+``, ``-nobody``), which
    libsinsp leaves out too (user.cpp, add_user)."""
    return name[:1] in (b"+", b"-")


@final
class User:
    """As in /etc/passwd; texts as the zone sent them."""

    __slots__ = ("uid", "gid", "name", "home", "shell")

    def __init__(self, uid: int, gid: int, name: bytes, home: bytes, shell: bytes) -> None:
        self.uid = uid
        self.gid = gid
        self.name = name
        self.home = home
        self.shell = shell


@final
class Users:
    """By number, for the whole zone: the container ids in these events are those of a container engine, of which a zone has
    none that we know. ``version`` grows with every change."""

    __slots__ = ("users", "groups", "version", "counters")

    def __init__(self, counters: Counters) -> None:
        self.users: dict[int, User] = {}
        self.groups: dict[int, bytes] = {}
        self.version = 0
        self.counters = counters

    def clear(self) -> None:
        self.users.clear()
        self.groups.clear()
        self.version += 1

    def add_user(self, uid: int, gid: int, name: bytes, home: bytes, shell: bytes) -> None:
        if is_compat(name):
            return
        if uid not in self.users and len(self.users) >= MAX_USERS:
            self.counters.users_refused += 1
            return
        self.users[uid] = User(uid, gid, name[:MAX_PATH], home[:MAX_PATH], shell[:MAX_PATH])
        self.version += 1

    def remove_user(self, uid: int) -> None:
        if self.users.pop(uid, None) is not None:
            self.version += 1

    def add_group(self, gid: int, name: bytes) -> None:
        if is_compat(name):
            return
        if gid not in self.groups and len(self.groups) >= MAX_USERS:
            self.counters.users_refused += 1
            return
        self.groups[gid] = name[:MAX_PATH]
        self.version += 1

    def remove_group(self, gid: int) -> None:
        if self.groups.pop(gid, None) is not None:
            self.version += 1
