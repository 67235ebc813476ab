"""Conditions: on equality, on what is in a value, on order."""

from __future__ import annotations

import json
import re

from values import CANARY
from writing import Ref, Writer


def condition(w: Writer, ref: Ref) -> str:
    """Any condition on one column."""
    if w.chance(0.25):
        one, two = atom(w, ref), atom(w, ref)
        return w.pick(f"({one} OR {two})", f"({one} AND {two})", f"NOT ({one})", f"({one}) IS NOT TRUE")
    return atom(w, ref)


def atom(w: Writer, ref: Ref) -> str:
    """A condition that isn't composed."""
    kind = w.random.random()
    if kind < 0.3:
        return equality(w, ref)
    if kind < 0.5:
        return order(w, ref)
    return contents(w, ref)


def equality(w: Writer, ref: Ref) -> str:
    """What tokens can answer."""
    one, two = w.like(ref.column), w.like(ref.column)
    return w.pick(
        f"{ref} = {one}",
        f"{one} = {ref}",
        f"{ref} <> {one}",
        f"{ref} IN ({one}, {two})",
        f"{ref} NOT IN ({one}, {two})",
        f"{ref} = ANY (ARRAY[{one}, {two}]::{ref.column.typed.base}[])"
        if ref.column.family not in ("texts", "ints")
        else f"{ref} = {two}",
        f"{ref} IS NULL",
        f"{ref} IS NOT NULL",
        f"{ref} IS DISTINCT FROM {one}",
        f"{ref} IS NOT DISTINCT FROM {one}",
        f"({one} = {two} OR {ref} = {one})",
        f"({one} IN ({two}, {one}) AND {ref} IN ({one}, {two}))",
    )


def order(w: Writer, ref: Ref) -> str:
    """Ranges."""
    one, two = w.like(ref.column), w.like(ref.column)
    return w.pick(
        f"{ref} {w.pick('<', '<=', '>', '>=')} {one}",
        f"{ref} BETWEEN {one} AND {two}",
        f"{ref} NOT BETWEEN {one} AND {two}",
        f"{ref} BETWEEN SYMMETRIC {one} AND {two}",
        f"({ref} >= {one} AND {ref} < {two})",
    )


