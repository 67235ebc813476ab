"""``pgnym subject report`` on Chinook and on columns of many types."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pgnym.privacy.rendering import value
from support import chinook
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server


def told(made: Deployment, *arguments: str) -> list[dict[str, Any]]:
    """The subjects of a report."""
    text = made.pgnym("subject", "report", *arguments).stdout
    found: list[dict[str, Any]] = json.loads(text, parse_float=Decimal)["subjects"]
    return found


def test_a_customer_of_chinook(
    postgres: Cluster, make_database: Callable[..., str], chinook_template: str
) -> None:
    database = make_database(chinook_template)
    before = [
        json.loads(
            postgres.psql(f"SELECT json_agg(t ORDER BY 1) FROM {table} t WHERE customer_id = 5", database)
        )
        for table in ("customer", "invoice")
    ]
    made = deployment(postgres, database, tables=chinook.TABLES)
    made.apply()
    with Gateway(made) as gateway, psycopg.connect(gateway.url(database), autocommit=True) as session:
        session.execute("SET application_name = 'crm'")
        session.execute("SELECT email, first_name FROM customer WHERE customer_id = 5").fetchall()
        session.execute("SELECT email FROM customer WHERE customer_id = 6").fetchall()
    (one,) = told(made, "5")
    customer, invoices = (one["tables"][f"public.{table}"] for table in ("customer", "invoice"))
    assert customer == before[0]
    assert sorted(map(str, invoices)) == sorted(
        str(json.loads(json.dumps(i), parse_float=Decimal)) for i in before[1]
    )
    assert one["tokens_without_value"] == 0
    (seen,) = [each for each in one["seen"] if each["application_name"] == "crm"]
    assert seen["values"] == {"email": 1, "first_name": 1}
    assert seen["statement"] == "SELECT email, first_name FROM customer WHERE customer_id = ?"
    assert told(made, "5", "--since", "2999-01-01")[0]["seen"] == []

    (same,) = told(made, "--value", f"email={customer[0]['email']}")
    assert same["subject"] == one["subject"]
    audited = made.pgnym("audit", "show", "--action", "admin", "--format", "jsonl").stdout.splitlines()
    assert len(audited) == 3
    record = json.loads(audited[0])
    assert record["counts"]["email"] == 1
    assert len(record["tokens"]) == one["values"]

    for arguments, message in {
        ("4711",): "no row of public.customer",
        ("--value", "email=nobody@example.org"): "no subject of public.customer",
        ("--value", "city=Prague"): "neither protected nor unique",
        ("--value", "email"): "expected COLUMN=VALUE",
        ("5", "--table", "public.invoice"): "not the table of a data subject",
        ("5", "--tenant", "other"): "no tenant 'other'",
        (): "give either",
    }.items():
        failed = made.pgnym("subject", "report", *arguments, check=False)
        assert failed.returncode == 1
        assert message in failed.stderr
        assert failed.stdout == ""


def test_every_type_is_shown_as_postgresql_would(postgres: Cluster, database: str) -> None:
    columns = {
        "n": "numeric", "f": "float8", "i": "int8", "d": "date", "ts": "timestamp", "tz": "timestamptz",
        "raw": "bytea", "u": "uuid", "a": "text[]", "t": "text",
    }  # fmt: skip
    paths: dict[str, dict[str, object]] = {"doc": {"paths": {"who.mail": {}, "others[*]": {}}}}
    protected = ", ".join(f"p_{name} {kind}" for name, kind in columns.items())
    plain = ", ".join(f"q_{name} {kind}" for name, kind in columns.items())
    values = (
        "12345678901234567890.1230, 'NaN', 9007199254740993, '2026-11-24', '2026-11-24 10:00:00.5',"
        " '2026-11-24 10:00:00+02', '\\x00ff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',"
        " ARRAY['x \"y\"', NULL, ''], E'line\\n\"quoted\" ü'"
    )
    doc = """'{"who": {"mail": "ann@x.org", "n": 1.50}, "others": ["b", "c"], "k": null}'"""
    postgres.psql(
        f"CREATE TABLE p (id uuid PRIMARY KEY, {protected}, {plain}, doc jsonb, doc_before jsonb);"
        f"INSERT INTO p SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', {values}, {values}, {doc}, {doc};"
        "INSERT INTO p (id) VALUES ('b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')",
        database,
    )
    tables = {"public.p": {"subject": "id", "columns": {f"p_{name}": {} for name in columns} | paths}}
    made = deployment(postgres, database, tables=tables)
    made.apply()
    ((row,),) = (one["tables"]["public.p"] for one in told(made, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"))
    for name in columns:
        assert row[f"p_{name}"] == row[f"q_{name}"], name
    assert row["doc"] == row["doc_before"]
    assert str(row["p_n"]) == "12345678901234567890.1230"
    ((empty,),) = (one["tables"]["public.p"] for one in told(made, "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"))
    assert all(empty[f"p_{name}"] is None for name in columns)


def test_a_planted_token_stays_one(postgres: Cluster, database: str) -> None:
    postgres.psql(
        "CREATE TABLE p (id int PRIMARY KEY, mail text, note text);"
        "INSERT INTO p VALUES (1, 'ann@x.org'), (2, 'bob@x.org')",
        database,
    )
    made = deployment(postgres, database, tables={"public.p": {"subject": "id", "columns": {"mail": {}}}})
    made.apply()
    postgres.psql("UPDATE p SET note = (SELECT mail FROM p WHERE id = 1) WHERE id = 2", database)
    (report,) = told(made, "2")
    (row,) = report["tables"]["public.p"]
    assert row["mail"] == "bob@x.org"
    assert row["note"].startswith("pn1")


@pytest.mark.parametrize(
    ("oid", "canonical", "shown"),
    [
        (1700, b"NaN", b'"NaN"'),
        (701, b"1e+300", b"1e+300"),
        (701, b"-Infinity", b'"-Infinity"'),
        (1184, b"0044-03-15 10:00:00+00 BC", b'"0044-03-15T10:00:00+00:00 BC"'),
        (1114, b"infinity", b'"infinity"'),
        (3802, b'{"a": 1.50}', b'{"a": 1.50}'),
        (16, b"f", b"false"),
    ],
)
def test_values_as_json(oid: int, canonical: bytes, shown: bytes) -> None:
    assert value(oid, canonical) == shown
