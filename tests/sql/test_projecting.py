"""The catalog as it will be after ``apply``: what is configured is protected in it, and nothing is broken."""

from __future__ import annotations

from pgnym.config import parse
from pgnym.onboard.projecting import project
from pgnym.sql.load import CatalogRows

TYPES = [
    (23, "pg_catalog", "int4", "N", 0, 1007, 0, 0),
    (25, "pg_catalog", "text", "S", 0, 1009, 0, 0),
    (1043, "pg_catalog", "varchar", "S", 0, 1015, 0, 0),
    (1082, "pg_catalog", "date", "D", 0, 1182, 0, 0),
    (600, "pg_catalog", "point", "G", 0, 1017, 0, 0),
    (3802, "pg_catalog", "jsonb", "U", 0, 3807, 0, 0),
    (1015, "pg_catalog", "_varchar", "A", 1043, 0, 0, 0),
    (1009, "pg_catalog", "_text", "A", 25, 0, 0, 0),
]
RELATIONS = [(10, "public", "person", "r", None, []), (11, "public", "person_old", "r", None, [10])]
ATTRIBUTES = [
    ("id", 23, -1), ("mail", 1043, 24), ("born", 1082, -1), ("name", 25, -1), ("place", 600, -1), ("doc", 3802, -1),
    ("tags", 1015, 14),
]  # fmt: skip
COLUMNS = [
    (oid, name, number, type_oid, typmod, False)
    for oid in (10, 11)
    for number, (name, type_oid, typmod) in enumerate(ATTRIBUTES, 1)
]
CONFIG = """
tables:
  public.person:
    columns: {mail: {domain: mail}, born: {}, name: {tokens: randomized}, place: {}, tags: {domain: mail}, gone: {}}
  public.nowhere:
    columns: {a: {}}
"""


def rows(checks: list[tuple[int, str, list[int]]], registry: list[tuple[object, ...]]) -> CatalogRows:
    return CatalogRows(RELATIONS, COLUMNS, TYPES, [], checks, registry)


def test_what_is_configured_is_protected_with_its_heirs() -> None:
    projection = project(parse(CONFIG), rows([], []))
    catalog = projection.rows.build(1)
    for table in ("person", "person_old"):
        relation = catalog.relations["public", table]
        assert relation.broken is None
        found = {c.name: c for c in relation.columns}
        assert {n for n, c in found.items() if c.protection is not None} == {"mail", "born", "name", "tags"}
        mail, born, name, tags = (found[n].protection for n in ("mail", "born", "name", "tags"))
        assert mail is not None
        assert born is not None
        assert name is not None
        assert tags is not None
        assert (mail.type_oid, mail.typmod, mail.stored_oid) == (1043, 24, 1043)
        assert (found["mail"].type_oid, found["mail"].typmod) == (1043, 34)
        assert (born.type_oid, born.stored_oid, found["born"].type_oid) == (1082, 25, 25)
        assert (name.randomized, mail.randomized) == (True, False)
        assert mail.prefix == tags.prefix
        assert len({mail.prefix, born.prefix, name.prefix}) == 3
    assert sorted(projection.problems) == [
        "public.nowhere.a does not exist",
        "public.person.gone does not exist",
        "public.person.place has type point, which can't be protected",
    ]
    assert projection.present == ()


def test_what_is_protected_already_stays_as_it_is() -> None:
    checks = [(10, "pgnym_7", [2]), (11, "pgnym_7", [2])]
    entry = (7, "public", "person", "mail", 3, "mail", False, 1043, 24, 1043, False, "protected", "")
    projection = project(parse(CONFIG), rows(checks, [entry]))
    assert projection.present == ("public.person.mail",)
    person = projection.rows.build(1).relations["public", "person"]
    assert person.broken is None
    protected = {c.name: c.protection for c in person.columns}
    assert protected["mail"] is not None
    assert protected["tags"] is not None
    assert protected["mail"].prefix == protected["tags"].prefix
    assert protected["mail"].id == 7
