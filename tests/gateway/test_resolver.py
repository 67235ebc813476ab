"""Answers to questions about the values of a domain: exact, within bounds, remembered, and in slices."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter

import pytest
from playbook import token
from shop_catalog import BORN, EMAIL, NOTE

from pgnym.gateway.array_tests import elements_of_binary, elements_of_text
from pgnym.gateway.effects import Question
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.resolver import NOTHING, Answered, Resolver, with_findings
from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.expression import Call, Constant, Expression, Value
from pgnym.sql.catalog import Protection
from pgnym.sql.plan import Answer, Lookup
from pgnym.vault.errors import TooManyValues
from pgnym.wire.arrays import map_array_binary

BOOL, TEXT, DATE, VARCHAR = 16, 25, 1082, 1043
MAIL = Value(VARCHAR)
LIKE = Call("~~", (MAIL, Constant(0, TEXT)), BOOL)
FEW = {"ann@x.org", "bob@x.org", "Bob@y.org"}


@dataclass
class Vault:
    """The values of one domain; over ``bound`` only the index answers."""

    contents: Mapping[bytes, bytes]
    version: int = 1
    bound: int = 1000
    indexed: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def values(self) -> Mapping[bytes, bytes]:
        return self.contents

    @property
    def orders(self) -> Vault:
        return self

    async def place(self, prefix: bytes, value: bytes | None) -> bytes:
        self.asked.append(f"place of {value!r}")
        return b"?" if value is None else b"=token"

    async def domain_values(self, prefix: bytes) -> Vault:
        self.asked.append("all")
        if len(self.contents) > self.bound:
            raise TooManyValues("too many", bound=self.bound, hint="Raise vault.scan_limit.")
        return self

    async def candidates(
        self, prefix: bytes, alternatives: Collection[Collection[str]]
    ) -> Mapping[bytes, bytes] | None:
        if not self.indexed:
            return None
        self.asked.append(f"index {sorted(map(sorted, alternatives))}")
        found = {}
        for token_, value in self.contents.items():
            if any(all(text.encode() in value.lower() for text in texts) for texts in alternatives):
                found[token_] = value
        if len(found) > self.bound:
            raise TooManyValues("the index finds too many", bound=self.bound, by_index=True)
        return found


def domain(values: Iterable[str], protection: Protection = EMAIL) -> dict[bytes, bytes]:
    return {token(protection.prefix, v.encode()): v.encode() for v in values}


def question(
    test: Expression,
    *constants: bytes | None,
    protection: Protection = EMAIL,
    nulls: bool = False,
    loose: bool = False,
) -> Question:
    columns = frozenset((protection.column,))
    return Question(Lookup(Answer.MATCHES, protection, columns, test, (), 0, nulls, loose), constants)


def test_the_place_in_an_order_index_takes_no_other_values() -> None:
    """More values than may be opened are no obstacle; the constant is folded where the column's values are."""
    vault = Vault(domain(["a", "b", "c"]), bound=1)
    folding = replace(EMAIL, casefold=True)
    for protection, constant, expected, place in (
        (EMAIL, b"Bob", "place of b'Bob'", b"=token"),
        (folding, b"Bob", "place of b'bob'", b"=token"),
        (EMAIL, None, "place of None", b"?"),
    ):
        lookup = Lookup(Answer.CODE, protection, frozenset((protection.column,)), Constant(0, 25), (), 0)
        found = asyncio.run(Resolver().answers("main", vault, [Question(lookup, (constant,))]))
        assert [each.text for each in found] == [place]
        assert vault.asked == [expected]
        vault.asked.clear()


def answer(vault: Vault, asked: Question, resolver: Resolver | None = None) -> Answered:
    return asyncio.run((resolver or Resolver()).answer("main", vault, asked))


