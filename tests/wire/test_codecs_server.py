"""PostgreSQL is the oracle: what it makes of an input, as text and binary, is what the codec makes of it.

Where the server accepts a value the codec must give the same or refuse it as not understood (0A000); where
the server refuses, the codec must refuse too, with the same SQLSTATE.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus

from pgnym.wire.codecs import (
    CODECS,
    CodecError,
    Settings,
    array_oid,
    binary_from_canonical,
    canonical_from_binary,
    canonical_from_text,
    cast_truncate,
    element_oid,
    fold,
    identity,
    length_check,
    text_from_canonical,
)
from support.cluster import Cluster

pytestmark = pytest.mark.server
EXAMPLES = int(os.environ.get("PGNYM_WIRE_EXAMPLES", "150"))
relaxed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="PGNYM_WIRE_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ODD: dict[str, list[str]] = json.loads(Path(__file__).with_name("odd_values.json").read_text())
"""Spellings worth trying, by kind of value: each is accepted somewhere, or nearly."""

TYPES = {
    25: "text",
    1043: "varchar",
    1042: "bpchar",
    19: "name",
    16: "boolean",
    21: "smallint",
    23: "integer",
    20: "bigint",
    700: "real",
    701: "double precision",
    1700: "numeric",
    1082: "date",
    1114: "timestamp",
    1184: "timestamptz",
    2950: "uuid",
    17: "bytea",
    869: "inet",
    650: "cidr",
    114: "json",
    3802: "jsonb",
}


class Oracle:
    """A connection that answers in raw bytes, or with a SQLSTATE."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.run("SET TimeZone = 'UTC'")
        self.run("SET DateStyle = 'ISO, MDY'")

    def run(
        self, sql: str, *values: bytes | None, binary: bool = False, formats: list[int] | None = None
    ) -> bytes:
        """The first column of the first row. Raises ``CodecError`` with the server's SQLSTATE."""
        result = self.connection.pgconn.exec_params(
            sql.encode(), list(values), param_formats=formats, result_format=int(binary)
        )
        if result.status == ExecStatus.FATAL_ERROR:
            raise CodecError(result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode(), "server")  # type: ignore[union-attr]
        return result.get_value(0, 0) or b"" if result.ntuples else b""


@pytest.fixture(scope="module")
def oracle(postgres: Cluster) -> Iterator[Oracle]:
    made = Oracle(postgres.url())
    yield made
    made.connection.close()


def outcome(call: Callable[[], bytes]) -> bytes | str:
    """What a call returns, or the SQLSTATE it is refused with."""
    try:
        return call()
    except CodecError as refused:
        return refused.sqlstate


def agree(oracle: Oracle, oid: int, value: bytes) -> bytes | None:
    """Compare text input, both outputs and binary input; the canonical value, or None if it was refused."""
    cast = f"SELECT $1::{TYPES[oid]}"
    expected = outcome(lambda: oracle.run(cast, value))
    canonical = outcome(lambda: canonical_from_text(oid, -1, value))
    if {canonical, expected} in ({"22P02", "22003"}, {"22008", "22009"}):
        return None  # wrong in two ways: which is noticed first is of no account
    assert canonical in (expected, "0A000"), value
    if isinstance(canonical, str):
        return None
    binary = oracle.run(cast, value, binary=True)
    assert binary_from_canonical(oid, -1, canonical) == binary, value
    assert canonical_from_binary(oid, -1, binary) == canonical, value
    assert canonical_from_text(oid, -1, canonical) == canonical
    return canonical


def understood(oracle: Oracle, oid: int, value: bytes) -> bytes:
    """As ``agree``, for values that must be accepted."""
    canonical = agree(oracle, oid, value)
    assert canonical is not None, value
    return canonical


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
spaces = st.sampled_from(["", " ", "\t", "  \n"])


@relaxed
@given(oid=st.sampled_from([25, 1043, 1042, 19]), value=texts)
def test_text_types(oracle: Oracle, oid: int, value: str) -> None:
    understood(oracle, oid, value.encode())


