"""How long others wait for their turn while a large snapshot is imported: `python -m bench.stall CAPTURE THREADS FDS`, JSON on stdout.

A task that does nothing but give its turn away measures how long it takes to get it again: by the clock, in which whatever else runs on
the machine counts, too, and in CPU time, which is the daemon's own. The snapshot is imported twice, the second time in place of the
first.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import structlog

from edera_falcod.config import Config
from edera_falcod.daemon import GC_THRESHOLDS, loop_factory
from edera_falcod.edera.sink import Verdict, ZoneInfo
from edera_falcod.falco.ring import Ring
from edera_falcod.fields.blocks import IDS
from edera_falcod.fields.workload import host_block
from edera_falcod.pipeline import ZonePipeline
from edera_falcod.sim.feed import Feed

from .corpus import PREFIX, ZONE
from .grown import grow


async def main() -> None:
    capture, threads, fds = sys.argv[1:]
    feed = Feed(Path(capture), ZONE, limit=1)
    feed._threads = grow(feed._threads, int(threads), int(fds))
    message = feed.snapshot()[PREFIX:]
    del feed
    gc.collect()
    gc.freeze()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    pipeline = ZonePipeline(Ring(first=1), ZoneInfo(ZONE, "bench"), host_block(IDS.next()), None, structlog.get_logger())
    found = {"snapshot_mib": round(len(message) / (1 << 20), 1), "threads": 0, "seconds": 0.0, "longest_ms": 0.0, "longest_cpu_ms": 0.0}
    for _ in range(2):
        importing = asyncio.create_task(pipeline.snapshot(message))
        clock, cpu = time.perf_counter(), time.thread_time()
        while not importing.done():
            await asyncio.sleep(0)
            now, used = time.perf_counter(), time.thread_time()
            found["longest_ms"] = max(found["longest_ms"], round(1000 * (now - clock), 2))
            found["longest_cpu_ms"] = max(found["longest_cpu_ms"], round(1000 * (used - cpu), 2))
            clock, cpu = now, used
        if importing.result() is not Verdict.OK:
            raise RuntimeError("the snapshot was refused")
        found["seconds"] = round(max(found["seconds"], pipeline.import_time), 2)
    found["threads"] = len(pipeline.state.threads)
    print(json.dumps(found))


if __name__ == "__main__":
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=loop_factory(Config())) as runner:
        runner.run(main())
