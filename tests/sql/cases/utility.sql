-- PREPARE
PREPARE p AS SELECT email FROM customer WHERE email = $1
--| email:1043(64)
--= prepare p

-- PREPARE with types
PREPARE p(date, text) AS SELECT email FROM customer WHERE birth_date = $1 AND (company = $2 OR email = $2)
--> PREPARE p(text, text, text) AS SELECT email FROM customer WHERE birth_date = $1 AND (company = $2 OR email = $3)
--| email:1043(64)
--= prepare p

-- PREPARE of a write with a constant
PREPARE p(text) AS INSERT INTO customer (email, first_name) VALUES ($1, 'F')
--> PREPARE p(text) AS INSERT INTO customer (email, first_name) VALUES ($1, <+first_name:'F'>)
--= prepare p

-- EXECUTE of a name that is not known
EXECUTE p(true, 'secret')
--none

-- PREPARE and EXECUTE in one text
PREPARE p(text) AS SELECT email FROM customer WHERE email = $1; EXECUTE p('a'); DEALLOCATE p
--> PREPARE p(text) AS SELECT email FROM customer WHERE email = $1; EXECUTE p(<email:'a'>); DEALLOCATE p
--| email:1043(64)
--= prepare p
--| email:1043(64)
--= execute p
--= deallocate p

