"""What `tail` does: live events from the daemon's consumer socket, as text or JSON."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from .. import __version__
from ..config import ConfigError, load
from ..edera.backoff import Backoff
from ..falco.client import Client, ClientRefused, Disconnected
from ..falco.frames import FrameError
from ..fields import registry, slots
from ..fields.reader import BlockTable, EventView, Value
from ..fields.spec import Kind
from ..output import EventTypes, Form, Format, FormatError, info, is_notice, json_line, json_object, split_fields
from .tailcommand import DEFAULT_OUTPUT

DEFAULT_FIELDS: Final = (
    "edera.zone.id", "edera.zone.name", "evt.type", "evt.args", "evt.res", "proc.name", "proc.cmdline", "proc.vpid", "fd.name", "user.uid",
    "edera.notice.kind", "edera.notice.text",
)  # fmt: skip

MARGIN: Final = 36  # characters of a condition that are shown on either side of what is wrong in it


def tell(text: str) -> None:
    print(f"edera-falcod tail: {text}", file=sys.stderr, flush=True)


def condition(text: str) -> Callable[[tuple[EventView, int]], bool]:
    """A predicate over events and their numbers. Raises FormatError that points at what is wrong."""
    from ..rules.condition import ConditionError
    from ..rules.evaluate import compile_condition

    def getter(form: str) -> Callable[[tuple[EventView, int]], Value | None]:
        found = Form(form)
        return lambda event: found.value(*event)

    try:
        return compile_condition(text, getter)
    except ConditionError as error:
        start = max(0, error.offset - MARGIN)
        shown = text[start : start + 2 * MARGIN].replace("\n", " ")
        raise FormatError(f"condition: {error}\n  {shown}\n  {' ' * (error.offset - start)}^") from None


class Tail:
    """Prints events until told to stop. ``shown`` counts them."""

    def __init__(self, args: argparse.Namespace) -> None:
        if args.output and (args.json or args.fields):
            raise FormatError("--output excludes --json and --fields")
        self.json: bool = args.json or bool(args.fields)
        self.forms = [Form(form) for form in (split_fields(args.fields) if args.fields else DEFAULT_FIELDS)]
        self.format = Format(args.output or DEFAULT_OUTPUT)
        self.custom = bool(args.output)
        self.test = condition(" ".join(args.condition)) if args.condition else None
        self.zones: frozenset[str] = frozenset(args.zone)
        self.count: int = args.count
        self.notices = not args.no_notices
        self.types = EventTypes()
        self.num = 0
        self.shown = 0

    def take(self, view: EventView) -> bool:
        """Show an event; False when that was the last one."""
        self.num += 1
        notice = is_notice(view)
        if notice and not self.notices:
            return True
        if self.zones:
            zone = view.block(Kind.ZONE)
            if zone is None or not {zone.text(slots.EDERA_ZONE_ID), zone.text(slots.EDERA_ZONE_NAME)} & self.zones:
                return True
        if self.test is not None and not notice and not self.test((view, self.num)):
            return True
        if self.json:
            print(json_line(json_object(view, self.num, self.types.of(view), self.forms)))
        elif notice and not self.custom:
            print(f"-- {info(view)}")
        else:
            print(self.format.line(view, self.num))
        self.shown += 1
        return not self.count or self.shown < self.count

    async def read(self, client: Client, table: BlockTable) -> None:
        """Until the last event, or the connection's end (Disconnected)."""
        shed = 0
        while True:
            for event in await client.next():
                if not self.take(EventView(event.data, table, event.redelivered)):
                    return
            sys.stdout.flush()
            if client.shed != shed:
                tell(f"too slow: {client.shed - shed} events were dropped for tail (Falco is not affected)")
                shed = client.shed


async def follow(tail: Tail, path: str, wait: bool) -> int:
    hashes = registry.prefix_hashes()
    backoff = Backoff()
    while True:
        table = BlockTable()
        name = f"tail-{os.getpid()}"
        client = Client(path, name, len(hashes) - 1, lambda n: hashes[n], f"tail {__version__}", blocks=table, ephemeral=True)
        try:
            await client.connect()
            backoff.reset()
            await tail.read(client, table)
            return 0
        except ClientRefused as error:
            tell(str(error))
            return 1
        except PermissionError:
            tell(f"{path}: permission denied; run as root or as a member of falco.group")
            return 2
        except (Disconnected, FrameError, TimeoutError, OSError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error) or "no answer"
            if not wait:
                tell(f"{path}: {reason}; is the daemon running? (systemctl status edera-falcod)")
                return 2
            delay = backoff.next()
            tell(f"{path}: {reason}; is the daemon running? Trying again in {delay:.1f} s")
        finally:
            await client.close()
        await asyncio.sleep(delay)


async def until_told(tail: Tail, path: str, wait: bool) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await follow(tail, path, wait)
    return 0


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 ended as asked, 1 the daemon refuses, 2 it cannot be had or was asked wrongly."""
    try:
        tail = Tail(args)
        path = args.socket or load(args.config).falco.socket
    except (FormatError, ConfigError) as error:
        tell(str(error))
        return 2
    if args.count < 0:
        tell("--count must not be negative")
        return 2
    return asyncio.run(until_told(tail, path, not args.no_wait))
