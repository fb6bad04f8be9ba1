"""Which system calls a set of rules needs from a zone: what their event types ask for, and what the state of threads and files needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from ..scap.tables import EF_MODIFIES_STATE, EVENTS, SYSCALL_EXIT_EVENTS, SYSCALL_NAMES
from .condition import Check, Expression, FieldRef, Junction, Macro, Not, Text, Values
from .expand import ExpandedRule

# Kernel tracepoints that have a ppm_sc code but are no system calls: exits and signals come with every set, being cheap and
# needed by state (exit) and rules; context switches and page faults only when a rule names them, for they are many.
ALWAYS: Final = ("sched_process_exit",)

# Seldom called, change what fields show, and not marked in the event table. Memory calls (brk, mmap, munmap) are left out for their
# number: without a rule that names them proc.vm* stay as clone and execve left them.
ALSO_STATE: Final = ("unshare", "setns", "setrlimit", "prlimit", "getcwd", "bpf", "setpgid")

Types = frozenset[str] | None  # None: any type


@dataclass(slots=True)
class Needed:
    """``codes``: ppm_sc code -> why it is needed ("state", "rule NAME", ...). ``unbounded``: rules that name no event type."""

    codes: dict[int, list[str]]
    unbounded: list[str]


def event_types(node: Expression, negated: bool = False) -> Types:
    """The event types for which a condition (macros put in) can be true; None when it can be for any.

    As libsinsp does for its rules (filter/ppm_codes.cpp): only comparisons of evt.type bound the set; all others may be true."""
    match node:
        case Not():
            return event_types(node.child, not negated)
        case Junction():
            parts = [event_types(child, negated) for child in node.children]
            if (node.word == "and") != negated:
                known = [part for part in parts if part is not None]
                return frozenset.intersection(*known) if known else None
            if any(part is None for part in parts):
                return None
            return frozenset().union(*(part for part in parts if part is not None))
        case Macro():
            return None
        case Check():
            return _check(node, negated)


def _check(check: Check, negated: bool) -> Types:
    left = check.left
    if not isinstance(left, FieldRef):
        return None
    if left.name.startswith("evt.type.is."):
        named = frozenset({left.name.removeprefix("evt.type.is.")})
        one = isinstance(check.right, Text) and (check.right.value() == "1") == (check.operator in ("=", "=="))
        return _complement(named) if negated == one else named
    if left.name not in ("evt.type", "syscall.type"):
        return None
    if isinstance(check.right, Values):
        values = frozenset(item.value() for item in check.right.items)
    elif isinstance(check.right, Text):
        values = frozenset({check.right.value()})
    else:
        return None
    match check.operator:
        case "=" | "==" | "in" | "intersects":
            return _complement(values) if negated else values
        case "!=":
            return values if negated else _complement(values)
    return None


def _complement(values: frozenset[str]) -> frozenset[str]:
    return frozenset(codes_by_type()) - values


@cache
def codes_by_type() -> dict[str, tuple[int, ...]]:
    """ppm_sc codes by what evt.type says of their events."""
    found: dict[str, list[int]] = {}
    for code, raw in enumerate(SYSCALL_NAMES):
        exit_event = SYSCALL_EXIT_EVENTS[code]
        if not raw or code == 0:
            continue
        found.setdefault(raw.decode(), []).append(code)
        if exit_event > 1:  # not the generic event, which is called by the name of its system call
            name = EVENTS[exit_event].name.decode()
            if name != raw.decode():
                found.setdefault(name, []).append(code)
    found.setdefault("procexit", []).extend(found.get("sched_process_exit", []))
    found.setdefault("switch", []).extend(found.get("sched_switch", []))
    found.setdefault("page_fault", []).extend(found.get("page_fault_user", []) + found.get("page_fault_kernel", []))
    found.setdefault("signaldeliver", []).extend(found.get("signal_deliver", []))
    return {name: tuple(codes) for name, codes in found.items()}


@cache
def state_codes() -> frozenset[int]:
    """Without these system calls the state of threads and files would be wrong (events marked EF_MODIFIES_STATE)."""
    codes = {
        code for code, exit_event in enumerate(SYSCALL_EXIT_EVENTS) if exit_event > 1 and EVENTS[exit_event].flags & EF_MODIFIES_STATE
    }
    for name in (*ALWAYS, *ALSO_STATE):
        codes.update(codes_by_type().get(name, ()))
    return frozenset(codes)


def needed(rules: list[ExpandedRule]) -> Needed:
    """What the enabled rules and the state need."""
    codes: dict[int, list[str]] = {code: ["state"] for code in state_codes()}
    unbounded: list[str] = []
    for rule in rules:
        if not rule.enabled:
            continue
        types = event_types(rule.tree)
        if types is None:
            unbounded.append(rule.name)
            continue
        for name in types:
            for code in codes_by_type().get(name, ()):
                codes.setdefault(code, []).append(f"rule {rule.name}")
    return Needed(codes, unbounded)
