-- CREATE INDEX
CREATE INDEX CONCURRENTLY i ON customer USING btree (email, company) INCLUDE (phone) WHERE email <> 'x'
--> CREATE INDEX CONCURRENTLY i ON customer USING btree (email, company) INCLUDE (phone) WHERE email <> <email:'x'>
--= changes the catalog

-- CREATE UNIQUE INDEX on a randomized column
CREATE UNIQUE INDEX i ON customer (notes)
--! 0A000 an index on randomized column public.customer.notes is not supported @ ['customer (notes)']

-- CREATE INDEX on an expression
CREATE INDEX i ON customer (lower(email))
--! 0A000 function lower() on protected column public.customer.email is not supported @ ['lower(email))']

-- CREATE INDEX of another method
CREATE INDEX i ON customer USING gin (email gin_trgm_ops)
--! 0A000 an index of type gin on protected column public.customer.email is not supported @ ['customer USING gin (']

-- CREATE INDEX on an unprotected expression
CREATE INDEX i ON customer (lower(company))
--= changes the catalog

-- a foreign key to a protected column
CREATE TABLE x (mail varchar REFERENCES customer (email))
--! 0A000 a foreign key can't bring together an unprotected value and protected column public.customer.email @ ['REFERENCES customer ']

-- ADD COLUMN
ALTER TABLE customer ADD COLUMN nick text DEFAULT 'x' NOT NULL
--= changes the catalog

-- ADD COLUMN that is generated
ALTER TABLE customer ADD COLUMN low text GENERATED ALWAYS AS (lower(email)) STORED
--! 0A000 function lower() on protected column public.customer.email is not supported @ ['lower(email)) STORED']

-- DROP COLUMN
ALTER TABLE customer DROP COLUMN phone
--= changes the catalog

-- RENAME COLUMN
ALTER TABLE customer RENAME COLUMN email TO mail
--= changes the catalog

-- RENAME TABLE
ALTER TABLE customer RENAME TO client
--= changes the catalog

-- ALTER TYPE of a protected column
ALTER TABLE customer ALTER COLUMN email TYPE text
--! 0A000 changing the type of protected column customer.email is not supported @ ['email TYPE text']

-- ALTER TYPE of an unprotected column
ALTER TABLE customer ALTER COLUMN company TYPE text
--= changes the catalog

-- ALTER TYPE from a protected column
ALTER TABLE customer ALTER COLUMN company TYPE text USING email
--! 0A000 ALTER COLUMN TYPE … USING on protected column public.customer.email is not supported @ ['email']

-- SET DEFAULT of a protected column
ALTER TABLE customer ALTER COLUMN email SET DEFAULT 'x'
--> ALTER TABLE customer ALTER COLUMN email SET DEFAULT <+email:'x'>
--= writes public.customer.email, changes the catalog

-- SET NOT NULL of a protected column
ALTER TABLE customer ALTER COLUMN email SET NOT NULL, ALTER email DROP DEFAULT
--= changes the catalog

-- DROP of the CHECK
ALTER TABLE customer DROP CONSTRAINT pgnym_1
--! 0A000 dropping of constraint pgnym_1 is not supported @ ['ALTER TABLE customer']

-- RENAME of the CHECK
ALTER TABLE customer RENAME CONSTRAINT pgnym_1 TO x
--! 0A000 renaming of constraint pgnym_1 is not supported @ ['ALTER TABLE customer']

-- ADD UNIQUE
ALTER TABLE customer ADD CONSTRAINT u UNIQUE (email)
--= changes the catalog

-- ADD UNIQUE on a randomized column
ALTER TABLE customer ADD CONSTRAINT u UNIQUE (notes)
--! 0A000 a UNIQUE or foreign key constraint on randomized column public.customer.notes is not supported @ ['CONSTRAINT u UNIQUE ']

-- ADD CHECK by equality
ALTER TABLE customer ADD CHECK (email <> 'x')
--> ALTER TABLE customer ADD CHECK (email <> <email:'x'>)
--= changes the catalog

-- ADD CHECK of content
ALTER TABLE customer ADD CHECK (email LIKE '%@%')
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE '%@%')"]

-- DROP TABLE
DROP TABLE customer, invoice
--= changes the catalog

-- ALTER SCHEMA of a table
ALTER TABLE customer SET SCHEMA archive
--= changes the catalog

-- a policy
CREATE POLICY p ON customer USING (email = 'a')
--> CREATE POLICY p ON customer USING (email = <email:'a'>)
--= changes the catalog

-- a policy that compares with the user
CREATE POLICY p ON customer USING (email = current_user)
--! 0A000 operator = can't bring together protected column public.customer.email and current_user @ ['= current_user)']

