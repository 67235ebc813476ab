"""Functions with opaque bodies through the gateway: signed, as on plain PostgreSQL; unsigned, they see tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from support.cluster import SUPERUSER, Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

TABLES = """
CREATE TABLE person (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(60), name text, born date, city text);
CREATE FUNCTION find_person(mail text, place text) RETURNS SETOF person LANGUAGE plpgsql AS
  'BEGIN RETURN QUERY SELECT * FROM person WHERE email = mail OR city = place; END';
CREATE FUNCTION mail_of(who int) RETURNS text LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT email FROM person WHERE id = who); END';
CREATE FUNCTION names(n int) RETURNS TABLE (full_name text, town text) LANGUAGE plpgsql AS
  'BEGIN RETURN QUERY SELECT name, city FROM person ORDER BY id LIMIT n; END';
CREATE FUNCTION mails() RETURNS TABLE (mail text) LANGUAGE plpgsql AS
  'BEGIN RETURN QUERY SELECT email::text FROM person ORDER BY id; END';
CREATE FUNCTION pair_of(who int, OUT a text, OUT b text) LANGUAGE plpgsql AS
  'BEGIN SELECT email, name INTO a, b FROM person WHERE id = who; END';
CREATE PROCEDURE add_person(mail text, called text, INOUT made int DEFAULT NULL) LANGUAGE plpgsql AS
  'BEGIN INSERT INTO person (email, name) VALUES (mail, called) RETURNING id INTO made; END';
CREATE PROCEDURE show_person(who int, INOUT mail text) LANGUAGE plpgsql AS
  'BEGIN SELECT email INTO mail FROM person WHERE id = who; END';
CREATE FUNCTION unsigned(mail text) RETURNS text LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT name FROM person WHERE email = mail); END';
CREATE FUNCTION leak(who int) RETURNS text LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT email FROM person WHERE id = who); END';
CREATE FUNCTION on_day(day date) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
"""
ROWS = """
INSERT INTO person (email, name, born, city) VALUES ('canary-ada@x.org', 'CanaryAda', '1815-12-10', 'London'),
  ('canary-bob@x.org', 'CanaryBob', NULL, 'Rome')
