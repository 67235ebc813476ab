-- The audit log as a chain. Each record carries an HMAC over its content and its predecessor's HMAC, per tenant and writer;
-- writers are numbered and chained as well, and keep a sealed head. Keys lie with the gateway, so whoever can write these
-- tables can destroy, but neither change, remove, move nor add anything without it being found (pgnym.audit.chain says how).
--
-- Partitioned by month, so that what is past its retention goes by dropping a table. Records of before this version stay
-- in audit_unchained.

ALTER TABLE vault.audit RENAME TO audit_unchained;
DROP FUNCTION vault.audit_add;
DROP FUNCTION vault.audit_add_one;

CREATE TABLE vault.audit (
    tenant           integer NOT NULL,
    writer           uuid NOT NULL,
    sequence         bigint NOT NULL,
    time             timestamptz NOT NULL,
    action           text NOT NULL,
    decision         text NOT NULL,
    db_user          text NOT NULL,
    role             text NOT NULL,
    client_address   text NOT NULL,
    application_name text NOT NULL,
    purpose          text NOT NULL,
    fingerprint      text NOT NULL,
    counts           jsonb NOT NULL,
    details          bytea NOT NULL,
    mac              bytea NOT NULL,
    PRIMARY KEY (tenant, writer, sequence, time)
) PARTITION BY RANGE (time);
CREATE TABLE vault.audit_default PARTITION OF vault.audit DEFAULT;
CREATE INDEX ON vault.audit USING brin (time);  -- records come in the order of time, nearly

-- One row for each run of a writer. seal chains the rows of a tenant by number; sequence, mac and head are of its last record.
CREATE TABLE vault.audit_writer (
    tenant   integer NOT NULL,
    number   integer NOT NULL,
    writer   uuid NOT NULL,
    started  timestamptz NOT NULL,
    seal     bytea NOT NULL,
    sequence bigint NOT NULL,
    mac      bytea NOT NULL,
    head     bytea NOT NULL,
    PRIMARY KEY (tenant, number),
    UNIQUE (tenant, writer)
);

