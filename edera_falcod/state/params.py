"""Reading one parameter of an event: a missing one, or one of the wrong length, reads as 0 or as libsinsp's text for "unknown".

Scalars are little-endian (the zone's byte order). libsinsp ends the capture on a wrong length (event.h, get_event_param_as); we must not
let a zone end anything.
"""

from __future__ import annotations

from librt.strings import read_i32_le, read_i64_le

from ..scap.format import NOT_AVAILABLE, charbuf


def given(params: list[bytes], index: int) -> bool:
    """The event has the parameter, and it is not empty."""
    return index < len(params) and len(params[index]) > 0


def i64(params: list[bytes], index: int, missing: int = 0) -> int:
    """INT64, FD, PID, ERRNO."""
    if index < len(params):
        data = params[index]
        if len(data) == 8:
            return read_i64_le(data, 0)
    return missing


def u64(params: list[bytes], index: int) -> int:
    if index < len(params):
        data = params[index]
        if len(data) == 8:
            number = read_i64_le(data, 0)
            if number >= 0:
                return number
            return int.from_bytes(data, "little")
    return 0


def u32(params: list[bytes], index: int) -> int:
    """UINT32, FLAGS32, ENUMFLAGS32, UID, GID, MODE."""
    if index < len(params):
        data = params[index]
        if len(data) == 4:
            return data[0] | data[1] << 8 | data[2] << 16 | data[3] << 24
    return 0


def u16(params: list[bytes], index: int) -> int:
    if index < len(params):
        data = params[index]
        if len(data) == 2:
            return data[0] | data[1] << 8
    return 0


def u8(params: list[bytes], index: int) -> int:
    if index < len(params):
        data = params[index]
        if len(data) == 1:
            return data[0]
    return 0


def returned(params: list[bytes]) -> int:
    """The system call's return value: the first parameter, 32 or 64 bits, signed (event.h, get_syscall_return_value)."""
    if len(params) > 0:
        data = params[0]
        if len(data) == 8:
            return read_i64_le(data, 0)
        if len(data) == 4:
            return read_i32_le(data, 0)
    return 0


def text(params: list[bytes], index: int) -> bytes:
    """CHARBUF, FSPATH, FSRELPATH without their NUL; ``<NA>`` if empty."""
    return charbuf(params[index]) if index < len(params) else NOT_AVAILABLE
