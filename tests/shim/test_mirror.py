"""mirror_host_syscalls: the set of system calls that this process's own eBPF driver has enabled, told with the handshake and when it
changes. Against real BPF maps, where the machine allows them."""

from __future__ import annotations

import platform
import struct
import subprocess
from pathlib import Path

import pytest

from edera_falcod.scap import tables

from . import fake
from .conftest import Build, host

NUMBERS = tables.X86_64_SYSCALLS if platform.machine() == "x86_64" else tables.AARCH64_SYSCALLS
CODES = {tables.SYSCALL_NAMES[code]: code for code in NUMBERS.values()}
EMPTY = fake.cells()


def _codes(payload: bytes) -> list[int] | None:
    count = struct.unpack_from("<I", payload)[0]
    if count == fake.NOT_MIRRORED:
        assert len(payload) == 4
        return None
    return list(struct.unpack(f"<{count}H", payload[4:]))


def _codes_of(*names: str) -> list[int]:
    """Codes in the order of their numbers on this machine."""
    codes = {CODES[name.encode()] for name in names}
    return [code for _, code in sorted(NUMBERS.items()) if code in codes]


def test_the_set_is_told_and_told_again(small: Build, tmp_path: Path, path: Path) -> None:
    run = host(tmp_path, "host.c", "-fsanitize=address,undefined", "-O1")
    told: list[list[int] | None] = []

    def script(daemon: fake.Connection) -> None:
        hello = daemon.hello()
        at = 20
        for _ in range(2):
            at += 2 + struct.unpack_from("<H", hello, at)[0]
        told.append(_codes(hello[at:]))
        daemon.send(fake.welcome(), fake.batch(fake.event(1, EMPTY)))
        for seq in range(2, 5):
            while (got := daemon.frame())[0] != fake.SYSCALLS:
                assert got[0] == fake.ACK
            told.append(_codes(got[1]))
            daemon.send(fake.batch(fake.event(seq, EMPTY)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        done = run("mirror", small.folder / "libedera_shim.so", path)
    assert done.returncode == 0, done.stdout + done.stderr
    if done.stdout.startswith("skip"):
        pytest.skip(done.stdout)
    assert told == [_codes_of("openat", "execve"), _codes_of("openat", "connect"), None, _codes_of("read")]
    assert "mirror_host_syscalls: no map of the modern eBPF driver in this process; zones send their default set" in done.stdout


def test_without_a_driver(small: Build, path: Path) -> None:
    """Said once, and the zones' default set is used."""
    told: list[list[int] | None] = []

    def script(daemon: fake.Connection) -> None:
        hello = daemon.hello()
        told.append(_codes(hello[-4:]))
        daemon.send(fake.welcome(), fake.batch(fake.event(1, EMPTY)))
        daemon.drain()

    with fake.FakeDaemon(path, script):
        command = [str(small.folder / "shimcat"), "--config", f'{{"socket":"{path}","mirror_host_syscalls":true}}', "--count", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and told == [None]
    assert "mirror_host_syscalls: no map of the modern eBPF driver in this process" in done.stderr
