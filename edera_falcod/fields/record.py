"""From an event that a zone's state has applied to the record that consumers get: docs/protocol.md, Events."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import Final, final

from librt.strings import BytesWriter, write_i64_le
from mypy_extensions import i64

from ..scap import tables as t
from ..scap.event import Event
from ..scap.safetext import COMPILED
from ..state.block import Block
from ..state.fdtable import FdTable
from ..state.preparation import HAS_FD
from ..state.thread import Thread
from ..state.zone import ZoneState
from . import repeats, slots
from .blocks import ETYPES, ZoneBlocks, etype_block
from .cells import Cells
from .evt import evt_cells, generic_syscall
from .fdlist import fdlist_cells
from .fdname import fdname_cells
from .fspath import PLANS as PATHS
from .fspath import fspath_cells
from .priority import PRIORITIES
from .workload import Workloads

_HEAD: Final = Struct("<8q")  # interpreted: time, thread and the ids of blocks


@final
class Record:
    """One event as consumers get it. ``seq``: its place among the daemon's events, 0 until it has one. ``zone``: index of the zone's
    account. ``data``: the bytes of the EVENT item behind its sequence number. ``blocks``: those that ``data`` names, of which a consumer
    has to know them (and what they refer to) first; one may be there twice. ``newest``: the highest of their ids. ``size``: what it is
    charged with, set by the ring. ``priority``: 0 to 3, the lowest is shed first."""

    __slots__ = ("blocks", "data", "newest", "priority", "seq", "size", "zone")

    def __init__(self, seq: int, zone: int, data: bytes, blocks: tuple[Block, ...], newest: int, priority: int) -> None:
        self.seq = seq
        self.zone = zone
        self.data = data
        self.blocks = blocks
        self.newest = newest
        self.size = 0
        self.priority = priority

    @property
    def item(self) -> bytes:
        """The EVENT item."""
        return self.seq.to_bytes(8, "little") + self.data


def newest_of(blocks: tuple[Block, ...]) -> int:
    """The highest of the blocks' ids, 0 if there are none."""
    newest: i64 = 0
    for block in blocks:
        if block.id > newest:
            newest = block.id
    return newest


