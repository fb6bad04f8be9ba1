"""The generated tables are fresh and hold together."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from edera_falcod.scap import tables

ROOT = Path(__file__).resolve().parents[2]


def generate(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, root / "tools" / "generate_tables.py", *options], capture_output=True, text=True, check=False)


def test_fresh() -> None:
    run = generate(ROOT, "--check")
    assert run.returncode == 0, run.stderr


def test_stale_is_told(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tools" / "data", tmp_path / "tools" / "data")
    shutil.copy(ROOT / "tools" / "generate_tables.py", tmp_path / "tools")
    (tmp_path / "edera_falcod" / "scap").mkdir(parents=True)
    assert generate(tmp_path, "--check").returncode == 1
    assert generate(tmp_path).returncode == 0
    assert generate(tmp_path, "--check").returncode == 0
    target = tmp_path / "edera_falcod" / "scap" / "tables.py"
    assert target.read_bytes() == (ROOT / "edera_falcod" / "scap" / "tables.py").read_bytes()
    target.write_text(target.read_text().replace("PPME_GENERIC_X: Final = 1", "PPME_GENERIC_X: Final = 2"))
    stale = generate(tmp_path, "--check")
    assert stale.returncode == 1
    assert "tables.py is stale" in stale.stderr


def test_event_codes_index_the_list() -> None:
    assert len(tables.EVENTS) == tables.PPM_EVENT_MAX
    for code, info in enumerate(tables.EVENTS):
        assert info.code == code
        assert getattr(tables, info.code_name) == code
        assert info.nparams == len(info.params)
        assert info.is_exit == info.code_name.endswith("_X")


def test_known_event() -> None:
    info = tables.EVENTS[tables.PPME_SYSCALL_OPENAT_2_X]
    assert info.name == b"openat"
    assert info.is_exit and info.is_syscall and not info.old and not info.unused
    assert [param.name for param in info.params] == [b"fd", b"dirfd", b"name", b"flags", b"mode", b"dev", b"ino"]
    assert [param.type for param in info.params[:4]] == [tables.PT_FD, tables.PT_FD, tables.PT_FSRELPATH, tables.PT_FLAGS32]
    assert info.params[2].dirfd == 1
    assert info.params[3].flags is tables.FLAG_TABLES["file_flags"]


def test_parameters_point_where_they_may() -> None:
    for info in tables.EVENTS:
        for param in info.params:
            assert tables.PT_NONE < param.type < tables.PT_MAX
            assert (param.type == tables.PT_DYN) == bool(param.variants)
            assert -1 <= param.dirfd < info.nparams
            if param.dirfd >= 0:
                assert info.params[param.dirfd].type == tables.PT_FD


def test_flag_order_is_that_of_libs() -> None:
    names = [name for name, _ in tables.FLAG_TABLES["file_flags"].entries]
    assert names.index(b"O_RDWR") < names.index(b"O_WRONLY") < names.index(b"O_RDONLY")
    assert (b"O_RDWR", tables.PPM_O_RDWR) in tables.FLAG_TABLES["file_flags"].entries


def test_numbers_and_names() -> None:
    assert tables.ERRNO_NAMES[2] == b"ENOENT" and tables.ERRNO_NAMES[41] == b""
    assert tables.SIGNAL_NAMES[9] == b"SIGKILL"
    assert tables.CAPABILITY_NAMES[0] == b"CAP_CHOWN" and len(tables.CAPABILITY_NAMES) == 41
    assert tables.FD_TYPE_NAMES[tables.SCAP_FD_PIDFD] == b"pidfd" and tables.FD_TYPE_CHARS[tables.SCAP_FD_PIDFD] == b"P"
    assert tables.SCAP_L4_RAW == 5 and tables.PPM_CL_IS_MAIN_THREAD == 1 << 30
    openat = tables.X86_64_SYSCALLS[257]
    assert tables.SYSCALL_NAMES[openat] == b"openat" and tables.SYSCALL_EXIT_EVENTS[openat] == tables.PPME_SYSCALL_OPENAT_2_X
    assert tables.SYSCALL_NAMES[382] == b"" and len(tables.SYSCALL_NAMES) == tables.PPM_SC_MAX
