-- The register of processing activities (Art. 30 GDPR) with the legal bases they rest on (Art. 6), and requests of data subjects
-- (Art. 12 to 22). version counts the changes of a row: nobody changes what somebody else has changed meanwhile.

CREATE TABLE vault.legal_basis (
    tenant    integer NOT NULL,
    id        bigint GENERATED ALWAYS AS IDENTITY,
    version   integer NOT NULL DEFAULT 1,
    kind      text NOT NULL CHECK (kind IN (
        'contract', 'consent', 'legal_obligation', 'vital_interests', 'public_task', 'legitimate_interests')),
    title     text NOT NULL,
    reference text NOT NULL,
    details   text NOT NULL,
    changed   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, id)
);

CREATE TABLE vault.processing_activity (
    tenant               integer NOT NULL,
    id                   bigint GENERATED ALWAYS AS IDENTITY,
    version              integer NOT NULL DEFAULT 1,
    name                 text NOT NULL,
    description          text NOT NULL,
    controller           text NOT NULL,
    purposes             text[] NOT NULL,
    columns              text[] NOT NULL,
    subject_categories   text[] NOT NULL,
    data_categories      text[] NOT NULL,
    recipient_categories text[] NOT NULL,
    transfers            text NOT NULL,
    retention            text NOT NULL,
    measures             text NOT NULL,
    changed              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, id)
);

CREATE TABLE vault.activity_basis (
    tenant      integer NOT NULL,
    activity    bigint NOT NULL,
    legal_basis bigint NOT NULL,
    PRIMARY KEY (tenant, activity, legal_basis),
    FOREIGN KEY (tenant, activity) REFERENCES vault.processing_activity ON DELETE CASCADE,
    FOREIGN KEY (tenant, legal_basis) REFERENCES vault.legal_basis
);
CREATE INDEX activity_basis_basis ON vault.activity_basis (tenant, legal_basis);

-- due: a month after received, by the calendar, longer where it was extended. What people wrote (contact, notes) is sealed.
CREATE TABLE vault.subject_request (
    tenant        integer NOT NULL,
    id            uuid NOT NULL,
    version       integer NOT NULL DEFAULT 1,
    kind          text NOT NULL CHECK (kind IN ('access', 'erase', 'rectify', 'restrict', 'port', 'object')),
    state         text NOT NULL DEFAULT 'submitted'
        CHECK (state IN ('submitted', 'approved', 'rejected', 'completed', 'withdrawn')),
    subject_table text,
    subject_id    text,
    received      timestamptz NOT NULL,
    due           timestamptz NOT NULL,
    extended      boolean NOT NULL DEFAULT false,
    reminded      timestamptz,
    contact       bytea NOT NULL,
    PRIMARY KEY (tenant, id),
    CHECK ((subject_table IS NULL) = (subject_id IS NULL))
);
CREATE INDEX subject_request_open ON vault.subject_request (tenant, due) WHERE state IN ('submitted', 'approved');

CREATE TABLE vault.subject_request_event (
    tenant  integer NOT NULL,
    request uuid NOT NULL,
    number  integer NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    by      text NOT NULL,
    action  text NOT NULL,
    note    bytea NOT NULL,
    PRIMARY KEY (tenant, request, number),
    FOREIGN KEY (tenant, request) REFERENCES vault.subject_request
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY
        '{legal_basis,processing_activity,activity_basis,subject_request,subject_request_event}'::text[] LOOP
        EXECUTE format('ALTER TABLE vault.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE vault.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant ON vault.%I USING (tenant = nullif(current_setting(''pgnym.tenant'', true), '''')::integer)',
            name);
    END LOOP;
END
$$;
