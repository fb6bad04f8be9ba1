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
from ..state.preparation import HAS_FD
from ..state.thread import Thread
from ..state.zone import ZoneState
from . import repeats, slots
from .blocks import ZoneBlocks, etype_block
from .cells import Cells
from .evt import evt_cells, generic_syscall
from .fdlist import fdlist_cells
from .fdname import fdname_cells
from .fspath import PLANS as PATHS
from .fspath import fspath_cells
from .priority import PRIORITIES
from .workload import Workloads

_HEAD: Final = Struct("<9q")  # interpreted: sequence number, time, thread and the ids of blocks


@final
class Record:
    """One event as consumers get it. ``seq``: its place among the daemon's events. ``zone``: index of the zone's account. ``data``: the
    bytes of the EVENT item. ``blocks``: those that ``data`` names, of which a consumer has to know them (and what they refer to)
    first; one may be there twice. ``size``: what it is charged with, set by the ring. ``priority``: 0 to 3, the lowest is shed first."""

    __slots__ = ("blocks", "data", "priority", "seq", "size", "zone")

    def __init__(self, seq: int, zone: int, data: bytes, blocks: tuple[Block, ...], size: int, priority: int) -> None:
        self.seq = seq
        self.zone = zone
        self.data = data
        self.blocks = blocks
        self.size = size
        self.priority = priority


