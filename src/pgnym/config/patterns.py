"""Patterns of columns: ``*``, ``schema.*``, ``schema.table.*``, ``schema.table.column``. The most specific
wins."""

from __future__ import annotations

from collections.abc import Iterable


def specificity(pattern: str, column: str) -> int:
    """How closely ``pattern`` names ``schema.table.column`` or a path within it: 5 exactly, 4 the path's column, 3 the
    table, 2 its schema, 1 all, 0 not."""
    if pattern == "*":
        return 1
    if pattern == column:
        return 5
    if pattern.count(".") == 2 and not pattern.endswith("*") and column.startswith(f"{pattern}."):
        return 4
    if pattern.endswith(".*") and column.startswith(pattern[:-1]):
        return 1 + pattern.count(".")
    return 0


def best(patterns: Iterable[str], column: str) -> int:
    """The specificity of the closest of ``patterns``, 0 if none matches."""
    return max((specificity(pattern, column) for pattern in patterns), default=0)
