"""What a column accepts: named standards, regular expressions, JSON schemas; and what isn't a rule."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pgnym.config import ConfigError
from pgnym.config.model import Column, Config, Table
from pgnym.policy import Policy
from pgnym.policy.validation import Rule, described, validator

SCHEMA = {
    "type": "object",
    "required": ["zip"],
    "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
}


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            "email",
            ["ann@example.org", "a.b+c@x.co", "o'neil@mail.example.com", "jürgen@exämple.org", "a@localhost"],
            ["ann", "@x.org", "ann@", "ann@x..org", "ann@-x.org", "a b@x.org", "ann@x.org\n", "x" * 65 + "@x.org",
             "a@" + "b" * 64 + ".org", "a@" + ".".join(["b" * 60] * 5)],
        ),
        ("e164", ["+4930123456", "+12025550123"], ["4930123456", "+0123", "+49 30 123", "+1234567890123456", "+"]),
        (
            "iban",
            ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "FR1420041010050500013M02606"],
            ["DE89370400440532013001", "XX89370400440532013000", "DE8937040044053201300", "", "ÄÖ"],
        ),
        ("luhn", ["4111111111111111", "4111 1111-1111 1111", "79927398713"], ["4111111111111112", "abc", "79927398710"]),
        ({"regex": "[A-Z]{2}[0-9]+"}, ["AB1"], ["xAB1", "AB1x", "AB", "AB1\n"]),
        (
            {"json_schema": SCHEMA},
            ['{"zip": "12345"}', '{"zip": "12345", "more": 1}'],
            ['{"zip": 12345}', "{}", "[]", "nonsense", '{"zip": "1234"}'],
        ),
    ],
    ids=["email", "e164", "iban", "luhn", "regex", "json_schema"],
)  # fmt: skip
def test_rules(rule: Rule, good: list[str], bad: list[str]) -> None:
    check = validator(rule)
    assert [value for value in good if not check(value.encode())] == []
    assert [value for value in bad if check(value.encode())] == []
    assert described(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "zip",
        {},
        {"regex": "a", "json_schema": {}},
        {"rexeg": "a"},
        {"regex": 5},
        {"regex": "("},
        {"regex": r"(a)\1"},
        {"json_schema": "x"},
        {"json_schema": {"type": "nosuch"}},
        {"json_schema": {"pattern": "("}},
    ],
)
def test_what_is_no_rule(rule: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|not a"):
        validator(rule)


def test_a_pattern_that_makes_others_backtrack_takes_no_time() -> None:
    check = validator({"regex": "(a+)+b"})
    start = time.process_time()
    assert not check(b"a" * 20_000)
    assert time.process_time() - start < 1


def test_a_bad_rule_is_named_with_its_path() -> None:
    config = Config(tables={"public.t": Table(columns={"mail": Column(validate={"regex": "("})})})
    with pytest.raises(ConfigError) as caught:
        Policy(config)
    assert "tables.public.t.columns.mail.validate" in str(caught.value)