@final
class Encoder:
    """Makes the records of one zone. ``index``: of the zone's account in the ring. ``zone_block``: the zone's facts, replaced when they
    change. ``workloads``: what the zone's threads belong to."""

    __slots__ = ("_blocks", "_cells", "_key", "_out", "_zone", "index", "workloads", "zone_block")

    def __init__(self, index: int, zone: ZoneState, zone_block: Block | None = None, workloads: Workloads | None = None) -> None:
        self.index = index
        self.zone_block = zone_block
        self.workloads = workloads
        self._zone = zone
        self._blocks = ZoneBlocks(zone)
        self._cells = Cells()
        self._out = BytesWriter()
        self._key: repeats.Key | None = None  # interpreted: of the event's record, if that will be remembered

    def encode(self, event: Event, seq: int) -> Record:
        """The record of the event that the zone has applied last."""
        zone = self._zone
        maker = self._blocks
        if zone.interfaces.addresses is not maker.local or zone.users.version != maker.users:
            maker.look()
        if not COMPILED:
            record = self._repeat(event, seq)
            if record is not None:
                return record
        code = event.code
        cells = self._cells
        cells.start()
        evt_cells(cells, zone, event)
        paths = PATHS[code]
        if paths is not None:
            fspath_cells(cells, zone, event, paths)
        etype = etype_block(code, generic_syscall(event) if code == t.PPME_GENERIC_X else 0)
        # What an event does not have is its type's once more in its place: making a tuple of what there is would take a list first
        of_zone = of_thread = of_lineage = of_files = of_fd = of_workload = etype
        zone_id: i64 = 0
        thread_id: i64 = 0
        fd_id: i64 = 0
        files_id: i64 = 0
        workload_id: i64 = 0
        zone_block = self.zone_block
        if zone_block is not None:
            zone_id = zone_block.id
            of_zone = zone_block
        thread = zone.thread
        if thread is not None:
            main = thread.main()
            of_thread = maker.thread(thread)
            thread_id = of_thread.id
            of_lineage = maker.lineage(thread, main)
            table = zone.fd_table(thread)
            if table is not None:
                known = table.block
                of_files = known if known is not None else maker.files(table)
                files_id = of_files.id
            _thread_cells(cells, thread, main, of_lineage.id)
            if HAS_FD[code]:
                cells.native(slots.FD_NUM, zone.fd_num)
                fd = zone.fd
                if fd is not None:
                    known = fd.block
                    of_fd = known if known is not None else maker.fd(fd)
                    fd_id = of_fd.id
                else:
                    fdname_cells(cells, zone, thread, event)
            if code == t.PPME_SYSCALL_POLL_X or code == t.PPME_SYSCALL_PPOLL_X:
                fdlist_cells(cells, zone, thread, event)
            workloads = self.workloads
            if workloads is not None:
                of_workload = workloads.of(thread)
                workload_id = of_workload.id
            if zone.cpu_user >= 0:
                cells.number(slots.THREAD_CPU, min(zone.cpu_user + zone.cpu_system, 100))
                cells.number(slots.THREAD_CPU_USER, min(zone.cpu_user, 100))
                cells.number(slots.THREAD_CPU_SYSTEM, min(zone.cpu_system, 100))
        if zone.exectime:
            cells.number(slots.THREAD_EXECTIME, zone.exectime)
        if COMPILED:
            out = self._out
            out.truncate(0)
            write_i64_le(out, seq)
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
            head = _HEAD.pack(seq, event.ts, event.tid, etype.id, zone_id, thread_id, fd_id, files_id, workload_id)
            data = head + cells.packed() + cells.heap.getvalue()
            if self._key is not None:
                repeats.remember(self._key, etype, data)
        blocks = (etype, of_zone, of_thread, of_lineage, of_files, of_fd, of_workload)
        return Record(seq, self.index, data, blocks, 0, PRIORITIES[code])

    def _repeat(self, event: Event, seq: int) -> Record | None:
        """Interpreted: the record, if one that is like it was made before. Else ``_key`` is under what to remember it."""
        self._key = None
        plan = repeats.PLANS[event.code]
        zone = self._zone
        thread = zone.thread
        if plan is None or thread is None or thread.totexectime:
            return None
        main = thread if thread.tid == thread.pid else thread.main()
        group = thread.group
        if main is None or group is None:
            return None
        held = main.fds
        table = held if thread.flags & t.PPM_CL_CLONE_FILES else thread.fds
        if table is None:
            return None
        fd = zone.fd
        number = zone.fd_num
        if zone.event_fd is not fd or (fd is not None and table.map.fds.get(number) is not fd):
            return None
        maker = self._blocks
        of_thread = thread.block
        if of_thread is None or thread.block_version != thread.version:
            of_thread = maker.thread(thread)
        of_lineage = thread.lineage
        if (
            of_lineage is None
            or thread.block_epoch != zone.table.epoch
            or thread.lineage_version != thread.version
            or thread.lineage_main != main.version
        ):
            of_lineage = maker.lineage(thread, main)
        of_files = table.block
        if of_files is None:
            of_files = maker.files(table)
        fd_id = 0
        of_fd: Block | None = None
        if fd is not None:
            of_fd = fd.block
            if of_fd is None:
                of_fd = maker.fd(fd)
            fd_id = of_fd.id
        params = event.params
        cwd = b""
        for index in plan.paths:
            if index < len(params) and not params[index].startswith(b"/"):
                cwd = main.cwd
        key = (event.code, number, fd_id, zone.fd_name_changed, cwd, tuple(params))
        known = repeats.REPEATS.get(key)
        if known is None:
            for index in plan.fds:
                if index < len(params):
                    given = params[index]
                    # A file other than the event's
                    if len(given) == 8 and given[7] < 0x80 and (fd is None or int.from_bytes(given, "little") != number):
                        return None
            self._key = key
            return None
        etype = of_zone = of_workload = known.etype
        zone_id = workload_id = 0
        zone_block = self.zone_block
        if zone_block is not None:
            zone_id = zone_block.id
            of_zone = zone_block
        workloads = self.workloads
        if workloads is not None:
            of_workload = workloads.of(thread)
            workload_id = of_workload.id
        threads = group.alive
        count = len(held.map.fds) if held is not None else 0
        limit = main.fdlimit
        usage = 0
        if limit > 0:
            usage = count * 100 // limit if count <= limit else 100
        previous = zone.prev_ts
        ts = event.ts
        try:
            data = known.pack(
                seq, ts, event.tid, etype.id, zone_id, of_thread.id, fd_id, of_files.id, workload_id,
                known.front, of_lineage.id, known.args, event.cpu, known.result, ts - previous if previous else 0, known.file,
                thread.vmsize_kb, thread.vmrss_kb, thread.vmswap_kb, thread.pfmajor, thread.pfminor,
                threads, threads if main.flags & t.PPM_CL_CLOSED else threads - 1, count, usage,
            )  # fmt: skip
        except StructError:  # a number of 64 bits with the highest of them set
            return None
        blocks = (etype, of_zone, of_thread, of_lineage, of_files, of_fd if of_fd is not None else etype, of_workload)
        return Record(seq, self.index, data + known.rest, blocks, 0, plan.priority)


def _thread_cells(cells: Cells, thread: Thread, main: Thread | None, lineage: int) -> None:
    """What changes too often for a block, and which LINEAGE block is the thread's."""
    group = thread.group
    threads: i64 = 0
    if group is not None:
        threads = group.alive
    count: i64 = 0
    usage: i64 = 0
    if main is not None:
        table = main.fds
        if table is not None:
            count = len(table.map.fds)
        limit: i64 = main.fdlimit
        if limit > 0:
            usage = count * 100 // limit if count <= limit else 100
    childs = threads - 1 if group is not None and main is not None and not main.is_dead() else threads
    cells.hot(
        lineage, thread.vmsize_kb, thread.vmrss_kb, thread.vmswap_kb, thread.pfmajor, thread.pfminor, threads, childs, count, usage
    )
    if thread.totexectime:
        cells.number(slots.THREAD_TOTEXECTIME, thread.totexectime)
