"""`edera-falcod doctor`: the whole chain from the Edera daemon to Falco's rules, link by link, with a remedy for each finding.

Works with the daemon down: what can be seen from outside is looked at from outside. It changes nothing. Exit code: 0 nothing is wrong
(there may be hints), 1 something is.
"""

from __future__ import annotations

import argparse
import asyncio
import grp
import json
import mmap
import os
import pwd
import re
import stat
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..config import DEFAULT_FILE, PREFIX, Config, ConfigError, load
from .text import coloured, paint, wrapped

GOOD: Final = "ok"
HINT: Final = "hint"
WRONG: Final = "wrong"
_COLOURS: Final = {GOOD: "green", HINT: "yellow", WRONG: "red"}

CALL: Final = 5.0  # seconds that one question may take
SKEW: Final = 5.0  # seconds that a zone's clock may be off
MAX_SHIM: Final = 64 << 20  # bytes of a file that is taken for the shim
TABLE_START: Final = 8  # hashes by which the shim's table is found: no other bytes are like them
MAX_CONFIG: Final = 1 << 20  # bytes of a configuration of Falco that is read

# Where packages, falcoctl and our own build put the shim.
SHIMS: Final = (
    "/usr/share/falco/plugins/libedera_shim.so",
    "/usr/share/falco/plugins/edera_shim.so",
    "/usr/lib/edera-falcod/libedera_shim.so",
    "/usr/local/share/falco/plugins/libedera_shim.so",
)
FALCO_CONFIG: Final = "/etc/falco/falco.yaml"


@dataclass(frozen=True)
class Finding:
    """One link of the chain. ``link``: what was looked at; ``remedy``: what to do, "" where nothing is to be done."""

    link: str
    level: str
    text: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "exit code: 0 nothing is wrong, 1 something is (each finding has its remedy), 2 asked wrongly"
    parser.add_argument("-c", "--config", metavar="FILE", help=f"the daemon's configuration (default: {DEFAULT_FILE} if it is there)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as with run; repeatable")
    parser.add_argument("--shim", metavar="FILE", help="the plugin (default: as Falco's configuration says, or the usual places)")
    parser.add_argument("--falco", metavar="FILE", default=FALCO_CONFIG, help=f"Falco's configuration (default: {FALCO_CONFIG})")
    parser.add_argument("--json", action="store_true", help="a list of findings")


