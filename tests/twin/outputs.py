"""What can be shown of columns: themselves, functions of them, and what is built from them."""

from __future__ import annotations

from predicates import condition
from writing import Ref, Writer


def expression(w: Writer, ref: Ref) -> str:
    """A function of a column, or the column."""
    n = w.number(0, 1, 2, 5)
    if ref.column.family == "text":
        inner = w.pick(str(ref), str(ref), f"trim({ref})", f"({ref} || '!')", f"coalesce({ref}, 'n/a')")
        return w.random.choice(
            [
                f"lower({inner})",
                f"upper({inner})",
                f"initcap({inner})",
                f"length({inner})",
                f"left({inner}, {n})",
                f"right({inner}, {n})",
                f"substr({inner}, 2)",
                f"substr({inner}, 1, {n})",
                f"substring({inner} FROM 2 FOR 4)",
                f"split_part({inner}, '@', 1)",
                f"replace({inner}, {w.string('a', 'zq')}, {w.string('-', '')})",
                f"reverse({inner})",
                f"btrim({inner}, ' x')",
                f"lpad({inner}, 12, '*')",
                f"rpad({inner}, 3)",
                f"md5({inner})",
                f"translate({inner}, 'az', 'b')",
                f"octet_length({inner})",
                f"upper(left({inner}, 1)) || substr({inner}, 2)",
                f"repeat({inner}, 2)",
            ]
        )
    return str(ref)


def computed(w: Writer, ref: Ref) -> str:
    """What groups are made of."""
    match ref.column.family:
        case "date":
            return w.pick(
                f"extract({w.pick('year', 'month', 'dow')} FROM {ref})",
                f"date_part('year', {ref})",
                f"{ref} + 1",
                f"{ref}::timestamp",
            )
        case "timestamp":
            return w.pick(
                f"date_trunc('{w.pick('year', 'month', 'day')}', {ref})",
                f"{ref}::date",
                f"extract(hour FROM {ref})",
                f"to_char({ref}, 'YYYY-MM-DD HH24:MI')",
            )
        case "int":
            return w.pick(f"{ref} % 3", f"abs({ref})", f"{ref} / 10", f"{ref} + 1")
        case _:
            return expression(w, ref)


def built(w: Writer, one: Ref, two: Ref) -> str:
    """Something built from two columns."""
    fits = w.column(w.base()).typed.sql  # any type, for a NULL that is cast
    same = two if one.column.domain == two.column.domain and one.column.typed == two.column.typed else one
    joinable = one.column.family not in ("texts", "ints", "jsonb", "bytea", "document")
    text = [
        f"{one} || ' ' || {two}",
        f"{one}::text || {two}::text",
        f"concat({one}, '-', {two})",
        f"concat_ws(', ', {one}, {two})",
        f"format('%s <%s>', {one}, {two})",
        f"{one}::text",
    ]
    return w.random.choice(
        [
            *(
                text
                if joinable and two.column.family not in ("texts", "ints", "jsonb", "bytea", "document")
                else []
            ),
            f"coalesce({one}, {same})",
            f"CASE WHEN {condition(w, one)} THEN {same} ELSE {one} END",
            f"CASE WHEN {condition(w, two)} THEN {one} END",
            f"nullif({one}, {w.like(one.column)})",
            f"coalesce({one}, {w.like(one.column)})" if one.column.domain else f"coalesce({one}, {same})",
            f"ARRAY[{one}, {same}]" if one.column.family not in ("texts", "ints") else f"cardinality({one})",
            f"row({one}, {two})",
            f"json_build_object('a', {one}, 'b', {two})",
            f"jsonb_build_array({one}, {two})",
            f"to_json({one})",
            f"row_to_json({one.alias})",
            f"to_jsonb({one.alias})",
            f"{one.alias}",
            f"NULL::{fits.split('(')[0]}",
            f"num_nonnulls({one}, {two})",
            f"{one} IS NULL",
            condition(w, one),
        ]
    )


def document(w: Writer, ref: Ref) -> str:
    """A part of a document, or one made from it."""
    return w.pick(
        f"{ref}",
        f"{ref} ->> 'mail'",
        f"{ref} -> 'mail'",
        f"{ref} -> 'a'",
        f"{ref} #>> '{{a,b}}'",
        f"{ref} #> '{{tags}}'",
        f"{ref} -> 'tags' -> 0",
        f"{ref}['a']['b']",
        f"{ref} - 'mail'",
        f"{ref} || '{{\"n\": 7}}'",
        f"jsonb_set({ref}, '{{n}}', '8')",
        f"jsonb_array_length({ref} -> 'tags')",
        f"jsonb_strip_nulls({ref})",
        f"jsonb_typeof({ref} -> 'mail')",
        f"(SELECT string_agg(e, ',') FROM jsonb_array_elements_text({ref} -> 'tags') e)",
        f"jsonb_build_object('d', {ref})",
        f"coalesce({ref} ->> 'mail', {ref} #>> '{{a,b}}')",
        f"concat({ref} ->> 'mail', '-')",
    )


def array(w: Writer, ref: Ref) -> str:
    """A function of an array."""
    return w.pick(
        f"{ref}",
        f"{ref}[1]",
        f"cardinality({ref})",
        f"array_to_string({ref}, ', ')",
        f"{ref}[1:1]",
        f"array_length({ref}, 1)",
        f"unnest({ref})",
        f"array_append({ref}, NULL)",
        f"{ref} || {ref}",
        f"array_position({ref}, NULL)",
        f"array_remove({ref}, NULL)",
        f"to_json({ref})",
        f"(SELECT count(*) FROM unnest({ref}))",
    )
