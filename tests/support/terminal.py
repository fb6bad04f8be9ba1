"""A terminal for programs under test: runs them on a pseudo terminal, and knows what its screen shows.

``Screen`` understands what this project's commands and the shell write, and raises for any other control sequence, so that what it
shows is what a terminal would.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")
MODES = {"?1049", "?25", "?2004"}  # the other screen, the cursor, pasted text: nothing that is written looks different


@dataclass(frozen=True, slots=True)
class Style:
    """``colour``: a number of SGR (31 red ...), 0 the terminal's own."""

    colour: int = 0
    bold: bool = False
    dim: bool = False
    reverse: bool = False


PLAIN = Style()


@dataclass
class Screen:
    """``lines`` x ``columns`` characters with their styles. ``scrolled``: lines that have left it at the top."""

    columns: int = 80
    lines: int = 24
    cells: list[list[tuple[str, Style]]] = field(default_factory=list)
    scrolled: list[list[tuple[str, Style]]] = field(default_factory=list)
    row: int = 0
    column: int = 0
    style: Style = PLAIN
    _rest: str = ""

    def __post_init__(self) -> None:
        self.cells = [self._blank() for _ in range(self.lines)]

    def _blank(self) -> list[tuple[str, Style]]:
        return [(" ", PLAIN)] * self.columns

    def feed(self, text: str) -> None:
        text, self._rest = self._rest + text, ""
        at = 0
        while at < len(text):
            character = text[at]
            if character == "\x1b":
                found = SEQUENCE.match(text, at)
                if found is None:
                    if len(text) - at < 16:
                        self._rest = text[at:]
                        return
                    raise AssertionError(f"a sequence that no terminal should get: {text[at : at + 16]!r}")
                self._control(*found.groups())
                at = found.end()
                continue
            at += 1
            if character == "\r":
                self.column = 0
            elif character == "\n":
                self._down()
            elif character == "\b":
                self.column = max(0, self.column - 1)
            elif character == "\a":
                continue
            else:
                assert character.isprintable(), f"a terminal gets {character!r}"
                if self.column == self.columns:
                    self.column = 0
                    self._down()
                self.cells[self.row][self.column] = (character, self.style)
                self.column += 1

    def _down(self) -> None:
        if self.row < self.lines - 1:
            self.row += 1
        else:
            self.scrolled.append(self.cells.pop(0))
            self.cells.append(self._blank())

    def _control(self, private: str, numbers: str, letter: str) -> None:
        first = int(numbers.split(";")[0] or 0)
        if private:
            assert f"?{numbers}" in MODES and letter in "hl", (numbers, letter)
        elif letter == "m":
            for number in [int(one or 0) for one in numbers.split(";")]:
                self._paint(number)
        elif letter == "H":
            row, _, column = numbers.partition(";")
            self.row, self.column = int(row or 1) - 1, int(column or 1) - 1
        elif letter == "K" and first == 0:
            self.cells[self.row][self.column :] = self._blank()[self.column :]
        elif letter == "J" and first in (0, 2):
            if first == 0:
                self._control("", "", "K")
            start = 0 if first == 2 else self.row + 1
            self.cells[start:] = [self._blank() for _ in range(self.lines - start)]
        else:
            raise AssertionError(f"CSI {numbers}{letter} is not known here")

    def _paint(self, number: int) -> None:
        old = self.style
        if number == 0:
            self.style = PLAIN
        elif number in (1, 2, 7):
            self.style = Style(old.colour, old.bold or number == 1, old.dim or number == 2, old.reverse or number == 7)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            self.style = Style(number, old.bold, old.dim, old.reverse)
        else:
            raise AssertionError(f"SGR {number} is not known here")

    def text(self) -> list[str]:
        """What it shows, without blanks at the ends of lines, and without empty lines at its end."""
        found = ["".join([character for character, _ in line]).rstrip() for line in self.cells]
        while found and not found[-1]:
            found.pop()
        return found


@dataclass
class Terminal:
    """A program on a terminal."""

    screen: Screen
    fd: int
    pid: int
    code: int | None = None

    def read(self, seconds: float = 0.05) -> bool:
        """What comes within so much time goes to the screen; False: the program has closed the terminal."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.screen.feed(data.decode("utf-8", "replace"))
        return bool(data)

    def until(self, condition: Callable[[list[str]], object], seconds: float = 30.0) -> list[str]:
        """Read until what the screen shows is so."""
        end = time.monotonic() + seconds
        while not condition(self.screen.text()):
            assert time.monotonic() < end, "\n".join(self.screen.text())
            if not self.read():
                assert condition(self.screen.text()), "\n".join(self.screen.text())
        return self.screen.text()

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self.screen = Screen(columns, lines)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait(self, seconds: float = 20.0) -> int:
        """Read to the end; the program's exit code."""
        end = time.monotonic() + seconds
        while self.read(0.1) and time.monotonic() < end:
            continue
        if self.code is None:
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        return self.code


@contextlib.contextmanager
def terminal(command: Sequence[str], columns: int = 80, lines: int = 24, environ: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run a command on a terminal of this size."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = {
        name: value
        for name, value in {**os.environ, "TERM": "xterm", **(environ or {})}.items()
        if name not in ("NO_COLOR", "COLUMNS", "LINES")
    }
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.ttyname(follower), os.O_RDWR, 0),  # in a session of its own this becomes its terminal
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    pid = os.posix_spawn(command[0], list(command), variables, file_actions=actions, setsid=True)
    os.close(follower)
    found = Terminal(Screen(columns, lines), leader, pid)
    try:
        yield found
    finally:
        if found.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            found.wait()
        os.close(leader)
