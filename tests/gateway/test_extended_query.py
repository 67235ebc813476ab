"""Extended query on protected columns: steps rewritten one by one, names that count only once the server agrees."""

from __future__ import annotations

import struct

from playbook import (
    ANN,
    ASKS_SCOPE_IN_BATCH,
    BOB,
    BOUND,
    FLUSH,
    IN_FAILED,
    MAKES_FAIL_IN_BATCH,
    MAY,
    NO_DATA,
    NO_FUNCTION,
    PARSED,
    READY,
    SUSPENDED,
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
    prepared,
    query,
    row,
    scope_in_batch,
    token,
)
from shop_catalog import DATE, INT4, TEXT, VARCHAR

from pgnym.gateway.effects import Cancel, Lookup, Store
from pgnym.vault.errors import VaultError

FIND = "SELECT born FROM customer WHERE email = $1"
SELECT = "SELECT email FROM customer"
INSERT = "INSERT INTO customer (email, born) VALUES ($1, $2)"


# -- one statement ---------------------------------------------------------------------------------------------


def test_a_batch_is_rewritten_step_by_step(stocked: Play) -> None:
    steps = parse("", FIND) + bind("", "", b"ann@x.org") + describe("P", "") + execute("") + SYNC
    stocked >> Client(steps)
    stocked << ToServer(
        parse("", FIND), bind("", "", ANN, formats=(0,)), describe("P", ""), execute(""), SYNC
    )
    stocked >> Server(PARSED, BOUND, described(("born", TEXT)), row(MAY), complete("SELECT 1"), READY)
    stocked << Starts(Lookup, {MAY})
    stocked >> Worked()
    stocked << ToClient(
        PARSED, BOUND, described(("born", DATE)), row(b"2001-05-04"), complete("SELECT 1"), READY
    )
    assert not stocked.session.expect


def test_a_batch_split_at_every_byte(stocked: Play) -> None:
    steps = parse("", FIND) + bind("", "", b"ann@x.org") + execute("") + SYNC
    for at in range(len(steps)):
        stocked.client_flow.feed(steps[at : at + 1])
    stocked << ToServer(parse("", FIND), bind("", "", ANN, formats=(0,)), execute(""), SYNC)
    answer = PARSED + BOUND + complete("SELECT 0") + READY
    for at in range(len(answer)):
        stocked.server_flow.feed(answer[at : at + 1])
    stocked << ToClient(answer)
    assert not stocked.session.expect


def test_values_are_put_at_bind_before_it_is_sent(play: Play) -> None:
    play >> Client(parse("", INSERT), bind("", "", b"ann@x.org", b"2001-05-04"), execute(""), SYNC)
    play << ToServer(parse("", INSERT)) << Starts(Store, {ANN: b"ann@x.org", MAY: b"2001-05-04"})
    play >> Worked() << ToServer(bind("", "", ANN, MAY, formats=(0, 0)), execute(""), SYNC)


