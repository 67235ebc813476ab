"""Array input without a server: elements are parted by commas, or the array is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.arrays import map_array_binary, map_array_text
from pgnym.wire.codecs import CodecError


def marked(element: bytes) -> bytes:
    return b"<" + element + b">"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"{}", b"{}"),
        (b' { "a" , b c , NULL} ', b'{<a>,"<b c>",NULL}'),
        (b'{"NULL",null}', b"{<NULL>,NULL}"),
        (b"[2:3]={a,b}", b"[2:3]={<a>,<b>}"),
        (b"{{a,b},{c,d}}", b"{{<a>,<b>},{<c>,<d>}}"),
        (rb'{a\,b,"\"c\\"}', rb'{"<a,b>","<\"c\\>"}'),
    ],
)
def test_elements_are_mapped(value: bytes, expected: bytes) -> None:
    assert map_array_text(value, marked) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"a",
        b"{",
        b"}",
        b"{a",
        b"{a}}",
        b"{}{}",
        b'{"a"b}',
        b'{a"b"}',
        b'{"a""b"}',
        b"{{a}b}",
        b"{a{b}}",
        b'{"a}',
        b"{a\\",
    ],
)
def test_malformed_arrays_are_refused(value: bytes) -> None:
    with pytest.raises(CodecError) as refused:
        map_array_text(value, marked)
    assert refused.value.sqlstate == "22P02"


@given(
    value=st.binary(max_size=30) | st.text(st.sampled_from('{},"\\ a[]:=1N'), max_size=12).map(str.encode),
    count=st.integers(0, 2),
)
def test_any_bytes_are_an_array_or_refused(value: bytes, count: int) -> None:
    with contextlib.suppress(CodecError):
        map_array_text(value, marked)
    with contextlib.suppress(CodecError):
        map_array_binary(count.to_bytes(4, "big") + bytes(4 + 4 + 8 * count) + value, marked, 25)
