"""shim/plugin_abi.h against upstream's own plugin headers: every size, offset, type and value, and every exported function."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.sinsp_host import REPOSITORY, SinspHost, require_sinsp

HERE = Path(__file__).parent
SHIM = REPOSITORY / "shim"
HEADER = SHIM / "plugin_abi.h"

# What a host never looks up, or may look up and need not find: left out on purpose (falco-plugin-abi.md, checklist).
NOT_EXPORTED = frozenset(
    {
        "get_progress", "get_parse_event_types", "get_parse_event_sources", "parse_event", "get_async_event_sources",
        "get_async_events", "set_async_event_handler", "dump_state", "capture_open", "capture_close", "get_required_event_schema_version",
    }
)  # fmt: skip


@pytest.fixture
def sinsp() -> SinspHost:
    return require_sinsp(plugin=None)


def compile_c(sinsp: SinspHost, file: Path, *include: Path) -> subprocess.CompletedProcess[str]:
    folders = [f"-I{folder}" for folder in include]
    command = [str(sinsp.compiler), "-x", "c", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fsyntax-only"]
    return subprocess.run([*command, *folders, str(file)], capture_output=True, text=True, timeout=60)


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def members(body: str) -> list[str]:
    """Names of a struct's members; those of a union in it as union.member."""
    names: list[str] = []
    for inner, union in re.findall(r"union \{(.*?)\} (\w+);", body, flags=re.S):
        names.append(union)
        names += [f"{union}.{name}" for name in members(inner)]
    body = re.sub(r"union \{.*?\} \w+;", "", body, flags=re.S)
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        function = re.search(r"\(\*(\w+)\)\(", declaration)
        name = function or re.search(r"(\w+)(?:\[\d+\])?$", declaration)
        assert name, declaration
        names.append(name.group(1))
    return names


def test_header_agrees_with_upstream(sinsp: SinspHost) -> None:
    result = compile_c(sinsp, HERE / "check.c", SHIM)
    assert result.returncode == 0, result.stderr


def test_check_names_everything_in_the_header() -> None:
    header = without_comments(HEADER.read_text())
    check = without_comments((HERE / "check.c").read_text())
    structs = re.findall(r"typedef struct \{(.*?)\n\} (fp_\w+);", header, flags=re.S)
    assert len(structs) == 8
    for body, name in structs:
        assert re.search(rf"\b(TYPE|sizeof)\({name}\b", check), name
        for member in members(body):
            assert re.search(rf"\b(PLACE|SAME|POINTER)\({name}, \w+, {re.escape(member)}\)", check), f"{name}.{member}"
    for typedef in re.findall(r"typedef \w+ (fp_\w+);", header):
        assert f"TYPE({typedef}, " in check, typedef
    constants = set(re.findall(r"\bFP_[A-Z0-9_]+\b", header)) - {"FP_ASSERT_AT", "FP_ASSERT_SIZE", "FP_REQUIRED_API"}
    assert len(constants) > 30
    for constant in constants:
        assert f"VALUE({constant}, " in check, constant


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("FP_EOF = 2", "FP_EOF = 4"),
        ("FP_IPNET = 41", "FP_IPNET = 42"),
        ("FP_EVENT_PLUGIN = 322", "FP_EVENT_PLUGIN = 323"),
        ("uint64_t evtnum;", "uint32_t evtnum;"),
        ("\tfp_bool arg_present;\n\tuint32_t ftype;\n", "\tuint32_t ftype;\n\tfp_bool arg_present;\n"),
        ("\tint32_t s32;\n", "\tuint32_t s32;\n"),
        ("const void *table_reader[4];", "const void *table_reader[3];"),
        ("\tfp_log_fn log_fn;\n", ""),
    ],
)
def test_check_finds_what_differs(sinsp: SinspHost, tmp_path: Path, before: str, after: str) -> None:
    header = HEADER.read_text()
    if before not in header:
        before, after = before.replace("\t", "\t\t"), after.replace("\t", "\t\t")  # in a union
    assert before in header
    header = header.replace(before, after, 1)
    # Without the header's own assertions, which would find some of these too.
    header = re.sub(r"^(FP_ASSERT_\w+|_Static_assert)\(.*\);.*$", "", header, flags=re.M)
    (tmp_path / "plugin_abi.h").write_text(header)
    result = compile_c(sinsp, HERE / "check.c", tmp_path)
    assert result.returncode != 0
    assert "static assertion failed" in result.stderr or "has no member" in result.stderr, result.stderr


def test_required_api_is_one_that_upstream_offers(sinsp: SinspHost) -> None:
    upstream = (sinsp.headers / "plugin" / "plugin_api.h").read_text()
    offered = tuple(int(re.search(rf"PLUGIN_API_VERSION_{part} (\d+)", upstream).group(1)) for part in ("MAJOR", "MINOR", "PATCH"))  # type: ignore[union-attr]
    for file in (HEADER, HERE / "bridge.h"):
        version = re.search(r'#define FP_REQUIRED_API "(\d+)\.(\d+)\.(\d+)"', file.read_text())
        assert version, file
        required = tuple(int(number) for number in version.groups())
        # 3.4: the first with log_fn, which the shim reads. A higher one would shut out Falco 0.38.
        assert required == (3, 4, 0)
        assert required[0] == offered[0] and required[1:] <= offered[1:]


def test_shim_compiles_against_upstreams_headers(sinsp: SinspHost) -> None:
    """Function signatures too: exports.c puts each into upstream's own table of functions."""
    result = compile_c(sinsp, HERE / "exports.c", SHIM, HERE)
    assert result.returncode == 0, result.stderr


def test_exports_names_every_function(sinsp: SinspHost) -> None:
    exports = (HERE / "exports.c").read_text()
    named = dict(re.findall(r"\.(\w+) = plugin_(\w+),", exports))
    assert all(slot == function for slot, function in named.items())
    defined = set(re.findall(r"^EXPORT .*?\bplugin_(\w+)\(", (SHIM / "edera_shim.c").read_text(), flags=re.M))
    assert defined == set(named)
    upstream = without_comments((sinsp.headers / "plugin" / "plugin_api.h").read_text())
    table = re.sub(r"//.*", "", upstream).split("typedef struct {")[-1]
    slots = set(re.findall(r"\(\*(\w+)\)\(", table))
    assert slots - set(named) <= NOT_EXPORTED, "upstream has functions that nobody decided about"


def test_events_are_laid_out_as_upstreams_encoder_does(sinsp: SinspHost, tmp_path: Path) -> None:
    """The plugin event's two parameters carry 32-bit lengths: upstream's event table says so."""
    program = tmp_path / "layout.c"
    program.write_text(
        "#include <stdio.h>\n#include <driver/ppm_events_public.h>\n"
        "extern const struct ppm_event_info g_event_info[];\n"
        'int main(void) { printf("%d %d %u\\n", PPME_PLUGINEVENT_E, g_event_info[PPME_PLUGINEVENT_E].flags & EF_LARGE_PAYLOAD ? 1 : 0,'
        " g_event_info[PPME_PLUGINEVENT_E].nparams); return 0; }\n"
    )
    binary = tmp_path / "layout"
    command = [str(sinsp.compiler), "-x", "c", str(program), "-o", str(binary), "-lscap", "-lsinsp"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    result = subprocess.run([str(binary)], capture_output=True, text=True, timeout=20, check=True)
    assert result.stdout.split() == ["322", "1", "2"]
