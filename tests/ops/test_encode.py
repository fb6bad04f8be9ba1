"""Zones' lines that are written straight say what betterproto would say, and cost the daemon little however many there are."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.ops import encode
from edera_falcod.ops.proto.ctl import Counter, GetStatusReply, ZoneStatus

U64 = st.integers(0, (1 << 64) - 1)
TEXT = st.text(max_size=20)
FACTS = st.fixed_dictionaries(
    {
        "id": TEXT, "name": TEXT, "state": TEXT, "reason": TEXT, "since": U64, "domid": st.integers(0, (1 << 32) - 1), "threads": U64,
        "fds": U64, "tainted": st.booleans(), "last_event_ts": U64, "clock_skew": st.integers(-(1 << 63), (1 << 63) - 1),
        "counters": st.lists(st.tuples(TEXT, TEXT, U64), max_size=4),
    }
)  # fmt: skip


@given(st.lists(FACTS, max_size=3))
def test_it_says_what_betterproto_says(zones: list[dict[str, Any]]) -> None:
    sent = bytes(GetStatusReply(zones=[encode.zone(**facts) for facts in zones]))
    wanted = [ZoneStatus(**{**facts, "counters": [Counter(*count) for count in facts["counters"]]}) for facts in zones]
    assert GetStatusReply().parse(sent).zones == wanted


def test_a_thousand_zones_hold_nobody_up() -> None:
    facts = dict.fromkeys(("since", "domid", "threads", "fds", "last_event_ts", "clock_skew"), 1 << 30)
    counters = [(name, cause, 12345) for name in ("received", "bytes", "gaps", "undecodable") for cause in ("", "a", "b")]
    took = []
    for _ in range(5):
        began = time.process_time()
        reply = GetStatusReply(
            zones=[
                encode.zone(id="x" * 36, name="zone", state="live", reason="", tainted=False, counters=counters, **facts)
                for _ in range(1000)
            ]
        )
        assert len(bytes(reply)) > 100_000
        took.append(time.process_time() - began)
    assert min(took) < 0.1