def found(vault: Vault, asked: Question) -> set[str]:
    """The values that match; ``''`` and ``NULL`` as they stand in the array."""
    elements = answer(vault, asked).text[1:-1].split(b",")
    return {vault.contents.get(e, e).decode() for e in elements}


# -- what matches ----------------------------------------------------------------------------------------------


def test_the_tokens_of_what_matches() -> None:
    vault = Vault(domain(FEW))
    assert found(vault, question(LIKE, b"%x.org")) == {"ann@x.org", "bob@x.org"}
    assert found(vault, question(Call("not", (LIKE,), BOOL), b"%@%")) == {'""'}


def test_the_empty_string_is_tested_where_the_type_has_one() -> None:
    assert '""' in found(Vault(domain(FEW)), question(LIKE, b"%"))
    earlier = Call("<", (Value(DATE), Constant(0, DATE)), BOOL)
    days = Vault(domain(["2001-05-04"], BORN))
    assert found(days, question(earlier, b"2002-01-01", protection=BORN)) == {"2001-05-04"}


def test_an_answer_without_tokens_is_no_empty_array() -> None:
    """``NULL = ANY('{}')`` is false, but ``NULL LIKE 'x'`` is NULL."""
    assert answer(Vault(domain(FEW)), question(LIKE, b"no such")).text == b"{%b}" % NOTHING
    assert answer(Vault({}), question(LIKE, b"no such")).text == b"{%b}" % NOTHING


def test_a_test_that_is_null_is_never_false() -> None:
    assert answer(Vault(domain(FEW)), question(LIKE, None)).text == b"{NULL}"
    either = Call("or", (LIKE, Call("~~", (MAIL, Constant(1, TEXT)), BOOL)), BOOL)
    assert found(Vault(domain(FEW)), question(either, None, b"ann%")) == {"ann@x.org", "NULL"}


def test_what_is_false_for_some_and_null_for_others_is_refused_unless_that_is_the_same() -> None:
    both = Call("and", (LIKE, Call("~~", (MAIL, Constant(1, TEXT)), BOOL)), BOOL)
    with pytest.raises(GatewayError) as caught:
        answer(Vault(domain(FEW)), question(both, None, b"ann%"))
    assert caught.value.report.sqlstate == "0A000"
    assert "public.customer.email" in caught.value.report.message
    assert answer(Vault(domain(FEW)), question(both, None, b"ann%", loose=True)).text == b"{%b}" % NOTHING


def test_null_itself_may_match() -> None:
    test = Call("is null", (Call("nullif", (MAIL, Constant(0, VARCHAR)), VARCHAR),), BOOL)
    assert found(Vault(domain(FEW)), question(test, b"ann@x.org", nulls=True)) == {"ann@x.org", "-"}


def test_errors_of_the_test_come_out() -> None:
    with pytest.raises(EvaluationError) as caught:
        answer(Vault(domain(FEW)), question(LIKE, b"%\\"))
    assert caught.value.sqlstate == "22025"


def test_randomized_values_match_with_each_of_their_tokens() -> None:
    vault = Vault({b"pn1aac" + b"a" * 24: b"same", b"pn1aac" + b"b" * 24: b"same"})
    assert answer(vault, question(LIKE, b"sa%", protection=NOTE)).found == 2


# -- bounds and memory -----------------------------------------------------------------------------------------


def test_answers_are_remembered_until_the_values_change() -> None:
    vault, resolver = Vault(domain(FEW)), Resolver()
    first = answer(vault, question(LIKE, b"ann%"), resolver)
    assert answer(vault, question(LIKE, b"ann%"), resolver) is first
    assert answer(vault, question(LIKE, b"bob%"), resolver) is not first
    assert answer(vault, question(LIKE, b"ann%", loose=True), resolver) is not first
    vault.version = 2
    assert answer(vault, question(LIKE, b"ann%"), resolver) is not first


