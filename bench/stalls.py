"""A daemon that watches its own loop: `python -m bench.stalls EDERA_SOCKET FOLDER`.

A line on stdin {"threads": N} is answered when a zone with at least so many threads has been imported: with the longest stretch of
CPU time between two turns of a task that only yields. CPU time, so that other programs' turns on the machine do not count.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

from edera_falcod import log
from edera_falcod.config import Config, CtlConfig, EderaConfig, FalcoConfig
from edera_falcod.daemon import GC_THRESHOLDS, Daemon, loop_factory


async def main() -> None:
    folder = Path(sys.argv[2])
    config = Config(
        edera=EderaConfig(socket=sys.argv[1], snapshot_timeout=120.0),
        falco=FalcoConfig(socket=str(folder / "stalls.sock"), consumers=("bench",)),
        ctl=CtlConfig(socket=str(folder / "stalls-ctl.sock")),
    )
    daemon = Daemon(config)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(daemon.run())
        await daemon.ready.wait()
        print("{}", flush=True)
        wanted = json.loads(await commands.readline())["threads"]
        stretches = [0.0]
        began = time.monotonic()
        last = time.process_time()
        while not any(one.imported and len(one.state.threads) >= wanted for one in daemon.pipelines.by_id.values()):
            await asyncio.sleep(0)
            now = time.process_time()
            stretches.append(now - last)
            last = now
        pipeline = next(iter(daemon.pipelines.by_id.values()))
        stretches.sort()
        found = {
            "longest_ms": round(1000 * stretches[-1], 2),
            "next_longest_ms": [round(1000 * one, 2) for one in stretches[-4:-1][::-1]],
            "import_s": round(pipeline.import_time, 2),
            "total_s": round(time.monotonic() - began, 2),
        }
        print(json.dumps(found), flush=True)
        await commands.readline()
        daemon.stop.set()
        await running


if __name__ == "__main__":
    log.configure("error", "auto")
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=loop_factory(Config())) as runner:
        runner.run(main())
