"""Links from tokens to data subjects, for columns whose values are shown by consent.

Statement-level triggers (with transition tables) of the tables concerned write ``pgnym.link`` in the transaction that writes
the row. They take nothing away: a token that somebody moves to another row stays that of its first subject as well. What
is no token is never written there: neither the triggers nor the table's CHECK would have it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from pgnym.config import Config, ProtectedColumn
from pgnym.onboard import survey
from pgnym.onboard.model import Connection, Finding, Table, quoted

_TOKEN = "pn1[a-z2-7]{27}"  # noqa: S105 - a pattern
_BATCH = 5000

_TABLE = f"""
CREATE SCHEMA IF NOT EXISTS pgnym;
CREATE TABLE IF NOT EXISTS pgnym.link (
  token text COLLATE "C" NOT NULL CHECK (token ~ '^{_TOKEN}$'),
  subject_table text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  linked timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (token, subject_table, subject)
);
CREATE INDEX IF NOT EXISTS link_subject ON pgnym.link (subject_table, subject);
REVOKE ALL ON pgnym.link FROM PUBLIC;
"""

_UNIQUE = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = $1::bigint::oid AND i.indisunique AND i.indisvalid
    AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = $2
)
"""

_FUNCTIONS = """
SELECT p.proname, pg_catalog.obj_description(p.oid, 'pg_proc'), coalesce(array_agg(t.tgrelid::bigint) FILTER (
  WHERE t.tgenabled IN ('O', 'A')), '{}')
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  LEFT JOIN pg_catalog.pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal
WHERE n.nspname = 'pgnym' AND p.proname LIKE 'link\\_%' GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class LinkWork:
    """The triggers of a table: to be made, or (``columns`` empty) to be dropped with their function.

    ``by_value``: columns by whose values its subjects can agree; None where no table of these subjects has any.
    """

    function: str
    table: Table | None
    root: str
    subject: str
    columns: tuple[ProtectedColumn, ...]
    by_value: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """In words."""
        if self.table is None:
            return f"drop pgnym.{self.function}, which linked tokens to data subjects"
        names = ", ".join(dict.fromkeys(column.column for column in self.columns))
        return f"link tokens of {names} to data subjects, by triggers"

    def rows(self, source: str) -> str:
        """What links the rows of ``source``; in order, so that two statements don't wait for each other crosswise."""
        parts = []
        for name in dict.fromkeys(column.column for column in self.columns):
            parts.append(
                f"SELECT m.found[1] AS token FROM pg_catalog.regexp_matches(n.{quoted(name)}::text,"  # noqa: S608
                f" '{_TOKEN}', 'g') AS m (found)"
            )
        # Of one transaction all have the same time, so that it can be told what a subject came with.
        column, time = ("", "") if self.by_value is None else (", linked", ", pg_catalog.now()")
        return (
            f"INSERT INTO pgnym.link (token, subject_table, subject{column})"  # noqa: S608 - names are quoted
            f" SELECT DISTINCT t.token, {_literal(self.root)}, coalesce(n.{quoted(self.subject)}::text, ''){time}"
            f" FROM {source} AS n CROSS JOIN LATERAL ({' UNION ALL '.join(parts)}) AS t"
            " ORDER BY 1, 3 ON CONFLICT DO NOTHING"
        )

    @property
    def digest(self) -> str:
        """Of what the trigger does: kept as the function's comment."""
        return hashlib.sha256(self.rows("new_rows").encode()).hexdigest()

    def definition(self) -> list[str]:
        """The statements that make function and triggers."""
        assert self.table is not None
        function = f"pgnym.{self.function}()"
        statements = [
            f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            f" SET search_path = pg_catalog, pg_temp AS $link$ BEGIN {self.rows('new_rows')}; RETURN NULL; END $link$",
            f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
        ]
        for event in ("insert", "update"):
            name = f"pgnym_link_{event}"
            statements += [
                f"DROP TRIGGER IF EXISTS {name} ON {self.table.sql}",
                f"CREATE TRIGGER {name} AFTER {event.upper()} ON {self.table.sql} REFERENCING NEW TABLE AS new_rows"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {function}",
            ]
        # Rows from before, and those that were changed while triggers were off.
        statements.append(self.rows(f"ONLY {self.table.sql}"))
        # The values that subjects have when this is made count as those that they came with.
        statements += [
            "UPDATE pgnym.link AS l SET linked = '-infinity'"  # noqa: S608 - names are quoted
            f" FROM ONLY {self.table.sql} AS n WHERE l.token = n.{quoted(name)}::text"
            f" AND l.subject_table = {_literal(self.root)} AND l.subject = n.{quoted(self.subject)}::text"
            for name in self.by_value or ()
        ]
        statements.append(f"COMMENT ON FUNCTION {function} IS '{self.digest}'")
        return statements


