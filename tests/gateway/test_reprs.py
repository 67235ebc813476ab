"""What an object says of itself, in a traceback or a debugger's log, holds no value of a client's statement."""

from __future__ import annotations

import traceback

import pytest
from playbook import ANN, IN_TRANSACTION, Client, Play, bind, complete, execute, parse, query, row
from playbook import Server as FromServer

from pgnym.sql.errors import Refused
from pgnym.sql.plan import SessionScope
from pgnym.vault.errors import VaultError
from pgnym.vault.keys import MasterKey

CANARY = "zanarius.quux@example.org"
SCOPE = SessionScope(("pg_catalog", "public"), "app", {}, {}, True)
STATEMENTS = (
    f"SELECT id FROM customer WHERE email = '{CANARY}'",
    f"SELECT id FROM customer WHERE email LIKE '{CANARY}%'",
    f"SELECT id FROM customer WHERE email < '{CANARY}'",
    f"INSERT INTO customer (email) VALUES ('{CANARY}')",
    f"UPDATE customer SET email = '{CANARY}'",
    f"PREPARE p AS SELECT id FROM customer WHERE email = '{CANARY}'",
    f"SELECT replace(email, '{CANARY}', '') FROM customer",
    f"SELECT email || '{CANARY}' FROM customer",
)


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_session_and_what_it_waits_for_hide_the_statement(text: str) -> None:
    play = Play()
    play.stores((ANN, CANARY.encode()))
    play >> Client(query("BEGIN"), query(text))
    session = play.session
    assert CANARY not in repr(session)
    assert CANARY not in repr(list(session.expect))
    play.stage.happened.clear()
    play >> FromServer(complete("BEGIN"), IN_TRANSACTION, row(ANN))
    assert CANARY not in repr(session)
    play.stage.happened.clear()


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_plan_hides_the_constants_of_its_statement(text: str) -> None:
    planner = Play().session.engine.planner
    try:
        rewrite = planner.plan(text.encode(), (), SCOPE)
    except Refused as refused:
        said = repr(refused) + str(refused)
    else:
        said = repr(rewrite) + repr(planner)
    assert CANARY not in said


def test_parameters_are_hidden() -> None:
    play = Play()
    text = "UPDATE customer SET email = $1 WHERE note LIKE $2"
    play >> Client(parse("s", text), bind("", "s", CANARY.encode(), CANARY.encode()), execute(""))
    assert CANARY not in repr(play.session)
    assert CANARY not in repr(list(play.session.expect))
    play.stage.happened.clear()


def test_keys_hide_themselves_and_their_errors_too() -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    key = MasterKey(secret)
    assert secret.decode() not in repr(key) + str(key)
    with pytest.raises((VaultError, ValueError)) as short:
        MasterKey(secret[:20])
    said = "".join(traceback.format_exception(short.value))
    assert secret[:20].decode() not in said
