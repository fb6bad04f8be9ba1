"""Recordings: what was written is read; whatever else a file holds, the outcome is data or a CaptureError."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.scap.errors import CaptureError
from edera_falcod.scap.recording import MAGIC, Recording, framed, header
from edera_falcod.sim.feed import Recorded, playable

FACTS = {"zone": {"id": "z", "ips": ["10.0.0.1", 7, "no address"]}, "redacted": []}
SNAPSHOT = b"\x1a\x00"
EVENT = b"\x12\x02\x48\x05"


def written(*replies: bytes) -> bytes:
    return header(FACTS) + b"".join([framed(reply) for reply in replies])


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_what_was_written_is_read(replies: list[bytes]) -> None:
    found = Recording(io.BytesIO(written(*replies)))
    assert list(found.replies()) == replies
    assert not found.cut and found.facts == FACTS and found.addresses == ["10.0.0.1", "no address"]


@pytest.mark.parametrize("missing", range(1, len(EVENT) + 5))
def test_one_that_was_cut_is_good_up_to_its_last_whole_reply(missing: int) -> None:
    found = Recording(io.BytesIO(written(SNAPSHOT, EVENT)[:-missing]))
    assert list(found.replies()) == [SNAPSHOT]
    assert found.cut


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a recording"),
        (MAGIC.replace(b"1", b"2") + b"{}\n", "of another version"),
        (MAGIC + b"{", "header cannot be read"),
        (MAGIC + b"[]\n", "header cannot be read"),
        (MAGIC + b"{\n", "header cannot be read"),
        (MAGIC + b"[" * 60_000 + b"\n", "header cannot be read"),
        (MAGIC + b"x" * (1 << 17) + b"\n", "header cannot be read"),
        (written(SNAPSHOT) + b"\x01\0\0\0\0", "no reply begins here"),
        (written(SNAPSHOT) + b"\0\xff\xff\xff\xff", "no reply begins here"),
    ],
)
def test_what_is_none_is_refused_with_its_reason(data: bytes, says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        list(Recording(io.BytesIO(data)).replies())


@given(st.binary(max_size=100))
def test_garbage_after_the_beginning(data: bytes) -> None:
    try:
        list(Recording(io.BytesIO(MAGIC + data)).replies())
    except CaptureError as error:
        assert 0 < error.offset <= len(MAGIC) + len(data)


def test_the_simulated_host_takes_it_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(written(SNAPSHOT, EVENT, SNAPSHOT, EVENT, b"\xff\xff"))
    (tmp_path / "packed").write_bytes(gzip.compress(written(SNAPSHOT, EVENT, SNAPSHOT, EVENT, b"\xff\xff")))
    for name in ("plain", "packed"):
        found = playable(tmp_path / name, "z")
        assert isinstance(found, Recorded)
        assert (len(found), found.events, found.snapshots(0, 4)) == (4, 3, 1)
        assert found.event(3) == framed(b"\xff\xff") == found.event(3, 5), "what cannot be read stays as it is"
        assert found.snapshot_at(2, 0) == framed(SNAPSHOT)
        assert [interface.address for interface in found.interfaces] == [bytes([10, 0, 0, 1])]


def test_a_packed_one_that_was_cut_is_good_up_to_there(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(gzip.compress(written(SNAPSHOT, *[EVENT] * 1000))[:-9])
    found = playable(tmp_path / "r", "z")
    assert isinstance(found, Recorded)
    assert found.cut and found.event(0) == framed(EVENT)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (written(EVENT), "does not begin with a snapshot"),
        (written(), "does not begin with a snapshot"),
        (gzip.compress(written(SNAPSHOT, EVENT))[:-8] + bytes(8), "compression is damaged"),
    ],
)
def test_the_simulated_host_refuses(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "r").write_bytes(data)
    with pytest.raises(CaptureError, match=says):
        playable(tmp_path / "r", "z")
