"""Google's protobuf over proto/control.proto, compiled when the tests run: the reference that the wire reader is held against."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto" / "control.proto"
REPLY = "protect.control.v1.MonitorZoneKernelEventReply"


def _as_bytes(text: str) -> str:
    """``string`` as ``bytes``, which is the same on the wire but takes text that is not UTF-8."""
    return re.sub(r"\bstring (\w+ = \d+;)", r"bytes \1", text)


def _as_entries(text: str) -> str:
    """Maps as what they are on the wire, repeated entries, so that order and repetition can be seen."""
    entries = []

    def entry(match: re.Match[str]) -> str:
        entries.append(f"message {match[1]}Entry {{ uint64 key = 1; {match[1]} value = 2; }}\n")
        return f"repeated {match[1]}Entry {match[2]} = {match[3]};"

    return re.sub(r"map<uint64, (\w+)> (\w+) = (\d+);", entry, text) + "".join(entries)


@cache
def classes(kind: str) -> Any:
    """Message classes by full name. ``kind``: "plain" as written, "bytes" or "entries" (bytes and no maps)."""
    text = PROTO.read_text()
    if kind != "plain":
        text = _as_bytes(text)
    if kind == "entries":
        text = _as_entries(text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"control_{kind}.proto"
        path.write_text(text)
        out = Path(folder) / "set"
        include = Path(grpc_tools.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{folder}", f"-I{include}", "--include_imports", f"--descriptor_set_out={out}", str(path)]
        assert protoc.main(arguments) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name for file in files.file], pool)


def reply(kind: str) -> Any:
    return classes(kind)[REPLY]


def descriptor(kind: str) -> Descriptor:
    found: Descriptor = reply(kind).DESCRIPTOR
    return found
