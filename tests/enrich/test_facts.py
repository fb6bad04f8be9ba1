"""What is made of the Edera daemon's messages: limits, image references, annotation keys, control groups."""

from __future__ import annotations

import pytest

from edera_falcod.config import ANNOTATION_KEYS, EderaConfig
from edera_falcod.edera import workloads as w
from edera_falcod.edera.control import (
    AnnotationSpec,
    MountSpec,
    OciImageInfo,
    OciImageSpec,
    Workload,
    WorkloadSpec,
    WorkloadState,
    WorkloadStatus,
)
from edera_falcod.edera.sink import ZoneInfo
from edera_falcod.enrich import from_annotations, workload
from edera_falcod.fields import slots
from edera_falcod.fields.workload import names


def message(id: str = "w", zone: str = "z", **spec: object) -> Workload:
    return Workload(id=id, spec=WorkloadSpec(zone_id=zone, **spec))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("nginx", ("nginx", "", "")),
        ("nginx:1.27", ("nginx", "1.27", "")),
        ("registry:5000/a/b", ("registry:5000/a/b", "", "")),
        ("registry:5000/a/b:tag@sha256:ab", ("registry:5000/a/b", "tag", "sha256:ab")),
        ("a@sha256:ab", ("a", "", "sha256:ab")),
        ("", ("", "", "")),
        (":x", ("", "x", "")),
    ],
)
def test_image_references(reference: str, parts: tuple[str, str, str]) -> None:
    assert w.split_reference(reference) == parts


def test_a_reference_with_a_tag_is_the_name_that_people_know() -> None:
    directory = w.Directory()
    directory.update(message(image=OciImageSpec(digest="d")))
    directory._take_images([OciImageInfo(digest="d", names=["a@sha256:x", "b:1", "c:2"]), OciImageInfo(digest="e", names=["unused"])])
    assert directory.of("z")[0].image == "b:1" and "e" not in directory._images


@pytest.mark.parametrize(
    ("path", "id", "named"),
    [
        (b"cpu=/kubepods/pod1/abc", b"abc", True),
        (b"cpu=/system.slice/cri-containerd-abc.scope", b"abc", True),
        (b"cpu=/abc/init", b"abc", True),
        (b"cpu=/abcd", b"abc", False),
        (b"cpu=/xabc", b"abc", False),
        (b"cpu=/xabc/abc", b"abc", True),
        (b"cpu=/", b"abc", False),
        (b"abc", b"abc", True),
    ],
)
def test_a_control_group_names_an_id_whole(path: bytes, id: bytes, named: bool) -> None:
    assert names(path, id) is named


def test_keys_in_their_order_the_workloads_before_the_zones() -> None:
    keys = ("k8s.pod.name=a", "k8s.pod.name=b", "k8s.ns.name=n")
    assert from_annotations(keys, (("b", "2"),), (("a", "1"), ("n", "3"))) == {"k8s.pod.name": "1", "k8s.ns.name": "3"}
    assert from_annotations(keys, (("a", ""), ("b", "2")), ()) == {"k8s.pod.name": "2"}
    assert from_annotations(keys, (("a", "own"),), (("a", "zone"),)) == {"k8s.pod.name": "own"}
    assert from_annotations(ANNOTATION_KEYS, (("io.kubernetes.cri.sandbox-name", "p"),)) == {"k8s.pod.name": "p"}
    assert EderaConfig().annotation_keys == ANNOTATION_KEYS


def test_nothing_is_guessed() -> None:
    """A workload of which only the id is known, in a zone without address."""
    made = workload(w.WorkloadInfo("w", "z"), ZoneInfo("z"), ANNOTATION_KEYS)
    assert (made.name, made.image, made.privileged, made.start_ts, made.mounts_known, made.texts) == (b"", b"", -1, 0, False, {})
    made = workload(w.WorkloadInfo("w", "z", annotations=(("io.kubernetes.pod.namespace", "n"),)), ZoneInfo("z"), ANNOTATION_KEYS)
    assert slots.K8S_NS_NAME not in made.texts  # a namespace without a pod is none of Kubernetes


@pytest.mark.parametrize("state", ["COMPLETED", "DESTROYING", "DESTROYED", "FAILED", "OOMKILLED"])
def test_what_runs_no_more_is_gone(state: str) -> None:
    directory = w.Directory()
    directory.update(message())
    assert directory.take_changed() == {"z"} and len(directory.of("z")) == 1
    ended = message()
    ended.status = WorkloadStatus(state=WorkloadState.from_string(state))
    directory.update(ended)
    assert directory.take_changed() == {"z"} and not directory.of("z")
    directory.update(ended)
    assert not directory.take_changed()


def test_a_workload_that_moves_changes_both_zones() -> None:
    directory = w.Directory()
    directory.update(message(zone="a"))
    directory.take_changed()
    directory.update(message(zone="b"))
    assert directory.take_changed() == {"a", "b"} and not directory.of("a")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts are cut, further pairs left out, and workloads beyond the limit counted; those that are known may change."""
    lengths = [w.MAX_TEXT + 1, *[8] * w.MAX_PAIRS]
    many = [AnnotationSpec(key=f"k{number}", value="v" * length) for number, length in enumerate(lengths)]
    mounts = [MountSpec(host_path="p" * length, target_path="t") for length in lengths]
    info = w.workload_info(message(name="n" * (w.MAX_TEXT + 1), annotations=many, mounts=mounts))
    assert info is not None and len(info.name) == w.MAX_TEXT
    assert len(info.annotations) == len(info.mounts) == w.MAX_PAIRS
    assert len(info.annotations[0][1]) == len(info.mounts[0][0]) == w.MAX_TEXT
    monkeypatch.setattr(w, "MAX_WORKLOADS", 2)
    directory = w.Directory()
    for number in range(4):
        directory.update(message(f"w{number}"))
    assert [info.id for info in directory.of("z")] == ["w0", "w1"] and directory.over_limit == 2
    directory.update(message("w1", name="changed"))
    assert directory.of("z")[1].name == "changed" and directory.over_limit == 2


def test_what_says_nothing_of_a_zone_is_no_workload() -> None:
    assert w.workload_info(Workload(id="w")) is None
    assert w.workload_info(Workload(spec=WorkloadSpec(zone_id="z"))) is None
    assert w.workload_info(message(zone="")) is None
