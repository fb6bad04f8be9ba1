"""The SBOM says what lies in a folder: held against pip's own list of what is installed here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import uuid
from pathlib import Path

import pytest
import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

SITE = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture(scope="module")
def found() -> list[sbom.Package]:
    return sbom.packages(SITE)


def test_it_lists_what_pip_lists(found: list[sbom.Package]) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True, timeout=50)
    listed = {(sbom.normal(one["name"]), one["version"]) for one in json.loads(done.stdout)}
    assert {(one.name, one.version) for one in found} == listed


def test_shape(found: list[sbom.Package], tmp_path: Path) -> None:
    library = tmp_path / "libx.so"
    library.write_bytes(b"abc")
    body = sbom.sbom(found, [library])
    assert (body["bomFormat"], body["specVersion"], body["version"]) == ("CycloneDX", "1.5", 1)
    assert uuid.UUID(body["serialNumber"].removeprefix("urn:uuid:"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["metadata"]["timestamp"])
    assert body["metadata"]["component"]["name"] == "edera-falcod"
    references = [one["bom-ref"] for one in body["components"]] + [body["metadata"]["component"]["bom-ref"]]
    assert len(references) == len(set(references))
    assert {one["ref"] for one in body["dependencies"]} == set(references)
    for one in body["dependencies"]:
        assert set(one["dependsOn"]) <= set(references)
    ours = next(one for one in body["dependencies"] if one["ref"] == body["metadata"]["component"]["bom-ref"])
    assert {"grpclib", "betterproto", "structlog"} <= {ref.removeprefix("pkg:pypi/").partition("@")[0] for ref in ours["dependsOn"]}
    file = next(one for one in body["components"] if one["name"] == "libx.so")
    assert file["hashes"] == [{"alg": "SHA-256", "content": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]


def test_it_is_valid_by_the_schema_of_cyclonedx(found: list[sbom.Package], tmp_path: Path) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_5)
    library = tmp_path / "libx.so"
    library.write_bytes(b"abc")
    body = sbom.sbom(found, [library])
    assert validator.validate_str(json.dumps(body)) is None
    body["components"][0]["type"] = "no such type"
    assert validator.validate_str(json.dumps(body)) is not None


def test_what_we_ship_has_a_license(found: list[sbom.Package]) -> None:
    by_name = {one.name: one for one in found}
    seen, todo = set(), ["edera-falcod"]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += by_name[name].needs
    for name in sorted(seen):
        assert re.fullmatch(r"[A-Za-z0-9.+-]+( (OR|AND|WITH) [A-Za-z0-9.+-]+)*", by_name[name].license), (name, by_name[name].license)


def test_the_same_input_gives_the_same_bytes(found: list[sbom.Package], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert sbom.sbom(found, []) == sbom.sbom(found, [])
    assert sbom.sbom(found, [])["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"


def test_a_folder_that_lacks_something_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sbom.SbomError, match="not installed there"):
        sbom.packages(tmp_path)
    info = tmp_path / "edera_falcod-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edera-falcod\nVersion: 1\nRequires-Dist: missing-thing>=2\n")
    with pytest.raises(sbom.SbomError, match="missing-thing"):
        sbom.packages(tmp_path)


def test_copyright_has_every_text(found: list[sbom.Package]) -> None:
    text = sbom.copyright_file(found)
    assert text.startswith("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n")
    for paragraph in text.split("\n\n"):
        lines = paragraph.split("\n")
        assert all(line.startswith(" ") for line in lines if not re.match(r"[A-Z][A-Za-z-]+: ", line) and line), paragraph[:200]
