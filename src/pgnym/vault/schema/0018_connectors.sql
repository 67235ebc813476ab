-- The part of other systems in an erasure. An identifier is sealed under a key of the tenant, bound to erasure and connector,
-- and goes when the system has done its part.

ALTER TABLE vault.erasure DROP CONSTRAINT erasure_state_check;
ALTER TABLE vault.erasure ADD CONSTRAINT erasure_state_check
    CHECK (state IN ('pending', 'incomplete', 'finished', 'undone'));

CREATE TABLE vault.erasure_connector (
    erasure    uuid NOT NULL REFERENCES vault.erasure ON DELETE CASCADE,
    tenant     integer NOT NULL,
    connector  text NOT NULL,
    number     integer NOT NULL,
    identifier bytea NOT NULL,
    done       boolean NOT NULL DEFAULT false,
    erased     integer NOT NULL DEFAULT 0,
    attempts   integer NOT NULL DEFAULT 0,
    problem    text NOT NULL DEFAULT '',
    next       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (erasure, connector, number)
);

ALTER TABLE vault.erasure_connector ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.erasure_connector FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.erasure_connector
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);
