"""The only exceptions that leave the core. The edge turns each into a counter and at most one log line."""

from __future__ import annotations

from typing import Final


class ScapError(Exception):
    """Input that cannot be read."""


class CaptureError(ScapError):
    """A capture file that is refused. ``offset``: bytes from the start of the (uncompressed) file. ``reason``: why."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"{reason} (at byte {offset})")
        self.offset = offset
        self.reason = reason


class WireError(ScapError):
    """A reply that is refused. ``cause``: one of ``CAUSES``, which are also the labels of the counters."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


# Malformed protobuf
TRUNCATED: Final = "truncated"  # a length or a value reaches beyond the message
VARINT: Final = "varint"  # more than 10 bytes
TAG: Final = "tag"  # field number 0 or beyond 32 bits
WIRE_TYPE: Final = "wire_type"  # a wire type that does not exist, or groups that do not match
# Well formed, but not what a zone may say
EMPTY: Final = "empty"  # neither event nor snapshot
UNKNOWN_EVENT: Final = "unknown_event"  # an event code that the table does not have or that has no meaning
OLD_EVENT: Final = "old_event"  # a superseded version of an event
TOO_MANY_FIELDS: Final = "too_many_fields"  # of a reply or a snapshot, beyond what any version has
TOO_MANY_PARAMS: Final = "too_many_params"
TOO_LONG: Final = "too_long"  # a parameter longer than libs can send
TIMESTAMP: Final = "timestamp"  # beyond 63 bits of ns

CAUSES: Final[tuple[str, ...]] = (
    TRUNCATED, VARINT, TAG, WIRE_TYPE, EMPTY, UNKNOWN_EVENT, OLD_EVENT, TOO_MANY_FIELDS, TOO_MANY_PARAMS, TOO_LONG, TIMESTAMP,
)
