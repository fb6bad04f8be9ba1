"""Which system calls a set of rules needs from a zone: what their event types ask for, and what the state of threads and files needs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from ..scap.tables import EF_MODIFIES_STATE, EVENTS, SYSCALL_EXIT_EVENTS, SYSCALL_NAMES
from .condition import Check, Expression, FieldRef, Junction, Macro, Not, Text, Values, checks
from .expand import ExpandedRule
from .rewrite import references

# Kernel tracepoints that have a ppm_sc code but are no system calls: exits and signals come with every set, being cheap and
# needed by state (exit) and rules; context switches and page faults only when a rule names them, for they are many.
ALWAYS: Final = ("sched_process_exit",)

# Seldom called, change what fields show, and not marked in the event table. Memory calls (brk, mmap, munmap) are left out for their
# number: without a rule that names them proc.vm* stay as clone and execve left them.
ALSO_STATE: Final = ("unshare", "setns", "setrlimit", "prlimit", "getcwd", "bpf", "setpgid")

# Many thousands a second in a busy zone: only for a rule or a list that names them, never because of "all others".
NOISY: Final = frozenset({"switch", "sched_switch", "page_fault", "page_fault_user", "page_fault_kernel"})

STATE: Final = "state"  # in a configured list: what state needs
MAX_NAMED: Final = 4  # event types that a warning names; more are counted

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
    return frozenset(codes_by_type()) - values - NOISY


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


@cache
def all_codes() -> frozenset[int]:
    """Every system call, exits and signals; nothing that is noisy."""
    return frozenset(code for name, codes in codes_by_type().items() if name not in NOISY for code in codes)


def name_of(code: int) -> str:
    """What a ppm_sc code is called."""
    return SYSCALL_NAMES[code].decode() if 0 <= code < len(SYSCALL_NAMES) else str(code)


def configured(words: Iterable[str]) -> dict[int, list[str]]:
    """The codes of a configured list: names of system calls, what evt.type calls them, or STATE. Raises ValueError with the first word
    that is neither, and what it may have meant."""
    codes: dict[int, list[str]] = {}
    for word in words:
        if word == STATE:
            for code in state_codes():
                codes.setdefault(code, []).append("state")
            continue
        found = codes_by_type().get(word)
        if found is None:
            near = difflib.get_close_matches(word, codes_by_type(), n=3, cutoff=0.6)
            raise ValueError(f"{word!r} is no system call" + (f"; did you mean {' or '.join(near)}?" if near else ""))
        for code in found:
            codes.setdefault(code, []).append("configured")
    return codes


def speaks_of_notices(rule: ExpandedRule) -> bool:
    """Whether a rule without an event type is one for our notices, which need no system call."""
    return any(ref.name.startswith("edera.notice.") for check in checks(rule.tree) for ref in references(check))


def missing(rules: list[ExpandedRule], codes: Collection[int]) -> dict[str, list[str]]:
    """Rule -> the event types that it asks for and that no system call of ``codes`` makes, sorted."""
    found: dict[str, list[str]] = {}
    for rule in rules:
        types = event_types(rule.tree) if rule.enabled else None
        made = {name: codes_by_type().get(name) for name in sorted(types or ())}
        lacking = [name for name, makers in made.items() if makers and not any(code in codes for code in makers)]
        if lacking:
            found[rule.name] = lacking
    return found


def warnings(rules: list[ExpandedRule], codes: Collection[int]) -> list[str]:
    """A sentence for each rule that cannot see all that it asks for when zones are asked for ``codes``; one for all that state lacks."""
    found = []
    for name, types in missing(rules, codes).items():
        more = f" and {len(types) - MAX_NAMED} more" if len(types) > MAX_NAMED else ""
        found.append(f"rule {name!r} needs {', '.join(types[:MAX_NAMED])}{more}, which zones are not asked for")
    for rule in rules:
        if rule.enabled and event_types(rule.tree) is None and not speaks_of_notices(rule):
            found.append(f"rule {rule.name!r} names no event type: it sees only what zones are asked for anyway")
    lacking = sorted(name_of(code) for code in state_codes() if code not in codes)
    if lacking:
        more = f" and {len(lacking) - MAX_NAMED} more" if len(lacking) > MAX_NAMED else ""
        found.append(f"what is known of processes and files needs {', '.join(lacking[:MAX_NAMED])}{more}, which zones are not asked for")
    return found


def needed(rules: list[ExpandedRule]) -> Needed:
    """What the enabled rules and the state need."""
    codes: dict[int, list[str]] = {code: ["state"] for code in state_codes()}
    unbounded: list[str] = []
    for rule in rules:
        if not rule.enabled:
            continue
        types = event_types(rule.tree)
        if types is None:
            if not speaks_of_notices(rule):
                unbounded.append(rule.name)
            continue
        for name in types:
            for code in codes_by_type().get(name, ()):
                codes.setdefault(code, []).append(f"rule {rule.name}")
    return Needed(codes, unbounded)
