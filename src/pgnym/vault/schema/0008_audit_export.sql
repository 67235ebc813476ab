-- How far each writer's records have been sent to the outside (a SIEM). The log itself is the queue: what can't be sent stays.
CREATE TABLE vault.audit_export (
    tenant   integer NOT NULL,
    writer   uuid NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (tenant, writer)
);
ALTER TABLE vault.audit_export ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.audit_export FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON vault.audit_export
    USING (tenant = nullif(current_setting('pgnym.tenant', true), '')::integer);
