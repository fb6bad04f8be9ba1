"""Paths put together as libsinsp does it (utils.cpp, concatenate_paths; value-formats.md section 4). Bytes in, bytes out,
nothing made safe.

No symbolic link is followed: what a program said, not where it led.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from ..scap.safetext import COMPILED, safe
from .limits import MAX_PATH

TOO_LONG = b"/DIR_TOO_LONG/FILENAME_TOO_LONG"

# What was put together lately: state and several fields of one event ask for the same path, and compilers for the same ones again
# and again. Each entry has at most three texts of MAX_PATH bytes: 3 MB in all.
MAX_MEMO: Final = 1024
_memo: Final[dict[tuple[bytes, bytes], bytes]] = {}


@final
class Joined:
    """What ``concatenate`` made of ``base`` and ``path``; ``shown``: safe to print, None until somebody asks."""

    __slots__ = ("base", "joined", "path", "shown")

    def __init__(self) -> None:
        self.base = b""
        self.path = b""
        self.joined = b""
        self.shown: bytes | None = None


_last: Final = Joined()


def concatenate(base: bytes, path: bytes) -> bytes:
    """``path`` as seen from directory ``base``, which ends with a slash and is taken as it is; an absolute ``path`` stands alone.

    ``//`` and ``.`` vanish, ``..`` takes the component before it away but never leaves the start, a slash at the end is
    dropped. Shorter than MAX_PATH bytes; what would be longer becomes TOO_LONG.
    """
    if len(base) + len(path) + 1 > MAX_PATH:
        return TOO_LONG
    if not path:
        return b""
    if path.startswith(b"/"):
        base = b""
    last = _last  # nearly always the same event's
    if path == last.path and base == last.base:
        return last.joined
    if _is_plain(path) and (not base or base.endswith(b"/")):
        joined = base + path
    else:
        key = (base, path)
        known = _memo.get(key)
        if known is None:
            known = _normalise(base, path)
            if len(_memo) >= MAX_MEMO:
                _memo.clear()
            _memo[key] = known
        joined = known
    last.base = base
    last.path = path
    last.joined = joined
    last.shown = None
    return joined


def shown(base: bytes, path: bytes) -> bytes:
    """The same, safe to print."""
    joined = concatenate(base, path)
    last = _last
    if joined is not last.joined:
        return safe(joined)
    text = last.shown
    if text is None:
        text = last.shown = safe(joined)
    return text


def _is_plain(path: bytes) -> bool:
    """Nothing in ``path`` asks for a change: neither empty components nor ones that begin with a dot, and no slash at the end."""
    if COMPILED:  # four searches cost ten times as much
        before: i64 = 0x2F
        i: i64 = 0
        size: i64 = len(path)
        while i < size:
            byte: i64 = path[i]
            if before == 0x2F and (byte == 0x2E or (byte == 0x2F and i != 0)):
                return False
            before = byte
            i += 1
        return before != 0x2F
    return not (path.startswith(b".") or path.endswith(b"/")) and b"//" not in path and b"/." not in path


def _normalise(base: bytes, path: bytes) -> bytes:
    """Copy ``path`` behind ``base``, character by character where it matters: libsinsp looks at the last character that it wrote, so that a
    base without a slash at its end melts with the first component."""
    slash = 0x2F
    out = bytearray(base)
    empty_base = not base
    i = 0
    n = len(path)
    while i < n:
        byte = path[i]
        if byte == 0x2E and (not out or out[-1] == slash):
            following = path[i + 1] if i + 1 < n else 0
            if following == 0x2E and i + 2 < n and path[i + 2] == slash:
                _rewind(out)
                i += 3
            elif following == 0x2E and i + 2 >= n:
                _rewind(out)
                i += 2
            elif following == slash:
                i += 2
            elif i + 1 >= n:
                i += 1
            else:
                out.append(byte)
                i += 1
        elif byte == slash:
            # At the very start a slash is dropped if there was a base: all of it was rewound, the result stays relative to it.
            if (out and out[-1] == slash) or (not out and not empty_base):
                i += 1
            else:
                out.append(byte)
                i += 1
        else:
            end = path.find(b"/", i)
            if end < 0:
                end = n
            out += path[i:end]
            i = end
    if len(out) > 1 and out[-1] == slash:
        del out[-1]
    return bytes(out)


def _rewind(out: bytearray) -> None:
    """Take the last component away, with what follows the slash before it; a single character at the start stays."""
    if len(out) <= 1:
        return
    del out[-1]
    while out and out[-1] != 0x2F:
        del out[-1]
