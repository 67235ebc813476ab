"""The sample catalog as real tables: with plain columns, or with tokens under CHECK constraints."""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from collections.abc import Iterator

from sample_catalog import (
    BPCHAR,
    CITEXT,
    COLLATION,
    DATE,
    INT4,
    JSONB,
    NUMERIC,
    ORDERED,
    PREFIXES,
    RELATIONS,
    TEXT,
    TIMESTAMP,
    VARCHAR,
)

from pgnym.gateway.deferred import Computation, Deferrals, DeferredContext
from pgnym.gateway.marks import Marks
from pgnym.onboard.storage import array_check, path_check
from pgnym.semantics.documents import map_leaves
from pgnym.semantics.order_scheme import OrderScheme
from pgnym.sql.catalog import Column, Leaf, Protection, Relation
from pgnym.sql.plan import Container, OutputColumn
from pgnym.vault import order_codes, order_tables
from pgnym.vault.tokens import TOKEN_PATTERN
from pgnym.wire.arrays import map_array_text
from pgnym.wire.codecs import CANONICAL
from pgnym.wire.containers import IsNull, Revealed, Wrap, inside, substitute

_TYPES = {
    INT4: "int4", TEXT: "text", VARCHAR: "varchar", BPCHAR: "char", DATE: "date", NUMERIC: "numeric",
    TIMESTAMP: "timestamp", CITEXT: "citext", 1009: "text[]", JSONB: "jsonb",
}  # fmt: skip
MARKS = Marks.fresh()
TOKEN = re.compile(r"pn1[a-z2-7]{27}")

_ROWS: dict[str, list[tuple[str | None, ...]]] = {
    "public.customer": [
        ("1", "A", "B", "b", "1", "a", "1962-02-18", "12", "n1", "DE", "1"),
        ("2", "F", "x", "x", "+49", "a@b", "1970-01-01", "-5", "n2", "FR", "2"),
        ("3", "A", "B", None, None, None, None, None, None, None, None),
        ("4", "é", "", "co", "2", "", "1962-02-18", "0", "", "DE", "1"),
        ("5", "x", "A", "a", "3", "b", None, "7", "n1", "DE", "2"),
    ],
    "public.employee": [
        ("1", "B", "A", "title", None, "a"),
        ("2", "x", "x", "b", "1", "b"),
        ("3", None, "F", None, "1", None),
    ],
    "public.invoice": [
        ("1", "1", "2020-01-01 00:00:00", "a", "DE", "10.50"),
        ("2", "1", None, "b", None, "3"),
        ("3", "2", None, None, "FR", "4"),
    ],
    "public.artist": [("1", "a"), ("2", "x")],
    "public.album": [("1", "t", "1")],
    "archive.customer": [("1", "a", "2020"), ("2", "x", "2021")],
    "staging.contact": [("1", "a", "x"), ("2", "b", "web"), ("3", None, None)],
    "public.Odd Name": [("1", "a"), ("2", "ü")],
    "public.list": [
        ("1", "{a,b}", "{a,a@b}", "{12,-5}", "{1962-02-18}", "{n1,n2}", "{a,z}"),
        ("2", "{}", '{b,NULL,""}', "{{0,7},{12,12}}", None, None, "{}"),
        ("3", '[0:1]={é,"a b"}', None, "{}", "{NULL,1970-01-01}", "{}", None),
        ("4", None, "{}", None, "{}", "{n1}", "{b}"),
    ],
    "public.person": [
        (
            "1",
            '{"email": "a", "n": 1.50, "address": {"street": "s \\"1\\"", "no": 5}, "tags": ["a", "é"], "pin": "n1",'
            ' "contacts": [{"email": "b", "k": 1}, {"k": 2}]}',
            '{"email": "a@b"}',
            '{"email": "a"}',
        ),
        ("2", '{"email": "", "contacts": [], "tags": []}', "{}", None),
        ("3", None, '{"email": null, "more": "x"}', "{}"),
        ("4", '{"email": "b", "age": 30}', None, "[]"),
    ],
    "public.member": [
        ("1", "B", "b", "1962-02-18", "12", "a", "c1", "B"),
        ("2", "Kay", "Kay", "1970-01-01", "-5", "b", "c1", "a"),
        ("3", "a", None, None, None, None, "c2", None),
        ("4", "", "B", "1962-02-18", "5", "", None, ""),
        ("5", "é", "", "0044-03-15", "100", "a", "c2", "é"),
        ("6", None, "x", "1999-12-31", "9", None, "c2", "Kay"),
        ("7", "B", "Kay", "9999-12-31", "7", "a@b", "c2", "B"),
    ],
    "public.visit": [
        ("1", "1", "Kay", "1970-01-01"),
        ("2", "1", "b", "1962-02-18"),
        ("3", "2", None, None),
        ("4", "5", "", "1962-02-19"),
        ("5", None, "é", "2020-02-29"),
    ],
    "public.account": [("1", "anna", "2020-01-01 00:00:00", "p"), ("2", "b", None, "q")],
}

