-- What creating requests of the admin endpoint were answered, so that one that is sent again is not carried out again.
--
-- Of the key that the client chose there is only a hash. request: HMAC over the request; answer: sealed, under keys that are
-- derived from the API token that was presented, of which the vault has a hash alone: only its bearer gets the answer again.
-- tenant: the one whose audit key is in these keys too. A row without an answer: under way, or cut off.

CREATE TABLE vault.idempotency_key (
    tenant      integer NOT NULL,
    api_token   bigint NOT NULL,
    key         bytea NOT NULL CHECK (length(key) = 32),
    request     bytea NOT NULL CHECK (length(request) = 32),
    created     timestamptz NOT NULL DEFAULT now(),
    under_way   boolean NOT NULL DEFAULT true,
    answer      bytea,
    PRIMARY KEY (tenant, api_token, key)
);
CREATE INDEX idempotency_key_created ON vault.idempotency_key (tenant, created);
ALTER TABLE vault.idempotency_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.idempotency_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.idempotency_key
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);
