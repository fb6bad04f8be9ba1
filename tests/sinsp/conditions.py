"""Conditions in Falco's language, each beside what it means: a predicate over libsinsp's own answers.

The predicates follow libsinsp's rules for its own fields, numbers as numbers. Where our fields are of another type than libsinsp's
(a signed number is served as text), a condition shows that rules need not know. A comparison of a field without a value is false,
!= too; ``not`` of it is true.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]
Predicate = Callable[[Fields], bool]

LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
PRIVATE = ipaddress.IPv4Network("10.0.0.0/8")


def on(field: str, test: Callable[[Any], bool]) -> Predicate:
    """True where the field has a value that passes."""
    return lambda fields: field in fields and test(fields[field])


def both(*predicates: Predicate) -> Predicate:
    return lambda fields: all(predicate(fields) for predicate in predicates)


def either(*predicates: Predicate) -> Predicate:
    return lambda fields: any(predicate(fields) for predicate in predicates)


def inverse(predicate: Predicate) -> Predicate:
    return lambda fields: not predicate(fields)


def is_(field: str, value: object) -> Predicate:
    return on(field, lambda given: given == value)


def in_network(field: str, network: ipaddress.IPv4Network) -> Predicate:
    return on(field, lambda given: ":" not in given and ipaddress.IPv4Address(given) in network)


def below(path: str, top: str) -> bool:
    """pmatch: the path is one of the prefixes, or below it."""
    return path == top or path.startswith(top + "/")


CONDITIONS: dict[str, dict[str, Predicate]] = {
    # The operators over texts, on values of all temperatures: the event's, the process's, the file's.
    "text": {
        "evt.type = openat": is_("evt.type", "openat"),
        "evt.type != openat": on("evt.type", lambda v: v != "openat"),
        "evt.type in (openat, execve, connect, accept4)": on("evt.type", lambda v: v in ("openat", "execve", "connect", "accept4")),
        "not evt.type in (openat, close, mmap)": on("evt.type", lambda v: v not in ("openat", "close", "mmap")),
        "evt.category = net": is_("evt.category", "net"),
        "evt.res = ENOENT": is_("evt.res", "ENOENT"),
        "proc.name = python3": is_("proc.name", "python3"),
        "proc.name = PYTHON3": is_("proc.name", "PYTHON3"),
        "tolower(proc.name) = python3": is_("proc.name", "python3"),
        "toupper(proc.name) = PYTHON3": is_("proc.name", "python3"),
        "proc.cmdline contains '.py'": on("proc.cmdline", lambda v: ".py" in v),
        "proc.cmdline icontains PYTHON": on("proc.cmdline", lambda v: "python" in v.lower()),
        "proc.pname in (sh, bash, python3)": on("proc.pname", lambda v: v in ("sh", "bash", "python3")),
        "proc.exepath endswith python3.11": on("proc.exepath", lambda v: v.endswith("python3.11")),
        "basename(proc.exepath) = python3.11": on("proc.exepath", lambda v: v.rsplit("/", 1)[-1] == "python3.11"),
        "fd.name startswith /etc": on("fd.name", lambda v: v.startswith("/etc")),
        "fd.name pmatch (/etc, /usr/lib)": on("fd.name", lambda v: below(v, "/etc") or below(v, "/usr/lib")),
        "fd.name glob '/etc/*'": on("fd.name", lambda v: v.startswith("/etc/")),
        "fd.name regex '/(etc|usr/lib)/.*'": on("fd.name", lambda v: v.startswith(("/etc/", "/usr/lib/"))),
        "fd.name exists": on("fd.name", lambda v: True),
        "not fd.name exists": inverse(on("fd.name", lambda v: True)),
        "fd.filename = passwd": is_("fd.filename", "passwd"),
        "fd.directory in (/etc, /proc, /)": on("fd.directory", lambda v: v in ("/etc", "/proc", "/")),
        "fd.typechar in ('4', '6')": on("fd.typechar", lambda v: v in ("4", "6")),
        "fd.l4proto = tcp": is_("fd.l4proto", "tcp"),
        "thread.cap_effective contains CAP_SYS_ADMIN": on("thread.cap_effective", lambda v: "CAP_SYS_ADMIN" in v),
    },
    # Parameters by name and by number.
    "parameter": {
        "evt.arg.flags contains O_CLOEXEC": on("evt.arg.flags", lambda v: "O_CLOEXEC" in v),
        "evt.arg.flags exists": on("evt.arg.flags", lambda v: True),
        "evt.type = openat and evt.arg.flags contains O_DIRECTORY": both(
            is_("evt.type", "openat"), on("evt.arg.flags", lambda v: "O_DIRECTORY" in v)
        ),
        "evt.arg.name startswith /": on("evt.arg.name", lambda v: v.startswith("/")),
        "evt.arg[0] = ENOENT": is_("evt.arg[0]", "ENOENT"),
        "evt.arg[0] = '0' and evt.arg[1] startswith '<f>'": both(is_("evt.arg[0]", "0"), on("evt.arg[1]", lambda v: v.startswith("<f>"))),
        "evt.arg[1] exists": on("evt.arg[1]", lambda v: True),
        "evt.arg[flags] contains O_CLOEXEC": on("evt.arg.flags", lambda v: "O_CLOEXEC" in v),
    },
    # Numbers. The first few are signed.
    "number": {
        "evt.rawres < 0": on("evt.rawres", lambda v: v < 0),
        "evt.rawres >= 0": on("evt.rawres", lambda v: v >= 0),
        "evt.rawres > 0": on("evt.rawres", lambda v: v > 0),
        "evt.rawres = -2": is_("evt.rawres", -2),
        "evt.rawres = 3": is_("evt.rawres", 3),
        "evt.rawres in (-2, -13, 832)": on("evt.rawres", lambda v: v in (-2, -13, 832)),
        "fd.num = -1": is_("fd.num", -1),
        "fd.num >= 0": on("fd.num", lambda v: v >= 0),
        "fd.num in (0, 1, 2)": on("fd.num", lambda v: v in (0, 1, 2)),
        "fd.num < 0": on("fd.num", lambda v: v < 0),
        "user.loginuid = -1": is_("user.loginuid", -1),
        "user.uid = 0": is_("user.uid", 0),
        "user.uid > 0": on("user.uid", lambda v: v > 0),
        "proc.vpid <= 1": on("proc.vpid", lambda v: v <= 1),
        "thread.vtid >= 20": on("thread.vtid", lambda v: v >= 20),
        "proc.nthreads > 1": on("proc.nthreads", lambda v: v > 1),
        "proc.tty = 0": is_("proc.tty", 0),
        "evt.cpu = 1": is_("evt.cpu", 1),
        "proc.duration <= 50000000": on("proc.duration", lambda v: v <= 50_000_000),
        "proc.duration > 50000000": on("proc.duration", lambda v: v > 50_000_000),
        "fd.sport < 1024": on("fd.sport", lambda v: v < 1024),
        "fd.sport in (8080, 8081, 4444)": on("fd.sport", lambda v: v in (8080, 8081, 4444)),
        "fd.cport > 32767": on("fd.cport", lambda v: v > 32767),
        "len(proc.name) > 4": on("proc.name", lambda v: len(v) > 4),
    },
    "truth": {
        "evt.failed = true": is_("evt.failed", True),
        "evt.failed = false": is_("evt.failed", False),
        "evt.is_open_write = true": is_("evt.is_open_write", True),
        "evt.is_open_read = true": is_("evt.is_open_read", True),
        "proc.is_exe_upper_layer = false": is_("proc.is_exe_upper_layer", False),
    },
    # Ancestors, arguments, variables: fields with an index or a key.
    "index": {
        "proc.aname[2] = zinit": is_("proc.aname[2]", "zinit"),
        "proc.aname[2] in (bash, python3)": on("proc.aname[2]", lambda v: v in ("bash", "python3")),
        "proc.aname[3] exists": on("proc.aname[3]", lambda v: True),
        "proc.aname[0] = python3": is_("proc.name", "python3"),
        "proc.env[HOME] = /root": is_("proc.env[HOME]", "/root"),
    },
    # Addresses and networks.
    "address": {
        'fd.sip = "127.0.0.1"': is_("fd.sip", "127.0.0.1"),
        'fd.sip != "127.0.0.1"': on("fd.sip", lambda v: v != "127.0.0.1"),
        'fd.sip in ("127.0.0.1", "::1")': on("fd.sip", lambda v: v in ("127.0.0.1", "::1")),
        'fd.cip = "::1"': is_("fd.cip", "::1"),
        'fd.snet = "127.0.0.0/8"': in_network("fd.sip", LOOPBACK),
        'fd.snet = "10.0.0.0/8"': in_network("fd.sip", PRIVATE),
        'fd.snet in ("10.0.0.0/8", "127.0.0.0/8")': in_network("fd.sip", LOOPBACK),
        'fd.rip = "127.0.0.1"': is_("fd.rip", "127.0.0.1"),
    },
    # Lists: libsinsp's fields with many values, and ours for "any of them".
    "list": {
        "fd.types intersects (ipv4, ipv6)": on("fd.types", lambda v: not {"ipv4", "ipv6"}.isdisjoint(v)),
        "fd.types in (file)": on("fd.types", lambda v: set(v) <= {"file"}),
        "fd.types exists": on("fd.types", lambda v: True),
        "proc.anames intersects (bash, sh)": on("proc.aname", lambda v: not {"bash", "sh"}.isdisjoint(v.split(" "))),
        'fd.ip intersects ("127.0.0.1")': either(is_("fd.cip", "127.0.0.1"), is_("fd.sip", "127.0.0.1")),
        "fd.port intersects (8080, 8081, 4444)": either(
            on("fd.cport", lambda v: v in (8080, 8081, 4444)), on("fd.sport", lambda v: v in (8080, 8081, 4444))
        ),
    },
    # As rules combine them.
    "rule": {
        "evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.typechar = 'f' and fd.num >= 0 "
        "and fd.name startswith /etc": both(
            on("evt.type", lambda v: v in ("open", "openat", "openat2")), is_("evt.is_open_read", True), is_("fd.typechar", "f"),
            on("fd.num", lambda v: v >= 0), on("fd.name", lambda v: v.startswith("/etc")),
        ),
        "evt.type = execve and evt.failed = false and proc.pname in (bash, sh, python3)": both(
            is_("evt.type", "execve"), is_("evt.failed", False), on("proc.pname", lambda v: v in ("bash", "sh", "python3"))
        ),
        "(proc.name = curl or proc.name = bash) and not fd.name startswith /usr and fd.name exists": both(
            on("proc.name", lambda v: v in ("curl", "bash")), on("fd.name", lambda v: not v.startswith("/usr"))
        ),
        "proc.name != val(proc.pname)": lambda fields: "proc.pname" in fields and fields["proc.name"] != fields["proc.pname"],
    },
}  # fmt: skip

ALL = {condition: predicate for group in CONDITIONS.values() for condition, predicate in group.items()}

# True of none or of all events of both captures, and kept for what they show: case matters, a signed number is not a huge one.
ALWAYS_OR_NEVER = frozenset({"proc.name = PYTHON3", 'fd.snet = "10.0.0.0/8"', "user.loginuid = -1", "proc.tty = 0"})
