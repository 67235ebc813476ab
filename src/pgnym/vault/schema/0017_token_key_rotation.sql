-- Changes of token keys.

-- The generation of the token key that the tenant is being changed to (null: none is). No gateway may know which tokens to
-- make then, until the change has been finished: the tenant's keys are not given out.
ALTER TABLE vault.tenant ADD COLUMN new_token_key integer;

-- Which token takes the place of which. For the owner only; a tenant's rows go with the end of the change.
CREATE TABLE vault.token_alias (
    tenant      integer NOT NULL,
    old         text COLLATE "C" NOT NULL,
    new         text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, old),
    UNIQUE (tenant, new)
);
ALTER TABLE vault.token_alias ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.token_alias FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.token_alias
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

-- How many values of a tenant are there under new tokens. Gateways may know that, but not which tokens belong together.
CREATE FUNCTION vault.count_aliases(tenant integer) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = '' AS $$
    SELECT pg_catalog.count(*) FROM vault.token_alias a WHERE a.tenant = count_aliases.tenant
$$;

-- Stores values under their new tokens, with all that is kept by token beside them. For the owner. Whatever table comes to
-- have a token in its key needs a line here (see tests/vault/test_token_key_rotation.py).
CREATE FUNCTION vault.carry_over(
    tenant integer, generation integer, olds text[], news text[], ciphertexts bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true), set_config('pgnym.grams', '{}', true);
    INSERT INTO vault.value (tenant, token, generation, ciphertext, domain, created, last_put)
        SELECT carry_over.tenant, u.new, carry_over.generation, u.ciphertext, left(u.new, 6), v.created, v.last_put
        FROM unnest(olds, news, ciphertexts) AS u (old, new, ciphertext)
        CROSS JOIN LATERAL (
            SELECT s.created, s.last_put FROM vault.value s WHERE s.tenant = carry_over.tenant AND s.token = u.old LIMIT 1
        ) v
        ON CONFLICT DO NOTHING;
    INSERT INTO vault.gram (tenant, token, grams)
        SELECT carry_over.tenant, u.new, g.grams
        FROM unnest(olds, news) AS u (old, new)
        CROSS JOIN LATERAL (
            SELECT s.grams FROM vault.gram s WHERE s.tenant = carry_over.tenant AND s.token = u.old LIMIT 1
        ) g
        ON CONFLICT DO NOTHING;
    INSERT INTO vault.token_alias (tenant, old, new)
        SELECT carry_over.tenant, u.old, u.new FROM unnest(olds, news) AS u (old, new) ON CONFLICT DO NOTHING;
END
$$;

-- Erasures that were asked for since the change began go on by the new tokens. For the owner.
CREATE FUNCTION vault.carry_erasures(tenant integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    UPDATE vault.value v SET last_put = LEAST(v.last_put, o.last_put)
        FROM vault.erasure_token t
        JOIN vault.token_alias a ON a.tenant = t.tenant AND a.old = t.token
        JOIN vault.value o ON o.tenant = t.tenant AND o.token = t.token
        WHERE t.tenant = carry_erasures.tenant AND v.tenant = t.tenant AND v.token = a.new;
    UPDATE vault.erasure_token t SET token = a.new FROM vault.token_alias a
        WHERE t.tenant = carry_erasures.tenant AND a.tenant = t.tenant AND a.old = t.token;
END
$$;