_MORE = """
CREATE VIEW customer_contact AS
  SELECT c.customer_id AS id, c.email AS mail, c.first_name || ' ' || c.last_name AS full_name FROM customer c;
CREATE VIEW contact_of_contact AS SELECT mail FROM customer_contact WHERE id > 3;
CREATE VIEW member_card AS SELECT id, name AS label, joined AS since FROM member;
CREATE VIEW album_title AS SELECT title FROM album;
CREATE FUNCTION add_tax(numeric) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION find_customer(text) RETURNS SETOF customer LANGUAGE plpgsql AS
  'BEGIN RETURN QUERY SELECT * FROM customer WHERE email = $1; END';
CREATE FUNCTION customer_by_email(text) RETURNS SETOF customer LANGUAGE sql AS
  'SELECT * FROM public.customer WHERE email = $1';
CREATE FUNCTION mail_of(who int) RETURNS varchar LANGUAGE sql AS 'SELECT email FROM customer WHERE customer_id = who';
CREATE FUNCTION set_mail(int, text) RETURNS void LANGUAGE sql AS
  'UPDATE customer SET email = $2 WHERE customer_id = $1';
CREATE FUNCTION names_of(mail text, OUT first varchar, OUT id int) RETURNS SETOF record LANGUAGE sql AS
  'SELECT first_name, customer_id FROM customer WHERE email = mail';
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
"""


class Tokens:
    """Deterministic tokens, and the values they stand for. Not secure: for comparing results only."""

    def __init__(self) -> None:
        self._values: dict[str, Revealed] = {}

    def token(self, protection: Protection, value: str) -> str:
        """The token of a value; the empty string stays itself."""
        if value == "":
            return value
        if protection.type_oid == BPCHAR:
            value = value.ljust(protection.typmod - 4)
        if protection.casefold:
            value = value.lower()
        body = (
            b32encode(hashlib.sha256(f"{protection.domain}:{value}".encode()).digest()[:15]).decode().lower()
        )
        token = protection.prefix.decode() + body
        codec = protection.codec_oid
        self._values[token] = Revealed(value.encode(), codec, protection.typmod)
        return token

    def of_domain(self, protection: Protection) -> dict[str, str]:
        """value → token, of all that the domain has so far."""
        prefix = protection.prefix.decode()
        return {v.canonical.decode(): t for t, v in self._values.items() if t.startswith(prefix)}

    def values(self, prefix: bytes) -> dict[bytes, bytes]:
        """The values of a domain, by token."""
        return {
            token.encode(): revealed.canonical
            for token, revealed in self._values.items()
            if token.startswith(prefix.decode())
        }

    def document(self, leaves: tuple[Leaf, ...], value: str) -> str:
        """A JSON text with tokens at the paths."""
        paths = tuple(leaf.path for leaf in leaves)
        return map_leaves(
            value.encode(), paths, lambda i, v: self.token(leaves[i].protection, v.decode()).encode()
        ).decode()

    def array(self, protection: Protection, value: str) -> str:
        """An array of tokens, from its text form."""
        return map_array_text(value.encode(), lambda v: self.token(protection, v.decode()).encode()).decode()

    def reveal(self, text: str) -> str:
        """A text with all tokens in it replaced."""
        return TOKEN.sub(lambda m: self._values[m.group()].canonical.decode(), text)

    def substitute(self, text: str, stack: tuple[Container, ...], output: OutputColumn) -> str | None:
        """A value with its tokens replaced as the gateway does it, where ``stack`` is around them."""
        wraps = tuple(Wrap(container.value) for container in stack)

        def reveal(token: bytes) -> Revealed | None:
            return self._values.get(token.decode())

        if not output.deferrals:
            return substitute(text.encode(), 0, wraps, TOKEN_PATTERN, reveal).decode()
        computations = tuple(None if d is None else Computation(d, CANONICAL) for d in output.deferrals)
        deferrals = Deferrals(MARKS, computations, output.type_oid or 0 if not wraps else 0)
        context = DeferredContext(MARKS.shape.pattern, reveal, inside, CANONICAL, deferrals)
        try:
            return inside(text.encode(), 0, wraps, context).decode()
        except IsNull:
            return None


_SCHEMES = {
    "member": OrderScheme(TEXT, COLLATION),
    "joined": OrderScheme(DATE, None),
    "points": OrderScheme(INT4, None),
}
_TYPE_IN_ORDER = {"member": 'text COLLATE "C"', "joined": "date", "points": "int4"}
_TENANT = order_codes.tenant_prefix(1)


