"""Predicates on contents: the vault's answer first, then the statement with the answer in it, on both protocols."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    BOB,
    BOUND,
    FLUSH,
    IN_TRANSACTION,
    MAKES_FAIL,
    MAKES_FAIL_IN_BATCH,
    NO_FUNCTION,
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
    describe,
    described,
    error,
    execute,
    parameters,
    parse,
    query,
    row,
)
from shop_catalog import DATE, INT4, TEXT, TEXTS

from pgnym.gateway.effects import Resolve, Store
from pgnym.gateway.reports import GatewayError
from pgnym.sql.plan import Answer
from pgnym.vault.errors import VaultError

LIKE = "SELECT id FROM customer WHERE email LIKE 'a%'"
LIKE_SENT = "SELECT id FROM customer WHERE (email = ANY({}::text[]))"
FIND = "SELECT id FROM customer WHERE email LIKE $1 AND id < $2"
FIND_SENT = "SELECT id FROM customer WHERE (email = ANY($3::text[])) AND id < $2"
A = (b"{%b}" % ANN,)
ANN_ALONE = f"'{{{ANN.decode()}}}'"
ONE = described(("id", INT4)) + row(b"1") + complete("SELECT 1")


def asked(play: Play) -> list[tuple[bytes | None, ...]]:
    """The constants of the questions under way."""
    work, _ = play.stage.works[0]
    assert isinstance(work, Resolve)
    return [question.constants for question in work.questions]


# -- simple query ----------------------------------------------------------------------------------------------


def test_a_query_waits_for_its_answer() -> None:
    play = Play() >> Client(query(LIKE)) << Starts(Resolve)
    work, _ = play.stage.works[0]
    assert isinstance(work, Resolve)
    (question,) = work.questions
    assert question.lookup.answer is Answer.MATCHES
    assert question.lookup.protection.domain == "email"
    assert question.constants == (b"a%",)
    assert work.record.action.value == "search"
    assert play.stage.client_held
    play >> Worked(A) << ToServer(query(LIKE_SENT.format(ANN_ALONE)))
    play >> Server(ONE, READY) << ToClient(ONE, READY)
    assert not play.stage.client_held


def test_what_is_searched_for_is_in_no_repr() -> None:
    play = Play() >> Client(query("SELECT id FROM customer WHERE email LIKE 'secret%'")) << Starts(Resolve)
    work, _ = play.stage.works[0]
    assert "secret" not in repr(work)
    assert "secret" not in repr(work.record) if isinstance(work, Resolve) else False


def test_one_that_follows_waits_behind_it() -> None:
    play = Play() >> Client(query(LIKE), query("SELECT 1")) << Starts(Resolve)
    play >> Worked((b"{}",)) << ToServer(query(LIKE_SENT.format("'{}'")), query("SELECT 1"))


def test_a_value_is_put_before_the_question_is_asked() -> None:
    text = "INSERT INTO customer (email) VALUES ('ann@x.org'); " + LIKE
    play = Play() >> Client(query(text)) << Starts(Store, {ANN: b"ann@x.org"})
    play >> Worked() << Starts(Resolve)
    sent = f"INSERT INTO customer (email) VALUES ('{ANN.decode()}'); " + LIKE_SENT.format(ANN_ALONE)
    play >> Worked(A) << ToServer(query(sent))


def test_an_answer_that_fails_sends_nothing() -> None:
    for failure, sqlstate in (
        (VaultError("gone"), "58000"),
        (GatewayError("54000", "too many values"), "54000"),
    ):
        play = Play() >> Client(query(LIKE)) << Starts(Resolve)
        play >> Failed(failure) << Refused(sqlstate, READY)
        assert play.audited == [("refuse", sqlstate)]
        play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))


def test_an_answer_that_fails_in_a_transaction_fails_it() -> None:
    play = Play() >> Client(query("BEGIN")) << ToServer(query("BEGIN"))
    play >> Server(complete("BEGIN"), IN_TRANSACTION) << ToClient(complete("BEGIN"), IN_TRANSACTION)
    play >> Client(query(LIKE)) << Starts(Resolve)
    play >> Failed(VaultError("gone")) << ToServer(MAKES_FAIL)
    play >> Server(NO_FUNCTION) << Refused("58000")


def test_a_role_without_the_right_to_compare_asks_nothing() -> None:
    for user in ("support", "analyst"):
        play = Play(user) >> Client(query(LIKE)) << Refused("42501", READY)
        assert play.audited == [("refuse", "42501")]


def test_carets_count_what_was_sent() -> None:
    text = "SELECT id FROM customer WHERE email LIKE 'a%' AND id = 'nope'"
    play = Play() >> Client(query(text)) << Starts(Resolve)
    sent = text.replace("email LIKE 'a%'", f"(email = ANY({ANN_ALONE}::text[]))")
    play >> Worked(A) << ToServer(query(sent))
    failed = error("22P02", P=str(sent.index("nope") + 1).encode())
    play >> Server(failed) << Refused("22P02", position=text.index("nope") + 1)


def test_a_literal_that_is_no_date_is_refused_where_it_stands() -> None:
    text = "SELECT id FROM customer WHERE born > 'someday'"
    play = Play() >> Client(query(text))
    play << Refused("22007", READY, position=text.index("born") + 1)


# -- extended query --------------------------------------------------------------------------------------------


def test_an_answer_is_one_more_parameter() -> None:
    play = Play() >> Client(parse("s", FIND, 0, INT4), describe("S", "s"), SYNC)
    play << ToServer(parse("s", FIND_SENT, TEXT, INT4, TEXTS), describe("S", "s"), SYNC)
    play >> Server(PARSED, parameters(TEXT, INT4, TEXTS), described(("id", INT4)), READY)
    play << ToClient(PARSED, parameters(TEXT, INT4), described(("id", INT4)), READY)
    steps = bind("", "s", b"a%", b"\0\0\0\7", formats=(0, 1), results=(1,))
    play >> Client(steps, execute(""), SYNC) << Starts(Resolve)
    assert asked(play) == [(b"a%",)]
    play >> Worked(A)
    play << ToServer(
        bind("", "s", b"", b"\0\0\0\7", A[0], formats=(0, 1, 0), results=(1,)), execute(""), SYNC
    )
    play >> Server(BOUND, complete("SELECT 0"), READY) << ToClient(BOUND, complete("SELECT 0"), READY)


def test_each_bind_asks_anew() -> None:
    play = Play() >> Client(parse("s", LIKE), SYNC)
    play << ToServer(parse("s", LIKE_SENT.format("$1"), TEXTS), SYNC)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    for answer in (b"{}", A[0]):
        play >> Client(bind("", "s"), execute(""), SYNC) << Starts(Resolve)
        play >> Worked((answer,)) << ToServer(bind("", "s", answer, formats=(0,)), execute(""), SYNC)
        play >> Server(BOUND, complete("SELECT 0"), READY) << ToClient(BOUND, complete("SELECT 0"), READY)


def test_a_pipeline_puts_before_it_asks() -> None:
    insert = "INSERT INTO customer (email) VALUES ($1)"
    play = Play()
    play >> Client(
        parse("", insert),
        bind("", "", b"bob@x.org"),
        execute(""),
        parse("", LIKE),
        bind("", ""),
        execute(""),
        SYNC,
    )
    play << ToServer(parse("", insert)) << Starts(Store, {BOB: b"bob@x.org"})
    play >> Worked()
    (
        play
        << ToServer(bind("", "", BOB, formats=(0,)), execute(""), parse("", LIKE_SENT.format("$1"), TEXTS))
        << Starts(Resolve)
    )
    play >> Worked((b"{}",)) << ToServer(bind("", "", b"{}", formats=(0,)), execute(""), SYNC)


def test_an_answer_that_fails_discards_the_batch() -> None:
    play = prepared_like(Play())
    play >> Client(bind("", "s"), execute(""), SYNC, query("SELECT 1")) << Starts(Resolve)
    play >> Failed(VaultError("gone")) << ToServer(MAKES_FAIL_IN_BATCH, SYNC, query("SELECT 1"))
    play >> Server(NO_FUNCTION, READY) << Refused("58000", READY)
    assert play.audited == [("refuse", "58000")]


def test_a_bind_without_the_right_asks_nothing() -> None:
    play = prepared_like(Play("support"))
    play >> Client(bind("", "s"), execute(""), SYNC) << ToServer(MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(NO_FUNCTION, READY) << Refused("42501", READY)


def prepared_like(play: Play) -> Play:
    play >> Client(parse("s", LIKE), SYNC) << ToServer(parse("s", LIKE_SENT.format("$1"), TEXTS), SYNC)
    return play >> Server(PARSED, READY) << ToClient(PARSED, READY)


def test_a_parameter_that_is_null_stays_null() -> None:
    play = Play() >> Client(parse("s", FIND), SYNC)
    play << ToServer(parse("s", FIND_SENT, TEXT, 0, TEXTS), SYNC)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    play >> Client(bind("", "s", None, b"7"), SYNC) << Starts(Resolve)
    assert asked(play) == [(None,)]
    play >> Worked((b"{NULL}",)) << ToServer(bind("", "s", None, b"7", b"{NULL}", formats=(0, 0, 0)), SYNC)


def test_too_few_parameters_are_refused_as_the_server_would() -> None:
    play = Play() >> Client(parse("s", FIND), SYNC)
    play << ToServer(parse("s", FIND_SENT, TEXT, 0, TEXTS), SYNC)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    play >> Client(bind("", "s", b"a%"), SYNC) << ToServer(MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(NO_FUNCTION, READY) << Refused("08P01", READY)


def test_a_parameter_in_binary_form_is_asked_for_in_canonical_form() -> None:
    born = "SELECT id FROM customer WHERE born >= $1"
    play = Play() >> Client(parse("s", born), describe("S", "s"), SYNC)
    sent = "SELECT id FROM customer WHERE (born = ANY($2::text[]))"
    play << ToServer(parse("s", sent, TEXT, TEXTS), describe("S", "s"), SYNC)
    play >> Server(PARSED, parameters(TEXT, TEXTS), described(("id", INT4)), READY)
    play << ToClient(PARSED, parameters(DATE), described(("id", INT4)), READY)
    play >> Client(bind("", "s", (366).to_bytes(4, "big"), formats=(1,)), SYNC) << Starts(Resolve)
    assert asked(play) == [(b"2001-01-01",)]
    play >> Worked((b"{}",)) << ToServer(bind("", "s", b"", b"{}", formats=(0, 0)), SYNC)


def test_equal_questions_share_a_parameter() -> None:
    text = "SELECT email LIKE 'a%', count(*) FROM customer GROUP BY email LIKE 'a%'"
    sent = "SELECT (email = ANY($1::text[])), count(*) FROM customer GROUP BY (email = ANY($1::text[]))"
    Play() >> Client(parse("", text), FLUSH) << ToServer(parse("", sent, TEXTS), FLUSH)


@pytest.mark.parametrize(
    ("text", "sqlstate"), [("COPY (SELECT id FROM customer WHERE email LIKE 'a%') TO STDOUT", "0A000")]
)
def test_statements_that_take_no_parameters_must_come_as_a_query(text: str, sqlstate: str) -> None:
    play = Play() >> Client(parse("", text), SYNC) << ToServer(MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(NO_FUNCTION, READY) << Refused(sqlstate, READY)
    play = Play() >> Client(query(text)) << Starts(Resolve)
    (
        play
        >> Worked((b"{}",))
        << ToServer(query(text.replace("email LIKE 'a%'", "(email = ANY('{}'::text[]))")))
    )
