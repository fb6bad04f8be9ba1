"""Who a thread acts for: users, groups, capabilities, sessions, and the zone's user database (state-machine.md section 4; parsers.cpp)."""

from __future__ import annotations

from typing import Final

from ..scap.event import Event
from ..scap.tables import (
    PPM_CL_CLONE_NEWUSER,
    PPME_GROUP_ADDED_E,
    PPME_GROUP_DELETED_E,
    PPME_SYSCALL_CAPSET_X,
    PPME_SYSCALL_SETGID_X,
    PPME_SYSCALL_SETNS_X,
    PPME_SYSCALL_SETREGID_X,
    PPME_SYSCALL_SETRESGID_X,
    PPME_SYSCALL_SETRESUID_X,
    PPME_SYSCALL_SETREUID_X,
    PPME_SYSCALL_SETSID_X,
    PPME_SYSCALL_SETUID_X,
    PPME_SYSCALL_UNSHARE_X,
    PPME_USER_ADDED_E,
    PPME_USER_DELETED_E,
)
from .params import given, returned, text, u32, u64
from .registry import parses
from .zone import ZoneState

CAPABILITIES: Final = 41  # CAP_CHOWN to CAP_CHECKPOINT_RESTORE, all that libsinsp knows
ALL_CAPABILITIES: Final = (1 << CAPABILITIES) - 1


@parses(PPME_SYSCALL_SETUID_X, PPME_SYSCALL_SETREUID_X, PPME_SYSCALL_SETRESUID_X)
def set_user(zone: ZoneState, event: Event) -> None:
    """The effective uid, which is the second argument where there are more than one."""
    thread = zone.thread
    params = event.params
    position = 1 if event.code == PPME_SYSCALL_SETUID_X else 2
    if thread is not None and returned(params) == 0 and given(params, position):
        thread.uid = u32(params, position)
        zone.changed(thread, False)


@parses(PPME_SYSCALL_SETGID_X, PPME_SYSCALL_SETREGID_X, PPME_SYSCALL_SETRESGID_X)
def set_group(zone: ZoneState, event: Event) -> None:
    thread = zone.thread
    params = event.params
    position = 1 if event.code == PPME_SYSCALL_SETGID_X else 2
    if thread is not None and returned(params) == 0 and given(params, position):
        thread.gid = u32(params, position)
        zone.changed(thread, False)


@parses(PPME_SYSCALL_SETSID_X)
def setsid(zone: ZoneState, event: Event) -> None:
    """Of the calling thread alone; process groups stay as they are until the next execve tells, as in libsinsp."""
    thread = zone.thread
    result = returned(event.params)
    if thread is not None and result >= 0:
        thread.sid = result
        zone.changed(thread, True)


@parses(PPME_SYSCALL_CAPSET_X)
def capset(zone: ZoneState, event: Event) -> None:
    thread = zone.thread
    params = event.params
    if thread is not None and returned(params) >= 0:
        thread.cap_inheritable = u64(params, 1)
        thread.cap_permitted = u64(params, 2)
        thread.cap_effective = u64(params, 3)
        zone.changed(thread, False)


@parses(PPME_SYSCALL_UNSHARE_X)
def unshare(zone: ZoneState, event: Event) -> None:
    enter_namespaces(zone, event, u32(event.params, 1))


@parses(PPME_SYSCALL_SETNS_X)
def setns(zone: ZoneState, event: Event) -> None:
    enter_namespaces(zone, event, u32(event.params, 2))


def enter_namespaces(zone: ZoneState, event: Event, flags: int) -> None:
    """In a new user namespace a thread may do anything."""
    thread = zone.thread
    if thread is not None and returned(event.params) >= 0 and flags & PPM_CL_CLONE_NEWUSER != 0:
        thread.cap_inheritable = ALL_CAPABILITIES
        thread.cap_permitted = ALL_CAPABILITIES
        thread.cap_effective = ALL_CAPABILITIES
        zone.changed(thread, False)


@parses(PPME_USER_ADDED_E, PPME_USER_DELETED_E)
def user(zone: ZoneState, event: Event) -> None:
    params = event.params
    if not given(params, 0):
        return
    uid = u32(params, 0)
    if event.code == PPME_USER_ADDED_E:
        zone.users.add_user(uid, u32(params, 1), text(params, 2), text(params, 3), text(params, 4))
    else:
        zone.users.remove_user(uid)


@parses(PPME_GROUP_ADDED_E, PPME_GROUP_DELETED_E)
def group(zone: ZoneState, event: Event) -> None:
    params = event.params
    if not given(params, 0):
        return
    gid = u32(params, 0)
    if event.code == PPME_GROUP_ADDED_E:
        zone.users.add_group(gid, text(params, 1))
    else:
        zone.users.remove_group(gid)
