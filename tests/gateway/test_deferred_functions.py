"""Functions of protected columns in results: marks around tokens come from the server, results go to the client."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    BOB,
    BOUND,
    PARSED,
    READY,
    SUSPENDED,
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
    describe,
    described,
    execute,
    parameters,
    parse,
    query,
    row,
    token,
)
from shop_catalog import EMAIL, INT4, TEXT, TEXTS

from pgnym.gateway.effects import Cancel, Lookup
from pgnym.gateway.marks import Marks
from pgnym.gateway.reports import GatewayError
from pgnym.sql.plan import MarkPart, MarkPiece

NONCE = b"qabcdefghijk"
UPPER = "SELECT id, reverse(email) FROM customer"
LENGTH = "SELECT length(email) FROM customer"


def marked(*operands: bytes, index: int = 0) -> bytes:
    """What the server makes of a deferred expression."""
    digits = b"abcdefghijklmnopqrstuvwxyz234567"
    opening = NONCE + b"o" + bytes((digits[index // 32], digits[index % 32]))
    return opening + (NONCE + b"s").join(operands) + NONCE + b"c"


def sent(text: str, *expressions: str, index: int = 0) -> bytes:
    """The text with each ``{}`` filled by an expression between marks."""
    parts = []
    for number, expression in enumerate(expressions, index):
        opening, closing = marked(index=number)[: len(NONCE) + 3].decode(), NONCE.decode() + "c"
        parts.append(f"('{opening}'||({expression})::text||'{closing}')")
    return text.format(*parts).encode()


def played(user: str = "app") -> Play:
    play = Play(user)
    play.session._marks = Marks(NONCE)
    play.stores((ANN, b"ann@x.org"), (BOB, b"bob@x.org"))
    return play


# -- simple query ------------------------------------------------------------------------------------------------


def test_a_function_is_applied_to_what_is_revealed() -> None:
    play = played() >> Client(query(UPPER))
    play << ToServer(query(sent('SELECT id, {} AS "reverse" FROM customer', "email")))
    head = described(("id", INT4), ("reverse", TEXT))
    play >> Server(
        head, row(b"1", marked(ANN)), row(b"2", None), row(b"3", marked(b"")), complete("SELECT 3"), READY
    )
    play << Starts(Lookup, {ANN})
    play >> Worked()
    play << ToClient(
        head, row(b"1", b"gro.x@nna"), row(b"2", None), row(b"3", b""), complete("SELECT 3"), READY
    )
    play.nothing_more()


def test_a_result_has_its_own_type() -> None:
    play = played() >> Client(query(LENGTH))
    play << ToServer(query(sent('SELECT {} AS "length" FROM customer', "email")))
    play >> Server(described(("length", TEXT)), row(marked(BOB)), complete("SELECT 1"), READY)
    play << Starts(Lookup, {BOB})
    play >> Worked() << ToClient(described(("length", INT4)), row(b"9"), complete("SELECT 1"), READY)


def test_marks_without_tokens_need_no_look_up() -> None:
    play = played() >> Client(query(LENGTH))
    play << ToServer(query(sent('SELECT {} AS "length" FROM customer', "email")))
    play >> Server(described(("length", TEXT)), row(marked(b"")), row(None), complete("SELECT 2"), READY)
    play << ToClient(described(("length", INT4)), row(b"0"), row(None), complete("SELECT 2"), READY)


def test_marks_within_marks_and_text() -> None:
    text = "SELECT left(reverse(email), 3) || '!' FROM customer"
    play = played() >> Client(query(text))
    inner = sent("{}", "email").decode()
    play << ToServer(query(sent("""SELECT {} || '!' AS "?column?" FROM customer""", inner, index=1)))
    head = described(("?column?", TEXT))
    play >> Server(head, row(marked(marked(ANN), index=1) + b"!"), complete("SELECT 1"), READY)
    play << Starts(Lookup)
    play >> Worked() << ToClient(head, row(b"gro!"), complete("SELECT 1"), READY)


def test_several_operands() -> None:
    play = played() >> Client(query("SELECT replace(email, note, '*') FROM customer"))
    opening, between = marked(b"|", b"|")[:15].decode(), NONCE.decode() + "s"
    expression = f"('{opening}'||(email)::text||'{between}'||(note)::text||'{NONCE.decode()}c')"
    play << ToServer(query(f'SELECT {expression} AS "replace" FROM customer'))
    note = b"pn1aac" + b"b" * 24
    play.stores((note, b"x.org"))
    head = described(("replace", TEXT))
    play >> Server(head, row(marked(ANN, note)), row(marked(BOB, b"")), complete("SELECT 2"), READY)
    play << Starts(Lookup, {ANN, BOB, note})
    play >> Worked() << ToClient(head, row(b"ann@*"), row(b"bob@x.org"), complete("SELECT 2"), READY)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_chunks_end_anywhere(cut: int) -> None:
    play = played() >> Client(query(LENGTH))
    play << ToServer(query(sent('SELECT {} AS "length" FROM customer', "email")))
    play.vault.memory[ANN] = b"ann@x.org"
    rows = row(marked(ANN)) + row(marked(b"")) + complete("SELECT 2") + READY
    play >> Server(described(("length", TEXT)), rows[:cut])
    came = [play.stage.happened.popleft() for _ in range(len(play.stage.happened))]
    while play.stage.works:
        play >> Worked({})
        came += [play.stage.happened.popleft() for _ in range(len(play.stage.happened))]
    play >> Server(rows[cut:])
    while play.stage.happened or play.stage.works:
        came += [play.stage.happened.popleft() for _ in range(len(play.stage.happened))]
        if play.stage.works:
            play >> Worked({})
    client = b"".join(found for way, found in came if way == "to client" and isinstance(found, bytes))
    assert client == described(("length", INT4)) + row(b"9") + row(b"0") + complete("SELECT 2") + READY


# -- extended query ----------------------------------------------------------------------------------------------


def test_binary_results_are_of_the_functions_type() -> None:
    play = played() >> Client(
        parse("", LENGTH), describe("S", ""), bind("", "", results=(1,)), execute(""), SYNC
    )
    text = sent('SELECT {} AS "length" FROM customer', "email")
    play << ToServer(parse("", text), describe("S", ""), bind("", "", results=(1,)), execute(""), SYNC)
    play >> Server(
        PARSED,
        parameters(),
        described(("length", TEXT)),
        BOUND,
        row(marked(ANN)),
        complete("SELECT 1"),
        READY,
    )
    play << Starts(Lookup)
    (
        play
        >> Worked()
        << ToClient(
            PARSED,
            parameters(),
            described(("length", INT4)),
            BOUND,
            row(b"\0\0\0\x09"),
            complete("SELECT 1"),
            READY,
        )
    )


def test_parameters_that_only_a_function_uses_are_kept() -> None:
    text = "SELECT left(email, $1) FROM customer WHERE id = $2"
    play = played() >> Client(parse("s", text), describe("S", "s"), SYNC)
    rewritten = sent('SELECT {} AS "left" FROM customer WHERE id = $2', "email")
    play << ToServer(parse("s", rewritten, TEXT), describe("S", "s"), SYNC)
    play >> Server(PARSED, parameters(TEXT, INT4), described(("left", TEXT)), READY)
    play << ToClient(PARSED, parameters(INT4, INT4), described(("left", TEXT)), READY)
    # re-bound in a pipeline, each with its own value; the second in binary, the third NULL
    values = ((b"3", 0), (b"\0\0\0\x02", 1), (None, 0))
    asked = [bind("", "s", v, b"7", formats=(f, 0)) + execute("") for v, f in values]
    gone = [bind("", "s", None if v is None else b"", b"7", formats=(0, 0)) + execute("") for v, _ in values]
    play >> Client(*asked, SYNC) << ToServer(*gone, SYNC)
    answer = [BOUND + row(marked(ANN)) + complete("SELECT 1")] * 3
    play >> Server(*answer, READY) << Starts(Lookup)
    play >> Worked() << Starts(Lookup) << ToClient(BOUND, row(b"ann"), complete("SELECT 1"), BOUND)
    play >> Worked() << Starts(Lookup) << ToClient(row(b"an"), complete("SELECT 1"), BOUND)
    play >> Worked() << ToClient(row(None), complete("SELECT 1"), READY)
    play.nothing_more()


def test_a_portal_keeps_its_parameters_between_fetches() -> None:
    play = played() >> Client(parse("s", "SELECT left(email, $1) FROM customer"), SYNC)
    play << ToServer(parse("s", sent('SELECT {} AS "left" FROM customer', "email"), TEXT), SYNC)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    play >> Client(
        bind("p", "s", b"3"), bind("q", "s", b"1"), execute("p", 1), execute("q", 1), execute("p", 1), SYNC
    )
    play << ToServer(
        bind("p", "s", b"", formats=(0,)), bind("q", "s", b"", formats=(0,)),
        execute("p", 1), execute("q", 1), execute("p", 1), SYNC,
    )  # fmt: skip
    play.vault.memory.update({ANN: b"ann@x.org", BOB: b"bob@x.org"})
    replies = [row(marked(each)) + SUSPENDED for each in (ANN, ANN, BOB)]
    play >> Server(BOUND, BOUND, *replies, READY) << Starts(Lookup)
    play >> Worked({}) << Starts(Lookup) << ToClient(BOUND, BOUND, row(b"ann"), SUSPENDED)
    play >> Worked({}) << Starts(Lookup) << ToClient(row(b"a"), SUSPENDED)
    play >> Worked({}) << ToClient(row(b"bob"), SUSPENDED, READY)


def test_arrays_in_binary_name_the_functions_type() -> None:
    text = "SELECT array_agg(length(email)) FROM customer"
    play = played() >> Client(
        parse("", text), bind("", "", results=(1,)), describe("P", ""), execute(""), SYNC
    )
    rewritten = sent('SELECT array_agg({}) AS "array_agg" FROM customer', "email")
    play << ToServer(parse("", rewritten), bind("", "", results=(1,)), describe("P", ""), execute(""), SYNC)

    def array(oid: int, *members: bytes) -> bytes:
        head = b"\0\0\0\1\0\0\0\0" + oid.to_bytes(4, "big") + len(members).to_bytes(4, "big") + b"\0\0\0\1"
        return head + b"".join(len(m).to_bytes(4, "big") + m for m in members)

    stored = array(TEXT, marked(ANN), marked(b""))
    play >> Server(PARSED, BOUND, described(("array_agg", TEXTS)), row(stored), complete("SELECT 1"), READY)
    play << Starts(Lookup)
    (
        play
        >> Worked()
        << ToClient(
            PARSED,
            BOUND,
            described(("array_agg", 1007)),
            row(array(INT4, b"\0\0\0\x09", b"\0\0\0\0")),
            complete("SELECT 1"),
            READY,
        )
    )


# -- errors ------------------------------------------------------------------------------------------------------


def test_an_error_of_a_function_ends_the_answer_where_it_stands() -> None:
    text = "SELECT split_part(email, '@', $1) FROM customer"
    play = played() >> Client(parse("", text), bind("", "", b"0"), execute(""), SYNC)
    rewritten = sent('SELECT {} AS "split_part" FROM customer', "email")
    play << ToServer(parse("", rewritten, TEXT), bind("", "", b"", formats=(0,)), execute(""), SYNC)
    play >> Server(PARSED, BOUND, row(marked(ANN)), row(marked(BOB)), complete("SELECT 2"), READY)
    play << Starts(Lookup, {ANN, BOB})
    play >> Worked() << Starts(Cancel) << Refused("22023", before=PARSED + BOUND)


def test_a_constant_that_no_value_can_have_is_refused_before_anything_is_sent() -> None:
    play = played() >> Client(query("SELECT left(email, 'x') FROM customer"))
    play << Refused("22P02", READY)
    play.nothing_more()


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("format", [0, 1])
def test_what_functions_make_of_a_chunk_is_bounded(format: int, same: bool) -> None:
    text = "SELECT repeat(email, 100000) FROM customer"
    play = played() >> Client(parse("", text), bind("", "", results=(format,)), execute(""), SYNC)
    rewritten = sent('SELECT {} AS "repeat" FROM customer', "email")
    play << ToServer(parse("", rewritten), bind("", "", results=(format,)), execute(""), SYNC)
    found = [ANN if same else token(EMAIL.prefix, b"%d" % n) for n in range(100)]
    play.stores(*((each, b"ann@x.org") for each in found))
    play >> Server(PARSED, BOUND, *(row(marked(each)) for each in found), complete("SELECT 100"), READY)
    play << Starts(Lookup)
    play >> Worked() << Starts(Cancel) << Refused("54000", before=PARSED + BOUND)


# -- who sees what -----------------------------------------------------------------------------------------------


def test_a_masked_role_gets_the_function_of_the_mask() -> None:
    play = played("support") >> Client(query("SELECT reverse(email), length(email) FROM customer"))
    play << ToServer(query(sent('SELECT {} AS "reverse", {} AS "length" FROM customer', "email", "email")))
    head = described(("reverse", TEXT), ("length", TEXT))
    play >> Server(head, row(marked(ANN), marked(ANN, index=1)), complete("SELECT 1"), READY)
    play << Starts(Lookup)
    (
        play
        >> Worked()
        << ToClient(
            described(("reverse", TEXT), ("length", INT4)),
            row(b"gro.*@**a", b"9"),
            complete("SELECT 1"),
            READY,
        )
    )


def test_a_role_that_sees_tokens_is_refused() -> None:
    play = played("analyst") >> Client(query(LENGTH)) << Refused("42501", READY)
    play.nothing_more()
    assert play.audited == [("refuse", "42501")]


def test_the_budget_counts_what_a_function_is_computed_from() -> None:
    play = played("thrifty") >> Client(query(LENGTH))
    play << ToServer(query(sent('SELECT {} AS "length" FROM customer', "email")))
    three = b"pn1aaa" + b"c" * 24
    rows = row(marked(ANN)) + row(marked(BOB)) + row(marked(three))
    play >> Server(described(("length", TEXT)), rows, complete("SELECT 3"), READY)
    play << Starts(Cancel) << Refused("42501", before=described(("length", INT4)))


# -- marks that are not ours -------------------------------------------------------------------------------------

MIXED = "SELECT CASE WHEN id = 1 THEN reverse(email) ELSE city END FROM customer"


def mixed(play: Play) -> Play:
    play >> Client(query(MIXED))
    text = 'SELECT CASE WHEN id = 1 THEN {} ELSE city END AS "city" FROM customer'
    return play << ToServer(query(sent(text, "email")))


@pytest.mark.parametrize("planted", [b"qzzzzzzzzzzzoaa", b"o", b"q", b"qabcdefghijo", NONCE[:-1]])
def test_a_planted_mark_of_another_session_is_text(planted: bytes) -> None:
    """In a column that mixes the two, the bare token opens, as it does without marks; nothing is done with it."""
    play = mixed(played())
    head = described(("city", TEXT))
    planted_row = planted + ANN + planted.replace(b"oaa", b"c")
    play >> Server(head, row(planted_row), row(planted + marked(ANN)), complete("SELECT 2"), READY)
    play << Starts(Lookup)
    play >> Worked()
    shown_row = planted_row.replace(ANN, b"ann@x.org")
    play << ToClient(head, row(shown_row), row(planted + b"gro.x@nna"), complete("SELECT 2"), READY)


def test_a_mark_opens_only_in_the_columns_that_the_plan_names() -> None:
    play = played() >> Client(query("SELECT city, length(email) FROM customer"))
    play << ToServer(query(sent('SELECT city, {} AS "length" FROM customer', "email")))
    head = described(("city", TEXT), ("length", TEXT))
    planted = marked(ANN)
    play >> Server(head, row(planted, marked(BOB)), complete("SELECT 1"), READY)
    play << Starts(Lookup, {BOB})
    (
        play
        >> Worked()
        << ToClient(
            described(("city", TEXT), ("length", INT4)), row(planted, b"9"), complete("SELECT 1"), READY
        )
    )


@pytest.mark.parametrize(
    "damaged",
    [
        marked(ANN)[:-1],
        marked(ANN)[3:],
        marked(ANN)[: len(NONCE) + 3],
        NONCE + b"s" + marked(ANN),
        NONCE + b"c",
        marked(marked(ANN)[:-13]),
        marked(ANN, index=7),
        marked(ANN, index=1023),
    ],
)
def test_damaged_marks_end_the_answer(damaged: bytes) -> None:
    play = mixed(played())
    head = described(("city", TEXT))
    play >> Server(head, row(damaged), complete("SELECT 1"), READY)
    if ANN in damaged:
        play << Starts(Lookup)
        play >> Worked()
    play << Starts(Cancel) << Refused("XX000", before=head)


# -- marks -------------------------------------------------------------------------------------------------------


def test_nonces_are_fresh_and_have_no_border() -> None:
    """No nonce overlaps itself, so that a mark is found where it was put, whatever stands before it."""
    seen = {Marks.fresh().literal(MarkPiece(MarkPart.CLOSE, 0))[1:-2] for _ in range(200)}
    assert len(seen) == 200
    for nonce in seen:
        assert not any(nonce.startswith(nonce[-k:]) for k in range(1, len(nonce)))


@pytest.mark.parametrize("index", [0, 1, 31, 32, 1023])
def test_a_mark_is_read_as_it_was_written(index: int) -> None:
    marks = Marks.fresh()
    opening, between, closing = (marks.literal(MarkPiece(part, index))[1:-1] for part in MarkPart)
    (found,) = marks.read(opening + b"a" + between + opening + closing + closing)
    assert not isinstance(found, bytes)
    assert found.index == index
    assert found.operands[0] == [b"a"]
    with pytest.raises(GatewayError):
        marks.read(opening)
