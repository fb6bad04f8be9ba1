"""The ZONE block: what the host says of a zone, and whether its events can be trusted to be complete."""

from __future__ import annotations

from ..fields import slots
from ..fields.blocks import make_block
from ..fields.cells import Cells
from ..scap.safetext import safe
from ..state.block import Block


def zone_block(
    id: str,
    name: str = "",
    state: str = "",
    host: str = "",
    domid: int = 0,
    addresses: tuple[bytes, ...] = (),
    kernel: str = "",
    annotations: tuple[tuple[str, str], ...] = (),
    ready_at: int = 0,
    tainted: bool = False,
) -> Block:
    """``addresses``: 4 or 16 bytes each, loopback left out; ``ready_at``: ns since the epoch, 0 unknown. Empty texts are no values."""
    cells = Cells()
    for slot, text in (
        (slots.EDERA_ZONE_ID, id),
        (slots.EDERA_ZONE_NAME, name),
        (slots.EDERA_ZONE_STATE, state),
        (slots.EDERA_ZONE_HOST, host),
        (slots.EDERA_ZONE_KERNEL, kernel),
    ):
        if text:
            cells.text(slot, _text(text))
    if domid:
        cells.number(slots.EDERA_ZONE_DOMID, domid)
    if addresses:
        cells.raw(slots.EDERA_ZONE_IP, next((address for address in addresses if len(address) == 4), addresses[0]))
    if annotations:
        cells.strings(slots.EDERA_ZONE_ANNOTATIONS, [_text(part) for pair in annotations for part in pair])
    if ready_at:
        cells.number(slots.EDERA_ZONE_READY_TIME, ready_at)
    cells.number(slots.EDERA_ZONE_TAINTED, int(tainted))
    return make_block(slots.KIND_ZONE, cells)


def _text(text: str) -> bytes:
    return safe(text.encode("utf-8", "replace").replace(b"\0", b""))
