"""A value that was stored after the vault was asked for the order: the statement is made again, or fails with 40001."""

from __future__ import annotations

import pytest
from playbook import (
    BOUND,
    IN_TRANSACTION,
    PARSED,
    READY,
    SYNC,
    Client,
    Failed,
    Play,
    Refused,
    Server,
    Starts,
    ToClient,
    ToServer,
    Worked,
    bind,
    complete,
    described,
    error,
    execute,
    parse,
    query,
    row,
)
from shop_catalog import INT4

from pgnym.gateway.effects import Resolve
from pgnym.gateway.retrying import MOST
from pgnym.sql.ordering import NULL_KEY, UNRANKED
from pgnym.vault.errors import VaultError

JSONB = 3802
SORTED = "SELECT id FROM customer ORDER BY email"
SENT = (
    f"SELECT id FROM customer ORDER BY NULLIF(coalesce({{}}::jsonb ->> coalesce((email)::text, '{NULL_KEY}'), "
    f"'{UNRANKED}'), '')::int"
)
FIRST, SECOND = b'{"0":""}', b'{"0":"","pn1aab":1}'
FAILED = error("22P02", f'invalid input syntax for type integer: "{UNRANKED}"')
ROWS = row(b"1") + complete("SELECT 1")
HEAD = described(("id", INT4))


def sent(answer: bytes) -> bytes:
    """The Query with an answer in it."""
    return query(SENT.format(f"'{answer.decode()}'"))


def asked(text: str = SORTED) -> Play:
    """A Query that has gone up with its first ranks."""
    play = Play() >> Client(query(text)) << Starts(Resolve)
    return play >> Worked((FIRST,)) << ToServer(sent(FIRST))


def test_a_query_is_made_again_and_described_once() -> None:
    play = asked() >> Server(HEAD) << ToClient(HEAD)
    play >> Server(FAILED)
    assert play.stage.client_held
    play >> Server(READY) << Starts(Resolve)
    play >> Worked((SECOND,)) << ToServer(sent(SECOND))
    play >> Server(HEAD + ROWS, READY) << ToClient(ROWS, READY)
    assert not play.stage.client_held
    assert not play.session.expect


def test_what_came_before_the_description_is_made_again_with_it() -> None:
    play = asked() >> Server(FAILED, READY) << Starts(Resolve)
    play >> Worked((SECOND,)) << ToServer(sent(SECOND))
    play >> Server(HEAD + ROWS, READY) << ToClient(HEAD, ROWS, READY)


def test_it_is_given_up_after_some_times() -> None:
    play = asked() >> Server(HEAD) << ToClient(HEAD)
    for _ in range(MOST):
        play >> Server(FAILED, READY) << Starts(Resolve)
        play >> Worked((SECOND,)) << ToServer(sent(SECOND)) >> Server(HEAD)
    play >> Server(FAILED, READY) << Refused("40001", READY)


def test_a_vault_that_fails_meanwhile_is_told() -> None:
    play = asked() >> Server(FAILED, READY) << Starts(Resolve)
    play >> Failed(VaultError("gone")) << Refused("58000", READY)
    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))


def test_rows_that_were_shown_can_not_be_taken_back() -> None:
    play = asked() >> Server(HEAD + row(b"1")) << ToClient(HEAD, row(b"1"))
    play >> Server(FAILED, READY) << Refused("40001", READY)


def test_a_transaction_is_not_gone_on_with() -> None:
    play = Play() >> Client(query("BEGIN")) << ToServer(query("BEGIN"))
    play >> Server(complete("BEGIN"), IN_TRANSACTION) << ToClient(complete("BEGIN"), IN_TRANSACTION)
    play >> Client(query(SORTED)) << Starts(Resolve)
    play >> Worked((FIRST,)) << ToServer(sent(FIRST))
    play >> Server(FAILED) << Refused("40001")


def test_nothing_overtakes_what_was_sent_behind_it() -> None:
    play = asked() >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))
    play >> Server(FAILED, READY) << Refused("40001", READY)
    play >> Server(ROWS, READY) << ToClient(ROWS, READY)


def test_several_statements_of_one_text_fail() -> None:
    play = Play() >> Client(query("SELECT 1; " + SORTED)) << Starts(Resolve)
    upstream = query("SELECT 1; " + SENT.format(f"'{FIRST.decode()}'"))
    play >> Worked((FIRST,)) << ToServer(upstream)
    play >> Server(HEAD + ROWS, HEAD) << ToClient(HEAD, ROWS, HEAD)
    play >> Server(FAILED, READY) << Refused("40001", READY)


RUN = execute("") + SYNC


def bound(answer: bytes) -> bytes:
    """The Bind with an answer in it."""
    return bind("", "", answer, formats=(0,))


def batch(play: Play) -> Play:
    """Parse, Bind, Execute and Sync, with their first ranks, as far as the Execute."""
    play >> Client(parse("", SORTED), bind("", ""), RUN)
    play << ToServer(parse("", SENT.format("$1"), JSONB)) << Starts(Resolve)
    play >> Worked((FIRST,)) << ToServer(bound(FIRST), RUN)
    return play >> Server(PARSED, BOUND) << ToClient(PARSED, BOUND)


def test_an_execution_is_made_again() -> None:
    play = batch(Play()) >> Server(FAILED, READY) << Starts(Resolve)
    play >> Worked((SECOND,)) << ToServer(bound(SECOND), RUN)
    play >> Server(BOUND, ROWS, READY) << ToClient(ROWS, READY)
    assert not play.session.expect
    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))


def test_an_execution_is_given_up_after_some_times() -> None:
    play = batch(Play())
    for _ in range(MOST):
        play >> Server(FAILED, READY) << Starts(Resolve)
        play >> Worked((SECOND,)) << ToServer(bound(SECOND), RUN) >> Server(BOUND)
    play >> Server(FAILED, READY) << Refused("40001", READY)


def test_a_vault_that_fails_meanwhile_is_told_in_a_batch() -> None:
    play = batch(Play()) >> Server(FAILED, READY) << Starts(Resolve)
    play >> Failed(VaultError("gone")) << Refused("58000", READY)
    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))


def test_a_batch_that_follows_is_not_overtaken() -> None:
    play = batch(Play()) >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))
    play >> Server(FAILED, READY) << Refused("40001", READY)


@pytest.mark.parametrize("before", ["SELECT 1", "DELETE FROM customer"])
def test_what_was_executed_before_in_a_batch_is_not_lost(before: str) -> None:
    """The server has rolled it back with the statement that failed."""
    first = parse("", before) + bind("", "") + execute("")
    play = Play() >> Client(first, parse("", SORTED), bind("", ""), RUN)
    play << ToServer(first, parse("", SENT.format("$1"), JSONB)) << Starts(Resolve)
    play >> Worked((FIRST,)) << ToServer(bound(FIRST), RUN)
    done = PARSED + BOUND + complete("DELETE 3") + PARSED + BOUND
    play >> Server(done) << ToClient(done)
    play >> Server(FAILED, READY) << Refused("40001", READY)


def test_a_batch_that_a_query_ends_is_not_lost() -> None:
    first = parse("", "DELETE FROM customer") + bind("", "") + execute("")
    play = Play() >> Client(first, query(SORTED)) << ToServer(first) << Starts(Resolve)
    play >> Worked((FIRST,)) << ToServer(sent(FIRST))
    done = PARSED + BOUND + complete("DELETE 3")
    play >> Server(done) << ToClient(done)
    play >> Server(FAILED, READY) << Refused("40001", READY)
