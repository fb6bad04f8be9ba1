"""The Falco plugin as an OCI artifact, in the layout that falcoctl installs; on disk (an OCI image layout), no registry needed.

    tools/oci.py make  --output FOLDER --version 0.1.0 linux/amd64=LIB.so [linux/arm64=LIB.so ...]
    tools/oci.py check FOLDER [--install PLATFORM FILE]

What falcoctl expects: a config of type ...plugin.config.v1+json (name, version, requirements), one layer of type
...plugin.layer.v1+tar.gz, a gzip-compressed tar with the library at its top, and for several platforms an index of manifests. `check`
reads the layout the way falcoctl pulls it: index, manifest of the platform, config, layer, every digest and size held against the bytes;
--install unpacks the library, as `falcoctl artifact install` would. To push what `make` has made, either of:
    skopeo copy --all oci:FOLDER:0.1.0 docker://REGISTRY/NAME:0.1.0
    oras cp --from-oci-layout FOLDER:0.1.0 REGISTRY/NAME:0.1.0
The same input gives the same bytes (SOURCE_DATE_EPOCH sets the times).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

NAME: Final = "edera"  # plugin_get_name(), and what a falco.yaml calls it
FILE: Final = "libedera_shim.so"
REQUIRES: Final = (("plugin_api_version", "3.4.0"),)  # as the shim says; falcoctl asks Falco's /versions
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
CONFIG: Final = "application/vnd.cncf.falco.plugin.config.v1+json"
LAYER: Final = "application/vnd.cncf.falco.plugin.layer.v1+tar.gz"
TITLE: Final = "org.opencontainers.image.title"
REF: Final = "org.opencontainers.image.ref.name"
PLATFORM: Final = re.compile(r"[a-z0-9]+/[a-z0-9]+")
# e_machine of the ELF header (elf.h)
MACHINES: Final = {"amd64": 62, "arm64": 183}
MAX_BLOB: Final = 64 << 20  # bytes; the library has a quarter of a megabyte


class OciError(Exception):
    """What is there is not the artifact that it should be; the text says where and why."""


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Store:
    """An OCI image layout's folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs" / "sha256"

    def add(self, media_type: str, data: bytes) -> dict[str, Any]:
        """Keep ``data``; its descriptor."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def get(self, descriptor: Any, *media_types: str) -> bytes:
        """What ``descriptor`` names. Raises OciError unless type, size and digest are right."""
        if not isinstance(descriptor, dict) or descriptor.get("mediaType") not in media_types:
            said = descriptor.get("mediaType") if isinstance(descriptor, dict) else descriptor
            raise OciError(f"media type is {said!r}, not {' or '.join(media_types)}")
        digest = str(descriptor.get("digest", ""))
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise OciError(f"digest {digest!r} is none that we know")
        try:
            data = (self.blobs / digest[7:]).read_bytes()
        except OSError as error:
            raise OciError(f"{digest}: {error.strerror}") from error
        if len(data) != descriptor.get("size") or len(data) > MAX_BLOB:
            raise OciError(f"{digest}: has {len(data)} bytes, the descriptor says {descriptor.get('size')}")
        if hashlib.sha256(data).hexdigest() != digest[7:]:
            raise OciError(f"{digest}: the bytes are others")
        return data


def layer(library: bytes) -> bytes:
    """The library, packed."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(FILE)
        info.size, info.mode, info.mtime = len(library), 0o755, int(epoch) if epoch.isdigit() else 0
        tar.addfile(info, io.BytesIO(library))
    return gzip.compress(packed.getvalue(), mtime=0)


def machine(library: bytes) -> int:
    """e_machine of a 64-bit little-endian ELF shared object. Raises OciError."""
    if library[:6] != b"\x7fELF\x02\x01" or int.from_bytes(library[16:18], "little") != 3:
        raise OciError("not a 64-bit little-endian ELF shared object")
    return int.from_bytes(library[18:20], "little")


def fits(library: bytes, platform: str) -> None:
    architecture = platform.partition("/")[2]
    if architecture in MACHINES and machine(library) != MACHINES[architecture]:
        raise OciError(f"{platform}: the library is for another machine (e_machine {machine(library)})")