-- a trigger with a condition
CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW WHEN (old.email IS DISTINCT FROM new.email AND new.email <> 'a') EXECUTE FUNCTION f()
--> CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW WHEN (old.email IS DISTINCT FROM new.email AND new.email <> <email:'a'>) EXECUTE FUNCTION f()
--= changes the catalog

-- a function without constants
CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql AS 'SELECT count(email) FROM customer'
--= changes the catalog

-- a function with constants
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM customer WHERE email = 'secret' $$
--! 0A000 CREATE FUNCTION with constants in a body that names protected tables is not supported @ ['CREATE FUNCTION f() ']

-- a function whose body ends with the table's name
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM artist WHERE name = 'x' AND 1 IN (TABLE customer)$$
--! 0A000 CREATE FUNCTION with constants in a body that names protected tables is not supported @ ['CREATE FUNCTION f() ']

-- GRANT
GRANT SELECT ON customer TO app
--= changes the catalog

-- COMMENT
COMMENT ON COLUMN customer.email IS 'the address'
--= changes the catalog

-- statistics
CREATE STATISTICS s ON email, phone FROM customer

-- statistics on an expression
CREATE STATISTICS s ON lower(email), company FROM customer
--! 0A000 function lower() on protected column public.customer.email is not supported @ ['lower(email), compan']

-- a rule
CREATE RULE r AS ON INSERT TO customer DO INSTEAD NOTHING
--= changes the catalog

-- a publication
CREATE PUBLICATION p FOR TABLE customer
--= changes the catalog

-- CREATE INDEX on two columns, one of them in another order
CREATE INDEX i ON customer (email DESC NULLS LAST, customer_id)
--= changes the catalog

-- CREATE INDEX with a hash
CREATE INDEX i ON customer USING hash (email)
--= changes the catalog

-- CREATE INDEX with a condition on content
CREATE INDEX i ON customer (customer_id) WHERE email LIKE 'a%'
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE 'a%'"]

-- CREATE INDEX on a view's column of built text
CREATE INDEX i ON customer_contact (full_name)
--! 0A000 an index on protected column public.customer.first_name, public.customer.last_name is not supported @ ['customer_contact (fu']

-- REINDEX, CLUSTER
REINDEX TABLE customer; CLUSTER customer USING i

-- LOCK of several tables
LOCK customer, artist IN SHARE MODE NOWAIT

-- ADD COLUMN with a foreign key
ALTER TABLE customer ADD COLUMN rep int REFERENCES employee
--= changes the catalog

-- ADD COLUMN with a foreign key to a protected column
ALTER TABLE customer ADD COLUMN mail2 varchar REFERENCES employee (email)
--! 0A000 a foreign key can't bring together an unprotected value and protected column public.employee.email @ ['REFERENCES employee ']

-- ADD COLUMN with a CHECK
ALTER TABLE customer ADD COLUMN age int CHECK (age > 0)
--! 0A000 ADD COLUMN with a CHECK on a protected table is not supported @ ['CHECK (age > 0)']

-- ADD FOREIGN KEY within a domain
ALTER TABLE invoice ADD FOREIGN KEY (billing_email) REFERENCES customer (email) NOT VALID
--= changes the catalog

