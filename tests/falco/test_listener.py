from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edera_falcod.falco.listener import Access, Listener, ListenError, Peer


def test_the_socket_has_its_mode_from_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    listener = Listener(str(path), 0o640, os.getgid())
    listener.open()
    status = path.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o640
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_daemons_socket_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    code = f"import os; from edera_falcod.falco.listener import Listener; Listener({str(path)!r}).open(); os._exit(1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1
    assert {one.name for one in tmp_path.iterdir()} == {"s.sock", "s.sock.lock"}
    listener = Listener(str(path))
    listener.open()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_a_living_daemons_socket_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    first = Listener(str(path))
    first.open()
    with pytest.raises(ListenError, match="another edera-falcod listens there"):
        Listener(str(path)).open()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    first.close()


def test_many_who_start_at_once_end_with_one(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    code = (
        "import sys; from edera_falcod.falco.listener import Listener, ListenError\n"
        f"listener = Listener({str(path)!r})\n"
        "sys.stdin.readline()\n"
        "try:\n    listener.open(); print('mine', flush=True); sys.stdin.readline(); listener.close()\n"
        "except ListenError:\n    print('taken', flush=True)\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    answers = [child.stdout.readline().strip() for child in children if child.stdout is not None]
    assert sorted(answers) == ["mine"] + ["taken"] * 5
    for child in children:
        child.communicate("\n", timeout=10)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="not a socket"):
        Listener(str(path)).open()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_socket_that_replaced_ours_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    listener = Listener(str(path))
    listener.open()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listener.close()
        assert path.exists()


@pytest.mark.parametrize(
    ("path", "says"),
    [("/nonexistent/s.sock", "cannot write to the folder: No such file"), ("/tmp/" + "x" * 120, "at most 99 bytes")],
)
def test_a_path_that_cannot_be_is_refused(path: str, says: str) -> None:
    with pytest.raises(ListenError, match=says):
        Listener(path).open()


def test_who_may_connect(tmp_path: Path) -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        peer = Peer.of(left)
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert os.getgid() in peer.gids
    stranger = Peer(1, 4711, frozenset({4712}))
    assert Access().allows(stranger)
    assert Access(users=frozenset({4711})).allows(stranger)
    assert Access(groups=frozenset({4712})).allows(stranger)
    assert not Access(users=frozenset({1}), groups=frozenset({1})).allows(stranger)
    assert Access(users=frozenset({1})).allows(peer)


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """They could put a socket of their own in place of ours; with a sticky bit they cannot."""
    folder = tmp_path / "open"
    folder.mkdir()
    for mode in (0o770, 0o777, 0o702):
        folder.chmod(mode)
        with pytest.raises(ListenError, match="can be written by others"):
            Listener(str(folder / "s.sock")).open()
        assert list(folder.iterdir()) == []
    folder.chmod(0o1777)
    listener = Listener(str(folder / "s.sock"))
    listener.open()
    listener.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(0o755)
    os.chown(folder, 12345, -1)
    with pytest.raises(ListenError, match="belongs to user 12345"):
        Listener(str(folder / "s.sock")).open()


def test_so_is_one_whose_parent_others_can_write(tmp_path: Path) -> None:
    """They could put a folder of their own, or a link, in its place. The way that was named counts, and where its links lead."""
    above = tmp_path / "above"
    folder = above / "mine"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    above.chmod(0o777)
    for named in (folder, tmp_path / "link"):
        with pytest.raises(ListenError, match=r"above, above it, can be written by others"):
            Listener(str(named / "s.sock")).open()
    assert list(folder.iterdir()) == []
    above.chmod(0o1777)
    if os.geteuid() == 0:
        os.chown(above, 12345, -1)
        with pytest.raises(ListenError, match="belongs to user 12345"):
            Listener(str(folder / "s.sock")).open()
        os.chown(above, 0, -1)
    listener = Listener(str(tmp_path / "link" / "s.sock"))
    listener.open()
    listener.close()


@pytest.mark.parametrize("name", ["s.sock.new", "s.sock", "s.sock.lock"])
def test_no_link_is_followed(tmp_path: Path, name: str) -> None:
    """What a link leads to keeps its mode, group and content; a link in the way is replaced, or refused."""
    precious = tmp_path / "precious"
    precious.write_text("x")
    precious.chmod(0o600)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).symlink_to(precious)
    listener = Listener(str(folder / "s.sock"), 0o666)
    if name == "s.sock.new":
        listener.open()
        listener.close()
    else:
        with pytest.raises(ListenError):
            listener.open()
    assert precious.read_text() == "x" and stat.S_IMODE(precious.stat().st_mode) == 0o600


@pytest.mark.parametrize("what", ["link", "file", "theirs", "nothing"])
def test_what_takes_the_sockets_place_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Between bind(2) and chmod(2) somebody swaps it, as root in a sticky folder could."""
    if what == "theirs" and os.geteuid() != 0:
        pytest.skip("only root can give a socket away")
    precious = tmp_path / "precious"
    precious.write_text("x")
    precious.chmod(0o600)
    folder = tmp_path / "folder"
    folder.mkdir()
    real = Listener._own

    def swapped(self: Listener, path: str) -> os.stat_result:
        if what == "theirs":
            os.chown(path, 12345, -1)
        else:
            os.unlink(path)
        if what == "link":
            os.symlink(precious, path)
        if what == "file":
            os.link(precious, path)
        return real(self, path)

    monkeypatch.setattr(Listener, "_own", swapped)
    with pytest.raises(ListenError, match="cannot listen"):
        Listener(str(folder / "s.sock"), 0o666).open()
    assert precious.read_text() == "x" and stat.S_IMODE(precious.stat().st_mode) == 0o600
    assert not (folder / "s.sock").exists() and not (folder / "s.sock.lock").exists()
