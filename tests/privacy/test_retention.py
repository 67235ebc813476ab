"""``retain``: rows are deleted, or emptied, when their time is over; their values go by the purge."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from pgnym.vault import locks
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, command, deployment

pytestmark = pytest.mark.server

SCHEMA = """
CREATE TABLE customer (id int PRIMARY KEY, mail text NOT NULL, phone text, tags text[], extra jsonb, seen timestamptz);
CREATE TABLE visit (n int PRIMARY KEY, customer int, ip text, day date);
CREATE TABLE cart (n serial, customer int REFERENCES customer, note text, at timestamp) ;
CREATE TABLE log (at timestamptz NOT NULL, line text) PARTITION BY RANGE (at);
CREATE TABLE log_old PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);
"""
TABLES: dict[str, Any] = {
    "public.customer": {
        "retain": {"after": "seen", "for": "2y", "then": "delete"},
        "columns": {
            "mail": {"domain": "mail"}, "phone": {}, "tags": {"domain": "tag"},
            "extra": {"paths": {"nick": {"domain": "nick"}}},
        },
    },
    "public.visit": {"retain": {"after": "day", "for": "30d"}, "columns": {"ip": {"tokens": "randomized"}}},
    "public.cart": {"retain": {"after": "at", "for": "0d", "then": "delete"}, "columns": {"note": {}}},
    "public.log": {"retain": {"after": "at", "for": "1y", "then": "delete"}, "columns": {"line": {}}},
}  # fmt: skip
FILL = """
INSERT INTO customer SELECT n, n || '@example.org', '+420 ' || n, ARRAY['t' || n, 'red'],
  jsonb_build_object('nick', 'nick' || n, 'plain', n), now() - n * interval '1 month' FROM generate_series(1, 60) n;
INSERT INTO customer VALUES (100, 'never@example.org', NULL, NULL, NULL, NULL),
  (101, 'late@example.org', NULL, NULL, NULL, 'infinity'), (102, 'early@example.org', NULL, NULL, NULL, '-infinity');
