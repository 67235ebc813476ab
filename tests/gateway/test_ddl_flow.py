"""Statements that make or change protected tables: what follows them unseen, and how the catalog keeps up."""

from __future__ import annotations

import json

from playbook import (
    BOUND,
    CLOSED,
    IN_FAILED,
    IN_TRANSACTION,
    PARSED,
    READY,
    SYNC,
    Client,
    Play,
    Refused,
    Server,
    Starts,
    ToClient,
    ToServer,
    Worked,
    bind,
    close,
    complete,
    described,
    error,
    execute,
    parse,
    query,
    row,
    scope,
)
from shop_catalog import ALBUM, ARTIST, CUSTOMER, EMAIL, INT4, TEXT, VARCHAR, shop

from pgnym.gateway.effects import Refresh
from pgnym.gateway.engine import Engine
from pgnym.sql.catalog import Column, Relation
from pgnym.sql.guard import check_expression
from pgnym.sql.load import SNAPSHOT

MAKE = "CREATE TABLE report AS SELECT email FROM customer"
GUARD = (
    f'ALTER TABLE "report" ADD CONSTRAINT pgnym_0_1 CHECK ({check_expression("email", EMAIL.prefix, True)})'
)
REPORT = Relation(590, "public", "report", "r", (Column("email", 1, VARCHAR, 44, EMAIL),))
SEEN = "SELECT 1 FROM report WHERE email = ''"
ASKS = query(SNAPSHOT)
KNOWN = json.dumps({"path": ["pg_catalog", "public"]}).encode()
ANSWER = described(("json_build_object", 114)) + row(KNOWN) + complete("SELECT 1")


def after() -> Engine:
    """The engine once the report is there."""
    made = shop(CUSTOMER, ARTIST, ALBUM, REPORT)
    return Engine(type(made)(2, made.relations, made.by_oid, made.types, path=("pg_catalog", "public")))


def test_a_table_is_guarded_in_the_same_query(play: Play) -> None:
    play >> Client(query(MAKE)) << ToServer(query(f"{MAKE}; {GUARD}"))
    play >> Server(complete("SELECT 2")) << ToClient(complete("SELECT 2"))
    play >> Server(complete("ALTER TABLE"), READY) << Starts(Refresh)
    play.snapshots.current = after()
    play >> Worked() << ToClient(READY)
    play.session.path = ("pg_catalog", "public")
    play >> Client(query(SEEN)) << ToServer(query(SEEN))


def test_other_statements_of_the_text_are_told_from_the_guard(play: Play) -> None:
    text = f"{MAKE}; SELECT 1"
    play >> Client(query(text)) << ToServer(query(f"{MAKE}; {GUARD}; SELECT 1"))
    one = described(("?column?", INT4)) + row(b"1") + complete("SELECT 1")
    play >> Server(complete("SELECT 2"), complete("ALTER TABLE"), one) << ToClient(complete("SELECT 2"), one)


def test_an_error_of_the_guard_is_that_of_the_query(play: Play) -> None:
    play >> Client(query(MAKE)) << ToServer(query(f"{MAKE}; {GUARD}"))
    failed = error("57014", "canceled")
    play >> Server(complete("SELECT 2"), failed) << ToClient(complete("SELECT 2"), failed)
    play >> Server(READY) << Starts(Refresh)
    play >> Worked() << ToClient(READY)


def test_a_table_is_guarded_behind_execute(play: Play) -> None:
    steps = parse("", MAKE) + bind("", "") + execute("")
    own = (
        parse("pgnym_scope", GUARD)
        + bind("pgnym_scope", "pgnym_scope")
        + execute("pgnym_scope")
        + close("P", "pgnym_scope")
        + close("S", "pgnym_scope")
    )
    play >> Client(steps, SYNC) << ToServer(steps, own, SYNC)
    play >> Server(PARSED, BOUND, complete("SELECT 2")) << ToClient(PARSED, BOUND, complete("SELECT 2"))
    play >> Server(PARSED, BOUND, complete("ALTER TABLE"), CLOSED, CLOSED, READY) << Starts(Refresh)
    play >> Worked() << ToClient(READY)


def test_when_the_table_is_not_made_nothing_of_the_guard_is_seen(play: Play) -> None:
    steps = parse("", MAKE) + bind("", "") + execute("")
    play >> Client(steps, SYNC)
    play.stage.happened.clear()
    failed = error("42P07", "exists")
    play >> Server(PARSED, BOUND, failed) << ToClient(PARSED, BOUND, failed)
    play >> Server(READY) << Starts(Refresh)
    play >> Worked() << ToClient(READY)
    play.session.path = ("pg_catalog", "public")
    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))


