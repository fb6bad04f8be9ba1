"""A consumer that takes times or takes its time: `python -m bench.consumer SOCKET NAME [RATE]`.

Reads the daemon's socket without looking into events. A line of JSON on stdin is answered by one on stdout: how many events have come
and how long after the time that they bear (quantiles, in ms, of those since the last {"clear": true}). RATE: events a second that it
takes at most.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array

from edera_falcod import __version__
from edera_falcod.falco.client import Client
from edera_falcod.fields import registry

QUANTILES = (0.5, 0.9, 0.99, 0.999)


async def main() -> None:
    path, name = sys.argv[1:3]
    rate = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    hashes = registry.prefix_hashes()
    client = Client(path, name, len(hashes) - 1, lambda fields: hashes[fields], f"bench {__version__}")
    await client.connect()
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    waits = array("q")
    taken = 0

    async def read() -> None:
        nonlocal taken
        began = time.monotonic()
        while True:
            events = await client.next()
            now = time.time_ns()
            taken += len(events)
            if not rate:
                waits.extend([now - int.from_bytes(event.data[8:16], "little") for event in events])
            else:
                await asyncio.sleep(max(0.0, began + taken / rate - time.monotonic()))

    reader = asyncio.create_task(read())
    print(json.dumps({"connected": name}), flush=True)
    while line := await commands.readline():
        if reader.done():
            reader.result()
        found = sorted(waits)
        if json.loads(line).get("clear"):
            del waits[:]
        figures = {f"p{100 * q:g}": found[min(len(found) - 1, int(q * len(found)))] / 1e6 for q in QUANTILES} if found else {}
        print(json.dumps({"events": taken, "timed": len(found), **figures, "max": found[-1] / 1e6 if found else 0.0}), flush=True)
    reader.cancel()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
