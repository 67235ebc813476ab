"""Roles that see masks or tokens get no oracle: none of the ways to ask "is it this one?", or to plant an answer, works.

Every way is first tried by a role that may, so that a refusal is one of the role and not of the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from victims import EMAIL, NAME, Shop, canaries, shop

from support.cluster import Cluster

pytestmark = pytest.mark.server

MAIL, FIRST = EMAIL.format(7), NAME.format(7)
WAYS = {
    "=": f"SELECT id FROM customer WHERE email = '{MAIL}'",
    "<>": f"SELECT count(*) FROM customer WHERE email <> '{MAIL}'",
    "IN": f"SELECT id FROM customer WHERE email IN ('{MAIL}', 'x')",
    "ANY": f"SELECT id FROM customer WHERE email = ANY ('{{{MAIL}}}')",
    "IS DISTINCT FROM": f"SELECT id FROM customer WHERE email IS NOT DISTINCT FROM '{MAIL}'",
    "LIKE": "SELECT id FROM customer WHERE email LIKE 'canary7.%'",
    "ILIKE": "SELECT id FROM customer WHERE email ILIKE 'CANARY7.%'",
    "regex": "SELECT id FROM customer WHERE email ~ '^canary7'",
    "<": "SELECT id FROM customer WHERE email < 'canary2'",
    "BETWEEN": "SELECT id FROM customer WHERE email BETWEEN 'canary1' AND 'canary2'",
    "ORDER BY": 'SELECT id FROM customer ORDER BY email COLLATE "C" LIMIT 3',
    "min": 'SELECT min(email COLLATE "C") FROM customer',
    "window": 'SELECT id, rank() OVER (ORDER BY email COLLATE "C") FROM customer',
    "VALUES join": f"SELECT id FROM customer JOIN (VALUES ('{MAIL}')) v(e) ON v.e = email",
    "CTE join": f"WITH v(e) AS (VALUES ('{MAIL}')) SELECT id FROM customer, v WHERE e = email",
    "CASE": f"SELECT CASE email WHEN '{MAIL}' THEN 1 ELSE 0 END FROM customer",
    "NULLIF": f"SELECT NULLIF(email, '{MAIL}') FROM customer",
    "UNION": f"SELECT email FROM customer UNION SELECT '{MAIL}'",
    "INTERSECT": f"SELECT email FROM customer INTERSECT SELECT '{MAIL}'",
    "EXISTS": f"SELECT EXISTS (SELECT FROM customer WHERE email = '{MAIL}')",
    "FILTER": f"SELECT count(*) FILTER (WHERE email = '{MAIL}') FROM customer",
    "HAVING": f"SELECT email FROM customer GROUP BY email HAVING email = '{MAIL}'",
    "length in WHERE": "SELECT id FROM customer WHERE length(email) = 24",
    "md5 in WHERE": f"SELECT id FROM customer WHERE md5(email) = md5('{MAIL}')",
    "left in WHERE": "SELECT id FROM customer WHERE left(email, 7) = 'canary7'",
    "another column": f"SELECT id FROM customer WHERE first_name = '{FIRST}'",
    "INSERT": "INSERT INTO customer (id, email) VALUES (901, 'planted@example.org')",
    "INSERT SELECT": "INSERT INTO customer (id, email) SELECT 902, 'planted2@example.org'",
    "UPDATE": "UPDATE customer SET email = 'planted3@example.org' WHERE id = 901",
    "UPDATE FROM": "UPDATE customer SET email = e FROM (VALUES ('planted4@example.org')) v(e) WHERE id = 901",
    "ON CONFLICT": f"INSERT INTO customer (id, email) VALUES (903, '{MAIL}') ON CONFLICT (email) DO NOTHING",
    "DO UPDATE": "INSERT INTO customer (id) VALUES (901) ON CONFLICT (id) DO UPDATE SET email = 'planted5@example.org'",
    "MERGE": f"MERGE INTO customer c USING (VALUES ('{MAIL}')) v(e) ON c.email = v.e WHEN MATCHED THEN DO NOTHING",
    "DELETE": "DELETE FROM customer WHERE email = 'nobody@example.org'",
    "PREPARE": f"PREPARE guess AS SELECT id FROM customer WHERE email = '{MAIL}'",
    "CURSOR": f"DECLARE guess CURSOR FOR SELECT id FROM customer WHERE email = '{MAIL}'",
    "COPY query": f"COPY (SELECT id FROM customer WHERE email = '{MAIL}') TO STDOUT",
    "SQL in EXPLAIN": f"EXPLAIN ANALYZE SELECT id FROM customer WHERE email = '{MAIL}'",
    "RETURNING": f"UPDATE customer SET note = note RETURNING email = '{MAIL}'",
}
"""Ways to learn of a value, or to store one, with plaintext of one's own."""


@pytest.fixture(scope="module")
def attacked(postgres: Cluster) -> Iterator[Shop]:
    postgres.psql("CREATE DATABASE attacked_1 TEMPLATE template0")
    with shop(postgres, "attacked_1") as made:
        yield made
    postgres.psql("DROP DATABASE attacked_1 WITH (FORCE)")


