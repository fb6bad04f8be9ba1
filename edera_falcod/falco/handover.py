"""What a daemon that stops hands over to the one that follows: consumers, what they have acknowledged, and what they were not yet sent
or have not acknowledged. Bytes in a file, written and read whole.

    "EDFH", u32 version, u32 n + head (JSON), blocks, records, u32 CRC-32 of all before

A block: u64 id, u8 kind, u16 n + n x u64 (blocks that it names, which come before it), u32 length + bytes. A record: u64 sequence
number, i64 zone, u8 priority, u32 bit for each consumer that is to get it, u8 n + n x u64 block ids, u32 length + bytes.

Sequence numbers and block ids go on where they ended, so consumers see one stream. Records that are handed over belong to accounts of
their own, of zones that are gone: the zones themselves are found and learned anew. A file that is not whole, of another version, or
of a registry that is not a prefix of ours, is not used; the caller tells the gap.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

from ..fields.record import Record, newest_of
from ..state.block import Block
from .accounting import RESTART, ZoneAccount
from .frames import SEQ_SIZE
from .ring import BLOCK_OVERHEAD, DAEMON, MAX_CONSUMERS, RECORD_OVERHEAD, Ring

VERSION: Final = 1
PARTS: Final = 2  # the file holds at most so many times one consumer's budget, blocks included: several consumers share most records
MAX_FILE: Final = 20 << 30  # bytes; more is no file of ours (PARTS times the largest buffer.size, and blocks)

_HEAD: Final = struct.Struct("<4sII")
_BLOCK: Final = struct.Struct("<QBH")
_RECORD: Final = struct.Struct("<QqBIB")
_U32: Final = struct.Struct("<I")


class HandoverError(Exception):
    """What was handed over cannot be used; the text says why."""


def dump(ring: Ring, fields: int, hash: int) -> tuple[bytes, int]:
    """The ring as bytes, and how many events they hold. ``fields``, ``hash``: of the registry that its blocks were made with."""
    ring.all_up()
    consumers = [consumer for consumer in ring.consumers.values() if not consumer.ephemeral]
    wanted: dict[int, tuple[Record, int]] = {}
    for number, consumer in enumerate(consumers):
        for record in (*consumer.queue.unacknowledged, *consumer.queue.waiting):
            wanted[record.seq] = (record, wanted.get(record.seq, (record, 0))[1] | 1 << number)
    zones = sorted({record.zone for record, _ in wanted.values()})
    head: dict[str, Any] = {
        "head": ring.head,
        "fields": fields,
        "hash": hash,
        "marks": ring.marks(),
        "zones": [[index, ring.zones[index].id, ring.zones[index].name] for index in zones],
        "consumers": [[one.name, one.acknowledged, one.sent, one.connections] for one in consumers],
    }
    blocks: list[bytes] = []
    records: list[bytes] = []
    done: set[int] = set()
    for seq in sorted(wanted):
        record, mask = wanted[seq]
        for block in record.blocks:
            _dump_block(block, done, blocks)
        ids = [block.id for block in record.blocks]
        records.append(_RECORD.pack(seq, record.zone, record.priority, mask, len(ids)) + struct.pack(f"<{len(ids)}Q", *ids))
        item = record.item
        records.append(_U32.pack(len(item)) + item)
    text = json.dumps(head | {"blocks": len(done), "records": len(wanted)}).encode()
    data = b"".join([_HEAD.pack(b"EDFH", VERSION, len(text)), text, *blocks, *records])
    return data + _U32.pack(zlib.crc32(data)), len(wanted)


def _dump_block(block: Block, done: set[int], out: list[bytes]) -> None:
    if block.id in done:
        return
    for other in block.refs:  # at most three levels: docs/protocol.md
        _dump_block(other, done, out)
    done.add(block.id)
    out.append(_BLOCK.pack(block.id, block.kind, len(block.refs)) + struct.pack(f"<{len(block.refs)}Q", *[ref.id for ref in block.refs]))
    out.append(_U32.pack(len(block.data)) + block.data)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if len(self.data) - self.at < size:
            raise HandoverError("it is cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        return form.unpack(self.take(form.size))

    def ids(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.take(8 * count))

    def bytes(self) -> bytes:
        return self.take(int(self.unpack(_U32)[0]))


def restore(ring: Ring, data: bytes, prefix_hash: Callable[[int], int], known: int, now: float) -> tuple[int, int]:
    """Put what ``dump`` made into a ring that nothing has entered yet. ``prefix_hash``, ``known``: of our registry. ``now``: monotonic
    seconds.

    Returns how many events there were and the highest block id. Raises HandoverError, and then the ring is as it was."""
    if len(data) < _HEAD.size + 4 or zlib.crc32(data[:-4]) != _U32.unpack(data[-4:])[0]:
        raise HandoverError("it is not whole")
    reader = _Reader(data[:-4])
    magic, version, length = reader.unpack(_HEAD)
    if magic != b"EDFH" or version != VERSION:
        raise HandoverError("it is of another version")
    try:
        head = json.loads(reader.take(length))
        fields = int(head["fields"])
        if fields > known or prefix_hash(fields) != int(head["hash"]):
            raise HandoverError("its fields are not ours")
        consumers = [(str(name), int(acked), int(sent), int(count)) for name, acked, sent, count in head["consumers"]]
        zones = [(int(index), str(id_), str(name)) for index, id_, name in head["zones"]]
        marks = [(min(float(then), now), int(seq)) for then, seq in head["marks"]]
        last_seq, n_blocks, n_records = int(head["head"]), int(head["blocks"]), int(head["records"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise HandoverError("its head cannot be read") from error
    if len(consumers) > MAX_CONSUMERS:
        raise HandoverError("it has too many consumers")
    blocks: dict[int, Block] = {}
    records: list[tuple[Record, int]] = []
    indices = {index for index, _, _ in zones}
    before = 0
    try:
        for _ in range(n_blocks):
            id_, kind, count = reader.unpack(_BLOCK)
            if id_ in blocks:
                raise HandoverError("it contradicts itself")
            refs = tuple([blocks[other] for other in reader.ids(count)])
            blocks[id_] = Block(id_, kind, reader.bytes(), refs)
        for _ in range(n_records):
            seq, zone, priority, mask, count = reader.unpack(_RECORD)
            named = tuple([blocks[other] for other in reader.ids(count)])
            if not before < seq <= last_seq or zone not in indices or priority > 3 or mask >> len(consumers):
                raise HandoverError("it contradicts itself")
            before = seq
            records.append((Record(seq, zone, reader.bytes()[SEQ_SIZE:], named, newest_of(named), priority), mask))
    except KeyError as error:
        raise HandoverError("it names a block that it does not hold") from error
    _fill(ring, last_seq, marks, zones, consumers, records, max(blocks, default=0))
    return len(records), max(blocks, default=0)


def _fill(
    ring: Ring,
    head: int,
    marks: list[tuple[float, int]],
    zones: list[tuple[int, str, str]],
    consumers: list[tuple[str, int, int, int]],
    records: list[tuple[Record, int]],
    last_block: int,
) -> None:
    accounts: dict[int, ZoneAccount] = {}
    for index, id_, name in zones:
        accounts[index] = ring.zones[DAEMON] if index == DAEMON else ring.add_zone(id_, name)
    charged: set[int] = set()
    for record, _ in records:
        account = accounts[record.zone]
        record.zone = account.index
        account.received += 1
        account.entered += 1
        record.size = len(record.data) + RECORD_OVERHEAD + _reach(record.blocks, charged)
    ring.resume(head, last_block, marks)
    for consumer in ring.consumers.values():
        consumer.forget_shares()  # those of accounts that were empty until now
    for number, (name, acknowledged, sent, connections) in enumerate(consumers):
        consumer = ring.keep(name)
        consumer.acknowledged = acknowledged
        consumer.sent = sent
        consumer.due = acknowledged + 1
        consumer.connections = connections
        for record, mask in records:
            share = consumer.share(ring.zones[record.zone])
            if not mask >> number & 1:
                continue  # counted as before: it was acknowledged or told as lost by the daemon before us
            consumer.queue.append(record)
            share.before -= 1
            share.waiting += 1
            share.bytes += record.size
            consumer.bytes += record.size
        consumer.shrink(consumer.budget, RESTART)
    for consumer in ring.consumers.values():
        for account in accounts.values():
            consumer.share(account)
    for account in accounts.values():
        if account.index != DAEMON:
            ring.remove_zone(account)


def _reach(blocks: tuple[Block, ...], charged: set[int]) -> int:
    """Bytes of those of these blocks, and of what they name, that nobody has been charged for."""
    size = 0
    stack = list(blocks)
    while stack:
        block = stack.pop()
        if block.id not in charged:
            charged.add(block.id)
            size += len(block.data) + BLOCK_OVERHEAD
            stack.extend(block.refs)
    return size


def trim(ring: Ring) -> int:
    """Drop the oldest of what waits until all consumers together fit into what is handed over; how many were dropped for some consumer.
    Call when nobody is connected."""
    limit = PARTS * ring.budget
    newest: list[Record] = []
    seen: set[int] = set()
    for consumer in ring.consumers.values():
        for record in consumer.queue.waiting:
            if not consumer.ephemeral and record.seq not in seen:
                seen.add(record.seq)
                newest.append(record)
    newest.sort(key=lambda record: record.seq)
    size = 0
    charged: set[int] = set()
    while newest:
        record = newest.pop()
        size += len(record.data) + RECORD_OVERHEAD + _reach(record.blocks, charged)
        if size > limit:
            return sum([consumer.discard(record.seq + 1, RESTART) for consumer in ring.consumers.values()])
    return 0


def write(path: str, data: bytes) -> None:
    """Raises OSError. The file is ours alone, and there whole or not at all."""
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read(path: str) -> bytes | None:
    """What lies there, None if nothing does; it is taken away, so that nothing is ever delivered from it twice. Raises OSError, and
    HandoverError for a file that somebody else could have written."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077 or facts.st_size > MAX_FILE:
            raise HandoverError("it is not a file of this user alone")
        os.unlink(path)
        return file.read()
