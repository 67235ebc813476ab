"""A catalog in the manner of the Chinook sample database, with protected columns of several sorts."""

from __future__ import annotations

from dataclasses import replace

from pgnym.semantics.documents import parse_path
from pgnym.semantics.expression import Collation
from pgnym.sql.catalog import Catalog, Column, Function, Leaf, Protection, Relation, Signature, Type

INT4, TEXT, VARCHAR, BPCHAR, DATE, NUMERIC, TIMESTAMP, JSONB, BOOL, INT8 = (
    23,
    25,
    1043,
    1042,
    1082,
    1700,
    1114,
    3802,
    16,
    20,
)
CITEXT = 70000
COLLATION = Collation("default", "c", "C", "C")

PREFIXES = {
    "email": b"pn1aaa",
    "first_name": b"pn1aab",
    "last_name": b"pn1aac",
    "phone": b"pn1aad",
    "birth": b"pn1aae",
    "notes": b"pn1aaf",
    "loyalty": b"pn1aag",
    "login": b"pn1aah",
    "country": b"pn1aai",
    "seen": b"pn1aaj",
    "tag": b"pn1aak",
    "day": b"pn1aal",
    "secret": b"pn1aam",
    "street": b"pn1aan",
    "contact": b"pn1aao",
    "member": b"pn1aap",
    "joined": b"pn1aaq",
    "points": b"pn1aar",
}
ORDERED = frozenset({"member", "joined", "points"})
"""Domains with an order index."""
RANDOMIZED = frozenset({"notes", "secret"})
ARRAY_OF = {TEXT: 1009, VARCHAR: 1015, BPCHAR: 1014, DATE: 1182, INT4: 1007}
_IDS: dict[str, int] = {}  # the registry's, by column


def protection(
    column: str,
    domain: str,
    type_oid: int = VARCHAR,
    typmod: int = -1,
    stored_oid: int | None = None,
    codec_oid: int | None = None,
    casefold: bool = False,
) -> Protection:
    """The protection of a sample column."""
    return Protection(
        column,
        domain,
        PREFIXES[domain],
        domain in RANDOMIZED,
        type_oid,
        typmod,
        codec_oid or type_oid,
        stored_oid or type_oid,
        casefold,
        COLLATION if (codec_oid or type_oid) in (TEXT, VARCHAR, BPCHAR) else None,
        id=_IDS.setdefault(column, len(_IDS) + 1),
        order_index=domain in ORDERED,
    )


def _leaf(path: str, domain: str, column: str = "profile") -> Leaf:
    guard = _p("public.person", f"{column}.{path}", domain, type_oid=TEXT)
    return Leaf(parse_path(path), replace(guard, path=parse_path(path)))


def _relation(
    oid: int, schema: str, name: str, columns: list[tuple[str, int, Protection | None]], kind: str = "r"
) -> Relation:
    built = []
    for number, (column, type_oid, guard) in enumerate(columns, 1):
        stored = guard.stored_oid if guard is not None else type_oid
        stored = ARRAY_OF[stored] if guard is not None and guard.array else stored
        built.append(Column(column, number, stored, -1, guard))
    return Relation(oid, schema, name, kind, tuple(built))


def _view(oid: int, name: str, columns: list[tuple[str, int]], sql: str, kind: str = "v") -> Relation:
    built = tuple(Column(c, i, t, -1) for i, (c, t) in enumerate(columns, 1))
    return Relation(oid, "public", name, kind, built, view_sql=sql)


def _p(
    table: str,
    column: str,
    domain: str,
    *,
    type_oid: int = VARCHAR,
    typmod: int = -1,
    stored_oid: int | None = None,
    array: bool = False,
) -> Protection:
    made = protection(f"{table}.{column}", domain, type_oid, typmod, stored_oid)
    return replace(made, array=array)


def _in_another_order(made: Protection) -> Protection:
    """A column whose collation is not that of its domain's order index."""
    return replace(made, order_index=False, collation=Collation("POSIX", "c", "POSIX", "POSIX"))


