"""PostgreSQL is the oracle: what it reads from and writes to COPY streams is what the codecs read and write."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgnym.wire.copy import CopyOptions, Marker, Value, copy_codec
from pgnym.wire.errors import CodecError
from support.cluster import Cluster

pytestmark = pytest.mark.server
relaxed = settings(
    max_examples=int(os.environ.get("PGNYM_WIRE_EXAMPLES", "300")),
    deadline=None,
    derandomize="PGNYM_WIRE_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WIDTH = 2


@pytest.fixture(scope="module")
def connection(postgres: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.url(), autocommit=True) as made:
        made.execute("CREATE TEMPORARY TABLE t (id serial, a text DEFAULT 'the default', b text)")
        yield made


def literal(text: bytes) -> str:
    return "E'" + "".join(f"\\x{byte:02x}" for byte in text) + "'"


def clause(options: CopyOptions) -> str:
    """The options as SQL."""
    parts = [f"FORMAT {options.format}"]
    if options.format != "binary":
        parts += [f"DELIMITER {literal(options.delimiter)}", f"NULL {literal(options.null)}"]
        parts += ["HEADER"] * bool(options.header)
    if options.format == "csv":
        parts += [f"QUOTE {literal(options.quote)}", f"ESCAPE {literal(options.escape)}"]
    for name, columns in (("FORCE_NULL", options.force_null), ("FORCE_NOT_NULL", options.force_not_null)):
        if columns:
            parts.append(f"{name} ({', '.join('ab'[c] for c in sorted(columns))})")
    if options.default is not None:
        parts.append(f"DEFAULT {literal(options.default)}")
    return ", ".join(parts)


@st.composite
def option_sets(draw: st.DrawFn, incoming: bool) -> CopyOptions:
    form = draw(st.sampled_from(["text", "csv", "csv", "binary"]))
    if form == "binary":
        return CopyOptions(WIDTH, "binary")
    header = draw(st.booleans())
    default = draw(st.sampled_from([None, b"DEF"])) if incoming else None
    null = draw(st.sampled_from([b"\\N", b"", b"NUL"]))
    if form == "text":
        return CopyOptions(
            WIDTH, "text", draw(st.sampled_from([b"\t", b";", b"|"])), null, header=header, default=default
        )
    quote, escape = draw(st.sampled_from([(b'"', b'"'), (b"'", b"\\"), (b'"', b"'"), (b"q", b"q")]))
    return CopyOptions(
        WIDTH,
        "csv",
        draw(st.sampled_from([b",", b";", b"x"])),
        null,
        quote,
        escape,
        header,
        draw(st.frozensets(st.sampled_from([0, 1]))) if incoming else frozenset(),
        draw(st.frozensets(st.sampled_from([0, 1]))) if incoming else frozenset(),
        default,
        end_marker=False,  # the embedded server is 18 or later
    )


cells = (
    st.none()
    | st.text(st.sampled_from("abqxN\\\"',;|\t\n\r. \b\v\x01ä"), max_size=6)
    | st.sampled_from(["NUL", "\\N", "\\."])
)


@relaxed
@given(options=option_sets(False), table=st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
def test_copy_to(
    connection: psycopg.Connection, options: CopyOptions, table: list[tuple[str | None, str | None]]
) -> None:
    with connection.transaction(force_rollback=True):
        connection.cursor().executemany("INSERT INTO t (a, b) VALUES (%s, %s)", table)
        with connection.cursor().copy(
            f"COPY (SELECT a, b FROM t ORDER BY id) TO STDOUT ({clause(options)})"
        ) as stream:
            raw = b"".join(bytes(chunk) for chunk in stream)
    codec = copy_codec(options)
    batches = [codec.feed(raw), codec.finish()]
    read = codec.read(batches[0].rows + batches[1].rows, [0, 1])
    wanted = [[None if v is None else v.encode() for v in column] for column in zip(*table, strict=True)]
    if options.format == "binary" or options.null == b"\\N" or options.format == "csv":
        # Otherwise the format itself can't tell NULL from a value that is spelled like it.
        assert read.values == wanted
    assert (
        batches[0].head
        + b"".join(codec.join(r, f) for r, f in zip(read.rows, read.fields, strict=True))
        + b"".join(b.tail for b in batches)
        == raw
    )
    for rows, fields in zip(table, read.fields, strict=True):
        for value, field in zip(rows, fields, strict=True):
            assert codec.encode(None if value is None else value.encode(), b"") == field


pieces = st.sampled_from(
    [
        "a",
        "b",
        "q",
        "x",
        "\\",
        "\\",
        '"',
        '"',
        "'",
        ",",
        ";",
        "|",
        "\t",
        "\\N",
        "NUL",
        "DEF",
        "\\.",
        "\\x4",
        "\\1",
        " ",
        "ä",
        "\\\n",
        "\r",
    ]
)
lines = st.lists(pieces, max_size=7).map("".join)


@relaxed
@given(
    options=option_sets(True),
    table=st.lists(st.tuples(lines, lines), min_size=1, max_size=3),
    cut=st.integers(1, 20),
)
def test_copy_from(
    connection: psycopg.Connection, options: CopyOptions, table: list[tuple[str, str]], cut: int
) -> None:
    """Where the server takes a stream, it takes the values that the codec reads; streams are anything."""
    if options.format == "binary":
        return
    separator = options.delimiter.decode()
    raw = "".join(f"{a}{separator}{b}\n" for a, b in table).encode()
    try:
        with connection.transaction(force_rollback=True):
            with connection.cursor().copy(f"COPY t (a, b) FROM STDIN ({clause(options)})") as stream:
                stream.write(raw)
            rows = connection.execute("SELECT a, b FROM t ORDER BY id").fetchall()
    except psycopg.DatabaseError:
        accepted = None
    else:
        accepted = [[None if v is None else v.encode() for v in row] for row in rows]
    codec = copy_codec(options)
    found: list[list[Value]] = []
    try:
        for batch in (codec.feed(raw[:cut]), codec.feed(raw[cut:]), codec.finish()):
            read = codec.read(batch.rows, [0, 1])
            found += [list(row) for row in zip(*read.values, strict=True)]
    except CodecError as refused:
        assert accepted is None, (raw, refused.message)  # noqa: PT017
        return
    if accepted is None:
        return  # the server sees more that is wrong (encoding, stray CR); it gets the same stream and says so
    default: list[bytes | None] = [b"the default", None]
    assert [
        [default[i] if isinstance(v, Marker) else v for i, v in enumerate(row)] for row in found
    ] == accepted


@relaxed
@given(table=st.lists(st.tuples(cells, cells), max_size=4), cut=st.integers(1, 60))
def test_binary_copy_from(
    connection: psycopg.Connection, table: list[tuple[str | None, str | None]], cut: int
) -> None:
    """Rows rebuilt by the codec are rows for the server."""
    with connection.transaction(force_rollback=True):
        connection.cursor().executemany("INSERT INTO t (a, b) VALUES (%s, %s)", table)
        with connection.cursor().copy(
            "COPY (SELECT a, b FROM t ORDER BY id) TO STDOUT (FORMAT binary)"
        ) as stream:
            raw = b"".join(bytes(chunk) for chunk in stream)
        codec = copy_codec(CopyOptions(WIDTH, "binary"))
        connection.execute("DELETE FROM t")
        with connection.cursor().copy("COPY t (a, b) FROM STDIN (FORMAT binary)") as sink:
            for batch in (codec.feed(raw[:cut]), codec.feed(raw[cut:]), codec.finish()):
                read = codec.read(batch.rows, [1])
                new = [[None if v is None else b"token" for v in read.values[0]]]
                sink.write(batch.head + b"".join(read.build(new)) + batch.tail)
        rows = connection.execute("SELECT a, b FROM t ORDER BY id").fetchall()
    assert rows == [(a, None if b is None else "token") for a, b in table]
