"""The whole way: gRPC in, decode, state, all fields, ring, socket, plugin. What counts is the daemon's own CPU time."""

from __future__ import annotations

import time
from typing import Any

from .builds import Build
from .processes import Stand, wait_for

LONGEST = 300.0  # s, of one run
BUFFER = "4GiB"  # nothing is shed: what is measured is the work on every event


def run(stand: Stand, build: Build, single: bool) -> dict[str, Any]:
    """One run over the capture: CPU us an event and, by the clock, events a second."""
    with stand.daemon(build, "falco.consumers=bench", f"buffer.size={BUFFER}") as daemon:
        falco = daemon.falco(stand.events)
        time.sleep(1.0)  # it connects
        before = daemon.cpu()
        began = time.monotonic()
        stand.host.ask(do="play", single=single)
        wait_for(falco, LONGEST)
        seconds = time.monotonic() - began
        cpu = daemon.cpu() - before
        return {"cpu_us": 1e6 * cpu / stand.events, "by_clock": stand.events / seconds, "memory": daemon.memory()}