def test_a_put_that_fails_fails_the_batch_at_its_place(play: Play) -> None:
    play >> Client(parse("", INSERT), bind("", "", b"ann@x.org", None), execute(""), SYNC)
    play << ToServer(parse("", INSERT)) << Starts(Store)
    play >> Failed(VaultError("the vault can't be reached")) << ToServer(MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(PARSED, NO_FUNCTION, READY) << Refused("58000", READY, before=PARSED)
    assert not play.session.expect


def test_a_constant_of_a_prepared_statement_is_put_at_parse_and_again_at_every_bind(play: Play) -> None:
    """Between the two the subject may have been erased."""
    text = "UPDATE customer SET email = 'ann@x.org' WHERE id = $1"
    sent = text.encode().replace(b"ann@x.org", ANN)
    play >> Client(parse("u", text), SYNC) << Starts(Store, {ANN: b"ann@x.org"})
    play >> Worked() << ToServer(parse("u", sent), SYNC)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    play >> Client(bind("", "u", b"7"), execute(""), SYNC) << Starts(Store, {ANN: b"ann@x.org"})
    play >> Worked()
    play << ToServer(bind("", "u", b"7"), execute(""), SYNC)


def test_binary_values_are_tokenized_as_their_type(play: Play) -> None:
    days = struct.pack("!i", 489)  # 2001-05-04, from 2000-01-01
    play >> Client(parse("", INSERT, VARCHAR, DATE), bind("", "", b"ann@x.org", days, formats=(0, 1)), SYNC)
    (
        play
        << ToServer(parse("", INSERT, VARCHAR, TEXT))
        << Starts(Store, {ANN: b"ann@x.org", MAY: b"2001-05-04"})
    )
    play >> Worked() << ToServer(bind("", "", ANN, MAY, formats=(0, 0)), SYNC)


def test_a_value_that_is_none_of_its_type_is_refused_at_bind(play: Play) -> None:
    play >> Client(parse("", INSERT), bind("", "", b"ann@x.org", b"2001-13-45"), execute(""), SYNC)
    play << ToServer(parse("", INSERT), MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(PARSED, NO_FUNCTION, READY) << Refused("22008", READY, before=PARSED)
    assert b"2001-13-45" not in b"".join(bytes(chunk) for chunk in play.stage.chunks)


def test_a_bind_with_too_few_values_is_refused_as_the_server_would(play: Play) -> None:
    play >> Client(parse("", INSERT), bind("", "", b"ann@x.org"), SYNC)
    play << ToServer(parse("", INSERT), MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(PARSED, NO_FUNCTION, READY) << Refused("08P01", READY, before=PARSED)


def test_a_refused_parse_fails_at_its_place(play: Play) -> None:
    refused = "SELECT soundex(email) FROM customer"
    play >> Client(parse("", "SELECT 1"), parse("x", refused), bind("", "x"), execute(""), SYNC)
    play << ToServer(parse("", "SELECT 1"), MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(PARSED, NO_FUNCTION, READY) << Refused("0A000", READY, position=8, before=PARSED)
    assert not play.session.prepared
    assert not play.session.expect


def test_in_a_failed_transaction_a_refused_parse_gets_the_servers_error(play: Play) -> None:
    play.session.status = ord("E")
    aborted = error(
        "25P02", "current transaction is aborted, commands ignored until end of transaction block"
    )
    (
        play
        >> Client(parse("", "SELECT soundex(email) FROM customer"), SYNC)
        << ToServer(MAKES_FAIL_IN_BATCH, SYNC)
    )
    play >> Server(aborted, IN_FAILED) << ToClient(aborted, IN_FAILED)


def test_the_scope_is_asked_in_the_batch_without_a_sync() -> None:
    play = Play(path=None)
    (
        play
        >> Client(parse("", "SELECT 1"), parse("x", SELECT), SYNC)
        << ToServer(parse("", "SELECT 1"), ASKS_SCOPE_IN_BATCH)
    )
    play >> Server(PARSED, scope_in_batch()) << ToClient(PARSED) << ToServer(parse("x", SELECT), SYNC)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    assert not play.session.expect
    play.nothing_more()


def test_in_a_failed_transaction_the_error_of_the_question_for_the_scope_is_the_answer() -> None:
    play = Play(path=None)
    play.session.status = ord("E")
    aborted = error(
        "25P02", "current transaction is aborted, commands ignored until end of transaction block"
    )
    play >> Client(parse("x", SELECT), bind("", "x"), SYNC) << ToServer(ASKS_SCOPE_IN_BATCH)
    play >> Server(aborted) << ToClient(aborted) << ToServer(SYNC)
    play >> Server(IN_FAILED) << ToClient(IN_FAILED)
    assert not play.session.expect
    play.nothing_more()


# -- descriptions ----------------------------------------------------------------------------------------------


def test_a_statement_is_described_with_original_types(play: Play) -> None:
    text = "SELECT id, born FROM customer WHERE born = $1 AND id = $2"
    prepared(play, "s", text)
    play >> Client(describe("S", "s"), SYNC) << ToServer(describe("S", "s"), SYNC)
    play >> Server(parameters(TEXT, INT4), described(("id", INT4), ("born", TEXT)), READY)
    play << ToClient(parameters(DATE, INT4), described(("id", INT4), ("born", DATE)), READY)


def test_parameters_that_the_gateway_added_are_hidden(play: Play) -> None:
    text = "INSERT INTO customer (email, city) VALUES ($1, $1)"
    play >> Client(parse("s", text), SYNC)
    play << ToServer(parse("s", "INSERT INTO customer (email, city) VALUES ($1, $2)"), SYNC)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    play >> Client(describe("S", "s"), SYNC) << ToServer(describe("S", "s"), SYNC)
    play >> Server(parameters(VARCHAR, TEXT), NO_DATA, READY) << ToClient(parameters(TEXT), NO_DATA, READY)


def test_one_parameter_may_become_tokens_of_several_domains(play: Play) -> None:
    text = "INSERT INTO customer (email, note, city) VALUES ($1, $1, $2)"
    play >> Client(parse("s", text), bind("", "s", b"ann@x.org", b"Rome"), SYNC)
    play << ToServer(parse("s", "INSERT INTO customer (email, note, city) VALUES ($1, $3, $2)"))
    drawn = token(b"pn1aac", b"random 1")
    play << Starts(Store, {ANN: b"ann@x.org", drawn: b"ann@x.org"})
    play >> Worked() << ToServer(bind("", "s", ANN, b"Rome", drawn, formats=(0, 0, 0)), SYNC)


def test_describe_before_bind(stocked: Play) -> None:
    steps = parse("", SELECT) + describe("S", "") + bind("", "") + execute("") + SYNC
    stocked >> Client(steps) << ToServer(steps)
    stocked >> Server(
        PARSED, parameters(), described(("email", VARCHAR)), BOUND, row(ANN), complete("SELECT 1"), READY
    )
    stocked << Starts(Lookup, {ANN})
    (
        stocked
        >> Worked()
        << ToClient(
            PARSED,
            parameters(),
            described(("email", VARCHAR), typmod=44),
            BOUND,
            row(b"ann@x.org"),
            complete("SELECT 1"),
            READY,
        )
    )


# -- pipelining ------------------------------------------------------------------------------------------------


def test_two_batches_of_which_one_is_protected(stocked: Play) -> None:
    plain = parse("", "SELECT 1") + bind("", "") + execute("") + SYNC
    ours = parse("", SELECT) + bind("", "") + execute("") + SYNC
    stocked >> Client(plain, ours, plain) << ToServer(plain, ours, plain)
    answer = PARSED + BOUND + row(b"1") + complete("SELECT 1") + READY
    stocked >> Server(answer, PARSED, BOUND, row(ANN)) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(answer, PARSED, BOUND, row(b"ann@x.org"))
    stocked >> Server(complete("SELECT 1"), READY, answer) << ToClient(complete("SELECT 1"), READY, answer)
    assert not stocked.session.expect


def test_an_error_in_the_first_batch_leaves_the_second_alone(stocked: Play) -> None:
    first = parse("a", SELECT) + bind("", "a") + execute("") + SYNC
    second = parse("b", SELECT) + bind("", "b") + execute("") + SYNC
    stocked >> Client(first, second) << ToServer(first, second)
    stocked >> Server(error("42501"), READY, PARSED, BOUND, row(ANN), complete("SELECT 1"), READY)
    stocked << Starts(Lookup, {ANN})
    stocked >> Worked()
    stocked << ToClient(error("42501"), READY, PARSED, BOUND, row(b"ann@x.org"), complete("SELECT 1"), READY)
    assert list(stocked.session.prepared) == [b"b"]
    assert not stocked.session.expect


def test_a_name_counts_only_if_its_parse_succeeds(play: Play) -> None:
    prepared(play, "s", SELECT)
    again = parse("s", "SELECT born FROM customer")
    exists = error("42P05", "prepared statement exists")
    play >> Client(again, SYNC) << ToServer(again, FLUSH)
    play >> Server(exists) << ToClient(exists) << ToServer(SYNC)
    play >> Server(READY) << ToClient(READY)
    play >> Client(describe("S", "s"), SYNC) << ToServer(describe("S", "s"), SYNC)
    play >> Server(parameters(), described(("email", VARCHAR)), READY)
    play << ToClient(parameters(), described(("email", VARCHAR), typmod=44), READY)


def test_after_an_error_nothing_is_sent_until_sync(play: Play) -> None:
    begun = parse("s", SELECT) + FLUSH
    play >> Client(begun) << ToServer(begun)
    play >> Server(error("42501")) << ToClient(error("42501"))
    play >> Client(bind("", "s"), parse("t", SELECT), query(SELECT), execute(""), FLUSH)
    play >> Client(SYNC) << ToServer(SYNC)
    play >> Server(READY) << ToClient(READY)
    assert not play.session.prepared
    assert not play.session.expect


def test_an_error_flows_at_once_and_nothing_follows_it_before_ready(play: Play) -> None:
    steps = parse("", SELECT) + bind("", "") + execute("")
    play >> Client(steps) << ToServer(steps)
    play >> Server(PARSED, error("42501")) << ToClient(PARSED, error("42501"))
    play >> Client(SYNC) << ToServer(SYNC)
    play >> Server(READY) << ToClient(READY)


def test_a_bind_is_paired_with_the_parse_before_it(play: Play) -> None:
    """The unnamed statement twice in one flight: each Bind is rewritten by its own (acra#575)."""
    find = "SELECT id FROM customer WHERE email = $1"
    born = "SELECT id FROM customer WHERE born = $1"
    plain = "SELECT id FROM artist WHERE name = $1"
    play >> Client(
        parse("", find),
        bind("", "", b"ann@x.org"),
        execute(""),
        parse("", plain),
        bind("", "", b"ann@x.org"),
        execute(""),
        parse("", born),
        bind("", "", b"2001-05-04"),
        execute(""),
        SYNC,
    )
    play << ToServer(
        parse("", find),
        bind("", "", ANN, formats=(0,)),
        execute(""),
        parse("", plain),
        bind("", "", b"ann@x.org"),
        execute(""),
        parse("", born),
        bind("", "", MAY, formats=(0,)),
        execute(""),
        SYNC,
    )


def test_a_query_pipelined_behind_a_failing_execute(stocked: Play) -> None:
    batch = parse("", SELECT) + bind("", "") + execute("") + SYNC
    stocked >> Client(batch, query(SELECT)) << ToServer(batch, query(SELECT))
    stocked >> Server(PARSED, BOUND, error("22012"), READY, row(ANN)) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(PARSED, BOUND, error("22012"), READY, row(b"ann@x.org"))
    stocked >> Server(complete("SELECT 1"), READY) << ToClient(complete("SELECT 1"), READY)
    assert not stocked.session.expect


def test_a_query_behind_a_failed_step_without_sync_is_discarded(play: Play) -> None:
    sent = parse("", SELECT) + query(SELECT) + SYNC
    play >> Client(sent) << ToServer(sent)
    play >> Server(error("42501"), READY) << ToClient(error("42501"), READY)
    assert not play.session.expect


# -- portals ---------------------------------------------------------------------------------------------------


def test_a_portal_is_executed_bit_by_bit(stocked: Play) -> None:
    prepared(stocked, "s", SELECT)
    steps = bind("p", "s") + execute("p", 1) + execute("p", 1) + execute("p", 1) + SYNC
    stocked >> Client(steps) << ToServer(steps)
    stocked >> Server(BOUND, row(ANN), SUSPENDED, row(BOB), SUSPENDED, complete("SELECT 0"), READY)
    stocked << Starts(Lookup, {ANN})
    stocked >> Worked() << Starts(Lookup, {BOB}) << ToClient(BOUND, row(b"ann@x.org"), SUSPENDED)
    stocked >> Worked() << ToClient(row(b"bob@x.org"), SUSPENDED, complete("SELECT 0"), READY)
    assert not stocked.session.expect


def test_the_formats_of_a_portal_are_remembered(stocked: Play) -> None:
    prepared(stocked, "s", "SELECT id, born FROM customer")
    steps = bind("t", "s") + bind("b", "s", results=(1,)) + bind("m", "s", results=(1, 0))
    steps += execute("b") + execute("t") + execute("m") + SYNC
    stocked >> Client(steps) << ToServer(steps)
    one, days = struct.pack("!i", 1), struct.pack("!i", 489)
    stocked >> Server(BOUND * 3, row(one, MAY), complete("SELECT 1")) << Starts(Lookup, {MAY})
    stocked >> Worked() << ToClient(BOUND * 3, row(one, days), complete("SELECT 1"))
    stocked >> Server(row(b"1", MAY), complete("SELECT 1")) << Starts(Lookup, {MAY})
    stocked >> Worked() << ToClient(row(b"1", b"2001-05-04"), complete("SELECT 1"))
    stocked >> Server(row(one, MAY), complete("SELECT 1"), READY) << Starts(Lookup, {MAY})
    stocked >> Worked() << ToClient(row(one, b"2001-05-04"), complete("SELECT 1"), READY)


def test_a_cursor_is_executed_as_a_portal(stocked: Play) -> None:
    stocked.session.status = ord("T")
    declare = query("DECLARE c CURSOR FOR SELECT email FROM customer")
    stocked >> Client(declare) << ToServer(declare)
    answer = complete("DECLARE CURSOR") + b"Z\0\0\0\5T"
    stocked >> Server(answer) << ToClient(answer)
    (
        stocked
        >> Client(describe("P", "c"), execute("c", 1), SYNC)
        << ToServer(describe("P", "c"), execute("c", 1), SYNC)
    )
    (
        stocked
        >> Server(described(("email", VARCHAR)), row(ANN), SUSPENDED, b"Z\0\0\0\5T")
        << Starts(Lookup, {ANN})
    )
    stocked >> Worked()
    stocked << ToClient(described(("email", VARCHAR), typmod=44), row(b"ann@x.org"), SUSPENDED, b"Z\0\0\0\5T")


def test_portals_end_with_the_transaction(play: Play) -> None:
    prepared(play, "s", SELECT)
    play >> Client(bind("p", "s"), SYNC) << ToServer(bind("p", "s"), SYNC)
    play >> Server(BOUND, READY) << ToClient(BOUND, READY)
    assert not play.session.portals


def test_an_unprotected_bind_takes_a_portals_name(play: Play) -> None:
    prepared(play, "s", SELECT)
    prepared(play, "t", "SELECT name FROM artist")
    steps = bind("", "s") + bind("", "t") + execute("") + SYNC
    play >> Client(steps) << ToServer(steps)
    answer = BOUND + BOUND + row(ANN) + complete("SELECT 1") + READY
    play >> Server(answer) << ToClient(answer)


# -- an answer that is cut off ---------------------------------------------------------------------------------


def test_a_batch_that_is_cut_off_cannot_be_committed(play: Play) -> None:
    """Its Sync has not come yet: the server is made to fail, so that the work of the batch is rolled back."""
    steps = parse("", "INSERT INTO letter (sender) SELECT email FROM customer RETURNING sender") + bind(
        "", ""
    )
    play >> Client(steps, execute(""), FLUSH) << ToServer(steps, execute(""), FLUSH)
    play >> Server(PARSED, BOUND, row(ANN)) << Starts(Lookup)
    (
        play
        >> Failed(VaultError("the vault can't be reached"))
        << ToServer(MAKES_FAIL_IN_BATCH)
        << Starts(Cancel)
    )
    play << Refused("58000", before=PARSED + BOUND)
    play >> Client(execute(""), SYNC)
    play >> Worked() << ToServer(SYNC)
    play >> Server(complete("INSERT 0 1"), NO_FUNCTION, READY) << ToClient(READY)
    assert not play.session.expect


def test_a_batch_that_is_cut_off_behind_its_sync(play: Play) -> None:
    steps = parse("", SELECT) + bind("", "") + execute("") + SYNC
    play >> Client(steps) << ToServer(steps)
    play >> Server(PARSED, BOUND, row(ANN)) << Starts(Lookup)
    play >> Failed(VaultError("the vault can't be reached")) << Starts(Cancel)
    play << Refused("58000", before=PARSED + BOUND)
    play >> Worked()
    play >> Server(row(BOB), error("57014"), READY) << ToClient(READY)
    assert not play.session.expect


def test_a_result_that_grew_under_a_prepared_statement_passes_its_error_on(play: Play) -> None:
    prepared(play, "s", "SELECT * FROM letter")
    changed = error("0A000", "cached plan must not change result type")
    steps = bind("", "s") + execute("") + SYNC
    play >> Client(steps) << ToServer(steps)
    play >> Server(changed, READY) << ToClient(changed, READY)
