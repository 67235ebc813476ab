"""PostgreSQL is the oracle for array input: an array whose elements are mapped to themselves is the same
array.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus

from pgnym.wire.arrays import array_text_from_binary, map_array_binary, map_array_text
from pgnym.wire.codecs import CodecError
from support.cluster import Cluster

pytestmark = pytest.mark.server
relaxed = settings(
    max_examples=int(os.environ.get("PGNYM_WIRE_EXAMPLES", "400")),
    deadline=None,
    derandomize="PGNYM_WIRE_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def connection(postgres: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.url(), autocommit=True) as made:
        yield made


def read(connection: psycopg.Connection, value: bytes, binary: bool = False) -> bytes | None:
    """What the server makes of an array, None if it refuses it."""
    result = connection.pgconn.exec_params(b"SELECT $1::text[]", [value], result_format=int(binary))
    return result.get_value(0, 0) if result.status == ExecStatus.TUPLES_OK else None


bits = st.sampled_from(
    [
        "{",
        "{",
        "}",
        "}",
        ",",
        ",",
        '"',
        "\\",
        " ",
        "a",
        "b",
        "NULL",
        "null",
        "[0:1]=",
        "[2]=",
        "\n",
        "ä",
        '"x y"',
    ]
)
near = st.lists(st.sampled_from(['"a"', "b", ",", ",", "{", "}"]), max_size=5).map(
    lambda parts: "{" + "".join(parts) + "}"
)
flat = st.lists(st.text(st.sampled_from('ab,{}"\\ N'), max_size=4) | st.just("NULL"), max_size=4).map(
    lambda items: (
        "{"
        + ",".join(
            '"' + i.replace("\\", "\\\\").replace('"', '\\"') + '"' if i != "NULL" else i for i in items
        )
        + "}"
    )
)
nested = st.lists(st.sampled_from(["{a,b}", '{"x", NULL}', " { c , d e } ", "{}"]), max_size=3).map(
    lambda rows: "{" + ",".join(rows) + "}"
)


@relaxed
@given(value=st.lists(bits, max_size=9).map("".join) | near | flat | nested)
def test_text_arrays(connection: psycopg.Connection, value: str) -> None:
    seen: list[bytes] = []

    def same(element: bytes) -> bytes:
        seen.append(element)
        return element

    data = value.encode()
    expected = read(connection, data)
    try:
        mapped = map_array_text(data, same)
    except CodecError:
        assert expected is None, value
        return
    assert read(connection, mapped) == expected, (value, mapped)
    if expected is not None:
        result = connection.execute("SELECT e FROM unnest(%s::text[]) AS e WHERE e IS NOT NULL", (value,))
        assert [row[0].encode() for row in result] == seen


@relaxed
@given(value=flat | nested)
def test_binary_arrays(connection: psycopg.Connection, value: str) -> None:
    data = read(connection, value.encode(), binary=True)
    if data is not None:
        assert map_array_binary(data, bytes, 25) == data
        shown = array_text_from_binary(data, bytes)
        assert read(connection, shown, binary=True) == data
        assert read(connection, shown) == shown
