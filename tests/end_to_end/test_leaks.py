"""No plaintext of a protected column in any file of a data directory: heap, WAL, log, whatever.

The server logs every statement with its parameters, and every failed one. The vault is in the same database, then in a
second cluster; then the first may not hold ciphertext either.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import canaries
import psycopg
import pytest
from canaries import WRITERS, Canaries

from support.cluster import Cluster, ClusterError
from support.gateway import DIRECT, Gateway, deployment

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(f"'{DIRECT}' in __import__('os').environ", reason="plain PostgreSQL keeps plaintext"),
]

VERBOSE = {
    "log_statement": "all",
    "log_min_messages": "debug1",
    "log_min_error_statement": "debug5",
    "log_error_verbosity": "verbose",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "log_min_duration_statement": "0",
    "wal_level": "logical",
    "shared_preload_libraries": "pg_stat_statements",
}
PERSON = {
    "first_name": {"domain": "first_name"},
    "last_name": {"domain": "last_name", "search": ["equality", "order"]},
    "address": {"domain": "address"},
    "phone": {"domain": "phone"},
    "fax": {"domain": "phone"},
    "email": {"domain": "email", "search": ["equality", "order"]},
}
PROTECTED = {
    "public.customer": {"subject": "customer_id", "columns": PERSON},
    "public.employee": {"columns": {**PERSON, "birth_date": {}}},
}


@dataclass(frozen=True, slots=True)
class Stage:
    """An application's cluster, the cluster with the vault (perhaps the same), and the gateway between."""

    app: Cluster
    vault: Cluster
    vault_database: str
    gateway: Gateway

    def url(self) -> str:
        return self.gateway.url()

    def leaks(self, needles: list[bytes]) -> list[str]:
        """Where needles lie: in the files of both clusters and in what the gateway wrote to stderr."""
        found = [f"app: {line}" for line in self.app.scan(needles)]
        if self.vault is not self.app:
            found += [f"vault: {line}" for line in self.vault.scan(needles)]
        said = self.gateway.stderr_text().encode().lower()
        return found + [f"stderr: {needle!r}" for needle in needles if needle.lower() in said]


