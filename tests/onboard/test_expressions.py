"""What stored expressions do with a column."""

from __future__ import annotations

import pytest

from pgnym.onboard.expressions import inspected, is_constant, is_lower_of


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("(email IS NOT NULL)", set()),
        ("((email IS NULL) OR (id > 3))", set()),
        ("(email ~~ '%@%'::text)", {"email"}),
        ("(lower(email) IS NULL)", {"email"}),
        ("(\"Name\" = ANY (ARRAY['a'::text]))", {"Name"}),
        ("(name > email)", {"email"}),
        ("(t.* IS NOT NULL)", {"email", "Name"}),
        ("CASE WHEN (id = 1) THEN email ELSE NULL::text END", {"email"}),
        ("(EXISTS ( SELECT 1 FROM public.x WHERE (x.email = t.email)))", {"email"}),
        ("true", set()),
    ],
)
def test_inspected(expression: str, found: set[str]) -> None:
    assert inspected(expression, {"email", "Name"}) == found


@pytest.mark.parametrize(
    ("expression", "constant"),
    [
        ("'x'::text", True),
        ("'x'::character varying", True),
        ("('x'::text)::character varying", True),
        ("'2020-01-01'::date", True),
        ("('today'::text)::date", False),
        ("1.5", True),
        ("NULL::date", True),
        ("now()", False),
        ("CURRENT_USER", False),
        ("nextval('s'::regclass)", False),
        ("('a'::text || 'b'::text)", False),
    ],
)
def test_constants(expression: str, constant: bool) -> None:
    assert is_constant(expression) is constant


def test_lower() -> None:
    assert is_lower_of("lower(email)", "email")
    assert is_lower_of("lower((email)::text)", "email")
    assert not is_lower_of("upper(email)", "email")
    assert not is_lower_of("lower(name)", "email")
    assert not is_lower_of("lower((email || name))", "email")
