"""An attacker who speaks SQL as the application: how much comes out, and is it written down? And tokens that are planted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from victims import EMAIL, MINUTE, PEOPLE, Shop, canaries, shop

from support.cluster import Cluster

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def attacked(postgres: Cluster) -> Iterator[Shop]:
    postgres.psql("CREATE DATABASE attacked_2 TEMPLATE template0")
    with shop(postgres, "attacked_2", workers=2, log_level="debug", PYTHONASYNCIODEBUG="1") as made:
        yield made
        said = made.gateway.stderr_text()
    assert not canaries(said), "no value in what the gateway writes, even in debug mode"
    for secret in (made.deployed.master_key, made.deployed.vault_password):
        assert secret not in said
    assert "internal error" not in said
    assert "DEBUG asyncio" in said
    postgres.psql("DROP DATABASE attacked_2 WITH (FORCE)")


WHOLE = {
    "select": "SELECT * FROM customer",
    "union": "SELECT note FROM customer UNION ALL SELECT email FROM customer UNION ALL SELECT first_name FROM customer",
    "json": "SELECT json_agg(c) FROM customer c",
    "string": "SELECT string_agg(email, ',') || string_agg(first_name, ',') FROM customer",
    "record": "SELECT c FROM customer c",
    "function": "SELECT upper(email), left(first_name, 9) FROM customer",
    "cross": "SELECT a.email, b.first_name FROM customer a, customer b",
    "array": "SELECT array_agg(email), array_agg(first_name) FROM customer",
    "returning": "UPDATE customer SET note = note RETURNING email, first_name",
    "subselect": "SELECT (SELECT string_agg(email, ' ') FROM customer), (SELECT string_agg(first_name, ' ') FROM customer)",
}


@pytest.mark.parametrize("way", WHOLE)
def test_no_statement_gives_more_than_its_limit(attacked: Shop, way: str) -> None:
    with attacked.connect("tight") as app:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="reveal budget exceeded") as refused:
            app.execute(WHOLE[way])
        assert refused.value.diag.message_hint
        assert not canaries(refused.value)
        assert app.execute("SELECT 1").fetchone() == (1,), "the session lives on"


def test_copy_gives_no_more_than_its_limit(attacked: Shop) -> None:
    given: list[bytes] = []
    with attacked.connect("tight") as app:

        def read() -> None:
            with app.cursor().copy("COPY customer TO STDOUT") as copied:
                given.extend(bytes(chunk) for chunk in copied)

        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="reveal budget exceeded"):
            read()
    assert len(canaries(b"".join(given))) <= 50


def audited(made: Shop, user: str) -> tuple[int, int]:
    """How many values were revealed to a user by the audit log, and how many statements were refused."""
    with made.direct() as owner:
        row = owner.execute(
            "SELECT coalesce(sum((SELECT sum(v::int) FROM jsonb_each_text(counts) e(k, v)))"
            " FILTER (WHERE action = 'reveal'), 0)::int, count(*) FILTER (WHERE action = 'refuse')::int"
            " FROM vault.audit WHERE db_user = %s",
            (made.users(user),),
        ).fetchone()
    assert row is not None
    return int(str(row[0])), int(str(row[1]))


def test_many_sessions_get_no_more_than_the_minute_allows(attacked: Shop) -> None:
    """Walks, cursors and prepared statements from many sessions over two workers: one limit for all of them."""
    deadline = time.monotonic() + 70
    while True:  # what the tests before have taken leaves the window
        with attacked.connect("tight") as app:
            try:
                app.execute("SELECT email FROM customer WHERE id = 1")
                break
            except psycopg.errors.InsufficientPrivilege:
                assert time.monotonic() < deadline
    before, denied = audited(attacked, "tight")
    begun = time.monotonic()

    def attack(number: int) -> tuple[int, int]:
        got = refusals = 0
        with attacked.connect("tight") as app:
            for step in range(8):
                first = 1 + (number * 7 + step * 5) % PEOPLE
                try:
                    if step % 3 == 0:
                        rows = app.execute(f"SELECT email FROM customer OFFSET {first} LIMIT 5").fetchall()
                    elif step % 3 == 1:
                        rows = app.execute(
                            "SELECT email FROM customer WHERE id BETWEEN %s AND %s",
                            (first, first + 4),
                            prepare=True,
                        ).fetchall()
                    else:
                        with app.transaction():
                            app.execute(
                                f"DECLARE c CURSOR FOR SELECT first_name FROM customer OFFSET {first} LIMIT 5"
                            )
                            rows = app.execute("FETCH ALL FROM c").fetchall()
                    got += len(rows)
                except psycopg.errors.InsufficientPrivilege:
                    refusals += 1
        return got, refusals

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(attack, range(40)))
    assert time.monotonic() - begun < 60, "else the window moved on, and this proves nothing"
    got = sum(result[0] for result in results)
    refusals = sum(result[1] for result in results)
    assert MINUTE - 10 <= got <= MINUTE
    assert refusals > 200
    while True:  # refusals are recorded without being waited for
        revealed, refused = audited(attacked, "tight")
        if refused - denied >= refusals or time.monotonic() - begun > 90:
            break
    assert revealed - before == got, "each is in the audit log"
    assert refused - denied == refusals


# -- planted tokens --------------------------------------------------------------------------------------------


def token_of(made: Shop, number: int) -> str:
    with made.direct() as owner:
        row = owner.execute("SELECT email FROM customer WHERE id = %s", (number,)).fetchone()
    assert row is not None
    assert re.fullmatch(r"pn1[a-z2-7]{27}", str(row[0]))
    return str(row[0])


PLANTED: dict[str, tuple[str, str]] = {
    "free text": ("UPDATE customer SET note = '{0}' WHERE id = 2", "SELECT note FROM customer WHERE id = 2"),
    "json": (
        'UPDATE customer SET extra = \'{{"a": "{0}"}}\' WHERE id = 2',
        "SELECT extra FROM customer WHERE id = 2",
    ),
    "array": ("UPDATE customer SET tags = '{{{0}}}' WHERE id = 2", "SELECT tags FROM customer WHERE id = 2"),
    "beside a value": (
        "UPDATE customer SET note = '{0}' WHERE id = 2",
        "SELECT first_name, note FROM customer WHERE id = 2",
    ),
    "whole row": (
        "UPDATE customer SET note = '{0}' WHERE id = 2",
        "SELECT first_name, extra, tags, note FROM customer",
    ),
    "literal": ("SELECT 1", "SELECT '{0}'::text"),
    "literal beside": ("SELECT 1", "SELECT first_name, '{0}' FROM customer WHERE id = 2"),
    "alias": ("SELECT 1", 'SELECT first_name AS "{0}" FROM customer WHERE id = 2'),
    "values": ("SELECT 1", "VALUES ('{0}')"),
    "concatenated": (
        "UPDATE customer SET note = '{0}' WHERE id = 2",
        "SELECT note || first_name FROM customer WHERE id = 2",
    ),
}


@pytest.mark.parametrize("where", PLANTED)
def test_a_planted_token_stays_a_token_for_every_role(attacked: Shop, where: str) -> None:
    plant, read = (text.format(token_of(attacked, 7)) for text in PLANTED[where])
    with attacked.connect("analyst") as low:
        low.execute(plant)
    for name in ("app", "helpdesk", "analyst", "stranger"):
        with attacked.connect(name) as reader:
            cursor = reader.execute(read)
            rows = cursor.fetchall()
            assert EMAIL.format(7) not in repr(rows)
            assert EMAIL.format(7) not in repr([column.name for column in cursor.description or ()])
            if where != "alias":
                assert token_of(attacked, 7) in repr(rows)


def test_a_planted_token_stays_one_in_reports_copy_and_notifications(attacked: Shop) -> None:
    token, value = token_of(attacked, 7), EMAIL.format(7)
    told: list[str] = []
    with attacked.connect("app") as app:
        app.add_notice_handler(lambda notice: told.append(repr(notice.message_primary)))
        app.execute(f"DO $$BEGIN RAISE NOTICE '{token}'; END$$")
        with pytest.raises(psycopg.Error) as raised:
            app.execute(f"DO $$BEGIN RAISE EXCEPTION '{token}'; END$$")
        told.append(str(raised.value))
        with pytest.raises(psycopg.Error) as raised:
            app.execute(f"SELECT '{token}'::int")
        told.append(str(raised.value))
        app.execute("LISTEN whisper")
        app.execute(f"NOTIFY whisper, '{token}'")
        told += [found.payload for found in app.notifies(timeout=5, stop_after=1)]
        app.execute(f"UPDATE customer SET note = '{token}' WHERE id = 2")
        with app.cursor().copy(
            "COPY (SELECT first_name, note FROM customer WHERE id = 2) TO STDOUT"
        ) as copied:
            told += [bytes(chunk).decode() for chunk in copied]
    assert len(told) == 5
    assert all(token in each for each in told)
    assert value not in repr(told)


# -- tenants ---------------------------------------------------------------------------------------------------

FORGED: dict[str, Callable[[Shop], None]] = {
    "option": lambda made: made.connect("other", "-c pgnym.tenant=main").close(),
    "SET": lambda made: _do(made, "SET pgnym.tenant = 'main'"),
    "SET quoted": lambda made: _do(made, "SET \"pgnym.tenant\" = '1'"),
    "set_config": lambda made: _do(made, "SELECT set_config('pgnym.tenant', '1', false)"),
    "ALTER ROLE": lambda made: _do(made, f"ALTER ROLE {made.users('other')} SET pgnym.tenant = '1'"),
    "the vault itself": lambda made: _do(made, "SELECT * FROM vault.value"),
    "its functions": lambda made: _do(
        made, "SELECT * FROM vault.get(ARRAY[1], ARRAY[1::bigint], ARRAY['x'])"
    ),
}


def _do(made: Shop, text: str) -> None:
    with made.connect("other") as other:
        other.execute(text)


@pytest.mark.parametrize("way", FORGED)
def test_a_tenant_can_not_be_forged(attacked: Shop, way: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        FORGED[way](attacked)
    assert "42501" in (str(refused.value.sqlstate), *re.findall("42501", str(refused.value))) or re.search(
        "may not choose a tenant|permission denied|cannot be set|does not exist", str(refused.value)
    )


@pytest.mark.parametrize(
    "indirect", ["SELECT set_config('pgnym' || '.tenant', '1', false)", "SELECT set_config(%s, '1', false)"]
)
def test_a_setting_that_gets_through_has_no_effect(attacked: Shop, indirect: str) -> None:
    with attacked.connect("other") as other:
        other.execute(indirect, ("pgnym.tenant",) if "%s" in indirect else None)
        rows = other.execute("SELECT id, email, first_name FROM customer").fetchall()
    assert len(rows) >= PEOPLE
    assert not canaries(rows)


def test_a_stolen_token_does_not_open_for_another_tenant(attacked: Shop) -> None:
    token, value = token_of(attacked, 7), EMAIL.format(7)
    with attacked.connect("other") as other:
        assert value not in repr(other.execute("SELECT email FROM customer WHERE id = 7").fetchall())
        assert other.execute(f"SELECT id FROM customer WHERE email = '{value}'").fetchall() == []
        other.execute(
            "INSERT INTO customer (id, email) VALUES (%s, %s)", (700, value)
        )  # its own token: no conflict
        assert other.execute("SELECT email FROM customer WHERE id = 700").fetchone() == (value,)
        other.execute("INSERT INTO letter SELECT id, email FROM customer WHERE id = 7")
        assert value not in repr(other.execute("SELECT * FROM letter").fetchall())
        other.execute(f"INSERT INTO customer (id, email) VALUES (701, '{token}')")  # a value like any other
        assert other.execute("SELECT email FROM customer WHERE id = 701").fetchone() == (token,)
        assert token_of(attacked, 701) != token
    with attacked.direct() as owner:
        owner.execute("DELETE FROM customer WHERE id >= 700; DELETE FROM letter")


def test_who_may_choose_a_tenant_sees_that_one_only(attacked: Shop) -> None:
    text = "SELECT email FROM customer WHERE id = 7"
    with attacked.connect("chooser", "-c pgnym.tenant=second") as second:
        assert not canaries(second.execute(text).fetchall())
    with attacked.connect("chooser", "-c pgnym.tenant=main") as first:
        assert first.execute(text).fetchone() == (EMAIL.format(7),)
