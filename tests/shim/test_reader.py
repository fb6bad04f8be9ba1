"""The shim against the Python reader: on real events they serve the same values in every form."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from edera_falcod.fields.forms import all_forms, fixed_forms, values
from edera_falcod.fields.names import ARG_NAMES
from edera_falcod.fields.reader import EventView
from edera_falcod.fields.record import Record
from edera_falcod.scap.capture import read_capture
from edera_falcod.state.block import Block

from ..support.core import of_capture
from . import fake
from .conftest import ROOT, Build

EVERY = 7  # events are looked at; all of them change the state


def _needed(blocks: tuple[Block, ...], known: set[int], items: list[bytes]) -> None:
    for block in blocks:
        if block.id not in known:
            _needed(block.refs, known, items)
            known.add(block.id)
            items.append(fake.define(block.id, block.kind, block.data))


@pytest.mark.parametrize("name", ["net1", "attack1"])
def test_same_values(plain: Build, path: Path, name: str) -> None:
    known: set[int] = set()
    frames: list[bytes] = []
    expected: list[tuple[int, int, dict[str, Any]]] = []
    with (ROOT / "tests/data" / f"{name}.scap").open("rb") as stream:
        core, replies = of_capture(read_capture(stream))
        for number, reply in enumerate(itertools.islice(replies, 4000)):
            made = core.feed(reply)
            if made is None or number % EVERY:
                continue
            event, record = made
            assert isinstance(record, Record)
            items: list[bytes] = []
            _needed(record.blocks, known, items)
            frames.append(fake.batch(*items, fake.item(fake.EVENT, record.item)))
            expected.append((event.ts, event.tid, values(EventView(record.item, core.table, hex_binary=True), all_forms(event.code))))

    def script(daemon: fake.Connection) -> None:
        daemon.greet()
        for frame in frames:
            daemon.send(frame)
        daemon.drain()

    forms = [form for form, _, _ in fixed_forms()] + [f"evt.{what}.{name}" for what in ("arg", "rawarg") for name in ARG_NAMES]
    with fake.FakeDaemon(path, script):
        result = plain.run(path, "--json", "--params", "--fields", "-", "--count", str(len(expected)), stdin="\n".join(forms))
    assert result.code == 0, result.err
    assert len(expected) > 300
    for line, (ts, tid, fields) in zip(result.events, expected, strict=True):
        assert (line["ts"], line["tid"]) == (ts, tid)
        # A signed number is text on one side and a number or text on the other: as printed
        assert {form: str(value) for form, value in line["fields"].items()} == {form: str(value) for form, value in fields.items()}, line
    assert result.metrics["doubtful_values"] == 0
    assert result.metrics["malformed"] == 0
