"""`ctl top`: the busiest zones, or event types, live in the terminal; once, or as JSON, elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from .proto.ctl import CtlStub, EderaLink, GetStatusReply, GetStatusRequest, GetTypesReply, GetTypesRequest, GetZoneRequest
from .screen import state_text
from .shapes import total
from .text import WIDTH, FieldError, ago, coloured, count, cut, paint, select, size

LEAST_LINES: Final = 8  # of a terminal: what is above and below the table, and a row
FIRST: Final = 0.2  # seconds to the second look of a live screen, so that rates are there soon
KEYS: Final = re.compile(r"\x1b\[[A-D]|[\s\S]")

EPILOG: Final = """keys: z zones, t event types, Enter the event types of the zone that is marked (arrows mark), < > sort by another column,
r reverse, p pause, q quit

examples:
  edera-falcod ctl top
  edera-falcod ctl top --by type --zone web-1 --sort events
  edera-falcod ctl top -n 1 -o name,events_per_second | sort -k 2 -n
  edera-falcod ctl top --json -n 60 --interval 10s > hour.jsonl

Rates are of the time between two looks. Without a terminal it looks once and prints all rows."""


@dataclass(frozen=True, slots=True)
class Column:
    """``name``: in rows, -o, --json and --sort. ``width``: below 0 flush right."""

    name: str
    title: str
    width: int


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "zone": (
        Column("name", "ZONE", 17), Column("state", "STATE", 12), Column("events_per_second", "EVENTS/S", -9),
        Column("bytes_per_second", "BYTES/S", -8), Column("percent", "PART", -6), Column("threads", "THREADS", -8),
        Column("files", "FILES", -6), Column("lost_per_second", "LOST/S", -7),
    ),
    "type": (
        Column("name", "EVENT TYPE", 36), Column("events_per_second", "EVENTS/S", -10), Column("percent", "PART", -8),
        Column("events", "EVENTS", -14),
    ),
}  # fmt: skip
FIELDS: Final = {
    "zone": (*[column.name for column in COLUMNS["zone"]], "id", "events", "lost"),
    "type": tuple([column.name for column in COLUMNS["type"]]),
}
Row = dict[str, Any]


@dataclass(slots=True)
class Look:
    """What was seen at a moment. ``at``: monotonic seconds; ``types``: only where they were asked for."""

    at: float
    status: GetStatusReply
    types: GetTypesReply | None = None


@dataclass(slots=True)
class Top:
    """What is shown: set by the command line and by keys. ``rows`` is pure: two looks in, lines out."""

    by: str = "zone"
    zone: str = ""  # of --by type: only this zone's; id or name
    sort: str = "events_per_second"
    reverse: bool = False
    paused: bool = False
    marked: str = ""  # id of a zone
    trouble: str = ""
    looks: list[Look] = field(default_factory=list)  # the last two

    def take(self, look: Look) -> None:
        self.looks = [*self.looks[-1:], look]

    @property
    def seconds(self) -> float:
        """Between the two looks; 0 when there was only one."""
        return self.looks[-1].at - self.looks[0].at if len(self.looks) == 2 else 0.0

    def rows(self) -> list[Row]:
        if not self.looks:
            return []
        found = self._zones() if self.by == "zone" else self._types()
        whole = sum([row["events_per_second"] for row in found])
        for row in found:
            row["percent"] = round(100 * row["events_per_second"] / whole, 1) if whole else 0.0
        texts = self.sort in ("name", "state")
        return sorted(found, key=lambda row: (row[self.sort], row["name"]), reverse=self.reverse if texts else not self.reverse)

    def _rate(self, now: int, before: int) -> int:
        return max(0, round((now - before) / self.seconds)) if self.seconds else 0

    def _zones(self) -> list[Row]:
        before = {zone.id: zone for zone in self.looks[0].status.zones} if self.seconds else {}
        found: list[Row] = []
        for zone in self.looks[-1].status.zones:
            row: Row = {"name": zone.name or zone.id, "id": zone.id, "state": zone.state + ("*" if zone.tainted else "")}
            old = before.get(zone.id)
            for name, rate in (("received", "events_per_second"), ("bytes", "bytes_per_second"), ("dropped", "lost_per_second")):
                value = total(zone.counters, name)
                row[rate] = self._rate(value, total(old.counters, name) if old is not None else value)
            if not self.seconds:
                row["events_per_second"] = total(zone.counters, "rate")  # the daemon's own, of the last seconds
            row |= {"threads": zone.threads, "files": zone.fds}
            row |= {"events": total(zone.counters, "received"), "lost": total(zone.counters, "dropped")}
            found.append(row)
        return found

    def _types(self) -> list[Row]:
        now, before = self.looks[-1].types, self.looks[0].types
        if now is None:
            return []
        old = {one.name: one.value for one in before.types} if before is not None else None
        return [
            {
                "name": one.name,
                "events_per_second": self._rate(one.value, old.get(one.name, 0)) if old is not None else 0,
                "events": one.value,
            }
            for one in now.types
        ]

    # ---- as people read it

    def head(self, now: float, on: bool) -> list[str]:
        """Two lines: the daemon, its consumers; a third where something is not well."""
        if not self.looks:
            return ["edera-falcod", ""]
        reply = self.looks[-1].status
        daemon = reply.daemon
        well = "NOT WELL" if daemon.unwell else "well"
        rate = sum([row["events_per_second"] for row in self._zones()])
        link = str(EderaLink(reply.edera.link).name).lower()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        text = f"edera-falcod: {well}, up {ago(daemon.started_at, now)}, Edera {link}, {len(reply.zones)} zones, {count(rate)} events/s"
        first = f"{cut(text, WIDTH - 10):{WIDTH - 9}} {clock}".replace(well, paint(well, "red" if daemon.unwell else "green", on), 1)
        consumers = [
            f"{cut(one.name, 16)} {'connected' if one.connected else 'away'}, {count(one.waiting)} waiting" for one in reply.consumers
        ]
        lines = [first, cut("consumers: " + "; ".join(consumers), WIDTH)]
        problem = self.trouble or (daemon.unwell[0] if daemon.unwell else "")
        return [*lines, paint(cut(f"! {problem}", WIDTH), "red", on)] if problem else lines

    def table(self, on: bool, most: int = 0) -> list[str]:
        """The title and the rows, at most ``most`` lines (0: all)."""
        columns = COLUMNS[self.by]
        titles = [_cell(column.title + ("^" if self.reverse else "v") * (column.name == self.sort), column.width) for column in columns]
        lines = [paint(" ".join(titles).rstrip(), "bold", on)]
        rows = self.rows()
        if most and len(rows) > most - 1:
            first = next((place for place, row in enumerate(rows) if row.get("id") == self.marked), 0)
            start = max(0, min(first - (most - 2) // 2, len(rows) - most + 1))
            rows = rows[start : start + most - 1]
        for row in rows:
            cells = [_cell(_shown(column.name, row[column.name]), column.width) for column in columns]
            if self.by == "zone":
                cells[1] = state_text(cells[1].rstrip(), COLUMNS["zone"][1].width, on)
            line = " ".join(cells).rstrip()
            lines.append(f"\x1b[7m{line}\x1b[0m" if on and row.get("id") == self.marked and self.marked else line)
        if not rows:
            lines.append("no zones are monitored" if self.by == "zone" else "no events yet")
        return lines

    def screen(self, lines: int, now: float, on: bool) -> list[str]:
        """The whole of a terminal that is so many lines high."""
        head = self.head(now, on)
        what = "" if self.by == "zone" else f"of zone {self.zone}" if self.zone else "of all zones"
        keys = "z zones  t types  Enter a zone's types  < > sort  r reverse  p pause  q quit"
        if self.paused:
            keys = "PAUSED  " + keys[: WIDTH - 8]
        body = self.table(on, max(2, lines - len(head) - (3 if what else 2)))
        titled = [*head, what, *body] if what else [*head, *body]
        padded = titled[: lines - 1] + [""] * (lines - 1 - len(titled))
        return [*padded, paint(keys, "dim", on)]

    def press(self, key: str) -> bool:
        """A key was pressed; False: it is over."""
        if key in ("q", "Q", "\x03", "\x04"):
            return False
        names = [column.name for column in COLUMNS[self.by]]
        at = names.index(self.sort) if self.sort in names else 0
        match key:
            case "z" | "\x1b":
                self._show("zone", "")
            case "t":
                self._show("type", "")
            case "\r" | "\n" if self.by == "zone" and self.marked:
                self._show("type", self.marked)
            case "<" | "\x1b[D":
                self.sort = names[(at - 1) % len(names)]
            case ">" | "\x1b[C":
                self.sort = names[(at + 1) % len(names)]
            case "r":
                self.reverse = not self.reverse
            case "p" | " ":
                self.paused = not self.paused
            case "\x1b[A" | "\x1b[B" if self.by == "zone":
                self._mark(-1 if key.endswith("A") else 1)
        return True

    def _show(self, by: str, zone: str) -> None:
        if (by, zone) != (self.by, self.zone):
            self.by, self.zone, self.sort, self.reverse = by, zone, "events_per_second", False
            self.looks = [Look(one.at, one.status) for one in self.looks[-1:]]

    @property
    def hungry(self) -> bool:
        """What is to be shown was not asked for yet."""
        return self.by == "type" and self.looks[-1].types is None

    def _mark(self, step: int) -> None:
        ids = [row["id"] for row in self.rows()]
        if ids:
            self.marked = ids[(ids.index(self.marked) + step) % len(ids)] if self.marked in ids else ids[0 if step > 0 else -1]

    # ---- as scripts read it

    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = {"at": time.time_ns(), "seconds": round(self.seconds, 3), "by": self.by}
        if self.by == "type":
            found["zone"] = self.zone
        return found | {"rows": self.rows()}


def _cell(text: str, width: int) -> str:
    return f"{cut(text, width):{width}}" if width > 0 else f"{cut(text, -width):>{-width}}"


def _shown(name: str, value: Any) -> str:
    if name == "percent":
        return f"{value:.1f}%"
    if name == "bytes_per_second":
        return size(value)
    return str(value) if isinstance(value, str) or name == "events" else count(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from .command import CODES

    parser.epilog = f"{EPILOG}\n\n{CODES}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [column.name for column in (*COLUMNS["zone"], COLUMNS["type"][-1])]
    parser.add_argument("--by", choices=("zone", "type"), default="zone", help="what a row is (default: zone)")
    parser.add_argument("-z", "--zone", metavar="ID|NAME", help="the event types of this zone")
    parser.add_argument("-s", "--sort", choices=names, metavar="COLUMN", help=f"sort by this: {', '.join(names)}")
    parser.add_argument("-r", "--reverse", action="store_true", help="least first")
    parser.add_argument("-i", "--interval", default="1s", metavar="TIME", help="between two looks (default: 1s)")
    parser.add_argument("-n", "--count", type=int, metavar="N", help="look N times, then end (0: for ever; default without a terminal: 1)")
    parser.add_argument("--json", action="store_true", help="a JSON object for each look (docs/operate.md)")
    fields = ", ".join(FIELDS["zone"])
    parser.add_argument("-o", "--output", metavar="FIELD,...", help=f"these fields, tab-separated, without a head: {fields}")
    parser.add_argument("--socket", metavar="PATH", help="the daemon's ctl socket (default: as configured)")
    parser.add_argument("-c", "--config", metavar="FILE", help="the configuration to find the socket in")


async def look(path: str, top: Top) -> Look:
    """Ask the daemon; a connection for each look, so that it may be restarted in between. Raises what calls raise."""
    from .client import CALL_TIMEOUT, connected

    async with connected(path) as stub, asyncio.timeout(CALL_TIMEOUT):
        return await _look(stub, top)


async def _look(stub: CtlStub, top: Top) -> Look:
    status = await stub.get_status(GetStatusRequest())
    types: GetTypesReply | None = None
    if top.by == "type":
        from grpclib.const import Status
        from grpclib.exceptions import GRPCError

        try:
            types = await stub.get_types(GetTypesRequest(top.zone))
        except GRPCError as error:
            if error.status is not Status.NOT_FOUND or not top.looks:
                raise
            types = GetTypesReply()  # the zone has gone meanwhile
    return Look(time.monotonic(), status, types)


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """The other screen, keys as they are pressed, no cursor; everything as before at the end."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def draw(top: Top) -> None:
    lines = shutil.get_terminal_size((WIDTH, 24)).lines
    shown = top.screen(max(lines, LEAST_LINES), time.time(), coloured())
    sys.stdout.write("\x1b[H" + "\r\n".join([f"{line}\x1b[K" for line in shown]) + "\x1b[J")
    sys.stdout.flush()


