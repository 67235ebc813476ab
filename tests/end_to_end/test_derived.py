"""Tables and views made from protected ones, through the gateway: as on plain PostgreSQL, and guarded like their origins.

Each statement runs on a twin without protection, too; results, descriptions, tags and error codes must agree. At the end no
value is in any file of the protected server, whose log has every statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from support.cluster import SUPERUSER, Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

TABLES = """
CREATE TABLE person (id int PRIMARY KEY, email varchar(60) UNIQUE, first_name varchar(20), born date, score numeric(8,2),
  note text, city text);
CREATE TABLE letter (id int PRIMARY KEY, sender text, body text);
CREATE VIEW contact AS SELECT id, email AS mail, first_name || ' / ' || city AS label FROM person;
"""
ROWS = """
INSERT INTO person VALUES (1, 'canary-ada@x.org', 'CanaryAda', '1815-12-10', 12.50, 'canary-note-1', 'London'),
  (2, 'canary-bob@x.org', 'CanaryBob', NULL, 3, '', 'Rome'), (3, NULL, '', '2000-02-29', NULL, 'canary-note-3', 'Oslo');
INSERT INTO letter VALUES (1, 'canary-ada@x.org', 'hello'), (2, 'canary-zoe@x.org', 'dear');
"""
CANARIES = [
    b"canary-ada",
    b"canary-bob",
    b"canary-zoe",
    b"canaryada",
    b"canarybob",
    b"canary-note",
    b"canary-new",
    b"canary-dflt",
]
PROTECTED: dict[str, Any] = {
    "public.person": {
        "columns": {
            "email": {"domain": "email"},
            "first_name": {"mask": "initial"},
            "born": {},
            "score": {},
            "note": {"tokens": "randomized"},
        }
    },
    "public.letter": {"columns": {"sender": {"domain": "email"}}},
}
ROLES: dict[str, Any] = {
    "app": {"users": [SUPERUSER], "reveal": ["*"]},
    "clerk": {
        "users": ["clerk"],
        "reveal": ["public.person.email", "public.person.born"],
        "mask": ["public.person.first_name"],
    },
}


@dataclass
class Pair:
    """A session through the gateway beside one on the twin."""

    gateway: Gateway
    ours: psycopg.Connection[Any]
    twin: psycopg.Connection[Any]
    binary: bool
    server: Cluster
    database: str
    log: list[str] = field(default_factory=list)

    def both(self, statement: str, parameters: list[Any] | None = None) -> Any:
        """Run it on both; the common outcome."""
        found = self._run(self.ours, statement, parameters)
        assert found == self._run(self.twin, statement, parameters), (statement, self.log)
        return found

    def refused(self, statement: str, sqlstate: str = "0A000") -> str:
        """Run it through the gateway, which must refuse it; the message."""
        with pytest.raises(psycopg.Error) as caught:
            self.ours.execute(statement)
        assert caught.value.sqlstate == sqlstate, caught.value
        return str(caught.value)

    def _run(self, connection: psycopg.Connection[Any], statement: str, parameters: list[Any] | None) -> Any:
        try:
            with connection.cursor(binary=self.binary) as cursor:
                cursor.execute(statement, parameters)
                described = [
                    (c.name, c.type_code, c.display_size, c.precision, c.scale)
                    for c in cursor.description or ()
                ]
                rows = sorted(cursor.fetchall(), key=repr) if cursor.description else []
                return cursor.statusmessage, described, rows
        except psycopg.Error as error:
            self.log.append(str(error))
            return error.sqlstate

    def checks(self, table: str) -> list[str]:
        """The names of the table's CHECK constraints of ours."""
        query = f"SELECT conname FROM pg_constraint WHERE conrelid = '{table}'::regclass AND conname ~ '^pgnym_' ORDER BY 1"
        return self.server.psql(query, self.database).split()

    def stored(self, query: str) -> str:
        """What the protected server has."""
        return self.server.psql(query, self.database)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Cluster, Gateway]]:
    with Cluster(settings={"log_statement": "all", "log_min_duration_statement": "0"}) as server:
        server.psql("CREATE DATABASE app")
        server.psql("CREATE ROLE clerk LOGIN")
        server.psql(
            TABLES + "GRANT ALL ON SCHEMA public TO clerk; GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk",
            "app",
        )
        made = deployment(server, "app", tables=PROTECTED, roles=ROLES)
        made.apply()
        with Gateway(made) as gateway:
            with psycopg.connect(gateway.url(), autocommit=True) as connection:
                connection.execute(ROWS)
            yield server, gateway
        assert server.scan(CANARIES) == []


