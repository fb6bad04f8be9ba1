"""Blocks of what a zone knows, made when first needed and kept where the facts live until these change.

A THREAD block holds a thread's own facts and is made anew when its ``version`` has grown. Whom it comes from is in a LINEAGE block,
which is small and names the THREAD blocks of its ancestors and leaders; it is looked at again when the zone's ``identity_epoch`` has
grown (somebody's name, parent or session changed), and made anew only if what it consists of has. So an exec in a parent costs its
children a few ids each, and no block names another of its own kind: there are no cycles, and no chain that a zone could make long.

Files that are alike (the same library opened by thousands of processes) share their FD block, as do processes whose files look
alike their FILES block: memos by content, bounded.
"""

from __future__ import annotations

from typing import Final, final

from ..scap import tables as t
from ..scap.safetext import safe
from ..state.block import Block
from ..state.fd import OVERLAY_LOWER, OVERLAY_UPPER, ROLE_CLIENT, ROLE_SERVER, SOCKET_CONNECTED, Fd
from ..state.fdtable import FdTable, Look
from ..state.thread import Strings, Thread
from ..state.zone import ZoneState
from . import slots
from .cells import Cells
from .evt import etype_cells
from .fd import fd_cells, type_text
from .proc import env_cells, thread_cells

MAX_ANCESTORS: Final = 64  # of a process that its lineage names; real ones have a dozen. libsinsp has no bound but the table's
MAX_MEMO: Final = 4096  # entries of each memo by content: a few MB for a zone that opens that many different files

_SHELL: Final = b"sh"
_SHOWN_FLAGS: Final = OVERLAY_LOWER | OVERLAY_UPPER | ROLE_CLIENT | ROLE_SERVER | SOCKET_CONNECTED


