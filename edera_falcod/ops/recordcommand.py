"""`ctl record`: a zone's raw stream into a file, for `sim` and `replay`, and for bug reports."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import signal
import sys
import time
from typing import Any, BinaryIO, Final, cast

from ..config import Size, Time
from .proto.ctl import CtlStub, RecordChunk, RecordRequest
from .text import FieldError, size, wrapped

LONGEST: Final = 7 * 24 * 3600.0  # seconds: the call's deadline
TELL: Final = 1.0  # seconds between two lines on a terminal

EPILOG: Final = """examples:
  edera-falcod ctl record web-1 -o web-1.rec.gz                until Ctrl-C
  edera-falcod ctl record web-1 -o web-1.rec --for 30s --max-size 64MiB
  edera-falcod replay web-1.rec.gz -o '%evt.time %proc.name %evt.type %evt.args'
  edera-falcod sim --socket /tmp/edera.sock --zone web=web-1.rec.gz

The recording begins with a new snapshot of the zone, as after `resync`. Arguments and environments of processes and the data that was
read and written are overwritten with x in the daemon, before they come here, unless they are asked for: look into a recording before
you give it away all the same, since names of files and addresses stay. A file whose name ends with .gz is compressed."""


def add_record(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"{EPILOG}\n\n{parser.epilog}"
    parser.add_argument("zone", metavar="ZONE", help="its id, the beginning of its id, or its name")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="where it goes; it must not be there yet, unless --force")
    parser.add_argument("--for", dest="seconds", metavar="TIME", help="end after this time (30s, 10m)")
    parser.add_argument("--max-size", metavar="SIZE", help="end before it is larger than this (64MiB), uncompressed")
    parser.add_argument("--keep-arguments", action="store_true", help="with arguments of processes: they may hold secrets")
    parser.add_argument("--keep-environment", action="store_true", help="with environments of processes: they may hold secrets")
    parser.add_argument("--keep-buffers", action="store_true", help="with what was read and written: it may hold secrets")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def _opened(path: str, force: bool) -> BinaryIO:
    """The new file, which only its owner may read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if force else os.O_EXCL)
    try:
        raw = os.fdopen(os.open(path, flags, 0o600), "wb")
    except FileExistsError:
        raise FieldError(f"{path} is there already; give another name, or --force") from None
    except OSError as error:
        raise FieldError(f"{path}: {error.strerror}") from None
    return raw


async def ask_record(args: argparse.Namespace, stub: CtlStub) -> int:
    try:
        seconds = Time(0.1, LONGEST).read(args.seconds) if args.seconds else LONGEST
        limit = Size(1 << 10, 1 << 40).read(args.max_size) if args.max_size else 0
    except ValueError:
        raise FieldError("--for takes a time such as 30s or 10m, --max-size a size such as 64MiB") from None
    request = RecordRequest(args.zone, limit, args.keep_arguments, args.keep_environment, args.keep_buffers)
    last = RecordChunk()
    written = 0
    ended = "stopped"
    stop = asyncio.current_task()
    assert stop is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.cancel)
    with contextlib.ExitStack() as files:
        out: Any = None
        told = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                async for chunk in stub.record(request, timeout=LONGEST):
                    if out is None:  # not before the daemon has agreed
                        raw = files.enter_context(_opened(args.output, args.force))
                        out = (
                            files.enter_context(cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="wb")))
                            if args.output.endswith(".gz")
                            else raw
                        )
                    out.write(chunk.data)
                    written += len(chunk.data)
                    last = chunk
                    if sys.stderr.isatty() and time.monotonic() - told >= TELL:
                        told = time.monotonic()
                        print(f"\r{chunk.replies} replies, {size(written)}; Ctrl-C ends the recording", end="", file=sys.stderr, flush=True)
                ended = last.ended or "the daemon has ended it"
        except TimeoutError:
            ended = "the time is over"
        except asyncio.CancelledError:
            stop.uncancel()
        finally:
            if sys.stderr.isatty():
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return _summary(args, last, written, ended)


def _summary(args: argparse.Namespace, last: RecordChunk, written: int, ended: str) -> int:
    """Exit code: 1 where something is missing or nothing came."""
    kept = {"arguments": args.keep_arguments, "environment": args.keep_environment, "buffers": args.keep_buffers}
    redacted = [name for name, keep in kept.items() if not keep]
    good = last.replies > 0 and not last.lost and not last.withheld
    if args.json:
        found = {
            "file": args.output,
            "zone": args.zone,
            "replies": last.replies,
            "bytes": written,
            "lost": last.lost,
            "withheld": last.withheld,
            "redacted": redacted,
            "ended": ended,
        }
        print(json.dumps(found))
        return 0 if good else 1
    print("\n".join(wrapped("", f"{ended}: {last.replies} replies of {args.zone}, {size(written)}, are in {args.output}")))
    if not last.replies:
        print(f"  ! no snapshot came; `edera-falcod ctl zone {args.zone}` says how its stream is")
    if last.lost:
        print("\n".join(wrapped("  ! ", f"{last.lost} replies are missing: they came faster than they could be written here")))
    if last.withheld:
        text = f"{last.withheld} replies are missing: they cannot be read, so nothing can be redacted in them; keep all three to have them"
        print("\n".join(wrapped("  ! ", text)))
    print("\n".join(wrapped("  redacted: ", ", ".join(redacted) or "nothing: do not give it away")))
    print("\n".join(wrapped("  look at it: ", f"edera-falcod replay {args.output}")))
    return 0 if good else 1
