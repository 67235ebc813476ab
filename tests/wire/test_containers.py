"""Containers without a server: what stays byte for byte, what is refused, and arbitrary bytes."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.codecs import CodecError
from pgnym.wire.containers import Revealed, Wrap, substitute

T, U, V = (b"pn1abc" + c * 24 for c in (b"a", b"b", b"c"))
PATTERN = re.compile(rb"pn1[a-z2-7]{27}")
TEXT, JSON, ARRAY, RECORD = Wrap.TEXT, Wrap.JSON, Wrap.ARRAY, Wrap.RECORD
KNOWN = {T: Revealed(b'a "b" \\ {c}, (d)\n'), U: Revealed(b"42", 23)}


def reveal(value: bytes, *wraps: Wrap, binary: bool = False, oid: int = 0) -> bytes:
    return substitute(value, int(binary), wraps, PATTERN, KNOWN.get, oid=oid)


@pytest.mark.parametrize(
    ("value", "wraps", "expected"),
    [
        (T, (), b'a "b" \\ {c}, (d)\n'),
        (V, (), V),
        (b"x" + T, (), b"x" + T),  # not all token: stays
        (b"{" + T + b"," + U + b"}", (ARRAY,), b'{"a \\"b\\" \\\\ {c}, (d)\n",42}'),
        (b"[0:1]={" + U + b",NULL}", (ARRAY,), b"[0:1]={42,NULL}"),
        (b'{"x ' + U + b'","' + U + b'"}', (ARRAY,), b'{"x ' + U + b'",42}'),
        (b"{{" + U + b"},{" + V + b"}}", (ARRAY,), b"{{42},{" + V + b"}}"),
        (b"(" + T + b",," + U + b")", (RECORD,), b'("a ""b"" \\\\ {c}, (d)\n",,42)'),
        (b'{"a":"' + T + b'"}', (JSON,), b'{"a":"a \\"b\\" \\\\ {c}, (d)\\n"}'),
        (b'{"a": "' + U + b'", "b": "x' + U + b'"}', (JSON,), b'{"a": 42, "b": "x' + U + b'"}'),
        (b'{"' + U + b'" : "' + U + b'"}', (JSON,), b'{"42" : 42}'),
        (b'{"a": "x' + U + b'"}', (JSON, TEXT), b'{"a": "x42"}'),
        (b'{"a": "\\"' + V + b'"}', (JSON, TEXT), b'{"a": "\\"' + V + b'"}'),
        (b"<" + U + b"|" + V + b">", (TEXT,), b"<42|" + V + b">"),
    ],
)
def test_text_forms(value: bytes, wraps: tuple[Wrap, ...], expected: bytes) -> None:
    assert reveal(value, *wraps) == expected


def test_jsonb_keys_are_put_in_order_again() -> None:
    value = b'{"zzzz": 1, "' + U + b'": 2}'
    assert reveal(value, JSON, oid=3802) == b'{"42": 2, "zzzz": 1}'
    assert reveal(b"\1" + value, JSON, binary=True, oid=3802) == b'\1{"42": 2, "zzzz": 1}'
    assert reveal(value, JSON, oid=114) == b'{"zzzz": 1, "42": 2}'


def test_a_planted_token_stays_where_the_plan_knows_whole_tokens_only() -> None:
    for value, wrap in (
        (b'{"say ' + U + b'"}', ARRAY),
        (b'("say ' + U + b'")', RECORD),
        (b'"say ' + U + b'"', JSON),
    ):
        assert reveal(value, wrap) == value


@pytest.mark.parametrize(
    ("value", "wraps", "binary"),
    [
        (U, (ARRAY,), False),
        (b"{" + U, (ARRAY,), False),
        (b"{" + U + b"}}", (ARRAY,), False),
        (b"{" + U + b"}{}", (ARRAY,), False),
        (b'{"' + U + b"}", (ARRAY,), False),
        (b"{{{{{{{" + U + b"}}}}}}}", (ARRAY,), False),
        (U, (RECORD,), False),
        (b"(" + U, (RECORD,), False),
        (b'("' + U + b")", (RECORD,), False),
        (b"(" + U + b")x)", (RECORD,), False),
        (b"\0\0\0\1" + U, (ARRAY,), True),
        (b"", (ARRAY,), True),
        (b"\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\x1f" + U, (ARRAY,), True),
        (b"\0\0\0\1\0\0\0\x19\0\0\0\x1f" + U, (RECORD,), True),
        (b"\0\0\0\0" + U, (RECORD,), True),
        (b'"' + U + b'"', (JSON,), True),
        (b"x {" + U + b"}", (TEXT, ARRAY), False),
    ],
)
def test_values_that_are_not_what_the_plan_says_are_refused(
    value: bytes, wraps: tuple[Wrap, ...], binary: bool
) -> None:
    with pytest.raises(CodecError) as refused:
        reveal(value, *wraps, binary=binary, oid=3802 if JSON in wraps else 0)
    assert b"pn1" not in refused.value.message.encode()


def test_binary_arrays_cannot_mix_tokens_and_typed_values() -> None:
    head = b"\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1"
    both = head + b"\0\0\0\x1e" + U + b"\0\0\0\x1e" + V
    with pytest.raises(CodecError) as refused:
        reveal(both, ARRAY, binary=True)
    assert refused.value.sqlstate == "0A000"
    texts = head + b"\0\0\0\x1e" + T + b"\0\0\0\x1e" + V
    assert V in reveal(texts, ARRAY, binary=True)


wraps = st.lists(st.sampled_from(list(Wrap)), max_size=3).map(tuple)
bits = st.sampled_from(
    [
        T,
        U,
        V,
        b"{",
        b"}",
        b"(",
        b")",
        b'"',
        b"\\",
        b",",
        b":",
        b" ",
        b"[0:1]=",
        b"a",
        b"\xc3",
        b"\0\0\0\x1e",
        b"\1",
    ]
)


@given(
    value=st.lists(bits, max_size=12).map(b"".join) | st.binary(max_size=30),
    wraps=wraps,
    binary=st.booleans(),
    oid=st.sampled_from([0, 25, 1009, 1007, 3802, 3807]),
)
def test_any_bytes_are_revealed_or_refused(
    value: bytes, wraps: tuple[Wrap, ...], binary: bool, oid: int
) -> None:
    with contextlib.suppress(CodecError):
        reveal(value, *wraps, binary=binary, oid=oid)
    with contextlib.suppress(CodecError):
        nothing = substitute(value, int(binary), wraps, PATTERN, {V: Revealed(b"")}.get)
        assert V not in value or nothing is not None


@given(value=st.lists(bits, max_size=12).map(b"".join), wraps=wraps, binary=st.booleans())
def test_nothing_revealed_is_nothing_changed(value: bytes, wraps: tuple[Wrap, ...], binary: bool) -> None:
    def nothing(token: bytes) -> None:
        return None

    with contextlib.suppress(CodecError):
        assert substitute(value, int(binary), wraps, PATTERN, nothing) == value


def test_values_stay_out_of_reprs() -> None:
    assert "secret" not in repr(Revealed(b"secret"))