@final
class Numbers:
    """Gives numbers, each once in the process's life, from 1 on: the ids of blocks, and of what else has to be told apart."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


IDS: Final = Numbers()

ETYPES: Final[list[Block | None]] = [None] * t.PPM_EVENT_MAX  # those made so far, by event code; none for generic events
_generic: Final[dict[int, Block]] = {}


def make_block(kind: int, cells: Cells, refs: tuple[Block, ...] = ()) -> Block:
    """A new block of what ``cells`` holds."""
    return Block(IDS.next(), kind, cells.finish(), refs)


def etype_block(code: int, syscall: int) -> Block:
    """The ETYPE block of an event type; ``syscall``: PPM_SC number for a generic event, else 0. Kept for good: there are a few
    hundred of them."""
    if code == t.PPME_GENERIC_X:
        block = _generic.get(syscall)
    else:
        block = ETYPES[code]
    if block is not None:
        return block
    cells = Cells()
    etype_cells(cells, code, syscall)
    block = make_block(slots.KIND_ETYPE, cells)
    if code == t.PPME_GENERIC_X:
        _generic[syscall] = block
    else:
        ETYPES[code] = block
    return block


def env_block(env: Strings) -> Block:
    """The ENV block of an environment, made once for all that share it."""
    block = env.block
    if block is None:
        cells = Cells()
        env_cells(cells, env.raw)
        block = make_block(slots.KIND_ENV, cells)
        env.block = block
    return block


def _name(fd: Fd | None) -> bytes:
    return b"" if fd is None else fd.name


@final
class ZoneBlocks:
    """Makes the blocks of one zone."""

    __slots__ = ("_cells", "_fds", "_files", "_zone", "local", "users")

    def __init__(self, zone: ZoneState) -> None:
        self._zone = zone
        self._cells = Cells()
        self._fds: dict[tuple[int, int, int, int, bytes, bytes], Block] = {}
        self._files: dict[tuple[bytes, int, tuple[bytes, bytes, bytes]], Look] = {}
        self.local = zone.interfaces.addresses
        self.users = zone.users.version

    # Threads

    def thread(self, thread: Thread) -> Block:
        """The THREAD block of a thread as it is now."""
        block = thread.block
        if block is not None and thread.block_version == thread.version:
            return block
        main = thread.main()
        env = env_block(thread.env if main is None else main.env)
        cells = self._cells
        cells.start()
        cells.number(slots.THREAD_ENV, env.id)
        thread_cells(cells, self._zone, thread)
        block = make_block(slots.KIND_THREAD, cells, (env,))
        thread.block = block
        thread.block_version = thread.version
        return block

    def lineage(self, thread: Thread, main: Thread | None) -> Block:
        """The LINEAGE block of a thread, whose main thread is ``main``, as it is now: for the encoder, where something has changed."""
        zone = self._zone
        thread.block_epoch = zone.table.epoch
        thread.lineage_version = thread.version
        thread.lineage_main = -1 if main is None else main.version
        ancestors: list[Block] = []
        lineage: list[Block] = []
        shell = -1
        if main is not None:
            threads = zone.threads
            step: Thread | None = main
            while len(ancestors) < MAX_ANCESTORS:
                parent = threads.get(step.ptid) if step is not None else None
                step = parent.main() if parent is not None else None
                if step is None or step is main:
                    break
                ancestors.append(self.thread(step))
            if main.comm.endswith(_SHELL):
                shell = main.pid
            parent = threads.get(main.ptid)
            while parent is not None and parent is not main and parent.tid != -1 and len(lineage) < MAX_ANCESTORS:
                lineage.append(self.thread(parent))
                if parent.comm.endswith(_SHELL):
                    shell = parent.pid
                if parent.ptid == parent.tid:
                    break
                parent = threads.get(parent.ptid)
        return self._lineage_block(thread, main, ancestors, lineage, shell)

    def _lineage_block(self, thread: Thread, main: Thread | None, ancestors: list[Block], lineage: list[Block], shell: int) -> Block:
        """The block that says this; the same as before, or as the main thread's, if that says it too."""
        zone = self._zone
        key: list[int] = [0 if main is None else self.thread(main).id, shell, len(ancestors)]
        refs: list[Block] = [] if main is None else [self.thread(main)]
        same = len(ancestors) == len(lineage)
        for block in ancestors:
            key.append(block.id)
            refs.append(block)
        for place in range(len(lineage)):
            block = lineage[place]
            key.append(block.id)
            if same and block is not ancestors[place]:
                same = False
        if not same:
            refs.extend(lineage)
        leaders: list[Block | None] = []
        for which in range(3):
            leader = zone.table.leader(thread, which)
            found = self.thread(leader) if leader is not None else None
            leaders.append(found)
            key.append(0 if found is None else found.id)
            if found is not None:
                refs.append(found)
        parent = zone.threads.get(thread.ptid)
        key.append(-1 if parent is None else parent.vpid)
        key.append(-1 if parent is None else parent.clone_ts)
        known = tuple(key)
        if thread.lineage is not None and thread.block_key == known:
            return thread.lineage
        thread.block_key = known
        if main is not None and main is not thread and main.lineage is not None and main.block_key == known:
            thread.lineage = main.lineage
            return main.lineage
        cells = self._cells
        cells.start()
        if main is not None:
            cells.number(slots.LINEAGE_MAIN, known[0])
        if ancestors:
            cells.raw(slots.LINEAGE_ANCESTORS, b"".join([block.id.to_bytes(8, "little") for block in ancestors]))
        if not same:
            cells.raw(slots.LINEAGE_THREADS, b"".join([block.id.to_bytes(8, "little") for block in lineage]))
        for which in range(3):
            found = leaders[which]
            if found is not None:
                cells.number(slots.SID_LEADER + which, found.id)
        if parent is not None:
            cells.number(slots.PROC_PVPID, parent.vpid)
            cells.number(slots.PROC_PPID_TS, parent.clone_ts)
        if shell >= 0:
            cells.number(slots.PROC_LOGINSHELLID, shell)
        made = make_block(slots.KIND_LINEAGE, cells, tuple(refs))
        thread.lineage = made
        return made

    # Files

    def fd(self, fd: Fd) -> Block:
        """The FD block of an open file that has none that speaks for it."""
        kind = fd.kind
        if t.SCAP_FD_IPV4_SOCK <= kind <= t.SCAP_FD_IPV6_SERVSOCK or kind == t.SCAP_FD_UNIX_SOCK:
            block = self._fd_block(fd)
        else:
            key = (kind, fd.flags & _SHOWN_FLAGS, fd.dev, fd.ino, fd.name, fd.name_raw)
            known = self._fds.get(key)
            if known is None:
                known = self._fd_block(fd)
                if len(self._fds) >= MAX_MEMO:
                    self._fds.clear()
                self._fds[key] = known
            block = known
        fd.block = block
        return block

    def _fd_block(self, fd: Fd) -> Block:
        cells = self._cells
        cells.start()
        fd_cells(cells, fd, self._zone.interfaces.addresses)
        return make_block(slots.KIND_FD, cells)

    def files(self, table: FdTable) -> Block:
        """The FILES block of a table that has none that speaks for it."""
        streams = table.streams
        if streams is None:
            fds = table.fds
            held = [fds.get(number) for number in range(3)]
            streams = (_name(held[0]), _name(held[1]), _name(held[2]))
            table.streams = streams
        look = table.before
        if look is None or look.mask != table.mask or look.streams != streams or table.low != look.low:
            low = bytes(table.low)
            key = (low, table.mask, streams)
            look = self._files.get(key)
            if look is None:
                look = Look(low, table.mask, streams, self._files_block(low, table.mask, streams))
                if len(self._files) >= MAX_MEMO:
                    self._files.clear()
                self._files[key] = look
        table.before = table.look
        table.look = look
        table.block = look.block
        return look.block

    def _files_block(self, low: bytes, kinds: int, names: tuple[bytes, bytes, bytes]) -> Block:
        cells = self._cells
        cells.start()
        types: list[bytes] = []
        for number in range(kinds.bit_length()):
            if kinds >> number & 1:
                text = type_text(number - 1)
                if text not in types:
                    types.append(text)
        cells.strings(slots.FD_TYPES, types)
        cells.raw(slots.FD_TYPE_TABLE, low.rstrip(b"\0"))
        for number in range(3):
            kind = low[number]
            if kind:
                cells.text(slots.PROC_STDIN_TYPE + number, type_text(kind - 1))
                cells.text(slots.PROC_STDIN_NAME + number, safe(names[number]))
        return make_block(slots.KIND_FILES, cells)

    # The zone

    def look(self) -> None:
        """Forget what depended on the zone's addresses (``local``), or on its users' names (as ``users``, their version), if these have
        changed."""
        zone = self._zone
        local = zone.interfaces.addresses
        if local is not self.local:
            self.local = local
            for thread in zone.threads.values():
                table = thread.fds
                if table is not None:
                    for fd in table.fds.values():
                        if t.SCAP_FD_IPV4_SOCK <= fd.kind <= t.SCAP_FD_IPV6_SERVSOCK:
                            fd.block = None
        if zone.users.version != self.users:
            self.users = zone.users.version
            for thread in zone.threads.values():
                thread.block = None
