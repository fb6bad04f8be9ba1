"""Hand-made events with what libsinsp printed for them (tests/data/golden-values.json), and the same events through our core."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from edera_falcod.fields.reader import BlockTable, EventView, Value, parse_form, value
from edera_falcod.fields.record import Encoder
from edera_falcod.scap import tables
from edera_falcod.scap.event import Event
from edera_falcod.scap.snapshot import SnapshotFd, SnapshotThread
from edera_falcod.state.block import Block
from edera_falcod.state.zone import ZoneState

DATA = Path(__file__).parent.parent / "data" / "golden-values.json"
CPU = 1  # of every event


@cache
def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DATA.read_text())
    return loaded


def cases() -> list[str]:
    return [case["case"] for case in golden()["cases"]]


def thread(said: dict[str, Any]) -> SnapshotThread:
    """A thread of the table that the library was given."""
    made = SnapshotThread(said["tid"])
    made.pid = said["pid"]
    made.ptid = said["ptid"]
    made.vtid = said["tid"]
    made.vpid = said["pid"]
    made.comm = said["comm"].encode()
    made.exe = said["exe"].encode()
    made.exepath = said["exepath"].encode()
    made.args = b"".join([item.encode() + b"\0" for item in said.get("args", [])])
    made.env = b"".join([item.encode() + b"\0" for item in said.get("env", [])])
    made.cgroups = b"".join([item.encode() + b"\0" for item in said.get("cgroups", [])])
    made.cwd = said["cwd"].encode()
    made.flags = said.get("flags", 0)
    made.uid = said.get("uid", 0)
    made.gid = said.get("gid", 0)
    made.sid = said["pid"]  # each leads a session, as the values have it
    made.loginuid = said.get("loginuid", 0xFFFFFFFF)
    made.cap_effective = said.get("cap_effective", 0)
    made.clone_ts = said.get("clone_ts", 0)
    for entry in said.get("fds", []):
        fd = SnapshotFd(entry["fd"])
        fd.kind = entry["type"]
        fd.name = entry["name"].encode()
        fd.ino = entry.get("ino", 0)
        made.fds.append(fd)
    return made


class World:
    """A zone with the golden threads, its encoder, and the blocks that a consumer would know."""

    def __init__(self) -> None:
        self.zone = ZoneState()
        self.zone.begin_snapshot(0)
        for said in golden()["threads"]:
            self.zone.add_snapshot_thread(thread(said))
        self.zone.end_snapshot()
        self.encoder = Encoder(1, self.zone)
        self.table = BlockTable()
        self.seq = 0

    def define(self, block: Block) -> None:
        if self.table.get(block.id, block.kind) is None:
            for ref in block.refs:
                self.define(ref)
            self.table.define(block.id, block.kind, block.data)

    def happen(self, code: int, params: list[bytes], tid: int = 1, ts: int = 1_700_000_000_000_000_000) -> EventView:
        """Apply an event; what a consumer sees of it."""
        event = Event(ts, tid, CPU, code, params)
        self.zone.apply(event)
        self.seq += 1
        record = self.encoder.encode(event)
        record.seq = self.seq
        for block in record.blocks:
            self.define(block)
        return EventView(record.item, self.table, hex_binary=True)


def look(view: EventView, form: str) -> Value | None:
    """A field's value, as rules write the field."""
    field, argument = parse_form(form)
    return value(field, argument, view)


def code_of(name: str) -> int:
    code: int = getattr(tables, name)
    return code


def run(case: dict[str, Any]) -> EventView:
    """The view of the last event of a case, on a fresh zone."""
    world = World()
    view: EventView | None = None
    ts = case["ts"] - len(case["events"]) + 1
    for said in case["events"]:
        view = world.happen(code_of(said["code"]), [bytes.fromhex(param) for param in said["params"]], said["tid"], ts)
        ts += 1
    assert view is not None
    return view
