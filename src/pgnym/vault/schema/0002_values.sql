-- Wrapped keys and sealed values. A row is seen only under its tenant: the setting pgnym.tenant (the tenant's id), which
-- is set per transaction. FORCE: the owner too. A missing or empty setting sees nothing.

CREATE TABLE vault.key (
    tenant      integer NOT NULL REFERENCES vault.tenant,
    purpose     text NOT NULL CHECK (purpose IN ('kek', 'data', 'token', 'search', 'audit')),
    generation  integer NOT NULL CHECK (generation > 0),
    wrapped     bytea NOT NULL,
    -- Data keys: how many sealings gateways have reserved; each reserves in steps, so it is an upper bound of those done.
    reserved    bigint NOT NULL DEFAULT 0,
    created     timestamptz NOT NULL DEFAULT now(),
    retired     timestamptz,
    PRIMARY KEY (tenant, purpose, generation)
);

-- No foreign key to tenant: it would lock the tenant's row once per value. Tokens are compared as bytes ("C").
CREATE TABLE vault.value (
    tenant      integer NOT NULL,
    token       text COLLATE "C" NOT NULL,
    generation  integer NOT NULL,
    ciphertext  bytea NOT NULL,
    created     timestamptz NOT NULL DEFAULT now(),
    last_put    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, token)
);
ALTER TABLE vault.value ALTER COLUMN ciphertext SET STORAGE EXTERNAL;  -- does not compress

ALTER TABLE vault.key ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.key
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

ALTER TABLE vault.value ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.value FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.value
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

-- The functions below carry batches that hold entries of several tenants: tenants[i] owns the entries from the one after
-- stops[i-1] up to stops[i]. They run as their caller, under row-level security, and set the tenant for each part.

-- Stores what is new, and refreshes last_put of what is there where it is older than an hour. Returns how many were new.
-- Tokens of a part must be distinct and sorted, so that two batches never wait for each other crosswise.
CREATE FUNCTION vault.put(
    relaxed boolean, tenants integer[], stops integer[], tokens text[], generations integer[], ciphertexts bytea[]
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    first  integer := 1;
    part   text[];
    added  integer;
    total  integer := 0;
BEGIN
    IF relaxed THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    FOR i IN 1 .. cardinality(tenants) LOOP
        PERFORM set_config('pgnym.tenant', tenants[i]::text, true);
        part := tokens[first:stops[i]];
        LOOP
            -- Waits for a purge or another put of the same token that has not ended, then decides.
            INSERT INTO vault.value (tenant, token, generation, ciphertext)
                SELECT tenants[i], u.token, u.generation, u.ciphertext
                FROM unnest(part, generations[first:stops[i]], ciphertexts[first:stops[i]])
                    AS u (token, generation, ciphertext)
                ON CONFLICT (tenant, token) DO NOTHING;
            GET DIAGNOSTICS added = ROW_COUNT;
            total := total + added;
            EXIT WHEN added = cardinality(part);
            -- DO NOTHING takes no lock on what is there. An aged row could be purged behind our back: lock and refresh it
            -- first, then see that all are still there. A row younger than that is out of any purge's reach.
            PERFORM 1 FROM vault.value v
                WHERE v.tenant = tenants[i] AND v.token = ANY (part) AND v.last_put < now() - interval '1 hour'
                ORDER BY v.token FOR NO KEY UPDATE;
            IF FOUND THEN
                UPDATE vault.value v SET last_put = now()
                    WHERE v.tenant = tenants[i] AND v.token = ANY (part) AND v.last_put < now() - interval '1 hour';
            END IF;
            EXIT WHEN cardinality(part) =
                (SELECT count(*) FROM vault.value v WHERE v.tenant = tenants[i] AND v.token = ANY (part));
        END LOOP;
        first := stops[i] + 1;
    END LOOP;
    RETURN total;
END
$$;

-- The sealed values of tokens, each with its position (from 1) in the array. Tokens that are not there have no row.
CREATE FUNCTION vault.get(tenants integer[], stops integer[], tokens text[])
RETURNS TABLE (place integer, generation integer, ciphertext bytea) LANGUAGE plpgsql AS $$
DECLARE
    first integer := 1;
BEGIN
    FOR i IN 1 .. cardinality(tenants) LOOP
        PERFORM set_config('pgnym.tenant', tenants[i]::text, true);
        RETURN QUERY
            SELECT (first - 1 + u.place)::integer, v.generation, v.ciphertext
            FROM unnest(tokens[first:stops[i]]) WITH ORDINALITY AS u (token, place)
            -- LIMIT keeps this from becoming a join: of one, planned and kept while the table was small, other plans may stay.
            CROSS JOIN LATERAL (
                SELECT s.generation, s.ciphertext FROM vault.value s
                WHERE s.tenant = tenants[i] AND s.token = u.token LIMIT 1
            ) v;
        first := stops[i] + 1;
    END LOOP;
END
$$;

-- Tells all gateways to forget values (all of the tenant's, if tokens is null). Takes effect when the transaction commits.
CREATE FUNCTION vault.invalidate(tenant integer, tokens text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF tokens IS NULL THEN
        PERFORM pg_notify('pgnym_invalidate', tenant::text || ':*');
        RETURN;
    END IF;
    -- A payload has less than 8000 bytes: 250 tokens of 30.
    FOR i IN 1 .. cardinality(tokens) BY 250 LOOP
        PERFORM pg_notify('pgnym_invalidate', tenant::text || ':' || array_to_string(tokens[i:i + 249], ''));
    END LOOP;
END
$$;