@relaxed
@given(value=st.text(st.sampled_from("aä€😀"), min_size=55, max_size=70))
def test_names_are_cut_at_a_character(oracle: Oracle, value: str) -> None:
    understood(oracle, 19, value.encode())


@relaxed
@given(
    oid=st.sampled_from([1043, 1042]),
    limit=st.integers(1, 12),
    value=st.text(st.sampled_from("aä€ "), max_size=16),
)
def test_character_lengths(oracle: Oracle, oid: int, limit: int, value: str) -> None:
    name = TYPES[oid].replace("bp", "")
    oracle.run(f"CREATE TEMPORARY TABLE IF NOT EXISTS {name}_{limit} (c {name}({limit}))")
    typmod = limit + 4
    data = value.encode()
    cast = cast_truncate(oid, typmod, data)
    assert oracle.run(f"SELECT $1::text::{name}({limit})", data) == text_from_canonical(oid, typmod, cast)
    stored = outcome(lambda: oracle.run(f"INSERT INTO {name}_{limit} VALUES ($1::text) RETURNING c", data))
    assert outcome(lambda: length_check(oid, typmod, data)) == stored


@relaxed
@given(
    value=st.sampled_from(ODD["boolean"]),
    space=spaces,
)
def test_booleans(oracle: Oracle, value: str, space: str) -> None:
    agree(oracle, 16, (space + value + space).encode())


integers = st.one_of(
    st.integers(-(2**65), 2**65),
    st.sampled_from([2**15, 2**15 - 1, -(2**15), 2**31, 2**31 - 1, -(2**31) - 1, 2**63, 2**63 - 1, -(2**63)]),
).map(str)
odd_numbers = st.one_of(
    st.text(st.sampled_from("0123456789+-_.eExobaf "), max_size=12),
    st.sampled_from(ODD["integer"]),
)


@relaxed
@given(oid=st.sampled_from([21, 23, 20]), value=integers | odd_numbers, space=spaces)
def test_integers(oracle: Oracle, oid: int, value: str, space: str) -> None:
    agree(oracle, oid, (space + value + space).encode())


numerics = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: f"{d:f}"),
    st.tuples(st.integers(-(10**40), 10**40), st.integers(-60, 60)).map(lambda p: f"{p[0]}e{p[1]}"),
    st.sampled_from(ODD["numeric"]),
    odd_numbers,
)


@relaxed
@given(value=numerics, space=spaces)
def test_numerics(oracle: Oracle, value: str, space: str) -> None:
    agree(oracle, 1700, (space + value + space).encode())


@relaxed
@given(value=numerics, precision=st.integers(1, 20), scale=st.integers(-5, 22))
def test_numeric_modifiers(oracle: Oracle, value: str, precision: int, scale: int) -> None:
    try:
        canonical = canonical_from_text(1700, -1, value.encode())
    except CodecError:
        return
    typmod = (precision << 16 | scale & 0x7FF) + 4
    cast = f"SELECT $1::numeric({precision},{scale})"
    fitted = outcome(lambda: length_check(1700, typmod, canonical))
    expected = outcome(lambda: oracle.run(cast, canonical))
    assert fitted == expected, value
    if isinstance(fitted, str):
        return
    assert text_from_canonical(1700, typmod, fitted) == expected
    assert binary_from_canonical(1700, typmod, fitted) == oracle.run(cast, canonical, binary=True)


@relaxed
@given(left=numerics, right=numerics)
def test_numeric_identity_is_equality(oracle: Oracle, left: str, right: str) -> None:
    for other in (right, left + "0" if "." in left and "e" not in left.lower() else left):
        try:
            pair = [canonical_from_text(1700, -1, v.encode()) for v in (left, other)]
        except CodecError:
            continue
        equal = oracle.run("SELECT $1::numeric = $2::numeric", *pair) == b"t"
        assert (identity(1700, pair[0]) == identity(1700, pair[1])) is equal


floats = st.one_of(
    st.floats(width=64).map(repr),
    st.floats(width=32).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(ODD["float"]),
)


