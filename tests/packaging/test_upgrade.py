"""An upgrade while a consumer runs: the plugin's file is replaced, the one that is loaded goes on and is shown for what it is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from generate_fields import header

from edera_falcod.fields.catalog import FIELDS
from edera_falcod.fields.registry import prefix_hashes
from edera_falcod.ops.doctor import shared_fields
from tests.daemon.support import CAPTURE, FAST, World, until, world

ROOT = Path(__file__).resolve().parent.parent.parent
OLD = len(FIELDS) - 40  # what a release before had
EVENTS = 300
WANTED = ("edera.zone.name", "evt.type", "proc.name")


def install(shim: Path, work: Path, root: Path) -> Path:
    """`make install` of a tree's shim; the plugin's file."""
    command = ["make", "--no-print-directory", "-C", shim, "install", f"BUILD={work}", f"DESTDIR={root}", "CFLAGS=-O1"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return root / "usr/lib/edera-falcod/libedera_shim.so"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim's sources as they were when the registry was shorter."""
    folder = tmp_path_factory.mktemp("older") / "shim"
    shutil.copytree(ROOT / "shim", folder, ignore=shutil.ignore_patterns("*.so", "shimcat", "asan", "tsan", "build"))
    (folder / "edera_fields.h").write_text(header(FIELDS[:OLD]))
    return folder


class Consumer:
    """shimcat as a consumer that goes on until it is told to end."""

    def __init__(self, root: Path, socket: str, output: Path) -> None:
        self.output = output
        with output.open("wb") as stream, output.with_suffix(".err").open("wb") as err:
            command = [str(root / "usr/bin/shimcat"), "--library", str(root / "usr/lib/edera-falcod/libedera_shim.so"), "--socket", socket]
            self.process = subprocess.Popen([*command, "--consumer", "falco", "--json", *WANTED], stdout=stream, stderr=err)

    def events(self, zone: str) -> list[tuple[str | None, str | None]]:
        """Type and process of the events of ``zone`` that are printed so far, its notices among them."""
        found = [json.loads(line)["fields"] for line in self.output.read_text().split("\n")[:-1]]
        return [(one.get("evt.type"), one.get("proc.name")) for one in found if one.get("edera.zone.name") == zone]

    def mapped(self, inode: int) -> bool:
        return any(line.split()[4] == str(inode) for line in Path(f"/proc/{self.process.pid}/maps").read_text().splitlines())

    async def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        await until(lambda: self.process.poll() is not None)
        assert self.process.returncode == 0, self.output.with_suffix(".err").read_text()


async def ctl(one: World, *arguments: str) -> str:
    command = [sys.executable, "-m", "edera_falcod", "ctl", "status", "--socket", one.config.ctl.socket, *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"})
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.timeout(180)
async def test_the_plugin_is_replaced_under_a_running_consumer(tmp_path: Path, older: Path) -> None:
    root = tmp_path / "root"
    library = install(older, tmp_path / "old", root)
    hashes = prefix_hashes()
    assert shared_fields(library.read_bytes(), hashes) == OLD
    folder = tmp_path / "run"
    folder.mkdir()
    async with world(folder) as one:

        async def served(consumer: Consumer, zone: str) -> list[tuple[str | None, str | None]]:
            one.host.add_zone(zone, CAPTURE, FAST, limit=EVENTS)
            await until(lambda: len(consumer.events(zone)) >= EVENTS + 2)  # discovered, live
            return consumer.events(zone)

        first = Consumer(root, one.config.falco.socket, tmp_path / "first")
        before = await served(first, "before")
        assert len({name for _, name in before if name}) > 1
        inode = library.stat().st_ino
        assert first.mapped(inode)

        status = await ctl(one)
        assert f"consumer falco is older (0.1.0): it knows {OLD} fields, the daemon {len(FIELDS)}; restart it" in " ".join(status.split())
        assert all(len(line) <= 80 for line in status.splitlines())
        (falco,) = json.loads(await ctl(one, "--json"))["consumers"]
        assert (falco["connected"], falco["fields"]) == (True, OLD)

        assert install(ROOT / "shim", tmp_path / "new", root) == library
        assert library.stat().st_ino != inode and shared_fields(library.read_bytes(), hashes) == len(FIELDS)
        assert first.mapped(inode) and first.process.poll() is None
        assert await served(first, "meanwhile") == before
        await first.end()

        second = Consumer(root, one.config.falco.socket, tmp_path / "second")
        assert await served(second, "after") == before
        assert second.mapped(library.stat().st_ino)
        status = await ctl(one)
        assert "is older" not in status
        (falco,) = json.loads(await ctl(one, "--json"))["consumers"]
        assert (falco["connected"], falco["fields"]) == (True, len(FIELDS))
        await second.end()
