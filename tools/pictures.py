"""Pictures of the commands for README.md and docs/: tools/pictures.py [NAME...].

Runs a simulated Edera host whose zones play captures, the daemon, and the plugin's reader (shimcat) in Falco's place; runs each command
on a terminal of 80 columns; and writes what its screen shows as docs/pictures/NAME.svg where a page shows that, and as text where a page
has a place for it:

    <!-- picture: NAME -->
    ```text
    ...
    ```

What is shown is what the commands wrote. Run it anew when their output has changed (`make pictures`).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.terminal import PLAIN, Screen, Style, terminal  # noqa: E402

PROGRAM: Final = Path(sys.executable).parent / "edera-falcod"
SHIMCAT: Final = ROOT / "shim" / "shimcat"
DATA: Final = ROOT / "tests" / "data"
FOLDER: Final = ROOT / "docs" / "pictures"
PAGES: Final = ("README.md", "docs/operate.md")

ZONES: Final = {"web": ("attack1", "pace=0.2x"), "db": ("net1", "pace=0.1x")}
WARM: Final = 8.0  # seconds after which rates and histories are worth looking at
LONGEST: Final = 60.0  # seconds for one command


@dataclass(frozen=True, slots=True)
class Picture:
    """``commands``: run one after the other on one screen. ``keys``: pressed so many seconds after the last one's screen is
    there, which they end."""

    commands: tuple[str, ...]
    lines: int = 24
    keys: tuple[tuple[float, str], ...] = ()


EXECS: Final = "edera-falcod tail 'evt.type=execve' -n 6 -o '%edera.zone.name: %proc.cmdline'"
PICTURES: Final = {
    "status": Picture(("edera-falcod ctl status",), lines=22),
    "top": Picture(("edera-falcod ctl top",), lines=10, keys=((3.0, "q"),)),
    "types": Picture(("edera-falcod ctl top",), lines=16, keys=((0.0, "t"), (3.0, "q"))),
    "zone": Picture(("edera-falcod ctl zone web",), lines=40),
    "tail": Picture((EXECS,), lines=20),
    "first": Picture(("edera-falcod ctl status", EXECS), lines=40),
}


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """The host, the daemon and a consumer; what commands need in their environment to find them."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EDERA_FALCOD_")}
    environ |= {
        "EDERA_FALCOD_EDERA_SOCKET": str(folder / "edera.sock"),
        "EDERA_FALCOD_FALCO_SOCKET": str(folder / "falco.sock"),
        "EDERA_FALCOD_CTL_SOCKET": str(folder / "ctl.sock"),
        "EDERA_FALCOD_BUFFER_HANDOVER": "",
        "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
        "PS1": "",
    }
    zones = [word for name, (capture, pace) in ZONES.items() for word in ("--zone", f"{name}={DATA / capture}.scap,{pace}")]
    with ExitStack() as stack:

        def start(*command: str, there: str = "") -> None:
            process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            deadline = time.monotonic() + 30
            while there and not (folder / there).exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"pictures: {' '.join(command[:3])} did not start")
                time.sleep(0.05)

        start(str(PROGRAM), "sim", "--socket", str(folder / "edera.sock"), "--loop", "--now", *zones, there="edera.sock")
        start(str(PROGRAM), "run", there="falco.sock")
        start(str(SHIMCAT), "--socket", str(folder / "falco.sock"), "--consumer", "falco", "--quiet", "evt.type")
        time.sleep(WARM)
        yield environ


def taken(picture: Picture, environ: dict[str, str]) -> Screen:
    """The screen after the commands, or before the key that ends the last one."""
    screen = Screen(80, picture.lines)
    for command in picture.commands:
        if not picture.keys:
            screen.style = Style(bold=True)
            screen.feed(f"$ {command}\r\n")
            screen.style = PLAIN
        with terminal([str(PROGRAM), *shlex.split(command)[1:]], 80, picture.lines, environ) as run:
            run.screen = screen
            if picture.keys:
                run.until(lambda lines: lines and lines[-1].startswith("z zones"))
            began = time.monotonic()
            for seconds, key in picture.keys:
                while time.monotonic() - began < seconds:
                    run.read()
                if (seconds, key) == picture.keys[-1]:
                    screen = deepcopy(screen)
                run.press(key)
            if run.wait(LONGEST) != 0:
                print(f"pictures: {command} has ended with {run.code}", file=sys.stderr)
        if not picture.keys:
            screen.feed("\r\n")
    return screen


