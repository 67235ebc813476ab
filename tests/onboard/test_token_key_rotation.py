"""``pgnym keys rotate token``: all places that hold tokens, killed at moments of chance, and what old tokens open."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from pgnym.vault import order_tables
from pgnym.vault.migrations import _migrations
from pgnym.vault.tokens import domain_id, prefix
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, command, deployment

pytestmark = pytest.mark.server

PEOPLE = 3000
ANY_PORT = {"listen": "127.0.0.1:0"}
MOMENTS = random.Random(20261125)
TABLES = {
    "public.person": {
        "columns": {
            "mail": {"domain": "mail", "normalize": "casefold", "search": ["substring", "order"]},
            "born": {"domain": "born", "tokens": "randomized"},
            "amount": {"domain": "amount", "search": ["equality", "order"]},
            "city": {"domain": "city"},
        }
    },
    "public.visit": {
        "columns": {
            "person_mail": {"domain": "mail", "normalize": "casefold"},
            "tags": {"domain": "tag"},
            "doc": {
                "paths": {"$.mail": {"domain": "doc"}, "$.born": {"domain": "seen", "tokens": "randomized"}}
            },
        }
    },
}
SCHEMA = f"""
CREATE TABLE person (mail varchar(40) PRIMARY KEY, born date, amount numeric(10,2), city text DEFAULT 'Oslo');
CREATE TABLE visit (id int PRIMARY KEY, person_mail varchar(40) REFERENCES person, tags text[], doc jsonb);
CREATE INDEX ON visit (person_mail);
INSERT INTO person SELECT 'p' || n || '@example.org', date '1960-01-01' + n, n % 100 + 0.50, 'city ' || n % 7
  FROM generate_series(1, {PEOPLE}) n;
INSERT INTO person VALUES ('empty@example.org', NULL, NULL, '');
INSERT INTO visit SELECT n, 'p' || n || '@example.org', ARRAY['t' || n % 5, NULL, 'all'],
  jsonb_build_object('mail', 'd' || n % 50, 'born', 'b' || n, 'n', n) FROM generate_series(1, {PEOPLE}) n;
INSERT INTO visit VALUES (0, NULL, '{{}}', '{{"other": 1}}');
"""
COPY = "CREATE TABLE copy AS SELECT * FROM person WHERE amount IS NOT NULL"
AFTER = """
CREATE MATERIALIZED VIEW cities AS SELECT city, count(*) AS n FROM person GROUP BY city;
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fired'; END $$;
CREATE TRIGGER no_update BEFORE UPDATE ON visit FOR EACH ROW EXECUTE FUNCTION fired();
"""
CONTENTS = (
    "SELECT mail, born, amount, city FROM person ORDER BY born",
    "SELECT id, person_mail, tags, doc FROM visit ORDER BY id",
    "SELECT mail, born, amount, city FROM copy ORDER BY born",
    "SELECT city, n FROM cities ORDER BY n, city",
    "SELECT count(*) FROM person p JOIN visit v ON v.person_mail = p.mail JOIN copy c ON c.mail = p.mail",
    "SELECT v.id FROM visit v WHERE v.person_mail = 'P7@example.org'",
    "SELECT id FROM visit WHERE tags @> ARRAY['t3'] ORDER BY id LIMIT 5",
    "SELECT count(*) FROM visit WHERE doc ->> 'mail' = 'd7'",
    "SELECT count(*) FROM person WHERE amount = 7.5",
    "SELECT count(*) FROM person WHERE mail LIKE '%77@example%'",
    "SELECT amount, mail FROM person ORDER BY amount DESC NULLS LAST, mail LIMIT 30",
    "SELECT count(*) FROM person WHERE amount > 50.25",
    "SELECT max(v.person_mail), min(p.mail) FROM visit v, person p",
)
STORED = (
    "SELECT string_agg(v::text, ' ') FROM (SELECT person::text AS v FROM person UNION ALL SELECT visit::text FROM visit"
    " UNION ALL SELECT copy::text FROM copy UNION ALL SELECT cities::text FROM cities"
    " UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef) x"
)
TOKEN = re.compile("pn1[a-z2-7]{27}")
RANDOMIZED = "SELECT id FROM vault.domain WHERE randomized"


@pytest.fixture
def made(postgres: Cluster, database: str) -> Deployment:
    postgres.psql(SCHEMA, database)
    made = deployment(postgres, database, tables=TABLES, gateway=ANY_PORT, admin=ANY_PORT)
    made.apply()
    with Gateway(made) as gateway, psycopg.connect(gateway.url(), autocommit=True) as session:
        session.execute(COPY)  # such a copy carries the CHECKs
    postgres.psql(AFTER, database)
    return made


def contents(made: Deployment) -> list[list[tuple[object, ...]]]:
    """What the application sees."""
    with Gateway(made) as gateway, psycopg.connect(gateway.url(), autocommit=True) as session:
        session.execute("INSERT INTO person (mail, born) VALUES ('default@example.org', '2020-02-02')")
        found = [session.execute(query).fetchall() for query in CONTENTS]
        session.execute("DELETE FROM person WHERE mail = 'Default@example.org'")
        gateway.terminate()
        return found


def query(made: Deployment, text: str) -> list[tuple[Any, ...]]:
    """What the server itself says."""
    with psycopg.connect(made.owner_url) as direct:
        return direct.execute(text).fetchall()


def tokens(made: Deployment) -> set[str]:
    """All tokens in the application's database."""
    return set(TOKEN.findall(str(query(made, STORED)[0][0])))