@pytest.fixture(params=["simple", "binary"])
def pair(
    request: pytest.FixtureRequest, servers: tuple[Cluster, Gateway], postgres: Cluster, twin: str
) -> Iterator[Pair]:
    server, gateway = servers
    postgres.psql(TABLES + ROWS, twin)
    before = server.psql("SELECT max(oid) FROM pg_class", "app").strip()
    with (
        psycopg.connect(gateway.url(), autocommit=True) as ours,
        psycopg.connect(postgres.url(twin), autocommit=True) as plain,
    ):
        yield Pair(gateway, ours, plain, request.param == "binary", server, "app")
    # behind the gateway, as others might
    drops = server.psql(
        "SELECT format('DROP %s IF EXISTS %s CASCADE;', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'"
        f" ELSE 'TABLE' END, oid::regclass) FROM pg_class WHERE oid > {before} AND relkind IN ('r', 'p', 'v', 'm')"
        " AND relnamespace = 'public'::regnamespace",
        "app",
    )
    server.psql(drops, "app")


def test_create_table_as_is_protected_at_once(pair: Pair) -> None:
    made = pair.both(
        "CREATE TABLE report AS SELECT id, email, born, score, note, city FROM person WHERE id < 9"
    )
    assert made[0] == "SELECT 3"
    assert len(pair.checks("report")) == 4
    found = pair.both("SELECT * FROM report")
    assert found[2][0][:2] == (1, "canary-ada@x.org")
    pair.both("SELECT id FROM report WHERE email = %s", ["canary-bob@x.org"])
    pair.both(
        "INSERT INTO report (id, email, born) VALUES (%s, %s, %s)", [7, "canary-new@x.org", "1999-01-01"]
    )
    pair.both("UPDATE report SET email = 'canary-new2@x.org' WHERE email = 'canary-new@x.org' RETURNING *")
    pair.both("SELECT r.id, p.first_name FROM report r JOIN person p USING (email)")
    pair.both("INSERT INTO report (id, email) SELECT id, email FROM person")
    pair.both("SELECT count(*), email FROM report GROUP BY email")
    with pytest.raises(Exception, match="pgnym_"):
        pair.stored("INSERT INTO report (id, email) VALUES (1, 'plain')")
    assert "pn1" in pair.stored("SELECT email FROM report WHERE id = 7")


def test_text_keeps_the_type_of_its_own(pair: Pair) -> None:
    pair.both(
        "CREATE TABLE typed AS SELECT email::text AS mail, email, first_name::varchar AS name FROM person"
    )
    pair.both("SELECT * FROM typed")
    pair.both(
        "INSERT INTO typed (mail, email) VALUES"
        " ('canary-new-long-0123456789012345678901234567890123456789012345678901234', 'canary-new@x.org')"
    )
    pair.both(
        "INSERT INTO typed (email) VALUES ('canary-new-012345678901234567890123456789012345678901234567890123456789')"
    )
    pair.both("INSERT INTO typed (name) VALUES ('canary-new-0123456789012345678901234567890123456789')")
    pair.both("SELECT * FROM typed")


def test_within_a_transaction(pair: Pair) -> None:
    """Only the session sees the table yet, so the catalog is read through it."""
    for connection in (pair.ours, pair.twin):
        connection.execute("BEGIN")
    pair.both("CREATE TEMP TABLE picked ON COMMIT DROP AS SELECT email, id FROM person")
    pair.both("SELECT email FROM picked WHERE email = 'canary-ada@x.org'")
    pair.both(
        "SELECT p.id FROM picked k JOIN person p ON p.email = k.email WHERE k.email = %s",
        ["canary-bob@x.org"],
    )
    pair.both("SAVEPOINT s")
    pair.both("CREATE TABLE second AS TABLE picked")
    pair.both("SELECT * FROM second WHERE email <> 'canary-ada@x.org'")
    pair.both("ROLLBACK TO s")
    pair.both("SELECT email, id FROM picked")
    pair.both("SELECT * FROM person WHERE email = 'canary-bob@x.org'")
    pair.both("SELECT * FROM second")  # fails
    pair.both("ROLLBACK")
    pair.both("SELECT * FROM picked")  # gone
    pair.both("SELECT email FROM person")


