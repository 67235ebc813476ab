-- The order index: what the codes of a domain with 'order' in `search` are in the order of (type, collation), as
-- order_scheme.OrderScheme writes it. The codes lie in the application's database, see order_tables. Set by apply.
ALTER TABLE vault.domain ADD COLUMN order_by jsonb;
