"""The house's plan: rooms import only rooms to their left, and the core is plain synchronous code without the world around it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "edera_falcod"

# room -> the rooms that it may import; the modules beside the rooms (daemon, cli, ...) wire them and may import all
ROOMS = {
    "scap": set[str](),
    "state": {"scap"},
    "fields": {"scap", "state"},
    "falco": {"scap", "state", "fields"},
    "edera": {"scap", "turns"},
    "rules": {"scap", "fields"},
    "sim": {"scap", "edera"},
    "ops": {"scap", "state", "fields", "falco", "edera", "rules", "config", "output", "turns", "_pure"},
}
# What sim may use of edera: the messages, not the client.
SIM_OF_EDERA = {"edera_falcod.edera.proto", "edera_falcod.edera.control", "edera_falcod.edera.frames"}

CORE = ("scap", "state", "fields")
SYNCHRONOUS = (
    "edera/frames.py", "edera/http2.py", "falco/frames.py", "falco/intake.py", "falco/ring.py", "falco/accounting.py", "falco/batch.py",
    "falco/notices.py", "falco/queue.py", "falco/zoneblock.py",
)  # fmt: skip
WORLD = {
    "asyncio", "betterproto", "concurrent", "ctypes", "grpclib", "h2", "http", "importlib", "logging", "multiprocessing", "os", "pathlib",
    "random", "select", "selectors", "shutil", "signal", "socket", "socketserver", "ssl", "structlog", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "uvloop",
}  # fmt: skip
# Tools that write what the registry holds into files or on paper; they are not on an event's way.
NOT_ON_THE_WAY = {"fields/markdown.py"}


def modules(room: str) -> list[Path]:
    return sorted(path for path in (PACKAGE / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute names of all modules that ``path`` imports, wherever in it, and of what it takes from them."""
    package = ("edera_falcod", *path.relative_to(PACKAGE).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def room_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "edera_falcod" and len(parts) > 1 else None


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_rooms_to_their_left(room: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules(room)
        for name in imported(path)
        if room_of(name) not in (None, room, "__version__") and room_of(name) not in ROOMS[room]
    ]
    assert wrong == []


def test_every_room_is_in_the_plan() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", CORE)
def test_the_core_knows_nothing_of_the_world(room: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules(room)
        if str(path.relative_to(PACKAGE)) not in NOT_ON_THE_WAY
        for name in imported(path)
        if name.split(".")[0] in WORLD
    ]
    assert wrong == []


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_what_is_compiled_is_synchronous_beneath_its_shell(name: str) -> None:
    assert {one for one in imported(PACKAGE / name) if one.split(".")[0] in WORLD} == set()


def test_sim_knows_only_the_messages_of_edera() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules("sim")
        for name in imported(path)
        if room_of(name) == "edera" and not any(name == one or name.startswith(one + ".") for one in SIM_OF_EDERA)
    ]
    assert wrong == []


def test_the_check_sees_what_it_is_meant_to_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    sample = tmp_path / "state" / "sample.py"
    inside = ["import socket", "from ..fields import record", "from time import monotonic", "from .. import falco"]
    sample.write_text("def f():\n" + "".join([f"    {line}\n" for line in inside]))
    monkeypatch.setattr("tests.test_imports.PACKAGE", tmp_path)
    assert imported(sample) == {"socket", "edera_falcod.fields.record", "time.monotonic", "edera_falcod.falco"}
    assert room_of("edera_falcod.fields.record") == "fields"
