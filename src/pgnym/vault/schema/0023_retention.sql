-- Runs of retention: when, of the schedule or not, and what became of them. Of all tenants together; names of tables, domains and
-- constraints, and numbers. ended is NULL while one goes on, and stays so if it was killed.

CREATE TABLE vault.retention_run (
    id        uuid PRIMARY KEY,
    started   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended     timestamptz,
    scheduled boolean NOT NULL,
    dry_run   boolean NOT NULL,
    told      jsonb NOT NULL DEFAULT '{}',
    -- Why it could not be done in full; "" where it could.
    problem   text NOT NULL DEFAULT ''
);
CREATE INDEX retention_run_by_time ON vault.retention_run (started);