# ---- as SVG

CELL: Final = (8.4, 18.0)  # pixels of a character
MARGIN: Final = 14
BAR: Final = 30
COLOURS: Final = {0: "#d8dee9", 31: "#ff7b85", 32: "#9ece6a", 33: "#e0af68", 34: "#7aa2f7", 35: "#bb9af7", 36: "#7dcfff", 90: "#707a92"}
BACK: Final = "#1a1b26"


def _runs(line: list[tuple[str, Style]]) -> Iterator[tuple[int, str, Style]]:
    """Column, text and style of each part of a line that has one style and no two blanks in it: each is put in its place, so that
    columns stand under each other whatever font there is. What is reversed is kept whole, blanks and all."""
    at = 0
    while at < len(line):
        stop = at + 1
        while stop < len(line) and line[stop][1] == line[at][1]:
            stop += 1
        style = line[at][1]
        text = "".join([character for character, _ in line[at:stop]])
        if style.reverse:
            yield at, text, style
        else:
            for found in re.finditer(r"\S+( \S+)*", text):
                yield at + found.start(), found[0], style
        at = stop


def svg(name: str, cells: list[list[tuple[str, Style]]]) -> str:
    width, height = CELL
    total = (round(80 * width + 2 * MARGIN), round(len(cells) * height + MARGIN + BAR))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" width="{total[0]}" height="{total[1]}" role="img">',
        f"<title>{escape(name)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>',
        *[
            f'<circle cx="{18 + 18 * place}" cy="15" r="5" fill="{colour}"/>'
            for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ],
        '<g font-family="ui-monospace, \'DejaVu Sans Mono\', Menlo, Consolas, monospace" font-size="14" xml:space="preserve">',
    ]
    for row, line in enumerate(cells):
        y = BAR + row * height
        for column, text, style in _runs(line):
            x, length = MARGIN + column * width, len(text) * width
            colour = COLOURS[style.colour]
            if style.reverse:
                out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{length:.1f}" height="{height}" fill="{colour}"/>')
                colour = BACK
            more = ' font-weight="bold"' if style.bold else ""
            more += ' opacity="0.6"' if style.dim else ""
            place = f'x="{x:.1f}" y="{y + 13.5:.1f}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
            out.append(f'<text {place} fill="{colour}"{more}>{escape(text)}</text>')
    return "\n".join([*out, "</g>", "</svg>", ""])


def shown(screen: Screen) -> list[list[tuple[str, Style]]]:
    """The lines that are worth a picture: none that are empty at the end."""
    lines = screen.scrolled + screen.cells
    while lines and not "".join([character for character, _ in lines[-1]]).strip():
        lines = lines[:-1]
    return lines


# ---- in pages

PLACE: Final = re.compile(r"(<!-- picture: ([a-z]+) -->\n```text\n).*?(```\n)", re.DOTALL)


def put(texts: dict[str, str]) -> None:
    """Put the texts where pages have places for them."""
    for page in PAGES:
        path = ROOT / page
        if not path.exists():
            continue
        before = path.read_text()
        after = PLACE.sub(lambda found: found[1] + texts[found[2]] + found[3] if found[2] in texts else found[0], before)
        if after != before:
            path.write_text(after)
            print(f"pictures: wrote {page}")


def main() -> int:
    names = sys.argv[1:] or list(PICTURES)
    unknown = [name for name in names if name not in PICTURES]
    if unknown or not SHIMCAT.exists():
        print(f"pictures: there is no {unknown[0]}" if unknown else "pictures: shimcat is not built: make shim", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    texts: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="zones-") as folder, running(Path(folder)) as environ:
        for name in names:
            cells = shown(taken(PICTURES[name], environ))
            lines = ["".join([character for character, _ in line]).rstrip() for line in cells]
            texts[name] = "".join([f"{line}\n" for line in lines]).replace(folder, "/run/edera-falcod")
            if any(f"pictures/{name}.svg" in (ROOT / page).read_text() for page in PAGES):
                (FOLDER / f"{name}.svg").write_text(svg(" && ".join(PICTURES[name].commands), cells).replace(folder, "/run/edera-falcod"))
                print(f"pictures: wrote docs/pictures/{name}.svg, {len(lines)} lines")
    put(texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
