"""Each statement counts once, as protected or not, however it comes; values, refusals and spent budgets count too."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    BOUND,
    PARSED,
    READY,
    SYNC,
    Play,
    bind,
    complete,
    describe,
    described,
    execute,
    parse,
    query,
    row,
)

PLAIN = "SELECT 1"
PROTECTED = "SELECT id, email FROM customer"
COLUMNS = described(("id", 23), ("email", 1043), typmod=44)


def heard(play: Play) -> tuple[int, int]:
    return play.session.counts.unprotected, play.session.counts.protected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (query(PLAIN), (1, 0)),
        (query(PLAIN) * 3, (3, 0)),
        (parse("", PLAIN) + bind("", "") + execute("") + SYNC, (1, 0)),
        ((bind("", "s") + execute("")) * 4 + SYNC, (4, 0)),
        (parse("s", PLAIN) + describe("S", "s") + SYNC, (0, 0)),
        (query(PROTECTED), (0, 1)),
        (query(PLAIN) + query(PROTECTED) + query(PLAIN), (2, 1)),
        (parse("", PROTECTED) + bind("", "") + execute("") + SYNC, (0, 1)),
        (bind("", "s") + execute("") + parse("", PROTECTED) + bind("", "") + execute("") + SYNC, (1, 1)),
        (parse("", "SET work_mem = 100000") + bind("", "") + execute("") + SYNC, (1, 0)),
        (query("SET work_mem = 100000"), (1, 0)),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_each_statement_counts_once(data: bytes, expected: tuple[int, int], whole: bool) -> None:
    play = Play()
    for part in [data] if whole else [data[i : i + 1] for i in range(len(data))]:
        play.client_flow.feed(part)
    assert heard(play) == expected


def test_a_batch_in_one_piece_counts_once() -> None:
    play = Play()
    play.client_flow.feed(parse("s", PROTECTED) + SYNC)
    play.server_flow.feed(PARSED + READY)
    for executed in range(1, 4):
        play.client_flow.feed(bind("", "s") + execute("") + SYNC)
        play.server_flow.feed(BOUND + complete("SELECT 0") + READY)
        assert heard(play) == (0, executed)


def test_values_count_by_role_and_domain_once_they_are_shown(stocked: Play) -> None:
    counts = stocked.session.counts
    stocked.vault.memory[ANN] = b"ann@x.org"
    stocked.client_flow.feed(query(PROTECTED))
    stocked.server_flow.feed(COLUMNS + row(b"1", ANN) + row(b"2", ANN) + complete("SELECT 2") + READY)
    assert (counts.hits, counts.misses, counts.reveals) == (1, 0, {})
    stocked._finish(None)
    assert counts.reveals == {("app", "email"): 1}
    stocked.stage.happened.clear()


def test_values_that_come_in_count(play: Play) -> None:
    play.client_flow.feed(query("INSERT INTO customer (id, email) VALUES (1, 'new@x.org')"))
    assert play.session.counts.tokenized == {("app", "email"): 1}
    assert heard(play) == (0, 0), "it is not sent yet"
    play._finish(None)
    assert heard(play) == (0, 1)
    play.stage.happened.clear()


def test_a_refusal_counts_by_its_sqlstate_and_not_as_a_statement() -> None:
    play = Play()
    play.client_flow.feed(query("UPDATE customer SET email = city || '@x.org'"))
    assert sum(play.session.counts.refusals.values()) == 1
    assert heard(play) == (0, 0)


def test_a_spent_budget_counts_by_role() -> None:
    play = Play("thrifty")
    play.client_flow.feed(query(PROTECTED))
    tokens = [ANN[:-1] + letter.encode() for letter in "abcdefgh"]
    rows = b"".join(row(b"1", token) for token in tokens)
    play.server_flow.feed(COLUMNS + rows + complete("SELECT 8") + READY)
    counts = play.session.counts
    assert counts.over_budget == {"thrifty": 1}
    assert counts.refusals == {"42501": 1}
    assert counts.reveals == {}
