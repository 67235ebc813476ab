"""An order index of several tenants in one table: each has its own order, and nobody's else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgnym.vault import order_codes
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {
    "public.note": {"columns": {"who": {"domain": "who", "search": ["equality", "order"]}}},
}
WORDS = {
    "one": ["mole", "ant", "zebra", "same", "bee"],
    "two": ["owl", "same", "cat", "yak"],
}

COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "<": str.__lt__,
    "<=": str.__le__,
    ">": str.__gt__,
    ">=": str.__ge__,
}


def deployed(postgres: Cluster, database: str, **more: Any) -> Deployment:
    postgres.psql("CREATE TABLE note (id serial PRIMARY KEY, owner text, who text)", database)
    made = deployment(
        postgres,
        database,
        tables=TABLES,
        tenants={"default": "one", "startup_option": ["postgres"]},
        **more,
    )
    made.apply()
    return made


def session(gateway: Gateway, tenant: str, **more: Any) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(gateway.url(), autocommit=True, options=f"-c pgnym.tenant={tenant}", **more)


def filled(sessions: dict[str, psycopg.Connection[tuple[Any, ...]]]) -> None:
    """Both put in turn, so that either finds places beside the other's."""
    for turn in range(5):
        for name, connection in sessions.items():
            if turn < len(WORDS[name]):
                connection.execute("INSERT INTO note (owner, who) VALUES (%s, %s)", (name, WORDS[name][turn]))


def test_each_tenant_has_its_own_order(postgres: Cluster, database: str) -> None:
    made = deployed(postgres, database)
    with Gateway(made) as gateway, session(gateway, "one") as one, session(gateway, "two") as two:
        sessions = {"one": one, "two": two}
        filled(sessions)
        for name, asked in sessions.items():
            words = sorted(WORDS[name])

            def rows(text: str, *values: object, by: Any = asked) -> list[tuple[Any, ...]]:
                found: list[tuple[Any, ...]] = by.execute(text, values).fetchall()
                return found

            assert [r[0] for r in rows("SELECT who FROM note WHERE owner = %s ORDER BY who", name)] == words
            assert rows("SELECT min(who), max(who) FROM note WHERE owner = %s", name) == [
                (words[0], words[-1])
            ]
            for constant in ("", "a", "cat", "m", "same", "zz"):
                for operator, compared in COMPARISONS.items():
                    found = rows(
                        f"SELECT who FROM note WHERE owner = %s AND who {operator} %s ORDER BY who DESC",
                        name,
                        constant,
                    )
                    assert [r[0] for r in found] == [w for w in reversed(words) if compared(w, constant)]
        # Who sees rows of both has them in blocks, by tenant; those of the other hold tokens, which stay closed.
        for name, asked in sessions.items():
            everything = asked.execute("SELECT owner, who FROM note ORDER BY who").fetchall()
            assert [row[0] for row in everything] == ["one"] * 5 + ["two"] * 4
            assert [row[1] for row in everything if row[0] == name] == sorted(WORDS[name])
            assert all(str(row[1]).startswith("pn1") for row in everything if row[0] != name)
    # The value that both have is two tokens with a code each, in the block of its tenant.
    ((table,),) = direct(made, "SELECT relname FROM pg_class WHERE relname ~ '^codes_[a-z2-7]{3}$'")
    codes = direct(made, f"SELECT n.owner, c.code FROM note n JOIN pgnym.{table} c ON c.token = n.who")
    starts = dict(direct(made, "SELECT name, id FROM vault.tenant"))
    assert len({code for _, code in codes}) == 9
    assert all(code.startswith(order_codes.tenant_prefix(starts[owner])) for owner, code in codes)
    # And given anew, they are so again.
    direct(made, "UPDATE vault.domain SET built = '{}' RETURNING 1")
    made.apply()
    with Gateway(made) as gateway, session(gateway, "two") as two:
        found = two.execute("SELECT owner, who FROM note ORDER BY who").fetchall()
        assert [row[0] for row in found] == ["one"] * 5 + ["two"] * 4
        assert [row[1] for row in found[5:]] == sorted(WORDS["two"])


def direct(made: Deployment, text: str) -> list[tuple[Any, ...]]:
    """What the server itself says."""
    with psycopg.connect(made.owner_url, autocommit=True) as connection:
        return connection.execute(text.encode()).fetchall()


def test_who_forges_a_tenant_learns_no_order(postgres: Cluster, database: str) -> None:
    """Neither by the gateway, nor by the functions, nor by tables that were granted by mistake."""
    user = f"order_tenant_{os.getpid()}"
    roles = {"app": {"users": ["postgres", user], "reveal": ["*"]}}
    postgres.psql(f"CREATE ROLE {user} LOGIN", database)
    try:
        made = deployed(postgres, database, roles=roles)
        postgres.psql(f"GRANT ALL ON note TO {user}; GRANT USAGE ON SEQUENCE note_id_seq TO {user}", database)
        with Gateway(made) as gateway:
            with session(gateway, "two") as two:
                filled({"two": two})
            with pytest.raises(psycopg.OperationalError, match="tenant"):
                session(gateway, "two", user=user)
            with psycopg.connect(gateway.url(user=user), autocommit=True) as other:
                for forged in ("SET pgnym.tenant = 'two'", "SELECT set_config('pgnym.tenant', '2', false)"):
                    try:
                        other.execute(forged)
                    except psycopg.Error:
                        continue
                found = other.execute("SELECT who FROM note ORDER BY who").fetchall()
                assert all(str(row[0]).startswith("pn1") for row in found)
                other.execute("INSERT INTO note (owner, who) VALUES ('one', 'cow')")
                assert other.execute("SELECT who FROM note WHERE owner = 'one' ORDER BY who").fetchall() == [
                    ("cow",)
                ]
        ((table,),) = direct(made, "SELECT relname FROM pg_class WHERE relname ~ '^codes_[a-z2-7]{3}$'")
        postgres.psql(f"GRANT SELECT ON ALL TABLES IN SCHEMA pgnym TO {user}", database)
        with psycopg.connect(postgres.url(database, user=user), autocommit=True) as thief:
            thief.execute("SELECT set_config('pgnym.tenant', '2', false)")
            assert thief.execute(f"SELECT count(*) FROM pgnym.{table}".encode()).fetchone() == (0,)
            name = table.removeprefix("codes_")
            for call in (
                f"codes_between_{name}('{{-}}', '{{~}}', '{{}}', '{{}}', '{{}}', 100)",
                f"codes_missing_{name}('{{}}')",
                f"codes_drop_{name}('{{}}')",
                f"codes_now_{name}('x')",
                f"codes_next_{name}('-', '~')",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    thief.execute(f"SELECT pgnym.{call}".encode())
    finally:
        postgres.psql(f"DROP OWNED BY {user}; DROP ROLE {user}", database)
