"""Wheel and sdist, built and installed as a user does: by pip, into a fresh environment, from the network (skipped without one)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def run(*command: str | Path, timeout: float = 170, **options: str) -> str:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", **options}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=timeout, env=environment)
    if done.returncode and any(word in done.stderr for word in ("No matching distribution", "NewConnectionError", "name resolution")):
        pytest.skip("no network: " + done.stderr.strip().split("\n")[-1])
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree without what is built in it."""
    folder = tmp_path_factory.mktemp("source") / "edera-falcod"
    run(ROOT / "tools" / "source.sh", folder)
    return folder


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out, source, PYTHONWARNINGS="ignore")
    return next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    run("tar", "-xf", sdist, "-C", folder)  # what tarfile wants to be told differs between Python 3.11.2 and 3.14
    return folder / f"edera_falcod-{VERSION}"


def test_the_sdist_has_what_is_needed_and_nothing_that_was_built(unpacked: Path) -> None:
    wanted = """shim/edera_shim.c shim/edera_fields.h shim/Makefile edera_falcod/fields/registry.lock systemd/edera-falcod.service
        tools/deb.sh packaging/build_backend.py docs/protocol.md LICENSE proto/ctl.proto examples/falco.yaml"""
    for name in wanted.split():
        assert (unpacked / name).is_file(), name
    built = [path for path in unpacked.rglob("*") if path.suffix in (".so", ".o", ".pyc")]
    assert built == []


def test_the_sdist_builds_the_shim(unpacked: Path, tmp_path: Path) -> None:
    run("make", "-C", unpacked / "shim", "install", f"BUILD={tmp_path}/build", f"DESTDIR={tmp_path}/root", "CFLAGS=-O0", timeout=50)
    library = tmp_path / "root/usr/lib/edera-falcod/libedera_shim.so"
    assert "proc.cmdline" in run(tmp_path / "root/usr/bin/shimcat", "--library", library, "--list", timeout=20)


@pytest.mark.timeout(240)
def test_the_wheel_installs_into_a_fresh_environment_and_runs(unpacked: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, unpacked)
    wheel = next(tmp_path.glob("*.whl"))
    assert wheel.name == f"edera_falcod-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "edera_falcod/fields/registry.lock" in names and "edera_falcod/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"edera_falcod", f"edera_falcod-{VERSION}.dist-info"}
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv/bin/pip", "install", "--quiet", wheel)
    program = tmp_path / "venv/bin/edera-falcod"
    assert run(program, "version", timeout=30).startswith(f"edera-falcod {VERSION} (interpreted core)")
    assert "proc.cmdline" in run(program, "fields", "proc.", timeout=30)
    assert "curl" in run(program, "replay", ROOT / "tests/data/net1.scap", "-o", "%proc.name", timeout=60)
    run(tmp_path / "venv/bin/pip", "check", timeout=30)


def test_the_compiled_wheel_asks_for_its_compiler_and_needs_it_only_to_build(source: Path, tmp_path: Path) -> None:
    """Without mypyc, as in the environment that pip makes: what it is asked before it has installed what the answer says."""
    script = f"""
import os, sys
sys.modules["mypyc"] = None
given = sys.argv[1]
sys.path.insert(0, "packaging")
import build_backend
print(build_backend.get_requires_for_build_wheel(), file=sys.stderr)
print(build_backend.prepare_metadata_for_build_wheel({str(tmp_path)!r}), file=sys.stderr)
assert os.environ.get("EDERA_FALCOD_COMPILE") == given
"""
    for compiled, asked in (("1", "['mypy>=2.4,<3']"), ("0", "[]")):
        done = subprocess.run(
            [sys.executable, "-c", script, compiled], cwd=source, env={**os.environ, "EDERA_FALCOD_COMPILE": compiled},
            capture_output=True, text=True, timeout=50,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = done.stderr.split("\n")
        assert lines[0] == asked and f"edera_falcod-{VERSION}.dist-info" in lines
        assert f"Version: {VERSION}\n" in (tmp_path / f"edera_falcod-{VERSION}.dist-info" / "METADATA").read_text()
        shutil.rmtree(tmp_path / f"edera_falcod-{VERSION}.dist-info")


def test_versions_agree() -> None:
    changelog = (ROOT / "packaging/debian/changelog").read_text()
    assert changelog.startswith(f"edera-falcod ({VERSION})")
    assert f'"{VERSION}"' in (ROOT / "shim/edera_shim.c").read_text()
