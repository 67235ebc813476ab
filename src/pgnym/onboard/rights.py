"""The rights of the privacy role: what a gateway may do with the application's tables on behalf of a data subject.

The gateway's login has no right to any of them. For reports and erasures over the admin endpoint it takes on a role that
can't log in (``vault.privacy_role``; ``SET LOCAL ROLE``, for one transaction), which may

- read all tables that are configured or hold tokens: an erasure must know which values other rows hold;
- where a table has a subject, or is kept for a time, change its protected columns (and so lock its rows), and delete
its rows if ``on_erase`` or ``retain`` says so.

``plan`` shows what differs from this, ``apply`` brings it about and takes back what the role has beyond it. Row-level
security of the application would hide rows from the role, so each such table gets a policy that lets it see all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pgnym.config import Config
from pgnym.onboard import survey
from pgnym.onboard.model import Connection, Finding, Step, StepKind, Table, quoted

POLICY = "pgnym_privacy"
Right = tuple[str, str]
"""A privilege, and the column that it is for; "" for the whole table."""

_SEPARATE_INHERITANCE = 160000  # from this server version on each membership says whether it inherits

_ROLE = """
SELECT r.oid IS NOT NULL AS there, coalesce(r.rolcanlogin OR r.rolsuper OR r.rolcreaterole, false) AS unfit,
  EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.member
          WHERE m.roleid = r.oid AND g.rolname = $2) AS given,
  me.rolsuper OR me.rolcreaterole AS may_create,
  me.rolsuper OR coalesce(pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'), false)
    OR (me.rolcreaterole AND pg_catalog.current_setting('server_version_num')::int < 160000) AS may_grant
FROM pg_catalog.pg_roles me LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $1
WHERE me.rolname = current_user
"""
# Rights on pgnym.link are not of rows of the configuration; ``linking`` gives them.
_HAS = """
SELECT n.nspname, c.relname, a.privilege_type, ''
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(c.relacl) a
WHERE a.grantee = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) AND c.relkind IN ('r', 'p')
  AND NOT (n.nspname = 'pgnym' AND c.relname = 'link')
UNION ALL
SELECT n.nspname, c.relname, a.privilege_type, t.attname
FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(t.attacl) a
WHERE a.grantee = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) AND c.relkind IN ('r', 'p')
  AND NOT t.attisdropped
