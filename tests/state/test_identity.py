"""Users, groups, capabilities, sessions."""

from __future__ import annotations

import pytest

from edera_falcod.scap import tables as t
from edera_falcod.state.identity import ALL_CAPABILITIES
from edera_falcod.state.limits import MAX_USERS

from .support import Value, check_stranger, check_without_main, codes_of, event, event_of, feed, small_zone, thread_of


@pytest.mark.parametrize(
    ("code", "values", "attribute"),
    [
        (t.PPME_SYSCALL_SETUID_X, {"uid": 7}, "uid"),
        (t.PPME_SYSCALL_SETREUID_X, {"ruid": 1, "euid": 7}, "uid"),
        (t.PPME_SYSCALL_SETRESUID_X, {"ruid": 1, "euid": 7, "suid": 2}, "uid"),
        (t.PPME_SYSCALL_SETGID_X, {"gid": 7}, "gid"),
        (t.PPME_SYSCALL_SETREGID_X, {"rgid": 1, "egid": 7}, "gid"),
        (t.PPME_SYSCALL_SETRESGID_X, {"rgid": 1, "egid": 7, "sgid": 2}, "gid"),
    ],
)
def test_effective_ids(code: int, values: dict[str, Value], attribute: str) -> None:
    zone = small_zone()
    thread = thread_of(zone, 10)
    feed(zone, event_of(code, 10, {"res": -1, **values}))
    assert getattr(thread, attribute) == 0
    version = thread.version
    feed(zone, event_of(code, 10, {"res": 0, **values}))
    assert getattr(thread, attribute) == 7 and thread.version > version
    feed(zone, event(code, 10, res=0))
    assert getattr(thread, attribute) == 7


def test_minus_one_is_what_it_says() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_SETRESUID_X, 10, res=0, ruid=0, euid=-1, suid=0))
    assert thread_of(zone, 10).uid == 0xFFFFFFFF


def test_setsid_is_of_the_calling_thread() -> None:
    zone = small_zone()
    epoch = zone.identity_epoch
    feed(zone, event(t.PPME_SYSCALL_SETSID_X, 21, res=21))
    assert (thread_of(zone, 21).sid, thread_of(zone, 20).sid, thread_of(zone, 21).pgid) == (21, 20, 20)
    assert zone.identity_epoch > epoch
    feed(zone, event(t.PPME_SYSCALL_SETSID_X, 21, res=-1))
    assert thread_of(zone, 21).sid == 21


def test_capset() -> None:
    zone = small_zone()
    feed(zone, event(t.PPME_SYSCALL_CAPSET_X, 10, res=-1, cap_inheritable=9, cap_permitted=9, cap_effective=9))
    feed(zone, event(t.PPME_SYSCALL_CAPSET_X, 10, res=0, cap_inheritable=1, cap_permitted=2, cap_effective=3))
    thread = thread_of(zone, 10)
    assert (thread.cap_inheritable, thread.cap_permitted, thread.cap_effective) == (1, 2, 3)


@pytest.mark.parametrize(
    ("code", "name"), [(t.PPME_SYSCALL_UNSHARE_X, "flags"), (t.PPME_SYSCALL_SETNS_X, "nstype")]
)
def test_a_new_user_namespace_gives_all_capabilities(code: int, name: str) -> None:
    zone = small_zone()
    thread = thread_of(zone, 10)
    feed(zone, event_of(code, 10, {"res": 0, name: t.PPM_CL_CLONE_NEWNS}), event_of(code, 10, {"res": -1, name: t.PPM_CL_CLONE_NEWUSER}))
    feed(zone, event(code, 10, res=0))
    assert thread.cap_effective == 0
    feed(zone, event_of(code, 10, {"res": 0, name: t.PPM_CL_CLONE_NEWUSER}))
    assert thread.cap_effective == thread.cap_permitted == thread.cap_inheritable == ALL_CAPABILITIES == 0x1FFFFFFFFFF


def test_users_and_groups() -> None:
    zone = small_zone()
    feed(
        zone,
        event(t.PPME_USER_ADDED_E, -1, uid=1000, gid=100, name="ann", home="/home/ann", shell="/bin/sh", container_id=""),
        event(t.PPME_GROUP_ADDED_E, -1, gid=100, name="users", container_id=""),
    )
    ann = zone.users.users[1000]
    assert (ann.gid, ann.name, ann.home, ann.shell) == (100, b"ann", b"/home/ann", b"/bin/sh")
    assert zone.users.groups == {100: b"users"}
    assert zone.thread is None and -1 not in zone.threads
    version = zone.users.version
    feed(zone, event(t.PPME_USER_DELETED_E, -1, uid=1000), event(t.PPME_GROUP_DELETED_E, -1, gid=100))
    feed(zone, event(t.PPME_USER_DELETED_E, -1, uid=1))
    assert not zone.users.users and not zone.users.groups and zone.users.version == version + 2
    feed(zone, event(t.PPME_USER_ADDED_E, -1, name="nobody"))
    assert not zone.users.users
    feed(zone, event(t.PPME_USER_ADDED_E, -1, uid=7, gid=7, name="bob", home=""))
    bob = zone.users.users[7]
    assert (bob.name, bob.home, bob.shell) == (b"bob", b"", b"<NA>")  # an empty text is one, a missing one is not


def test_lines_that_ask_a_name_service_name_nobody() -> None:
    zone = small_zone()
    for name in ("+", "+@admins", "-c"):
        feed(zone, event(t.PPME_USER_ADDED_E, -1, uid=0, gid=0, name=name), event(t.PPME_GROUP_ADDED_E, -1, gid=0, name=name))
    assert not zone.users.users and not zone.users.groups


def test_there_is_an_end_to_users() -> None:
    zone = small_zone()
    for uid in range(MAX_USERS + 3):
        feed(zone, event(t.PPME_USER_ADDED_E, -1, uid=uid, gid=0, name="x"), event(t.PPME_GROUP_ADDED_E, -1, gid=uid, name="x"))
    assert len(zone.users.users) == len(zone.users.groups) == MAX_USERS
    assert zone.counters.users_refused == 6
    feed(zone, event(t.PPME_USER_ADDED_E, -1, uid=5, gid=0, name="renamed"))
    assert zone.users.users[5].name == b"renamed"


@pytest.mark.parametrize("code", codes_of("identity"))
def test_threads_that_are_not_known(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    check_without_main(code)
    check_stranger(monkeypatch, code)


def test_groups_without_a_number_are_none() -> None:
    zone = small_zone()
    version = zone.users.version
    for values in ({"name": "x"}, {"gid": 9}):
        feed(zone, event_of(t.PPME_GROUP_DELETED_E, -1, {**values}))
    feed(zone, event(t.PPME_GROUP_ADDED_E, -1, name="x"))
    assert zone.users.groups == {} and zone.users.version == version
