"""Reveal in chunks of rows: the same as row by row, whatever the rows look like."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.datarow import TokenColumn, TokenShape, collect, rebuild
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.messages import build_data_row
from pgnym.wire.reader import framed

SHAPE = TokenShape(re.compile(rb"pn1[a-z2-7]{27}"), 30)
TOKENS = [b"pn1abc" + bytes([c]) * 24 for c in b"abcd"]
VALUES = {token: b"value %d" % i * i for i, token in enumerate(TOKENS)}

cells = st.one_of(
    st.none(),
    st.sampled_from(TOKENS),
    st.sampled_from([b"", b"x", b"pn1", TOKENS[0][:-1], TOKENS[0] + b"a", b"\0\0\0\x1e" + TOKENS[0]]),
    st.lists(st.sampled_from([*TOKENS, b" ", b"{\0"]), max_size=3).map(b"".join),
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[bytes | None]]:
    width = draw(st.integers(1, 5))
    return draw(
        st.lists(st.lists(cells, min_size=width - draw(st.integers(0, 1)), max_size=width), max_size=6)
    )


def splice(value: bytes) -> bytes:
    return SHAPE.pattern.sub(lambda found: VALUES.get(found.group(), found.group()), value)


@given(
    table=tables(),
    interest=st.dictionaries(st.integers(0, 5), st.booleans(), max_size=4),
    before=st.binary(max_size=3),
    after=st.binary(max_size=3),
)
def test_same_as_row_by_row(
    table: list[list[bytes | None]], interest: dict[int, bool], before: bytes, after: bytes
) -> None:
    columns = [TokenColumn(index, interest[index]) for index in sorted(interest)]
    chunk = b"".join(map(build_data_row, table))
    buffer = bytearray(before + chunk + after)
    found = collect(buffer, columns, SHAPE, len(before), len(before) + len(chunk))
    expected = [list(row) for row in table]
    tokens: list[set[bytes]] = [set() for _ in columns]
    for row in expected:
        for position, column in enumerate(columns):
            value = row[column.index] if column.index < len(row) else None
            if value is None:
                continue
            if not column.whole:
                tokens[position].update(SHAPE.pattern.findall(value))
                row[column.index] = splice(value)
            elif SHAPE.pattern.fullmatch(value):
                tokens[position].add(value)
                row[column.index] = VALUES[value]
    for position, column in enumerate(columns):
        assert found.tokens[position] >= tokens[position]
        assert column.whole or found.tokens[position] == tokens[position]
    replacements = [VALUES if column.whole else splice for column in columns]
    assert rebuild(found, replacements) == b"".join(map(build_data_row, expected))
    assert rebuild(found, [{} if column.whole else bytes for column in columns]) == chunk


def test_only_the_columns_of_interest_are_revealed() -> None:
    chunk = build_data_row([TOKENS[0], TOKENS[1]])
    found = collect(chunk, [TokenColumn(1)], SHAPE)
    assert found.tokens == [{TOKENS[1]}]
    assert rebuild(found, [VALUES]) == build_data_row([TOKENS[0], VALUES[TOKENS[1]]])


def test_chunk_without_tokens_is_given_back() -> None:
    chunk = build_data_row([b"a", None]) * 3
    found = collect(chunk, [TokenColumn(0)], SHAPE)
    assert found.empty
    assert rebuild(found, [VALUES]) is found.chunk


def test_a_token_that_may_not_be_revealed_stays() -> None:
    chunk = build_data_row([TOKENS[0], TOKENS[1]])
    found = collect(chunk, [TokenColumn(0), TokenColumn(1)], SHAPE)
    assert rebuild(found, [{TOKENS[0]: b"x"}, {}]) == build_data_row([b"x", TOKENS[1]])


def test_binary_values_are_replaced_like_text() -> None:
    chunk = build_data_row([TOKENS[0], b"\0\0\0\x05"])
    found = collect(chunk, [TokenColumn(0)], SHAPE)
    assert rebuild(found, [{TOKENS[0]: b"\0\0\0\x2a"}]) == build_data_row([b"\0\0\0\x2a", b"\0\0\0\x05"])


@pytest.mark.parametrize(
    ("chunk", "problem"),
    [
        (framed(0x44, b"\0\1\0\0\0\x1f" + TOKENS[0]), "value beyond message"),
        (framed(0x44, b"\0\1\xff\xff\xff\xfe" + TOKENS[0]), "negative value length"),
        (framed(0x44, b"\0\1\x7f\xff\xff\xff" + TOKENS[0]), "value beyond message"),
        (framed(0x44, b"\0\2\0\0\0\x1e" + TOKENS[0]), "message too short"),
        (framed(0x54, b"\0\1\0\0\0\x1e" + TOKENS[0]), "not a complete DataRow"),
        (framed(0x44, b"\0\1\0\0\0\x1e" + TOKENS[0])[:-1] + b"" + TOKENS[0][:0], "not a complete DataRow"),
    ],
)
def test_malformed_rows_are_refused(chunk: bytes, problem: str) -> None:
    if problem == "not a complete DataRow" and chunk[:1] == b"D":
        chunk = build_data_row([TOKENS[0]]) + chunk
    with pytest.raises(ProtocolViolation) as refused:
        collect(chunk, [TokenColumn(0), TokenColumn(1)], SHAPE)
    assert "DataRow" in refused.value.message


@given(chunk=st.binary(max_size=60), index=st.integers(0, 3), start=st.integers(0, 40))
def test_any_bytes_are_rows_or_a_violation(chunk: bytes, index: int, start: int) -> None:
    broken = chunk[:start] + TOKENS[0] + chunk[start:]
    with contextlib.suppress(ProtocolViolation):
        collect(broken, [TokenColumn(index)], SHAPE)
    with contextlib.suppress(ProtocolViolation):
        collect(framed(0x44, broken), [TokenColumn(index)], SHAPE)


def test_columns_must_ascend() -> None:
    with pytest.raises(ValueError, match="ascend"):
        collect(build_data_row([TOKENS[0]] * 3), [TokenColumn(2), TokenColumn(1)], SHAPE)
    with pytest.raises(ValueError, match="groups"):
        TokenShape(re.compile(rb"(pn1)"), 3)
