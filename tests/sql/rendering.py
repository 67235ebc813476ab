"""Plans in words, for the case files: tokens as ``<domain:'value'>``, outputs by domain and container."""

from __future__ import annotations

import re

from sample_catalog import COLLATION, PREFIXES

from pgnym.semantics.expression import describe
from pgnym.sql.ordering import NULL_KEY, UNRANKED
from pgnym.sql.plan import (
    Answer,
    Deferral,
    FollowPiece,
    Given,
    LiteralPiece,
    Lookup,
    LookupPiece,
    MarkPart,
    MarkPiece,
    OutputColumn,
    Rewrite,
    StatementPlan,
    Use,
    ValueUse,
)

# The text around an expression that makes its rank of it, shown as ``rank<email>(…)``.
_RANK = re.compile(r"NULLIF\(coalesce\((<[^>]* ranks[^>]*>|'\{\}')::jsonb ->> coalesce\(\(")
_RANKED = f")::text, '{NULL_KEY}'), '{UNRANKED}'), '')::int"

# The same for the code in an order index, shown as ``code<member>(…)``; the place of a constant among the codes,
# ``place<member 'x'>``; and the token of a code, ``token<member>(…)``.
_CODE = re.compile(r"\(pgnym\.order_(\w{3})\(\(")
_CODED = ')::text) COLLATE pg_catalog."C")'
_PLACE = re.compile(r"pgnym\.place_(\w{3})\(NULLIF\((?:<\w+ code ([^>]*)>|(\$\d+))::text, '\?'\)\)")
_TOKEN = re.compile(r"\(pgnym\.token_(\w{3})\(")
_DOMAINS = {prefix[3:].decode(): domain for domain, prefix in PREFIXES.items()}

_PARTS = {MarkPart.OPEN: "«{0}", MarkPart.NEXT: "¦", MarkPart.CLOSE: "»"}
# A guard in short: the column and the prefix of its domain.
_CHECK = re.compile(r"""CHECK \((".+?") IS NULL OR [^$]*? '\^(\w{6})\[a-z2-7\]\{24\}\$'\)""")
_MARKS = {Use.COMPARE: "", Use.WRITE: "+", Use.CARRY: "~"}


def render_text(rewrite: Rewrite) -> str:
    """The text to send; ``+`` before the domain: stored, ``~``: carried; look-ups as ``render_lookup``."""
    parts = []
    for piece in rewrite.pieces:
        if isinstance(piece, LiteralPiece):
            parts.append(f"<{render_use(piece.use)}:'{piece.value}'>")
        elif isinstance(piece, LookupPiece):
            parts.append(f"<{render_lookup(piece.lookup)}>")
        elif isinstance(piece, MarkPiece):
            parts.append(_PARTS[piece.part].format(piece.index))
        elif isinstance(piece, FollowPiece):
            parts.append(_CHECK.sub(r"CHECK (\1 \2)", piece.text.decode()))
        else:
            parts.append(piece.decode())
    text = _RANK.sub(r"rank\1(", "".join(parts)).replace(_RANKED, ")")
    text = _CODE.sub(lambda m: f"code<{_DOMAINS[m[1]]}>(", text).replace(_CODED, ")")
    text = _TOKEN.sub(lambda m: f"(token<{_DOMAINS[m[1]]}>(", text)
    return _PLACE.sub(lambda m: f"place<{_DOMAINS[m[1]]} {m[2] or m[3]}>", text)


def render_lookup(lookup: Lookup) -> str:
    """A look-up as domain, what it brings, and its test: ``email matches (value ~~ 'a%')``."""
    text = f"{lookup.protection.domain} {lookup.answer.value}"
    collation = lookup.protection.collation
    if collation not in (None, COLLATION) and lookup.answer is not Answer.MATCHES:
        text += f' "{collation.name}"'
    if lookup.test is None:
        return text
    constants = tuple(
        "NULL" if c is None else f"${c}" if isinstance(c, int) else f"'{c}'" for c in lookup.constants
    )
    return f"{text} {describe(lookup.test, constants)}"


def render_use(use: ValueUse) -> str:
    """A use as mark, domain, and brackets for arrays; of a document the domains of its paths."""
    if use.leaves:
        return f"{_MARKS[use.use]}json({'+'.join(sorted({leaf.protection.domain for leaf in use.leaves}))})"
    return f"{_MARKS[use.use]}{use.protection.domain}{'[]' if use.array else ''}"


def render_output(output: OutputColumn | None) -> str:
    """``-`` for unprotected, else domains, containers and a changed type."""
    if output is None:
        return "-"
    text = "+".join(sorted(lineage.protection.domain for lineage in output.lineages))
    if output.containers:
        text += "/" + ".".join(c.value for c in output.containers)
    if output.type_oid is not None:
        text += f":{output.type_oid}"
        if output.typmod not in (None, -1):
            text += f"({output.typmod})"
    shown = [f"{i}={render_deferral(d)}" for i, d in enumerate(output.deferrals) if d is not None]
    return f"{text}[{'; '.join(shown)}]" if shown else text


def render_deferral(deferral: Deferral) -> str:
    """What is applied to what the marks enclose: ``left(value, 3)``; ``¦1`` is the second thing enclosed."""
    return describe(deferral.expression, tuple(map(_given, deferral.constants)))


def _given(given: Given) -> str:
    if given.parameter is not None:
        return f"${given.parameter}"
    if given.enclosed is not None:
        return f"¦{given.enclosed}"
    return "NULL" if given.text is None else f"'{given.text}'"


def render_outputs(plan: StatementPlan) -> str:
    """All output columns of a statement."""
    return " ".join(render_output(o) for o in plan.outputs)


def render_parameters(plan: StatementPlan) -> str:
    """Upstream parameters: source and use, with shown and sent types."""
    if plan.parameters is None:
        return ""
    parts = []
    for number, parameter in enumerate(plan.parameters, 1):
        use = (
            f"={render_use(parameter.use)}"
            if parameter.use is not None
            else " kept"
            if parameter.withheld
            else ""
        )
        sent = (plan.sent_parameter_types or {}).get(number)
        parts.append(f"${parameter.source}{use}{f':{sent}' if sent else ''}")
    shown = [f"${n} shown {t}" for n, t in sorted((plan.shown_parameter_types or {}).items())]
    return " ".join([*parts, *shown])