def test_a_large_domain_is_searched_by_its_index() -> None:
    vault = Vault(domain(f"n{i}@x.org" for i in range(200)), bound=100, indexed=True)
    resolver = Resolver()
    got = answer(vault, question(LIKE, b"%n77@%"), resolver)
    assert (got.inspected, got.found) == (1, 1)
    answer(vault, question(LIKE, b"%n78@%"), resolver)
    either = Call("or", (LIKE, Call("~~", (MAIL, Constant(1, TEXT)), BOOL)), BOOL)
    assert found(vault, question(either, b"n77%", b"%n178@_%")) == {"n77@x.org", "n178@x.org"}
    assert vault.asked == ["index [['n77@']]", "index [['n78@']]", "index [['n178@'], ['n77']]"]


@pytest.mark.parametrize(
    ("pattern", "indexed", "hint"),
    [(b"%", True, "`substring`"), (b"%n77@%", False, "`substring`"), (b"%@x.%", True, "longer")],
)
def test_over_the_bound_the_hint_says_what_helps(pattern: bytes, indexed: bool, hint: str) -> None:
    vault = Vault(domain(f"n{i}@x.org" for i in range(200)), bound=100, indexed=indexed)
    with pytest.raises(GatewayError) as caught:
        answer(vault, question(LIKE, pattern))
    report = caught.value.report
    assert report.sqlstate == "54000"
    assert "public.customer.email" in report.message
    assert hint in report.hint


def test_others_have_their_turn_while_values_are_tested() -> None:
    """No more than some milliseconds pass between two turns of the event loop."""
    vault = Vault(domain(f"somebody.with.a.long.name.{i}@example.org" for i in range(20_000)), bound=20_000)
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        last = perf_counter()
        while True:
            await asyncio.sleep(0)
            now = perf_counter()
            longest, last = max(longest, now - last), now

    async def main() -> Answered:
        watcher = asyncio.create_task(watch())
        got = await Resolver().answer("main", vault, question(LIKE, b"%e%i%@%1%"))
        watcher.cancel()
        return got

    turns = asyncio.run(main())
    assert turns.inspected == 20_000
    assert longest < 0.1  # 4 ms by design; the machine may be busy


# -- the record ------------------------------------------------------------------------------------------------


def test_the_record_says_how_many_were_inspected_and_matched_but_not_what_was_asked(
    play_record: object,
) -> None:
    vault = Vault(domain(FEW))
    asked = question(LIKE, b"secret%")
    record = with_findings(play_record, [asked], [answer(vault, asked)])  # type: ignore[arg-type]
    assert record.counts == {"email": 3}
    assert record.text == "email: (value ~~ ?): 0 of 3"


@pytest.fixture
def play_record() -> object:
    from playbook import Play

    from pgnym.audit.records import Action

    return Play().session.record(Action.SEARCH, "f", {})


# -- arrays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (b"{}", ()),
        (b'{a,"b c"}', (b"a", b"b c")),
        (b'{NULL,"NULL",null}', (b"NULL", None, None)),
        (b"{{a},{b}}", (b"a", b"b")),
        (b'[2:3]={"",x}', (b"", b"x")),
    ],
)
def test_elements_of_an_array_in_text_form(array: bytes, expected: tuple[bytes | None, ...]) -> None:
    assert elements_of_text(array, lambda v: v) == expected


def test_elements_of_an_array_in_binary_form() -> None:
    header = (1).to_bytes(4, "big") + (1).to_bytes(4, "big") + (25).to_bytes(4, "big")
    lengths = (3).to_bytes(4, "big") + (1).to_bytes(4, "big")
    array = header + lengths + b"\0\0\0\1a" + b"\xff\xff\xff\xff" + b"\0\0\0\0"
    assert map_array_binary(array, lambda v: v, 25) == array
    assert elements_of_binary(array, lambda v: v) == (b"a", b"", None)
    assert elements_of_binary((0).to_bytes(4, "big") * 2 + (25).to_bytes(4, "big"), lambda v: v) == ()
