-- New data keys, and the end of the old ones.

-- Counts changes of data keys by a rotation. Together with the epoch it tells gateways when to read their keys anew: a put
-- says under which epoch it was made, and its gateway has read its keys after that epoch.
ALTER TABLE vault.search_epoch ADD COLUMN keys integer NOT NULL DEFAULT 1;

-- Begins a generation and retires those before. Waits for puts that are under way; all that come later were sealed under
-- the new generation, or fail (PN001) until their gateways know. False if the generation is there. For the owner.
CREATE FUNCTION vault.retire_data_keys(tenant integer, generation integer, wrapped bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    INSERT INTO vault.key (tenant, purpose, generation, wrapped) VALUES (tenant, 'data', generation, wrapped)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE vault.key k SET retired = now()
        WHERE k.tenant = retire_data_keys.tenant AND k.purpose = 'data' AND k.retired IS NULL
            AND k.generation < retire_data_keys.generation;
    UPDATE vault.search_epoch SET epoch = epoch + 1, keys = keys + 1;
    LOCK TABLE vault.value IN SHARE ROW EXCLUSIVE MODE;
    PERFORM pg_notify('pgnym_invalidate', 'keys');
    RETURN true;
END
$$;

-- Replaces ciphertexts of values that are still under a retired generation; the value of a token never changes, so
-- whatever happened to the row since it was read, the new ciphertext says the same. Rows that others hold are left
-- out: whoever waits for nothing while it holds rows can't be part of a deadlock. Returns how many were replaced.
CREATE FUNCTION vault.reseal(tenant integer, generation integer, tokens text[], ciphertexts bytea[]) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    retired  integer[];
    replaced integer := 0;
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    retired := ARRAY(
        SELECT k.generation FROM vault.key k
        WHERE k.tenant = reseal.tenant AND k.purpose = 'data' AND k.retired IS NOT NULL
    );
    -- One by one: plans of joins with an array, made while nothing is known of the table, may read all of it each time.
    FOR i IN 1 .. cardinality(tokens) LOOP
        PERFORM FROM vault.value v
            WHERE v.tenant = reseal.tenant AND v.token = tokens[i] AND v.generation = ANY (retired)
            FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE vault.value v SET generation = reseal.generation, ciphertext = ciphertexts[i]
                WHERE v.tenant = reseal.tenant AND v.token = tokens[i];
            replaced := replaced + 1;
        END IF;
    END LOOP;
    RETURN replaced;
END
$$;

-- Deletes the retired data keys of a tenant, of which no value may be left; returns their generations. Null, and nothing is
-- done, if there is a value. For the owner.
CREATE FUNCTION vault.destroy_data_keys(tenant integer) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    found integer[];
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    found := ARRAY(
        SELECT k.generation FROM vault.key k
        WHERE k.tenant = destroy_data_keys.tenant AND k.purpose = 'data' AND k.retired IS NOT NULL
        ORDER BY k.generation FOR UPDATE
    );
    IF EXISTS (SELECT FROM vault.value v WHERE v.tenant = destroy_data_keys.tenant AND v.generation = ANY (found)) THEN
        RETURN NULL;
    END IF;
    DELETE FROM vault.key k
        WHERE k.tenant = destroy_data_keys.tenant AND k.purpose = 'data' AND k.generation = ANY (found);
    UPDATE vault.search_epoch SET keys = keys + 1;
    PERFORM pg_notify('pgnym_invalidate', 'keys');
    RETURN found;
END
$$;