-- EXECUTE of a statement with a parameter of two sorts
PREPARE p(text, int) AS SELECT 1 FROM customer WHERE email = $1 OR company = $1 OR customer_id = $2; EXECUTE p('a''b', 2)
--> PREPARE p(text, int, text) AS SELECT 1 FROM customer WHERE email = $1 OR company = $3 OR customer_id = $2; EXECUTE p(<email:'a'b'>, 2, 'a''b')
--= prepare p
--= execute p

-- EXECUTE with a typed argument
PREPARE p(date) AS SELECT 1 FROM customer WHERE birth_date = $1; EXECUTE p(date '1962-02-18'); EXECUTE p('1962-02-18'::date); EXECUTE p(NULL)
--> PREPARE p(text) AS SELECT 1 FROM customer WHERE birth_date = $1; EXECUTE p(<birth:'1962-02-18'>); EXECUTE p(<birth:'1962-02-18'>::text); EXECUTE p(NULL)
--= prepare p
--= execute p
--= execute p
--= execute p

-- EXECUTE with a computed argument
PREPARE p(text) AS SELECT 1 FROM customer WHERE email = $1; EXECUTE p(current_user)
--! 0A000 argument 1 of EXECUTE meets a protected column, and is not a constant @ ['current_user)']

-- EXECUTE after DEALLOCATE
PREPARE p(text) AS SELECT 1 FROM customer WHERE email = $1; DEALLOCATE p; EXECUTE p('a')
--= prepare p
--= deallocate p

-- EXPLAIN EXECUTE
PREPARE p(text) AS DELETE FROM customer WHERE email = $1; EXPLAIN EXECUTE p('a')
--> PREPARE p(text) AS DELETE FROM customer WHERE email = $1; EXPLAIN EXECUTE p(<email:'a'>)
--= prepare p

-- search_path changes before a statement
SET search_path = archive; SELECT email FROM customer WHERE email = 'a'
--! 0A000 a statement on protected tables after a change of search_path or role in the same query string is not supported @ ['SELECT email FROM cu']

-- search_path changes before a qualified statement
SET search_path = archive; SELECT email FROM public.customer WHERE email = 'a'
--> SET search_path = archive; SELECT email FROM public.customer WHERE email = <email:'a'>
--| email:1043(64)

-- set_config changes search_path before a statement
SELECT set_config('search_path', 'archive', false); SELECT email FROM customer WHERE email = 'a'
--! 0A000 a statement on protected tables after a change of search_path or role in the same query string is not supported @ ['SELECT email FROM cu']

-- a table is renamed before a statement
ALTER TABLE customer RENAME TO client; UPDATE client SET email = 'a'
--! 0A000 a statement on protected tables after a change of the catalog in the same query string is not supported @ ['UPDATE client SET em']

-- a view is made before a statement
CREATE VIEW v AS SELECT email FROM customer; SELECT * FROM v
--! 0A000 a statement on protected tables after a change of the catalog in the same query string is not supported @ ['SELECT * FROM v']

-- an index is made before a statement
CREATE INDEX i ON customer (email); SELECT email FROM customer
--= changes the catalog
--| email:1043(64)

-- DEALLOCATE
DEALLOCATE p
--= deallocate p

-- DEALLOCATE ALL
DEALLOCATE ALL
--= deallocate all

-- DISCARD ALL
DISCARD ALL
--= discard all

-- DISCARD TEMP
DISCARD TEMP
--none

-- DECLARE
DECLARE c CURSOR FOR SELECT customer_id, email FROM customer WHERE email = 'a'
--> DECLARE c CURSOR FOR SELECT customer_id, email FROM customer WHERE email = <email:'a'>
--| - email:1043(64)
--= declare c

-- DECLARE WITH HOLD in a transaction
BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT email FROM customer; FETCH 10 FROM c; CLOSE c; COMMIT
--| email:1043(64)
--= declare c
--| email:1043(64)
--= close c

-- CLOSE ALL
CLOSE ALL
--= close all

-- EXPLAIN
EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM customer WHERE email = 'a'
--> EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM customer WHERE email = <email:'a'>

-- EXPLAIN of a write
EXPLAIN UPDATE customer SET email = 'b' WHERE email = 'a'
--> EXPLAIN UPDATE customer SET email = <+email:'b'> WHERE email = <email:'a'>
--= writes public.customer.email

-- COPY FROM
COPY customer (customer_id, email, birth_date) FROM STDIN
--= writes public.customer.birth_date public.customer.email

-- COPY FROM in CSV
COPY customer FROM STDIN WITH (FORMAT csv, HEADER match, DELIMITER ';', NULL '', QUOTE '''', FORCE_NULL (email))
--= writes public.customer.birth_date public.customer.country public.customer.email public.customer.first_name public.customer.last_name public.customer.loyalty_no public.customer.notes public.customer.phone

-- COPY FROM with the old syntax
COPY customer FROM STDIN CSV HEADER
--= writes public.customer.birth_date public.customer.country public.customer.email public.customer.first_name public.customer.last_name public.customer.loyalty_no public.customer.notes public.customer.phone

-- COPY FROM with WHERE
COPY customer (customer_id, email) FROM STDIN WHERE customer_id > 3 AND email <> 'a'
--> COPY customer (customer_id, email) FROM STDIN WHERE customer_id > 3 AND email <> <email:'a'>
--= writes public.customer.email

-- COPY FROM a file
COPY customer FROM '/tmp/x'
--! 0A000 COPY between a protected table and a file or program of the server is not supported @ ["COPY customer FROM '"]

-- COPY TO a program
COPY customer TO PROGRAM 'cat > /tmp/x'
--! 0A000 COPY between a protected table and a file or program of the server is not supported @ ['COPY customer TO PRO']

-- COPY TO
COPY customer (customer_id, email, birth_date) TO STDOUT (FORMAT binary)
--| - email:1043(64) birth:1082

-- COPY of a query
COPY (SELECT email, company FROM customer WHERE email = 'a') TO STDOUT WITH CSV
--> COPY (SELECT email, company FROM customer WHERE email = <email:'a'>) TO STDOUT WITH CSV
--| email:1043(64) -

-- COPY of a changing query
COPY (DELETE FROM customer WHERE email = 'a' RETURNING email) TO STDOUT
--> COPY (DELETE FROM customer WHERE email = <email:'a'> RETURNING email) TO STDOUT
--| email:1043(64)

-- COPY in another encoding
COPY customer TO STDOUT (ENCODING 'LATIN1')
--! 0A000 COPY of protected tables in an encoding other than UTF8 is not supported @ ['COPY customer TO STD']

-- COPY of an unprotected table
COPY artist FROM STDIN
--none

-- TRUNCATE
TRUNCATE customer, invoice CASCADE

-- LOCK
LOCK TABLE customer IN EXCLUSIVE MODE

-- ANALYZE
ANALYZE customer (email)

-- VACUUM
VACUUM (ANALYZE) customer

-- SET, SHOW and the like beside a concerned statement
SET work_mem = '1MB'; SHOW search_path; SELECT email FROM customer WHERE email = 'a'; RESET ALL
--> SET work_mem = '1MB'; SHOW search_path; SELECT email FROM customer WHERE email = <email:'a'>; RESET ALL
--| email:1043(64)

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

-- CREATE VIEW
CREATE VIEW v AS SELECT email, company FROM customer WHERE email <> 'x'
--> CREATE VIEW v AS SELECT email, company FROM customer WHERE email <> <email:'x'>
--= changes the catalog

-- CREATE VIEW that inspects content
CREATE VIEW v AS SELECT lower(email) FROM customer
--! 0A000 function lower() on protected column public.customer.email is not supported @ ['lower(email) FROM cu']

-- CREATE TEMP VIEW that hides a table
CREATE TEMP VIEW customer AS SELECT 1
--! 0A000 temporary relation "customer" would hide a protected one @ ['customer AS SELECT 1']

-- CREATE TABLE AS
CREATE TABLE x AS SELECT email FROM customer
--! 0A000 derived column "email" would hold tokens without being protected @ ['x AS SELECT email FR']

-- CREATE TABLE AS of unprotected columns
CREATE TABLE x AS SELECT company FROM customer WHERE email = 'a'
--> CREATE TABLE x AS SELECT company FROM customer WHERE email = <email:'a'>
--= changes the catalog

-- SELECT INTO
SELECT email INTO x FROM customer
--! 0A000 derived column "email" would hold tokens without being protected @ ['x FROM customer']

-- CREATE MATERIALIZED VIEW
CREATE MATERIALIZED VIEW x AS SELECT email, count(*) FROM customer GROUP BY email
--! 0A000 derived column "email" would hold tokens without being protected @ ['x AS SELECT email, c']

-- CREATE TEMP TABLE that hides a table
CREATE TEMP TABLE customer (id int)
--! 0A000 temporary relation "customer" would hide a protected one @ ['customer (id int)']

-- CREATE TABLE in pg_temp that hides a table
CREATE TABLE pg_temp.customer (id int)
--! 0A000 temporary relation "customer" would hide a protected one @ ['pg_temp.customer (id']

-- CREATE TABLE LIKE
CREATE TABLE x (LIKE customer)
--! 0A000 CREATE TABLE LIKE "customer" without its constraints is not supported @ ['customer)']

-- CREATE TABLE LIKE with constraints
CREATE TABLE x (LIKE customer INCLUDING ALL)
--= changes the catalog

-- a partition
CREATE TABLE x PARTITION OF customer FOR VALUES IN (1)
--= changes the catalog

-- a foreign key to a protected column
CREATE TABLE x (mail varchar REFERENCES customer (email))
--= changes the catalog

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
--! 0A000 a default for protected column customer.email is not supported @ ["email SET DEFAULT 'x"]

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

-- DO with a nested dollar quote
DO $a$BEGIN EXECUTE $b$UPDATE artist SET name = 'x' WHERE name IN (TABLE customer)$b$; EXECUTE $b$DELETE FROM customer$b$; END$a$
--! 0A000 DO with constants in a body that names protected tables is not supported @ ['DO $a$BEGIN EXECUTE ']

-- DO without constants
DO 'BEGIN DELETE FROM customer; END'

-- DO with constants
DO $$ BEGIN UPDATE customer SET email = 'secret'; END $$
--! 0A000 DO with constants in a body that names protected tables is not supported @ ['DO $$ BEGIN UPDATE c']

-- CALL
CALL archive_year(2020)
--none

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
--! 0A000 statement is not supported on protected tables: Rule @ ['CREATE RULE r AS ON ']

-- a publication
CREATE PUBLICATION p FOR TABLE customer
--! 0A000 statement is not supported on protected tables: CreatePublication @ ['CREATE PUBLICATION p']

-- a constant that is the name of a table
SELECT 'customer'
--none

-- a setting that is the name of a table
SET application_name = 'customer'

-- a comment that names a table
SELECT 1 /* customer */
--none

-- a protected table as child of an unprotected one
ALTER TABLE customer INHERIT archive.customer
--! 0A000 making protected table "customer" a child of "customer" is not supported @ ['archive.customer']

-- a protected table as partition of an unprotected one
ALTER TABLE archive.customer ATTACH PARTITION staging.contact FOR VALUES IN (1)
--! 0A000 making protected table "contact" a child of "customer" is not supported @ ['staging.contact FOR ']

-- a protected table as child of one that has none of its protected columns
ALTER TABLE customer INHERIT album
--= changes the catalog

-- an unprotected table as child of a protected one: the server asks for the CHECK
ALTER TABLE archive.customer INHERIT staging.contact
--= changes the catalog

-- a copy with the CHECKs below an unprotected parent
CREATE TABLE c2 (LIKE customer INCLUDING CONSTRAINTS) INHERITS (archive.customer)
--! 0A000 making protected table "customer" a child of "customer" is not supported @ ['customer INCLUDING C']

-- taking a child from its parent
ALTER TABLE torn NO INHERIT customer
--= changes the catalog