def test_a_failure_leaves_nothing(pair: Pair) -> None:
    pair.both("CREATE TABLE gone AS SELECT email, 1 / (id - 3) AS x FROM person")
    pair.both("SELECT * FROM gone")
    pair.both("CREATE TABLE person AS SELECT email FROM person")  # exists
    pair.refused("CREATE TABLE gone AS SELECT first_name || email AS x FROM person")
    pair.both("SELECT to_regclass('gone')::text")


def test_if_not_exists_and_no_data(pair: Pair) -> None:
    for _ in range(2):
        pair.both("CREATE TABLE IF NOT EXISTS once AS SELECT email FROM person WITH NO DATA")
    assert len(pair.checks("once")) == 1
    pair.both("INSERT INTO once VALUES ('canary-new@x.org') RETURNING *")


def test_a_temporary_table_goes_with_its_session(pair: Pair) -> None:
    pair.both("CREATE TEMP TABLE mine (mail, born) AS SELECT email, born FROM person")
    pair.both("SELECT mail, born FROM mine WHERE mail = 'canary-ada@x.org'")
    with psycopg.connect(pair.gateway.url(), autocommit=True) as other:
        with pytest.raises(psycopg.errors.UndefinedTable):
            other.execute("SELECT * FROM mine")
        other.execute("CREATE TEMP TABLE mine AS SELECT first_name AS mail FROM person WHERE id = 1")
        assert other.execute("SELECT mail FROM mine").fetchall() == [("CanaryAda",)]
    pair.both("SELECT mail, born FROM mine")
    pair.both("DROP TABLE mine")
    pair.both("CREATE TEMP TABLE mine AS SELECT 'plain' AS mail")
    pair.both("SELECT mail FROM mine WHERE mail = 'plain'")


def test_select_into_and_several_statements(pair: Pair) -> None:
    pair.both("SELECT id, email INTO copied FROM person WHERE email IS NOT NULL")
    pair.both("SELECT * FROM copied")
    if not pair.binary:
        pair.both(
            "CREATE TABLE one AS SELECT email FROM person; CREATE TABLE two AS SELECT born FROM person -- two"
        )
        pair.both("SELECT * FROM one CROSS JOIN two")
        pair.both("BEGIN; SELECT email INTO three FROM person; ROLLBACK")
        pair.both("SELECT * FROM three")
        message = pair.refused("CREATE TABLE four AS SELECT email FROM person; SELECT * FROM four")
        assert "one by one" in message
        pair.twin.execute("SELECT 1")


def test_a_union_goes_by_the_policies_of_all(pair: Pair) -> None:
    pair.both("CREATE TABLE everyone AS SELECT email FROM person UNION SELECT sender FROM letter")
    assert len(pair.checks("everyone")) == 2
    pair.both("SELECT * FROM everyone")
    pair.both("INSERT INTO everyone VALUES ('canary-new@x.org')")
    pair.both("SELECT count(*) FROM everyone WHERE email = 'canary-new@x.org'")
    pair.server.psql("GRANT ALL ON everyone TO clerk", "app")
    with psycopg.connect(pair.gateway.url(user="clerk"), autocommit=True) as clerk:
        rows = clerk.execute("SELECT email FROM everyone WHERE email IS NOT NULL").fetchall()
        assert rows
        assert all(row[0].startswith("pn1") for row in rows)  # letter.sender is not the clerk's to see
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            clerk.execute("SELECT 1 FROM everyone WHERE email = 'canary-ada@x.org'")