def contents(w: Writer, ref: Ref) -> str:
    """What looks into a value."""
    match ref.column.family:
        case "text":
            return _text(w, ref)
        case "char":
            return w.pick(
                f"{ref} LIKE {w.string('A%', '%b', 'AB', '_B%')}", f"length({ref}) > {w.number(0, 1, 2, 4)}"
            )
        case "date":
            return w.pick(
                f"extract({w.pick('year', 'month', 'day', 'dow', 'quarter')} FROM {ref}) = {w.number(1815, 2, 12, 1999, 0)}",
                f"date_part('year', {ref}) > {w.number(1815, 1950, 2000)}",
                f"{ref} + {w.number(1, 30)} > {w.like(ref.column)}",
                f"isfinite({ref})",
                f"{ref}::text LIKE {w.string('1%', '%-0%', '2000-__-__')}",
                f"to_char({ref}, 'YYYY') = {w.string('1815', '2000')}",
                f"date_trunc('year', {ref})::date < {w.like(ref.column)}",
                f"{ref} - interval '1 month' < timestamp '1999-12-31'",
            )
        case "timestamp":
            return w.pick(
                f"date_trunc('{w.pick('year', 'month', 'day', 'hour')}', {ref}) = {w.like(ref.column)}",
                f"extract({w.pick('year', 'hour', 'epoch')} FROM {ref}) > {w.number(0, 4, 2000)}",
                f"{ref}::date = date '2001-02-03'",
                f"{ref}::text LIKE {w.string('%12:00%', '19%')}",
                f"to_char({ref}, 'HH24') > {w.string('04', '11')}",
                f"{ref} + interval '1 day' > {w.like(ref.column)}",
            )
        case "timestamptz":
            return f"extract(epoch FROM {ref}) > {w.number(0, 1000000000)}"
        case "int":
            return w.pick(
                f"{ref} + {w.number(1, 2)} > {w.number(0, 8)}",
                f"{ref} % {w.number(2, 7)} = {w.number(0, 1)}",
                f"abs({ref}) < {w.number(4, 100)}",
                f"-{ref} > {w.number(0, -7)}",
                f"{ref} * {w.number(2)} = {w.number(14, 24)}",
                f"{ref}::text LIKE {w.string('1%', '%7')}",
                f"{ref} > {w.constant('6.5', 'numeric(8,2)')}",
            )
        case "numeric":
            return w.pick(
                f"{ref} * {w.number(2)} > {w.number(3)}",
                f"abs({ref}) < {w.number(10)}",
                f"round({ref}) = {w.number(2, 100)}",
                f"{ref} - {w.number(1)} = {w.number(99)}",
            )
        case "float":
            return w.pick(
                f"{ref} > {w.number(0, 7)}", f"abs({ref}) < {w.number(10)}", f"{ref} * 2 > {w.number(3)}"
            )
        case "bytea":
            return w.pick(f"length({ref}) > {w.number(0, 1)}", f"octet_length({ref}) = {w.number(0, 2)}")
        case "texts":
            return w.pick(
                f"{w.string('x', 'b c')} = ANY ({ref})",
                f"{ref} @> ARRAY[{w.string('x')}]",
                f"cardinality({ref}) > {w.number(0, 1)}",
                f"{ref}[1] = {w.string('x')}",
                f"array_length({ref}, 1) = {w.number(1, 2)}",
                f"{ref} && ARRAY[{w.string('x')}, '']",
                f"EXISTS (SELECT FROM unnest({ref}) u WHERE u LIKE {w.string('x%')})",
                f"array_position({ref}, {w.string('x')}) = 1",
            )
        case "ints":
            return w.pick(
                f"{w.number(1, 7)} = ANY ({ref})",
                f"{ref} @> ARRAY[{w.number(1, 7)}]",
                f"{ref}[1] = {w.number(1)}",
            )
        case "citext":
            one = w.string("x", "ada", (w.content(ref.column) or "b c")[:3])
            return w.pick(
                f"{ref} LIKE {w.string('%q%', 'a%', '_')}",
                f"{ref} ILIKE {w.string('%Q%', 'A%')}",
                f"{ref} ~ {w.string('^[a-f]', 'q0')}",
                f"{ref} NOT LIKE {w.string('%q%')}",
                f"{ref} = {one}",
            )
        case "document":
            return _document(w, ref)
        case "jsonb":
            return w.pick(
                f"{ref} ->> 'a' = {w.string('1')}", f"{ref} @> {w.constant('{}', 'jsonb')}", f"{ref} ? 'a'"
            )
        case _:
            return equality(w, ref)


