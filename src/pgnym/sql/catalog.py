"""The catalog snapshot: what the planner knows of a database at one moment. Immutable; replaced as a whole.

The gateway fills it from ``pg_catalog`` and the registry (see ``load.py`` for the queries and the building, which are
pure); the planner only reads it. One snapshot has one ``epoch``; a plan is valid for one epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgnym.semantics.documents import Path
from pgnym.semantics.expression import Collation


@dataclass(frozen=True, slots=True)
class Protection:
    """How one column is protected, from the registry.

    ``column`` is ``schema.table.column`` as policies name it. ``prefix`` is the six bytes that every token of the domain
    starts with (``pn1`` and three base32 characters). ``type_oid`` and ``typmod`` are the original type that clients are
    shown; ``codec_oid`` is the built-in type whose text and binary formats it has (``citext`` has those of ``text``).
    ``stored_oid`` is the type the column has now. ``casefold``: values are stored and compared case-folded.
    ``normalize``: by which other rule they are brought into one spelling (``email``, ``phone``), "" for none.
    ``collation``: the column's, None where its type has none. ``array``: the column is an array of such values; types and
    modifier are those of its elements. ``id``: of the registry's row; the CHECK is named by it. ``path``: of what lies
    within a jsonb column. ``union``: further columns
    that the values may come from, where a table was made from a query that brought several together; who may see all of
    them may see the values. ``order_index``: ``pgnym.order_code(token)``, in the database, is in the order of the domain's
    values under this collation.
    """

    column: str
    domain: str
    prefix: bytes
    randomized: bool
    type_oid: int
    typmod: int
    codec_oid: int
    stored_oid: int
    casefold: bool = False
    collation: Collation | None = None
    array: bool = False
    id: int = 0
    path: Path = ()
    union: tuple[Protection, ...] = ()
    order_index: bool = False
    normalize: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """All columns whose policies the values go by."""
        return frozenset((self.column, *(p.column for p in self.union)))


@dataclass(frozen=True, slots=True)
class Leaf:
    """The strings at one path of a jsonb column. ``protection``: of such a string, which is text to all that reads it."""

    path: Path
    protection: Protection


@dataclass(frozen=True, slots=True)
class Column:
    """An attribute of a relation. ``attnum`` as in ``pg_attribute``; dropped columns are not listed.

    ``protection``: of the values; ``leaves``: of a jsonb column of which only some paths are protected.
    """

    name: str
    attnum: int
    type_oid: int
    typmod: int
    protection: Protection | None = None
    generated: bool = False
    leaves: tuple[Leaf, ...] = ()

    @property
    def protections(self) -> tuple[Protection, ...]:
        """Of whatever in the column are tokens."""
        whole = () if self.protection is None else (self.protection,)
        return whole + tuple(leaf.protection for leaf in self.leaves)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table (``r``, ``p``), view (``v``), materialized view (``m``), foreign table (``f``), sequence
    (``S``) or composite type (``c``).

    ``view_sql`` is ``pg_get_viewdef`` for views. ``broken`` says why statements on it must be refused (the registry and
    the table disagree: for instance a protected column without its CHECK), ``repair`` what would put it right.
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    view_sql: str | None = None
    broken: str | None = None
    repair: str = "Run `pgnym plan` to see what is missing, then `pgnym apply`."

    @property
    def protected(self) -> bool:
        """Whether a column of the relation itself holds tokens (views are judged by their definition)."""
        return any(c.protections for c in self.columns)


@dataclass(frozen=True, slots=True)
class Type:
    """A row of ``pg_type``. ``element`` is the element type of an array, else 0; ``array`` its array type, or 0.

    ``base`` is the base type of a domain, else 0; ``relation`` the relation of a composite type, else 0.
    """

    oid: int
    schema: str
    name: str
    category: str
    element: int = 0
    array: int = 0
    base: int = 0
    relation: int = 0


@dataclass(frozen=True, slots=True)
class Function:
    """A user-defined function: enough to know whether its body is opaque. ``body`` only for SQL-language functions."""

    oid: int
    schema: str
    name: str
    arguments: tuple[int, ...]
    result: int
    language: str
    returns_set: bool
    argument_names: tuple[str, ...] = ()
    argument_modes: str = ""
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What the configuration says of an opaque function: the domain of each argument and result column, or None.

    ``arguments``: by position. ``results``: by name of the result column (``""`` for a scalar result). A domain is given
    by the Protection of one of its columns, so that type and prefix are known. ``missing``: what the configuration names
    and isn't protected; the function can't be called then.
    """

    arguments: tuple[Protection | None, ...] = ()
    results: Mapping[str, Protection] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """One snapshot. Look-ups are by (schema, name); resolution along a search_path is in ``resolve.py``.

    ``collations``: ``pg_catalog.default`` is the database's own. ICU's are there only where a column has them.
    ``path``: the search_path by which names in definitions of views are resolved.
    """

    epoch: int
    relations: Mapping[tuple[str, str], Relation] = field(default_factory=dict)
    by_oid: Mapping[int, Relation] = field(default_factory=dict)
    types: Mapping[int, Type] = field(default_factory=dict)
    functions: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    signatures: Mapping[tuple[str, str], Signature] = field(default_factory=dict)
    collations: Mapping[tuple[str, str], Collation] = field(default_factory=dict)
    path: tuple[str, ...] = ("pg_catalog",)
