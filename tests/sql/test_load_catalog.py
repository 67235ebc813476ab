"""Building a snapshot from the rows of the catalog queries."""

from __future__ import annotations

from typing import Any

import pytest

from pgnym.semantics.expression import Collation
from pgnym.sql.catalog import Catalog
from pgnym.sql.collating import build_collations
from pgnym.sql.errors import Refused
from pgnym.sql.load import build_catalog, domain_prefix
from pgnym.sql.mention import Mentions
from pgnym.sql.plan import SessionScope
from pgnym.sql.planner import Planner

REGISTERED = (1, "public", "customer", "email", 5, "email", False, 1043, 64, 1043, False, "protected", "")
RELATIONS: list[tuple[Any, ...]] = [
    (10, "public", "customer", "p", None, []),
    (11, "public", "customer_1", "r", None, [10]),
    (12, "public", "mails", "v", " SELECT customer.email FROM public.customer;", []),
    (13, "public", "pair", "c", None, []),
]
COLUMNS: list[tuple[Any, ...]] = [
    (10, "id", 1, 23, -1, False),
    (10, "email", 3, 1043, 64, False),
    (11, "email", 1, 1043, 64, False),
    (12, "email", 1, 1043, 64, False),
    (13, "x", 1, 23, -1, False),
]
CHECKS: list[tuple[Any, ...]] = [(10, "pgnym_1", [3]), (11, "pgnym_1", [1])]


def build(registry: list[tuple[Any, ...]], checks: list[tuple[Any, ...]] = CHECKS) -> Catalog:
    return build_catalog(
        7, RELATIONS, COLUMNS, [(23, "pg_catalog", "int4", "N", 0, 1007, 0, 0)], [], checks, registry
    )


def test_a_check_and_its_entry_protect_a_column() -> None:
    catalog = build([REGISTERED])
    customer = catalog.relations["public", "customer"]
    protection = customer.columns[1].protection
    assert catalog.epoch == 7
    assert protection is not None
    assert protection.column == "public.customer.email"
    assert protection.prefix == b"pn1aaf"
    assert (protection.type_oid, protection.typmod, protection.stored_oid) == (1043, 64, 1043)
    assert customer.columns[0].protection is None
    assert customer.broken is None


def test_a_partition_has_the_protection_of_its_parent() -> None:
    partition = build([REGISTERED]).relations["public", "customer_1"]
    assert partition.columns[0].protection is not None
    assert partition.columns[0].protection.column == "public.customer.email"


def test_a_renamed_table_keeps_its_protection() -> None:
    entry = (*REGISTERED[:1], "old", "name", "mail", *REGISTERED[4:])
    customer = build([entry]).relations["public", "customer"]
    assert customer.columns[1].protection is not None
    assert customer.broken is None


def test_a_check_without_entry_breaks_the_table() -> None:
    customer = build([]).relations["public", "customer"]
    assert customer.broken is not None
    assert "pgnym_1" in customer.broken


def test_an_entry_without_check_breaks_the_table() -> None:
    catalog = build([REGISTERED], [])
    assert catalog.relations["public", "customer"].broken is not None
    assert catalog.relations["public", "customer_1"].broken is not None  # its rows are those of the table


@pytest.mark.parametrize("state", ["migrating", "undoing"])
def test_what_a_killed_run_left_is_a_plain_table(state: str) -> None:
    """``migrating`` is written before there is a CHECK; ``undoing`` stays until after the CHECK is gone."""
    customer = build([(*REGISTERED[:-2], state, "")], []).relations["public", "customer"]
    assert customer.broken is None
    assert not customer.protected


def test_an_entry_of_a_table_that_is_gone_breaks_nothing() -> None:
    entry = (1, "public", "gone", *REGISTERED[3:])
    assert all(r.broken is None for r in build([entry], []).relations.values())


def test_a_column_between_two_states_breaks_the_table() -> None:
    for state in ("migrating", "undoing"):
        customer = build([(*REGISTERED[:-2], state, "")]).relations["public", "customer"]
        assert customer.broken is not None
        assert state in customer.broken
        assert customer.columns[1].protection is None


def test_a_check_over_several_columns_is_not_ours() -> None:
    customer = build([REGISTERED], [(10, "pgnym_1", [1, 3])]).relations["public", "customer"]
    assert customer.broken is not None


def test_an_unprotected_parent_of_a_protected_child_is_broken() -> None:
    """Read through it, the child's tokens would come out as they are, and its name is no mention of the child's."""
    entry = (*REGISTERED[:1], "public", "former", "mail", *REGISTERED[4:])
    catalog = build([entry], [(11, "pgnym_1", [1])])
    customer = catalog.relations["public", "customer"]
    assert customer.broken is not None
    assert "public.customer_1" in customer.broken
    assert "detach" in customer.repair
    assert catalog.relations["public", "customer_1"].broken is None
    assert Mentions(catalog).concerns(b"SELECT email FROM customer")
    assert Mentions(catalog).concerns(b"SELECT email FROM mails")
    planner = Planner(catalog)
    scope = SessionScope(("public",), "app", {}, {})
    for text in (
        b"SELECT email FROM customer",
        b"SELECT email FROM mails",
        b"UPDATE customer SET email = 'x'",
    ):
        with pytest.raises(Refused, match="is not in") as caught:
            planner.plan(text, (), scope)
        assert "detach" in caught.value.hint
    for text in (
        b"ALTER TABLE customer DETACH PARTITION customer_1",
        b"ALTER TABLE customer_1 NO INHERIT customer",
    ):
        assert planner.plan(text, (), scope) is not None


