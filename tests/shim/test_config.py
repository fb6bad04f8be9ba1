"""init_config: what it may be, and what the message says where it may not."""

from __future__ import annotations

import json
import subprocess

import pytest

from .conftest import Build


def _init(build: Build, config: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([build.folder / "shimcat", "--timeout", "0.01", "--config", config], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    "config",
    [
        "",
        " ",
        "null",
        "{}",
        " { } ",
        '{"socket":null,"consumer":null,"mirror_host_syscalls":null}',
        '{"socket":"/tmp/none","consumer":"falco-2","mirror_host_syscalls":false}',
        '{"consumer":123}',  # Falco makes numbers of YAML texts that look like one
        '{"consumer":"a.b_c:d@e-f"}',
        '\t{\r\n"mirror_host_syscalls" : true }',
        json.dumps({"socket": "/" + "x" * 106}),
        '{"socket":"\\/tmp\\u002fn\\u00f6ne\\ud83d\\ude00"}',
        '{"consumer":"first","consumer":"second"}',
    ],
)
def test_accepted(checked: Build, config: str) -> None:
    done = _init(checked, config)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('{"sockets":"/x"}', "unknown option 'sockets'; there are: socket, consumer, mirror_host_syscalls"),
        ('{"":1}', "unknown option ''"),
        ('{"socket":""}', "socket must be a path of 1 to 107 bytes"),
        (json.dumps({"socket": "/" + "x" * 107}), "socket must be a path of 1 to 107 bytes"),
        ('{"socket":5}', "socket must be a path"),
        ('{"socket":"/a\\u0000b"}', "socket must be a path"),
        ('{"socket":{"a":1}}', "socket must be a path"),
        ('{"consumer":""}', "consumer must be a name"),
        ('{"consumer":"a b"}', "consumer must be a name"),
        ('{"consumer":"' + "x" * 65 + '"}', "consumer must be a name of 1 to 64"),
        ('{"consumer":' + "1" * 65 + "}", "consumer must be a name of 1 to 64"),
        ('{"consumer":true}', "consumer must be a name"),
        ('{"mirror_host_syscalls":"yes"}', "mirror_host_syscalls must be true or false"),
        ('{"mirror_host_syscalls":1}', "mirror_host_syscalls must be true or false"),
        ("[]", "not a JSON object of options (byte 0)"),
        ('{"socket":"/x"', "not a JSON object"),
        ('{"socket":"/x" "consumer":"y"}', "not a JSON object"),
        ('{"socket":"/x",}', "not a JSON object"),
        ('{"socket":"/x"} x', "not a JSON object"),
        ('{"socket"', "not a JSON object"),
        ("{", "not a JSON object"),
        ("nullx", "not a JSON object"),
        ('{"socket":"\\ud800"}', "socket must be a path"),
        ('{"socket":"\\u12"}', "socket must be a path"),
        ('{"socket":"\\x"}', "socket must be a path"),
        ('{"socket":"a', "socket must be a path"),
        ('{"socket":"a\\', "socket must be a path"),
        ('{"socket":"a\nb"}', "socket must be a path"),
        ('{"' + "k" * 500 + '":1}', "unknown option"),
        (" " * 70000, "longer than 65536 bytes"),
    ],
)
def test_refused_with_a_reason(checked: Build, config: str, says: str) -> None:
    done = _init(checked, config)
    assert done.returncode == 1
    assert says in done.stderr


def test_prefixes_of_a_config(checked: Build) -> None:
    """No prefix of a good text is read beyond its end (fuzz_config.c tries all there are)."""
    whole = '{"socket":"/tmp/\\u00e9\\n", "consumer":"a", "mirror_host_syscalls":false}'
    for n in range(1, len(whole), 6):
        done = _init(checked, whole[:n])
        assert done.returncode == 1 and "init_config" in done.stderr, whole[:n]
