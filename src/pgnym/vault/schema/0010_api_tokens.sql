-- Tokens of the admin endpoint. Of a token only its SHA-256 is here; it has 256 random bits, so nothing is to be guessed.
--
-- tenant 0: all tenants. A row is seen under its tenant, under tenant 0, and by who knows the hash (pgnym.api_token, in hex:
-- when a token is presented its tenant is not known yet). seal: HMAC over the row's rights under the audit key of the
-- tenant `keeper`; so a row that somebody else writes into the table gives no access.

CREATE TABLE vault.api_token (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      integer NOT NULL,
    keeper      integer NOT NULL,
    hash        bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    name        text NOT NULL,
    role        text NOT NULL CHECK (role IN ('root', 'dpo', 'auditor', 'operator', 'app')),
    created     timestamptz NOT NULL,
    created_by  text NOT NULL,
    expires     timestamptz,
    revoked     timestamptz,
    last_used   timestamptz,
    seal        bytea NOT NULL
);
ALTER TABLE vault.api_token ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.api_token FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.api_token USING (
    tenant = nullif(current_setting('pgnym.tenant', true), '')::integer
    OR current_setting('pgnym.tenant', true) = '0'
    OR encode(hash, 'hex') = nullif(current_setting('pgnym.api_token', true), ''));
