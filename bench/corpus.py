"""What is measured with: a real capture, as a zone sends it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, final

from edera_falcod.scap.wire import SnapshotReader, parse_reply
from edera_falcod.sim.feed import Feed

ROOT: Final = Path(__file__).resolve().parent.parent
PREFIX: Final = 5  # bytes of gRPC in front of a message
ZONE: Final = "8a9d2c0e-1f5b-4a6e-9d57-0123456789ab"

# The first that is there: 287,177 events of compilers, git, tar and Python; else the largest of the project's own.
CAPTURES: Final = (ROOT.parent / "shared" / "captures" / "busy.scap", ROOT / "tests" / "data" / "attack1.scap")


def default_capture() -> Path:
    return next(path for path in CAPTURES if path.exists())


@final
class Corpus:
    """``messages``: replies without their prefixes, each with one event. ``snapshot``: the reply before them."""

    def __init__(self, capture: Path, limit: int) -> None:
        feed = Feed(capture, ZONE, limit=limit)
        self.snapshot = feed.snapshot()[PREFIX:]
        self.messages = [feed.event(index)[PREFIX:] for index in range(len(feed))]

    def reader(self) -> SnapshotReader:
        """The snapshot, ready to be read."""
        reader = parse_reply(self.snapshot, 0, len(self.snapshot))
        assert isinstance(reader, SnapshotReader)
        return reader
