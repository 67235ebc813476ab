-- Erasures are carried out by gateways as well, and their outcome is kept: who asked for each, and what became of it. No
-- value and no identifier of a person is in here. The tokens of an erasure go when it has ended.

ALTER TABLE vault.erasure
    ADD COLUMN actor text NOT NULL DEFAULT '',
    ADD COLUMN actor_role text NOT NULL DEFAULT '',
    ADD COLUMN actor_address text NOT NULL DEFAULT '',
    -- undone: the transaction that scrubs or deletes the rows was rolled back.
    ADD COLUMN state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'finished', 'undone')),
    ADD COLUMN ended timestamptz,
    -- Why it has not been finished yet.
    ADD COLUMN problem text NOT NULL DEFAULT '',
    ADD COLUMN deleted jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN kept jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN revived integer NOT NULL DEFAULT 0;

CREATE INDEX erasure_pending ON vault.erasure (tenant, started) WHERE state = 'pending';
CREATE INDEX erasure_by_time ON vault.erasure (tenant, started, id);