def run(connection: psycopg.Connection[tuple[object, ...]], way: str) -> None:
    """Go that way, in an open transaction."""
    if way == "COPY query":
        with connection.cursor().copy(WAYS[way]) as copied:
            assert b"".join(bytes(chunk) for chunk in copied) == b"7\n"
    else:
        connection.execute(WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_the_way_works_for_who_may(attacked: Shop, way: str) -> None:
    with attacked.connect("app") as app:
        app.execute("BEGIN")
        run(app, way)
        app.execute("ROLLBACK")


@pytest.mark.parametrize("name", ["helpdesk", "analyst", "stranger"])
@pytest.mark.parametrize("way", WAYS)
def test_no_oracle_for_who_may_not(attacked: Shop, name: str, way: str) -> None:
    with attacked.connect(name) as low:
        low.execute("BEGIN")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            run(low, way)
    assert "customer" in str(refused.value)
    assert not canaries(refused.value), "nor does the error repeat what was asked"


@pytest.mark.parametrize("name", ["helpdesk", "analyst", "stranger"])
def test_no_oracle_by_parameters_either(attacked: Shop, name: str) -> None:
    texts = (
        "SELECT id FROM customer WHERE email = %s",
        "SELECT id FROM customer WHERE email LIKE %s",
        "INSERT INTO customer (id, email) VALUES (905, %s)",
        "UPDATE customer SET email = %s",
    )
    with attacked.connect(name) as low:
        for binary in (False, True):
            for text in texts:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    low.execute(text, (MAIL,), prepare=True, binary=binary)
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            low.cursor().copy("COPY customer (id, email) FROM STDIN") as copy,
        ):
            copy.write_row((906, MAIL))


def test_the_right_to_compare_is_of_its_column_and_of_nothing_else(attacked: Shop) -> None:
    with attacked.connect("finder") as finder:
        rows = finder.execute(f"SELECT id, email FROM customer WHERE email = '{MAIL}'").fetchall()
        assert [row[0] for row in rows] == [7]
        assert not canaries(rows)
        for way in ("another column", "INSERT", "UPDATE", "ON CONFLICT", "DO UPDATE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                finder.execute(WAYS[way])


ASKED_OF_MASKS = (
    "SELECT length(email), left(email, 7), md5(email), upper(first_name) FROM customer",
    "SELECT email, first_name, born FROM customer",
    "SELECT json_agg(c) FROM customer c",
    "SELECT string_agg(email, ',') FROM customer",
    "SELECT c FROM customer c",
    "SELECT to_jsonb(c) FROM customer c",
    "SELECT DISTINCT email FROM customer",
    "SELECT email, count(*) FROM customer GROUP BY email",
    "SELECT email || first_name FROM customer",
)


@pytest.mark.parametrize("name", ["helpdesk", "analyst", "stranger"])
@pytest.mark.parametrize("text", ASKED_OF_MASKS)
def test_what_is_shown_holds_no_value(attacked: Shop, name: str, text: str) -> None:
    with attacked.connect(name) as low:
        try:
            rows = low.execute(text).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            assert name != "helpdesk", "masks may be computed with"
            return
        assert rows
        assert not canaries(rows)
        assert "1907-03-04" not in repr(rows)
        assert "datetime.date(1907, 3, 4)" not in repr(rows)


def test_a_mask_has_the_type_and_length_of_its_value(attacked: Shop) -> None:
    with attacked.connect("helpdesk") as low:
        row = low.execute("SELECT email, first_name, length(email) FROM customer WHERE id = 7").fetchone()
        assert row == ("c**********@*******.org", "*" * len(FIRST), len(MAIL))


# -- SET ROLE and purposes -------------------------------------------------------------------------------------


def test_a_session_is_given_what_the_role_it_acts_as_may_see(attacked: Shop) -> None:
    users = attacked.users
    text = "SELECT email FROM customer WHERE id = 7"
    with attacked.connect("app") as app:
        assert app.execute(text).fetchone() == (MAIL,)
        app.execute(f"SET ROLE {users('analyst')}")
        for _ in range(6):  # prepared on the way
            assert not canaries(app.execute(text).fetchone())
        app.execute("BEGIN")
        app.execute("RESET ROLE")
        assert app.execute(text).fetchone() == (MAIL,)
        app.execute("ROLLBACK")
        assert not canaries(app.execute(text).fetchone())
        app.execute("SELECT set_config('role', 'none', false)")
        assert app.execute(text).fetchone() == (MAIL,)
    with attacked.connect("analyst") as low:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            low.execute(f"SET ROLE {users('app')}")
        assert not canaries(low.execute(text).fetchone())
    with attacked.connect("stranger") as member:
        assert not canaries(member.execute(text).fetchone())
        member.execute(f"SET ROLE {users('app')}")  # a member of app, as PostgreSQL has it
        assert member.execute(text).fetchone() == (MAIL,)


STATING: dict[str, Callable[[Shop], psycopg.Connection[tuple[object, ...]]]] = {
    "startup": lambda made: made.connect("app", "-c pgnym.purpose=service"),
    "SET": lambda made: _after(made, "SET pgnym.purpose = 'service'"),
    "set_config": lambda made: _after(made, "SELECT set_config('pgnym.purpose', 'service', false)"),
    "SET LOCAL": lambda made: _after(made, "BEGIN", "SET LOCAL pgnym.purpose = 'service'"),
}


def _after(made: Shop, *texts: str) -> psycopg.Connection[tuple[object, ...]]:
    connection = made.connect("app")
    for text in texts:
        connection.execute(text)
    return connection


@pytest.mark.parametrize("way", STATING)
def test_a_column_with_a_purpose_is_shown_for_it_only(attacked: Shop, way: str) -> None:
    text = "SELECT born::text FROM customer WHERE id = 7"
    with STATING[way](attacked) as app:
        assert app.execute("SELECT born FROM customer WHERE id = 7").fetchone() is not None
        assert app.execute(text).fetchone() == ("1907-03-04",)
        if way == "SET LOCAL":
            app.execute("ROLLBACK")
        else:
            app.execute("SET pgnym.purpose = 'billing'")
        assert app.execute("SELECT born FROM customer WHERE id = 7").fetchone() != ("1907-03-04",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT id FROM customer WHERE born = '1907-03-04'")