-- What was the last record of a writer at some time. dropped: records up to it are gone, by retention.
CREATE TABLE vault.audit_checkpoint (
    tenant   integer NOT NULL,
    writer   uuid NOT NULL,
    sequence bigint NOT NULL,
    time     timestamptz NOT NULL,
    dropped  boolean NOT NULL,
    mac      bytea NOT NULL,
    seal     bytea NOT NULL,
    PRIMARY KEY (tenant, writer, sequence, dropped)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{audit,audit_default,audit_writer,audit_checkpoint}'::text[] LOOP
        EXECUTE format('ALTER TABLE vault.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE vault.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant ON vault.%I USING (tenant = nullif(current_setting(''pgnym.tenant'', true), '''')::integer)',
            name);
    END LOOP;
END
$$;

-- Adds records. Parts by tenant as in vault.put; part i is of writers[i], whose records count on from firsts[i], and leaves
-- it with heads[i]. Fails if the writer's row says another sequence: then somebody else wrote to it.
CREATE FUNCTION vault.audit_add(
    relaxed boolean, tenants integer[], stops integer[], writers uuid[], firsts bigint[], heads bytea[],
    times timestamptz[], actions text[], decisions text[], db_users text[], roles text[], client_addresses text[],
    application_names text[], purposes text[], fingerprints text[], counts text[], details bytea[], macs bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first integer := 1;
    stop  integer;
BEGIN
    IF relaxed THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    FOR i IN 1 .. cardinality(tenants) LOOP
        stop := stops[i];
        PERFORM set_config('pgnym.tenant', tenants[i]::text, true);
        INSERT INTO vault.audit (
            tenant, writer, sequence, time, action, decision, db_user, role, client_address, application_name, purpose,
            fingerprint, counts, details, mac)
        SELECT tenants[i], writers[i], firsts[i] + u.n - 1, u.time, u.action, u.decision, u.db_user, u.role,
            u.client_address, u.application_name, u.purpose, u.fingerprint, u.counts::jsonb, u.details, u.mac
        FROM unnest(
            times[first:stop], actions[first:stop], decisions[first:stop], db_users[first:stop], roles[first:stop],
            client_addresses[first:stop], application_names[first:stop], purposes[first:stop], fingerprints[first:stop],
            counts[first:stop], details[first:stop], macs[first:stop]
        ) WITH ORDINALITY AS u (
            time, action, decision, db_user, role, client_address, application_name, purpose, fingerprint, counts, details,
            mac, n);
        UPDATE vault.audit_writer w SET sequence = firsts[i] + stop - first, mac = macs[stop], head = heads[i]
            WHERE w.tenant = tenants[i] AND w.writer = writers[i] AND w.sequence = firsts[i] - 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'audit writer % is not where it was left', writers[i];
        END IF;
        first := stop + 1;
    END LOOP;
END
$$;

-- The same for one record, which is what a lone session waits for: without arrays it takes the server a third less time.
CREATE FUNCTION vault.audit_add_one(
    relaxed boolean, tenant integer, writer uuid, sequence bigint, head bytea, "time" timestamptz, action text,
    decision text, db_user text, role text, client_address text, application_name text, purpose text, fingerprint text,
    counts text, details bytea, mac bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF relaxed THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    INSERT INTO vault.audit (
        tenant, writer, sequence, time, action, decision, db_user, role, client_address, application_name, purpose,
        fingerprint, counts, details, mac)
    VALUES (tenant, writer, sequence, "time", action, decision, db_user, role, client_address, application_name, purpose,
        fingerprint, counts::jsonb, details, mac);
    UPDATE vault.audit_writer w SET sequence = audit_add_one.sequence, mac = audit_add_one.mac, head = audit_add_one.head
        WHERE w.tenant = audit_add_one.tenant AND w.writer = audit_add_one.writer
            AND w.sequence = audit_add_one.sequence - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'audit writer % is not where it was left', writer;
    END IF;
END
$$;

-- Makes partitions for this month and the given number of months after it; returns how many were new. A month for which the
-- default partition holds records already stays there. Runs as the owner, since a gateway may not create tables.
CREATE FUNCTION vault.audit_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Months are of UTC: bounds that depended on a session's time zone would leave gaps.
    month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    name  text;
    made  integer := 0;
    held  boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('pgnym audit partitions', 0));
    FOR i IN 0 .. least(greatest(ahead, 0), 24) LOOP
        name := 'audit_' || to_char(month, 'YYYY_MM');
        IF to_regclass('vault.' || name) IS NULL THEN
            -- Row-level security binds the owner too, so the setting of the caller would hide rows of the default partition.
            ALTER TABLE vault.audit_default NO FORCE ROW LEVEL SECURITY;
            SELECT EXISTS (SELECT 1 FROM vault.audit_default d
                WHERE d.time >= month AT TIME ZONE 'UTC' AND d.time < (month + interval '1 month') AT TIME ZONE 'UTC')
                INTO held;
            ALTER TABLE vault.audit_default FORCE ROW LEVEL SECURITY;
            IF NOT held THEN
                EXECUTE format('CREATE TABLE vault.%I PARTITION OF vault.audit FOR VALUES FROM (%L) TO (%L)',
                    name, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
                EXECUTE format('ALTER TABLE vault.%I ENABLE ROW LEVEL SECURITY', name);
                EXECUTE format('ALTER TABLE vault.%I FORCE ROW LEVEL SECURITY', name);
                EXECUTE format('CREATE POLICY tenant ON vault.%I '
                    'USING (tenant = nullif(current_setting(''pgnym.tenant'', true), '''')::integer)', name);
                made := made + 1;
            END IF;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION vault.audit_partitions FROM PUBLIC;

SELECT vault.audit_partitions(2);