@relaxed
@given(oid=st.sampled_from([700, 701]), value=floats, space=spaces)
def test_floats(oracle: Oracle, oid: int, value: str, space: str) -> None:
    agree(oracle, oid, (space + value + space).encode())


@relaxed
@given(bits=st.binary(min_size=4, max_size=4))
def test_every_real(oracle: Oracle, bits: bytes) -> None:
    if not math.isnan(struct.unpack("!f", bits)[0]):
        expected = oracle.run("SELECT $1::real::text", bits, formats=[1])
        assert canonical_from_binary(700, -1, bits) == expected
        assert binary_from_canonical(700, -1, expected) == bits


years = st.one_of(st.integers(1, 9999), st.integers(1, 300_000))


@st.composite
def moments(draw: st.DrawFn) -> str:
    """A timestamp in one of the ways that ISO 8601 and clients write one."""
    year = draw(years)
    if year < 1000 or draw(st.booleans()):
        day = f"{year:04d}-{draw(st.integers(1, 12)):02d}-{draw(st.integers(1, 31)):02d}"
    else:
        separator = draw(st.sampled_from("-/"))
        day = separator.join(map(str, (year, draw(st.integers(1, 13)), draw(st.integers(1, 29)))))
    clock = ""
    if draw(st.booleans()):
        hour, minute, second = draw(st.integers(0, 25)), draw(st.integers(0, 60)), draw(st.integers(0, 61))
        clock = draw(st.sampled_from(" T t"))[0] + f"{hour:02d}:{minute:02d}"
        if draw(st.booleans()):
            clock += f":{second:02d}" + draw(
                st.sampled_from(["", ".5", ".123456", ".1234565", ".9999999", ".000001", "."])
            )
        clock += draw(st.sampled_from(ODD["zone"]))
    return day + clock + draw(st.sampled_from(["", "", "", " BC", " AD", " bc"]))


special_days = st.sampled_from(ODD["date"])


@relaxed
@given(oid=st.sampled_from([1082, 1114, 1184]), value=moments() | special_days, space=spaces)
def test_dates_and_times(oracle: Oracle, oid: int, value: str, space: str) -> None:
    agree(oracle, oid, (space + value + space).encode())


@relaxed
@given(oid=st.sampled_from([1114, 1184]), value=st.datetimes(), text=st.booleans())
def test_usual_timestamps_are_understood(oracle: Oracle, oid: int, value: datetime, text: bool) -> None:
    understood(oracle, oid, (value.isoformat() if text else str(value)).encode())


@relaxed
@given(value=st.dates())
def test_usual_dates_are_understood(oracle: Oracle, value: date) -> None:
    assert understood(oracle, 1082, str(value).encode()) == str(value).encode()


@relaxed
@given(
    days=st.integers(-2_451_545, 2_145_031_948),
    micros=st.integers(-211_813_488_000_000_000, 9_223_371_331_200_000_000 - 1),
)
def test_all_binary_dates(oracle: Oracle, days: int, micros: int) -> None:
    packed = struct.pack("!i", days)
    assert canonical_from_binary(1082, -1, packed) == oracle.run("SELECT $1::date::text", packed, formats=[1])
    packed = struct.pack("!q", micros)
    assert canonical_from_binary(1114, -1, packed) == oracle.run(
        "SELECT $1::timestamp::text", packed, formats=[1]
    )


@relaxed
@given(value=st.datetimes(), digits=st.integers(0, 6), oid=st.sampled_from([1114, 1184]))
def test_timestamp_precision(oracle: Oracle, value: datetime, digits: int, oid: int) -> None:
    canonical = canonical_from_text(oid, -1, str(value).encode())
    name = (
        TYPES[oid]
        .replace("timestamptz", "timestamp with time zone")
        .replace("timestamp", f"timestamp({digits})", 1)
    )
    assert length_check(oid, digits, canonical) == oracle.run(f"SELECT $1::{name}", canonical)