@final
class Encoder:
    """Makes the records of one zone. ``index``: of the zone's account in the ring. ``zone_block``: the zone's facts, replaced when they
    change. ``workloads``: what the zone's threads belong to."""

    __slots__ = ("_blocks", "_cells", "_out", "_zone", "index", "workloads", "zone_block")

    def __init__(self, index: int, zone: ZoneState, zone_block: Block | None = None, workloads: Workloads | None = None) -> None:
        self.index = index
        self.zone_block = zone_block
        self.workloads = workloads
        self._zone = zone
        self._blocks = ZoneBlocks(zone)
        self._cells = Cells()
        self._out = BytesWriter()

    def encode(self, event: Event) -> Record:
        """The record of the event that the zone has applied last; it has no sequence number yet."""
        zone = self._zone
        maker = self._blocks
        if zone.interfaces.addresses is not maker.local or zone.users.version != maker.users:
            maker.look()
        code = event.code
        known = ETYPES[code]
        etype = known if known is not None else etype_block(code, generic_syscall(event))
        # What an event does not have is its type's once more in its place: making a tuple of what there is would take a list first
        of_zone = of_thread = of_lineage = of_files = of_fd = of_workload = etype
        zone_id: i64 = 0
        thread_id: i64 = 0
        fd_id: i64 = 0
        files_id: i64 = 0
        workload_id: i64 = 0
        # What changes too often for a block
        threads: i64 = 0
        childs: i64 = 0
        count: i64 = 0
        usage: i64 = 0
        zone_block = self.zone_block
        if zone_block is not None:
            zone_id = zone_block.id
            of_zone = zone_block
        thread = zone.thread
        fd = zone.fd
        has_fd = HAS_FD[code]
        key: repeats.Key | None = None  # interpreted: under what to remember the record
        if thread is not None:
            main = thread if thread.tid == thread.pid else thread.main()
            known = thread.block
            of_thread = known if known is not None and thread.block_version == thread.version else maker.thread(thread)
            thread_id = of_thread.id
            known = thread.lineage
            if (
                known is not None
                and main is not None
                and thread.block_epoch == zone.table.epoch
                and thread.lineage_version == thread.version
                and thread.lineage_main == main.version
            ):
                of_lineage = known
            else:
                of_lineage = maker.lineage(thread, main)
            table = thread.fds
            if table is None or thread.flags & t.PPM_CL_CLONE_FILES:
                table = zone.fd_table(thread)
            if table is not None:
                known = table.block
                of_files = known if known is not None else maker.files(table)
                files_id = of_files.id
            if has_fd and fd is not None:
                known = fd.block
                of_fd = known if known is not None else maker.fd(fd)
                fd_id = of_fd.id
            workloads = self.workloads
            if workloads is not None:
                of_workload = workloads.of(thread)
                workload_id = of_workload.id
            group = thread.group
            if group is not None:
                threads = childs = group.alive
            if main is not None:
                if group is not None and main.flags & t.PPM_CL_CLOSED == 0:
                    childs -= 1
                held = main.fds
                if held is not None:
                    count = len(held.map.fds)
                limit: i64 = main.fdlimit
                if limit > 0:
                    usage = count * 100 // limit if count <= limit else 100
                if not COMPILED and table is not None and thread.totexectime == 0:
                    like = self._like(event, main, table, fd_id)
                    if not isinstance(like, repeats.Repeat):
                        key = like
                    else:
                        previous = zone.prev_ts
                        ts = event.ts
                        try:
                            data = like.pack(
                                ts, event.tid, etype.id, zone_id, thread_id, fd_id, files_id, workload_id,
                                like.front, of_lineage.id, like.args, event.cpu, like.result, ts - previous if previous else 0, like.file,
                                thread.vmsize_kb, thread.vmrss_kb, thread.vmswap_kb, thread.pfmajor, thread.pfminor,
                                threads, childs, count, usage,
                            )  # fmt: skip
                            blocks = (etype, of_zone, of_thread, of_lineage, of_files, of_fd, of_workload)
                            newest = max(etype.id, zone_id, thread_id, of_lineage.id, files_id, fd_id, workload_id)
                            return Record(0, self.index, data + like.rest, blocks, newest, PRIORITIES[code])
                        except StructError:  # a number of 64 bits with the highest of them set
                            pass
        cells = self._cells
        cells.start()
        evt_cells(cells, zone, event)
        paths = PATHS[code]
        if paths is not None:
            fspath_cells(cells, zone, event, paths)
        if thread is not None:
            cells.hot(
                of_lineage.id, thread.vmsize_kb, thread.vmrss_kb, thread.vmswap_kb, thread.pfmajor, thread.pfminor,
                threads, childs, count, usage,
            )  # fmt: skip
            if thread.totexectime:
                cells.number(slots.THREAD_TOTEXECTIME, thread.totexectime)
            if has_fd:
                cells.native(slots.FD_NUM, zone.fd_num)
                if fd is None:
                    fdname_cells(cells, zone, thread, event)
            if code == t.PPME_SYSCALL_POLL_X or code == t.PPME_SYSCALL_PPOLL_X:
                fdlist_cells(cells, zone, thread, event)
            if zone.cpu_user >= 0:
                cells.number(slots.THREAD_CPU, min(zone.cpu_user + zone.cpu_system, 100))
                cells.number(slots.THREAD_CPU_USER, min(zone.cpu_user, 100))
                cells.number(slots.THREAD_CPU_SYSTEM, min(zone.cpu_system, 100))
        if zone.exectime:
            cells.number(slots.THREAD_EXECTIME, zone.exectime)
        if COMPILED:
            out = self._out
            out.truncate(0)
            write_i64_le(out, event.ts)
            write_i64_le(out, event.tid)
            write_i64_le(out, etype.id)
            write_i64_le(out, zone_id)
            write_i64_le(out, thread_id)
            write_i64_le(out, fd_id)
            write_i64_le(out, files_id)
            write_i64_le(out, workload_id)
            cells.write(out)
            data = out.getvalue()
        else:
            head = _HEAD.pack(event.ts, event.tid, etype.id, zone_id, thread_id, fd_id, files_id, workload_id)
            data = head + cells.packed() + cells.heap.getvalue()
            if key is not None:
                repeats.remember(key, data)
        blocks = (etype, of_zone, of_thread, of_lineage, of_files, of_fd, of_workload)
        if COMPILED:
            newest = newest_of(blocks)
        else:
            newest = max(etype.id, zone_id, thread_id, of_lineage.id, files_id, fd_id, workload_id)
        return Record(0, self.index, data, blocks, newest, PRIORITIES[code])

    def _like(self, event: Event, main: Thread, table: FdTable, fd_id: int) -> repeats.Repeat | repeats.Key | None:
        """Interpreted: a record like the event's that was made before; if there is none, under what to remember it, unless it should not
        be. ``main``: the event's main thread, ``table``: the files of its process, ``fd_id``: the block of its file."""
        plan = repeats.PLANS[event.code]
        if plan is None:
            return None
        zone = self._zone
        fd = zone.fd
        number = zone.fd_num
        if zone.event_fd is not fd or (fd is not None and table.map.fds.get(number) is not fd):
            return None
        params = event.params
        cwd = b""
        for index in plan.paths:
            if index < len(params) and not params[index].startswith(b"/"):
                cwd = main.cwd
        key = (event.code, number, fd_id, zone.fd_name_changed, cwd, tuple(params))
        like = repeats.REPEATS.get(key) or repeats.again(key)
        if like is not None:
            return like
        for index in plan.fds:
            if index < len(params):
                given = params[index]
                # A file other than the event's
                if len(given) == 8 and given[7] < 0x80 and (fd is None or int.from_bytes(given, "little") != number):
                    return None
        return key