def socket_of(link: str, path: str, remedy: str) -> Finding | None:
    """What is wrong with a socket's file; None if nothing is."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return Finding(link, WRONG, f"{path}: there is no such socket", remedy)
    except PermissionError:
        return Finding(link, WRONG, f"{path}: its folder may not be entered by {who()}", "run doctor as root, or as the daemon's user")
    except OSError as error:
        return Finding(link, WRONG, f"{path}: {error.strerror}", remedy)
    if not stat.S_ISSOCK(found.st_mode):
        return Finding(link, WRONG, f"{path}: is not a socket", f"remove it or correct the configured path; {remedy}")
    if not os.access(path, os.R_OK | os.W_OK):
        owner = f"{_user(found.st_uid)}:{_group(found.st_gid)}, mode {stat.S_IMODE(found.st_mode):04o}"
        return Finding(
            link, WRONG, f"{path}: {who()} may not connect (owner {owner})", "run doctor as root; let the daemon's user in by group or ACL"
        )
    return None


def who() -> str:
    return f"user {_user(os.geteuid())}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


async def edera(config: Config) -> list[Finding]:
    """The Edera daemon: its socket, its answer, its zones."""
    from ..edera.control import ControlClient
    from ..edera.transport import Link, LinkError
    from ..edera.zones import refusal

    path = config.edera.socket
    wrong = socket_of("Edera socket", path, "is the Edera daemon installed and running? (edera.socket names its socket)")
    if wrong is not None:
        return [wrong]
    link = Link(path)
    try:
        async with asyncio.timeout(CALL):
            zones = await ControlClient(link).list_zones()
    except (LinkError, TimeoutError, OSError) as error:
        text = f"{path}: no list of zones: {error or f'no answer within {CALL:g} s'}"
        return [Finding("Edera daemon", WRONG, text, "see the Edera daemon's log; is edera.socket really its control socket?")]
    finally:
        await link.aclose()
    found = [Finding("Edera daemon", GOOD, f"{path} answers and lists {len(zones)} zones")]
    refused = [(zone, refusal(zone)) for zone in zones]
    if not zones:
        found.append(Finding("Zones", HINT, "there are no zones on this host", "start a workload in a zone to see events"))
    for zone, why in refused:
        if why:
            found.append(Finding("Zones", HINT, f"zone {zone.name or zone.id} cannot be monitored: {why}"))
    if zones and all(why for _, why in refused):
        found.append(Finding("Zones", WRONG, "none of the zones can be monitored", "see the reasons above"))
    return found


async def daemon(config: Config) -> list[Finding]:
    """Our daemon by its ctl socket: what it says itself, snapshots, drops, clocks, consumers."""
    from grpclib.exceptions import GRPCError, StreamTerminatedError

    from .client import get_status
    from .screen import version_note
    from .shapes import causes, total

    path = config.ctl.socket
    start = "start it (systemctl start edera-falcod), or see why it does not (journalctl -u edera-falcod)"
    wrong = socket_of("Daemon", path, start)
    if wrong is not None:
        return [wrong]
    try:
        reply = await get_status(path)
    except ConnectionRefusedError:
        return [Finding("Daemon", WRONG, f"{path}: nobody listens: the daemon has died", start)]
    except (OSError, GRPCError, StreamTerminatedError, TimeoutError) as error:
        return [Finding("Daemon", WRONG, f"{path}: no answer: {error or 'too late'}", start)]
    one = reply.daemon
    found = [Finding("Daemon", GOOD, f"edera-falcod {one.version} runs, pid {one.pid}, {one.core} core")]
    if one.core != "compiled":
        remedy = "install the compiled wheel or package if there are many events"
        found.append(Finding("Daemon", HINT, "the core is interpreted: a few times slower", remedy))
    found += [Finding("Daemon", WRONG, text, "edera-falcod ctl status; journalctl -u edera-falcod") for text in one.unwell]
    for zone in reply.zones:
        name = zone.name or zone.id
        if zone.state == "live" and not zone.threads:
            found.append(Finding("Snapshot", WRONG, f"zone {name} is live without any process", f"edera-falcod ctl resync {zone.id}"))
        if zone.tainted and zone.state == "live":
            found.append(Finding("Snapshot", HINT, f"events of zone {name} were missed", f"edera-falcod ctl resync {zone.id}"))
        if abs(zone.clock_skew) > SKEW * 1e9:
            text = f"the clock of zone {name} is {zone.clock_skew / 1e9:+.0f} s off, or its events come so late"
            found.append(Finding("Clock", HINT, text, "check time synchronisation in the zone and on the host; rules see the zone's time"))
        bad = causes(zone.counters, "undecodable")
        if bad:
            text = f"zone {name}: events that cannot be read: {', '.join([f'{cause} {count}' for cause, count in bad.items()])}"
            found.append(Finding("Events", HINT, text, "a zone newer than this daemon? then upgrade edera-falcod"))
    falco = config.falco.consumers
    for consumer in reply.consumers:
        dropped = total(consumer.counters, "dropped")
        if dropped:
            remedy = "raise buffer.size, choose fewer system calls (edera.syscalls), or give Falco more CPU; ctl zones shows who sends most"
            found.append(Finding("Drops", WRONG, f"consumer {consumer.name} has lost {dropped} events since the daemon started", remedy))
        if consumer.connected:
            found.append(Finding("Consumer", GOOD, f"{consumer.name} is connected ({consumer.version})"))
            if note := version_note(consumer, reply.registry.fields):
                found.append(Finding("Consumer", HINT, note.partition("; ")[0], note.partition("; ")[2]))
        elif consumer.name in falco:
            remedy = "is Falco running with the plugin, and does its init_config name this socket? (journalctl -u falco)"
            found.append(Finding("Consumer", WRONG, f"{consumer.name} is not connected; its events are kept for buffer.age", remedy))
    return found


def consumer_socket(config: Config) -> list[Finding]:
    wrong = socket_of("Consumer socket", config.falco.socket, "the daemon makes it when it starts; see the findings about the daemon")
    return [wrong or Finding("Consumer socket", GOOD, f"{config.falco.socket} can be connected to")]


def _plugin(path: str) -> tuple[str, Any]:
    """The plugin's library and init_config by Falco's configuration ("" if it names none). Raises OSError, ValueError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    text = Path(path).read_bytes()[:MAX_CONFIG]
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    plugins = found.get("plugins") if isinstance(found, dict) else None
    for one in plugins if isinstance(plugins, list) else ():
        if isinstance(one, dict) and one.get("name") == "edera":
            library = str(one.get("library_path", ""))
            if library and not library.startswith("/"):
                library = f"/usr/share/falco/plugins/{library}"
            return library, found
    return "", found


