"""The order index in the application's database: per domain a table of codes, and the functions that use it.

The server that sorts must read the codes, so they can't lie on the vault's own server. They tell the order of the tokens and
nothing else. Nobody may read the tables; ``order``, ``token`` and ``place`` may be called by those database users who may
compare plaintext with a column of the domain, the rest by the gateway's login.

- ``pgnym.order_abc(token)``: the code, for sorting and for indexes. It is declared immutable though it looks into a table,
  since what it gives for a token never changes, but for ``even out``, which makes the indexes anew. A token without a code
  is an error. ``codes_now_abc`` looks under a snapshot of its own: COPY stores values that came after its own was taken.
- ``pgnym.token_abc(code)``: back again, for min and max.
- ``pgnym.place_abc(answer)``: where a constant is or would be. ``=TOKEN``: it is that value. ``P|LOW|HIGH``: between these
  two tokens (or '') of the tenant whose codes begin with P; an error if there is another value between them by now, so that
  no row can be on the wrong side.
- ``pgnym.codes_missing_abc``, ``codes_between_abc``, ``codes_add_abc``, ``codes_drop_abc``: for the gateway. Those that rely
  on what is there or is not hold an advisory lock of the domain, until their transaction ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgnym.vault import locks
from pgnym.vault.tokens import domain_id

UNRANKED = "pgnym_unranked_value"
LOCK_CLASS = locks.ORDER
"""First half of the domains' advisory locks; the second is the domain's id."""
SCHEMA = "pgnym"

_TEMPLATE = """
CREATE TABLE pgnym.codes_%(name)s (
    token text COLLATE "C" NOT NULL, code text COLLATE "C" NOT NULL, PRIMARY KEY (token) INCLUDE (code)
);
CREATE INDEX ON pgnym.codes_%(name)s (code, token);
-- No policy: whoever is let at all tables of the schema by mistake sees none of the rows. The functions run as the owner.
ALTER TABLE pgnym.codes_%(name)s ENABLE ROW LEVEL SECURITY;
CREATE TABLE pgnym.codes_version_%(name)s (version integer NOT NULL);
INSERT INTO pgnym.codes_version_%(name)s VALUES (1);

CREATE FUNCTION pgnym.codes_now_%(name)s(token text) RETURNS text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
    RETURN (SELECT c.code FROM pgnym.codes_%(name)s c
        WHERE c.token OPERATOR(pg_catalog.=) (codes_now_%(name)s.token COLLATE pg_catalog."C"));
END
$$;

CREATE FUNCTION pgnym.codes_next_%(name)s(low text, last text) RETURNS text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
    RETURN (SELECT c.code FROM pgnym.codes_%(name)s c
        WHERE c.code OPERATOR(pg_catalog.>) (low COLLATE pg_catalog."C")
            AND c.code OPERATOR(pg_catalog.<) (last COLLATE pg_catalog."C")
        ORDER BY c.code LIMIT 1);
END
$$;