RELATIONS = [
    _relation(
        101,
        "public",
        "customer",
        [
            ("customer_id", INT4, None),
            ("first_name", VARCHAR, _p("public.customer", "first_name", "first_name", typmod=44)),
            ("last_name", VARCHAR, _p("public.customer", "last_name", "last_name", typmod=24)),
            ("company", VARCHAR, None),
            ("phone", VARCHAR, _p("public.customer", "phone", "phone", typmod=28)),
            ("email", VARCHAR, _p("public.customer", "email", "email", typmod=64)),
            (
                "birth_date",
                DATE,
                _p("public.customer", "birth_date", "birth", type_oid=DATE, stored_oid=TEXT),
            ),
            (
                "loyalty_no",
                INT4,
                _p("public.customer", "loyalty_no", "loyalty", type_oid=INT4, stored_oid=TEXT),
            ),
            ("notes", TEXT, _p("public.customer", "notes", "notes", type_oid=TEXT)),
            (
                "country",
                BPCHAR,
                _p("public.customer", "country", "country", type_oid=BPCHAR, typmod=6, stored_oid=TEXT),
            ),
            ("support_rep_id", INT4, None),
        ],
    ),
    _relation(
        102,
        "public",
        "employee",
        [
            ("employee_id", INT4, None),
            ("last_name", VARCHAR, _p("public.employee", "last_name", "last_name", typmod=24)),
            ("first_name", VARCHAR, _p("public.employee", "first_name", "first_name", typmod=44)),
            ("title", VARCHAR, None),
            ("reports_to", INT4, None),
            ("email", VARCHAR, _p("public.employee", "email", "email", typmod=64)),
        ],
    ),
    _relation(
        103,
        "public",
        "invoice",
        [
            ("invoice_id", INT4, None),
            ("customer_id", INT4, None),
            ("invoice_date", TIMESTAMP, None),
            ("billing_email", TEXT, _p("public.invoice", "billing_email", "email", type_oid=TEXT)),
            ("billing_country", VARCHAR, None),
            ("total", NUMERIC, None),
        ],
    ),
    _relation(104, "public", "artist", [("artist_id", INT4, None), ("name", VARCHAR, None)]),
    _relation(
        105,
        "public",
        "album",
        [("album_id", INT4, None), ("title", VARCHAR, None), ("artist_id", INT4, None)],
    ),
    _relation(
        106,
        "archive",
        "customer",
        [("customer_id", INT4, None), ("email", VARCHAR, None), ("year", INT4, None)],
    ),
    _relation(
        107,
        "staging",
        "contact",
        [
            ("id", INT4, None),
            ("email", VARCHAR, _p("staging.contact", "email", "email", typmod=64)),
            ("source", TEXT, None),
        ],
    ),
    _relation(
        108,
        "public",
        "Odd Name",
        [("Id", INT4, None), ("E Mail", VARCHAR, _p("public.Odd Name", "E Mail", "email", typmod=64))],
    ),
    _relation(
        109,
        "public",
        "account",
        [
            ("id", INT4, None),
            (
                "login",
                CITEXT,
                protection(
                    "public.account.login",
                    "login",
                    type_oid=CITEXT,
                    codec_oid=TEXT,
                    stored_oid=CITEXT,
                    casefold=True,
                ),
            ),
            (
                "last_seen",
                TIMESTAMP,
                _p("public.account", "last_seen", "seen", type_oid=TIMESTAMP, stored_oid=TEXT),
            ),
            ("plan", VARCHAR, None),
        ],
    ),
    Relation(
        110,
        "public",
        "torn",
        "r",
        (Column("id", 1, INT4, -1), Column("secret", 2, TEXT, -1)),
        broken="column secret is registered but has no CHECK pgnym_99",
    ),
    Relation(
        113,
        "public",
        "person",
        "r",
        (
            Column("id", 1, INT4, -1),
            Column(
                "profile",
                2,
                JSONB,
                -1,
                leaves=(
                    _leaf("email", "email"),
                    _leaf("address.street", "street"),
                    _leaf("contacts[*].email", "email"),
                    _leaf("tags[*]", "tag"),
                    _leaf("pin", "secret"),
                ),
            ),
            Column("extra", 3, JSONB, -1, leaves=(_leaf("email", "email", "extra"),)),
            Column("plain", 4, JSONB, -1),
        ),
    ),
    _relation(
        112,
        "public",
        "list",
        [
            ("id", INT4, None),
            ("tags", TEXT, _p("public.list", "tags", "tag", type_oid=TEXT, array=True)),
            ("mails", VARCHAR, _p("public.list", "mails", "email", typmod=64, array=True)),
            (
                "numbers",
                INT4,
                _p("public.list", "numbers", "loyalty", type_oid=INT4, stored_oid=TEXT, array=True),
            ),
            ("days", DATE, _p("public.list", "days", "day", type_oid=DATE, stored_oid=TEXT, array=True)),
            ("secrets", TEXT, _p("public.list", "secrets", "secret", type_oid=TEXT, array=True)),
            ("words", 1009, None),
        ],
    ),
    _relation(
        114,
        "public",
        "member",
        [
            ("id", INT4, None),
            ("name", TEXT, _p("public.member", "name", "member", type_oid=TEXT)),
            ("nick", VARCHAR, _p("public.member", "nick", "member", typmod=24)),
            ("joined", DATE, _p("public.member", "joined", "joined", type_oid=DATE, stored_oid=TEXT)),
            ("points", INT4, _p("public.member", "points", "points", type_oid=INT4, stored_oid=TEXT)),
            ("email", VARCHAR, _p("public.member", "email", "email", typmod=64)),
            ("club", TEXT, None),
            (
                "birth_name",
                TEXT,
                _in_another_order(_p("public.member", "birth_name", "member", type_oid=TEXT)),
            ),
        ],
    ),
    _relation(
        115,
        "public",
        "visit",
        [
            ("id", INT4, None),
            ("member_id", INT4, None),
            ("guest", TEXT, _p("public.visit", "guest", "member", type_oid=TEXT)),
            ("day", DATE, _p("public.visit", "day", "joined", type_oid=DATE, stored_oid=TEXT)),
        ],
    ),
    _relation(111, "pg_catalog", "pg_class", [("oid", 26, None), ("relname", 19, None)]),
    _view(
        120,
        "customer_contact",
        [("id", INT4), ("mail", VARCHAR), ("full_name", TEXT)],
        "SELECT c.customer_id AS id, c.email AS mail,"
        " (((c.first_name)::text || ' '::text) || (c.last_name)::text) AS full_name FROM public.customer c",
    ),
    _view(
        121,
        "contact_of_contact",
        [("mail", VARCHAR)],
        "SELECT customer_contact.mail FROM public.customer_contact WHERE (customer_contact.id > 3)",
    ),
    _view(
        122,
        "sorted_customer",
        [("email", VARCHAR)],
        "SELECT customer.email FROM public.customer ORDER BY customer.email",
    ),
    _view(
        125,
        "member_card",
        [("id", INT4), ("label", TEXT), ("since", DATE)],
        "SELECT member.id, member.name AS label, member.joined AS since FROM public.member",
    ),
    _view(123, "album_title", [("title", VARCHAR)], "SELECT album.title FROM public.album"),
    _view(
        124,
        "stale_view",
        [("customer_id", INT4)],
        "SELECT customer.customer_id FROM public.customer WHERE ((customer.email)::text = 'a@b'::text)",
    ),
]

