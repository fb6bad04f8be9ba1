"""What the library offers to a host, before any event."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import tomllib
from pathlib import Path

from edera_falcod.fields.catalog import FIELDS

from .conftest import ROOT, SHIM, Build, make

EXPORTS = """
get_required_api_version get_version get_name get_description get_contact init destroy get_last_error get_init_schema get_id
get_event_source open close next_batch event_to_string list_open_params get_fields extract_fields get_extract_event_sources
get_extract_event_types get_metrics set_config
""".split()


def _symbols(library: Path, *options: str) -> list[str]:
    return subprocess.run(["nm", "-D", *options, library], capture_output=True, text=True, check=True).stdout.splitlines()


def test_exports_exactly_the_list(plain: Build) -> None:
    names = sorted(line.split()[2] for line in _symbols(plain.folder / "libedera_shim.so", "--defined-only"))
    assert names == sorted(f"plugin_{name}" for name in EXPORTS)


def test_needs_libc_alone_and_an_old_one(plain: Build) -> None:
    """Falco's images are Debian 12 and wolfi; nothing here needs more than glibc 2.34 (RHEL 9)."""
    dynamic = subprocess.run(["readelf", "-d", plain.folder / "libedera_shim.so"], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"NEEDED.*\[(.*)\]", dynamic) == ["libc.so.6"]
    versions = {
        tuple(map(int, found)) for line in _symbols(plain.folder / "libedera_shim.so") for found in re.findall(r"GLIBC_(\d+)\.(\d+)", line)
    }
    assert max(versions) <= (2, 34)


def test_no_mutable_globals(plain: Build) -> None:
    """Falco runs several of us in one process (a hot reload's dry run beside the live one)."""
    symbols = subprocess.run(["nm", plain.folder / "libedera_shim.so"], capture_output=True, text=True, check=True).stdout
    data = [line.split()[2] for line in symbols.splitlines() if len(line.split()) == 3 and line.split()[1] in "bBdD"]
    of_the_compiler = re.compile(r"completed\.0|__dso_handle|__TMC_END__|_DYNAMIC|_GLOBAL_OFFSET_TABLE_|\w+_array_entry")
    ours = [name for name in data if not of_the_compiler.fullmatch(name)]
    # Constant tables of pointers need relocation, so they lie in .data.rel.ro: read-only once loaded ("d" to nm)
    sections = subprocess.run(["readelf", "-SW", plain.folder / "libedera_shim.so"], capture_output=True, text=True, check=True).stdout
    rel_ro = next(
        re.match(r".*\.data\.rel\.ro\s+PROGBITS\s+(\w+)\s+\w+\s+(\w+)", line) for line in sections.splitlines() if ".data.rel.ro" in line
    )
    assert rel_ro
    start, size = int(rel_ro[1], 16), int(rel_ro[2], 16)
    places = {line.split()[2]: int(line.split()[0], 16) for line in symbols.splitlines() if len(line.split()) == 3}
    assert [name for name in ours if not start <= places[name] < start + size] == []


def test_what_it_says_of_itself(plain: Build) -> None:
    library = ctypes.CDLL(str(plain.folder / "libedera_shim.so"))
    for name in ("required_api_version", "version", "name", "description", "contact", "event_source", "extract_event_sources", "fields"):
        getattr(library, f"plugin_get_{name}").restype = ctypes.c_char_p
    assert library.plugin_get_required_api_version() == b"3.4.0"
    assert library.plugin_get_name() == b"edera"
    assert library.plugin_get_id() == 26
    assert library.plugin_get_event_source() == b"edera_zone"
    assert json.loads(library.plugin_get_extract_event_sources()) == ["edera_zone"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert library.plugin_get_version() == project["version"].encode()
    count = ctypes.c_uint32()
    library.plugin_get_extract_event_types.restype = ctypes.POINTER(ctypes.c_uint16)
    types = library.plugin_get_extract_event_types(ctypes.byref(count), None)
    assert types[: count.value] == [322]
    kind = ctypes.c_uint32(7)
    library.plugin_get_init_schema.restype = ctypes.c_char_p
    schema = json.loads(library.plugin_get_init_schema(ctypes.byref(kind)))
    assert (
        kind.value == 1
        and set(schema["properties"]) == {"socket", "consumer", "mirror_host_syscalls"}
        and schema["additionalProperties"] is False
    )


def test_everything_takes_null(plain: Build) -> None:
    """A host may call with no state or instance, after a failed init or open."""
    library = ctypes.CDLL(str(plain.folder / "libedera_shim.so"))
    library.plugin_get_last_error.restype = ctypes.c_char_p
    library.plugin_event_to_string.restype = ctypes.c_char_p
    library.plugin_list_open_params.restype = ctypes.c_char_p
    library.plugin_get_metrics.restype = ctypes.c_void_p
    library.plugin_open.restype = ctypes.c_void_p
    assert library.plugin_get_last_error(None) == b""
    assert library.plugin_event_to_string(None, None) == b""
    assert library.plugin_list_open_params(None, None) == b"[]"
    assert library.plugin_get_metrics(None, None) is None
    assert library.plugin_open(None, None, None) is None
    library.plugin_close(None, None)
    library.plugin_destroy(None)
    assert library.plugin_extract_fields(None, None, None) == 0
    count, events = ctypes.c_uint32(9), ctypes.c_void_p(9)
    assert library.plugin_next_batch(None, None, ctypes.byref(count), ctypes.byref(events)) == -1
    assert count.value == 0 and events.value is None
    assert library.plugin_set_config(None, None) == 1


def test_the_header_is_listed_as_a_dependency() -> None:
    """A stale library after `make generate` would be refused by the daemon."""
    makefile = (SHIM / "Makefile").read_text()
    for header in SHIM.glob("*.h"):
        assert header.name in makefile


def test_install(tmp_path: Path) -> None:
    make(tmp_path / "build", "install", DESTDIR=str(tmp_path / "root"))
    assert sorted(str(file.relative_to(tmp_path / "root")) for file in (tmp_path / "root").rglob("*") if file.is_file()) == [
        "usr/bin/shimcat",
        "usr/lib/edera-falcod/libedera_shim.so",
    ]


def test_list(plain: Build) -> None:
    listed = subprocess.run([plain.folder / "shimcat", "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in listed] == [field.name for field in FIELDS]
