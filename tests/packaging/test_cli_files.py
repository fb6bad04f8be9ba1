"""Man pages and completions are made from the parsers, and the shells and man themselves can use them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cli_files
import pytest
from cli_files import Command, roff, tree, walk, write

DATE = "2024-01-31"


@pytest.fixture(scope="module")
def top() -> Command:
    return tree()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write(folder, DATE)
    return folder


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def complete(made: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    script = f"""
        source {made}/completions/edera-falcod.bash
        COMP_WORDS=({" ".join(["edera-falcod", *[f"'{word}'" for word in words]])})
        COMP_CWORD={len(words)}
        _edera_falcod
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([tool("bash"), "-uc", script], capture_output=True, text=True, timeout=20, cwd=made)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {line for line in done.stdout.split("\n") if line}


def test_every_command_is_there(top: Command, made: Path) -> None:
    paths = [one.path for one in walk(top)]
    assert ("run",) in paths and ("rules", "retarget") in paths and ("ctl", "status") in paths
    for one in top.commands:
        page = (made / "man" / f"edera-falcod-{one.path[0]}.1").read_text()
        for command in walk(one):
            for argument in command.arguments:
                for flag in argument.flags:
                    assert roff(flag) in page, (command.path, flag)


def test_help_is_filled_in(top: Command) -> None:
    for command in walk(top):
        for argument in command.arguments:
            assert "%(" not in argument.help and "%%" not in argument.help
    replay = next(one for one in top.commands if one.path == ("replay",))
    assert next(one for one in replay.options if "--via" in one.flags).choices == ("python", "shim")


def test_text_is_never_taken_for_a_request() -> None:
    assert roff(".TH x\n'a\\b-c") == "\\&.TH x\n\\&'a\\eb\\-c"


def test_man_finds_nothing_to_warn_of(made: Path) -> None:
    man = tool("man")
    for page in sorted((made / "man").iterdir()):
        command = [man, "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and done.stderr == "", (page.name, done.stderr)


def test_mandoc_finds_nothing_to_warn_of(made: Path) -> None:
    done = subprocess.run(
        [tool("mandoc"), "-Tlint", "-Wwarning", *map(str, sorted((made / "man").iterdir()))], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stdout


def test_bash_offers_commands_options_choices_and_files(made: Path) -> None:
    (made / "x.scap").touch()
    assert complete(made, "ve") == {"version"}
    assert {"run", "ctl", "rules", "fields"} <= complete(made, "")
    assert complete(made, "rules", "ret") == {"retarget"}
    assert complete(made, "rules", "retarget", "--be") == {"--beside-host"}
    assert complete(made, "replay", "--via", "") == {"python", "shim"}
    assert complete(made, "replay", "x.s") == {"x.scap"}
    assert complete(made, "tail", "--count", "") == set()
    assert complete(made, "run", "--config", "x.") == {"x.scap"}
    assert complete(made, "nonsense", "") >= {"run"}


def test_zsh_can_read_it(made: Path) -> None:
    path = made / "completions" / "_edera-falcod"
    done = subprocess.run([tool("zsh"), "-f", "-n", str(path)], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    script = f"autoload -U compinit; compinit -D -u; source {path}; print ${{_comps[edera-falcod]}}; whence -w _edera_falcod_rules_retarget"
    done = subprocess.run([tool("zsh"), "-f", "-c", script], capture_output=True, text=True, timeout=30, env={"HOME": str(made)})
    assert done.stdout.split("\n")[:2] == ["_edera_falcod", "_edera_falcod_rules_retarget: function"], done.stderr


def test_fish_offers_the_same(made: Path) -> None:
    (made / "x.scap").touch()
    fish = tool("fish")
    path = made / "completions" / "edera-falcod.fish"

    def offered(line: str) -> set[str]:
        script = f"source {path}; complete -C {cli_files._fish(line)}"
        environment = {"HOME": str(made), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        done = subprocess.run([fish, "--no-config", "-c", script], capture_output=True, text=True, timeout=30, cwd=made, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        return {one.split("\t")[0] for one in done.stdout.split("\n") if one}

    assert offered("edera-falcod ve") == {"version"}
    assert offered("edera-falcod rules ret") == {"retarget"}
    assert offered("edera-falcod rules retarget --be") == {"--beside-host"}
    assert offered("edera-falcod replay --via ") == {"python", "shim"}
    assert "x.scap" in offered("edera-falcod replay x.")
    assert "status" in offered("edera-falcod ctl ")
