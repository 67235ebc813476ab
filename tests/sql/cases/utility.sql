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

-- a constant that is the name of a table
SELECT 'customer'
--none

-- a setting that is the name of a table
SET application_name = 'customer'

-- a comment that names a table
SELECT 1 /* customer */
--none
