-- Indexes for searching inside of values, and which domains have one.

-- `search`: what gateways store with each value of the domain ('substring'). `built`: what is there of all values, so that
-- questions may rely on it; always within `search`. `leftover`: what is not stored any more and has yet to be deleted.
-- Set by apply.
ALTER TABLE vault.domain ADD COLUMN search text[] NOT NULL DEFAULT '{}';
ALTER TABLE vault.domain ADD COLUMN built text[] NOT NULL DEFAULT '{}' CHECK (built <@ search);
ALTER TABLE vault.domain ADD COLUMN leftover text[] NOT NULL DEFAULT '{}';

-- Counts changes of vault.domain.search. A put says under which count it was made, and fails under another one, so a
-- gateway that has not heard of an index yet can't leave its entries out.
CREATE TABLE vault.search_epoch (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch       integer NOT NULL
);
INSERT INTO vault.search_epoch (epoch) VALUES (1);

-- Says what gateways must store from now on. Waits for puts that are under way: what they leave out is visible to whoever
-- fills the index after this has been committed, and later puts fail until their gateways know. For the owner.
CREATE FUNCTION vault.set_search(domain_id integer, wanted text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vault.domain d
        SET search = wanted, built = ARRAY(SELECT b FROM unnest(d.built) b WHERE b = ANY (wanted)),
            leftover = ARRAY(SELECT l FROM unnest(d.leftover || d.search) l WHERE l <> ALL (wanted))
        WHERE d.id = domain_id AND NOT (d.search @> wanted AND d.search <@ wanted);
    IF FOUND THEN
        UPDATE vault.search_epoch SET epoch = epoch + 1;
        LOCK TABLE vault.value IN SHARE ROW EXCLUSIVE MODE;
        PERFORM pg_notify('pgnym_invalidate', 'indexes');
    END IF;
END
$$;

-- Lets questions rely on indexes. For the owner, once they have entries of all values.
CREATE FUNCTION vault.set_built(domain_id integer, complete text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vault.domain d SET built = complete WHERE d.id = domain_id;
    PERFORM pg_notify('pgnym_invalidate', 'indexes');
END
$$;

-- Blind n-grams: keyed hashes of the three-character substrings of a value. Not a column of vault.value: the conditions
-- of row-level security come first, and only leakproof operators may use an index before them, which @> is not. So here the
-- search is itself part of the policy: who says nothing in pgnym.grams sees no row, '{}' is contained in all.
CREATE TABLE vault.gram (
    tenant      integer NOT NULL,
    token       text COLLATE "C" NOT NULL,
    grams       integer[] NOT NULL,
    -- The token first: no search by the tenant must look cheaper to the planner than one by grams, while it knows little.
    PRIMARY KEY (token, tenant),
    FOREIGN KEY (tenant, token) REFERENCES vault.value ON DELETE CASCADE
);
-- New entries are first put on a list, which each search reads, and sorted in some hundred at a time: without the list a
-- put of many values takes eight times as long; with the default of 4 MB a search takes some milliseconds longer.
CREATE INDEX gram_grams ON vault.gram USING gin (grams) WITH (fastupdate = on, gin_pending_list_limit = 512);
ALTER TABLE vault.gram ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.gram FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.gram
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer
        AND grams @> nullif(current_setting('pgnym.grams', true), '')::integer[])
    WITH CHECK (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

-- From now on vault.put fills in the domain: a generated column costs each statement five microseconds.
ALTER TABLE vault.value ALTER COLUMN domain DROP EXPRESSION;
ALTER TABLE vault.value ALTER COLUMN domain SET NOT NULL;

-- As before, with the generation of each part's key instead of each value's, and with grams (null for values of domains
-- without that index; the array is null if all are). PN001: the indexes have changed since epoch `known_epoch`.
DROP FUNCTION vault.put(boolean, integer[], integer[], text[], integer[], bytea[]);
CREATE FUNCTION vault.put(
    relaxed boolean, known_epoch integer, tenants integer[], generations integer[], stops integer[], tokens text[],
    ciphertexts bytea[], grams text[]
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
            -- (The epoch is read by a statement that has its lock on vault.value already: see vault.set_search.)
            INSERT INTO vault.value (tenant, token, generation, ciphertext, domain)
                SELECT tenants[i], u.token, generations[i], u.ciphertext, left(u.token, 6)
                FROM vault.search_epoch e, unnest(part, ciphertexts[first:stops[i]]) AS u (token, ciphertext)
                WHERE e.epoch = known_epoch
                ON CONFLICT (tenant, token) DO NOTHING;
            GET DIAGNOSTICS added = ROW_COUNT;
            total := total + added;
            EXIT WHEN added = cardinality(part);
            IF known_epoch <> (SELECT e.epoch FROM vault.search_epoch e) THEN
                RAISE EXCEPTION USING ERRCODE = 'PN001', MESSAGE = 'the indexes of the vault have changed';
            END IF;
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
        IF grams IS NOT NULL THEN
            PERFORM vault.add_grams(tenants[i], part, grams[first:stops[i]]);
        END IF;
        first := stops[i] + 1;
    END LOOP;
    RETURN total;
END
$$;

-- Stores grams, each as the text of an array, of values that are there (null: of none).
CREATE FUNCTION vault.add_grams(tenant integer, tokens text[], grams text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true), set_config('pgnym.grams', '{}', true);
    INSERT INTO vault.gram (tenant, token, grams)
        SELECT add_grams.tenant, u.token, u.grams::integer[] FROM unnest(tokens, grams) AS u (token, grams)
        WHERE u.grams IS NOT NULL ON CONFLICT DO NOTHING;
END
$$;

-- Values of a domain that have no grams yet, in the order of their tokens, from the one after `after`.
CREATE FUNCTION vault.without_grams(tenant integer, domain text, after text, bound integer)
RETURNS TABLE (token text, generation integer, ciphertext bytea) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true), set_config('pgnym.grams', '{}', true);
    RETURN QUERY
        SELECT v.token, v.generation, v.ciphertext FROM vault.value v
        WHERE v.tenant = without_grams.tenant AND v.token > after AND v.token < without_grams.domain || '~'
            AND NOT EXISTS (SELECT FROM vault.gram g WHERE g.tenant = v.tenant AND g.token = v.token)
        ORDER BY v.token LIMIT bound;
END
$$;

-- The values of a domain that have all these grams. More than `bound`: one row of nulls. PN001: there is no such index.
CREATE FUNCTION vault.candidates(tenant integer, domain_id integer, domain text, grams integer[], bound integer)
RETURNS TABLE (token text, generation integer, ciphertext bytea) LANGUAGE plpgsql AS $$
DECLARE
    found_tokens text[];
BEGIN
    IF NOT EXISTS (SELECT FROM vault.domain d WHERE d.id = candidates.domain_id AND 'substring' = ANY (d.built)) THEN
        RAISE EXCEPTION USING ERRCODE = 'PN001', MESSAGE = 'the indexes of the vault have changed';
    END IF;
    PERFORM set_config('pgnym.tenant', tenant::text, true), set_config('pgnym.grams', grams::text, true);
    found_tokens := ARRAY(
        SELECT g.token FROM vault.gram g WHERE "left"(g.token, 6) = candidates.domain LIMIT bound + 1
    );
    IF cardinality(found_tokens) > bound THEN
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY
        SELECT v.token, v.generation, v.ciphertext FROM unnest(found_tokens) u (token)
        CROSS JOIN LATERAL (
            SELECT s.token, s.generation, s.ciphertext FROM vault.value s
            WHERE s.tenant = candidates.tenant AND s.token = u.token LIMIT 1
        ) v;
END
$$;

-- Removes the grams of a domain, of all tenants. For the owner, after vault.set_search has been committed.
CREATE FUNCTION vault.drop_grams(domain_id integer, domain text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t integer;
BEGIN
    PERFORM set_config('pgnym.grams', '{}', true);
    FOR t IN SELECT id FROM vault.tenant LOOP
        PERFORM set_config('pgnym.tenant', t::text, true);
        DELETE FROM vault.gram g WHERE g.tenant = t AND g.token >= drop_grams.domain AND g.token < drop_grams.domain || '~';
    END LOOP;
    UPDATE vault.domain d SET leftover = array_remove(d.leftover, 'substring') WHERE d.id = domain_id;
END
$$;
