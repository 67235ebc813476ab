-- A change of the master key that is under way; one at most.
--
-- While it is there, KEKs lie under a bridge key, which is here wrapped under both master keys. One of the two wraps is
-- null as soon as the change is being ended: then only the other master key stays, and KEKs are renewed under it.
CREATE TABLE vault.master_rotation (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    old_key     text NOT NULL,
    new_key     text NOT NULL,
    bridge      text NOT NULL,
    under_old   bytea,
    under_new   bytea,
    begun       timestamptz NOT NULL DEFAULT now(),
    CHECK (old_key <> new_key AND (under_old IS NOT NULL OR under_new IS NOT NULL))
);
