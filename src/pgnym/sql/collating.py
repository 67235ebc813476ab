"""The collations of a database, and which of its columns have another than the database's own.

The queries work on PostgreSQL 13 to 18: columns of the catalog that came or were renamed in between are read from the row
as JSON. Versions are those of the library that the server runs with now, since it is by that library that it sorts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgnym.semantics.expression import Collation

Rows = Iterable[Sequence[Any]]

# ICU's are left out but for those that a column has: there are hundreds, and no order of ICU's can be told exactly.
# One libc locale has the version of all; before PostgreSQL 15 the database's own wasn't recorded.
COLLATIONS = """
WITH d AS (SELECT d.*, pg_catalog.to_jsonb(d) AS j FROM pg_catalog.pg_database d
            WHERE d.datname = pg_catalog.current_database())
SELECT c.oid::pg_catalog.int8, n.nspname::pg_catalog.text, c.collname::pg_catalog.text,
       CASE WHEN c.collprovider <> 'd' THEN c.collprovider::pg_catalog.text
            ELSE coalesce(d.j ->> 'datlocprovider', 'c') END,
       CASE WHEN c.collprovider = 'd' AND coalesce(d.j ->> 'datlocprovider', 'c') = 'c' THEN d.datcollate::pg_catalog.text
            WHEN c.collprovider = 'd' THEN coalesce(d.j ->> 'datlocale', d.j ->> 'daticulocale')
            ELSE coalesce(pg_catalog.to_jsonb(c) ->> 'colllocale', pg_catalog.to_jsonb(c) ->> 'colliculocale',
                          c.collcollate::pg_catalog.text) END,
       CASE WHEN c.collprovider = 'd' AND coalesce(d.j ->> 'datlocprovider', 'c') = 'c' THEN d.datctype::pg_catalog.text
            WHEN c.collprovider = 'd' THEN coalesce(d.j ->> 'datlocale', d.j ->> 'daticulocale')
            ELSE coalesce(pg_catalog.to_jsonb(c) ->> 'colllocale', pg_catalog.to_jsonb(c) ->> 'colliculocale',
                          c.collctype::pg_catalog.text) END,
       CASE WHEN c.collprovider <> 'd' THEN pg_catalog.pg_collation_actual_version(c.oid)
            WHEN coalesce(d.j ->> 'datlocprovider', 'c') <> 'c' THEN d.j ->> 'datcollversion'
            ELSE coalesce((SELECT pg_catalog.pg_collation_actual_version(l.oid) FROM pg_catalog.pg_collation l
                            WHERE l.collprovider = 'c' AND pg_catalog.upper(l.collcollate) NOT IN ('C', 'POSIX')
                              AND pg_catalog.upper(l.collcollate) NOT LIKE 'C.%' AND l.collencoding IN (-1, d.encoding)
                            LIMIT 1),
                          d.j ->> 'datcollversion') END,
       c.collisdeterministic, pg_catalog.pg_encoding_to_char(d.encoding)::pg_catalog.text
  FROM d, pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
 WHERE c.collencoding IN (-1, d.encoding)
   AND (c.collprovider <> 'i' OR c.oid IN (SELECT a.attcollation FROM pg_catalog.pg_attribute a WHERE a.attcollation <> 0))
"""

COLUMN_COLLATIONS = """
SELECT a.attrelid::pg_catalog.int8, a.attnum::pg_catalog.int4, a.attcollation::pg_catalog.int8
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attcollation NOT IN (0, 100) AND c.relkind IN ('r', 'p', 'f')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
"""

DEFAULT = ("pg_catalog", "default")
_COLLATABLE = frozenset({19, 25, 1042, 1043})
"""name, text, char(n), varchar(n): the built-in types with a collation that can be protected."""


@dataclass(frozen=True, slots=True)
class Collations:
    """``named`` by schema and name, as a COLLATE clause does; the database's own is ``pg_catalog.default``.

    ``by_column``: by relation and attnum, for columns that have another than the database's own.
    """

    named: Mapping[tuple[str, str], Collation] = field(default_factory=dict)
    by_column: Mapping[tuple[int, int], Collation] = field(default_factory=dict)

    def of_column(self, relation: int, attnum: int, codec_oid: int) -> Collation | None:
        """The collation of a column whose original type has the format of ``codec_oid``; None if that has none."""
        if codec_oid not in _COLLATABLE:
            return None
        return self.by_column.get((relation, attnum)) or self.named.get(DEFAULT)


def build_collations(collations: Rows, columns: Rows) -> Collations:
    """From the rows of ``COLLATIONS`` and ``COLUMN_COLLATIONS``."""
    named: dict[tuple[str, str], Collation] = {}
    by_oid: dict[int, Collation] = {}
    for oid, schema, name, provider, locale, ctype, version, deterministic, encoding in collations:
        if encoding != "UTF8":  # order and case are then those of another encoding
            provider, locale, ctype = "", encoding, encoding
        by_oid[oid] = named[schema, name] = Collation(name, provider, locale, ctype, version, deterministic)
    return Collations(
        named, {(relation, attnum): by_oid[c] for relation, attnum, c in columns if c in by_oid}
    )
