"""Texts of a zone, kept within their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .limits import MAX_CGROUPS
from .thread import EMPTY, Strings, strings_of

if TYPE_CHECKING:
    from .zone import ZoneState


def cut(zone: ZoneState, data: bytes, limit: int) -> bytes:
    if len(data) <= limit:
        return data
    zone.counters.text_truncated += 1
    return data[:limit]


def cut_strings(zone: ZoneState, params: list[bytes], index: int, limit: int) -> Strings:
    """A NUL-separated parameter, none if the event has it not."""
    if index >= len(params) or len(params[index]) == 0:
        return EMPTY
    return strings_of(cut(zone, params[index], limit))


def cgroups_of(zone: ZoneState, raw: bytes, before: Strings) -> Strings:
    """``subsys=path`` entries with libsinsp's names of the subsystems (threadinfo.cpp, set_cgroups); ``before`` if any entry
    has no ``=``."""
    shared = zone.cgroups.get(raw)
    if shared is not None:
        return shared
    entries: list[bytes] = []
    for entry in strings_of(cut(zone, raw, MAX_CGROUPS)).items:
        at = entry.find(b"=")
        if at < 0:
            return before
        subsys = entry[:at]
        suffix = subsys.find(b"_cgroup")
        if suffix >= 0:
            subsys = subsys[:suffix] + subsys[suffix + 7 :]
        if subsys == b"perf":
            subsys = b"perf_event"
        elif subsys == b"mem":
            subsys = b"memory"
        elif subsys == b"io":
            subsys = b"blkio"
        entries.append(subsys + entry[at:])
    return zone.share_cgroups(raw, Strings(entries))
