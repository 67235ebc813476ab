"""A value that is not what its column is for is refused before it is put, or anything is sent; searching is free."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    MAKES_FAIL_IN_BATCH,
    NO_FUNCTION,
    PARSED,
    READY,
    SYNC,
    Client,
    Play,
    Refused,
    Server,
    Starts,
    ToServer,
    bind,
    parse,
    query,
)
from shop_catalog import POLICY

from pgnym.config.model import Column, Config, Role, Table
from pgnym.gateway.effects import Store


@pytest.fixture
def validated() -> Play:
    columns = {**POLICY.tables["public.customer"].columns, "email": Column(domain="email", validate="email")}
    tables = {**POLICY.tables, "public.customer": Table(columns=columns)}
    return Play(config=Config(tables=tables, roles={"app": Role(users=("app",), reveal=("public.*",))}))


def test_a_constant(validated: Play) -> None:
    text = "INSERT INTO customer (id, email) VALUES (1, 'nonsense')"
    validated >> Client(query(text)) << Refused("23514", READY, position=text.index("'nonsense'") + 1)
    assert not validated.stage.works
    assert validated.audited == [("refuse", "23514")]


def test_a_parameter(validated: Play) -> None:
    steps = parse("", "UPDATE customer SET email = $1") + bind("", "", b"nonsense") + SYNC
    (
        validated
        >> Client(steps)
        << ToServer(parse("", "UPDATE customer SET email = $1"), MAKES_FAIL_IN_BATCH, SYNC)
    )
    validated >> Server(PARSED, NO_FUNCTION, READY) << Refused("23514", READY, before=PARSED)


def test_what_is_right_and_what_is_empty(validated: Play) -> None:
    validated >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org'), (''), (NULL)"))
    validated << Starts(Store, {ANN: b"ann@x.org"})


def test_searching_for_anything_is_free(validated: Play) -> None:
    validated >> Client(query("SELECT id FROM customer WHERE email = 'nonsense'"))
    assert [what for what, _ in validated.stage.happened] == ["to server"]
    validated.stage.happened.clear()
