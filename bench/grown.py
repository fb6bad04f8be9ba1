"""Snapshots as large as one likes, made of a real one."""

from __future__ import annotations

from edera_falcod.scap.snapshot import SnapshotFd, SnapshotThread
from edera_falcod.scap.tables import SCAP_FD_FILE_V2

FIRST_TID = 1_000_000  # above any of the capture


def grow(threads: list[SnapshotThread], count: int, fds: int = -1) -> list[SnapshotThread]:
    """The threads, and ``count`` processes more, children of the first, that look like them in turn: with names of their own, and
    ``fds`` open files each (-1: as many as those that they look like)."""
    grown = list(threads)
    parent = min(threads, key=lambda thread: thread.tid)
    for number in range(count):
        made = like(threads[number % len(threads)])
        made.tid = made.pid = made.vtid = made.vpid = FIRST_TID + number
        made.ptid = parent.tid
        made.comm = b"worker-%d" % number
        made.args = b"--number\0%d\0" % number
        if fds >= 0:
            made.fds = [file(number, fd) for fd in range(fds)]
        grown.append(made)
    return grown


def like(thread: SnapshotThread) -> SnapshotThread:
    made = SnapshotThread(thread.tid)
    for name in dir(thread):  # compiled, it has no __slots__ and copy.copy does not know it
        if not name.startswith("_"):
            setattr(made, name, getattr(thread, name))
    return made


def file(process: int, number: int) -> SnapshotFd:
    made = SnapshotFd(number)
    made.kind = SCAP_FD_FILE_V2
    made.name = b"/var/lib/service/%d/data-%d.log" % (process % 100, number)
    made.ino = process * 1000 + number
    made.dev = 1
    return made