def make(folder: Path, version: str, libraries: dict[str, Path]) -> None:
    """Raises OciError, OSError."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise OciError(f"version {version!r}: three numbers are needed, as plugin_get_version() has them")
    store = Store(folder)
    requirements = [{"name": name, "version": least} for name, least in REQUIRES]
    config = {"name": NAME, "version": version, "requirements": requirements, "dependencies": []}
    manifests = []
    for platform, path in sorted(libraries.items()):
        if not PLATFORM.fullmatch(platform):
            raise OciError(f"platform {platform!r}: OS/ARCHITECTURE is needed, such as linux/amd64")
        library = path.read_bytes()
        fits(library, platform)
        system, _, architecture = platform.partition("/")
        packed = {**store.add(LAYER, layer(library)), "annotations": {TITLE: f"{FILE}-{version}-{system}-{architecture}.tar.gz"}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": store.add(CONFIG, _json(config)), "layers": [packed]}
        manifests.append({**store.add(MANIFEST, _json(manifest)), "platform": {"os": system, "architecture": architecture}})
    index = store.add(INDEX, _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
    major, minor, _ = version.split(".")
    tags = (version, f"{major}.{minor}", major, "latest")
    entries = [{**index, "annotations": {REF: tag}} for tag in tags]
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))


def _parse(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise OciError(f"{what}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise OciError(f"{what}: not an object")
    return value


def pull(folder: Path, tag: str = "latest") -> dict[str, tuple[dict[str, Any], bytes]]:
    """Platform -> config and library, of what ``tag`` names. Raises OciError when falcoctl could not install it."""
    try:
        if _parse((folder / "oci-layout").read_bytes(), "oci-layout").get("imageLayoutVersion") != "1.0.0":
            raise OciError("oci-layout: not version 1.0.0")
        top = _parse((folder / "index.json").read_bytes(), "index.json")
    except OSError as error:
        raise OciError(f"{error.filename}: {error.strerror}") from error
    store = Store(folder)
    named = [one for one in top.get("manifests", []) if one.get("annotations", {}).get(REF) == tag]
    if len(named) != 1:
        raise OciError(f"index.json: {len(named)} entries have the tag {tag}")
    index = _parse(store.get(named[0], INDEX), "index")
    found: dict[str, tuple[dict[str, Any], bytes]] = {}
    for entry in index.get("manifests", []):
        platform = f"{entry['platform']['os']}/{entry['platform']['architecture']}"
        manifest = _parse(store.get(entry, MANIFEST), "manifest")
        config = _parse(store.get(manifest.get("config"), CONFIG), "config")
        layers = manifest.get("layers", [])
        if len(layers) != 1:
            raise OciError(f"{platform}: {len(layers)} layers; falcoctl takes one")
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(store.get(layers[0], LAYER)))) as tar:
            members = tar.getmembers()
            if [one.name for one in members] != [FILE] or not members[0].isreg():
                raise OciError(f"{platform}: the layer has {', '.join([one.name for one in members])}; {FILE} alone is expected")
            file = tar.extractfile(members[0])
            assert file is not None
            library = file.read(MAX_BLOB)
        fits(library, platform)
        if config.get("name") != NAME or not re.fullmatch(r"\d+\.\d+\.\d+", str(config.get("version"))):
            raise OciError(f"{platform}: the config names {config.get('name')!r} {config.get('version')!r}")
        found[platform] = (config, library)
    if not found:
        raise OciError("the index names no platform")
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = options.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make", help="make the artifact")
    maker.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    maker.add_argument("--version", required=True)
    maker.add_argument("libraries", nargs="+", metavar="OS/ARCH=LIB.so")
    checker = commands.add_parser("check", help="read it as falcoctl does")
    checker.add_argument("folder", type=Path)
    checker.add_argument("--tag", default="latest")
    checker.add_argument("--install", nargs=2, metavar=("OS/ARCH", "FILE"), help="write the library of this platform to FILE, by rename")
    args = options.parse_args()
    try:
        if args.command == "make":
            make(args.output, args.version, {word.partition("=")[0]: Path(word.partition("=")[2]) for word in args.libraries})
            print(f"{args.output}: {', '.join(sorted(pull(args.output)))}")
            return 0
        found = pull(args.folder, args.tag)
        if args.install:
            platform, target = args.install
            if platform not in found:
                raise OciError(f"{platform} is not in it; there are {', '.join(sorted(found))}")
            new = Path(f"{target}.new")
            new.write_bytes(found[platform][1])
            new.chmod(0o644)
            new.rename(target)
        for platform, (config, library) in sorted(found.items()):
            print(f"{platform}: {config['name']} {config['version']}, {len(library)} bytes")
    except (OciError, OSError) as error:
        print(f"oci: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
