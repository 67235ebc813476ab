"""Signatures that ``plan`` proposes for functions with opaque bodies, from the names of arguments and result columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgnym.onboard.model import Connection

FUNCTIONS = """
SELECT n.nspname || '.' || p.proname, p.oid::regprocedure::text, l.lanname, p.prosrc, p.proargnames,
  coalesce(array_to_string(p.proargmodes, ''), ''), p.pronargs::int,
  ARRAY(SELECT a.attname::text FROM pg_attribute a JOIN pg_type t ON t.typrelid = a.attrelid
        WHERE t.oid = p.prorettype AND t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype), p.prorettype = 'void'::regtype
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'vault') AND l.lanname NOT IN ('c', 'internal')
  AND position($1 in lower(p.prosrc)) > 0
ORDER BY 2
"""
_PREFIXES = re.compile(r"^(p_|in_|_|v_|the_|a_)+")


@dataclass(frozen=True, slots=True)
class Body:
    """A function whose text mentions a table."""

    name: str
    signature: str
    language: str
    source: str
    argument_names: Sequence[str]
    argument_modes: str
    arguments: int
    row: Sequence[str]
    fires: bool
    void: bool

    @property
    def words(self) -> set[str]:
        """The words of its body, folded, and ``*``."""
        return {word.lower() for word in re.findall(r"\w+|\*", self.source)}


async def bodies(app: Connection, table: str) -> list[Body]:
    """Functions whose text mentions ``table``."""
    found = [(*row[:4], row[4] or (), *row[5:]) for row in await app.fetch(FUNCTIONS, table.lower())]
    return [body for body in (Body(*row) for row in found) if table.lower() in body.words]


def proposed(body: Body, columns: Mapping[str, str]) -> str:
    """One line for ``functions:``, "" where names tell nothing. ``columns``: protected ones, name → ``schema.table.column``.

    A guess by names: whoever pastes it must see that it is right.
    """
    modes = body.argument_modes or "i" * len(body.argument_names)
    named = list(zip(body.argument_names, modes, strict=False))
    inputs = [_meant(name, columns) for name, mode in named if mode in ("i", "b", "v")]
    inputs += [None] * (body.arguments - len(inputs))
    outs = [name for name, mode in named if mode in ("o", "b", "t")] or list(body.row)
    results = {name: column for name in outs if (column := _meant(name, columns)) is not None}
    parts = []
    if any(inputs):
        parts.append(f"arguments: [{', '.join(i or 'null' for i in inputs)}]")
    if results:
        parts.append(f"results: {{{', '.join(f'{name}: {column}' for name, column in results.items())}}}")
    elif not outs and not body.void:
        wanted = _meant(body.name.split(".")[1], columns)
        if wanted is not None:
            parts.append(f"results: {wanted}")
    return f"{body.name}: {{{', '.join(parts)}}}" if parts else ""


def _meant(name: str, columns: Mapping[str, str]) -> str | None:
    """The protected column that a name means: its own, or that with a prefix such as ``p_``."""
    plain = _PREFIXES.sub("", name.lower())
    for column, full in columns.items():
        if column.lower() in (name.lower(), plain):
            return full
    return None
