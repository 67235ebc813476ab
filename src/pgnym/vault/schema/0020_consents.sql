-- What data subjects agree to: versions of the texts they are shown, and every acceptance and withdrawal.
--
-- An event is never changed or deleted by the gateway; the last of a subject and purpose tells whether they agree now. Each is
-- sealed by an HMAC under a key derived from the tenant's audit key, over its predecessor's seal too: whoever can write to the
-- table but has not the master key can't make anybody agree.

CREATE TABLE vault.consent_text (
    tenant      integer NOT NULL,
    purpose     text COLLATE "C" NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    text        text NOT NULL,
    created     timestamptz NOT NULL,
    created_by  text NOT NULL,
    PRIMARY KEY (tenant, purpose, version)
);
ALTER TABLE vault.consent_text ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.consent_text FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.consent_text
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

CREATE TABLE vault.consent_event (
    tenant        integer NOT NULL,
    subject_table text COLLATE "C" NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    purpose       text COLLATE "C" NOT NULL,
    sequence      integer NOT NULL CHECK (sequence > 0),
    action        text NOT NULL CHECK (action IN ('accept', 'withdraw')),
    recorded      timestamptz NOT NULL,
    recorded_by   text NOT NULL,
    expires       timestamptz,
    text_version  integer,
    channel       text NOT NULL,
    reference     text NOT NULL,
    seal          bytea NOT NULL,
    PRIMARY KEY (tenant, subject_table, subject, purpose, sequence)
);
CREATE INDEX consent_event_purpose ON vault.consent_event (tenant, purpose, subject_table, subject, sequence);
ALTER TABLE vault.consent_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.consent_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.consent_event
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

-- The last event of each of these subjects for a purpose, and the seal before it; `place` is the subject's, from 1. One by one:
-- plans of joins with an array, made while nothing is known of the table, may read all of it each time.
CREATE FUNCTION vault.last_consents(tenant integer, tables text[], subjects text[], purpose text)
RETURNS TABLE (
    place integer, sequence integer, action text, recorded timestamptz, recorded_by text, expires timestamptz,
    text_version integer, channel text, reference text, seal bytea, previous bytea
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    FOR i IN 1 .. cardinality(subjects) LOOP
        RETURN QUERY
            SELECT i, e.sequence, e.action, e.recorded, e.recorded_by, e.expires, e.text_version, e.channel, e.reference,
                e.seal, (
                    SELECT p.seal FROM vault.consent_event p
                    WHERE p.tenant = e.tenant AND p.subject_table = e.subject_table AND p.subject = e.subject
                        AND p.purpose = e.purpose AND p.sequence = e.sequence - 1
                )
            FROM vault.consent_event e
            WHERE e.tenant = last_consents.tenant AND e.subject_table = tables[i] AND e.subject = subjects[i]
                AND e.purpose = last_consents.purpose
            ORDER BY e.sequence DESC LIMIT 1;
    END LOOP;
END
$$;

-- Subjects with events for a purpose, in order, after the one given.
CREATE FUNCTION vault.consent_subjects(tenant integer, purpose text, after_table text, after_subject text, bound integer)
RETURNS TABLE (subject_table text, subject text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('pgnym.tenant', tenant::text, true);
    RETURN QUERY
        SELECT DISTINCT e.subject_table, e.subject FROM vault.consent_event e
        WHERE e.tenant = consent_subjects.tenant AND e.purpose = consent_subjects.purpose
            AND (e.subject_table, e.subject) > (after_table COLLATE "C", after_subject COLLATE "C")
        ORDER BY e.subject_table, e.subject LIMIT bound;
END
$$;
