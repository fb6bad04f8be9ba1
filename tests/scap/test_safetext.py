"""Safe text is valid UTF-8 without unprintables, exactly as libs 0.25.4 makes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edera_falcod.scap import safetext
from edera_falcod.scap.safetext import is_printable, safe

R = b"\xef\xbf\xbd"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", b""),
        (b"hello world~", b"hello world~"),
        ("diákrïtik 诶 😀".encode(), "diákrïtik 诶 😀".encode()),
        ("\u00a0\u2028\u200b\ue000".encode(), "\u00a0\u2028\u200b\ue000".encode()),  # odd but no control, no non-character
        (b"a\x01\x1fb", b"a" + R + R + b"b"),
        (b"a\tb\nc\0d", b"a" + R + b"b" + R + b"c" + R + b"d"),
        (b"a\x7fb", b"a" + R + b"b"),
        (b"a\xc2\x85b", b"a" + R + b"b"),
        (b"\xc3\xa9\n", b"\xc3\xa9" + R),
        (b"a\xff\xfeb", b"a" + R + R + b"b"),
        (b"\x80", R),
        (b"\xc0\xaf", R + R),  # overlong: each byte on its own
        (b"\xef\xb7\x90\xef\xbf\xbf", R + R),  # U+FDD0, U+FFFF
        (b"\xf0\x9f\xbf\xbe", R),  # U+1FFFE
        (b"\xe1\x80x", R + b"x"),  # a broken sequence is one part as far as it was right
        (b"a\xe1\x80", b"a" + R),
        (b"\xed\xa0\x80", R * 3),  # surrogate
        (b"\xe0\x9f\xbf", R * 3),  # overlong
        (b"\xf4\x90\x80\x80", R * 4),  # beyond U+10FFFF
        (b"\xf0\x9f\x98", R),
        (b"\xf5abc", R + b"abc"),
    ],
)
@pytest.mark.parametrize("way", [False, True], ids=["interpreted", "as compiled"])
def test_cases(monkeypatch: pytest.MonkeyPatch, way: bool, raw: bytes, expected: bytes) -> None:
    monkeypatch.setattr(safetext, "COMPILED", way)
    assert safe(raw) == expected
    assert is_printable(raw) == (raw == expected and raw.isascii())


def sequence(data: bytes, at: int) -> tuple[bool, int]:
    """The rule of the reference, spelled out: (is the sequence at ``at`` good, how many bytes it takes)."""
    lead = data[at]
    if lead < 0x80:
        return 0x20 <= lead != 0x7F, 1
    if lead < 0xC2 or lead > 0xF4:
        return False, 1
    need = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
    low = {0xE0: 0xA0, 0xF0: 0x90}.get(lead, 0x80)
    high = {0xED: 0x9F, 0xF4: 0x8F}.get(lead, 0xBF)
    taken = 1
    code = lead & (0x3F >> need)
    for byte in data[at + 1 : at + 1 + need]:
        if not low <= byte <= high:
            break
        low, high = 0x80, 0xBF
        code = code << 6 | byte & 0x3F
        taken += 1
    if taken <= need:
        return False, taken
    return not (code <= 0x9F or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE), taken


def spelled_out(data: bytes) -> bytes:
    parts = []
    at = 0
    while at < len(data):
        good, taken = sequence(data, at)
        parts.append(data[at : at + taken] if good else R)
        at += taken
    return b"".join(parts)


TEXT = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.text(max_size=8).map(lambda text: text.encode("utf-8", "replace")),
        st.sampled_from([b"\xe1\x80", b"\xf0\x9f\xbf", b"\xef\xbf\xbe", b"\xc2\x80", b"\xed\xa0\x80", b"\xf4\x8f\xbf\xbf", b"abc", b"\n"]),
    ),
    max_size=8,
).map(b"".join)


@given(TEXT)
def test_same_as_the_rule(data: bytes) -> None:
    made = safe(data)
    assert made == spelled_out(data)
    assert made.decode() is not None
    assert safe(made) == made
