"""The files that users copy into Falco's configuration, Helm and container builds say what the rest of the project says."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edera_falcod.config import Config

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
# Helm file -> what it is in Falco's own terms
HELM = {"helm-values.yaml": "falco.yaml", "helm-values-beside-host.yaml": "falco-beside-host.yaml"}
# Keys of Falco's Helm chart 9.1.0 that we set. Helm takes any key and says nothing of one that the chart does not read.
CHART = set(
    """driver.enabled collectors.enabled controller.kind nodeSelector mounts.volumes mounts.volumeMounts podSecurityContext
    containerSecurityContext falcoctl.artifact.install.enabled falcoctl.artifact.follow.enabled metrics.enabled
    metrics.pluginsMetricsEnabled""".split()
)
# The value falco is Falco's configuration as it is; keys of Falco 0.44.
FALCO = {"plugins", "load_plugins", "plugins_hostinfo", "rules_files"}
FREE = {"nodeSelector", "podSecurityContext", "containerSecurityContext"}  # what Kubernetes reads, not the chart


def load(name: str) -> Any:
    return YAML(typ="safe").load((EXAMPLES / name).read_text())


def keys(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and path not in FREE:
        for key, inner in value.items():
            yield from keys(inner, f"{path}.{key}" if path else key)
    else:
        yield path


@pytest.mark.parametrize("name", HELM)
def test_helm_values_are_ones_that_the_chart_reads(name: str) -> None:
    values = load(name)
    falco = values.pop("falco")
    assert set(keys(values)) <= CHART
    assert set(falco) <= FALCO


@pytest.mark.parametrize("name", HELM)
def test_helm_values_load_the_plugin_as_the_plain_configuration_does(name: str) -> None:
    falco, plain = load(name)["falco"], load(HELM[name])
    assert falco["plugins"] == plain["plugins"]
    assert falco["load_plugins"] == plain["load_plugins"]


@pytest.mark.parametrize("name", HELM)
def test_helm_values_mount_what_the_plugin_needs(name: str) -> None:
    values = load(name)
    hosts = {one["name"]: one["hostPath"]["path"] for one in values["mounts"]["volumes"]}
    mounts = {one["name"]: one for one in values["mounts"]["volumeMounts"]}
    assert hosts.keys() == mounts.keys()
    # The same path inside and outside, so that one configuration is good for both.
    assert hosts == {one: mount["mountPath"] for one, mount in mounts.items()}
    assert all(mount["readOnly"] for mount in mounts.values())
    (plugin,) = values["falco"]["plugins"]
    for path in (plugin["library_path"], plugin["init_config"]["socket"]):
        assert str(Path(path).parent) in hosts.values()


@pytest.mark.parametrize("name", HELM.values())
def test_the_plugin_takes_its_configuration(name: str) -> None:
    (plugin,) = load(name)["plugins"]
    assert plugin["init_config"]["socket"] == Config().falco.socket
    assert plugin["init_config"]["consumer"] in Config().falco.consumers
    shimcat = ROOT / "shim" / "shimcat"
    command = [str(shimcat), "--timeout", "0.01", "--config", json.dumps(plugin["init_config"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "init_config" not in done.stderr and done.returncode in (0, 3), done.stderr
    command[-1] = json.dumps({**plugin["init_config"], "sockett": "x"})
    assert "sockett" in subprocess.run(command, capture_output=True, text=True, timeout=30).stderr


def test_the_containerfile_has_this_version_and_what_the_service_needs() -> None:
    text = (ROOT / "Containerfile").read_text()
    assert re.search(rf'org\.opencontainers\.image\.version="{re.escape(VERSION)}"', text)
    assert 'ENTRYPOINT ["/usr/bin/edera-falcod"]' in text
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    for needed in ("packaging", "edera_falcod", "shim", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        assert (ROOT / needed).exists() and needed not in ignored
