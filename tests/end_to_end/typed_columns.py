"""Every type that a protected column may have, with values, and values that its column refuses.

One table per type, ``t_<name> (id int PRIMARY KEY, c <type>)``: rows 1, 2, … hold the values, then one with NULL.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Typed:
    """``values`` and ``other``: as text input; ``other`` is in no row. ``bad``: (text input, SQLSTATE).

    ``as_text``: it can be cast to text (char(n), timestamptz and bytea can't).
    """

    name: str
    type: str
    values: tuple[str, ...]
    other: str
    bad: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    as_text: bool = True

    @property
    def table(self) -> str:
        """The table's name."""
        return f"t_{self.name}"


TYPES = (
    Typed("text", "text", ("x", "", "q'uo\"te\\ \t\n", "zoë"), "other"),
    Typed("varchar", "varchar(5)", ("abc", "", "ab é "), "five5", (("abcdef", "22001"),)),
    Typed("varchar_wide", "varchar(60)", ("abc", "x" * 60), "other", (("x" * 61, "22001"),)),
    Typed("varchar_any", "varchar", ("abc", "x" * 60), "other"),
    Typed("char", "char(4)", ("ab", "abcd", "é"), "zz", (("abcde", "22001"),), as_text=False),
    Typed("citext", "citext", ("lower", "case"), "other", options=(("normalize", "casefold"),)),
    Typed("date", "date", ("1962-02-18", "infinity", "0044-03-15 BC"), "2000-01-01",
          (("2023-02-30", "22008"), ("x", "22007"))),
    Typed("timestamp", "timestamp(3)", ("1999-12-31 23:59:59.999", "-infinity"), "2000-01-01 00:00:00",
          (("1999-13-01 00:00:00", "22008"), ("x", "22007"))),
    Typed("timestamptz", "timestamptz", ("2000-01-01 00:00:00+13", "1900-01-01 00:00:00+00"), "2001-01-01 00:00:00+00",
          (("x", "22007"),), as_text=False),
    Typed("int2", "smallint", ("-32768", "0", "7"), "12", (("32768", "22003"), ("x", "22P02"))),
    Typed("int4", "int", ("-1", "0", "2147483647"), "12", (("2147483648", "22003"), ("1.5", "22P02"))),
    Typed("int8", "bigint", ("9223372036854775807", "-5"), "12", (("9223372036854775808", "22003"), ("", "22P02"))),
    Typed("numeric", "numeric(8,2)", ("1.50", "NaN", "-0.01"), "7.00", (("1234567.00", "22003"), ("x", "22P02"))),
    Typed("float4", "real", ("1.5", "-0.1", "1e+20", "NaN"), "7", (("1e40", "22003"), ("x", "22P02"))),
    Typed("float8", "double precision", ("0.1", "1e-300", "Infinity", "123456789012345"), "7",
          (("1e400", "22003"), ("x", "22P02"))),
    Typed("uuid", "uuid", ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",), "00000000-0000-4000-8000-000000000001",
          (("a0eebc99", "22P02"),)),
    Typed("inet", "inet", ("10.1.2.3", "::1/64", "10.0.0.0/8"), "192.168.0.1", (("10.1.2.300", "22P02"),)),
    Typed("bytea", "bytea", ("\\x00ff", "\\x"), "\\xabcd", (("\\x0", "22023"),), as_text=False),
    Typed("jsonb", "jsonb", ('{"a": [1, null], "b": "é"}', "null", '"text"'), '{"z": 1}', (("{", "22P02"),)),
    Typed("texts", "text[]", ('{a,"b c","q\\"u\\\\o",NULL,"NULL",""}', "{}", "[2:3][0:1]={{a,b},{c,d}}"), "{other}",
          (("{a", "22P02"), ("a", "22P02"))),
    Typed("varchars", "varchar(5)[]", ("{abc}", "{ab,NULL,\"\"}"), "{five5}", (("{abc,abcdef}", "22001"),)),
    Typed("varchars_any", "varchar[]", ("{abc,NULL}",), "{other}"),
    Typed("chars", "char(3)[]", ("{ab,abc}",), "{z}", (("{abcd}", "22001"),), as_text=False),
    Typed("ints", "int[]", ("{1,-5,NULL}", "{}", "{{1,2},{3,4}}"), "{7}", (("{x}", "22P02"), ("{2147483648}", "22003"))),
    Typed("dates", "date[]", ("{1962-02-18,infinity}", "{NULL}"), "{2000-01-01}", (("{2023-02-30}", "22008"),)),
    Typed("numerics", "numeric(8,2)[]", ("{1.50,NaN}",), "{7.00}", (("{1234567}", "22003"),)),
    Typed("uuids", "uuid[]", ("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",), "{}", (("{x}", "22P02"),)),
)  # fmt: skip

BY_NAME = {typed.name: typed for typed in TYPES}


def quoted(value: str) -> str:
    """A string constant."""
    return "'" + value.replace("'", "''") + "'"


def schema() -> str:
    """All tables, filled."""
    parts = ["CREATE EXTENSION citext"]
    for typed in TYPES:
        parts.append(f"CREATE TABLE {typed.table} (id int PRIMARY KEY, c {typed.type})")
        values = [quoted(v) for v in typed.values] + ["NULL"]
        parts += [f"INSERT INTO {typed.table} VALUES ({i}, {v})" for i, v in enumerate(values, 1)]
    return ";".join(parts)


def protected() -> dict[str, object]:
    """All of them protected."""
    return {f"public.{t.table}": {"columns": {"c": dict(t.options)}} for t in TYPES}
