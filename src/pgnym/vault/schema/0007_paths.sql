-- A jsonb column may have several protected paths, each with a domain and a CHECK of its own. Empty: the column itself.
ALTER TABLE vault.protected_column ADD COLUMN path text NOT NULL DEFAULT '';
ALTER TABLE vault.protected_column DROP CONSTRAINT protected_column_schema_name_table_name_column_name_key;
ALTER TABLE vault.protected_column ADD UNIQUE (schema_name, table_name, column_name, path);
