"""Signatures as the configuration names them, and what they mean in one catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pgnym.sql.catalog import Catalog, Protection, Signature


@dataclass(frozen=True, slots=True)
class NamedSignature:
    """A signature by names: each a domain, or a column as ``schema.table.column``. See ``catalog.Signature``."""

    arguments: tuple[str | None, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)


NamedSignatures = Mapping[tuple[str, str], NamedSignature]


def with_signatures(catalog: Catalog, named: NamedSignatures) -> Catalog:
    """The catalog with signatures, by the protections that it has.

    A domain stands for all its columns: who may see every one of them may see the result. What names a column that isn't
    protected here makes the signature one of ``missing``: its function must not be called with plaintext.
    """
    if not named:
        return catalog
    known: dict[str, dict[str, Protection]] = {}
    for relation in catalog.by_oid.values():
        for column in relation.columns:
            if column.protection is not None:
                for each in (column.protection, *column.protection.union):
                    own = replace(each, union=())
                    known.setdefault(own.column, {own.column: own})
                    known.setdefault(own.domain, {}).setdefault(own.column, own)
    protections = {name: _united(columns) for name, columns in known.items()}
    return replace(
        catalog, signatures={key: _resolved(signature, protections) for key, signature in named.items()}
    )


def _united(columns: Mapping[str, Protection]) -> Protection:
    first, *others = (columns[name] for name in sorted(columns))
    return replace(first, union=tuple(others))


def _resolved(named: NamedSignature, protections: Mapping[str, Protection]) -> Signature:
    wanted = [*(a for a in named.arguments if a is not None), *named.results.values()]
    missing = [name for name in wanted if name not in protections]
    if missing:
        return Signature(missing=missing[0])
    return Signature(
        tuple(None if a is None else protections[a] for a in named.arguments),
        {name: protections[result] for name, result in named.results.items()},
    )
