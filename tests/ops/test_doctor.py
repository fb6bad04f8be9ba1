"""doctor finds what is broken in the chain, whichever link it is, and says what to do."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
from pathlib import Path

import pytest

from edera_falcod import cli
from edera_falcod.config import Config, EderaConfig, FalcoConfig
from edera_falcod.fields import registry
from edera_falcod.ops import doctor
from tests.daemon.support import CAPTURE, FAST, World, consuming, until, world

SHIM = Path(__file__).parent.parent.parent / "shim/libedera_shim.so"


async def run(one: World, *args: str) -> tuple[int, list[dict[str, str]]]:
    sets = [f"--set={key}" for key in (
        f"edera.socket={one.config.edera.socket}", f"falco.socket={one.config.falco.socket}", f"ctl.socket={one.config.ctl.socket}",
    )]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edera_falcod", "doctor", "--json", *sets, *args, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, json.loads(out)


def of(findings: list[dict[str, str]], link: str) -> list[str]:
    return [one["level"] for one in findings if one["link"] == link]


def falco_files(folder: Path, one: World, source: str = "edera_zone") -> Path:
    (folder / "rules.yaml").write_text(f"- rule: x\n  source: {source}\n")
    file = folder / "config-of-falco.yaml"
    file.write_text(
        f"plugins:\n- name: edera\n  library_path: {SHIM}\n  init_config: {{socket: {one.config.falco.socket}}}\n"
        f"load_plugins: [edera]\nrules_files: [{folder}/rules.yaml]\n"
    )
    return file


async def test_a_chain_that_is_whole(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("a", CAPTURE, FAST, limit=20)
        async with consuming(one) as consumer:
            await until(lambda: len(consumer.events) == 20)
            code, found = await run(one, "--falco", str(falco_files(tmp_path, one)))
            wrong = [f for f in found if f["level"] == "wrong" and f["link"] != "Shim"]
            assert wrong == []
            assert code == 0 or not SHIM.exists()
            for link in ("Configuration", "Edera daemon", "Daemon", "Consumer", "Consumer socket", "Falco", "Rules"):
                assert "ok" in of(found, link), link


async def test_with_the_daemon_down_the_rest_is_examined(tmp_path: Path) -> None:
    one = World(tmp_path)
    async with one.host:
        one.host.add_zone("a", CAPTURE, FAST, limit=20)
        code, found = await run(one, "--falco", str(falco_files(tmp_path, one, "syscall")))
        assert code == 1
        assert of(found, "Edera daemon") == ["ok"]
        assert of(found, "Daemon") == of(found, "Consumer socket") == ["wrong"]
        (rules,) = [f for f in found if f["link"] == "Rules"]
        assert rules["level"] == "wrong" and "edera-falcod rules" in rules["remedy"]
        assert all(f["remedy"] for f in found if f["level"] == "wrong")


async def test_losses_and_absent_consumers_are_found(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.host.add_zone("a", CAPTURE, FAST, limit=20)
        await until(lambda: one.daemon.pipelines.by_id and one.account("a").received >= 20)
        consumer = one.daemon.ring.consumers["falco"]
        consumer.discard(consumer.queue.waiting[5].seq, "overload")
        _, found = await run(one)
        assert of(found, "Drops") == ["wrong"]
        assert of(found, "Consumer") == ["wrong"]


async def test_a_socket_where_nobody_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "edera.sock"))
        silent.listen()
        doctor_call = doctor.CALL
        try:
            doctor.CALL = 0.2  # type: ignore[misc]
            (found,) = await doctor.edera(Config(edera=EderaConfig(socket=str(tmp_path / "edera.sock"))))
        finally:
            doctor.CALL = doctor_call  # type: ignore[misc]
        assert found.level == doctor.WRONG and "no list of zones" in found.text


def test_what_may_be_wrong_with_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    found = doctor.socket_of("x", str(tmp_path / "file"), "do")
    assert found is not None and "is not a socket" in found.text
    found = doctor.socket_of("x", str(tmp_path / "none"), "do")
    assert found is not None and found.remedy == "do"
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tmp_path / "sock"))
        assert doctor.socket_of("x", str(tmp_path / "sock"), "do") is None
        monkeypatch.setattr(os, "access", lambda *_: False)
        found = doctor.socket_of("x", str(tmp_path / "sock"), "do")
        assert found is not None and "may not connect (owner root:root" in found.text.replace(doctor._user(os.geteuid()), "root")


def test_the_shims_registry_is_read_from_its_file(tmp_path: Path) -> None:
    hashes = registry.prefix_hashes()
    total = len(hashes) - 1
    same = b"x" * 32 + struct.pack(f"<{total + 1}Q", *hashes)
    assert doctor.shared_fields(same + b"\xff" * 9, hashes) == total
    older = struct.pack("<100Q", *hashes[:100]) + b"\xee" * 800
    assert doctor.shared_fields(older, hashes) == 99
    assert doctor.shared_fields(b"nothing" * 100, hashes) == -1
    file = tmp_path / "shim.so"
    for data, level, text in (
        (b"", "wrong", "cannot be read"),
        (b"hello" * 100, "wrong", "is no Falco plugin"),
        (b"\x7fELF" + b"\0" * 14 + b"\x08\x00" + b"plugin_get_required_api_version\0", "wrong", "for another processor"),
    ):
        file.write_bytes(data)
        (found,) = doctor.shim(str(file), Config())
        assert found.level == level and text in found.text
    if SHIM.exists():
        (found,) = doctor.shim(str(SHIM), Config())
        assert found.level != doctor.WRONG


@pytest.mark.parametrize(
    ("text", "level", "part"),
    [
        ("a: [", "wrong", "cannot be read"),
        ("plugins: []", "wrong", "has no plugin named edera"),
        ("plugins: [{name: edera, library_path: x.so}]\nload_plugins: [json]", "wrong", "load_plugins leaves the plugin out"),
        ("plugins: [{name: edera, library_path: x.so}]", "wrong", "does not name the configured consumer socket"),
        ("plugins: [{name: edera, library_path: x.so}]\nrules_files: [/nonexistent.yaml]", "hint", "but not there"),
    ],
)
def test_what_may_be_wrong_with_falcos_configuration(tmp_path: Path, text: str, level: str, part: str) -> None:
    file = tmp_path / "falco.yaml"
    file.write_text(text)
    findings, _ = doctor.falco(str(file), Config(falco=FalcoConfig(socket="/x/y.sock")))
    assert any(one.level == level and part in one.text for one in findings), findings


def test_a_bad_configuration_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[buffer]\nage = 0\n")
    assert cli.main(["doctor", "-c", str(file)]) == 1
    out = capsys.readouterr().out
    assert "wrong Configuration:" in out and "edera-falcod config check" in out
    assert all(len(line) <= 80 for line in out.splitlines())
