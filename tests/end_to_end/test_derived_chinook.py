"""A report over Chinook as an application would build it: a view, a materialized view, a table, a signed function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from support.chinook import TABLES
from support.cluster import Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

FUNCTION = """
CREATE FUNCTION best_customer(p_country text) RETURNS TABLE (first_name text, email text, spent numeric)
LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT c.first_name::text, c.email::text, sum(i.total)
  FROM customer c JOIN invoice i USING (customer_id) WHERE c.country = p_country
  GROUP BY c.customer_id ORDER BY sum(i.total) DESC, c.customer_id LIMIT 1; END'
"""
SIGNATURES = {
    "public.best_customer": {
        "results": {"first_name": "public.customer.first_name", "email": "public.customer.email"}
    }
}
STATEMENTS = (
    "CREATE VIEW who AS SELECT customer_id, first_name || ' ' || last_name AS name, email, country FROM customer",
    "CREATE MATERIALIZED VIEW spending AS SELECT w.customer_id, w.email, w.name, s.spent FROM who w"
    " JOIN (SELECT customer_id, sum(total) AS spent FROM invoice GROUP BY customer_id) s USING (customer_id)",
    "CREATE TABLE report AS SELECT c.email, c.phone, s.spent, e.email AS rep FROM customer c"
    " JOIN spending s USING (customer_id) JOIN employee e ON e.employee_id = c.support_rep_id",
    "SELECT * FROM report WHERE email = 'luisg@embraer.com.br'",
    "SELECT rep, count(*), sum(spent) FROM report GROUP BY rep",
    "SELECT name, spent FROM spending WHERE email = 'luisg@embraer.com.br'",
    "UPDATE report SET phone = '+49 30 1234567' WHERE email = 'luisg@embraer.com.br' RETURNING *",
    "SELECT r.email FROM report r JOIN employee e ON r.rep = e.email WHERE e.last_name = 'Peacock'",
    "REFRESH MATERIALIZED VIEW spending",
    "SELECT * FROM best_customer('Germany')",
    "SELECT b.email, r.phone FROM best_customer('Brazil') b JOIN report r USING (email)",
)


def test_a_report_over_chinook(
    postgres: Cluster, chinook_template: str, make_database: Callable[..., str]
) -> None:
    ours, plain = make_database(chinook_template), make_database(chinook_template)
    for name in (ours, plain):
        postgres.psql(FUNCTION, name)
    made = deployment(postgres, ours, tables=TABLES, functions=SIGNATURES)
    made.apply()
    with (
        Gateway(made) as gateway,
        psycopg.connect(gateway.url(), autocommit=True) as one,
        psycopg.connect(postgres.url(plain), autocommit=True) as other,
    ):
        for statement in STATEMENTS:
            assert outcome(one, statement) == outcome(other, statement), statement
    stored = postgres.psql("SELECT email, phone, rep FROM report LIMIT 1", ours)
    assert stored.count("pn1") == 3


def outcome(connection: psycopg.Connection[Any], statement: str) -> Any:
    cursor = connection.execute(statement)
    rows = sorted(cursor.fetchall(), key=repr) if cursor.description else []
    described = [(c.name, c.type_code, c.display_size) for c in cursor.description or ()]
    return cursor.statusmessage, described, rows
