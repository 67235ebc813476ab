-- The audit log. The gateway may add and read, never change or delete. The key holds the time, so that the table can become
-- partitioned by it; writer and sequence (from 1, without gaps per writer) are what a chain of HMACs is laid over.

CREATE TABLE vault.audit (
    time             timestamptz NOT NULL,
    tenant           integer NOT NULL,
    writer           uuid NOT NULL,
    sequence         bigint NOT NULL,
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
    PRIMARY KEY (tenant, time, writer, sequence)
);

ALTER TABLE vault.audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.audit FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.audit
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

-- Adds records of one writer; sequence counts on from first_sequence in the order given. Parts by tenant as in vault.put.
CREATE FUNCTION vault.audit_add(
    relaxed boolean, tenants integer[], stops integer[], writer uuid, first_sequence bigint,
    times timestamptz[], actions text[], decisions text[], db_users text[], roles text[], client_addresses text[],
    application_names text[], purposes text[], fingerprints text[], counts text[], details bytea[]
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
            time, tenant, writer, sequence, action, decision, db_user, role, client_address, application_name, purpose,
            fingerprint, counts, details)
        SELECT u.time, tenants[i], writer, first_sequence + first + u.n - 2, u.action, u.decision, u.db_user, u.role,
            u.client_address, u.application_name, u.purpose, u.fingerprint, u.counts::jsonb, u.details
        FROM unnest(
            times[first:stop], actions[first:stop], decisions[first:stop], db_users[first:stop], roles[first:stop],
            client_addresses[first:stop], application_names[first:stop], purposes[first:stop], fingerprints[first:stop],
            counts[first:stop], details[first:stop]
        ) WITH ORDINALITY AS u (
            time, action, decision, db_user, role, client_address, application_name, purpose, fingerprint, counts, details, n);
        first := stop + 1;
    END LOOP;
END
$$;

-- The same for one record, which is what a lone session waits for: without arrays it takes the server a third less time.
CREATE FUNCTION vault.audit_add_one(
    relaxed boolean, tenant integer, writer uuid, sequence bigint, "time" timestamptz, action text, decision text,
    db_user text, role text, client_address text, application_name text, purpose text, fingerprint text, counts text,
    details bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF relaxed THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    INSERT INTO vault.audit (
        time, tenant, writer, sequence, action, decision, db_user, role, client_address, application_name, purpose,
        fingerprint, counts, details)
    VALUES ("time", tenant, writer, sequence, action, decision, db_user, role, client_address, application_name, purpose,
        fingerprint, counts::jsonb, details);
END
$$;
