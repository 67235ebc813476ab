-- Erasures under way: which values wait to be deleted, once it is sure that no other row holds or will hold their tokens.
-- A row goes when its erasure has been finished or undone. No value and no identifier of a person is in here.
-- For the owner only: gateways have no right to these tables.

CREATE TABLE vault.erasure (
    id       uuid PRIMARY KEY,
    tenant   integer NOT NULL REFERENCES vault.tenant,
    -- The transaction of the application's database that scrubs or deletes the rows: whether it was committed.
    app_xid  bigint NOT NULL,
    started  timestamptz NOT NULL DEFAULT now(),
    ready    timestamptz NOT NULL,
    told     text NOT NULL
);

CREATE TABLE vault.erasure_token (
    erasure  uuid NOT NULL REFERENCES vault.erasure ON DELETE CASCADE,
    tenant   integer NOT NULL,
    token    text COLLATE "C" NOT NULL,
    PRIMARY KEY (erasure, token)
);

ALTER TABLE vault.erasure ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.erasure FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.erasure
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);

ALTER TABLE vault.erasure_token ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.erasure_token FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.erasure_token
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);
