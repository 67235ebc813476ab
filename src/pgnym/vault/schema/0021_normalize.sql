-- How values of a column are normalized before they are tokenized: 'email', 'phone', 'phone:DE'; '' for not, or by casefold.

ALTER TABLE vault.protected_column ADD COLUMN normalize text NOT NULL DEFAULT '';