def test_a_grandparent_is_broken_as_well() -> None:
    relations = [
        (20, "public", "top", "p", None, []),
        (10, "public", "customer", "p", None, [20]),
        *RELATIONS[1:],
    ]
    columns = [(20, "email", 1, 1043, 64, False), *COLUMNS]
    checks = [(11, "pgnym_1", [1])]
    catalog = build_catalog(7, relations, columns, [], [], checks, [REGISTERED])
    assert catalog.relations["public", "top"].broken is not None


def test_a_parent_without_the_protected_column_is_not_concerned() -> None:
    columns = [c for c in COLUMNS if c[:2] != (10, "email")]
    catalog = build_catalog(7, RELATIONS, columns, [], [], [(11, "pgnym_1", [1])], [REGISTERED])
    assert catalog.relations["public", "customer"].broken is None


def test_the_parent_of_a_broken_child_is_broken() -> None:
    catalog = build([], [(11, "pgnym_1", [1])])
    assert catalog.relations["public", "customer"].broken is not None


def test_a_composite_type_is_found_by_oid_only() -> None:
    catalog = build([REGISTERED])
    assert ("public", "pair") not in catalog.relations
    assert catalog.by_oid[13].kind == "c"


def test_the_prefix_of_a_domain() -> None:
    assert domain_prefix(0) == b"pn1aaa"
    assert domain_prefix(31) == b"pn1aa7"
    assert domain_prefix(32) == b"pn1aba"
    assert domain_prefix(32767) == b"pn1777"


DEFAULT = (100, "pg_catalog", "default", "c", "en_US.utf8", "en_US.utf8", "2.36", True, "UTF8")
PLAIN = (950, "pg_catalog", "C", "c", "C", "C", None, True, "UTF8")


def collation_of(registered: tuple[Any, ...], *column_collations: tuple[int, int, int]) -> Collation | None:
    """What the catalog says of ``customer.email``."""
    found = build_collations([DEFAULT, PLAIN], column_collations)
    catalog = build_catalog(7, RELATIONS, COLUMNS, [], [], CHECKS, [registered], collations=found)
    assert catalog.collations["pg_catalog", "C"].provider == "c"
    protection = catalog.relations["public", "customer"].columns[1].protection
    assert protection is not None
    return protection.collation


def test_a_protected_column_has_its_collation() -> None:
    database = Collation("default", "c", "en_US.utf8", "en_US.utf8", "2.36")
    assert collation_of(REGISTERED) == database
    assert collation_of(REGISTERED, (10, 3, 950)) == Collation("C", "c", "C", "C")
    assert collation_of(REGISTERED, (11, 1, 950)) == database
    born = (*REGISTERED[:7], 1082, -1, 1082, *REGISTERED[10:])
    assert collation_of(born) is None


def test_collations_of_another_encoding_are_of_no_provider() -> None:
    found = build_collations([(*DEFAULT[:8], "LATIN1")], []).named["pg_catalog", "default"]
    assert (found.provider, found.locale) == ("", "LATIN1")


def test_a_copy_goes_by_the_name_of_what_it_holds() -> None:
    """CREATE TABLE AS names the CHECK of the column that its values come from; text keeps the type of its own."""
    copies: list[tuple[Any, ...]] = [(12, "public", "copy", "r", None, [])]
    columns = [*COLUMNS[:3], (12, "mail", 1, 25, -1, False), (12, "again", 2, 1043, 64, False)]
    checks = [*CHECKS, (12, "pgnym_1_1", [1]), (12, "pgnym_1_2", [2])]
    catalog = build_catalog(7, [*RELATIONS[:2], *copies], columns, [], [], checks, [REGISTERED])
    mail, again = catalog.relations["public", "copy"].columns
    customer = catalog.relations["public", "customer"].columns[1].protection
    assert mail.protection is not None
    assert (mail.protection.column, mail.protection.type_oid) == ("public.customer.email", 25)
    assert again.protection == customer


def test_a_column_made_from_several_goes_by_all_of_them() -> None:
    other = (2, "public", "invoice", "billing", 5, "email", False, 25, -1, 25, False, "protected", "")
    checks = [(10, "pgnym_1", [3]), (10, "pgnym_2", [3]), (11, "pgnym_1", [1])]
    email = build([REGISTERED, other], checks).relations["public", "customer"].columns[1].protection
    assert email is not None
    assert email.columns == {"public.customer.email", "public.invoice.billing"}


def test_checks_of_two_domains_on_one_column_are_an_error() -> None:
    other = (2, "public", "invoice", "billing", 6, "other", False, 25, -1, 25, False, "protected", "")
    customer = build([REGISTERED, other], [(10, "pgnym_1", [3]), (10, "pgnym_2", [3])]).by_oid[10]
    assert customer.broken is not None
    assert "several domains" in customer.broken


def test_a_copy_does_not_stand_in_for_a_check_that_is_gone() -> None:
    catalog = build([REGISTERED], [(11, "pgnym_1", [1])])
    customer = catalog.relations["public", "customer"]
    assert customer.broken == "column email is registered but has no CHECK constraint pgnym_1 in force"