def codes(made: Deployment) -> dict[str, list[object]]:
    """The codes of the order indexes that belong to tokens with a value; and there are no others."""
    found: dict[str, list[object]] = {}
    for identifier, name in query(made, "SELECT id, name FROM vault.domain WHERE 'order' = ANY (built)"):
        table = f"pgnym.codes_{order_tables.name_of(prefix(identifier))}"
        listed = query(
            made,
            f"SELECT code, EXISTS (SELECT FROM vault.value v WHERE v.token = c.token) FROM {table} c ORDER BY code",
        )
        assert all(there for _, there in listed)
        found[name] = [code for code, _ in listed]
    return found


def start(made: Deployment, folder: Path) -> subprocess.Popen[str]:
    file = folder / "pgnym.yaml"
    file.write_text(yaml.safe_dump(made.config))
    return subprocess.Popen(
        [*command(), "keys", "rotate", "token", "-c", str(file)],
        env=made.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def moments(made: Deployment) -> Iterator[float]:
    """Seconds from the beginning of the change after which to kill it: within it, and some behind."""
    for _ in range(4):
        yield MOMENTS.uniform(0.0, 1.2)


def test_all_tokens_are_others_afterwards_and_the_application_sees_the_same(
    made: Deployment, tmp_path: Path
) -> None:
    before, old, coded = contents(made), tokens(made), codes(made)
    assert {name: len(found) for name, found in coded.items()} == {"mail": PEOPLE + 2, "amount": 100}
    domains = {row[0] for row in query(made, RANDOMIZED)}
    assert len(old) > PEOPLE
    for seconds in moments(made):
        process = start(made, tmp_path)
        while process.poll() is None and not query(
            made, "SELECT FROM vault.tenant WHERE new_token_key IS NOT NULL"
        ):
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        process.communicate(timeout=60)
        if query(made, "SELECT FROM vault.tenant WHERE new_token_key IS NOT NULL"):
            with pytest.raises(Exception, match="is being changed"), Gateway(made):
                pass
    last = start(made, tmp_path)
    said, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    assert "main: " in said
    assert contents(made) == before
    kept = {token for token in old if domain_id(token.encode()) in domains}
    new = tokens(made)
    assert kept
    assert new & old == kept
    assert len(new) == len(old)
    assert query(made, "SELECT count(*) FROM vault.token_alias") == [(0,)]
    assert not {str(row[0]) for row in query(made, "SELECT token FROM vault.value")} & (old - kept)
    assert query(made, "SELECT count(*) FROM vault.key WHERE purpose = 'token'") == [(1,)]
    assert query(made, "SELECT count(*) FROM vault.gram") == query(
        made,
        "SELECT count(*) FROM vault.value v JOIN vault.domain d ON v.domain = left((SELECT mail FROM person LIMIT 1), 6)"
        " AND d.name = 'mail'",
    )
    assert codes(made) == coded
    # A backup of the rows of before opens nothing, and an old token that is planted is shown as what it is.
    planted = next(
        token for token in sorted(old - kept) if token.startswith(sample(made, "person_mail", "visit")[:6])
    )
    with psycopg.connect(made.owner_url, autocommit=True) as direct:
        direct.execute("ALTER TABLE visit DISABLE TRIGGER no_update")
        direct.execute("ALTER TABLE visit DROP CONSTRAINT visit_person_mail_fkey")
        # An index by the code that it has no longer doesn't take it.
        (name,) = direct.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'visit' AND indexdef ~ 'pgnym.order_'"
        ).fetchall()
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="unranked"):
            direct.execute("UPDATE visit SET person_mail = %s WHERE id = 1", (planted,))
        direct.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(*name)))
        direct.execute("UPDATE visit SET person_mail = %s WHERE id = 1", (planted,))
    with Gateway(made) as gateway, psycopg.connect(gateway.url(), autocommit=True) as session:
        assert session.execute("SELECT person_mail FROM visit WHERE id = 1").fetchall() == [(planted,)]
        assert session.execute("SELECT person_mail FROM visit WHERE id = 2").fetchall() == [
            ("p2@example.org",)
        ]


