"""``pgnym subject erase``: nothing of the subject opens afterwards, all of the others does; killed, and under load."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import yaml

from support import chinook
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment
from support.gateway import command as pgnym

pytestmark = pytest.mark.server

MOMENTS = random.Random(1124)
VALUES = "SELECT token FROM vault.value ORDER BY token"


def values(postgres: Cluster, database: str) -> set[str]:
    """The tokens that have a value."""
    return set(postgres.psql(VALUES, database).split())


def tokens(postgres: Cluster, database: str, query: str) -> set[str]:
    """The tokens in an answer."""
    return {
        part for part in postgres.psql(query, database).replace("|", " ").split() if part.startswith("pn1")
    }


@pytest.mark.parametrize("delete", [False, True])
def test_a_customer_of_chinook(
    postgres: Cluster, make_database: Callable[..., str], chinook_template: str, delete: bool
) -> None:
    database = make_database(chinook_template)
    tables = json.loads(json.dumps(chinook.TABLES))
    if delete:
        postgres.psql("DELETE FROM invoice_line", database)
        for name in ("public.customer", "public.invoice"):
            tables[name]["on_erase"] = "delete"
    else:
        postgres.psql("ALTER TABLE customer ALTER email DROP NOT NULL", database)
    made = deployment(postgres, database, tables=tables)
    made.apply()
    own = tokens(
        postgres, database,
        "SELECT c.first_name, c.last_name, c.address, phone, fax, email, billing_address FROM customer c"
        " JOIN invoice USING (customer_id) WHERE customer_id = 5",
    )  # fmt: skip
    others = tokens(
        postgres, database,
        "SELECT first_name, last_name, address, phone, fax, email FROM customer WHERE customer_id <> 5 UNION ALL"
        " SELECT first_name, last_name, address, phone, fax, email FROM employee",
    )  # fmt: skip
    before = values(postgres, database)
    with Gateway(made) as gateway, psycopg.connect(gateway.url(database), autocommit=True) as session:
        people = "SELECT first_name, email FROM customer WHERE customer_id <> 5 ORDER BY customer_id"
        shown = session.execute(people).fetchall()
        (mine,) = session.execute("SELECT email FROM customer WHERE customer_id = 5").fetchone() or ()
        said = made.pgnym("subject", "erase", "5", "--yes", "--settle", "1").stdout
        assert "values deleted" in said
        assert str(mine) not in said
        assert values(postgres, database) == before - (own - others)
        assert session.execute(people).fetchall() == shown
        rows = session.execute("SELECT first_name, email FROM customer WHERE customer_id = 5").fetchall()
        assert rows == ([] if delete else [("", None)])
        assert session.execute("SELECT count(*) FROM customer WHERE email = %s", (mine,)).fetchone() == (0,)
    made.pgnym("verify")
    made.pgnym("audit", "verify")
    (record,) = map(
        json.loads, made.pgnym("audit", "show", "--action", "erase", "--format", "jsonl").stdout.splitlines()
    )
    assert sum(record["counts"].values()) == len(own - others)
    assert (
        postgres.psql("SELECT count(*) FROM vault.erasure WHERE state = 'pending'", database).strip() == "0"
    )
    again = made.pgnym("subject", "erase", "4711", "--yes", check=False)
    assert again.returncode == 1
    assert "no row of public.customer" in again.stderr


def test_what_cannot_be_erased_is_left_as_it_is(postgres: Cluster, database: str) -> None:
    postgres.psql(
        "CREATE TABLE p (id int PRIMARY KEY, mail text, born date NOT NULL); CREATE TABLE r (p int REFERENCES p);"
        "INSERT INTO p VALUES (1, 'ann@x.org', '2000-01-01'); INSERT INTO r VALUES (1)",
        database,
    )
    options: dict[str, object] = {"subject": "id", "columns": {"mail": {}, "born": {}}}
    made = deployment(postgres, database, tables={"public.p": options})
    made.apply()
    before = values(postgres, database), postgres.psql("SELECT * FROM p", database)
    refused = made.pgnym("subject", "erase", "1", "--yes", check=False)
    assert refused.returncode == 1
    assert "public.p.born can't be scrubbed" in refused.stderr
    tables = {"public.p": options | {"on_erase": "delete"}}
    deleting = replace(made, config={**made.config, "tables": tables})
    refused = deleting.pgnym("subject", "erase", "1", "--yes", check=False)
    assert refused.returncode == 1
    assert "constraint r_p_fkey" in refused.stderr
    assert (values(postgres, database), postgres.psql("SELECT * FROM p", database)) == before
    assert (
        postgres.psql("SELECT count(*) FROM vault.erasure WHERE state = 'pending'", database).strip() == "0"
    )


def shared(postgres: Cluster, database: str, store: str | None) -> Deployment:
    """Persons with mails of their own, in a text column, an array and a document; and a list that shares the domain."""
    postgres.psql(
        "CREATE TABLE p (id int PRIMARY KEY, mail text, more text[], doc jsonb);"
        "CREATE TABLE list (n serial, mail text);"
        "INSERT INTO p SELECT n, n || '@x.org', ARRAY[n || '@a.org', n || '@b.org'],"
        " jsonb_build_object('mail', n || '@d.org', 'other', n) FROM generate_series(1, 40) n",
        database,
    )
    mail = {"domain": "mail"}
    made = deployment(
        postgres,
        database,
        tables={
            "public.p": {
                "subject": "id",
                "columns": {"mail": mail, "more": {}, "doc": {"paths": {"mail": {}}}},
            },
            "public.list": {"columns": {"mail": mail}},
        },
        vault=None if store is None else (postgres, store),
    )
    made.apply()
    return made


@pytest.mark.parametrize("separate", [False, True])
def test_concurrent_inserts_of_the_same_values_keep_theirs(
    postgres: Cluster, make_database: Callable[..., str], separate: bool
) -> None:
    database = make_database()
    store = make_database() if separate else None
    made = shared(postgres, database, store)
    with Gateway(made) as gateway:
        stop = threading.Event()
        failures: list[BaseException] = []

        def insert() -> None:
            try:
                with psycopg.connect(gateway.url(database), autocommit=True) as session:
                    while not stop.is_set():
                        who = f"{random.randrange(1, 9)}@x.org"
                        session.execute("INSERT INTO list (mail) VALUES (%s)", (who,))
                        session.execute("DELETE FROM list WHERE mail = %s AND n %% 3 > 0", (who,))
            except psycopg.Error as error:
                failures.append(error)

        threads = [threading.Thread(target=insert) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 9):
                made.pgnym("subject", "erase", str(number), "--yes", "--settle", "0.5")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failures
    made.pgnym("verify")
    held = tokens(postgres, database, "SELECT mail FROM list UNION SELECT mail FROM p")
    assert held <= values(postgres, store or database)
    assert postgres.psql("SELECT id FROM p WHERE id < 9 AND (mail <> '' OR more <> '{}')", database) == ""
    assert postgres.psql("SELECT doc FROM p WHERE id = 3", database).strip() == '{"mail": "", "other": 3}'


@pytest.mark.parametrize("separate", [False, True])
def test_killed_at_any_moment_it_is_finished_or_undone(
    postgres: Cluster, make_database: Callable[..., str], tmp_path: Path, separate: bool
) -> None:
    database = make_database()
    store = make_database() if separate else None
    made = shared(postgres, database, store)
    file = tmp_path / "pgnym.yaml"
    file.write_text(yaml.safe_dump(made.config))
    before = values(postgres, store or database)
    erased: set[str] = set()
    for number in range(1, 7):
        own = tokens(
            postgres, database, f"SELECT mail, more[1], more[2], doc->>'mail' FROM p WHERE id = {number}"
        )
        assert len(own) == 4
        command = ("subject", "erase", str(number), "--yes", "--settle", "1")
        process = subprocess.Popen(
            [*pgnym(), *command, "-c", str(file)],
            env=made.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(MOMENTS.uniform(0.4, 2.2))  # any moment will do
        process.kill()
        process.wait()
        made.pgnym(*command)
        erased |= own
        assert values(postgres, store or database) == before - erased
        made.pgnym("verify")
        assert (
            postgres.psql(
                "SELECT count(*) FROM vault.erasure WHERE state = 'pending'", store or database
            ).strip()
            == "0"
        )
