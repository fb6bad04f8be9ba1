"""The open files of one process."""

from __future__ import annotations

from typing import Final, final

from .block import Block
from .fd import Fd

MAX_FDS: Final = 4096  # libsinsp's limit of entries a table (state-machine.md section 5); more are counted, not kept


@final
class FdTable:
    """fd number -> Fd, bounded. ``version`` grows with every change of content, so that what is derived can be cached."""

    __slots__ = ("fds", "version", "block", "block_version")

    def __init__(self) -> None:
        self.fds: dict[int, Fd] = {}
        self.version = 0
        self.block: Block | None = None
        self.block_version = -1

    def add(self, number: int, fd: Fd) -> bool:
        """Put ``fd`` in place of whatever had the number; False when the table is full and the number is new."""
        if number not in self.fds and len(self.fds) >= MAX_FDS:
            return False
        self.fds[number] = fd
        self.version += 1
        return True

    def remove(self, number: int) -> None:
        if self.fds.pop(number, None) is not None:
            self.version += 1
