"""The registry as a whole: its hashes for the handshake, its JSON for plugin hosts, look-up by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from .catalog import FIELDS
from .spec import Arg, Field, Type

FNV_OFFSET: Final = 0xCBF2_9CE4_8422_2325
FNV_PRIME: Final = 0x0000_0100_0000_01B3
MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF

# Plugin API names (falco-plugin-abi.md 1.4); a signed number is text there
PLUGIN_TYPES: Final = {
    Type.UINT64: "uint64",
    Type.STRING: "string",
    Type.SIGNED: "string",
    Type.RELTIME: "reltime",
    Type.ABSTIME: "abstime",
    Type.BOOL: "bool",
    Type.IPADDR: "ipaddr",
    Type.IPNET: "ipnet",
}


def fnv1a(data: bytes, value: int = FNV_OFFSET) -> int:
    """FNV-1a 64 of ``data``, going on from ``value``."""
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & MASK64
    return value


@cache
def prefix_hashes() -> tuple[int, ...]:
    """Hash of the first n declaration lines, for n from 0 to the number of fields: docs/protocol.md, Frames."""
    value = FNV_OFFSET
    hashes = [value]
    for field in FIELDS:
        value = fnv1a(field.line().encode() + b"\n", value)
        hashes.append(value)
    return tuple(hashes)


def compatible(fields: int, hash: int) -> bool | None:
    """Whether a peer with ``fields`` fields and hash ``hash`` has a registry that begins like ours (or is ours). None: it has more
    fields than we, so the peer has to judge."""
    hashes = prefix_hashes()
    if fields < len(hashes):
        return hashes[fields] == hash
    return None


@cache
def by_name() -> dict[str, Field]:
    return {field.name: field for field in FIELDS}


@cache
def ids() -> dict[str, int]:
    """Field name -> id, its place in ``FIELDS``."""
    return {field.name: number for number, field in enumerate(FIELDS)}


def fields_json(fields: Sequence[Field] = FIELDS) -> list[dict[str, Any]]:
    """What the plugin API's get_fields returns, one object a field."""
    entries: list[dict[str, Any]] = []
    for field in fields:
        entry: dict[str, Any] = {"type": PLUGIN_TYPES[field.type], "name": field.name, "desc": field.doc}
        if field.is_list:
            entry["isList"] = True
        if field.arg:
            entry["arg"] = {
                "isRequired": bool(field.arg & Arg.REQUIRED),
                "isIndex": bool(field.arg & Arg.INDEX),
                "isKey": bool(field.arg & Arg.KEY),
            }
        if field.suggested:
            entry["addOutput"] = True
        if field.hidden:
            entry["properties"] = ["hidden"]
        entries.append(entry)
    return entries