ZONES = [
    "UTC",
    "Europe/Vienna",
    "America/New_York",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Africa/Monrovia",
    "Asia/Tehran",
]
near_changes = st.sampled_from(
    [datetime(2020, 3, 29, 1), datetime(2020, 10, 25, 1), datetime(2021, 3, 14, 7), datetime(2021, 11, 7, 6)]
)
instants = st.one_of(
    st.datetimes(),
    st.tuples(near_changes, st.integers(-200, 200)).map(lambda p: p[0] + timedelta(minutes=p[1])),
)


@relaxed
@given(
    zone=st.sampled_from(ZONES),
    style=st.sampled_from(["ISO", "SQL", "Postgres", "German"]),
    order=st.sampled_from(["MDY", "DMY", "YMD"]),
    value=instants,
    era=st.sampled_from(["", "", " BC"]),
)
def test_output_follows_the_session(
    oracle: Oracle, zone: str, style: str, order: str, value: datetime, era: str
) -> None:
    written = str(value) + era
    session = Settings.of(f"{style}, {order}", zone)
    for oid in (1082, 1114, 1184):
        try:
            canonical = canonical_from_text(
                oid, -1, (written + ("+00" if oid == 1184 else "")).replace(" BC+00", "+00 BC").encode()
            )
        except CodecError:
            continue  # 29 February of a year BC that has none
        sql = f"SELECT $1::{TYPES[oid]}"
        oracle.run(f"SET TimeZone = '{zone}'")
        oracle.run(f"SET DateStyle = '{style}, {order}'")
        try:
            expected = oracle.run(sql, canonical)
        finally:
            oracle.run("SET TimeZone = 'UTC'")
            oracle.run("SET DateStyle = 'ISO, MDY'")
        assert text_from_canonical(oid, -1, canonical, session) == expected


@relaxed
@given(zone=st.sampled_from(ZONES), value=instants)
def test_input_follows_the_time_zone(oracle: Oracle, zone: str, value: datetime) -> None:
    oracle.run(f"SET TimeZone = '{zone}'")
    try:
        expected = oracle.run(
            "SELECT ($1::timestamptz AT TIME ZONE 'UTC')::text || '+00'", str(value).encode()
        )
    finally:
        oracle.run("SET TimeZone = 'UTC'")
    found = canonical_from_text(1184, -1, str(value).encode(), Settings.of(timezone=zone))
    assert found.replace(b"+00 BC", b" BC+00") == expected


@relaxed
@given(value=st.uuids(), change=st.sampled_from(["plain", "upper", "braces", "bare", "fours", "bad", "half"]))
def test_uuids(oracle: Oracle, value: object, change: str) -> None:
    text = str(value)
    bare = text.replace("-", "")
    spelled = {
        "plain": text,
        "upper": text.upper(),
        "braces": "{" + text + "}",
        "bare": bare,
        "fours": "-".join(bare[i : i + 4] for i in range(0, 32, 4)),
        "bad": text[:-1] + "g",
        "half": "{" + text,
    }[change]
    assert (agree(oracle, 2950, spelled.encode()) is None) is (change in ("bad", "half"))


@relaxed
@given(value=st.binary(max_size=30))
def test_bytea(oracle: Oracle, value: bytes) -> None:
    canonical = understood(oracle, 17, b"\\x" + value.hex().upper().encode())
    oracle.run("SET bytea_output = 'escape'")
    try:
        escaped = oracle.run("SELECT $1::bytea", canonical)
    finally:
        oracle.run("SET bytea_output = 'hex'")
    assert text_from_canonical(17, -1, canonical, Settings.of(bytea_output="escape")) == escaped
    assert understood(oracle, 17, escaped) == canonical


@relaxed
@given(
    value=st.text(st.sampled_from("\\x0123789abZ \t\n"), max_size=12)
    | st.sampled_from(["\\x1 2", "\\x12 34", "\\x 12", "\\400", "\\\\"])
)
def test_odd_bytea(oracle: Oracle, value: str) -> None:
    agree(oracle, 17, value.encode())