def test_a_copy_goes_by_the_policy_of_its_origin(pair: Pair) -> None:
    """Whatever a column or its table is called: no right is won by copying or renaming."""
    shown = f"shown_{pair.binary}"  # a name of its own: sessions end when a name comes to mean another column
    pair.both(
        f"CREATE TABLE {shown} AS SELECT email, first_name AS email2, sender AS mail"
        " FROM person JOIN letter ON sender = email"
    )
    pair.both(f"CREATE TABLE mirror (LIKE {shown})")
    pair.both(f"INSERT INTO mirror SELECT * FROM {shown}")
    for old, new in (("email2", "x"), ("email", "first_name"), ("x", "email")):
        pair.server.psql(f"ALTER TABLE {shown} RENAME {old} TO {new}", "app")
    assert ended(pair.ours)
    pair.server.psql(f"GRANT ALL ON {shown}, mirror TO clerk", "app")
    with psycopg.connect(pair.gateway.url(user="clerk"), autocommit=True) as clerk:
        known = [("canary-ada@x.org", "C********")]
        assert clerk.execute(f"SELECT first_name, email FROM {shown}").fetchall() == known
        assert clerk.execute("SELECT email, email2 FROM mirror").fetchall() == known
        assert clerk.execute(f"SELECT mail FROM {shown}").fetchall()[0][0].startswith("pn1")
        clerk.execute("CREATE TABLE clerks AS SELECT email, first_name FROM person WHERE id = 2")
        assert clerk.execute("SELECT * FROM clerks").fetchall() == [("canary-bob@x.org", "C********")]
        clerk.execute("DROP TABLE clerks")


def ended(connection: psycopg.Connection[Any]) -> bool:
    """Whether the gateway ends a session, within twenty seconds."""
    try:
        for _ in range(200):
            connection.execute("SELECT pg_sleep(0.1)")
    except psycopg.OperationalError:
        return True
    return False


def test_views_and_materialized_views(pair: Pair) -> None:
    pair.both(
        "CREATE VIEW seen AS SELECT email, first_name || ' of ' || city AS label FROM person"
        " WHERE email <> 'canary-bob@x.org'"
    )
    pair.both("SELECT * FROM seen")
    pair.both("SELECT label FROM seen WHERE email = %s", ["canary-ada@x.org"])
    pair.both(
        "CREATE MATERIALIZED VIEW kept AS SELECT id, email, concat(first_name, '!') AS loud FROM person"
    )
    pair.both("SELECT * FROM kept")
    pair.both("CREATE UNIQUE INDEX kept_id ON kept (id)")
    pair.both("CREATE INDEX kept_mail ON kept (email)")
    pair.both("UPDATE person SET email = 'canary-new3@x.org' WHERE id = 3")
    pair.both("REFRESH MATERIALIZED VIEW CONCURRENTLY kept")
    pair.both("SELECT * FROM kept WHERE email = 'canary-new3@x.org'")
    pair.both("UPDATE person SET email = NULL WHERE id = 3")
    pair.both("CREATE TABLE from_view AS SELECT mail FROM contact")
    pair.both("SELECT * FROM from_view")
    pair.both("CREATE VIEW twice AS SELECT * FROM seen JOIN kept USING (email)")
    pair.both("SELECT * FROM twice")
    pair.both("ALTER VIEW twice RENAME TO thrice")
    pair.both("SELECT email, loud FROM thrice")


def test_views_made_in_a_transaction(pair: Pair) -> None:
    """Their definitions come as the session's search_path shows them."""
    for connection in (pair.ours, pair.twin):
        connection.execute("BEGIN")
    pair.both("CREATE SCHEMA side")
    pair.both("CREATE VIEW side.seen AS SELECT email AS mail FROM person")
    pair.both("SET LOCAL search_path = side")
    pair.both("SELECT mail FROM seen WHERE mail = 'canary-ada@x.org'")
    pair.both("CREATE TABLE own AS SELECT mail FROM seen")
    pair.both("SELECT * FROM own")
    pair.both("ROLLBACK")
    pair.both("SELECT email FROM person")


