"""A new configuration for a running daemon: what changes at once, what is said to need a restart, and that no stream is dropped."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edera_falcod import log
from edera_falcod.config import Config, ConfigError, options
from edera_falcod.falco.accounting import OVERLOAD
from edera_falcod.falco.ring import EPHEMERAL_PART
from edera_falcod.ops import reload
from tests.daemon.support import CAPTURE, FAST, World, consuming, until, world


def change(config: Config, **sections: dict[str, Any]) -> Config:
    return replace(config, **{name: replace(getattr(config, name), **values) for name, values in sections.items()})


async def ctl(one: World, *args: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edera_falcod", "ctl", *args, "--socket", one.config.ctl.socket, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_what_can_change_does_and_nothing_is_dropped(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        daemon = one.daemon
        one.host.add_zone("a", CAPTURE, FAST, limit=100)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 100)
            new = change(
                one.config,
                edera={"reconcile": 2.0, "max_zones": 7, "snapshot_timeout": 9.0, "socket": "/other"},
                falco={"consumers": ("falco", "second"), "notices": False},
                buffer={"size": 2 << 20, "age": 60.0},
            )
            daemon.fresh = lambda: new
            code, out = await ctl(one, "reload")
            assert code == 0
            assert "needs a restart: edera.socket" in out
            assert "edera.reconcile" in out and "buffer.size" in out
            assert all(len(line) <= 80 for line in out.splitlines())
            assert daemon.ring.budget == 2 << 20 and daemon.ring.max_age == 60.0
            assert {c.budget for c in daemon.ring.consumers.values()} == {2 << 20}
            assert daemon.ring.consumers["second"].declared
            assert not daemon.notices.enabled
            assert daemon.zones._settings.max_zones == 7
            (stream,) = daemon.zones.streams.values()
            assert stream._settings.snapshot_timeout == 9.0
            assert daemon.config.edera.socket == one.config.edera.socket  # as it is in force
            code, out = await ctl(one, "reload", "--json")
            assert json.loads(out) == {"error": "", "applied": [], "needs_restart": ["edera.socket"]}
            zone = one.host.zones["a"]
            assert zone.opened == 1 and zone.feed is not None
            one.host.push("a", zone.feed.event(0, 0))
            await until(lambda: len(consumer.events) == 101)
            assert daemon.ring.consumers["falco"].connections == 1
            daemon.fresh = lambda: change(new, falco={"consumers": ("falco",)})
            await ctl(one, "reload")
            # Forgotten when it has been away for long, which it has: it never came. The next tick does it.
            assert "second" not in daemon.ring.consumers or not daemon.ring.consumers["second"].declared


async def test_a_bad_configuration_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        before = one.daemon.config

        def bad() -> Config:
            raise ConfigError("file: buffer.age = 0: must be something else")

        one.daemon.fresh = bad
        code, out = await ctl(one, "reload")
        assert code == 1
        assert out.startswith("nothing changed: file: buffer.age = 0: must be")
        assert one.daemon.config is before
        one.daemon.fresh = None
        assert (await ctl(one, "reload"))[0] == 1


async def test_who_may_no_longer_connect_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as one, consuming(one) as consumer:
        await until(lambda: one.daemon.ring.consumers["falco"].attached)
        # Not before: the folder of the sockets has to belong to whoever we are.
        monkeypatch.setattr("edera_falcod.falco.listener.os.geteuid", lambda: 4_000_000)
        monkeypatch.setattr("edera_falcod.falco.listener.Access.allows", lambda access, peer: not access.users)
        one.daemon.fresh = lambda: change(one.config, falco={"allow_users": ("12345",)})
        found = one.daemon.reload()
        assert found.applied == ["falco.allow_users"]
        await until(lambda: not one.daemon.ring.consumers["falco"].attached)
        assert consumer.task is not None


async def test_annotation_keys_are_used_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("a", CAPTURE, FAST, limit=5)
        await until(lambda: one.daemon.pipelines.by_id)
        told: list[str] = []
        one.daemon.zones._sink.workloads = lambda zone_id, workloads: told.append(zone_id)  # type: ignore[method-assign]
        one.daemon.fresh = lambda: change(one.config, edera={"annotation_keys": ("k8s.ns.name=x",)})
        one.daemon.reload()
        assert one.daemon.pipelines.annotation_keys == ("k8s.ns.name=x",)
        assert told == [one.host.zones["a"].id]


async def test_the_log_level_is_that_of_the_new_configuration(tmp_path: Path) -> None:
    import structlog

    before = log.THRESHOLD.level
    try:
        async with world(tmp_path) as one:
            one.daemon.fresh = lambda: change(one.config, log={"level": "error"})
            assert one.daemon.reload().applied == ["log.level"]
            assert log.THRESHOLD.level == "error"
    finally:
        structlog.reset_defaults()
        log.set_level(before)


async def test_a_smaller_buffer_sheds_what_waits_longest(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("a", CAPTURE, FAST, limit=600)
        await until(lambda: one.daemon.pipelines.by_id and one.account("a").received >= 602)
        ring = one.daemon.ring
        consumer = ring.consumers["falco"]
        waiting, last = len(consumer.queue.waiting), consumer.queue.waiting[-1].seq
        ring.resize(consumer.bytes // 2)
        assert 0 < len(consumer.queue.waiting) < waiting and consumer.queue.waiting[-1].seq == last
        assert consumer.bytes <= consumer.budget == ring.budget
        assert sum(share.dropped.get(OVERLOAD, 0) for share in consumer.shares.values()) == waiting - len(consumer.queue.waiting)
        assert ring.verify() == []
        tail = ring.attach("tail", ephemeral=True)
        ring.resize(1 << 20)
        assert tail.budget == (1 << 20) // EPHEMERAL_PART
        ring.detach(tail, 0.0)


def test_the_table_names_keys_that_exist() -> None:
    assert set(reload.LIVE) <= {one.name for one in options()}


def test_changes_and_merge() -> None:
    old = Config()
    new = change(old, log={"level": "debug"}, ctl={"mode": 0o660})
    assert reload.changes(old, new) == ["ctl.mode", "log.level"]
    merged, found = reload.reload(old, new, lambda config, groups: None)
    assert (found.applied, found.needs_restart) == (["log.level"], ["ctl.mode"])
    assert merged.log.level == "debug" and merged.ctl.mode == old.ctl.mode
