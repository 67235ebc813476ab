"""E-mail addresses and phone numbers in one spelling: however they are written, a token is one, and so is what is shown.

What differs from a plain column is what is meant to: values come back as they are normalized, ``=`` and its kin don't tell
spellings apart, ``LIKE`` doesn't tell case apart in an address, and what is no address is not stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLE = """
CREATE TABLE person (id int PRIMARY KEY, mail varchar(40) UNIQUE, phone text, country text);
CREATE TABLE letter (id int PRIMARY KEY, recipient text, tags text[], doc jsonb);
INSERT INTO person VALUES
  (1, 'Ann@Example.ORG', '030 / 12 34 56', 'DE'), (2, 'bob@xn--mller-kva.de', '+1 650-253-0000', 'US'),
  (3, NULL, NULL, NULL), (4, '', '', '');
INSERT INTO letter VALUES (1, 'ANN@example.org', '{Bob@Müller.de,ann@example.org}', '{"to": "Ann@Example.org"}');
"""
MAIL: dict[str, Any] = {"domain": "mail", "normalize": "email"}
TABLES: dict[str, Any] = {
    "public.person": {
        "columns": {
            "mail": {**MAIL, "validate": "email", "search": ["equality", "substring"]},
            "phone": {"normalize": {"phone": "DE"}, "validate": "e164"},
        }
    },
    "public.letter": {"columns": {"recipient": MAIL, "tags": MAIL, "doc": {"paths": {"to": MAIL}}}},
}
ANN, BOB = "ann@example.org", "bob@xn--mller-kva.de"
BERLIN, GOOGLE = "+4930123456", "+16502530000"


@pytest.fixture(scope="module")
def made(postgres: Cluster) -> Iterator[Deployment]:
    database = "normalized_columns"
    postgres.psql(f"CREATE DATABASE {database}")
    try:
        postgres.psql(TABLE, database)
        result = deployment(postgres, database, tables=TABLES)
        result.apply()
        yield result
    finally:
        postgres.psql(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture(scope="module")
def gateway(made: Deployment) -> Iterator[Gateway]:
    with Gateway(made) as running:
        yield running


@pytest.fixture
def app(gateway: Gateway) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(gateway.url()) as connection:
        yield connection
        connection.rollback()


def test_rows_of_before_are_in_one_spelling(app: psycopg.Connection[Any], postgres: Cluster) -> None:
    found = app.execute("SELECT id, mail, phone FROM person ORDER BY id").fetchall()
    assert found == [(1, ANN, BERLIN), (2, BOB, GOOGLE), (3, None, None), (4, "", "")]
    assert app.execute("SELECT recipient, tags, doc FROM letter").fetchone() == (ANN, [BOB, ANN], {"to": ANN})
    tokens = postgres.psql(
        "SELECT p.mail = l.recipient, l.tags[2] = p.mail, l.doc ->> 'to' = p.mail FROM letter l, person p WHERE p.id = 1",
        "normalized_columns",
    )
    assert tokens.strip() == "t|t|t"


# Statement, parameters, answer. Each is asked by the extended and by the simple query protocol.
ASKED: list[tuple[str, tuple[Any, ...], list[tuple[Any, ...]]]] = [
    ("SELECT id FROM person WHERE mail = 'ANN@EXAMPLE.org'", (), [(1,)]),
    ("SELECT id FROM person WHERE mail = %s", ("aNN@example.ORG",), [(1,)]),
    ("SELECT id FROM person WHERE mail = %s", ("BOB@MÜLLER.DE",), [(2,)]),
    ("SELECT id FROM person WHERE mail IN (%s, %s) ORDER BY 1", ("Bob@müller.de", "nonsense"), [(2,)]),
    ("SELECT id FROM person WHERE mail = ANY (%s)", (["Ann@example.org", "Zoe@x.org"],), [(1,)]),
    ("SELECT id FROM person WHERE mail <> %s ORDER BY 1", ("nonsense",), [(1,), (2,), (4,)]),
    ("SELECT id FROM person WHERE mail IS DISTINCT FROM 'Ann@Example.org' ORDER BY 1", (), [(2,), (3,), (4,)]),
    ("SELECT id FROM person WHERE mail = 'nonsense'", (), []),
    ("SELECT id FROM person WHERE mail = ''", (), [(4,)]),
    ("SELECT id FROM person WHERE phone = '(030) 12-34-56'", (), [(1,)]),
    ("SELECT id FROM person WHERE phone IN ('0049 30 123456', '001 650 253 0000') ORDER BY 1", (), [(1,), (2,)]),
    ("SELECT id FROM person WHERE phone LIKE '+49%%'", (), [(1,)]),
    ("SELECT id FROM person WHERE mail LIKE '%%@Example.org'", (), [(1,)]),
    ("SELECT id FROM person WHERE mail ILIKE %s", ("%EXAMPLE%",), [(1,)]),
    ("SELECT id FROM person WHERE mail NOT LIKE 'Ann%%' ORDER BY 1", (), [(2,), (4,)]),
    ("SELECT id FROM person WHERE lower(mail) = lower(%s)", ("Ann@Example.org",), [(1,)]),
    ("SELECT id FROM person WHERE upper(mail) LIKE upper(%s)", ("%example%",), [(1,)]),
    ("SELECT id FROM person WHERE split_part(mail, '@', 2) = 'example.org'", (), [(1,)]),
    ("SELECT split_part(mail, '@', 2) FROM person WHERE id = 2", (), [("xn--mller-kva.de",)]),
    ("SELECT coalesce(mail, 'n/a') FROM person WHERE id = 3", (), [("n/a",)]),
    ("SELECT coalesce(mail, 'Nobody@Example.org') FROM person WHERE id = 3", (), [("nobody@example.org",)]),
    ("SELECT nullif(mail, 'Ann@Example.ORG') FROM person WHERE id < 3 ORDER BY id", (), [(None,), (BOB,)]),
    ("SELECT p.id FROM person p JOIN letter l ON p.mail = l.recipient", (), [(1,)]),
    ("SELECT id FROM letter WHERE %s = ANY (tags)", ("BOB@müller.de",), [(1,)]),
    ("SELECT id FROM letter WHERE doc ->> 'to' = 'ANN@Example.org'", (), [(1,)]),
    ("SELECT id FROM letter WHERE doc @> '{\"to\": \"ANN@Example.org\"}'", (), [(1,)]),
    ("SELECT mail FROM person WHERE mail > 'ann' ORDER BY mail COLLATE \"C\"", (), [(ANN,), (BOB,)]),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "parameters", "answer"), ASKED)
def test_what_is_asked_in_any_spelling(
    app: psycopg.Connection[Any], statement: str, parameters: tuple[Any, ...], answer: list[tuple[Any, ...]]
) -> None:
    text = statement.encode()
    assert app.execute(text, parameters).fetchall() == answer
    assert psycopg.ClientCursor(app).execute(text, parameters).fetchall() == answer


def test_what_is_stored_in_any_spelling(app: psycopg.Connection[Any]) -> None:
    query = "SELECT mail, phone FROM person WHERE id = %s"
    insert = "INSERT INTO person (id, mail, phone) VALUES (%s, %s, %s) RETURNING mail, phone"
    assert app.execute(insert, (10, "Eve@Example.ORG", "0171 1234567")).fetchone() == (
        "eve@example.org",
        "+491711234567",
    )
    app.execute("UPDATE person SET mail = 'EVE@müller.de', phone = '+44 (0)20 7946 0958' WHERE id = 10")
    assert app.execute(query, (10,)).fetchone() == ("eve@xn--mller-kva.de", "+442079460958")
    with app.cursor() as cursor:
        with cursor.copy("COPY person (id, mail, phone) FROM STDIN") as copy:
            copy.write_row((11, "Joe@Example.org", "030 654321"))
        assert cursor.execute(query, (11,)).fetchone() == ("joe@example.org", "+4930654321")
    upsert = (
        "INSERT INTO person (id, mail) VALUES (12, 'JOE@EXAMPLE.ORG')"
        " ON CONFLICT (mail) DO UPDATE SET country = 'met' RETURNING id"
    )
    assert app.execute(upsert).fetchone() == (11,)
    app.execute(
        "INSERT INTO letter VALUES (2, 'Joe@Example.org', '{JOE@example.org}', '{\"to\": \"Joe@example.org\"}')"
    )
    assert app.execute("SELECT recipient, tags, doc FROM letter WHERE id = 2").fetchone() == (
        "joe@example.org", ["joe@example.org"], {"to": "joe@example.org"},
    )  # fmt: skip


def test_equal_addresses_are_not_unique(app: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        app.execute("INSERT INTO person (id, mail) VALUES (20, %s)", ("ANN@example.org",))
    assert f"(mail)=({ANN})" in (caught.value.diag.message_detail or "")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO person (id, mail) VALUES (30, 'hidden nonsense')",
        "UPDATE person SET mail = 'hidden nonsense'",
        "INSERT INTO person (id, phone) VALUES (30, 'hidden 12')",
        "INSERT INTO letter (id, tags) VALUES (30, '{ann@x.org,hidden nonsense}')",
        'INSERT INTO letter (id, doc) VALUES (30, \'{"to": "hidden nonsense"}\')',
    ],
)
def test_what_is_neither_is_not_stored(
    app: psycopg.Connection[Any], postgres: Cluster, statement: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        app.execute(statement.encode())
    said = caught.value.diag
    assert "is not a" in (said.message_primary or "")
    assert "hidden" not in f"{said.message_primary}{said.message_detail}{said.message_hint}"
    assert "hidden nonsense" not in postgres.log_text()


def test_copy_of_what_is_neither_stores_nothing(app: psycopg.Connection[Any], gateway: Gateway) -> None:
    def copied() -> None:
        with app.cursor().copy("COPY person (id, mail) FROM STDIN") as copy:
            copy.write_row((40, "fine@example.org"))
            copy.write_row((41, "nonsense"))

    with pytest.raises(psycopg.errors.CheckViolation):
        copied()
    app.rollback()
    assert app.execute("SELECT count(*) FROM person WHERE id >= 40").fetchone() == (0,)


def test_one_that_grows_must_fit(app: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        app.execute(
            "INSERT INTO person (id, mail) VALUES (50, %s)", ("x@" + "ü" * 16 + "." + "ü" * 16 + ".de",)
        )


def test_a_subject_is_found_by_any_spelling(made: Deployment, gateway: Gateway, postgres: Cluster) -> None:
    config = json.loads(json.dumps(made.config))
    config["tables"]["public.person"]["subject"] = "id"
    made.config["tables"] = config["tables"]
    done = made.pgnym("subject", "report", "--value", "mail=ANN@Example.ORG", check=False)
    assert done.returncode == 0, done.stderr
    assert ANN in done.stdout
