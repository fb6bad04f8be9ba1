"""Invariant: what Google's protobuf reads in a reply the wire reader reads too, with the same meaning; it refuses what protobuf refuses and
what is beyond our limits, always with one of its own causes."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from edera_falcod.scap import errors
from edera_falcod.scap.errors import WireError
from edera_falcod.scap.wire import SnapshotReader, parse_reply
from tests.scap import control
from tests.scap.test_wire import check, members, parse_all

from . import captured


def corpus() -> list[bytes]:
    return captured.replies() + captured.snapshots()


def one(data: bytes) -> None:
    try:
        control.reply("entries").FromString(data)
    except DecodeError:
        try:
            parse_all(data)
        except WireError as error:
            assert error.cause in errors.CAUSES
        else:  # it never looks into a member of the oneof that a later one replaced
            assert members(data) > 1
    else:
        if not cut(data):
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
