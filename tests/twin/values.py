"""The types of the columns, and values for them: awkward ones, most with a canary that no file may hold.

A value is text as PostgreSQL takes it and gives it back under DateStyle ISO and TimeZone UTC, in one spelling: of two
spellings of one number pgnym shows the first (docs/limits.md).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

CANARY = "zq"  # how a canary begins
_LETTERS = "abcdefghijkmnprstuvwxy0123456789"
COMMON = ("", "x", "Ada", "ada", "b c", "naïve")  # texts without canary, which may stand anywhere


@dataclass(frozen=True, slots=True)
class Typed:
    """A type of columns. ``family``: what can be done with it; ``size``: of texts, in characters."""

    sql: str
    base: str
    family: str
    oid: int
    size: int = 0


TYPES = {
    t.sql: t
    for t in (
        Typed("text", "text", "text", 25),
        Typed("varchar(40)", "varchar", "text", 1043, 40),
        Typed("varchar(12)", "varchar", "text", 1043, 12),
        Typed("varchar", "varchar", "text", 1043),
        Typed("char(5)", "char(5)", "char", 1042, 5),
        Typed("date", "date", "date", 1082),
        Typed("timestamp", "timestamp", "timestamp", 1114),
        Typed("timestamptz", "timestamptz", "timestamptz", 1184),
        Typed("smallint", "smallint", "int", 21),
        Typed("int", "int", "int", 23),
        Typed("bigint", "bigint", "int", 20),
        Typed("numeric(8,2)", "numeric", "numeric", 1700),
        Typed("real", "real", "float", 700),
        Typed("double precision", "float8", "float", 701),
        Typed("uuid", "uuid", "uuid", 2950),
        Typed("inet", "inet", "inet", 869),
        Typed("bytea", "bytea", "bytea", 17),
        Typed("jsonb", "jsonb", "jsonb", 3802),
        Typed("text[]", "text[]", "texts", 1009),
        Typed("int[]", "int[]", "ints", 1007),
        Typed("boolean", "boolean", "boolean", 16),
        Typed("pg_catalog.jsonb", "jsonb", "document", 3802),  # of which parts are protected
        Typed("citext", "citext", "citext", 0),
    )
}

_FRAMES = (
    "{}",
    "{}",
    "{}@example.org",
    "Ann {}",
    "o'{}",
    "\\{}",
    "zoë{}",
    "50%{}",
    "a_{}",
    "{}\nb",
    "日本{}",
    '"{}"',
    " {} ",
    "{}😀",
    "{}\t.",
    "$1{}",
    "--{}",
    "{};",
    "ß{}",
    "{} \\'",
)


def canary(rng: random.Random) -> str:
    """A text that occurs nowhere by chance."""
    return CANARY + "".join(rng.choices(_LETTERS, k=7))


def text(rng: random.Random, size: int) -> str:
    """A text with a canary, of at most ``size`` characters unless that is 0."""
    found = rng.choice(_FRAMES).format(canary(rng))
    if not size and rng.random() < 0.05:
        found += "x" * rng.choice((300, 3000))
    if rng.random() < 0.15:
        found = found.upper()
    return found if not size or len(found) <= size else canary(rng)


def value(rng: random.Random, typed: Typed) -> str:
    """A value of a type."""
    match typed.family:
        case "text":
            return rng.choice(COMMON) if rng.random() < 0.25 else text(rng, typed.size)
        case "char":
            return rng.choice(("AB", "ab", "C", "é", "abcde", "a b", "x%", "z_'"))
        case "date":
            return rng.choice(
                ("1815-12-10", "2000-02-29", "1999-12-31", "infinity", "0044-03-15 BC", _day(rng))
            )
        case "timestamp":
            return rng.choice(
                ("2001-02-03 04:05:06", "1999-12-31 23:59:59.999", "infinity", f"{_day(rng)} 12:00:00")
            )
        case "timestamptz":
            return rng.choice(
                ("2001-02-03 04:05:06+00", "1900-01-01 00:00:00+00", "-infinity", f"{_day(rng)} 07:30:00+00")
            )
        case "int":
            return str(rng.choice((0, 7, -3, 12, 100, rng.randint(-9999, 9999))))
        case "numeric":
            return f"{rng.choice((0, 1.5, -0.01, 100, rng.randint(-99999, 99999) / 100)):.2f}"
        case "float":
            return rng.choice(("0.5", "-1.5", "1e+20", "NaN", "Infinity", "7", f"{rng.randint(1, 99)}.25"))
        case "uuid":
            return f"{rng.randint(0, 6):08x}-0000-4000-8000-00000000000{rng.randint(0, 3)}"
        case "inet":
            return rng.choice(("10.1.2.3", "::1", "10.0.0.0/8", f"192.168.0.{rng.randint(1, 9)}"))
        case "bytea":
            return "\\x" + rng.choice((b"", b"\x00\xff", canary(rng).encode())).hex()
        case "jsonb":
            inner = canary(rng)
            return rng.choice(
                (
                    '{"a": 1}',
                    "null",
                    "[]",
                    f'{{"a": "{inner}", "b": [1, null]}}',
                    f'["{inner}"]',
                    f'"{inner}"',
                )
            )
        case "document":
            return _document(rng)
        case "citext":  # which is shown as it is stored: in lower case
            return rng.choice(COMMON).lower() if rng.random() < 0.25 else text(rng, 0).lower()
        case "texts":
            inner = canary(rng)
            return rng.choice(
                (
                    "{}",
                    "{x}",
                    f"{{{inner},NULL}}",
                    f'{{"","a {inner}"}}',
                    f"{{x,{inner},x}}",
                    '{"b c","q\\"o"}',
                )
            )
        case "ints":
            return rng.choice(("{}", "{1,2}", "{7,NULL}", f"{{{rng.randint(0, 99)}}}"))
        case "boolean":
            return rng.choice(("t", "f"))
    raise ValueError(typed.family)


PATHS = ("mail", "tags[*]", "a.b")
"""What is protected of a document."""


def _document(rng: random.Random) -> str:
    one, two = canary(rng), rng.choice(("x", "Ada", canary(rng)))
    return rng.choice(
        (
            f'{{"mail": "{one}", "n": 1}}',
            f'{{"n": 2, "mail": "{two}", "tags": ["x", "a {one}"]}}',
            '{"mail": null, "tags": []}',
            f'{{"a": {{"b": "{one}", "c": 3}}, "mail": ""}}',
            f'{{"a": {{"b": "{two}"}}, "n": null, "tags": ["{two}", null]}}',
            f'{{"mail": "{one} \\"q\\" é", "n": "text"}}',
            "{}",
        )
    )


def _day(rng: random.Random) -> str:
    return f"{rng.randint(1900, 2030)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def quoted(content: str | None) -> str:
    """A string constant."""
    return "NULL" if content is None else "'" + content.replace("'", "''") + "'"