def test_like_inherits_and_partitions(pair: Pair) -> None:
    pair.both("CREATE TABLE alike (LIKE person)")
    pair.both("CREATE TABLE same (LIKE person INCLUDING ALL, extra int)")
    assert pair.checks("alike") == pair.checks("same") == pair.checks("person")
    for name in ("alike", "same"):
        pair.both(f"INSERT INTO {name} (id, email, born) VALUES (1, 'canary-new@x.org', '2001-02-03')")
        pair.both(f"SELECT * FROM {name} WHERE email = 'canary-new@x.org'")
    pair.both("CREATE TABLE child (rank int) INHERITS (person)")
    pair.both("INSERT INTO child (id, email, rank) VALUES (9, 'canary-new9@x.org', 1)")
    pair.both("SELECT email, rank FROM child")
    pair.both("SELECT email FROM person WHERE id = 9")
    pair.both("ALTER TABLE child NO INHERIT person")
    pair.both("SELECT email FROM child WHERE email = 'canary-new9@x.org'")
    pair.both("CREATE TABLE parted (LIKE person) PARTITION BY LIST (city)")
    pair.both("CREATE TABLE rome PARTITION OF parted FOR VALUES IN ('Rome')")
    pair.both("CREATE TABLE oslo (LIKE person)")
    pair.both("ALTER TABLE parted ATTACH PARTITION oslo FOR VALUES IN ('Oslo')")
    pair.both("INSERT INTO parted SELECT * FROM person WHERE city IN ('Rome', 'Oslo')")
    pair.both("SELECT id, email, city FROM parted")
    pair.both("SELECT email FROM rome")
    pair.both("ALTER TABLE parted DETACH PARTITION rome")
    pair.both("SELECT email FROM rome WHERE email = 'canary-bob@x.org'")
    pair.both("DELETE FROM child")


def test_changes_of_protected_tables(pair: Pair) -> None:
    pair.both("CREATE TABLE other (LIKE person INCLUDING ALL)")
    pair.both(
        "ALTER TABLE other ALTER email SET DEFAULT 'canary-dflt@x.org', ALTER born SET DEFAULT '1980-01-01'"
    )
    pair.both("INSERT INTO other (id) VALUES (1)")
    pair.both("SELECT email, born FROM other WHERE email = 'canary-dflt@x.org'")
    pair.both("ALTER TABLE other ADD COLUMN extra text DEFAULT 'e', DROP COLUMN note")
    pair.both("SELECT * FROM other")
    pair.both("ALTER TABLE other RENAME COLUMN email TO mail")
    pair.both("SELECT mail FROM other WHERE mail = 'canary-dflt@x.org'")
    pair.both("ALTER TABLE other RENAME TO another")
    pair.both("SELECT mail FROM another WHERE mail = 'canary-dflt@x.org'")
    pair.both("CREATE SCHEMA IF NOT EXISTS elsewhere")
    pair.both("ALTER TABLE another SET SCHEMA elsewhere")
    pair.both("SELECT mail FROM elsewhere.another WHERE mail = 'canary-dflt@x.org'")
    pair.both(
        "ALTER TABLE letter ADD CONSTRAINT sender_fk FOREIGN KEY (sender) REFERENCES person (email)"
    )  # zoe is missing
    pair.both(
        "ALTER TABLE letter ADD CONSTRAINT sender_fk FOREIGN KEY (sender) REFERENCES person (email) NOT VALID"
    )
    pair.both("INSERT INTO letter VALUES (5, 'canary-new-nobody@x.org')")
    pair.both("ALTER TABLE letter DROP CONSTRAINT sender_fk")
    pair.both("CREATE INDEX ON person (email, city)")
    pair.both("ANALYZE person")
    pair.both("TRUNCATE elsewhere.another")
    pair.refused("ALTER TABLE elsewhere.another ALTER mail TYPE text")
    pair.refused("ALTER TABLE elsewhere.another DROP CONSTRAINT pgnym_1")
    pair.refused("ALTER TABLE letter ADD FOREIGN KEY (sender) REFERENCES person (first_name)")
    pair.refused("CREATE INDEX ON person (upper(email))")
    pair.both("DROP TABLE elsewhere.another")
    pair.both("SELECT * FROM elsewhere.another")
    pair.both("DROP SCHEMA elsewhere CASCADE")


def test_other_sessions_know_it_at_once(pair: Pair) -> None:
    with psycopg.connect(pair.gateway.url(), autocommit=True) as other:
        assert other.execute("SELECT 1").fetchone() == (1,)
        for number in range(5):
            pair.both(f"CREATE TABLE quick{number} AS SELECT email FROM person WHERE id = 1")
            found = other.execute(f"SELECT email FROM quick{number} WHERE email = 'canary-ada@x.org'")
            assert found.fetchall() == [("canary-ada@x.org",)]
            pair.both(f"DROP TABLE quick{number}")
        assert other.execute("SELECT 2").fetchone() == (2,)  # and nobody is thrown out for it
