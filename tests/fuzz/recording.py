"""Invariant: any file is read as a recording up to its last whole reply, or refused with the place; what was read is written the same."""

from __future__ import annotations

import io

from edera_falcod.scap.errors import CaptureError
from edera_falcod.scap.recording import MAX_REPLY, Recording, framed, header

from . import captured


def corpus() -> list[bytes]:
    replies = captured.snapshots()[:1] + captured.replies()[:3]
    body = b"".join(framed(reply) for reply in replies)
    facts = header({"zone": {"name": "web", "ips": ["10.0.0.1"]}, "redacted": ["arguments"]})
    return [facts + body, facts + body[:-3], facts, header({}) + body[:40]]


def one(data: bytes) -> None:
    try:
        recording = Recording(io.BytesIO(data))
        assert all(isinstance(text, str) for text in recording.addresses)
        replies = list(recording.replies())
    except CaptureError as error:
        assert str(error)
        return
    assert all(len(reply) <= MAX_REPLY for reply in replies)
    body = b"".join(framed(reply) for reply in replies)
    start = data.index(b"\n", data.index(b"\n") + 1) + 1
    assert data[start:].startswith(body) and recording.cut == (data[start:] != body)
