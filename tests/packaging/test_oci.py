"""The OCI artifact: what is made can be read as falcoctl reads it, and what is wrong with one is found."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import oci
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def elf(machine: int, tail: bytes = b"") -> bytes:
    """The header of a 64-bit little-endian shared object."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + (3).to_bytes(2, "little") + machine.to_bytes(2, "little") + bytes(44) + tail


@pytest.fixture
def libraries(tmp_path: Path) -> dict[str, Path]:
    amd, arm = tmp_path / "amd.so", tmp_path / "arm.so"
    amd.write_bytes(elf(62, b"amd"))
    arm.write_bytes(elf(183, b"arm"))
    return {"linux/amd64": amd, "linux/arm64": arm}


def test_both_platforms_come_back_as_they_were(tmp_path: Path, libraries: dict[str, Path]) -> None:
    oci.make(tmp_path / "a", "1.2.3", libraries)
    for tag in ("1.2.3", "1.2", "1", "latest"):
        found = oci.pull(tmp_path / "a", tag)
        assert {platform: library for platform, (_, library) in found.items()} == {
            platform: path.read_bytes() for platform, path in libraries.items()
        }
        for config, _ in found.values():
            assert config["name"] == "edera" and config["version"] == "1.2.3"
            assert config["requirements"] == [{"name": "plugin_api_version", "version": "3.4.0"}]


def test_the_layout_is_what_the_specification_says(tmp_path: Path, libraries: dict[str, Path]) -> None:
    oci.make(tmp_path / "a", "1.2.3", libraries)
    index = json.loads((tmp_path / "a" / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    for path in (tmp_path / "a" / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    blob = tmp_path / "a" / "blobs" / "sha256" / index["manifests"][0]["digest"][7:]
    entry = json.loads(blob.read_bytes())["manifests"][0]
    assert entry["platform"] == {"os": "linux", "architecture": "amd64"}
    manifest = json.loads((blob.parent / entry["digest"][7:]).read_bytes())
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.falco.plugin.config.v1+json"
    assert [one["mediaType"] for one in manifest["layers"]] == ["application/vnd.cncf.falco.plugin.layer.v1+tar.gz"]


def test_skopeo_copies_it_whole(tmp_path: Path, libraries: dict[str, Path]) -> None:
    """A reader of OCI layouts that is not ours, and the tool that the documentation names to push it with."""
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    oci.make(tmp_path / "a", "1.2.3", libraries)
    command = [skopeo, "--insecure-policy", "copy", "--all", f"oci:{tmp_path}/a:1.2.3", f"oci:{tmp_path}/b:other"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert oci.pull(tmp_path / "b", "other") == oci.pull(tmp_path / "a")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, libraries: dict[str, Path]) -> None:
    oci.make(tmp_path / "a", "1.2.3", libraries)
    oci.make(tmp_path / "b", "1.2.3", libraries)
    names = [sorted([(path.name, path.read_bytes()) for path in (tmp_path / one).rglob("*") if path.is_file()]) for one in "ab"]
    assert names[0] == names[1]


def test_a_changed_byte_anywhere_is_found(tmp_path: Path, libraries: dict[str, Path]) -> None:
    oci.make(tmp_path / "a", "1.2.3", libraries)
    for path in sorted((tmp_path / "a" / "blobs" / "sha256").iterdir()):
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(oci.OciError):
            oci.pull(tmp_path / "a")
        path.write_bytes(good[:-1])
        with pytest.raises(oci.OciError):
            oci.pull(tmp_path / "a")
        path.write_bytes(good)
    oci.pull(tmp_path / "a")


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3-rc1", ""])
def test_a_version_that_falco_refuses_is_refused(tmp_path: Path, libraries: dict[str, Path], version: str) -> None:
    with pytest.raises(oci.OciError, match="version"):
        oci.make(tmp_path / "a", version, libraries)


def test_a_library_of_another_machine_is_refused(tmp_path: Path, libraries: dict[str, Path]) -> None:
    with pytest.raises(oci.OciError, match="another machine"):
        oci.make(tmp_path / "a", "1.2.3", {"linux/arm64": libraries["linux/amd64"]})
    (tmp_path / "text").write_text("no library")
    with pytest.raises(oci.OciError, match="ELF"):
        oci.make(tmp_path / "a", "1.2.3", {"linux/amd64": tmp_path / "text"})


def test_what_it_says_of_the_plugin_is_what_the_plugin_says() -> None:
    source = (ROOT / "shim" / "edera_shim.c").read_text()
    header = (ROOT / "shim" / "plugin_abi.h").read_text()
    assert f'#define FP_REQUIRED_API "{dict(oci.REQUIRES)["plugin_api_version"]}"' in header
    assert f'plugin_get_name(void) {{ return "{oci.NAME}"; }}' in source


def test_the_real_plugin_installs_and_loads(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run(["make", "-C", ROOT / "shim", "all", f"BUILD={tmp_path}", "CFLAGS=-O0"], check=True, capture_output=True, timeout=50)
    library = tmp_path / oci.FILE
    architecture = {62: "amd64", 183: "arm64"}[oci.machine(library.read_bytes())]
    command: list[str | Path] = ["python3", ROOT / "tools" / "oci.py"]
    made = subprocess.run(
        [*command, "make", "--output", tmp_path / "a", "--version", "0.1.0", f"linux/{architecture}={library}"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert (made.returncode, made.stdout) == (0, f"{tmp_path}/a: linux/{architecture}\n"), made.stderr
    target = tmp_path / "installed.so"
    done = subprocess.run(
        [*command, "check", tmp_path / "a", "--tag", "0.1.0", "--install", f"linux/{architecture}", target],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([tmp_path / "shimcat", "--library", target, "--list"], capture_output=True, text=True, timeout=20)
    assert listed.returncode == 0 and "proc.cmdline" in listed.stdout
    missing = subprocess.run([*command, "check", tmp_path / "nothing"], capture_output=True, text=True, timeout=20)
    assert missing.returncode == 1 and missing.stderr.startswith("oci: ")
