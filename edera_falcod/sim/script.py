"""What happens on the simulated host and when: one command a line, for `edera-falcod sim --script` and `--at`.

    # comment
    2s     hotplug web          at 2 s after the start
    +500ms stall web            half a second after the line before
    5s     add db capture.scap pace=max loop=yes end=exit
    10s    remove web 137

Words are split as a shell does. Times: a number with ms, s or m.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..scap.errors import CaptureError
from .host import MALFORMED, SimHost, SimWorkload
from .player import AtEnd, Play, Reopen

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_YES: Final = {"yes": True, "true": True, "no": False, "false": False}

# Command: how its words are used, and what it does.
COMMANDS: Final = {
    "add": ("NAME CAPTURE [pace=recorded|Nx|max] [loop=yes] [packing=tonic|single] [end=idle|end|exit] [reopen=restart|continue] "
            "[now=yes] [state=ready] [limit=N]", "a new zone"),
    "remove": ("NAME [CODE]", "the zone exits"),
    "fail": ("NAME [MESSAGE]", "the zone fails"),
    "state": ("NAME STATE", "the zone is now creating, created, ready, destroying, destroyed, failed"),
    "annotate": ("NAME KEY=VALUE...", "the zone's annotations change"),
    "hotplug": ("NAME", "the zone's CPUs change"),
    "cut": ("NAME", "its stream breaks off in the middle of a message"),
    "end": ("NAME", "its stream ends in an orderly way"),
    "stall": ("NAME", "its stream sends nothing"),
    "resume": ("NAME", "its stream goes on"),
    "malformed": (f"NAME [{'|'.join(MALFORMED)}]", "something wrong is sent on its stream"),
    "workload": ("NAME WORKLOAD IMAGE [privileged=yes] [KEY=VALUE...]", "a new workload; other keys are annotations"),
    "unload": ("NAME WORKLOAD", "the workload is gone"),
    "deaf": ("[no]", "calls are taken and not answered"),
    "stop": ("", "the host closes all connections and its socket"),
    "start": ("", "it listens again"),
    "quit": ("", "the simulation ends"),
}  # fmt: skip


class ScriptError(Exception):
    """A line that cannot be understood or done; the text says where and why."""


class Quit(Exception):
    """The script wants the simulation to end."""


@dataclass(frozen=True, slots=True)
class Line:
    """One command: ``at`` seconds after the start. ``where``: for messages."""

    at: float
    words: tuple[str, ...]
    where: str


def seconds(text: str, where: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text)
    if match is None:
        raise ScriptError(f"{where}: {text!r} is not a time; write 500ms, 3s or 2m")
    return float(match[1]) * _UNITS[match[2]]


def parse(lines: Iterable[str], name: str) -> list[Line]:
    """The commands of a script. Raises ``ScriptError``."""
    found: list[Line] = []
    before = 0.0
    for number, text in enumerate(lines, 1):
        where = f"{name}:{number}"
        try:
            words = shlex.split(text, comments=True)
        except ValueError as error:
            raise ScriptError(f"{where}: {error}") from None
        if not words:
            continue
        at = before + seconds(words[0][1:], where) if words[0].startswith("+") else seconds(words[0], where)
        found.append(command(at, tuple(words[1:]), where))
        before = at
    return found


def command(at: float, words: tuple[str, ...], where: str) -> Line:
    """A command, as far as it can be checked before it is done. Raises ``ScriptError``."""
    if not words or words[0] not in COMMANDS:
        raise ScriptError(f"{where}: {words[0] if words else 'nothing'!r} is not a command; there are {', '.join(COMMANDS)}")
    usage = COMMANDS[words[0]][0].split()
    least = sum(not word.startswith("[") for word in usage)
    if len(words) - 1 < least:
        raise ScriptError(f"{where}: use: {words[0]} {COMMANDS[words[0]][0]}")
    if words[0] == "add":
        options(words[3:], where)
    if words[0] == "malformed" and len(words) > 2 and words[2] not in MALFORMED:
        raise ScriptError(f"{where}: {words[2]!r} is none of {', '.join(MALFORMED)}")
    return Line(at, words, where)


def pace(text: str, where: str) -> float:
    """``recorded``, ``max`` or ``4x`` as a speed."""
    if text == "recorded":
        return 1.0
    if text == "max":
        return 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x", text)
    if match is None or float(match[1]) == 0:
        raise ScriptError(f"{where}: pace {text!r} is none of recorded, max, or a factor such as 4x")
    return float(match[1])


def options(words: Iterable[str], where: str, play: Play | None = None) -> tuple[Play, dict[str, str]]:
    """``key=value`` words of a zone: how it is played, and the rest (state, limit). Raises ``ScriptError``."""
    start = play or Play()
    play = Play(start.speed, start.loop, start.single, start.at_end, start.reopen, start.now)
    rest: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        try:
            if not equals:
                raise KeyError(key)
            if key == "pace":
                play.speed = pace(value, where)
            elif key == "loop":
                play.loop = _YES[value]
            elif key == "packing":
                play.single = {"tonic": False, "single": True}[value]
            elif key == "end":
                play.at_end = AtEnd(value)
            elif key == "reopen":
                play.reopen = Reopen(value)
            elif key == "now":
                play.now = _YES[value]
            elif key == "limit":
                rest[key] = str(int(value))
            elif key == "state":
                rest[key] = value
            else:
                raise KeyError(key)
        except (KeyError, ValueError):
            raise ScriptError(f"{where}: {word!r}: use {COMMANDS['add'][0]}") from None
    return play, rest


async def run_lines(host: SimHost, lines: Iterable[Line], play: Play | None = None, tell: Callable[[str], None] | None = None) -> None:
    """Do the commands in their time. Raises ``ScriptError`` for one that cannot be done, ``Quit`` when the script says so."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for line in sorted(lines, key=lambda line: line.at):
        await asyncio.sleep(began + line.at - loop.time())
        if tell is not None:
            tell(" ".join(line.words))
        await do(host, line, play)


