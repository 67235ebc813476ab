"""One row is found and rebuilt as ``datarow`` finds and rebuilds many; odd rows are left to it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.datarow import TokenColumn, TokenShape, collect, rebuild
from pgnym.wire.messages import build_data_row
from pgnym.wire.one_row import find_tokens, is_one_row, replace_tokens

SHAPE = TokenShape(re.compile(rb"pn1[a-z2-7]{27}"), 30)
TOKENS = [b"pn1" + bytes([letter]) * 27 for letter in b"abc"]
VALUES = (
    st.none()
    | st.sampled_from([*TOKENS, b"", b"x" * 30, TOKENS[0][:-1], TOKENS[0] + b"a"])
    | st.binary(max_size=40)
)


@given(
    row=st.lists(VALUES, min_size=1, max_size=6),
    data=st.data(),
    new=st.dictionaries(st.sampled_from(TOKENS), st.binary(max_size=300)),
)
def test_it_agrees_with_datarow(
    row: list[bytes | None], data: st.DataObject, new: dict[bytes, bytes]
) -> None:
    columns = sorted(data.draw(st.sets(st.integers(0, len(row) - 1), min_size=1)))
    message = build_data_row(row)
    assert is_one_row(message)
    assert not is_one_row(message * 2)
    spots = find_tokens(message, columns, SHAPE)
    assert spots is not None
    found = collect(message, [TokenColumn(c) for c in columns], SHAPE)
    tokens: list[set[bytes]] = [set() for _ in columns]
    for which, _, token in spots:
        tokens[which].add(token)
    assert tokens == found.tokens
    assert replace_tokens(message, spots, [new.get(token) for _, _, token in spots]) == rebuild(
        found, [new] * len(columns)
    )


@given(row=st.lists(VALUES, min_size=2, max_size=4), cut=st.integers(1, 60))
def test_a_row_that_is_not_whole_is_left_alone(row: list[bytes | None], cut: int) -> None:
    message = build_data_row(row)[:-cut]
    if len(message) >= 7:
        spots = find_tokens(message, [len(row) - 1], SHAPE)
        assert not spots or all(message[p + 4 : p + 34] == token for _, p, token in spots)


def test_a_row_with_fewer_columns_or_a_bad_length_is_left_alone() -> None:
    assert find_tokens(build_data_row([b"a"]), [1], SHAPE) is None
    bad = bytearray(build_data_row([b"a", TOKENS[0]]))
    bad[7:11] = b"\xff\xff\xff\xfe"
    assert find_tokens(bytes(bad), [1], SHAPE) is None