INSERT INTO visit SELECT n, n, '10.0.0.' || n, CURRENT_DATE - n FROM generate_series(1, 60) n;
INSERT INTO log SELECT now() - n * interval '100 days', 'line ' || n FROM generate_series(1, 20) n;
"""


@dataclass
class World:
    """Tables whose rows are kept for a time, and a gateway."""

    made: Deployment
    gateway: Gateway
    postgres: Cluster
    database: str

    def sql(self, text: str) -> str:
        return self.postgres.psql(text, self.database).strip()

    def session(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.gateway.url(self.database), autocommit=True)

    def retention(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.made.pgnym("retention", *options, check=check)

    def records(self, action: str) -> str:
        return self.made.pgnym("audit", "show", "--action", action).stdout


def start(postgres: Cluster, database: str, store: str, fill: str = FILL, **sections: Any) -> Deployment:
    postgres.psql(SCHEMA + fill, database)
    made = deployment(
        postgres, database, tables=TABLES, vault=None if store == database else (postgres, store), **sections
    )
    made.apply()
    return made


@pytest.fixture(params=[False, True], ids=["one database", "vault elsewhere"])
def world(
    request: pytest.FixtureRequest, postgres: Cluster, make_database: Callable[..., str]
) -> Iterator[World]:
    database = make_database()
    made = start(postgres, database, make_database() if request.param else database)
    with Gateway(made) as gateway:
        yield World(made, gateway, postgres, database)


def test_rows_go_when_their_time_is_over(world: World) -> None:
    told = world.retention("--dry-run").stdout.splitlines()
    assert told == [
        "public.visit: 30 rows would be scrubbed (30 days after day)",
        "public.cart: 0 rows would be deleted (0 days after at)",
        "public.customer: 38 rows would be deleted (2 years after seen)",
        "public.log: 17 rows would be deleted (1 years after at)",
    ]
    assert world.sql("SELECT count(*) FROM customer") == "63", "a dry run changes nothing"
    assert world.records("retain") == ""

    with world.session() as session:
        # What is locked stays; what is no longer over when its turn comes, too.
        session.autocommit = False
        session.execute("SELECT FROM customer WHERE id = 40 FOR UPDATE")
        said = world.retention("--yes").stdout
        session.rollback()
    assert "public.customer: 37 rows deleted (2 years after seen)" in said
    assert "public.customer: 1 rows in use, left to the next run" in said
    assert "public.visit: 30 rows scrubbed (30 days after day)" in said
    assert "public.log: 17 rows deleted (1 years after at)" in said
    assert world.sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM customer WHERE id > 20") == (
        "21,22,23,40,100,101"
    )
    assert world.sql("SELECT count(*) FROM visit WHERE ip IS NULL") == "30"
    assert world.sql("SELECT count(*) FROM visit WHERE ip IS NULL AND day >= CURRENT_DATE - 30") == "0"
    assert world.sql("SELECT count(*) FROM log") == "3"
    with world.session() as session:
        assert session.execute("SELECT mail FROM customer WHERE id = 23").fetchone() == ("23@example.org",)

    again = world.retention("--yes").stdout
    assert "public.customer: 1 rows deleted" in again
    assert "public.visit: 0 rows scrubbed" in again, "what is empty is not emptied again"
    records = world.records("retain")
    assert "37 rows of public.customer deleted: 2 years after seen" in records
    assert "mail" in records
    assert "dry run" in world.records("admin")
    assert world.made.pgnym("audit", "verify", check=False).returncode == 0


def test_what_is_referred_to_is_kept_and_the_rest_goes(world: World) -> None:
    with world.session() as session:
        session.execute(
            "INSERT INTO cart (customer, note, at) VALUES (30, 'old', now() - interval '1 day'),"
            " (31, 'new', now() + interval '1 day'), (58, 'new', now() + interval '1 day')"
        )
    said = world.retention("--yes").stdout
    assert "public.cart: 1 rows deleted" in said, "what refers to others goes before them"
    assert "public.customer: 36 rows deleted" in said
    assert "public.customer: 2 rows kept: 2 by cart_customer_fkey of cart" in said
    assert world.sql(
        "SELECT string_agg(id::text, ',' ORDER BY id) FROM customer WHERE id BETWEEN 24 AND 60"
    ) == ("31,58")


def test_a_trigger_in_the_way_is_told_and_the_other_tables_go_on(world: World) -> None:
    world.sql(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'secret'; END$$;"
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;"
        "CREATE TRIGGER no BEFORE DELETE ON customer FOR EACH ROW EXECUTE FUNCTION no();"
        "CREATE TRIGGER keep BEFORE DELETE ON log_old FOR EACH ROW EXECUTE FUNCTION keep();"
    )
    old = int(world.sql("SELECT count(*) FROM log_old"))
    done = world.retention("--yes", check=False)
    assert done.returncode == 1
    assert "public.customer: the protected database refused it (P0001)" in done.stderr
    assert "secret" not in done.stderr
    assert f"public.log: {17 - old} rows deleted" in done.stdout
    assert f"public.log: {old} rows kept: {old} by a trigger of public.log" in done.stdout
    assert "not in full: public.customer" in world.records("admin")


def test_values_of_what_is_gone_are_purged_after_their_time(postgres: Cluster, database: str) -> None:
    made = start(postgres, database, database, retention={"purge_after": "24h"})
    with Gateway(made) as gateway:
        world = World(made, gateway, postgres, database)
        assert "values that no row holds" not in world.retention("--yes").stdout, "they are younger"
        before = int(world.sql("SELECT count(*) FROM vault.value"))
        world.sql("UPDATE vault.value SET last_put = now() - interval '25 hours'")
        said = world.retention("--yes").stdout
        assert "38 of mail" in said
        assert "37 of nick" in said
        assert "37 of tag" in said, "red is still held by others"
        gone = 38 + 37 + 37 + 37 + 30 + 17  # mails, phones, tags, nicks, addresses, lines
        assert int(world.sql("SELECT count(*) FROM vault.value")) == before - gone


def test_killed_and_run_again_beside_writers(postgres: Cluster, database: str) -> None:
    many = (
        "INSERT INTO log SELECT now() - interval '3 years' + n * interval '1 second', 'l' || n % 1000"
        " FROM generate_series(1, 20000) n"
    )
    made = start(postgres, database, database, many)
    with Gateway(made) as gateway:
        world = World(made, gateway, postgres, database)
        file = gateway.directory / "pgnym.yaml"
        run = [*command(), "retention", "--yes", "-c", str(file)]
        first = subprocess.Popen(run, env=made.environment(), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while int(world.sql("SELECT count(*) FROM log")) == 20000:
            assert time.monotonic() < deadline
            assert first.poll() is None, "it has not begun yet"
        first.send_signal(signal.SIGKILL)
        first.wait()
        left = int(world.sql("SELECT count(*) FROM log"))
        assert 0 < left < 20000
        assert left % 500 == 0, "batches are whole"

        with (
            world.session() as session,
            subprocess.Popen(run, env=made.environment(), stdout=subprocess.PIPE, text=True) as second,
        ):
            written = 0
            while second.poll() is None:
                session.execute("INSERT INTO log VALUES (now(), 'fresh')")
                session.execute("UPDATE log SET line = 'kept' WHERE at > now() - interval '1 day'")
                written += 1
            assert second.stdout is not None
            said = second.stdout.read()
        assert second.returncode == 0, said
        assert f"public.log: {left} rows deleted" in said
        with world.session() as session:
            assert session.execute("SELECT count(*) FROM log WHERE line = 'kept'").fetchone() == (written,)
        assert world.made.pgnym("audit", "verify", check=False).returncode == 0


def test_one_run_at_a_time(world: World) -> None:
    store = world.made.vault_owner_url or world.made.owner_url
    with psycopg.connect(store, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (locks.RETENTION,))
        refused = world.retention("--yes", check=False)
    assert refused.returncode == 1
    assert "another run of retention is at work" in refused.stderr
    assert world.sql("SELECT count(*) FROM customer") == "63"


def test_rows_of_one_tenant(postgres: Cluster, database: str) -> None:
    made = start(
        postgres, database, database, "", tenants={"default": "main", "startup_option": ["postgres"]}
    )
    with Gateway(made) as gateway:
        world = World(made, gateway, postgres, database)
        for tenant in ("main", "other"):
            options = f"-c pgnym.tenant={tenant}"
            with psycopg.connect(gateway.url(), autocommit=True, options=options) as session:
                session.execute("INSERT INTO log VALUES (now() - interval '3 years', 'a'), (now(), 'b')")
        world.sql("INSERT INTO log VALUES (now() - interval '3 years', NULL)")
        assert "public.log: 1 rows deleted" in world.retention("--yes", "--tenant", "other").stdout
        assert "1 rows of public.log deleted" in made.pgnym("audit", "show", "--tenant", "other").stdout
        assert "rows of public.log deleted" not in made.pgnym("audit", "show", "--tenant", "main").stdout
        assert world.sql("SELECT count(*) FROM log") == "4"
        assert "public.log: 2 rows deleted" in world.retention("--yes").stdout, "nobody's row, too"


def test_plan_tells_what_does_not_fit(postgres: Cluster, database: str) -> None:
    postgres.psql("CREATE TABLE t (id int, mail text, until text)", database)
    for column, expected in (("untl", "has no column untl"), ("until", "is told by a date or a timestamp")):
        tables = {"public.t": {"columns": {"mail": {}}, "retain": {"after": column, "for": "1d"}}}
        planned = deployment(postgres, database, tables=tables).pgnym("plan", check=False)
        assert expected in planned.stdout + planned.stderr
