"""Taking the values out of rows that stay."""

from __future__ import annotations

from collections.abc import Iterable

from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import Holder, quoted

_TEXTS = frozenset((25, 1042, 1043))


def scrubbing(table: str, holders: Iterable[Holder], option: str) -> str:
    """The UPDATE that takes the values out of rows of a table (SQL), without its condition; "" if there is nothing to take.

    Its table goes by the name ``t``. ``option``: of the configuration, where ``delete`` can be said instead. Raises
    PrivacyError where a column admits neither NULL nor an empty value.
    """
    changes: dict[str, str] = {}
    paths: set[str] = set()
    for holder in holders:
        column = quoted(holder.column)
        if holder.path:
            # Only the tokens are taken out of a document; a key is no value.
            before = changes.get(holder.column, f"t.{column}::text")
            changes[holder.column] = (
                f"pg_catalog.regexp_replace({before}, '\"{holder.pattern}\"(?!\\s*:)', '\"\"', 'g')"
            )
            paths.add(holder.column)
        elif not holder.not_null:
            changes[holder.column] = "NULL"
        elif holder.array:
            changes[holder.column] = "'{}'"
        elif holder.codec_oid in _TEXTS:
            changes[holder.column] = "''"
        else:
            raise PrivacyError(
                f"{holder.name} can't be scrubbed: it is NOT NULL, and its type has no empty value",
                hint=f"Say {option}: delete, or drop NOT NULL.",
            )
    listed = ", ".join(
        f"{quoted(name)} = ({change})::jsonb" if name in paths else f"{quoted(name)} = {change}"
        for name, change in changes.items()
    )
    return f"UPDATE {table} AS t SET {listed}" if listed else ""  # noqa: S608 - quoted