async def compare(
    config: Config, app: Connection, changing: Sequence[str]
) -> tuple[tuple[LinkWork, ...], list[Finding]]:
    """What is to be done, and what is in the way. ``changing``: tables that will be tokenized, without their triggers."""
    wanted: dict[str, list[ProtectedColumn]] = {}
    by_value = config.consent_by()
    for column in config.columns():
        label = f"{column.schema}.{column.table}"
        if _alone(column, by_value) or (
            config.privacy.restriction is not None and config.tables[label].subject is not None
        ):
            wanted.setdefault(label, []).append(column)
    known = {row[0]: (row[1], row[2]) for row in await app.fetch(_FUNCTIONS)}
    works: list[LinkWork] = []
    blockers: list[Finding] = []
    for label, columns in wanted.items():
        table = await survey.table(app, *label.split("."))
        options = config.tables[label]
        if table is None or options.subject is None or options.subject not in table.columns:
            continue  # said elsewhere
        if len(table.leaves) != 1 or table.kind != "r":
            blockers.append(
                Finding(label, "is partitioned or inherited from, so its tokens can't be linked to subjects",
                        "name another legal_basis, or keep these columns in a table of their own")
            )  # fmt: skip
            continue
        for column in columns:
            found = table.columns.get(column.column)
            if found is None or column.randomized or not _alone(column, by_value):
                continue
            if column.path or not await app.fetchval(_UNIQUE, table.oid, found.attnum):
                blockers.append(
                    Finding(column.name, _why_shared(column),
                            "say tokens: randomized, or give the column a UNIQUE index of its own")
                )  # fmt: skip
        root = options.subject_table or label
        values = by_value.get(label, ()) if root in by_value else None
        work = LinkWork(_name(label), table, root, options.subject, tuple(columns), values)
        digest, tables = known.pop(work.function, (None, []))
        if digest != work.digest or list(tables) != [table.oid] * 2 or label in changing:
            works.append(work)
    works.extend(LinkWork(name, None, "", "", ()) for name in sorted(known))
    return tuple(works), blockers


async def carry_out(works: Sequence[LinkWork], app: Connection, roles: tuple[str, str]) -> None:
    """Make the triggers and link the rows that are there, each table in one transaction.

    ``roles``: the gateway's login, which reads links, and the role that erases, which deletes them.
    """
    if not works:
        return
    async with app.transaction():
        await app.execute(_TABLE)
        for role, right in zip(roles, ("SELECT", "SELECT, DELETE"), strict=True):
            if await app.fetchval("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", role):
                await app.execute(
                    f"GRANT USAGE ON SCHEMA pgnym TO {quoted(role)}; GRANT {right} ON pgnym.link TO {quoted(role)}"
                )
    for work in works:
        async with app.transaction():
            if work.table is None:
                await app.execute(f"DROP FUNCTION IF EXISTS pgnym.{work.function}() CASCADE")
                continue
            await app.execute(f"LOCK TABLE {work.table.sql} IN SHARE ROW EXCLUSIVE MODE")
            for statement in work.definition():
                await app.execute(statement)


async def remove(app: Connection, table: Table) -> None:
    """Take the triggers of a table away that gets its plaintext back. Its links stay: other tables may need them."""
    await app.execute(f"DROP FUNCTION IF EXISTS pgnym.{_name(table.label)}() CASCADE")


async def carry_over(
    app: Connection, replacements: Callable[[list[bytes]], Awaitable[Mapping[bytes, bytes]]]
) -> None:
    """Links of tokens that are replaced become those of the new tokens, all of them: also whose a token was first.

    ``replacements``: of tokens, old → new; what has none stays.
    """
    if not await app.fetchval("SELECT pg_catalog.to_regclass('pgnym.link') IS NOT NULL"):
        return
    last = ""
    while True:
        rows = await app.fetch(
            "SELECT DISTINCT token FROM pgnym.link WHERE token > $1 ORDER BY token LIMIT $2", last, _BATCH
        )
        if not rows:
            return
        tokens = [row[0] for row in rows]
        last = tokens[-1]
        encoded = [token.encode() for token in tokens]
        found = {old.decode(): new.decode() for old, new in (await replacements(encoded)).items()}
        await app.execute(
            "INSERT INTO pgnym.link (token, subject_table, subject, linked)"
            " SELECT u.new, l.subject_table, l.subject, l.linked"
            " FROM unnest($1::text[], $2::text[]) AS u (old, new) JOIN pgnym.link l ON l.token = u.old"
            " ON CONFLICT DO NOTHING",
            list(found),
            list(found.values()),
        )
        await app.execute("DELETE FROM pgnym.link WHERE token = ANY ($1::text[])", list(found))


def _alone(column: ProtectedColumn, by_value: Mapping[str, Sequence[str]]) -> bool:
    """Whether each of the column's tokens must be one subject's."""
    label = f"{column.schema}.{column.table}"
    return column.options.legal_basis == "consent" or column.column in by_value.get(label, ())


def _why_shared(column: ProtectedColumn) -> str:
    how = "is shown by consent" if column.options.legal_basis == "consent" else "is named in consent_by"
    return f"{how}, but several subjects may share its tokens"


def _name(label: str) -> str:
    return f"link_{hashlib.sha256(label.encode()).hexdigest()[:16]}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