@pytest.fixture(scope="module", params=["the same database", "a separate vault"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Cluster(settings=VERBOSE) as app:
        app.psql("CREATE DATABASE app")
        app.psql(canaries.TABLES, "app")
        if request.param == "the same database":
            made = deployment(app, "app", tables=PROTECTED)
            made.apply()
            with Gateway(made) as gateway:
                yield Stage(app, app, "app", gateway)
        else:
            with Cluster(settings=VERBOSE) as vault:
                vault.psql("CREATE DATABASE values_of_app")
                made = deployment(app, "app", tables=PROTECTED, vault=(vault, "values_of_app"))
                made.apply()
                with Gateway(made) as gateway:
                    yield Stage(app, vault, "values_of_app", gateway)


@pytest.mark.parametrize("name", WRITERS)
def test_what_an_application_writes_is_nowhere(stage: Stage, name: str) -> None:
    new = Canaries()
    stage.app.psql("TRUNCATE customer CASCADE", "app")
    WRITERS[name](stage.url(), new)
    assert stage.app.psql("SELECT count(*) > 5 FROM customer", "app") == "t\n"
    assert stage.leaks(new.needles()) == []
    with psycopg.connect(stage.url()) as connection:
        rows = connection.execute("SELECT first_name, last_name, email, phone, fax FROM customer").fetchall()
    shown = repr(rows)
    assert sum(value in shown for value in new.given) > 5, "the application must see its values again"


def test_what_is_compared_by_an_order_index_is_nowhere(stage: Stage) -> None:
    """Constants that are no values: in ranges, pages, cursors, prepared statements; of changes, and in what fails."""
    new = Canaries()
    stage.app.psql("TRUNCATE customer CASCADE", "app")
    with psycopg.connect(stage.url(), autocommit=True) as session:
        for _ in range(3):
            session.execute(canaries.INSERT, new.person())
        person = new.person()
        statements: list[tuple[str, tuple[object, ...]]] = [
            ("SELECT count(*) FROM customer WHERE email > %s AND last_name <= %s", (new(), new())),
            (f"SELECT count(*) FROM customer WHERE email BETWEEN '{new()}' AND '{new()}'", ()),
            ("SELECT customer_id FROM customer WHERE (last_name, customer_id) > (%s, 1) ORDER BY 1 LIMIT 2", (new(),)),
            (f"SELECT greatest(last_name, '{new()}') FROM customer", ()),
            (f"PREPARE p AS SELECT count(*) FROM customer WHERE email < '{new()}'; EXECUTE p", ()),
            (f"PREPARE q (text) AS SELECT count(*) FROM customer WHERE email < $1; EXECUTE q ('{new()}')", ()),
            (f"UPDATE customer SET last_name = '{new()}' WHERE email > '{new()}'", ()),
            ("DELETE FROM customer WHERE email < %s AND customer_id < 0", (new(),)),
            (f"EXPLAIN ANALYZE SELECT 1 FROM customer WHERE email > '{new()}' ORDER BY last_name", ()),
            (f"COPY (SELECT email FROM customer WHERE email >= '{new()}' ORDER BY email) TO STDOUT", ()),
            (f"SELECT count(*) / 0 FROM customer WHERE email > '{new()}'", ()),
            (f"SELECT customer_id FROM customer WHERE email > '{new()}' ORDER BY email || last_name", ()),
            (f"INSERT INTO customer (customer_id, last_name) VALUES ({person[0]}, '{new()}'), ({person[0]}, '{new()}')", ()),
        ]  # fmt: skip
        failed = 0
        for statement, values in statements:
            try:
                if statement.startswith("COPY"):
                    with session.cursor().copy(statement.encode()) as copy:
                        assert list(copy) is not None
                else:
                    session.execute(statement.encode(), values or None)
            except psycopg.Error:
                failed += 1
        assert failed == 3
        with session.transaction():
            session.execute(
                f"DECLARE c CURSOR FOR SELECT email FROM customer WHERE email > '{new()}' ORDER BY email".encode()
            )
            session.execute("FETCH ALL FROM c")
    assert stage.leaks(new.needles()) == []
    codes = stage.app.psql(
        "SELECT relname FROM pg_class WHERE relname ~ '^codes_[a-z2-7]{3}$'", "app"
    ).split()
    assert len(codes) == 2
    assert all(stage.app.psql(f"SELECT count(*) > 2 FROM pgnym.{name}", "app") == "t\n" for name in codes)


REFUSED: dict[str, Callable[[Canaries], tuple[str, tuple[object, ...]]]] = {
    "a syntax error": lambda new: (f"INSERT INTO customer (email) VALUES ('{new()}') BUT", ()),
    "a syntax error before the value": lambda new: (f"INSERT customer (email) VALUES ('{new()}')", ()),
    "an unterminated literal": lambda new: (f"UPDATE customer SET email = '{new()}", ()),
    "an unterminated dollar quote": lambda new: (f"UPDATE customer SET email = $a${new()}", ()),
    "an unknown column": lambda new: (f"UPDATE customer SET mail = 1 WHERE email = '{new()}'", ()),
    "an unknown table beside": lambda new: (f"SELECT * FROM customer, nowhere WHERE email = '{new()}'", ()),
    "an unknown function around it": lambda new: (f"UPDATE customer SET email = nofunction('{new()}')", ()),
    "too long a value": lambda new: (f"UPDATE customer SET last_name = '{new()} {new()}'", ()),
    "too long a parameter": lambda new: ("UPDATE customer SET last_name = %s", (new() + new(),)),
    "no date": lambda new: (f"UPDATE employee SET birth_date = '{new()}'", ()),
    "no date as a parameter": lambda new: ("UPDATE employee SET birth_date = %s::text::timestamp", (new(),)),
    "a cast of it": lambda new: (f"UPDATE customer SET customer_id = 1 WHERE email = '{new()}'::int::text", ()),
    "a violated constraint": lambda new: (
        f"INSERT INTO customer (customer_id, email) VALUES (1, '{new()}'), (1, '{new()}')", ()),
    "a NULL elsewhere": lambda new: (f"INSERT INTO customer (customer_id, email) VALUES (NULL, '{new()}')", ()),
    "an order on it": lambda new: (f"SELECT * FROM customer WHERE email < '{new()}'", ()),
    "an order on it by a parameter": lambda new: ("SELECT * FROM customer WHERE email > %s", (new(),)),
    "a pattern": lambda new: (f"SELECT * FROM customer WHERE email LIKE '{new()}%%'", ()),
    "a pattern by a parameter": lambda new: ("SELECT * FROM customer WHERE email ILIKE %s", (f"%{new()}%",)),
    "a regular expression": lambda new: (f"SELECT * FROM customer WHERE last_name ~ '^{new()}'", ()),
    "a function of the column": lambda new: (f"SELECT * FROM customer WHERE lower(email) = lower('{new()}')", ()),
    "a value computed from another column": lambda new: (f"UPDATE customer SET email = company || '{new()}'", ()),
    "two domains": lambda new: (f"SELECT * FROM customer WHERE COALESCE(email, phone) = '{new()}'", ()),
    "a literal of two domains": lambda new: (
        f"SELECT * FROM (VALUES ('{new()}')) v (x) JOIN customer ON x = email AND x = phone", ()),
    "an anonymous block": lambda new: (
        f"DO $$BEGIN INSERT INTO customer (customer_id, email) VALUES (1, '{new()}'); END$$", ()),
    "a function's body": lambda new: (
        "CREATE FUNCTION f_" + secrets.token_hex(3) + "() RETURNS void LANGUAGE sql AS"
        f" $$UPDATE customer SET email = '{new()}'$$", ()),
    "a rule": lambda new: (
        f"CREATE RULE r AS ON INSERT TO note DO ALSO UPDATE customer SET email = '{new()}'", ()),
    "a default": lambda new: (f"ALTER TABLE customer ALTER email SET DEFAULT '{new()}'", ()),
    "a generated table": lambda new: (f"CREATE TABLE t_{secrets.token_hex(3)} AS SELECT * FROM customer"
                                      f" WHERE email = '{new()}'", ()),
    "a view": lambda new: (
        f"CREATE VIEW v_{secrets.token_hex(3)} AS SELECT * FROM customer WHERE email = '{new()}'", ()),
    "a comment": lambda new: (f"UPDATE customer SET email = '{new()}' /* ' -- */ WHERE false -- '", ()),
    "an unterminated comment": lambda new: (f"UPDATE customer SET email = '{new()}' /* ", ()),
}  # fmt: skip


@pytest.mark.parametrize("simple", [False, True], ids=["extended", "simple"])
def test_what_is_refused_or_fails_leaves_no_trace(stage: Stage, simple: bool) -> None:
    """Whether such a statement works or is refused is decided elsewhere; either way its values stay out of sight."""
    whose: dict[str, str] = {}
    broken = []
    for name, make in REFUSED.items():
        new = Canaries()
        statement, values = make(new)
        whose |= dict.fromkeys(new.given, name)
        with psycopg.connect(stage.url(), autocommit=True) as connection:
            cursor = psycopg.ClientCursor(connection) if simple else connection.cursor()
            try:
                cursor.execute(statement if values else statement.replace("%%", "%"), values or None)
            except psycopg.Error as error:
                if error.sqlstate is None:  # no answer, but a broken connection
                    broken.append(f"{name}: {error}")
    assert broken == []
    found = stage.leaks([value.encode() for value in whose])
    assert [f"{whose[v]} in {line}" for line in found for v in whose if v in line] == []


def test_what_an_aborted_transaction_or_pipeline_discards_leaves_no_trace(stage: Stage) -> None:
    new = Canaries()
    with psycopg.connect(stage.url(), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            _fail_in_a_pipeline(connection, new)
        connection.execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute(canaries.INSERT, new.person())
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute(f"INSERT INTO customer (customer_id, email) VALUES (1, '{new()}')")
        connection.execute("ROLLBACK")
    assert stage.leaks(new.needles()) == []


def _fail_in_a_pipeline(connection: psycopg.Connection, new: Canaries) -> None:
    with connection.pipeline():
        connection.execute("SELECT 1/0")
        connection.execute(canaries.INSERT, new.person())


# What no look at the text can see. The server itself refuses it; of its files only the log may show the statement.
AROUND: dict[str, Callable[[Canaries], list[str]]] = {
    "a name put together": lambda new: [
        f"DO $$BEGIN EXECUTE 'INSERT INTO cust' || 'omer (customer_id, email) VALUES (1, ''{new()}'')'; END$$"
    ],
    "a function that was there before": lambda new: [f"SELECT add_person('{new()}')"],
    "a procedure": lambda new: [f"CALL add_person_procedure('{new()}')"],
    "a trigger of another table": lambda new: [f"INSERT INTO note VALUES (1, '{new()}')"],
}
FUNCTIONS = """
CREATE FUNCTION add_person(mail text) RETURNS void LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO customer (customer_id, email) VALUES (990, mail); END$$;
CREATE PROCEDURE add_person_procedure(mail text) LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO customer (customer_id, email) VALUES (991, mail); END$$;
CREATE FUNCTION note_added() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN UPDATE customer SET email = NEW.about; INSERT INTO customer (customer_id, email) VALUES (992, NEW.about);
  RETURN NEW; END$$;
CREATE TRIGGER note_added BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION note_added();
"""


@pytest.mark.parametrize("name", AROUND)
def test_around_the_gateways_eyes_the_server_still_refuses(stage: Stage, name: str) -> None:
    new = Canaries()
    stage.app.psql(FUNCTIONS, "app")
    try:
        with psycopg.connect(stage.url(), autocommit=True) as connection:
            for statement in AROUND[name](new):
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(statement)
                assert caught.value.sqlstate in {"23514", "0A000", "42501"}, caught.value
    finally:
        stage.app.psql(
            "DROP TRIGGER note_added ON note; DROP FUNCTION note_added, add_person; DROP PROCEDURE add_person_procedure",
            "app",
        )
    assert [line for line in stage.app.scan(new.needles()) if not line.startswith("server.log")] == []


@pytest.mark.parametrize("column", PERSON)
@pytest.mark.parametrize("value", ["plain", "pn1", "pn1abcdefghijklmnopqrstuvwxyz", " ", "pn1aaa" + "a" * 25])
def test_a_direct_write_of_plaintext_is_refused(stage: Stage, column: str, value: str) -> None:
    """Not through the gateway: by whoever else has a connection."""
    with pytest.raises(ClusterError, match=r"violates check constraint|value too long"):
        stage.app.psql(f"INSERT INTO customer (customer_id, {column}) VALUES (-1, '{value}')", "app")


def test_a_token_of_another_domain_is_refused_directly(stage: Stage) -> None:
    with psycopg.connect(stage.url(), autocommit=True) as connection:
        connection.execute(canaries.INSERT + " ON CONFLICT DO NOTHING", (970, "First", "Last", "mail@x.org"))
    with pytest.raises(ClusterError, match="violates check constraint"):
        stage.app.psql("UPDATE customer SET email = first_name WHERE customer_id = 970", "app")


def test_no_secret_in_the_gateways_log_or_the_databases(stage: Stage) -> None:
    made = stage.gateway.deployment
    assert stage.leaks([made.master_key.encode(), made.vault_password.encode()]) == []


def test_the_application_has_no_ciphertext_when_the_vault_is_elsewhere(stage: Stage) -> None:
    if stage.vault is stage.app:
        pytest.skip("the vault is in the same database")
    new = Canaries()
    stage.app.psql("TRUNCATE customer CASCADE", "app")
    WRITERS["psycopg 3"](stage.url(), new)
    rows = stage.vault.psql(
        "SELECT encode(ciphertext, 'hex') FROM vault.value LIMIT 40", stage.vault_database
    )
    ciphertexts = [bytes.fromhex(line) for line in rows.splitlines()]
    assert len(ciphertexts) == 40
    assert stage.app.scan(ciphertexts) == []
    keys = stage.vault.psql("SELECT encode(wrapped, 'hex') FROM vault.key", stage.vault_database).splitlines()
    assert stage.app.scan([bytes.fromhex(line) for line in keys]) == []
    assert stage.vault.scan(ciphertexts[:3]) != [], "the search must be able to find them where they are"


def test_the_search_itself_finds_what_is_there(stage: Stage) -> None:
    """Without this, a broken search would let every test above pass."""
    value = "Found" + os.urandom(6).hex()
    stage.app.psql(f"CREATE TABLE control AS SELECT '{value}' AS v", "app")
    places = {line.split(":")[0].split("/")[0] for line in stage.app.scan([value.encode()])}
    assert places >= {"base", "pg_wal", "server.log"}
    stage.app.psql("DROP TABLE control", "app")
