"""Invariant: what Google's protobuf reads in a reply the wire reader reads too, with the same meaning; it refuses what protobuf refuses and
what is beyond our limits, always with one of its own causes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from edera_falcod.scap import errors
from edera_falcod.scap.errors import WireError
from edera_falcod.scap.protobuf import GROUP
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from tests.scap import control
from tests.scap.test_wire import check, members, parse_all

from . import captured


def corpus() -> list[bytes]:
    return captured.replies() + captured.snapshots()


def one(data: bytes) -> None:
    try:
        message = control.reply("entries").FromString(data)
    except DecodeError:
        try:
            parse_all(data)
        except WireError as error:
            assert error.cause in errors.CAUSES
        else:  # it never looks into a member of the oneof that a later one replaced
            assert members(data) > 1
    else:
        if not cut(data) and not numberless(message):
            check(data)


def cut(data: bytes) -> bool:
    """Whether texts of a snapshot were cut to our limits, of which protobuf knows nothing."""
    try:
        found = parse_reply(data, 0, len(data))
        while isinstance(found, SnapshotReader) and found.next_thread() is not None:
            pass
    except WireError:
        return False
    return isinstance(found, SnapshotReader) and found.cut_texts > 0


def numberless(message: Any) -> bool:
    """Whether a field of number 0 stands in a group that nobody knows. There is no such number; Google's reader in C, which this is, takes
    it there all the same, others do not."""
    return any(0 in numbers(UnknownFieldSet(one)) for one in whole(message))


def numbers(fields: Any) -> Iterator[int]:
    for field in fields:
        yield field.field_number
        if field.wire_type == GROUP:
            yield from numbers(field.data)


def whole(message: Any) -> Iterator[Any]:
    """A message and all that are in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else (value,):
                yield from whole(one)
