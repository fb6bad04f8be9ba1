"""fdlist.*: the files that poll or ppoll waited for.

Source: userspace/libsinsp/sinsp_filtercheck_fdlist.cpp.
"""

from __future__ import annotations

from typing import Final

from ..scap import format as fmt
from ..scap import tables as t
from ..scap.event import Event
from ..scap.safetext import safe
from ..state.thread import Thread
from ..state.zone import ZoneState
from . import slots
from .cells import Cells

MAX_LIST_TEXT: Final = 65_536  # bytes of one field: a zone could ask for 6,500 files with names of 1 kB each
_NO_NAME: Final = b"<NA>"


def fdlist_cells(cells: Cells, zone: ZoneState, thread: Thread, event: Event) -> None:
    """Write fdlist.* of a poll or ppoll."""
    params = event.params
    if len(params) < 2:
        return
    nums: list[bytes] = []
    names: list[bytes] = []
    cips: list[bytes] = []
    sips: list[bytes] = []
    cports: list[bytes] = []
    sports: list[bytes] = []
    for number, _ in fmt.fdlist(params[1]):
        nums.append(fmt.decimal(number))
        fd = zone.find_fd(thread, number)
        if fd is None:
            names.append(_NO_NAME)
            continue
        names.append(safe(fd.name) if fd.name else _NO_NAME)
        kind = fd.kind
        if kind == t.SCAP_FD_IPV4_SOCK or kind == t.SCAP_FD_IPV6_SOCK:
            cips.append(fmt.address(fd.sip))
            sips.append(fmt.address(fd.dip))
            sport = fmt.decimal(fd.sport)
            cports.append(sport)
            sports.append(fmt.decimal(fd.dport))
        elif kind == t.SCAP_FD_IPV4_SERVSOCK:
            sips.append(fmt.address(fd.dip))
        elif kind == t.SCAP_FD_IPV6_SERVSOCK:
            sips.append(fmt.address4(fd.dip[:4]))  # as libsinsp prints it: the first four bytes, as if they were IPv4
    _join(cells, slots.FDLIST_NUMS, nums)
    _join(cells, slots.FDLIST_NAMES, names)
    _join(cells, slots.FDLIST_CIPS, cips)
    _join(cells, slots.FDLIST_SIPS, sips)
    _join(cells, slots.FDLIST_CPORTS, cports)
    _join(cells, slots.FDLIST_SPORTS, sports)


def _join(cells: Cells, slot: int, texts: list[bytes]) -> None:
    if not texts:
        return
    text = b",".join(texts)
    if len(text) > MAX_LIST_TEXT:  # no name is as long as that
        text = text[: text.rfind(b",", 0, MAX_LIST_TEXT)]
    cells.text(slot, text)