TYPES = [
    Type(CITEXT, "public", "citext", "S", array=70001),
    Type(70001, "public", "_citext", "A", element=CITEXT),
    Type(70101, "public", "customer", "C", relation=101, array=70102),
    Type(70102, "public", "_customer", "A", element=70101),
    Type(70104, "public", "artist", "C", relation=104),
]

FUNCTIONS = [
    Function(
        201,
        "public",
        "customer_by_email",
        (TEXT,),
        70101,
        "sql",
        True,
        body="SELECT * FROM public.customer WHERE email = $1",
    ),
    Function(202, "public", "add_tax", (NUMERIC,), NUMERIC, "plpgsql", False),
    Function(203, "public", "all_customers", (), 70101, "plpgsql", True),
    Function(204, "public", "find_customer", (TEXT,), 70101, "plpgsql", True),
    Function(
        206,
        "public",
        "mail_of",
        (INT4,),
        VARCHAR,
        "sql",
        False,
        ("who",),
        "",
        "SELECT email FROM customer WHERE customer_id = who",
    ),
    Function(
        207,
        "public",
        "set_mail",
        (INT4, TEXT),
        2278,
        "sql",
        False,
        body="UPDATE customer SET email = $2 WHERE customer_id = $1",
    ),
    Function(
        208,
        "public",
        "low_mail",
        (INT4,),
        TEXT,
        "sql",
        False,
        body="SELECT lower(email) FROM customer WHERE customer_id = $1",
    ),
    Function(
        209,
        "public",
        "names_of",
        (TEXT,),
        2249,
        "sql",
        True,
        ("mail", "first", "id"),
        "itt",
        "SELECT first_name, customer_id FROM customer WHERE email = mail",
    ),
    Function(
        210, "public", "stale", (), 20, "sql", False, body="SELECT count(*) FROM customer WHERE email = 'x@y'"
    ),
    Function(205, "public", "mask_it", (TEXT,), TEXT, "plpgsql", False),
]


def sample_catalog(epoch: int = 1) -> Catalog:
    """The whole catalog."""
    functions: dict[str, tuple[Function, ...]] = {}
    for function in FUNCTIONS:
        functions[function.name] = (*functions.get(function.name, ()), function)
    email = protection("public.customer.email", "email", typmod=64)
    return Catalog(
        epoch,
        {(r.schema, r.name): r for r in RELATIONS},
        {r.oid: r for r in RELATIONS},
        {t.oid: t for t in TYPES},
        functions,
        {("public", "find_customer"): Signature((email,), {"email": email})},
    )
