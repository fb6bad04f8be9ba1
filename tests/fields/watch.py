"""A zone and what a consumer sees of it: state, encoder, blocks, reader, nothing between them."""

from __future__ import annotations

from edera_falcod.fields.reader import BlockTable, EventView, Value, parse_form, value
from edera_falcod.fields.record import Encoder, Record
from edera_falcod.fields.workload import Workloads
from edera_falcod.scap.event import Event
from edera_falcod.state.block import Block
from edera_falcod.state.zone import ZoneState


class Watch:
    """``see`` takes an event and ``value`` then answers for it. ``defined``: blocks that were new with the last event, by kind."""

    def __init__(self, zone: ZoneState, zone_block: Block | None = None, workloads: Workloads | None = None) -> None:
        self.zone = zone
        self.encoder = Encoder(7, zone, zone_block, workloads)
        self.table = BlockTable()
        self.seq = 0
        self.defined: list[int] = []
        self.record: Record
        self.view: EventView

    def see(self, *events: Event) -> Watch:
        for event in events:
            self.zone.apply(event)
            self.seq += 1
            self.defined = []
            self.record = self.encoder.encode(event)
            self.record.seq = self.seq
            for block in self.record.blocks:
                self.define(block)
            self.view = EventView(self.record.item, self.table)
        return self

    def define(self, block: Block) -> None:
        if self.table.get(block.id, block.kind) is None:
            for ref in block.refs:
                self.define(ref)
            self.table.define(block.id, block.kind, block.data)
            self.defined.append(block.kind)

    def value(self, form: str) -> Value | None:
        field, argument = parse_form(form)
        return value(field, argument, self.view)

    def block(self, kind: int) -> Block | None:
        for block in self.record.blocks:
            if block.kind == kind:
                return block
        return None
