"""Paths, held against a reference written from the rule and not from the code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.state import paths
from edera_falcod.state.limits import MAX_PATH
from edera_falcod.state.paths import TOO_LONG, concatenate, shown


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        (b"/home/", b"x", b"/home/x"),
        (b"/home/", b"./x", b"/home/x"),
        (b"/home/", b"../x", b"/x"),
        (b"/home/", b"../../../x", b"/x"),
        (b"/home/u/", b"..", b"/home"),
        (b"/home/u/", b".", b"/home/u"),
        (b"/home/", b"a//b/./c/", b"/home/a/b/c"),
        (b"/home/", b".hidden", b"/home/.hidden"),
        (b"/home/", b"..rc", b"/home/..rc"),
        (b"/home/", b"a/...", b"/home/a/..."),
        (b"/home/", b"/etc/passwd", b"/etc/passwd"),
        (b"/home/", b"/etc/../etc/shadow", b"/etc/shadow"),
        (b"/home/", b"//etc///passwd", b"/etc/passwd"),
        (b"/home/", b"/", b"/"),
        (b"/home/", b"/..", b"/"),
        (b"/home/", b"/../../a", b"/a"),
        (b"/", b"x", b"/x"),
        (b"", b"x/y", b"x/y"),
        (b"", b"foo/../a", b"a"),
        (b"", b"foo/..//a", b"/a"),  # with no base to come back to, a slash at the start stays
        (b"foo/", b"../a", b"a"),  # all of the base was taken back: relative to it
        (b"foo/", b"..//a", b"a"),
        (b"", b"", b""),
        (b"/home/", b"", b""),
        (b".", b"/etc", b"/etc"),
        (b"<UNKNOWN>", b"f", b"<UNKNOWN>f"),
        (b"<UNKNOWN>", b"./f", b"<UNKNOWN>./f"),
        (b"/a/", b"\xff/../b", b"/a/b"),
    ],
)
@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_concatenates_as_libsinsp(monkeypatch: pytest.MonkeyPatch, way: bool, base: bytes, path: bytes, expected: bytes) -> None:
    monkeypatch.setattr(paths, "COMPILED", way)
    paths._memo.clear()
    assert concatenate(base, path) == expected


def test_what_is_too_long_says_so() -> None:
    assert concatenate(b"/", b"a" * (MAX_PATH - 2)) == b"/" + b"a" * (MAX_PATH - 2)
    assert concatenate(b"/", b"a" * (MAX_PATH - 1)) == TOO_LONG
    # The base counts even where an absolute path does not need it
    assert concatenate(b"/" + b"b" * 600 + b"/", b"/" + b"a" * 500) == TOO_LONG


def reference(components: list[str]) -> str:
    """An absolute path, component by component."""
    stack: list[str] = []
    for component in components:
        if component in ("", "."):
            continue
        if component == "..":
            if stack:
                stack.pop()
        else:
            stack.append(component)
    return "/" + "/".join(stack)


names = st.sampled_from(["a", "bc", "..", ".", "", ".x", "...", "a.b", "y..", "é"])


@given(st.lists(names, max_size=12), st.lists(names, max_size=12))
def test_property_absolute_paths(base: list[str], path: list[str]) -> None:
    directory = reference(base).encode()
    directory = directory if directory.endswith(b"/") else directory + b"/"
    relative = "/".join(path)
    expected = reference(base + path).encode() if relative else b""
    if not relative.startswith("/"):
        assert concatenate(directory, relative.encode()) == expected
    assert concatenate(directory, b"/" + relative.encode()) == reference(path).encode()


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_property_any_bytes(base: bytes, path: bytes) -> None:
    """Never fails, never grows, and what came out is stable."""
    out = concatenate(base, path)
    assert len(out) <= len(base) + len(path)
    absolute = concatenate(b"", b"/" + path)
    assert concatenate(b"", absolute) == absolute


def test_what_is_remembered_has_an_end() -> None:
    for number in range(paths.MAX_MEMO + 10):
        for _ in range(2):
            assert concatenate(b"/home/", b"./%d" % number) == b"/home/%d" % number
    assert 0 < len(paths._memo) <= paths.MAX_MEMO


def test_what_is_shown_is_safe_and_made_once() -> None:
    assert concatenate(b"/d/", b"a\x01b") == b"/d/a\x01b"
    first = shown(b"/d/", b"a\x01b")
    assert first == b"/d/a\xef\xbf\xbdb" and shown(b"/d/", b"a\x01b") is first
    assert shown(b"/d/", b"other") == b"/d/other" and shown(b"/e/", b"other") == b"/e/other"
    # What is not kept
    assert shown(b"/d/", b"") == b"" and shown(b"/", b"a" * MAX_PATH) == TOO_LONG
    assert shown(b"/d/", b"a\x01b") == first


def test_what_was_put_together_lately_is_known() -> None:
    for path, joined in ((b"./a", b"/d/a"), (b"../b", b"/b"), (b"./a", b"/d/a"), (b"../b", b"/b")):
        assert concatenate(b"/d/", path) == joined