CREATE FUNCTION pgnym.order_%(name)s(token text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SECURITY DEFINER COST 400 AS $$
DECLARE
    found_code text;
BEGIN
    SELECT c.code INTO found_code FROM pgnym.codes_%(name)s c
        WHERE c.token OPERATOR(pg_catalog.=) (order_%(name)s.token COLLATE pg_catalog."C");
    IF found_code IS NULL THEN
        IF (token COLLATE pg_catalog."C") OPERATOR(pg_catalog.=) '' THEN
            RETURN '';
        END IF;
        found_code := pgnym.codes_now_%(name)s(token);
        IF found_code IS NOT NULL THEN
            RETURN found_code;
        END IF;
        RAISE EXCEPTION USING ERRCODE = '22P02', MESSAGE = '%(unranked)s';
    END IF;
    RETURN found_code;
END
$$;

CREATE FUNCTION pgnym.token_%(name)s(code text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER AS $$
    SELECT coalesce((SELECT c.token FROM pgnym.codes_%(name)s c
        WHERE c.code OPERATOR(pg_catalog.=) ($1 COLLATE pg_catalog."C") ORDER BY c.token LIMIT 1), '')
$$;

CREATE FUNCTION pgnym.place_%(name)s(answer text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER AS $$
DECLARE
    parts text[];
    low   text;
    high  text;
    next  text;
BEGIN
    IF pg_catalog.left(answer, 1) OPERATOR(pg_catalog.=) '=' THEN
        RETURN pgnym.order_%(name)s(pg_catalog.substr(answer, 2));
    END IF;
    parts := pg_catalog.string_to_array(answer, '|');
    low := CASE parts[2] WHEN '' THEN parts[1] ELSE pgnym.order_%(name)s(parts[2]) END;
    high := CASE parts[3] WHEN '' THEN NULL ELSE pgnym.order_%(name)s(parts[3]) END;
    next := pgnym.codes_next_%(name)s(low, parts[1] OPERATOR(pg_catalog.||) '~');
    IF (next COLLATE pg_catalog."C") IS DISTINCT FROM (high COLLATE pg_catalog."C") THEN
        RAISE EXCEPTION USING ERRCODE = '22P02', MESSAGE = '%(unranked)s';
    END IF;
    RETURN low OPERATOR(pg_catalog.||) '!';  -- behind it, and before all that follows: no digit is less
END
$$;

CREATE FUNCTION pgnym.codes_missing_%(name)s(tokens text[]) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(%(lock)s, %(id)s);
    RETURN QUERY SELECT t FROM unnest(tokens) t
        WHERE NOT EXISTS (SELECT FROM pgnym.codes_%(name)s c WHERE c.token = t COLLATE "C");
END
$$;

CREATE FUNCTION pgnym.codes_between_%(name)s(
    lows text[], highs text[], places text[], ends text[], numbers integer[], few integer
) RETURNS TABLE (number integer, token text, code text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT 0, '', v.version::text FROM pgnym.codes_version_%(name)s v;
    RETURN QUERY SELECT g.n::integer, f.token, f.code
        FROM unnest(lows, highs) WITH ORDINALITY AS g (low, high, n)
        CROSS JOIN LATERAL (
            SELECT c.token, c.code FROM pgnym.codes_%(name)s c
            WHERE c.code > g.low COLLATE "C" AND c.code < g.high COLLATE "C" ORDER BY c.code LIMIT few
        ) f;
    RETURN QUERY SELECT p.n, f.token, f.code FROM unnest(places, ends, numbers) AS p (place, high, n)
        CROSS JOIN LATERAL (
            SELECT c.token, c.code FROM pgnym.codes_%(name)s c
            WHERE c.code >= p.place COLLATE "C" AND c.code < p.high COLLATE "C" ORDER BY c.code LIMIT 1
        ) f;
END
$$;

CREATE FUNCTION pgnym.codes_add_%(name)s(
    relaxed boolean, known integer, tokens text[], codes text[], lows text[], highs text[]
) RETURNS TABLE (token text, code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF relaxed THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    PERFORM pg_advisory_xact_lock(%(lock)s, %(id)s);
    IF known = (SELECT v.version FROM pgnym.codes_version_%(name)s v) THEN
        INSERT INTO pgnym.codes_%(name)s (token, code)
            SELECT u.token, u.code FROM unnest(tokens, codes, lows, highs) AS u (token, code, low, high)
            WHERE NOT EXISTS (SELECT FROM pgnym.codes_%(name)s c
                WHERE c.code > u.low COLLATE "C" AND c.code < u.high COLLATE "C")
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN QUERY SELECT '', v.version::text FROM pgnym.codes_version_%(name)s v;
    RETURN QUERY SELECT c.token, c.code FROM unnest(tokens) t
        JOIN pgnym.codes_%(name)s c ON c.token = t COLLATE "C";
END
$$;

CREATE FUNCTION pgnym.codes_drop_%(name)s(tokens text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(%(lock)s, %(id)s);
    DELETE FROM pgnym.codes_%(name)s c WHERE c.token = ANY (tokens);
END
$$;
"""
_OWN = (
    "codes_now_%s(text)",
    "codes_next_%s(text, text)",
    "codes_missing_%s(text[])",
    "codes_between_%s(text[], text[], text[], text[], integer[], integer)",
    "codes_add_%s(boolean, integer, text[], text[], text[], text[])",
    "codes_drop_%s(text[])",
)
_THEIRS = ("order_%s(text)", "token_%s(text)", "place_%s(text)")


def name_of(prefix: bytes) -> str:
    """What the names of a domain's table and functions end in."""
    return prefix[3:].decode("ascii")


def lock(prefix: bytes) -> str:
    """The statement that takes the advisory lock of a domain, until the transaction ends."""
    return f"SELECT pg_catalog.pg_advisory_xact_lock({LOCK_CLASS}, {domain_id(prefix)})"


def creation(prefix: bytes) -> str:
    """The statements that make table and functions, which nobody may use yet."""
    name = name_of(prefix)
    made = _TEMPLATE % {
        "name": name,
        "unranked": UNRANKED,
        "lock": LOCK_CLASS,
        "id": domain_id(prefix),
    }
    revoked = "".join(f"REVOKE ALL ON FUNCTION pgnym.{each} FROM PUBLIC;\n" for each in _all(name))
    tables = f"pgnym.codes_{name}, pgnym.codes_version_{name}"
    return f"CREATE SCHEMA IF NOT EXISTS pgnym;\n{made}\n{revoked}REVOKE ALL ON {tables} FROM PUBLIC;\n"


def granting(prefix: bytes, gateway: str, readers: Sequence[str]) -> str:
    """The statements that let the gateway's login fill the index, and readers sort by it: quoted names, or PUBLIC."""
    name = name_of(prefix)
    parts = [f"GRANT USAGE ON SCHEMA pgnym TO {each};\n" for each in (gateway, *readers)]
    parts += [f"GRANT EXECUTE ON FUNCTION pgnym.{each} TO {gateway};\n" for each in _all(name)]
    if readers:
        listed = ", ".join(readers)
        parts += [f"GRANT EXECUTE ON FUNCTION pgnym.{each % name} TO {listed};\n" for each in _THEIRS]
    return "".join(parts)


def revoking(prefix: bytes, readers: Sequence[str]) -> str:
    """The statements that take the right to sort from readers."""
    name, listed = name_of(prefix), ", ".join(readers)
    return "".join(f"REVOKE EXECUTE ON FUNCTION pgnym.{each % name} FROM {listed};\n" for each in _THEIRS)


def removal(prefix: bytes) -> str:
    """The statements that drop all of it, with the indexes on the application's tables that use it."""
    name = name_of(prefix)
    functions = "".join(f"DROP FUNCTION IF EXISTS pgnym.{each} CASCADE;\n" for each in _all(name))
    return f"{functions}DROP TABLE IF EXISTS pgnym.codes_{name}, pgnym.codes_version_{name};\n"


def _all(name: str) -> list[str]:
    return [each % name for each in (*_OWN, *_THEIRS)]
