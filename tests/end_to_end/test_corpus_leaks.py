"""Every statement of the planner's contract, refused ones included, through a real gateway: no constant reaches the server.

Constants that meet protected columns are replaced by canaries, of which no file of the data directory may hold one
afterwards; in a statement that is refused, every constant is, since nothing of it may be sent. The server logs every
statement, and every failed one.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest
from case_files import all_cases
from sample_catalog import RELATIONS
from sample_database import rows, schema

from pgnym.gateway.catalogs import read_catalog
from pgnym.sql.catalog import Catalog
from pgnym.sql.errors import Refused
from pgnym.sql.lexer import lex
from pgnym.sql.plan import LiteralPiece, LookupPiece, Rewrite, SessionScope
from pgnym.sql.planner import Planner
from support.cluster import SUPERUSER, Cluster
from support.gateway import DIRECT, Gateway, deployment

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(f"'{DIRECT}' in __import__('os').environ", reason="plain PostgreSQL keeps plaintext"),
]

SETTINGS = {
    "log_statement": "all",
    "log_min_messages": "debug1",
    "log_min_error_statement": "debug5",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "max_wal_size": "1GB",
}
SCOPE = SessionScope(("pg_catalog", "public"), SUPERUSER, {}, {})


def tables() -> dict[str, Any]:
    """The configuration that protects the sample's columns as its catalog has them."""
    found: dict[str, Any] = {}
    for relation in RELATIONS:
        for column in relation.columns:
            guard = column.protection
            if guard is None or relation.broken or relation.kind not in ("r", "p"):
                continue
            options: dict[str, str] = {"domain": guard.domain}
            if guard.randomized:
                options["tokens"] = "randomized"
            if guard.casefold:
                options["normalize"] = "casefold"
            name = f"{relation.schema}.{relation.name}"
            found.setdefault(name, {"columns": {}})["columns"][column.name] = options
    return found


@dataclass
class Canaries:
    """Gives out values that nothing else contains."""

    given: dict[str, str] = field(default_factory=dict)

    def like(self, value: str, what: str) -> str:
        """A canary of the same sort as a value: a date, a number, or a text with the same wildcards around it."""
        if re.fullmatch(r"\d{4}-\d\d-\d\d.*", value):
            made = (
                f"17{secrets.randbelow(100):02}-{secrets.randbelow(12) + 1:02}-{secrets.randbelow(28) + 1:02}"
            )
            self.given[made] = what
            return made + value[10:]
        if re.fullmatch(r"\d+", value):
            made = str(1_200_000_000 + secrets.randbelow(900_000_000))
        else:
            made = "Cnry" + secrets.token_hex(5)
        self.given[made] = what
        head = re.match(r"[%_^]*", value)
        tail = re.search(r"[%_$]*\Z", value)
        assert head is not None
        assert tail is not None
        return head[0] + made + tail[0]


def secret_spans(text: bytes, rewrite: Rewrite | None) -> Iterator[tuple[int, int]]:
    """The spans of the constants that must not be sent."""
    if rewrite is None:
        yield (0, len(text))
        return
    places = sorted({own for _, own in rewrite.positions})
    for piece in rewrite.pieces:
        if isinstance(piece, LiteralPiece | LookupPiece):
            start = piece.position if isinstance(piece, LiteralPiece) else piece.lookup.position
            yield start, next((p for p in places if p > start), len(text))


def with_canaries(text: bytes, rewrite: Rewrite | None, what: str, new: Canaries) -> str:
    """The statement with canaries for its constants. ``rewrite`` None: it is refused."""
    spans = list(secret_spans(text, rewrite))
    try:
        lexed = lex(text)
    except Refused:
        return text.decode()  # can't be cut into words, so nothing can be put into it
    parts: list[str] = []
    at = 0
    for start, end, name in zip(lexed.starts, lexed.ends, lexed.names, strict=True):
        if name not in ("SCONST", "ICONST") or not any(a <= start < b for a, b in spans):
            continue
        raw = text[start:end].decode()
        if name == "ICONST":
            if rewrite is None:
                continue  # a place in a list, a precision or a limit: another number makes another statement
            made = new.like(raw, what)
        elif raw[:1] == "$":  # the body of a function or block: the constants in it
            made = re.sub(r"'([^']+)'", lambda m: "'" + new.like(m[1], what) + "'", raw)
        else:
            inner = raw[raw.index("'") + 1 : -1]
            if not inner or inner[:1] == "{":
                continue
            made = raw[: raw.index("'")] + "'" + new.like(inner, what) + "'"
        parts += (text[at:start].decode(), made)
        at = end
    return "".join((*parts, text[at:].decode()))


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Cluster, Gateway, Catalog]]:
    with Cluster(settings=SETTINGS) as cluster:
        cluster.psql("CREATE DATABASE app")
        for statement in (*schema(tokens=False), *rows(None)):
            cluster.psql(statement + ";", "app")
        made = deployment(cluster, "app", tables=tables())
        made.pgnym("apply", "--yes", "--scrub-wal")

        async def catalog() -> Catalog:
            connection = await asyncpg.connect(cluster.url("app"))
            try:
                return await read_catalog(connection, connection, 1, {})
            finally:
                await connection.close()

        with Gateway(made) as gateway:
            yield cluster, gateway, asyncio.run(catalog())