addresses = st.one_of(
    st.ip_addresses().map(str),
    st.tuples(st.ip_addresses(v=4), st.integers(0, 33)).map(lambda p: f"{p[0]}/{p[1]}"),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 129)).map(lambda p: f"{p[0]}/{p[1]}"),
    st.lists(st.sampled_from(["0", "0", "0", "ffff", "1", "abc"]), min_size=8, max_size=8).map(":".join),
    st.tuples(
        st.lists(st.integers(0, 260).map(str), min_size=1, max_size=5).map(".".join),
        st.sampled_from(["", "/8", "/16", "/4"]),
    ).map("".join),
    st.sampled_from(ODD["address"]),
)


@relaxed
@given(oid=st.sampled_from([869, 650]), value=addresses)
def test_addresses(oracle: Oracle, oid: int, value: str) -> None:
    agree(oracle, oid, value.encode())


json_numbers = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["-0", "1.50", "1e5", "1E-3", "-0.0"]),
)
json_strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@st.composite
def jsons(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON text with odd spacing, escapes and duplicate keys."""
    gap = draw(st.sampled_from(["", " ", "\n\t"]))
    kind = draw(st.sampled_from(["number", "string", "word"] + (["object", "array"] * 2 if depth else [])))
    if kind == "number":
        return gap + draw(json_numbers)
    if kind == "string":
        return gap + json.dumps(draw(json_strings), ensure_ascii=draw(st.booleans()))
    if kind == "word":
        return draw(st.sampled_from(["null", "true", "false"])) + gap
    items = [draw(jsons(depth - 1)) for _ in range(draw(st.integers(0, 3)))]
    if kind == "array":
        return f"[{gap}{','.join(items)}{gap}]"
    keys = [json.dumps(draw(st.sampled_from(["a", "b", "aa", "ä", "", "Z"]) | json_strings)) for _ in items]
    return f"{{{gap}{f'{gap},'.join(f'{k}{gap}:{v}' for k, v in zip(keys, items, strict=True))}}}"


@relaxed
@given(value=jsons())
def test_json(oracle: Oracle, value: str) -> None:
    understood(oracle, 114, value.encode())
    understood(oracle, 3802, value.encode())


@relaxed
@given(
    oid=st.sampled_from([114, 3802]),
    value=st.one_of(
        st.text(st.sampled_from('{}[]",:\\u0dD8c1-+.eE tnrueflas'), max_size=10),
        st.sampled_from(ODD["json"]),
    ),
)
def test_odd_json(oracle: Oracle, oid: int, value: str) -> None:
    agree(oracle, oid, value.encode())


@relaxed
@given(left=jsons(1), right=jsons(1))
def test_jsonb_identity_is_equality(oracle: Oracle, left: str, right: str) -> None:
    for other in (right, left.replace(".5", ".50").replace("1e", "1.0e")):
        try:
            pair = [canonical_from_text(3802, -1, v.encode()) for v in (left, other)]
        except CodecError:
            continue  # the change hit an escape
        equal = oracle.run("SELECT $1::jsonb = $2::jsonb", *pair) == b"t"
        assert (identity(3802, pair[0]) == identity(3802, pair[1])) is equal


@relaxed
@given(value=st.characters(min_codepoint=0x80, exclude_categories=["Cs", "Cn"]))
def test_fold_is_lower(oracle: Oracle, value: str) -> None:
    lowered = oracle.run('SELECT lower($1::text COLLATE "pg_c_utf8")', ("ab" + value + "C").encode())
    assert fold(("AB" + value + "C").encode()) == lowered


def test_deep_json_is_an_error_not_a_crash() -> None:
    with pytest.raises(CodecError) as refused:
        canonical_from_text(3802, -1, b"[" * 100_000 + b"]" * 100_000)
    assert refused.value.sqlstate == "54001"


def test_table_of_types_is_that_of_the_server(oracle: Oracle) -> None:
    for oid, codec in CODECS.items():
        row = oracle.run(
            "SELECT concat_ws(chr(124), format_type(oid, NULL), typarray::oid::int8, typlen)"
            " FROM pg_type WHERE oid = $1::int8::oid",
            str(oid).encode(),
        )
        assert row.decode() == f"{codec.name}|{codec.array_oid}|{codec.size}"
        assert array_oid(oid) == codec.array_oid
        assert element_oid(codec.array_oid) == oid
