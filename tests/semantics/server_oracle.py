"""Asks a real PostgreSQL what an expression over a value gives, many at a time, errors included."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from pgnym.semantics import moments
from pgnym.semantics.evaluate import EvaluationError, compile_expression
from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value
from pgnym.semantics.types import LOCAL, TEXTS
from support.cluster import Cluster

TYPE_NAMES = {
    16: "bool", 17: "bytea", 19: "name", 20: "int8", 21: "int2", 23: "int4", 25: "text", 650: "cidr", 701: "float8",
    705: "unknown", 869: "inet", 1042: "bpchar", 1043: "varchar", 1082: "date", 1083: "time", 1114: "timestamp",
    1184: "timestamptz", 1186: "interval", 1700: "numeric", 2950: "uuid",
}  # fmt: skip

_ATTEMPT = """
CREATE OR REPLACE FUNCTION attempt(query text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE query INTO result USING value;
  RETURN coalesce('=' || result, 'NULL');
EXCEPTION WHEN OTHERS THEN
  RETURN '!' || SQLSTATE;
END $$
"""
_SETTINGS = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'; SET extra_float_digits = 1"
)
_LOCALES = ("en_US.utf8", "de_DE.utf8", "tr_TR.utf8")
COLLATIONS = """
SELECT c.collname, c.collprovider, coalesce(to_jsonb(c) ->> 'colllocale', c.collcollate, 'C'),
       coalesce(to_jsonb(c) ->> 'colllocale', c.collctype, 'C'), pg_catalog.pg_collation_actual_version(c.oid)
  FROM pg_catalog.pg_collation c
 WHERE c.collprovider IN ('c', 'b') AND c.collencoding IN (-1, 6) AND c.collisdeterministic
"""


@dataclass(frozen=True)
class Case:
    """One expression with its constants, to be evaluated for one value."""

    expression: Expression
    constants: tuple[bytes | None, ...]
    value: bytes | None


class Oracle:
    """One database of a cluster."""

    def __init__(self, cluster: Cluster, database: str = "postgres") -> None:
        self.connection = psycopg.connect(cluster.url(database), autocommit=True)
        self.version = self.connection.info.server_version // 10_000
        self.connection.execute(_ATTEMPT)
        self.connection.execute(_SETTINGS)
        for name in _LOCALES:
            with suppress(psycopg.Error):  # where the machine doesn't have the locale
                self.connection.execute(
                    f"CREATE COLLATION IF NOT EXISTS \"{name}\" (provider = libc, locale = '{name}')"
                )
        self.collations = {row[0]: Collation(*row) for row in self.connection.execute(COLLATIONS)}

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query gives."""
        return self.connection.execute(query, parameters or None).fetchall()

    def answers(self, cases: Sequence[Case]) -> list[str]:
        """Per case ``=`` and the result, ``NULL``, or ``!`` and the SQLSTATE."""
        queries = [f"SELECT ({sql(c.expression, c.constants)})::text" for c in cases]
        values = [None if c.value is None else c.value.decode() for c in cases]
        return [
            row[0]
            for row in self.rows(
                "SELECT attempt(q, v) FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS t (q, v, n) ORDER BY n",
                (queries, values),
            )
        ]


def ours(case: Case) -> str:
    """The same from pgnym; booleans and char as ``::text`` shows them."""
    try:
        result = compile_expression(case.expression, case.constants)(case.value)
    except EvaluationError as error:
        return "!" + error.sqlstate
    if result is None:
        return "NULL"
    text = result.decode()
    shown = getattr(case.expression, "type_oid", 0)
    if shown == 16:
        text = {"t": "true", "f": "false"}[text]
    elif shown == LOCAL:  # in UTC
        text = moments.write_moment(moments.read_moment(result), b"+00").decode()
    elif shown == 1042:
        text = text.rstrip(" ")
    return "=" + text


def literal(text: str) -> str:
    """A quoted constant."""
    quoted = text.replace("'", "''").replace("\\", "\\\\")
    return f"E'{quoted}'"


def sql(expression: Expression, constants: Sequence[bytes | None]) -> str:
    """The expression as SQL, with ``$1`` for the value."""
    if isinstance(expression, Value):
        typed = f"($1::{_type(expression.type_oid, expression.typmod)})"
        collation = expression.collation
        return typed if collation is None else f'({typed} COLLATE "{collation.name}")'
    if isinstance(expression, Constant):
        given = constants[expression.index]
        text = "NULL" if given is None else literal(given.decode())
        return text if expression.type_oid in (0, 705) else f"{text}::{TYPE_NAMES[expression.type_oid]}"
    arguments = [sql(argument, constants) for argument in expression.arguments]
    return f"({_applied(expression, arguments)})"


def _applied(call: Call, arguments: list[str]) -> str:
    name = call.function
    if name == "cast":
        return f"CAST({arguments[0]} AS {TYPE_NAMES[call.type_oid]})"
    if name in ("is null", "is not null"):
        return f"{arguments[0]} {name}"
    if name in ("and", "or"):
        return f" {name} ".join(arguments)
    if name == "not" or (not name[0].isalpha() and len(arguments) == 1):
        return f"{name} {arguments[0]}"
    if not name[0].isalpha():
        return f"{arguments[0]} OPERATOR(pg_catalog.{name}) {arguments[1]}"
    if name in ("coalesce", "nullif", "greatest", "least"):
        return f"{name}({', '.join(arguments)})"
    return f'pg_catalog."{name}"({", ".join(arguments)})'


def _type(oid: int, typmod: int) -> str:
    return TYPE_NAMES[oid] + (f"({typmod - 4})" if typmod > 4 and oid in TEXTS else "")