def run_simple(url: str, text: str) -> str:
    """Send one text as a Query, in a transaction that is rolled back. The SQLSTATE, "" when it worked."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute("BEGIN")
        try:
            if re.match(r"\s*COPY\b", text, re.IGNORECASE):
                with connection.cursor().copy(text.encode()) as copy:
                    for _ in copy if "TO" in text else ():
                        pass
            else:
                cursor.execute(text.encode())
        except psycopg.Error as error:
            return error.sqlstate or "no answer"
        finally:
            if not connection.closed and not connection.broken:
                cursor.execute("ROLLBACK")
    return ""


def argument(parameter: Any, secret: bool, what: str, new: Canaries) -> Any:
    """A value for a parameter: a canary if it is ``secret``."""
    scalar = parameter.name.removesuffix("[]").lstrip("_")
    value: Any
    if scalar in ("int4", "int8", "numeric"):
        value = int(new.like("12", what)) if secret else 12
    elif scalar == "int2":
        value = 12  # too short to be found again
    elif scalar == "date":
        value = (
            datetime.date.fromisoformat(new.like("1962-02-18", what))
            if secret
            else datetime.date(1962, 2, 18)
        )
    elif scalar == "bool":
        value = True
    else:
        value = new.like("x", what) if secret else "x"
    return [value] if parameter.kind == "array" else value


async def run_extended(url: str, text: str, rewrite: Rewrite | None, what: str, new: Canaries) -> str:
    """Prepare and execute one statement with canaries as its parameters. The SQLSTATE, "" when it worked."""
    plans = rewrite.statements if rewrite is not None else ()
    parameters = [p for plan in plans for p in plan.parameters or ()]
    # What is compared with an unprotected column as well is the application's to send.
    secret = {p.source for p in parameters if p.use} - {p.source for p in parameters if not p.use}
    connection: Connection = await asyncpg.connect(url, statement_cache_size=0)
    transaction = connection.transaction()
    await transaction.start()
    try:
        statement = await connection.prepare(text)
        arguments: list[Any] = []
        for number, parameter in enumerate(statement.get_parameters(), 1):
            arguments.append(argument(parameter, number in secret, what, new))
        await statement.fetch(*arguments)
    except asyncpg.PostgresError as error:
        return str(error.sqlstate)
    except asyncpg.DataError:
        return "22000"
    finally:
        if not connection.is_closed():
            await transaction.rollback()
            await connection.close()
    return ""


def test_no_constant_of_any_statement_reaches_the_server(stage: tuple[Cluster, Gateway, Catalog]) -> None:
    cluster, gateway, catalog = stage
    planner = Planner(catalog)
    new = Canaries()
    outcomes: dict[str, int] = {}
    for case in all_cases():
        what = f"{case.file}: {case.title}"
        rewrite: Rewrite | None = None
        with suppress(Refused):
            rewrite = planner.plan(case.statement.encode(), case.types, SCOPE)
            if rewrite is None:
                continue  # touches nothing protected
        if case.title == "EXECUTE of a statement with a parameter of two sorts":
            continue  # one of the two is an unprotected column, so its value is sent
        text = with_canaries(case.statement.encode(), rewrite, what, new)
        if re.search(r"\$\d", text):
            state = asyncio.run(run_extended(gateway.url(), text, rewrite, what, new))
        else:
            state = run_simple(gateway.url(), text)
        outcomes[state] = outcomes.get(state, 0) + 1
    assert gateway.running
    assert "no answer" not in outcomes, outcomes
    assert outcomes[""] > 100, outcomes
    assert outcomes["0A000"] > 50, outcomes
    assert len(new.given) > 300
    found = cluster.scan(value.encode() for value in new.given)
    assert [f"{new.given[line.rsplit(': ', 1)[1]]}: {line}" for line in found] == []
    said = gateway.stderr_text()
    assert [value for value in new.given if value in said] == []
