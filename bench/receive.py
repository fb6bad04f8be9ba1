"""Receiving alone: `python -m bench.receive SOCKET`. Opens the streams of all zones that appear, cuts them into messages and throws
these away. A line on stdin begins a measurement; its answer comes when as many messages as the line says have come."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from edera_falcod.config import Config
from edera_falcod.daemon import loop_factory
from edera_falcod.edera.control import MONITOR, monitor_update
from edera_falcod.edera.frames import FrameSplitter
from edera_falcod.edera.transport import Links
from edera_falcod.edera.zonestream import TURN


async def main() -> None:
    path = sys.argv[1]
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("{}", flush=True)
    while line := await commands.readline():
        asked = json.loads(line)
        links = Links(path)
        began = time.process_time()
        count = -1  # the snapshot
        async with links.call(MONITOR) as call:
            await call.send(monitor_update(asked["zone"], ()))
            splitter = FrameSplitter()
            while count < asked["events"]:
                if call.readable:
                    await asyncio.sleep(0)
                else:
                    await call.wait()
                count += len(splitter.feed(call.take(TURN)))
                if call.ended:
                    raise RuntimeError(f"the stream ended after {count} events")
            cpu = time.process_time() - began
        await links.aclose()
        print(json.dumps({"cpu": cpu}), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory(Config())) as runner:
        runner.run(main())