async def do(host: SimHost, line: Line, play: Play | None = None) -> None:
    """Do one command now. ``play``: how zones are played that do not say so themselves."""
    verb, *words = line.words
    try:
        await _do(host, verb, words, line.where, play)
    except KeyError as error:
        raise ScriptError(f"{line.where}: there is no zone named {error.args[0]!r}") from None
    except (ValueError, OSError, CaptureError) as error:
        raise ScriptError(f"{line.where}: {' '.join(line.words)}: {error}") from None


async def _do(host: SimHost, verb: str, words: list[str], where: str, play: Play | None) -> None:
    if verb == "add":
        how, rest = options(words[2:], where, play)
        host.add_zone(words[0], Path(words[1]), how, state=rest.get("state", "ready"), limit=int(rest.get("limit", "0")))
    elif verb == "remove":
        host.remove_zone(words[0], int(words[1]) if len(words) > 1 else 0)
    elif verb == "fail":
        host.fail_zone(words[0], *words[1:2])
    elif verb == "state":
        host.set_state(words[0], words[1])
    elif verb == "annotate":
        zone = host.zones[words[0]]
        zone.annotations |= _pairs(words[1:])
        host.announce(zone)
    elif verb in ("hotplug", "cut", "end", "stall", "resume"):
        getattr(host, verb)(words[0])
    elif verb == "malformed":
        host.malformed(*words[:2])
    elif verb == "workload":
        pairs = _pairs(words[3:])
        privileged = _YES.get(pairs.pop("privileged", "no"), False)
        host.add_workload(words[0], SimWorkload(words[1], words[2], annotations=pairs, privileged=privileged))
    elif verb == "unload":
        host.remove_workload(words[0], words[1])
    elif verb == "deaf":
        host.hears.set() if words[:1] == ["no"] else host.hears.clear()
    elif verb == "stop":
        await host.stop()
    elif verb == "start":
        await host.start()
    else:
        raise Quit


def _pairs(words: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} is not KEY=VALUE")
        pairs[key] = value
    return pairs