def _text(w: Writer, ref: Ref) -> str:
    part, other = w.fragment(ref.column), w.fragment(ref.column)
    escaped = re.sub(r"([%_\\])", r"\\\1", part)
    pattern = w.string(
        f"{escaped}%", f"%{escaped}%", f"%{escaped}", escaped, f"_{escaped}%", part + "%", "%", ""
    )
    regex = w.string(
        f"^{re.escape(part)}",
        re.escape(part),
        f"{re.escape(part)}$",
        "[0-9]+",
        "^[A-Z]",
        f"({re.escape(part)}|x)",
    )
    whole = w.like(ref.column)
    n = w.number(0, 1, 3, 8, 10)
    return w.random.choice(
        [
            f"{ref} LIKE {pattern}",
            f"{ref} LIKE {pattern}",
            f"{ref} ILIKE {pattern}",
            f"{ref} NOT LIKE {pattern}",
            f"{ref} NOT ILIKE {pattern}",
            f"{ref} LIKE {w.string('!%%', '%!_%')} ESCAPE '!'",
            f"{ref} LIKE ANY (ARRAY[{pattern}, {w.string('x%', '%b%')}])",
            f"{ref} ~ {regex}",
            f"{ref} ~* {regex}",
            f"{ref} !~ {regex}",
            f"regexp_like({ref}, {regex})",
            f"{ref} SIMILAR TO {w.string('(A|a)%', '%[0-9]', 'x')}",
            f"starts_with({ref}, {w.string(part, '')})",
            f"{ref} ^@ {w.string(part)}",
            f"lower({ref}) = {w.string(part.lower(), 'ada', 'x')}",
            f"lower({ref}) = lower({whole})",
            f"upper({ref}) IN ({w.string(part.upper(), 'ADA')}, upper({whole}))",
            f"length({ref}) > {n}",
            f"length({ref}) BETWEEN 1 AND {n}",
            f"char_length({ref}) = {n}",
            f"left({ref}, 2) = {w.string(part[:2], 'zq')}",
            f"right({ref}, 3) <> {w.string(part[-3:], 'org')}",
            f"substr({ref}, 1, 3) = {w.string(part[:3], 'Ada')}",
            f"substring({ref} FROM 2 FOR 3) = {w.string(part)}",
            f"split_part({ref}, '@', 2) = {w.string('example.org', '')}",
            f"replace({ref}, {w.string('a', 'zq')}, 'b') = {w.string(part)}",
            f"position({w.string('@', part)} in {ref}) > {w.number(0, 1)}",
            f"strpos({ref}, {w.string(part, 'q')}) = {w.number(0, 1)}",
            f"coalesce({ref}, '') LIKE {pattern}",
            f"coalesce(lower({ref}), {w.string('none')}) = {w.string('none', 'ada')}",
            f"nullif({ref}, '') LIKE {pattern}",
            f"trim({ref}) = {w.string(part.strip(), 'x')}",
            f"btrim({ref}, ' x') <> {w.string('')}",
            f"{ref} || {w.string('!')} = {w.string(part + '!', 'x!')}",
            f"md5({ref}) = md5({w.string(part, 'x')})",
            f"reverse({ref}) LIKE {w.string('%q%', 'a%')}",
            f"lower(left({ref}, 3)) = {w.string('ada', other[:3])}",
            f"length(trim(lower({ref}))) > {n}",
            f"initcap({ref}) = {w.string('Ada')}",
            f"{ref}::varchar LIKE {pattern}",
            f"concat({ref}, {w.string('x')}) = {w.string('xx', 'Adax')}",
            f"translate({ref}, 'az', 'xy') = {w.string(part)}",
            f"({ref} LIKE {pattern}) IS TRUE",
            f"lpad({ref}, 3, '*') = {w.string('**x')}",
            f'{ref} COLLATE "C" < {whole}',
            f"greatest({ref}, {whole}) = {ref}",
            f"{w.pick('upper', 'length', 'initcap')}({ref}) IS {w.pick('', 'NOT ')}NULL",
            f"lower({ref}) IS {w.pick('', 'NOT ')}DISTINCT FROM {w.string('ada')}",
        ]
    )


def _document(w: Writer, ref: Ref) -> str:
    """What asks for parts of a document, protected or not."""
    whole = json.loads(w.content(ref.column) or "{}")
    mail = w.string("x", str(whole.get("mail")), CANARY)
    tag = w.string("x", str((whole.get("tags") or [""])[0]))
    inner = w.string("Ada", str(whole.get("a", {}).get("b")))
    found = {k: v for k, v in whole.items() if k == "mail" and isinstance(v, str)}
    return w.pick(
        f"{ref} ->> 'mail' = {mail}",
        f"{ref} ->> 'mail' IN ({mail}, {inner})",
        f"{ref} #>> '{{a,b}}' = {inner}",
        f"{ref} -> 'a' ->> 'b' = {inner}",
        f"{ref} -> 'tags' ->> 0 = {tag}",
        f"{ref} @> {w.constant(json.dumps(found), 'jsonb')}",
        f"{ref} ->> 'mail' LIKE {w.string('%q%', 'z%', 'x')}",
        f"lower({ref} ->> 'mail') = {mail}",
        f"{ref} ->> 'mail' < {mail}",
        f"{ref} ->> 'mail' IS NULL",
        f"{ref} -> 'tags' ? {tag}",
        f"{ref} ? {w.string('mail', 'n', 'a')}",
        f"{ref} ->> 'n' = {w.string('1', 'text')}",
        f"({ref} -> 'a' ->> 'c')::int > {w.number(1, 3)}",
        f"jsonb_array_length({ref} -> 'tags') > {w.number(0, 1)}",
        f"EXISTS (SELECT FROM jsonb_array_elements_text({ref} -> 'tags') e WHERE e = {tag})",
    )
