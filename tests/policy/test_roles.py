"""Who sees, compares and writes what."""

from __future__ import annotations

import pytest

from pgnym.config import parse
from pgnym.policy import Allowance, Policy, RolePolicy, Sight
from pgnym.policy.roles import MOST_COMBINED

YAML = """
tables:
  public.customer: {columns: {email: {mask: email}, name: {}, born: {purposes: [service, audit]}}}
  public.invoice: {columns: {address: {}}}
  hr.staff: {columns: {name: {}}}
roles:
  app: {users: [app, app2], reveal: ["*"], purposes: [service], reveal_limit: {statement: 7, minute: 9}}
  support: {users: [help], mask: ["*"], tokens: ["public.invoice.*"], reveal: ["public.customer.name"],
            compare: ["public.customer.email"], write: ["public.invoice.*"], purposes: [service, audit]}
  hr: {users: [hr], mask: ["hr.*"], reveal: ["hr.staff.*"]}
  default: {mask: ["public.customer.name"]}
"""
R, M, T = Sight.REVEAL, Sight.MASK, Sight.TOKENS
EMAIL, NAME, BORN = "public.customer.email", "public.customer.name", "public.customer.born"
ADDRESS, STAFF, NONE = "public.invoice.address", "hr.staff.name", "public.other.column"
COLUMNS = (EMAIL, NAME, BORN, ADDRESS, STAFF, NONE)


def role(user: str) -> RolePolicy:
    return Policy(parse(YAML)).for_user(user)


@pytest.mark.parametrize(
    ("user", "sights", "compares", "writes"),
    [
        ("app", [R, R, R, R, R, T], [EMAIL, NAME, BORN, ADDRESS, STAFF], [EMAIL, NAME, BORN, ADDRESS, STAFF]),
        ("help", [M, R, T, T, M, T], [EMAIL, NAME], [NAME, ADDRESS]),
        ("hr", [T, T, T, T, R, T], [STAFF], [STAFF]),
        ("nobody", [T, M, T, T, T, T], [], []),
    ],
)
def test_the_most_specific_pattern_decides(
    user: str, sights: list[Sight], compares: list[str], writes: list[str]
) -> None:
    policy = role(user)
    for _ in range(2):  # the second time from memory
        assert [policy.sight(c) for c in COLUMNS] == sights
        assert [c for c in COLUMNS if policy.may_compare(c)] == compares
        assert [c for c in COLUMNS if policy.may_write(c)] == writes


def test_limits_names_and_users() -> None:
    policy = Policy(parse(YAML))
    assert policy.for_user("app") is policy.for_user("app2")
    assert policy.for_user("app").allowance == Allowance("role:app", 7, 9)
    assert [policy.for_user(u).name for u in ("app", "help", "hr", "HELP", "")] == [
        "app",
        "support",
        "hr",
        "default",
        "default",
    ]


def test_a_purpose_opens_what_is_bound_to_it_and_only_if_the_role_has_it() -> None:
    app, support = role("app"), role("help")
    assert app.sight(BORN) is R  # its only purpose needs no stating
    assert app.sight(BORN, "service") is R
    assert app.sight(BORN, "audit") is T
    assert not app.may_compare(BORN, "audit")
    assert not app.may_write(BORN, "audit")
    assert app.sight(EMAIL, "nonsense") is R
    assert support.sight(BORN) is T
    assert support.sight(BORN, "audit") is M
    assert not support.may_compare(BORN, "audit")


def test_what_may_come_from_several_columns_shows_the_least() -> None:
    support = role("help")
    assert support.combined(frozenset({NAME})) is R
    assert support.combined(frozenset({NAME, EMAIL})) is M
    assert support.combined(frozenset({NAME, EMAIL, ADDRESS})) is T
    assert support.combined(frozenset({NAME, NONE})) is T
    assert support.combined(frozenset()) is T


def test_what_clients_choose_does_not_grow_the_memory() -> None:
    app = role("app")
    for n in range(MOST_COMBINED * 2):
        app.sight(EMAIL, f"purpose {n}")
        app.combined(frozenset({EMAIL, f"x.y.{n}"}))
    assert len(app._sights) < MOST_COMBINED * 3
    assert len(app._combined) <= MOST_COMBINED
    assert sum(c == EMAIL for c, _ in app._sights) <= 2


def test_masks_are_those_of_the_column() -> None:
    policy = Policy(parse(YAML))
    assert policy.masker(EMAIL, 25)(b"ada@example.org") == b"a**@*******.org"
    assert policy.masker(NAME, 25)(b"Ada") == b"***"
    assert policy.masker(NONE, 23)(b"12") == b"0"
    assert policy.masker(EMAIL, 25) is policy.masker(EMAIL, 25)
    with pytest.raises(ValueError, match="no mask for type"):
        policy.masker(EMAIL, 600)