def sample(made: Deployment, column: str, table: str) -> str:
    """One token of a column."""
    return str(query(made, f"SELECT {column} FROM {table} WHERE {column} ~ '^pn1' ORDER BY 1 LIMIT 1")[0][0])


def test_what_is_in_the_way_is_told_and_changes_nothing(made: Deployment, tmp_path: Path) -> None:
    def refusal() -> str:
        before = query(made, "SELECT array_agg(k::text) FROM vault.key k"), tokens(made)
        done = made.pgnym("keys", "rotate", "token", check=False)
        assert done.returncode == 1
        assert (query(made, "SELECT array_agg(k::text) FROM vault.key k"), tokens(made)) == before
        assert query(made, "SELECT count(*) FROM vault.tenant WHERE new_token_key IS NOT NULL") == [(0,)]
        return done.stderr

    with Gateway(made) as gateway, psycopg.connect(gateway.url()) as open_for_long:
        open_for_long.execute("SELECT count(*) FROM person WHERE mail = 'p7@example.org'")
        assert "1 of 1 gateway processes have transactions that don't end" in refusal()
        assert open_for_long.execute(
            "SELECT count(*) FROM person WHERE mail = 'p7@example.org'"
        ).fetchone() == (1,)
    with psycopg.connect(made.owner_url, autocommit=True) as session:
        session.execute("CREATE TEMP TABLE t (LIKE person INCLUDING CONSTRAINTS)")
        assert "a temporary table with tokens (t)" in refusal()
    token = query(made, "SELECT mail FROM person LIMIT 1")[0][0]
    with psycopg.connect(made.owner_url, autocommit=True) as session:
        session.execute(f"CREATE VIEW one AS SELECT * FROM person WHERE mail = '{token}'")
    assert "view one has a token as a constant" in refusal()


def test_a_tenant_is_changed_alone(postgres: Cluster, database: str) -> None:
    postgres.psql("CREATE TABLE note (id int PRIMARY KEY, who text)", database)
    made = deployment(
        postgres,
        database,
        tables={"public.note": {"columns": {"who": {"domain": "who"}}}},
        tenants={"default": "one", "startup_option": ["postgres"]},
        gateway=ANY_PORT,
        admin=ANY_PORT,
    )
    made.apply()

    def both() -> dict[str, list[tuple[object, ...]]]:
        with Gateway(made) as gateway:
            found = {}
            for tenant in ("one", "two"):
                options = f"-c pgnym.tenant={tenant}"
                with psycopg.connect(gateway.url(), autocommit=True, options=options) as session:
                    session.execute(
                        "INSERT INTO note SELECT %s, %s WHERE NOT EXISTS (SELECT FROM note WHERE id = %s)",
                        (len(tenant) + ord(tenant[0]), "ada", len(tenant) + ord(tenant[0])),
                    )
                    found[tenant] = session.execute("SELECT id FROM note WHERE who = 'ada'").fetchall()
            gateway.terminate()
            return found

    before, stored = both(), dict(query(made, "SELECT id, who FROM note"))
    assert len(stored) == 2
    said = made.pgnym("keys", "rotate", "token", "--tenant", "two").stdout
    assert said.startswith("two: 1 values under new tokens, 1 rows changed, 1 old tokens")
    after = dict(query(made, "SELECT id, who FROM note"))
    changed = [identifier for identifier in stored if stored[identifier] != after[identifier]]
    assert [(identifier,) for identifier in changed] == before["two"]
    assert both() == before
    done = made.pgnym("keys", "rotate", "token", "--tenant", "nobody", check=False)
    assert "there is no tenant nobody" in done.stderr
    assert made.pgnym("keys", "rotate", "token").stdout.count("1 rows changed") == 2
    assert both() == before


def test_every_table_of_tokens_is_thought_of() -> None:
    """Whatever is kept by token must be carried over, or be known not to need it."""
    last = {}
    for migration in _migrations():
        for name, body in re.findall(r"CREATE TABLE vault\.(\w+) \((.*?)\n\);", migration.sql, re.DOTALL):
            if re.search(r"^\s+\w*token\w*\s+text", body, re.MULTILINE):
                last[name] = body
    carried = {"value", "gram"}
    renamed_at_the_end = {"erasure_token"}
    assert set(last) == carried | renamed_at_the_end
