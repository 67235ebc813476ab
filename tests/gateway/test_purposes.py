"""Whom a session acts as, and for what purpose, is what the server says at the time: SET ROLE, SET pgnym.purpose."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    ASKS_SCOPE,
    BOUND,
    IN_TRANSACTION,
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
    complete,
    execute,
    parse,
    prepared,
    query,
    row,
    scope,
    scope_in_batch,
)
from shop_catalog import POLICY

from pgnym.audit.records import Action
from pgnym.config.model import Column, Config, Role, Table
from pgnym.gateway import injected
from pgnym.gateway.effects import Lookup
from pgnym.wire import messages

SELECT = "SELECT email FROM customer"
BOUND_TO_SERVICE = Config(
    tables={
        "public.customer": Table(
            columns={"email": Column(domain="email", purposes=("service",)), "born": Column(domain="born")}
        )
    },
    roles={"app": Role(users=("app",), reveal=("*",), purposes=("service", "billing"))},
)


def asking(
    change: str,
    user: bytes = b"app",
    purpose: bytes | None = None,
    config: Config = POLICY,
    state: bytes = READY,
) -> Play:
    """A session that has sent ``change``; the server then tells ``user`` and ``purpose``, and SELECT is sent."""
    play = Play(config=config)
    play.stores((ANN, b"ann@x.org"))
    play >> Client(query(change), query(SELECT)) << ToServer(query(change), ASKS_SCOPE)
    play >> Server(complete("SET"), state, scope(user=user, purpose=purpose), state)
    return play << ToClient(complete("SET"), state) << ToServer(query(SELECT))


def next_to_server(play: Play) -> bytes:
    """What is sent to the server next."""
    what, sent = play.stage.happened.popleft()
    assert what == "to server"
    assert isinstance(sent, bytes)
    return sent


def reveals(play: Play) -> None:
    play >> Server(row(ANN)) << Starts(Lookup, {ANN})
    play >> Worked() << ToClient(row(b"ann@x.org"))


def shows_tokens(play: Play) -> None:
    play >> Server(row(ANN)) << ToClient(row(ANN))


@pytest.mark.parametrize(
    "change",
    ["SET ROLE analyst", "SET SESSION AUTHORIZATION analyst", "SELECT set_config('role', 'analyst', false)"],
)
def test_the_role_that_a_session_acts_as_decides(change: str) -> None:
    shows_tokens(asking(change, b"analyst"))


def test_a_role_that_is_given_back_decides_again() -> None:
    play = asking("SET ROLE analyst", b"analyst")
    shows_tokens(play)
    play >> Server(complete("SELECT 1"), READY) << ToClient(complete("SELECT 1"), READY)
    play >> Client(query("RESET ROLE"), query(SELECT)) << ToServer(query("RESET ROLE"), ASKS_SCOPE)
    play >> Server(complete("RESET"), READY, scope(), READY)
    play << ToClient(complete("RESET"), READY) << ToServer(query(SELECT))
    reveals(play)


def test_a_batch_after_set_role_has_the_rights_of_that_role() -> None:
    """Prepared before, executed after: the rights are looked at again."""
    play = Play()
    find = "SELECT id FROM customer WHERE email = $1"
    prepared(play, "s", find)
    play >> Client(query("SET ROLE analyst")) << ToServer(query("SET ROLE analyst"))
    play >> Server(complete("SET"), READY) << ToClient(complete("SET"), READY)
    play >> Client(bind("", "s", b"ann@x.org") + execute("") + SYNC)
    sent = next_to_server(play)
    assert b"CURRENT_USER" in sent
    assert b"ann@x.org" not in sent
    play >> Server(scope_in_batch(user=b"analyst"))
    sent = next_to_server(play)
    assert injected.FAILING in sent
    assert b"ann@x.org" not in sent


def test_a_prepared_select_after_set_role_shows_what_that_role_sees() -> None:
    play = Play()
    prepared(play, "s", SELECT)
    play >> Client(query("SET ROLE analyst")) << ToServer(query("SET ROLE analyst"))
    play >> Server(complete("SET"), READY) << ToClient(complete("SET"), READY)
    steps = bind("", "s"), execute("")
    play >> Client(*steps, SYNC)
    sent = next_to_server(play)
    assert b"CURRENT_USER" in sent
    play >> Server(scope_in_batch(user=b"analyst")) << ToServer(*steps, messages.SYNC)
    play >> Server(BOUND, row(ANN), complete("SELECT 1"), READY)
    play << ToClient(BOUND, row(ANN), complete("SELECT 1"), READY)


def test_an_unnamed_login_that_takes_a_role_is_recorded_by_its_login() -> None:
    play = asking("SET ROLE thrifty", b"thrifty")
    record = play.session.record(Action.REVEAL, "", {})
    assert (record.actor.db_user, record.actor.role) == ("app", "thrifty")


@pytest.mark.parametrize(
    ("purpose", "shown"),
    [(b"service", True), (b"billing", False), (b"x", False), (b"", False), (None, False)],
)
def test_a_column_with_purposes_is_shown_for_those(purpose: bytes | None, shown: bool) -> None:
    play = asking("SET pgnym.purpose = 'service'", purpose=purpose, config=BOUND_TO_SERVICE)
    (reveals if shown else shows_tokens)(play)
    assert play.session.record(Action.REVEAL, "", {}).purpose == (purpose or b"").decode()


def test_a_purpose_ends_with_its_transaction() -> None:
    play = asking(
        "BEGIN; SET LOCAL pgnym.purpose = 'service'",
        purpose=b"service",
        config=BOUND_TO_SERVICE,
        state=IN_TRANSACTION,
    )
    play >> Server(row(ANN)) << Starts(Lookup, {ANN})
    play >> Worked() << ToClient(row(b"ann@x.org"))
    play >> Server(complete("SELECT 1"), IN_TRANSACTION) << ToClient(complete("SELECT 1"), IN_TRANSACTION)
    back = query("ROLLBACK")
    play >> Client(back, query(SELECT)) << ToServer(back, ASKS_SCOPE)
    play >> Server(complete("ROLLBACK"), READY, scope(purpose=b""), READY)
    play << ToClient(complete("ROLLBACK"), READY) << ToServer(query(SELECT))
    shows_tokens(play)


@pytest.mark.parametrize(
    "text",
    [
        "SET pgnym.tenant = 'other'",
        "set local PGNYM.tenant to other",
        'SET "pgnym.tenant" = 1',
        "SELECT set_config('pgnym.tenant', 'other', false)",
        "ALTER ROLE app SET pgnym.tenant = 'other'",
        "SET SESSION pgnym.role = 'x'",
    ],
)
def test_no_other_setting_of_pgnym_can_be_set(play: Play, text: str) -> None:
    play >> Client(query(text)) << Refused("42501", READY)
    steps = parse("", text)
    play >> Client(steps, SYNC)
    sent = next_to_server(play)
    assert injected.FAILING in sent
    play.stage.happened.clear()


def test_a_word_in_a_constant_is_not_a_setting(play: Play) -> None:
    text = query("WITH x AS (SELECT 1) UPDATE artist SET name = 'pgnym.tenant'")
    play >> Client(text) << ToServer(text)