class SampleOrders:
    """The order indexes of the sample's domains: filled in the server's own order, asked in the gateway's."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def filling(self) -> Iterator[str]:
        """The statements that give all values codes. They are distinct, so that the order is one."""
        for domain in sorted(ORDERED):
            prefix = PREFIXES[domain]
            name, values = order_tables.name_of(prefix), self._tokens.values(prefix)
            fractions = order_codes.evenly(len(values))
            codes = ", ".join(f"'{_TENANT}{each}'" for each in fractions)
            listed = ", ".join(
                f"('{token.decode()}', $v${value.decode()}$v$::{_TYPE_IN_ORDER[domain]})"
                for token, value in values.items()
            )
            yield f"DELETE FROM pgnym.codes_{name}"
            if values:
                yield (
                    f"INSERT INTO pgnym.codes_{name} SELECT token, (ARRAY[{codes}])[row_number() OVER (ORDER BY value)]"
                    f" FROM (VALUES {listed}) AS v (token, value)"
                )

    async def place(self, prefix: bytes, value: bytes | None) -> bytes:
        """Where a value is or would be: see ``vault/order_tables.py``."""
        if value is None:
            return b"?"
        if value == b"":
            return b"="
        (domain,) = (d for d in ORDERED if PREFIXES[d] == prefix)
        key = _SCHEMES[domain].key()
        at = key(value)
        found = sorted((key(v), token) for token, v in self._tokens.values(prefix).items())
        equal = [token for k, token in found if k == at]
        if equal:
            return b"=" + equal[0]
        low = max((pair for pair in found if pair[0] < at), default=(None, b""))[1]
        high = min((pair for pair in found if pair[0] > at), default=(None, b""))[1]
        return b"|".join((_TENANT.encode(), low, high))


def schema(*, tokens: bool) -> Iterator[str]:
    """The statements that make the tables: with their original types, or with those that hold tokens."""
    yield "CREATE EXTENSION IF NOT EXISTS citext"
    yield "CREATE SCHEMA archive; CREATE SCHEMA staging"
    if tokens:
        for domain in sorted(ORDERED):
            yield order_tables.creation(PREFIXES[domain])
    for relation in tables():
        columns = ", ".join(_column(c, tokens) for c in relation.columns)
        extra = ", UNIQUE (email)" if relation.oid == 101 else ""
        yield f'CREATE TABLE {relation.schema}."{relation.name}" ({columns}{extra})'
    yield _MORE


def tables() -> list[Relation]:
    """The sample relations that are tables of their own."""
    return [r for r in RELATIONS if f"{r.schema}.{r.name}" in _ROWS]


def rows(tokens: Tokens | None) -> Iterator[str]:
    """The statements that fill the tables."""
    for relation in tables():
        for row in _ROWS[f"{relation.schema}.{relation.name}"]:
            values = ", ".join(_value(v, c, tokens) for v, c in zip(row, relation.columns, strict=True))
            yield f'INSERT INTO {relation.schema}."{relation.name}" VALUES ({values})'


def _value(value: str | None, column: Column, tokens: Tokens | None) -> str:
    if value is None:
        return "NULL"
    if column.leaves and tokens is not None:
        value = tokens.document(column.leaves, value)
    if column.protection is not None and tokens is not None:
        make = tokens.array if column.protection.array else tokens.token
        value = make(column.protection, value)
    return "'" + value.replace("'", "''") + "'"


def _column(column: Column, tokens: bool) -> str:
    guard = column.protection
    if column.leaves and tokens:
        return f'"{column.name}" jsonb ' + " ".join(
            f"CHECK ({path_check(column.name, leaf.path, leaf.protection.prefix)})" for leaf in column.leaves
        )
    if guard is None:
        return f'"{column.name}" {_TYPES[column.type_oid]}'
    many = "[]" if guard.array else ""
    if not tokens:
        size = f"({guard.typmod - 4})" if guard.typmod != -1 else ""
        return f'"{column.name}" {_TYPES[guard.type_oid]}{size}{many}'
    kind = _TYPES[guard.stored_oid]
    if guard.stored_oid == VARCHAR and guard.typmod != -1:
        kind = f"varchar({max(guard.typmod - 4, 30)})"
    if guard.array:
        return f'"{column.name}" {kind}[] CHECK ({array_check(column.name, guard.prefix, True)})'
    check = f"""CHECK ("{column.name}" = '' OR "{column.name}" ~ '^{guard.prefix.decode()}[a-z2-7]{{24}}$')"""
    return f'"{column.name}" {kind} {check}'
