"""A CycloneDX SBOM (1.5, JSON) of a folder of installed Python packages and of files built here; and Debian's copyright file.

    tools/sbom.py --python FOLDER [--file FILE ...] --output sbom.cdx.json
    tools/sbom.py --python FOLDER --copyright FILE

What it says is read from the packages' own metadata (dist-info) as they lie there, not from what was asked for: names, versions, licenses,
who needs whom. SOURCE_DATE_EPOCH sets its time; the same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import sys
import uuid
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final, cast

from packaging.requirements import Requirement

PROJECT: Final = "edera-falcod"
SPDX: Final = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")
# What older metadata says in words, as SPDX names it.
CLASSIFIERS: Final = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
WORDS: Final = {
    "Apache 2": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "The MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
}


# Those of SPDX's identifiers that we know to be such: a schema-valid SBOM has no others as "id", but may name a license in any words.
IDENTIFIERS: Final = frozenset(CLASSIFIERS.values()) | {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0",
    "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
}  # fmt: skip


# Debian has the text of this one and wants it named, not repeated.
APACHE: Final = re.compile(r"Apache License\s+Version 2\.0, January 2004.*END OF TERMS AND CONDITIONS", re.DOTALL)
COMMON: Final = "The Apache License, Version 2.0: on Debian systems its text is in /usr/share/common-licenses/Apache-2.0."


class SbomError(Exception):
    """The SBOM cannot be made; the text says why."""


@dataclass(frozen=True)
class Package:
    name: str  # normalised
    version: str
    license: str  # SPDX; empty: not said
    needs: tuple[str, ...]
    home: str
    license_texts: tuple[tuple[str, str], ...]  # file, text

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def license_of(found: Distribution) -> str:
    data = cast(Message, found.metadata)
    said = data.get("License-Expression") or ""
    if said:
        return str(said)
    words = (data.get("License") or "").strip()
    if words.upper() == "UNKNOWN":
        words = ""
    if words in WORDS:
        return WORDS[words]
    known = [CLASSIFIERS[one] for one in data.get_all("Classifier") or () if one in CLASSIFIERS]
    if known:
        return " OR ".join(sorted(set(known)))
    return words if SPDX.fullmatch(words) and len(words) < 40 else ""


def packages(folder: Path) -> list[Package]:
    """Those that lie in ``folder``, by name. Raises SbomError."""
    found: dict[str, Package] = {}
    for one in distributions(path=[str(folder)]):
        name = normal(one.metadata["Name"])
        needs = []
        for text in one.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needs.append(normal(requirement.name))
        urls = [url.partition(", ")[2] for url in one.metadata.get_all("Project-URL") or ()]
        home = cast(Message, one.metadata).get("Home-page") or (urls[0] if urls else "")
        texts = []
        for file in one.files or ():
            if ".dist-info" in str(file) and re.match(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)", file.name, re.IGNORECASE):
                path = Path(str(one.locate_file(file)))
                if path.is_file():
                    texts.append((file.name, path.read_text(errors="replace")))
        found[name] = Package(name, one.version, license_of(one), tuple(sorted(set(needs))), home, tuple(texts))
    if PROJECT not in found:
        raise SbomError(f"{folder}: {PROJECT} is not installed there")
    missing = {need for package in found.values() for need in package.needs} - found.keys()
    if missing:
        raise SbomError(f"{folder}: needed but not there: {', '.join(sorted(missing))}")
    return [found[name] for name in sorted(found)]


def when() -> datetime.datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch.isdigit() else datetime.datetime.now(datetime.UTC)


def _component(package: Package) -> dict[str, Any]:
    part: dict[str, Any] = {
        "type": "application" if package.name == PROJECT else "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    if package.license:
        if re.search(r" (?:AND|OR|WITH) ", package.license):
            part["licenses"] = [{"expression": package.license}]
        else:
            part["licenses"] = [{"license": {"id" if package.license in IDENTIFIERS else "name": package.license}}]
    if package.home.startswith("http"):
        part["externalReferences"] = [{"type": "website", "url": package.home}]
    return part


def sbom(found: list[Package], files: list[Path]) -> dict[str, Any]:
    ours = next(package for package in found if package.name == PROJECT)
    components = [_component(package) for package in found if package is not ours]
    needs = {package.purl: [other.purl for other in found if other.name in package.needs] for package in found}
    for path in files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        reference = f"file:{path.name}@{ours.version}"
        components.append(
            {
                "type": "library",
                "bom-ref": reference,
                "name": path.name,
                "version": ours.version,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        )
        needs[reference] = []
        needs[ours.purl].append(reference)
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": when().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "tools/sbom.py", "version": ours.version}]},
            "component": _component(ours),
        },
        "components": components,
        "dependencies": [{"ref": reference, "dependsOn": sorted(others)} for reference, others in needs.items()],
    }
    # The number follows from what is in it, so that the same build has the same.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {"$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "serialNumber": f"urn:uuid:{number}", **body}


def copyright_file(found: list[Package]) -> str:
    """Debian's machine-readable copyright file (DEP 5), in spirit: each contained package with the text that it came with."""
    lines = ["Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", f"Upstream-Name: {PROJECT}", ""]
    lines += ["Files: *", "Copyright: the edera-falcod authors", "License: Apache-2.0", ""]
    for package in found:
        if package.name == PROJECT:
            continue
        texts = "\n".join([text for _, text in package.license_texts])
        owners = re.findall(r"(?mi)^\s*(?:copyright\s+)(?:\(c\)|©)?\s*(.{3,100})$", texts)
        lines += [f"Files: usr/lib/edera-falcod/python/ ({package.name} {package.version})"]
        lines += [f"Copyright: {owners[0].strip() if owners else 'its authors, see ' + (package.home or package.purl)}"]
        lines += [f"License: {(package.license or 'see-below').replace(' ', '-')}-as-in-{package.name}", ""]
    for package in found:
        if package.name == PROJECT:
            continue
        lines += [f"License: {(package.license or 'see-below').replace(' ', '-')}-as-in-{package.name}"]
        said = [COMMON if APACHE.search(text) else text for _, text in package.license_texts]
        lines += _indented("\n\n".join(said) or f"See {package.home or package.purl}.")
        lines.append("")
    lines += ["License: Apache-2.0", *_indented(COMMON)]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> list[str]:
    return [f" {line.rstrip()}" if line.strip() else " ." for line in text.strip("\n").split("\n")]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--python", type=Path, required=True, metavar="FOLDER", help="of installed packages")
    options.add_argument("--file", type=Path, action="append", default=[], help="a file built here; may be repeated")
    options.add_argument("--output", type=Path, help="where the SBOM goes")
    options.add_argument("--copyright", type=Path, help="where Debian's copyright file goes")
    args = options.parse_args()
    try:
        found = packages(args.python)
    except SbomError as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    if args.output:
        args.output.write_text(json.dumps(sbom(found, args.file), indent=2) + "\n")
    if args.copyright:
        args.copyright.write_text(copyright_file(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
