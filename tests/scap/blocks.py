"""Writes .scap blocks by hand, so that the reader is tested against more than its own idea of the format."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SECTION = 0x0A0D0D0A
MACHINE = 0x201
THREADS = {1: 0x202, 2: 0x207, 3: 0x209, 4: 0x210, 5: 0x211, 6: 0x212, 7: 0x213, 8: 0x214, 9: 0x215}
FDS = {1: 0x203, 2: 0x218}
INTERFACES = {1: 0x205, 2: 0x219}
EV, EVF, EV2, EVF2, EV2_LARGE, EVF2_LARGE = 0x204, 0x208, 0x216, 0x217, 0x221, 0x222


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    total = len(body) + 12
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


def section(major: int = 1, magic: int = 0x1A2B3C4D) -> bytes:
    return block(SECTION, struct.pack("<IHHq", magic, major, 2, -1))


def machine(boot_epoch: int = 1_700_000_000_000_000_000, hostname: bytes = b"host") -> bytes:
    return block(MACHINE, struct.pack("<IQQ128sQQQQ", 4, 1 << 33, 32768, hostname, boot_epoch, 0, 0, 0))


def text(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


def thread(version: int, tid: int, *, extra: bytes = b"", tail: int = 99) -> bytes:
    """An entry of a thread list; ``tail``: how many of the values that version 9 appended are there; ``extra``: a newer version's."""
    out = struct.pack("<qqq", tid, tid, 1)
    out += struct.pack("<q", 10) if version >= 6 else b""
    out += struct.pack("<q", 11) if version >= 8 else b""
    out += text(b"comm") + text(b"exe")
    out += text(b"/bin/exe") if version >= 7 else b""
    out += text(b"-a\0b") + text(b"/cwd") + struct.pack("<qIII", 1024, 5, 6, 7)
    out += struct.pack("<IIIQQ", 21, 22, 23, 24, 25) if version >= 2 else b""
    out += text(b"A=1\0B=2\0") if version >= 3 else b""
    out += struct.pack("<qq", 2, 3) + text(b"cpu=/x\0") if version >= 4 else b""
    out += text(b"/root") if version >= 5 else b""
    if version >= 9:
        values = [
            struct.pack("<Q", 31), struct.pack("<I", 32), struct.pack("<I", 33), b"\1", struct.pack("<Q", 34), struct.pack("<Q", 35),
            struct.pack("<Q", 36), b"\1", struct.pack("<Q", 37), struct.pack("<Q", 38), struct.pack("<Q", 39), b"\1", b"\1",
            struct.pack("<q", 40),
        ]  # fmt: skip
        out += b"".join(values[:tail]) + extra
        out = struct.pack("<I", len(out) + 4) + out
    return out


def threads(version: int, entries: Sequence[bytes]) -> bytes:
    return block(THREADS[version], b"".join(entries))


def fd(version: int, number: int, kind: int, info: bytes, extra: bytes = b"") -> bytes:
    out = struct.pack("<qQB", number, 1000 + number, kind) + info + extra
    return struct.pack("<I", len(out) + 4) + out if version >= 2 else out


def fds(version: int, tid: int, entries: Sequence[bytes]) -> bytes:
    return block(FDS[version], struct.pack("<q", tid) + b"".join(entries))


def interfaces(version: int, entries: Sequence[tuple[int, bytes, bytes]]) -> bytes:
    """(type, address, name)"""
    out = b""
    for kind, address, name in entries:
        entry = struct.pack("<HH", kind, len(name)) + address + bytes(len(address) * 2) + (bytes(8) if kind <= 2 else b"") + name
        out += struct.pack("<I", len(entry)) + entry if version >= 2 else entry
    return block(INTERFACES[version], out)


def event(kind: int, ts: int, tid: int, code: int, params: Sequence[bytes], *, cpu: int = 0, flags: int = 0) -> bytes:
    counted = kind not in (EV, EVF)
    width = "I" if kind in (EV2_LARGE, EVF2_LARGE) else "H"
    lengths = struct.pack(f"<{len(params)}{width}", *[len(param) for param in params])
    size = 22 + (4 if counted else 0) + len(lengths) + sum(len(param) for param in params)
    out = struct.pack("<H", cpu)
    out += struct.pack("<I", flags) if kind in (EVF, EVF2, EVF2_LARGE) else b""
    out += struct.pack("<QqIH", ts, tid, size, code)
    out += struct.pack("<I", len(params)) if counted else b""
    return block(kind, out + lengths + b"".join(params))
