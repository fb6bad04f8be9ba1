"""`ctl status` as people read it: one screen of 80 columns."""

from __future__ import annotations

from typing import Final

from .proto.ctl import ConsumerStatus, EderaLink, GetStatusReply, ZoneStatus
from .shapes import causes, total
from .text import ago, count, cut, lasting, paint, wrapped

SKEW: Final = 5.0  # seconds that a zone's clock may be off before that is said; events may take as long
STATE_COLOURS: Final = {"live": "green", "backoff": "red", "quarantined": "red", "connected": "green", "away": "yellow"}


def state_text(state: str, width: int, on: bool) -> str:
    """A state, ``width`` columns wide, in its colour; what is on its way is yellow."""
    return paint(f"{state:{width}}", STATE_COLOURS.get(state.rstrip("*"), "yellow"), on)


def zone_line(zone: ZoneStatus, now: float, on: bool = False) -> str:
    name = cut(zone.name or zone.id, 22)
    undecodable = total(zone.counters, "undecodable")
    state = zone.state + ("*" if zone.tainted else "")
    return (
        f"  {name:22} {state_text(state, 12, on)} {ago(zone.since, now):>6} {count(zone.threads):>7} "
        f"{count(total(zone.counters, 'received')):>7} {count(total(zone.counters, 'rate')):>6} {count(undecodable):>6}"
    )


def consumer_line(one: ConsumerStatus, now: float, on: bool = False) -> str:
    dropped = total(one.counters, "dropped")
    state = "connected" if one.connected else "away"
    return (
        f"  {cut(one.name, 22):22} {state_text(state, 12, on)} {ago(one.since, now):>6} {count(one.sent):>6} "
        f"{count(one.acknowledged):>7} {count(one.waiting):>6} {lasting(one.lag // 1_000_000_000):>6} {count(dropped):>6}"
    )


def version_note(one: ConsumerStatus, ours: int) -> str:
    """What is to be said of a consumer whose registry is not as long as ``ours``, "" if nothing; it is served all the same."""
    if not one.fields or one.fields == ours:
        return ""
    known = f"({one.version}): it knows {one.fields} fields, the daemon {ours}"
    if one.fields < ours:
        return f"consumer {one.name} is older {known}; restart it to load the installed plugin"
    return f"consumer {one.name} is newer {known}; upgrade or restart the daemon"


def status_text(reply: GetStatusReply, now: float, on: bool = False) -> str:
    """One screen of 80 columns."""
    daemon, edera, registry = reply.daemon, reply.edera, reply.registry
    well = "well" if not daemon.unwell else "NOT WELL"
    lines = [f"edera-falcod {daemon.version}: {well}; pid {daemon.pid}, up {ago(daemon.started_at, now)}, {daemon.core} core"]
    for problem in daemon.unwell:
        lines += wrapped("  ! ", problem)
    lines[0] = lines[0].replace(well, paint(well, "red" if daemon.unwell else "green", on), 1)
    link = str(EderaLink(edera.link).name).lower()
    tries = f" (try {edera.tries})" if edera.tries else ""
    lines += wrapped("Edera     ", f"{link} for {ago(edera.since, now)}, {edera.socket}{tries}")
    if edera.reason and edera.link != EderaLink.UP:
        lines += wrapped("          ", edera.reason)
    lines.append(f"Registry  {registry.fields} fields, {registry.hash:016x}, frames {registry.major}.{registry.minor}")
    lines.append("")
    if reply.zones:
        lines.append(f"  {'ZONE':22} {'STATE':12} {'FOR':>6} {'THREADS':>7} {'EVENTS':>7} {'/S':>6} {'BAD':>6}")
        lines += [zone_line(zone, now, on) for zone in reply.zones]
        if any(zone.tainted for zone in reply.zones):
            lines += wrapped("  * ", "events were missed; what is known of its processes may be wrong until the next snapshot")
    else:
        lines.append("  no zones")
    for zone in reply.zones:
        if abs(zone.clock_skew) > SKEW * 1e9:
            which = "ahead of" if zone.clock_skew > 0 else "behind"
            name, seconds = zone.name or zone.id, abs(zone.clock_skew) / 1e9
            lines += wrapped("  ~ ", f"the clock of {name} is {seconds:.0f} s {which} ours, or its events come so late")
    received = total(reply.gone, "received")
    if received:
        lines.append(f"  (zones that are gone sent {count(received)} events, {count(total(reply.gone, 'undecodable'))} of them bad)")
    lines.append("")
    lines.append(f"  {'CONSUMER':22} {'STATE':12} {'FOR':>6} {'SENT':>6} {'DONE':>7} {'WAIT':>6} {'LAG':>6} {'LOST':>6}")
    lines += [consumer_line(one, now, on) for one in reply.consumers]
    for one in reply.consumers:
        if note := version_note(one, registry.fields):
            lines += wrapped("  ~ ", note)
        for cause, lost in causes(one.counters, "dropped").items():
            lines += wrapped("  ! ", f"consumer {one.name}: {lost} dropped, {cause}")
    return "\n".join(lines)