"""
_TABLES = """
SELECT c.relrowsecurity, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
  EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = $3),
  EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive),
  coalesce((SELECT pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') FROM pg_catalog.pg_roles r WHERE r.rolname = $4),
    false),
  (SELECT pg_catalog.array_agg(a.attname::text) FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
"""
_POLICIES = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.polname = $1
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What one table needs: statements, and the same in words. ``table``: ``schema.table``; "" for the role itself."""

    table: str
    text: str
    statements: tuple[str, ...]


async def changes(config: Config, app: Connection) -> tuple[list[Change], list[Finding]]:
    """What is to change, and what can't be. None where this login may not make the role: then only a warning says so."""
    role, login = config.vault.privacy_role, config.vault.user
    state = await app.fetchrow(_ROLE, role, login)
    assert state is not None  # current_user is a role
    found: list[Change] = []
    wanted = await _wanted(config, app) if config.privacy.over_http else {}
    if not wanted and not state["there"]:
        return [], []
    if state["unfit"]:
        text = "can log in, is a superuser or may create roles"
        return [], [
            Finding(f"role {role}", text, "name another login by vault.user: the role is named after it")
        ]
    if not state["there"] and not state["may_create"]:
        return [], [_for_a_superuser(role, login, f"CREATE ROLE {quoted(role)} NOLOGIN; ")]
    if not state["given"] and state["there"] and not state["may_grant"]:
        return [], [_for_a_superuser(role, login, "")]
    if not state["there"] or not state["given"]:
        found.append(await _membership(app, role, login, there=state["there"]))
    tables, warnings = await _of_tables(app, role, wanted)
    return found + tables, warnings


async def carry_out(config: Config, app: Connection) -> list[str]:
    """Make it so; what can't be done is returned as advice. Errors: asyncpg.PostgresError (nothing was changed then)."""
    async with survey.pinned(app):
        found, warnings = await changes(config, app)
        for change in found:
            for statement in change.statements:
                await app.execute(statement)
    return [f"{w.where} {w.text}: {w.hint}" for w in warnings]


async def withdraw(config: Config, app: Connection, table: Table) -> None:
    """Take all rights to a table back, within the transaction that gives it its plaintext."""
    role = config.vault.privacy_role
    if await app.fetchval("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", role):
        await app.execute(f"REVOKE ALL ON {table.sql} FROM {quoted(role)}")
        await app.execute(f"DROP POLICY IF EXISTS {POLICY} ON {table.sql}")


def steps(found: Iterable[Change]) -> list[Step]:
    """The changes as steps of a plan."""
    return [Step(StepKind.RIGHTS, change.table, change.text) for change in found]


def _for_a_superuser(role: str, login: str, first: str) -> Finding:
    return Finding(
        f"role {role}",
        "is needed for reports and erasures over the admin endpoint, and this login may not make it",
        f"as a superuser: {first}GRANT {quoted(role)} TO {quoted(login)}; or set privacy.over_http: false",
    )


async def _membership(app: Connection, role: str, login: str, *, there: bool) -> Change:
    """The role, for the gateway's login to take on: not to have always."""
    statements = [] if there else [f"CREATE ROLE {quoted(role)} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"]
    if (
        await app.fetchval("SELECT pg_catalog.current_setting('server_version_num')::int")
        >= _SEPARATE_INHERITANCE
    ):
        statements.append(f"GRANT {quoted(role)} TO {quoted(login)} WITH INHERIT FALSE, SET TRUE")
    else:
        others = await app.fetchval(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member"
            " WHERE r.rolname = $1)",
            login,
        )
        if not others:  # else it may live by what it inherits
            statements.append(f"ALTER ROLE {quoted(login)} NOINHERIT")
        statements.append(f"GRANT {quoted(role)} TO {quoted(login)}")
    return Change("", f"let {login} take on the role {role}, for reports and erasures", tuple(statements))


async def _wanted(config: Config, app: Connection) -> dict[tuple[str, str], set[Right]]:
    wanted: dict[tuple[str, str], set[Right]] = {}
    for binding in await survey.all_bindings(app):
        wanted.setdefault((binding.schema, binding.table), set()).add(("SELECT", ""))
    for label, table in config.tables.items():
        schema, _, name = label.partition(".")
        rights = wanted.setdefault((schema, name), set())
        rights.add(("SELECT", ""))
        if table.subject is not None or table.retain is not None:
            rights |= {("UPDATE", column) for column in table.columns}
        if (table.subject is not None and table.on_erase == "delete") or (
            table.retain is not None and table.deleted_in_time
        ):
            rights.add(("DELETE", ""))
    return wanted


async def _of_tables(
    app: Connection, role: str, wanted: Mapping[tuple[str, str], set[Right]]
) -> tuple[list[Change], list[Finding]]:
    has: dict[tuple[str, str], set[Right]] = {}
    for schema, name, privilege, column in await app.fetch(_HAS, role):
        has.setdefault((schema, name), set()).add((privilege, column))
    policies = {(row[0], row[1]) for row in await app.fetch(_POLICIES, POLICY)}
    found, warnings = [], []
    for place in sorted(wanted.keys() | has.keys() | policies):
        row = await app.fetchrow(_TABLES, *place, POLICY, role)
        label = ".".join(place)
        if row is None:
            continue  # the plan says that it isn't there
        secured, owned, policy, restricted, usage, columns = row
        shall = {right for right in wanted.get(place, set()) if right[1] in ("", *columns)}
        if shall and not owned:
            text = f"belongs to another role, so {role} can't be given the right to read it: no erasure over the endpoint"
            warnings.append(Finding(label, text, f"as its owner: GRANT SELECT ON {label} TO {quoted(role)}"))
            continue
        if shall and secured and restricted:
            text = f"has restrictive policies, which may hide rows from {role}: no report, no erasure over the endpoint"
            warnings.append(Finding(label, text, f"as a superuser: ALTER ROLE {quoted(role)} BYPASSRLS"))
        change = _change(
            role, place, shall, has.get(place, set()), schema=bool(shall) and not usage,
            make=bool(shall) and secured and not policy, drop=policy and not (shall and secured),
        )  # fmt: skip
        if change is not None:
            found.append(change)
    return found, warnings


def _change(
    role: str,
    place: tuple[str, str],
    shall: set[Right],
    has: set[Right],
    *,
    schema: bool,
    make: bool,
    drop: bool,
) -> Change | None:
    name, to = f"{quoted(place[0])}.{quoted(place[1])}", quoted(role)
    more, less = sorted(shall - has), sorted(has - shall)
    statements = [f"GRANT USAGE ON SCHEMA {quoted(place[0])} TO {to}"] if schema else []
    if less:
        statements += [f"REVOKE {_spelled(right)} ON {name} FROM {to}" for right in less]
    statements += [f"GRANT {_spelled(right)} ON {name} TO {to}" for right in more]
    if make:
        statements.append(f"CREATE POLICY {POLICY} ON {name} TO {to} USING (true)")
    if drop:
        statements.append(f"DROP POLICY {POLICY} ON {name}")
    if not statements:
        return None
    words = []
    if more or schema or make:
        verbs = sorted(
            {{"SELECT": "read", "UPDATE": "scrub", "DELETE": "delete"}[right[0]] for right in more}
        )
        words.append(
            f"let {role} {', '.join(verbs) or 'read'} rows" + (", past its policies" if make else "")
        )
    if less or drop:
        words.append(f"take from {role} what it no longer needs")
    return Change(".".join(place), "; ".join(words), tuple(statements))


def _spelled(right: Right) -> str:
    privilege, column = right
    return f"{privilege} ({quoted(column)})" if column else privilege