def falco(path: str, config: Config) -> tuple[list[Finding], str]:
    """Falco's configuration and rules files; and the shim that it names."""
    if not os.path.exists(path):
        text = f"{path}: not there; Falco may run elsewhere (in a container, say)"
        return [Finding("Falco", HINT, text, "name its configuration with --falco FILE; examples/falco.yaml is one that works")], ""
    try:
        library, found = _plugin(path)
    except (OSError, ValueError) as error:
        return [Finding("Falco", WRONG, f"{path}: cannot be read: {error}", "correct the file; falco --dry-run says more")], ""
    if not library:
        return [Finding("Falco", WRONG, f"{path}: has no plugin named edera", "add it as in examples/falco.yaml")], ""
    findings = [Finding("Falco", GOOD, f"{path} has the plugin, {library}")]
    loaded = found.get("load_plugins")
    if isinstance(loaded, list) and "edera" not in loaded:
        findings.append(Finding("Falco", WRONG, f"{path}: load_plugins leaves the plugin out", "add edera to load_plugins"))
    if config.falco.socket not in Path(path).read_text(errors="replace") and config.falco.socket != "/run/edera-falcod/falco.sock":
        text = f"{path} does not name the configured consumer socket {config.falco.socket}"
        findings.append(Finding("Falco", WRONG, text, 'set "socket" in the plugin\'s init_config to it'))
    files = [str(one) for key in ("rules_files", "rules_file") for one in (found.get(key) or ()) if isinstance(found.get(key), list)]
    zone_rules = False
    for name in files:
        at = Path(name)
        try:
            parts = sorted(at.glob("*.y*ml")) if at.is_dir() else [at]
            if not at.exists():
                findings.append(Finding("Rules", HINT, f"{name}: named by {path}, but not there"))
            zone_rules = zone_rules or any(re.search(rb"source:\s*edera_zone", part.read_bytes()) for part in parts if part.is_file())
        except OSError as error:
            findings.append(Finding("Rules", HINT, f"{name}: cannot be read: {error.strerror}"))
    if zone_rules:
        findings.append(Finding("Rules", GOOD, "there are rules with source: edera_zone"))
    else:
        remedy = "make them of Falco's own: edera-falcod rules retarget /etc/falco/falco_rules.yaml"
        findings.append(Finding("Rules", WRONG, "no rules file that Falco loads has rules with source: edera_zone", remedy))
    return findings, library


