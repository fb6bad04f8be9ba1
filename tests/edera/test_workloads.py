"""What whoever makes an image or a workload may write into it: labels and annotations are read as far as limits let, and raise nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edera_falcod.edera.control import Workload, WorkloadSpec
from edera_falcod.edera.proto.control import AnnotationSpec, MountSpec
from edera_falcod.edera.sink import ZoneInfo
from edera_falcod.edera.workloads import MAX_CONFIG, MAX_PAIRS, MAX_PAIRS_TEXT, MAX_TEXT, image_labels, workload_info
from edera_falcod.enrich import labels_text, workload
from edera_falcod.falco.ring import MAX_RECORD


def config(labels: object) -> bytes:
    return json.dumps({"architecture": "amd64", "config": {"Env": ["A=b"], "Labels": labels}}).encode()


def test_labels_of_an_image_come_by_key() -> None:
    assert image_labels(config({"b": "2", "a": "1", "c": ""})) == (("a", "1"), ("b", "2"), ("c", ""))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b'{"config": null}', b'{"config": []}', b'{"config": {}}', b'{"Labels": {"a": "b"}}',
        config(None), config(["a"]), config("a"), config({"a": 1, "b": None, "c": ["d"], "e": {}}), b"[" * 200_000,
        b'{"config": {"Labels": ' + b'{"a":' * 100_000, b" " * MAX_CONFIG + config({"a": "b"}),
    ],
    ids=lambda data: repr(data[:24]),
)  # fmt: skip
def test_what_does_not_look_like_labels_is_none(data: bytes) -> None:
    assert image_labels(data) == ()


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert image_labels(b'{"config": {"Labels": {"a\\ud800": "\\udfff!"}}}') == (("a?", "?!"),)


def test_labels_have_limits() -> None:
    assert len(image_labels(config({f"{number:04}": "x" for number in range(2 * MAX_PAIRS)}))) == MAX_PAIRS
    assert image_labels(config({"k" * 2 * MAX_TEXT: "v" * 2 * MAX_TEXT})) == (("k" * MAX_TEXT, "v" * MAX_TEXT),)
    many = image_labels(config({f"{number:04}": "v" * MAX_TEXT for number in range(20)}))
    assert sum(len(key) + len(value) for key, value in many) <= MAX_PAIRS_TEXT < (len(many) + 1) * (MAX_TEXT + 4)


def test_no_workload_is_so_large_that_no_frame_holds_it() -> None:
    """Its events would all be lost as too large: whoever makes an image could have its processes unseen."""
    pairs = [(f"{number:04}", "\U0001f600" * 124) for number in range(MAX_PAIRS)]
    annotations = [AnnotationSpec(key=key, value=value) for key, value in pairs]
    mounts = [MountSpec(host_path=key, target_path=value) for key, value in pairs]
    made = Workload(id="w", spec=WorkloadSpec(zone_id="z", annotations=annotations, mounts=mounts))
    info = workload_info(made)
    assert info is not None
    info = replace(info, labels=image_labels(config(dict(pairs))))
    assert len(info.annotations) == len(info.mounts) == len(info.labels) == MAX_PAIRS_TEXT // 128
    assert MAX_RECORD // 2 < len(workload(info, ZoneInfo("z", "z"), ()).block(1).data) < MAX_RECORD


def test_labels_as_the_container_plugin_writes_them() -> None:
    assert labels_text(()) == ""
    assert labels_text((("a", "1"), ("annotation.x", "2"), ("b", ""), ("io.kubernetes.pod.name", "p"))) == "a:1, b"