async def live(path: str, top: Top, interval: float, times: int) -> int:
    """Until q, a signal, or so many looks."""
    from .command import failure

    top.take(await look(path, top))  # what fails at once is said without a screen
    loop = asyncio.get_running_loop()
    keys: asyncio.Queue[str] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, keys.put_nowait, "q")
    loop.add_signal_handler(signal.SIGWINCH, keys.put_nowait, "")
    with terminal():
        loop.add_reader(sys.stdin.fileno(), lambda: keys.put_nowait(os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace") or "q"))
        due = loop.time() + min(FIRST, interval)
        left = times - 1 if times else -1
        try:
            while True:
                draw(top)
                try:
                    async with asyncio.timeout_at(due):
                        if not all(map(top.press, KEYS.findall(await keys.get()))):
                            return 0
                    if not top.hungry:
                        continue
                except TimeoutError:
                    if top.paused:
                        due = loop.time() + interval
                        continue
                try:
                    top.take(await look(path, top))
                    top.trouble = ""
                except Exception as error:
                    top.trouble = failure(error, path, "top")[0]
                second = top.by == "type" and top.looks[0].types is None  # for rates it takes two looks
                due = loop.time() + (min(FIRST, interval) if second else interval)
                if left == 0:
                    return 0
                left -= 1
        finally:
            loop.remove_reader(sys.stdin.fileno())


async def plain(path: str, top: Top, args: argparse.Namespace, interval: float, times: int) -> int:
    """Look so many times (0: for ever) and print all rows each time."""
    top.take(await look(path, top))
    done = 0
    while not times or done < times:
        await asyncio.sleep(interval)
        top.take(await look(path, top))
        if args.json:
            print(json.dumps(top.object()))
        elif args.output:
            print("\n".join(select(top.rows(), args.output, FIELDS[top.by])), end="\n" if top.rows() else "")
        else:
            print(("\n" if done else "") + "\n".join([*top.head(time.time(), False), *top.table(False)]))
        sys.stdout.flush()
        done += 1
    return 0


async def _run(args: argparse.Namespace, path: str, top: Top, interval: float) -> int:
    if top.zone:
        from .client import connected

        async with connected(path) as stub:
            await stub.get_zone(GetZoneRequest(top.zone))  # says what is wrong with the name
    if sys.stdin.isatty() and sys.stdout.isatty() and not args.json and not args.output:
        return await live(path, top, interval, args.count or 0)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await plain(path, top, args, interval, 1 if args.count is None else args.count)
    return 0


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 ended as asked, 1 there is no such zone, 2 the daemon does not answer, or asked wrongly."""
    from ..config import ConfigError, Time, load
    from .command import UNREACHABLE, failure, tell

    by = "type" if args.zone else args.by
    try:
        path = args.socket or load(args.config).ctl.socket
        sort = args.sort or "events_per_second"
        if sort not in FIELDS[by]:
            raise FieldError(f"--sort {sort}: rows by {by} have {', '.join([column.name for column in COLUMNS[by]])}")
        if args.output:
            select([], args.output, FIELDS[by])
        interval = Time(0.1, 3600).read(args.interval)
    except (ConfigError, FieldError) as error:
        tell(str(error))
        return UNREACHABLE
    except ValueError:
        tell(f"--interval {args.interval}: a time such as 1s or 500ms, from 100ms to 1h")
        return UNREACHABLE
    if (args.count or 0) < 0:
        tell("--count must not be negative")
        return UNREACHABLE
    try:
        return asyncio.run(_run(args, path, Top(by, args.zone or "", sort, args.reverse), interval))
    except Exception as error:
        text, code = failure(error, path, "top")
        tell(text)
        return code