-- ADD FOREIGN KEY between domains
ALTER TABLE invoice ADD FOREIGN KEY (billing_email) REFERENCES customer (phone)
--! 0A000 a foreign key can't bring together protected column public.invoice.billing_email and protected column public.customer.phone @ ['FOREIGN KEY (billing']

-- ADD FOREIGN KEY of a protected column without the other's name
ALTER TABLE invoice ADD FOREIGN KEY (billing_email) REFERENCES customer
--! 0A000 a foreign key from protected column public.invoice.billing_email must name the columns that it refers to @ ['FOREIGN KEY (billing']

-- ADD FOREIGN KEY between unprotected columns
ALTER TABLE invoice ADD FOREIGN KEY (customer_id) REFERENCES customer (customer_id) ON DELETE CASCADE
--= changes the catalog

-- ADD FOREIGN KEY from an unprotected table
ALTER TABLE album ADD FOREIGN KEY (title) REFERENCES customer (email)
--! 0A000 a foreign key can't bring together column public.album.title and protected column public.customer.email @ ['FOREIGN KEY (title) ']

-- ADD PRIMARY KEY on a protected column
ALTER TABLE customer ADD PRIMARY KEY (email)
--= changes the catalog

-- ADD EXCLUDE
ALTER TABLE customer ADD EXCLUDE USING gist (email WITH =)
--! 0A000 constraint is not supported on a protected table: EXCLUSION @ ['EXCLUDE USING gist (']

-- ADD of a constraint with pgnym's name
ALTER TABLE customer ADD CONSTRAINT pgnym_12 CHECK (true)
--! 0A000 adding of constraint pgnym_12 is not supported @ ['CONSTRAINT pgnym_12 ']

-- SET DEFAULT of another type
ALTER TABLE customer ALTER birth_date SET DEFAULT '1970-01-01'
--> ALTER TABLE customer ALTER birth_date SET DEFAULT <+birth:'1970-01-01'>
--= writes public.customer.birth_date, changes the catalog

-- SET DEFAULT with a cast
ALTER TABLE customer ALTER birth_date SET DEFAULT date '1970-01-01', ALTER country SET DEFAULT 'DE'::char(2)
--> ALTER TABLE customer ALTER birth_date SET DEFAULT <+birth:'1970-01-01'>, ALTER country SET DEFAULT <+country:'DE'>::text
--= writes public.customer.birth_date public.customer.country, changes the catalog

-- SET DEFAULT of NULL
ALTER TABLE customer ALTER email SET DEFAULT NULL
--= changes the catalog

-- SET DEFAULT that is computed
ALTER TABLE customer ALTER email SET DEFAULT current_user
--! 0A000 a computed default for protected column public.customer.email is not supported @ ['current_user']

-- SET DEFAULT of an expression of constants
ALTER TABLE customer ALTER email SET DEFAULT lower('NONE')
--> ALTER TABLE customer ALTER email SET DEFAULT <+email:'none'>
--= writes public.customer.email, changes the catalog

-- SET DEFAULT of an unprotected column
ALTER TABLE customer ALTER company SET DEFAULT 'none'
--= changes the catalog

-- ALTER of a constraint
ALTER TABLE customer ALTER CONSTRAINT pgnym_1 DEFERRABLE
--= changes the catalog

-- VALIDATE CONSTRAINT
ALTER TABLE customer VALIDATE CONSTRAINT pgnym_1
--= changes the catalog

-- RENAME of another constraint to pgnym's name
ALTER TABLE customer RENAME CONSTRAINT u TO pgnym_3
--! 0A000 adding of constraint pgnym_3 is not supported @ ['ALTER TABLE customer']

-- RENAME of a column to that of another
ALTER TABLE customer RENAME first_name TO x; ALTER TABLE customer RENAME last_name TO first_name
--= changes the catalog
--= changes the catalog

-- RENAME of a view
ALTER VIEW customer_contact RENAME TO contacts
--= changes the catalog

-- a view's column gets a default
ALTER VIEW customer_contact ALTER mail SET DEFAULT 'none'
--> ALTER VIEW customer_contact ALTER mail SET DEFAULT <+email:'none'>
--= writes public.customer.email, changes the catalog

-- OWNER and row-level security
ALTER TABLE customer OWNER TO app, ENABLE ROW LEVEL SECURITY
--= changes the catalog

-- DROP VIEW
DROP VIEW IF EXISTS customer_contact CASCADE
--= changes the catalog

-- DROP MATERIALIZED VIEW, INDEX, SCHEMA
DROP INDEX i; DROP SCHEMA staging CASCADE
--none

-- GRANT on columns
GRANT SELECT (email), UPDATE (phone) ON customer TO app
--= changes the catalog

-- REVOKE
REVOKE ALL ON customer FROM public
--= changes the catalog

-- a policy by content
CREATE POLICY p ON customer USING (email LIKE '%@x.org')
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE '%@x.org'"]

-- a trigger by content
CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW WHEN (new.email LIKE '%@%') EXECUTE FUNCTION f()
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["new.email LIKE '%@%'"]

-- a trigger of a column
CREATE TRIGGER t AFTER UPDATE OF email ON customer EXECUTE FUNCTION f()
--= changes the catalog

-- a rule with actions
CREATE RULE r AS ON UPDATE TO customer DO ALSO INSERT INTO album (title) VALUES (new.email)
--! 0A000 CREATE RULE on protected tables with actions or a condition is not supported @ ['customer DO ALSO INS']

-- a publication of some columns
CREATE PUBLICATION p FOR TABLE customer (customer_id, email), TABLE artist
--= changes the catalog

-- a publication of some rows
CREATE PUBLICATION p FOR TABLE customer WHERE (email = 'a')
--> CREATE PUBLICATION p FOR TABLE customer WHERE (email = <email:'a'>)
--= changes the catalog

-- a foreign table like a protected one
CREATE FOREIGN TABLE x PARTITION OF customer FOR VALUES IN (1) SERVER s
--! 0A000 statement is not supported on protected tables: CreateForeignTable @ ['CREATE FOREIGN TABLE']

-- a domain over a row
CREATE TYPE x AS (who customer, n int)
--! 0A000 statement is not supported on protected tables: CompositeType @ ['CREATE TYPE x AS (wh']

-- COMMENT ON TABLE
COMMENT ON TABLE customer IS NULL
--= changes the catalog