def test_within_a_transaction_the_catalog_is_read_through_the_session(play: Play) -> None:
    begin = query("BEGIN")
    play >> Client(begin) << ToServer(begin)
    play >> Server(complete("BEGIN"), IN_TRANSACTION) << ToClient(complete("BEGIN"), IN_TRANSACTION)
    play >> Client(query(MAKE)) << ToServer(query(f"{MAKE}; {GUARD}"))
    (
        play
        >> Server(complete("SELECT 2"), complete("ALTER TABLE"), IN_TRANSACTION)
        << ToClient(complete("SELECT 2"), IN_TRANSACTION)
    )
    play.snapshots.open[KNOWN] = after()
    play >> Client(query(SEEN)) << ToServer(ASKS)
    play >> Server(ANSWER, IN_TRANSACTION) << ToServer(query(SEEN))
    play >> Server(complete("SELECT 0"), IN_TRANSACTION) << ToClient(complete("SELECT 0"), IN_TRANSACTION)
    play >> Client(query(SEEN)) << ToServer(query(SEEN))  # known by now
    play >> Server(complete("SELECT 0"), IN_TRANSACTION) << ToClient(complete("SELECT 0"), IN_TRANSACTION)
    back = query("ROLLBACK TO s")
    play >> Client(back) << ToServer(back)
    play >> Server(complete("ROLLBACK"), IN_TRANSACTION) << ToClient(complete("ROLLBACK"), IN_TRANSACTION)
    play.snapshots.open[KNOWN] = Engine(shop())
    play >> Client(query("SELECT 2")) << ToServer(ASKS)  # the table may be gone
    play >> Server(ANSWER, IN_TRANSACTION) << ToServer(query("SELECT 2"))
    play >> Server(complete("SELECT 1"), IN_TRANSACTION) << ToClient(complete("SELECT 1"), IN_TRANSACTION)
    commit = query("COMMIT")
    play >> Client(commit) << ToServer(commit)
    play >> Server(complete("COMMIT"), READY) << Starts(Refresh)
    play >> Worked() << ToClient(complete("COMMIT"), READY)


def test_a_failed_transaction_can_be_ended(play: Play) -> None:
    begin = query("BEGIN")
    play >> Client(begin) << ToServer(begin)
    play >> Server(complete("BEGIN"), IN_TRANSACTION) << ToClient(complete("BEGIN"), IN_TRANSACTION)
    play >> Client(query(MAKE)) << ToServer(query(f"{MAKE}; {GUARD}"))
    failed = error("42P07", "exists")
    play >> Server(failed, IN_FAILED) << ToClient(failed, IN_FAILED)
    play >> Client(query("SELECT 1")) << ToServer(ASKS)
    (
        play
        >> Server(error("25P02"), IN_FAILED)
        << ToServer(query("SELECT pg_catalog.pgnym_refused_statement()"))
    )
    play >> Server(error("25P02"), IN_FAILED) << Refused("25P02", IN_FAILED)
    end = query("rollback")
    play >> Client(end) << ToServer(end)
    play >> Server(complete("ROLLBACK"), READY) << Starts(Refresh)
    play >> Worked() << ToClient(complete("ROLLBACK"), READY)


def test_a_schema_before_pg_catalog_is_not_read_under(play: Play) -> None:
    """Operators in it could stand in for those that the catalog is read with."""
    begin = query("BEGIN")
    play >> Client(begin) << ToServer(begin)
    play >> Server(complete("BEGIN"), IN_TRANSACTION) << ToClient(complete("BEGIN"), IN_TRANSACTION)
    play.session.path = ("public", "pg_catalog")
    play >> Client(query(MAKE)) << ToServer(query(f"{MAKE}; {GUARD}"))
    play >> Server(complete("SELECT 2"), complete("ALTER TABLE"), IN_TRANSACTION)
    play.stage.happened.clear()
    play >> Client(query(SEEN))
    play.stage.happened.clear()
    refusal = error("42883", "does not exist")
    play >> Server(refusal, IN_FAILED) << Refused("0A000", IN_FAILED)


def test_the_scope_is_asked_for_again_when_schemas_may_be_new(play: Play) -> None:
    ddl = query("CREATE TEMP TABLE t (id int)")
    play >> Client(ddl) << ToServer(ddl)
    play >> Server(complete("CREATE TABLE"), READY) << ToClient(complete("CREATE TABLE"), READY)
    select = query("SELECT 1 FROM customer")
    play >> Client(select) << Starts(Refresh)
    play >> Worked()
    play.stage.happened.clear()
    play >> Server(scope(b"{pg_temp_3,pg_catalog,public}"), READY) << ToServer(select)
    assert play.session.path == ("pg_temp_3", "pg_catalog", "public")
    assert play.session.engine.catalog.relations["public", "customer"].columns[4].type_oid == TEXT
