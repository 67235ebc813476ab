"""PostgreSQL is the oracle: an expression over a token, revealed, is the same expression over the value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus

from pgnym.wire.codecs import Settings, array_oid, canonical_from_text
from pgnym.wire.containers import Revealed, Wrap, substitute
from support.cluster import Cluster

pytestmark = pytest.mark.server
EXAMPLES = int(os.environ.get("PGNYM_WIRE_EXAMPLES", "300"))
relaxed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TOKEN = b"pn1abc" + b"a2c4e6" * 4
PATTERN = re.compile(rb"pn1[a-z2-7]{27}")
TEXT, JSON, ARRAY, RECORD = Wrap.TEXT, Wrap.JSON, Wrap.ARRAY, Wrap.RECORD
JSONB = 3802
TYPES = {
    25: "text",
    1043: "varchar",
    16: "boolean",
    23: "integer",
    20: "bigint",
    1700: "numeric",
    1082: "date",
    1114: "timestamp",
    1184: "timestamptz",
    2950: "uuid",
    869: "inet",
    17: "bytea",
    3802: "jsonb",
}

KEY = "json_build_object(x, 2)"
# Expression over x, what stands around x in its result, whether the result is jsonb.
TYPED: list[tuple[str, tuple[Wrap, ...], int]] = [
    ("x", (), 0),
    ("ARRAY[x, NULL, x]", (ARRAY,), 0),
    ("ARRAY[[x, NULL], [NULL, x]]", (ARRAY,), 0),
    ("ROW(x, NULL, 'o''clock, \"x\" ()', 7)", (RECORD,), 0),
    ("ROW(ARRAY[x], 'a b')", (RECORD, ARRAY), 0),
    ("ARRAY[ROW(x, '')]", (ARRAY, RECORD), 0),
    ("ROW(ROW(x, 1), 2)", (RECORD, RECORD), 0),
    ("to_json(x)", (JSON,), 0),
    ("to_jsonb(x)", (JSON,), JSONB),
    ("json_build_object('a', x, 'b', 'c')", (JSON,), 0),
    ("jsonb_build_object('key', x, 'b', jsonb_build_array(x, 1, NULL))", (JSON,), JSONB),
    ("jsonb_build_object('zz', 1, x::text, 2)", (JSON, TEXT), JSONB),
    ("json_build_object(x::text, 2)", (JSON, TEXT), 0),
    (KEY, (JSON,), 0),
    ("x::text", (TEXT,), 0),
    ("ARRAY[x::text]", (ARRAY, TEXT), 0),
    ("json_build_object('a', x::text)", (JSON, TEXT), 0),
    ("row_to_json(ROW(x, 'y'))", (JSON,), 0),
    ("to_jsonb(ARRAY[x])", (JSON,), JSONB),
    ("ARRAY[json_build_object('a', x)]::text[]", (ARRAY, JSON), 0),
    ("ROW(jsonb_build_object('a', x))", (RECORD, JSON), 0),
    ("json_build_array(ROW(x, 1)::text)", (JSON, RECORD), 0),
    ("json_build_object('n', ARRAY[x, x]::text)", (JSON, ARRAY), 0),
    ("'{\"q\": ' || to_json(x)::text || '}'", (TEXT, JSON), 0),
    ("ARRAY[x]::text", (TEXT, ARRAY), 0),
]
PLAIN: list[tuple[str, tuple[Wrap, ...], int]] = [
    ("'<' || x || '> ' || x", (TEXT,), 0),
    ("ARRAY['a' || x, 'no', NULL, x]", (ARRAY, TEXT), 0),
    ("ROW('a' || x, x)", (RECORD, TEXT), 0),
    ("json_build_object('a', 'b\"' || x, 'c', x)", (JSON, TEXT), 0),
    ("jsonb_build_object('a', x || '\\')", (JSON, TEXT), JSONB),
    ("ARRAY[ROW(json_build_object('a', 'x ' || x)::text)]", (ARRAY, RECORD, JSON, TEXT), 0),
    ("'[2:3]={1,2}'::int[]::text || x", (TEXT,), 0),
]

values: dict[int, st.SearchStrategy[str]] = {
    25: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(
        ["", "NULL", "null", "a b", "{}", "(", '"', "\\", ",", "\x01", "\x7f", "\xa0", "\u2028", "</a>"]
    ),
    16: st.sampled_from(["t", "f"]),
    23: st.integers(-(2**31), 2**31 - 1).map(str),
    20: st.integers(-(2**63), 2**63 - 1).map(str),
    1700: st.decimals(-1000, 1000, places=2).map(str) | st.just("NaN"),
    1082: st.dates().map(str) | st.sampled_from(["infinity", "0044-03-15 BC"]),
    1114: st.datetimes().map(str) | st.just("-infinity"),
    1184: st.datetimes().map(str) | st.just("0044-03-15 00:00 BC"),
    2950: st.uuids().map(str),
    869: st.ip_addresses().map(str),
    17: st.binary(max_size=6).map(lambda b: "\\x" + b.hex()),
    3802: st.sampled_from(['{"a": [1, "b\\""]}', "[]", '"s"', "1.50", "null"]),
}
values[1043] = values[25]


def nothing(token: bytes) -> None:
    """Reveals no token."""


@pytest.fixture(scope="module")
def connection(postgres: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.url(), autocommit=True) as made:
        made.execute("SET DateStyle = 'ISO, MDY'")
        yield made


def evaluate(
    connection: psycopg.Connection, expression: str, type_name: str, value: bytes, binary: bool
) -> bytes:
    """The expression with ``value`` of the type as x."""
    sql = f"SELECT {expression} FROM (SELECT $1::{type_name} AS x) AS t"
    result = connection.pgconn.exec_params(sql.encode(), [value], result_format=int(binary))
    assert result.status == ExecStatus.TUPLES_OK, result.error_message
    found = result.get_value(0, 0)
    assert found is not None
    return found


def revealed_is_plain(
    connection: psycopg.Connection,
    case: tuple[str, tuple[Wrap, ...], int],
    oid: int,
    value: bytes,
    binary: bool,
    zone: str = "UTC",
) -> None:
    expression, wraps, shown = case
    connection.execute(f"SET TimeZone = '{zone}'")
    expected = evaluate(connection, expression, TYPES[oid], value, binary)
    with_token = evaluate(connection, expression, "text", TOKEN, binary)
    session = Settings.of(timezone=zone)
    known = {TOKEN: Revealed(canonical_from_text(oid, -1, value, session), oid)}
    if wraps[:1] == (ARRAY,):
        shown = array_oid(oid) if len(wraps) == 1 else 0
    assert substitute(with_token, int(binary), wraps, PATTERN, known.get, session, shown) == expected
    assert substitute(with_token, int(binary), wraps, PATTERN, nothing, session) == with_token


@st.composite
def typed(draw: st.DrawFn) -> tuple[int, bytes]:
    oid = draw(st.sampled_from(list(TYPES)))
    return oid, draw(values[oid]).encode()


@relaxed
@given(
    case=st.sampled_from(TYPED),
    value=typed(),
    binary=st.booleans(),
    zone=st.sampled_from(["UTC", "Europe/Vienna", "Asia/Kathmandu"]),
)
def test_typed_values_in_containers(
    connection: psycopg.Connection,
    case: tuple[str, tuple[Wrap, ...], int],
    value: tuple[int, bytes],
    binary: bool,
    zone: str,
) -> None:
    assume(case[0] != KEY or value[0] != JSONB)  # a key must be a scalar
    revealed_is_plain(connection, case, *value, binary, zone)


@relaxed
@given(case=st.sampled_from(PLAIN), value=values[25], binary=st.booleans())
def test_text_around_tokens(
    connection: psycopg.Connection, case: tuple[str, tuple[Wrap, ...], int], value: str, binary: bool
) -> None:
    revealed_is_plain(connection, case, 25, value.encode(), binary)


def test_array_bounds_are_kept(connection: psycopg.Connection) -> None:
    expression = "('[3:4]={' || x || ',NULL}')::text[]"
    for binary in (False, True):
        with_token = evaluate(connection, expression, "text", TOKEN, binary)
        expected = evaluate(connection, expression, "text", b"plain", binary)
        assert (
            substitute(with_token, int(binary), (ARRAY,), PATTERN, {TOKEN: Revealed(b"plain")}.get)
            == expected
        )


def test_empty_binary_array_names_the_original_type(connection: psycopg.Connection) -> None:
    empty = evaluate(connection, "(ARRAY[x])[5:6]", "text", TOKEN, True)
    expected = evaluate(connection, "(ARRAY[x])[5:6]", "integer", b"1", True)
    assert substitute(empty, 1, (ARRAY,), PATTERN, nothing, oid=array_oid(23)) == expected
