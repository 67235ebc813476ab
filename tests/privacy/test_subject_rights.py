"""Who may report on and erase whom over HTTP: roles, tenants; and the rights that the gateway itself has for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from pgnym.admin.api_tokens import Role
from support.admin import AdminClient, first_token
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES: dict[str, Any] = {"public.p": {"subject": "id", "columns": {"mail": {"domain": "mail"}}}}
ROLE = "pgnym_gateway_privacy"
RIGHTS = """
SELECT c.relname, a.privilege_type, '' FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = '{role}'::regrole
UNION ALL SELECT c.relname, a.privilege_type, t.attname
FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid, aclexplode(t.attacl) a WHERE a.grantee = '{role}'::regrole
ORDER BY 1, 2, 3
"""


def rights(postgres: Cluster, database: str, role: str) -> set[tuple[str, ...]]:
    """(table, privilege, column) of the privacy role."""
    return {tuple(line.split("|")) for line in postgres.psql(RIGHTS.format(role=role), database).splitlines()}


@dataclass
class World:
    """A table with rows of two tenants; and one row that nobody can tell whose it is."""

    ask: AdminClient
    tokens: dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def world(postgres: Cluster) -> Iterator[World]:
    database = "test_subject_rights"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    postgres.psql("CREATE TABLE p (id int PRIMARY KEY, mail text); INSERT INTO p VALUES (3, NULL)", database)
    tenants = {"default": "main", "startup_option": ["postgres"]}
    made = deployment(postgres, database, tables=TABLES, tenants=tenants, privacy={"settle": 0})
    made.apply()
    try:
        with Gateway(made) as gateway:
            for number, tenant in ((1, "main"), (2, "other")):
                with psycopg.connect(gateway.url(), options=f"-c pgnym.tenant={tenant}") as session:
                    session.execute("INSERT INTO p VALUES (%s, %s)", (number, f"{number}@x.org"))
            ask = AdminClient(gateway, first_token(gateway))
            tokens = {}
            for role in Role:
                for tenant in ("main", "other"):
                    body = {"role": role.value, "name": "t", "tenant": tenant}
                    tokens[role.value, tenant] = ask("POST", "/v1/api-tokens", body).body["secret"]
            yield World(ask, tokens)
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_every_role_meets_its_tenants_rows_alone(world: World, role: str) -> None:
    may = {"report": role in ("root", "dpo"), "audit": role in ("root", "dpo", "auditor")}
    ask = AdminClient(world.ask.gateway, world.tokens[role, "main"])
    missing = {what: ask("GET", f"/v1/subjects/4711/{what}") for what in may}
    for what, allowed in may.items():
        assert ask("GET", f"/v1/subjects/1/{what}").status == (200 if allowed else 403)
        for number in (2, 3):
            foreign = ask("GET", f"/v1/subjects/{number}/{what}")
            assert (foreign.status, foreign.body) == (missing[what].status, missing[what].body)
            assert foreign.status == (404 if allowed else 403)
            assert ask("GET", f"/v1/subjects/{number}/{what}?tenant=other").status == 403
    officer = may["report"]
    for number in (2, 3, 4711):
        erased = ask("DELETE", f"/v1/subjects/{number}", headers={"If-Match": '"x"'})
        assert erased.status == (404 if officer else 403)
    for mail, found in (("1@x.org", 1), ("2@x.org", 0)):
        answer = ask("POST", "/v1/subjects/search", {"column": "mail", "value": mail})
        assert answer.status == (200 if officer else 403)
        assert not officer or len(answer.body["items"]) == found
    by_id = ask("POST", "/v1/subjects/search", {"column": "id", "value": "2"})
    assert by_id.body == {"items": []} if officer else by_id.status == 403
    assert ask("GET", "/v1/erasures").status == (200 if may["audit"] else 403)
    whole = world.ask("GET", "/v1/subjects/2/report?tenant=other")
    assert whole.body["tables"]["public.p"] == [{"id": 2, "mail": "2@x.org"}]
    tag = {"If-Match": whole.headers["etag"]}
    mixed = world.ask("DELETE", "/v1/subjects/2?tenant=main", headers=tag)
    assert mixed.status == 409, "a token of all tenants is told whose rows they are"
    assert "tenant other" in mixed.body["detail"]


def test_erasures_of_one_tenant_are_not_shown_to_another(world: World) -> None:
    ask = AdminClient(world.ask.gateway, world.tokens["dpo", "other"])
    tag = {"If-Match": ask("GET", "/v1/subjects/2/report").headers["etag"]}
    begun = ask("DELETE", "/v1/subjects/2", headers=tag)
    assert begun.status == 202
    assert ask.wait_for_erasure(begun.headers["location"])["state"] == "finished"
    other = AdminClient(world.ask.gateway, world.tokens["dpo", "main"])
    assert other("GET", begun.headers["location"]).status == 404
    assert other("GET", "/v1/erasures").body["items"] == []


def test_the_role_has_what_it_needs_and_no_more(postgres: Cluster, database: str) -> None:
    postgres.psql(
        "CREATE TABLE p (id int PRIMARY KEY, mail text, note text); CREATE TABLE q (p int, more text);"
        "CREATE TABLE list (mail text); CREATE TABLE secret (x text);"
        "INSERT INTO p VALUES (1, 'a@x.org', 'n')",
        database,
    )
    mail = {"domain": "mail"}
    tables: dict[str, Any] = {
        "public.p": {"subject": "id", "columns": {"mail": mail}},
        "public.q": {
            "subject": "p",
            "subject_table": "public.p",
            "on_erase": "delete",
            "columns": {"more": {}},
        },
        "public.list": {"columns": {"mail": mail}},
    }
    made = deployment(postgres, database, tables=tables, privacy={"settle": 0})
    made.config["vault"] = {"user": "of_rights"}  # no other gateway runs under this login, so undo may
    role = "of_rights_privacy"
    made.apply()
    assert rights(postgres, database, role) == {
        ("list", "SELECT", ""), ("p", "SELECT", ""), ("p", "UPDATE", "mail"), ("q", "SELECT", ""),
        ("q", "UPDATE", "more"), ("q", "DELETE", ""),
    }  # fmt: skip
    url = f"postgresql://of_rights:{made.vault_password}@{postgres.host}:{postgres.port}/{database}"
    with psycopg.connect(url, autocommit=True) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT * FROM p")
        session.execute(f"SET ROLE {role}".encode())
        session.execute("SELECT * FROM p")
        for text in (
            "SELECT * FROM secret",
            "UPDATE p SET note = ''",
            "DELETE FROM p",
            "SELECT * FROM vault.value",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(text.encode())

    tables["public.q"]["on_erase"] = "scrub"
    assert "no longer needs" in made.pgnym("plan", check=False).stdout
    made.apply()
    assert ("q", "DELETE", "") not in rights(postgres, database, role)
    made.pgnym("undo", "--table", "public.q", "--yes")
    assert not [right for right in rights(postgres, database, role) if right[0] == "q"]
    off = replace(made, config={**made.config, "privacy": {"over_http": False}})
    off.config["tables"] = {name: tables[name] for name in ("public.p", "public.list")}
    off.apply()
    assert rights(postgres, database, role) == set()
    with Gateway(off) as gateway:
        refused = AdminClient(gateway, first_token(gateway))("GET", "/v1/subjects/1/report")
        assert refused.status == 403
        assert "privacy.over_http" in refused.body["detail"]


def test_rows_that_security_would_hide(postgres: Cluster, database: str) -> None:
    """A report that lacks rows would be wrong without a word."""
    postgres.psql(
        "CREATE TABLE p (id int PRIMARY KEY, mail text, dept text); ALTER TABLE p ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON p USING (dept = current_user); INSERT INTO p VALUES (1, 'a@x.org', 'sales')",
        database,
    )
    made = deployment(postgres, database, tables=TABLES, privacy={"settle": 0})
    made.apply()
    assert f"✓ role {ROLE}" in made.pgnym("doctor").stdout
    with Gateway(made) as gateway:
        ask = AdminClient(gateway, first_token(gateway))
        assert ask("GET", "/v1/subjects/1/report").body["tables"]["public.p"][0]["mail"] == "a@x.org"
        postgres.psql("CREATE POLICY less ON p AS RESTRICTIVE USING (dept = 'x')", database)
        refused = ask("GET", "/v1/subjects/1/report")
        assert (refused.status, "may hide rows" in refused.body["detail"]) == (409, True)
        assert ask("DELETE", "/v1/subjects/1", headers={"If-Match": '"x"'}).status == 409
        assert "restrictive policies" in made.pgnym("plan", check=False).stdout
        postgres.psql(f"ALTER ROLE {ROLE} BYPASSRLS", database)
        try:
            assert ask("GET", "/v1/subjects/1/report").status == 200
            made.apply()
        finally:
            postgres.psql(f"ALTER ROLE {ROLE} NOBYPASSRLS", database)
        postgres.psql(f"DROP POLICY less ON p; REVOKE SELECT ON p FROM {ROLE}", database)
        assert f"✗ role {ROLE}" in made.pgnym("doctor", check=False).stdout
        lacking = ask("GET", "/v1/subjects/1/report")
        assert (lacking.status, "no right to read" in lacking.body["detail"]) == (409, True)
        assert f"let {ROLE} read" in made.pgnym("plan", check=False).stdout


def test_triggers_run_as_they_would_for_an_application(postgres: Cluster, database: str) -> None:
    postgres.psql(
        "CREATE TABLE p (id int PRIMARY KEY, mail text); CREATE TABLE changes (id int); INSERT INTO p VALUES (1, 'a@x.org');"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO changes VALUES (NEW.id); RETURN NEW; END';"
        "CREATE TRIGGER note AFTER UPDATE ON p FOR EACH ROW EXECUTE FUNCTION note()",
        database,
    )
    made: Deployment = deployment(postgres, database, tables=TABLES, privacy={"settle": 0})
    made.apply()
    with Gateway(made) as gateway:
        ask = AdminClient(gateway, first_token(gateway))
        tag = {"If-Match": ask("GET", "/v1/subjects/1/report").headers["etag"]}
        refused = ask("DELETE", "/v1/subjects/1", headers=tag)
        assert refused.status == 409, refused.body
        assert "SECURITY DEFINER" in refused.body["detail"]
        assert ask("GET", "/v1/subjects/1/report").headers["etag"] == tag["If-Match"]
        postgres.psql("ALTER FUNCTION note() SECURITY DEFINER", database)
        assert ask("DELETE", "/v1/subjects/1", headers=tag).status == 202
        assert postgres.psql("SELECT id FROM changes", database).strip() == "1"


@pytest.mark.parametrize("may_create", [True, False])
def test_an_owner_who_is_no_superuser(postgres: Cluster, database: str, may_create: bool) -> None:
    owner, login = f"owner_{database}", f"gateway_{database}"
    postgres.psql(f"CREATE ROLE {owner} LOGIN PASSWORD 'x' {'CREATEROLE' if may_create else ''}")
    postgres.psql(f"ALTER DATABASE {database} OWNER TO {owner}")
    url = f"postgresql://{owner}:x@{postgres.host}:{postgres.port}/{database}"
    with psycopg.connect(url) as session:
        session.execute("CREATE SCHEMA app")
        session.execute("CREATE TABLE app.p (id int PRIMARY KEY, mail text)")
        session.execute("INSERT INTO app.p VALUES (1, 'a@x.org')")
    made = deployment(postgres, database, tables={"app.p": TABLES["public.p"]}, privacy={"settle": 0})
    made.config["vault"] = {"user": login}
    made = replace(made, owner_url=url)
    try:
        plan = made.pgnym("plan", check=False)
        if not may_create:
            assert f'as a superuser: CREATE ROLE "{login}_privacy" NOLOGIN' in plan.stdout
            return
        made.apply()
        assert "Nothing to do" in made.pgnym("plan").stdout
        with Gateway(made) as gateway:
            ask = AdminClient(gateway, first_token(gateway))
            answer = ask("GET", "/v1/subjects/1/report")
            assert answer.body["tables"]["app.p"] == [{"id": 1, "mail": "a@x.org"}]
            found = ask("POST", "/v1/subjects/search", {"column": "id", "value": "1"})
            assert found.body == {"items": [{"table": "app.p", "id": "1"}]}
            begun = ask("DELETE", "/v1/subjects/1", headers={"If-Match": answer.headers["etag"]})
            assert ask.wait_for_erasure(begun.headers["location"])["deleted"] == {"mail": 1}
    finally:
        postgres.psql(f"DROP DATABASE {database} WITH (FORCE)")
        for role in (f"{login}_privacy", login, owner):
            postgres.psql(f"DROP ROLE IF EXISTS {role}")
