"""The end of a session, decided by the core: draining, and what a server says last."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    BOUND,
    IN_TRANSACTION,
    PARSED,
    READY,
    SYNC,
    Client,
    Closes,
    Play,
    Refused,
    Server,
    Starts,
    ToClient,
    ToServer,
    Worked,
    bind,
    complete,
    error,
    execute,
    parse,
    query,
    row,
    scope,
)

from pgnym.gateway.effects import Lookup, Store

SELECT = "SELECT email FROM customer"


def test_a_draining_session_ends_with_its_transaction(play: Play) -> None:
    play >> Client(query("BEGIN")) << ToServer(query("BEGIN"))
    play.session.draining = True
    play >> Server(complete("BEGIN"), IN_TRANSACTION) << ToClient(complete("BEGIN"), IN_TRANSACTION)
    play >> Client(query("COMMIT")) << ToServer(query("COMMIT"))
    play >> Server(complete("COMMIT"), READY)
    play << Refused("57P01", before=complete("COMMIT") + READY, severity="FATAL") << Closes()


def test_a_draining_session_ends_once_all_that_was_sent_is_answered(play: Play) -> None:
    play.session.draining = True
    play >> Client(query("SELECT 1"), query("SELECT 2")) << ToServer(query("SELECT 1"), query("SELECT 2"))
    play >> Server(complete("SELECT 1"), READY) << ToClient(complete("SELECT 1"), READY)
    play >> Server(complete("SELECT 2"), READY)
    play << Refused("57P01", before=complete("SELECT 2") + READY, severity="FATAL") << Closes()


def test_a_draining_session_shows_the_values_that_are_being_looked_up(play: Play) -> None:
    play.stores((ANN, b"ann@x.org"))
    play.session.draining = True
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(row(ANN), complete("SELECT 1"), READY) << Starts(Lookup)
    play >> Worked()
    said = row(b"ann@x.org") + complete("SELECT 1") + READY
    play << Refused("57P01", before=said, severity="FATAL") << Closes()


def test_a_draining_session_sends_the_statement_whose_values_are_being_put(play: Play) -> None:
    play >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org')")) << Starts(Store)
    play.session.draining = True
    play >> Worked() << ToServer(query(b"INSERT INTO customer (email) VALUES ('" + ANN + b"')"))
    play >> Server(complete("INSERT 0 1"), READY)
    play << Refused("57P01", before=complete("INSERT 0 1") + READY, severity="FATAL") << Closes()


def test_the_answer_to_our_own_question_does_not_end_a_draining_session() -> None:
    play = Play(path=None)
    play.session.draining = True
    play >> Client(query(SELECT))
    play.stage.happened.clear()
    play >> Server(scope(), READY) << ToServer(query(SELECT))
    play >> Server(complete("SELECT 0"), READY)
    play << Refused("57P01", before=complete("SELECT 0") + READY, severity="FATAL") << Closes()
    play.nothing_more()


def test_a_draining_session_ends_behind_a_refusal_too(play: Play) -> None:
    play.session.draining = True
    play >> Client(query("SELECT soundex(email) FROM customer"))
    what, data = play.stage.happened.popleft()
    assert what == "to client"
    assert isinstance(data, bytes)
    assert b"C0A000\0" in data
    assert b"C57P01\0" in data.partition(READY)[2]
    play << Closes()


def test_the_servers_farewell_reaches_the_client(play: Play) -> None:
    farewell = error("57P01", "terminating connection", severity="FATAL")
    play >> Server(farewell) << ToClient(farewell)


@pytest.mark.parametrize("protected", [False, True])
def test_the_servers_farewell_in_the_middle_of_a_batch(play: Play, protected: bool) -> None:
    text = SELECT if protected else "SELECT name FROM artist"
    steps = parse("", text) + bind("", "") + execute("") + SYNC
    play >> Client(steps) << ToServer(steps)
    said = PARSED + BOUND + error("57P01", "terminating connection", severity="FATAL")
    play >> Server(said) << ToClient(said)


@pytest.mark.parametrize(
    "junk", [b"?\0\0\0\4", b"Z\0\0\0\3", b"Z\xff\xff\xff\xff"], ids=["unknown", "too short", "too long"]
)
def test_a_server_that_speaks_no_protocol_ends_the_session(play: Play, junk: bytes) -> None:
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(complete("SELECT 0"), junk)
    play << Refused("08P01", before=complete("SELECT 0"), severity="FATAL") << Closes()
