"""A small shop as the session core sees it: a catalog with protected columns of several sorts, and a policy over it."""

from __future__ import annotations

from pgnym.config.model import Column as ColumnOptions
from pgnym.config.model import Config, RevealLimit, Role, Table
from pgnym.sql.catalog import Catalog, Column, Protection, Relation

INT4, TEXT, VARCHAR, DATE = 23, 25, 1043, 1082
TEXTS, VARCHARS, DATES, JSONB = 1009, 1015, 1182, 3802

EMAIL = Protection("public.customer.email", "email", b"pn1aaa", False, VARCHAR, 44, VARCHAR, VARCHAR)
BORN = Protection("public.customer.born", "born", b"pn1aab", False, DATE, -1, DATE, TEXT)
NOTE = Protection("public.customer.note", "note", b"pn1aac", True, TEXT, -1, TEXT, TEXT)
SENDER = Protection("public.letter.sender", "email", b"pn1aaa", False, VARCHAR, 44, VARCHAR, VARCHAR)


def _relation(oid: int, name: str, *columns: tuple[str, int, Protection | None]) -> Relation:
    built = [
        Column(column, number, type_oid if guard is None else guard.stored_oid, -1, guard)
        for number, (column, type_oid, guard) in enumerate(columns, 1)
    ]
    return Relation(oid, "public", name, "r", tuple(built))


CUSTOMER = _relation(
    501,
    "customer",
    ("id", INT4, None),
    ("email", VARCHAR, EMAIL),
    ("born", DATE, BORN),
    ("note", TEXT, NOTE),
    ("city", TEXT, None),
)
LETTER = _relation(502, "letter", ("id", INT4, None), ("sender", VARCHAR, SENDER))
ARTIST = _relation(503, "artist", ("id", INT4, None), ("name", TEXT, None))
ALBUM = _relation(504, "album", ("id", INT4, None), ("title", TEXT, None))


def shop(*relations: Relation, epoch: int = 1) -> Catalog:
    """The catalog of ``relations``; of customer, letter and artist if none are given."""
    relations = relations or (CUSTOMER, LETTER, ARTIST)
    return Catalog(epoch, {(r.schema, r.name): r for r in relations}, {r.oid: r for r in relations})


POLICY = Config(
    tables={
        "public.customer": Table(
            columns={
                "email": ColumnOptions(domain="email", mask="email"),
                "born": ColumnOptions(domain="born"),
                "note": ColumnOptions(domain="note", tokens="randomized"),
            }
        ),
        "public.letter": Table(columns={"sender": ColumnOptions(domain="email")}),
    },
    roles={
        "app": Role(users=("app",), reveal=("public.*",)),
        "thrifty": Role(
            users=("thrifty",), reveal=("public.*",), reveal_limit=RevealLimit(statement=2, minute=100)
        ),
        "support": Role(users=("support",), mask=("public.customer.*",)),
        "analyst": Role(users=("analyst",), tokens=("public.*",)),
        "clerk": Role(
            users=("clerk",),
            reveal=("public.customer.email",),
            mask=("public.customer.born",),
            write=("public.*",),
        ),
    },
)
"""``app`` sees all, ``thrifty`` two values a statement, ``support`` masks, ``analyst`` tokens; ``clerk`` some of each."""