def shim(path: str, config: Config) -> list[Finding]:
    """The shim's file: that it is a shared object of this machine's kind and that its fields are a prefix of ours."""
    from ..fields import registry

    build = "install the package, or build it: make shim"
    hashes = registry.prefix_hashes()
    if not path:
        path = next((one for one in SHIMS if os.path.exists(one)), "")
        if not path:
            return [Finding("Shim", HINT, f"found in none of the usual places ({SHIMS[0]}, ...)", f"name it with --shim FILE; {build}")]
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_SHIM:
                raise ValueError("too large")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                head = data[:20]
                plugin = data.find(b"plugin_get_required_api_version\0") >= 0
                shared = shared_fields(data, hashes)
    except (OSError, ValueError) as error:
        return [Finding("Shim", WRONG, f"{path}: cannot be read: {error}", build)]
    machine = struct.unpack_from("<H", head, 18)[0] if head[:4] == b"\x7fELF" else 0
    ours = {"x86_64": 62, "aarch64": 183}.get(os.uname().machine, machine)
    if head[:4] != b"\x7fELF" or not plugin:
        return [Finding("Shim", WRONG, f"{path}: is no Falco plugin", build)]
    if machine != ours:
        return [Finding("Shim", WRONG, f"{path}: is for another processor", f"install the one for {os.uname().machine}")]
    ours_ = len(hashes) - 1
    if shared == ours_:
        return [Finding("Shim", GOOD, f"{path}: knows all {ours_} fields of this release")]
    if shared < 0:
        text = f"{path}: does not hold this project's field registry"
        return [Finding("Shim", WRONG, text, f"install shim and daemon from one release, then restart Falco; {build}")]
    text = f"{path}: shares the first {shared} of our {ours_} fields: it is older, or of another registry"
    return [Finding("Shim", HINT, text, "an older one is served; install the one of this release and restart Falco to have all fields")]


def shared_fields(data: bytes | mmap.mmap, hashes: Sequence[int]) -> int:
    """How many fields the shim and we share, from its table of prefix hashes (shim/edera_fields.h); -1 if it has none of ours."""
    at = data.find(struct.pack(f"<{TABLE_START}Q", *hashes[:TABLE_START]))
    if at < 0:
        return -1
    raw = data[at : at + 8 * len(hashes)]
    table = struct.unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8])
    return next((index for index, one in enumerate(table) if one != hashes[index]), len(table)) - 1


def host_clock() -> list[Finding]:
    if time.time() < 1_700_000_000:  # November 2023: before anything of this existed
        return [Finding("Clock", WRONG, "this host's clock is years behind", "set it; delivery and rules work with the zones' times")]
    return []


async def examine(config: Config, shim_path: str | None, falco_path: str) -> list[Finding]:
    findings = await edera(config)
    findings += await daemon(config)
    findings += consumer_socket(config)
    of_falco, library = falco(falco_path, config)
    findings += shim(shim_path or library, config)
    findings += of_falco
    return findings + host_clock()


def as_text(findings: list[Finding], on: bool) -> str:
    lines: list[str] = []
    for one in findings:
        text = wrapped(f"{one.level:6}{one.link}: ", one.text, 8)
        lines.append(paint(text[0][:6], _COLOURS[one.level], on) + text[0][6:])
        lines += text[1:]
        if one.remedy and one.level != GOOD:
            lines += wrapped("        -> ", one.remedy)
    wrong = sum([one.level == WRONG for one in findings])
    hints = sum([one.level == HINT for one in findings])
    lines.append("")
    lines.append(f"{wrong or 'nothing'} wrong, {hints or 'no'} hint{'' if hints == 1 else 's'}")
    return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    try:
        config = load(args.config, flags=args.set)
        findings = asyncio.run(examine(config, args.shim, args.falco))
        named = args.config or os.environ.get(f"{PREFIX}CONFIG", DEFAULT_FILE)
        known = f"{named} is good" if os.path.exists(named) else "defaults, since there is no file"
        findings.insert(0, Finding("Configuration", GOOD, known))
    except ConfigError as error:
        findings = [Finding("Configuration", WRONG, str(error), "correct it; edera-falcod config check says when it is good")]
    if args.json:
        rows = [{"link": one.link, "level": one.level, "text": one.text, "remedy": one.remedy} for one in findings]
        json.dump(rows, sys.stdout)
        print()
    else:
        print(as_text(findings, coloured()))
    return 1 if any(one.level == WRONG for one in findings) else 0
