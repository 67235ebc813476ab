-- Reading all values of one domain, and later only what has changed.
--
-- Transactions commit in another order than they take numbers, so "everything after the highest one seen" would miss
-- what was under way. A reader keeps the snapshot it read under (pg_current_snapshot) and asks next time for what that
-- snapshot could not see: exact, whatever commits when. (Valid only while the server has not crashed or been replaced
-- since, because numbers of lost transactions are given out again: the reader's connection must be the same one.)

-- The transaction that stored the row. NULL: before there was this column, and so before any reader's snapshot.
ALTER TABLE vault.value ADD COLUMN born xid8;
ALTER TABLE vault.value ALTER COLUMN born SET DEFAULT pg_current_xact_id();
-- A column, since row-level security lets only leakproof conditions use an index, and left() is none.
ALTER TABLE vault.value ADD COLUMN domain text COLLATE "C" GENERATED ALWAYS AS ("left"(token, 6)) STORED;
CREATE INDEX value_born ON vault.value (tenant, domain, born);

-- That values of a domain were deleted, and by which transaction: one row per transaction and domain, so that deletions
-- never wait for each other. Rows are kept for a day; no reader relies on what it read more than an hour ago.
CREATE TABLE vault.deletion (
    tenant      integer NOT NULL,
    domain      text COLLATE "C" NOT NULL,
    born        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    noted       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, domain, born)
);
ALTER TABLE vault.deletion ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.deletion FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.deletion
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

CREATE FUNCTION vault.note_deletion() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    INSERT INTO vault.deletion (tenant, domain)
        SELECT DISTINCT g.tenant, g.domain FROM gone g
        ON CONFLICT (tenant, domain, born) DO NOTHING;
    DELETE FROM vault.deletion d USING (
        SELECT o.tenant, o.domain, o.born FROM vault.deletion o
        WHERE o.tenant IN (SELECT g.tenant FROM gone g) AND o.noted < now() - interval '1 day'
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    ) aged WHERE (d.tenant, d.domain, d.born) = (aged.tenant, aged.domain, aged.born);
    RETURN NULL;
END
$$;
CREATE TRIGGER deletion AFTER DELETE ON vault.value
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION vault.note_deletion();

-- The values of a domain (the first six characters of its tokens) that the snapshot `since` could not see; all of them, if
-- it is null or values were deleted since. The first row has no token but the snapshot for the next call, and in
-- `generation` whether these are all (1) or to be added (0). If there are more than `bound` (beside the `have` of before),
-- the rest is missing: one row more than `bound` in all, or for a full read none and -1 in `generation`.
CREATE FUNCTION vault.domain_values(tenant integer, domain text, since text, have integer, bound integer)
RETURNS TABLE (token text, generation integer, ciphertext bytea, taken text) LANGUAGE plpgsql AS $$
DECLARE
    seen  pg_snapshot := since::pg_snapshot;
    upper text := domain || '~';  -- sorts after every token of the domain
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    -- Taken before anything is read: what commits in between is read twice, never missed.
    taken := pg_current_snapshot()::text;
    IF seen IS NOT NULL AND EXISTS (
        SELECT FROM vault.deletion d
        WHERE d.tenant = domain_values.tenant AND d.domain = domain_values.domain
            AND d.born >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(d.born, seen)
    ) THEN
        seen := NULL;
    END IF;
    IF seen IS NOT NULL THEN
        generation := 0;
        RETURN NEXT;
        RETURN QUERY
            SELECT v.token, v.generation, v.ciphertext, NULL::text FROM vault.value v
            WHERE v.tenant = domain_values.tenant AND v.domain = domain_values.domain
                AND v.born >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(v.born, seen)
                -- Rows restored from another cluster may bear numbers that are still to come here.
                AND v.born < pg_snapshot_xmax(pg_current_snapshot())
            LIMIT bound - have + 1;
        RETURN;
    END IF;
    generation := 1;
    -- Counting reads no ciphertexts.
    IF bound < (SELECT count(*) FROM (
        SELECT FROM vault.value v
        WHERE v.tenant = domain_values.tenant AND v.token >= domain_values.domain AND v.token < upper LIMIT bound + 1
    ) n) THEN
        generation := -1;
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN NEXT;
    RETURN QUERY
        SELECT v.token, v.generation, v.ciphertext, NULL::text FROM vault.value v
        WHERE v.tenant = domain_values.tenant AND v.token >= domain_values.domain AND v.token < upper
        LIMIT bound + 1;
END
$$;
