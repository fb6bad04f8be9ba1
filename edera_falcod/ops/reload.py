"""A new configuration for a running daemon: what can change without dropping a stream or a connection, and how. Everything else needs a
restart, and is said. The reference in docs/ reads ``LIVE``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from ..config import Config
from ..falco.ring import Ring
from .operations import Reloaded

# Keys that can change while the daemon runs; the daemon's ``apply`` brings each group about.
LIVE: Final[dict[str, str]] = {
    "edera.reconcile": "settings",
    "edera.snapshot_timeout": "settings",
    "edera.max_snapshot": "settings",
    "edera.max_zones": "settings",
    "edera.syscalls": "syscalls",
    "edera.rules_files": "syscalls",
    "edera.annotation_keys": "workloads",
    "falco.allow_users": "access",
    "falco.allow_groups": "access",
    "falco.consumers": "consumers",
    "falco.notices": "notices",
    "buffer.size": "buffer",
    "buffer.age": "buffer",
    "buffer.drain": "",  # read when it is needed
    "buffer.handover": "",
    "ctl.admin_groups": "access",
    "log.level": "log",
    "log.format": "log",
}


def changes(old: Config, new: Config) -> list[str]:
    """Keys whose values differ, in the order of the file."""
    return [
        f"{section}.{key}"
        for section in vars(new)
        for key, value in vars(getattr(new, section)).items()
        if value != getattr(getattr(old, section), key)
    ]


def merge(old: Config, new: Config, keys: list[str]) -> Config:
    """``old`` with the values that ``new`` has for ``keys``."""
    parts: dict[str, Any] = {}
    for name in keys:
        section, _, key = name.partition(".")
        part = parts.get(section, getattr(old, section))
        parts[section] = replace(part, **{key: getattr(getattr(new, section), key)})
    return replace(old, **parts)


def reload(old: Config, new: Config, apply: Callable[[Config, set[str]], None]) -> tuple[Config, Reloaded]:
    """The configuration that is in force from now on. ``apply``: brings about the groups of ``LIVE`` that have changed."""
    found = Reloaded()
    for name in changes(old, new):
        (found.applied if name in LIVE else found.needs_restart).append(name)
    merged = merge(old, new, found.applied)
    groups = {LIVE[name] for name in found.applied} - {""}
    if groups:
        apply(merged, groups)
    return merged, found


def declare(ring: Ring, names: tuple[str, ...]) -> None:
    """These consumers are declared, and no others: those are forgotten when they have been away for as long as events are kept."""
    for consumer in ring.consumers.values():
        consumer.declared = consumer.name in names
    for name in names:
        ring.declare(name)