"""
PROTECTED: dict[str, Any] = {
    "public.person": {"columns": {"email": {"domain": "email"}, "name": {"mask": "initial"}, "born": {}}}
}
FUNCTIONS: dict[str, Any] = {
    "public.find_person": {
        "arguments": ["email", None],
        "results": {"email": "email", "name": "public.person.name", "born": "public.person.born"},
    },
    "public.mail_of": {"arguments": [None], "results": "email"},
    "public.names": {"results": {"full_name": "public.person.name"}},
    "public.mails": {"results": {"mail": "public.person.email"}},
    "public.pair_of": {"results": {"a": "email", "b": "public.person.name"}},
    "public.add_person": {"arguments": ["email", "public.person.name"]},
    "public.show_person": {"arguments": [None, "email"], "results": {"mail": "email"}},
    "public.on_day": {"arguments": ["public.person.born"]},
}
ROLES: dict[str, Any] = {
    "app": {"users": [SUPERUSER], "reveal": ["*"]},
    "clerk": {"users": ["clerk"], "reveal": ["public.person.email"], "mask": ["public.person.name"]},
}
CALLS: list[tuple[str, list[Any] | None]] = [
    ("SELECT * FROM find_person('canary-ada@x.org', 'Rome')", None),
    ("SELECT id, email, born FROM find_person(%s, %s)", ["canary-bob@x.org", "nowhere"]),
    ("SELECT name FROM find_person(place => 'Rome', mail => 'canary-ada@x.org') WHERE email = 'canary-ada@x.org'", None),
    ("SELECT mail_of(1)", None),
    ("SELECT mail_of(id), city FROM person WHERE mail_of(id) = 'canary-bob@x.org'", None),
    ("SELECT * FROM names(5)", None),
    ("SELECT n.full_name FROM names(5) AS n WHERE n.full_name = 'CanaryBob'", None),
    ("SELECT * FROM mails()", None),
    ("SELECT mails()", None),
    ("SELECT mail FROM mails() WHERE mail = %s", ["canary-ada@x.org"]),
    ("SELECT * FROM pair_of(1)", None),
    ("SELECT (pair_of(2)).b", None),
    ("SELECT pair_of(2)", None),
    ("SELECT p.id, f.mail FROM person p, LATERAL (SELECT mail_of(p.id) AS mail) f", None),
    ("CALL add_person('canary-new@x.org', 'CanaryNew', NULL)", None),
    ("CALL add_person(%s, %s)", ["canary-new2@x.org", "CanaryNew2"]),
    ("CALL show_person(2, NULL)", None),
    ("SELECT count(*) FROM person WHERE email LIKE 'canary-new%%'", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Cluster, Gateway]]:
    with Cluster(settings={"log_statement": "all"}) as server:
        server.psql("CREATE DATABASE app")
        server.psql("CREATE ROLE clerk LOGIN")
        server.psql(TABLES + "GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk", "app")
        made = deployment(server, "app", tables=PROTECTED, roles=ROLES, functions=FUNCTIONS)
        made.apply()
        with Gateway(made) as gateway:
            with psycopg.connect(gateway.url(), autocommit=True) as connection:
                connection.execute(ROWS)
            yield server, gateway
        assert server.scan([b"canary-ada", b"canarybob", b"canary-new", b"canarynew", b"1815-12-10"]) == []


def outcome(connection: psycopg.Connection[Any], statement: str, parameters: list[Any] | None) -> Any:
    try:
        cursor = connection.execute(
            statement.replace("%%", "%") if parameters is None else statement, parameters
        )
    except psycopg.Error as error:
        return error.sqlstate, str(error)
    return (
        cursor.statusmessage,
        [c.name for c in cursor.description or ()],
        cursor.fetchall() if cursor.description else [],
    )


def test_signed_functions_answer_as_without_protection(
    servers: tuple[Cluster, Gateway], postgres: Cluster, twin: str
) -> None:
    postgres.psql(TABLES + ROWS, twin)
    with (
        psycopg.connect(servers[1].url(), autocommit=True) as ours,
        psycopg.connect(postgres.url(twin), autocommit=True) as plain,
    ):
        for statement, parameters in CALLS:
            found = outcome(ours, statement, parameters)
            assert found == outcome(plain, statement, parameters), statement


def test_results_go_by_the_policy_of_what_the_signature_names(servers: tuple[Cluster, Gateway]) -> None:
    with psycopg.connect(servers[1].url(user="clerk"), autocommit=True) as clerk:
        row = clerk.execute("SELECT email, name, born FROM find_person('canary-ada@x.org', NULL)").fetchone()
        assert row is not None
        assert row[:2] == ("canary-ada@x.org", "C********")
        assert row[2].startswith("pn1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            clerk.execute("CALL add_person('canary-new3@x.org', 'CanaryNew3')")


def test_a_token_needs_a_text_argument(servers: tuple[Cluster, Gateway]) -> None:
    with (
        psycopg.connect(servers[1].url(), autocommit=True) as ours,
        pytest.raises(psycopg.errors.FeatureNotSupported, match="can't take protected column"),
    ):
        ours.execute("SELECT on_day('1815-12-10')")


def test_without_a_signature_a_function_sees_and_shows_tokens(servers: tuple[Cluster, Gateway]) -> None:
    with psycopg.connect(servers[1].url(), autocommit=True) as ours:
        assert ours.execute("SELECT unsigned('somebody')").fetchone() == (None,)
        shown = ours.execute("SELECT leak(1)").fetchone()
    assert shown is not None
    assert shown[0].startswith("pn1")
