-- Restriction of processing (Art. 18 GDPR): who is held back, and every change of that. The last event of a subject tells.
--
-- Sealed as consents are. An event that isn't as it was written counts as a restriction.

CREATE TABLE vault.restriction_event (
    tenant        integer NOT NULL,
    subject_table text COLLATE "C" NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    sequence      integer NOT NULL CHECK (sequence > 0),
    id            uuid NOT NULL,
    action        text NOT NULL CHECK (action IN ('restrict', 'lift')),
    show_shared   boolean NOT NULL,
    recorded      timestamptz NOT NULL,
    recorded_by   text NOT NULL,
    request       uuid,
    reason        bytea NOT NULL,
    seal          bytea NOT NULL,
    PRIMARY KEY (tenant, subject_table, subject, sequence)
);
ALTER TABLE vault.restriction_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.restriction_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.restriction_event
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

-- The last event of each subject of a tenant, and the seal before it; in one round trip.
CREATE FUNCTION vault.last_restrictions(wanted integer)
RETURNS TABLE (
    subject_table text, subject text, sequence integer, id uuid, action text, show_shared boolean, recorded timestamptz,
    recorded_by text, request uuid, reason bytea, seal bytea, previous bytea
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('pgnym.tenant', wanted::text, true);
    RETURN QUERY
        SELECT DISTINCT ON (e.subject_table, e.subject) e.subject_table, e.subject, e.sequence, e.id, e.action,
            e.show_shared, e.recorded, e.recorded_by, e.request, e.reason, e.seal,
            lag(e.seal) OVER (PARTITION BY e.subject_table, e.subject ORDER BY e.sequence)
        FROM vault.restriction_event e WHERE e.tenant = wanted
        ORDER BY e.subject_table, e.subject, e.sequence DESC;
END
$$;
