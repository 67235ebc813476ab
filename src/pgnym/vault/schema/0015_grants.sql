-- Grants that lift the reveal budget, revocations, and what gateways have been lent of a minute's budget.

-- seal: HMAC over all but `revoked` and `revoked_by` under the audit key of the tenant; so a row that somebody else writes
-- lifts nothing. A row is seen under its tenant and under tenant 0, all tenants. No limit: any number.
CREATE TABLE vault.reveal_grant (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          integer NOT NULL,
    db_user         text,
    role            text,
    purpose         text NOT NULL CHECK (purpose <> ''),
    statement_limit bigint CHECK (statement_limit >= 0),
    minute_limit    bigint CHECK (minute_limit >= 0),
    until           timestamptz NOT NULL,
    reason          text NOT NULL,
    created         timestamptz NOT NULL,
    created_by      text NOT NULL,
    revoked         timestamptz,
    revoked_by      text,
    seal            bytea NOT NULL DEFAULT '',
    CHECK ((db_user IS NULL) <> (role IS NULL))
);
CREATE INDEX ON vault.reveal_grant (until);
ALTER TABLE vault.reveal_grant ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.reveal_grant FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.reveal_grant USING (
    tenant = nullif(current_setting('pgnym.tenant', true), '')::integer
    OR current_setting('pgnym.tenant', true) = '0');

-- What of a tenant has been revoked before its end (grants, API tokens), in one sealed piece: a row of theirs that is brought
-- back as it was before does not undo it. epoch counts the changes, so that gateways notice an older piece put in place.
CREATE TABLE vault.revocation (
    tenant integer PRIMARY KEY,
    epoch  bigint NOT NULL,
    names  bytea NOT NULL,
    seal   bytea NOT NULL
);
ALTER TABLE vault.revocation ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.revocation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.revocation USING (
    tenant = nullif(current_setting('pgnym.tenant', true), '')::integer
    OR current_setting('pgnym.tenant', true) = '0');

-- How many values gateways have been lent, by second, for what is counted under a name.
CREATE TABLE vault.reveal_loan (
    tenant  integer NOT NULL,
    name    text NOT NULL,
    seconds bigint[] NOT NULL DEFAULT '{}',
    counts  bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant, name)
);
ALTER TABLE vault.reveal_loan ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.reveal_loan FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.reveal_loan
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

-- Lends what is lacking, and up to a quarter of the rest as `extra` besides; or all there is, if that is at least
-- `smallest`; else nothing. No `span` seconds hold more than the limit. First takes back what was lent in `back_seconds` and
-- not used. Returns how much was lent, and in which second.
CREATE FUNCTION vault.lend(
    tenant integer, name text, minute_limit bigint, lacking bigint, smallest bigint, extra bigint, span integer,
    back_seconds bigint[], back_counts bigint[], OUT lent bigint, OUT second bigint
) LANGUAGE plpgsql AS $$
DECLARE
    kept_seconds bigint[];
    kept_counts  bigint[];
    total        bigint;
    rest         bigint;
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO vault.reveal_loan (tenant, name) VALUES (lend.tenant, lend.name) ON CONFLICT DO NOTHING;
    SELECT l.seconds, l.counts INTO kept_seconds, kept_counts FROM vault.reveal_loan l
        WHERE l.tenant = lend.tenant AND l.name = lend.name FOR NO KEY UPDATE;
    -- The clock may have been set back.
    second := greatest(
        floor(extract(epoch FROM clock_timestamp()))::bigint, coalesce(kept_seconds[cardinality(kept_seconds)], 0));
    SELECT coalesce(array_agg(k.s ORDER BY k.s), '{}'), coalesce(array_agg(k.c ORDER BY k.s), '{}'),
        coalesce(sum(k.c), 0)
    INTO kept_seconds, kept_counts, total
    FROM (
        SELECT u.s, greatest(u.c - coalesce(b.c, 0), 0) AS c
        FROM unnest(kept_seconds, kept_counts) AS u (s, c)
            LEFT JOIN unnest(back_seconds, back_counts) AS b (s, c) ON b.s = u.s
        WHERE u.s > second - span
    ) k
    WHERE k.c > 0;
    rest := greatest(minute_limit - total, 0);
    lent := CASE
        WHEN rest < smallest THEN 0
        WHEN rest < lacking THEN rest
        ELSE lacking + least(extra, (rest - lacking) / 4)
    END;
    IF lent > 0 THEN
        IF kept_seconds[cardinality(kept_seconds)] = second THEN
            kept_counts[cardinality(kept_counts)] := kept_counts[cardinality(kept_counts)] + lent;
        ELSE
            kept_seconds := kept_seconds || second;
            kept_counts := kept_counts || lent;
        END IF;
    END IF;
    UPDATE vault.reveal_loan l SET seconds = kept_seconds, counts = kept_counts
        WHERE l.tenant = lend.tenant AND l.name = lend.name;
END
$$;
