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
--> CREATE TABLE x AS SELECT email FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS of unprotected columns
CREATE TABLE x AS SELECT company FROM customer WHERE email = 'a'
--> CREATE TABLE x AS SELECT company FROM customer WHERE email = <email:'a'>
--= changes the catalog

-- SELECT INTO
SELECT email INTO x FROM customer
--> SELECT email INTO x FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE MATERIALIZED VIEW
CREATE MATERIALIZED VIEW x AS SELECT email, count(*) FROM customer GROUP BY email
--= changes the catalog

-- CREATE TEMP TABLE that hides a table
CREATE TEMP TABLE customer (id int)
--! 0A000 temporary relation "customer" would hide a protected one @ ['customer (id int)']

-- CREATE TABLE in pg_temp that hides a table
CREATE TABLE pg_temp.customer (id int)
--! 0A000 temporary relation "customer" would hide a protected one @ ['pg_temp.customer (id']

-- CREATE TABLE LIKE
CREATE TABLE x (LIKE customer)
--> CREATE TABLE x (LIKE customer); ALTER TABLE "x" ADD CONSTRAINT pgnym_1 CHECK ("first_name" pn1aab), ADD CONSTRAINT pgnym_2 CHECK ("last_name" pn1aac), ADD CONSTRAINT pgnym_3 CHECK ("phone" pn1aad), ADD CONSTRAINT pgnym_4 CHECK ("email" pn1aaa), ADD CONSTRAINT pgnym_5 CHECK ("birth_date" pn1aae), ADD CONSTRAINT pgnym_6 CHECK ("loyalty_no" pn1aag), ADD CONSTRAINT pgnym_7 CHECK ("notes" pn1aaf), ADD CONSTRAINT pgnym_8 CHECK ("country" pn1aai)
--= changes the catalog

-- CREATE TABLE LIKE with constraints
CREATE TABLE x (LIKE customer INCLUDING ALL)
--= changes the catalog

-- a partition
CREATE TABLE x PARTITION OF customer FOR VALUES IN (1)
--= changes the catalog

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

-- CREATE TABLE AS with names of its own
CREATE TABLE x (id, mail) AS SELECT customer_id, email FROM customer
--> CREATE TABLE x (id, mail) AS SELECT customer_id, email FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("mail" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS of several types
CREATE TABLE archive.x AS SELECT birth_date AS born, loyalty_no, country, notes FROM customer
--> CREATE TABLE archive.x AS SELECT birth_date AS born, loyalty_no, country, notes FROM customer; ALTER TABLE "archive"."x" ADD CONSTRAINT pgnym_5_1 CHECK ("born" pn1aae), ADD CONSTRAINT pgnym_6_1 CHECK ("loyalty_no" pn1aag), ADD CONSTRAINT pgnym_8_1 CHECK ("country" pn1aai), ADD CONSTRAINT pgnym_7_1 CHECK ("notes" pn1aaf)
--= changes the catalog

-- CREATE TABLE AS with the same column twice
CREATE TABLE x AS SELECT email, email AS again FROM customer
--> CREATE TABLE x AS SELECT email, email AS again FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa), ADD CONSTRAINT pgnym_4_2 CHECK ("again" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS of all columns
CREATE UNLOGGED TABLE x AS TABLE employee WITH NO DATA
--> CREATE UNLOGGED TABLE x AS TABLE employee WITH NO DATA; ALTER TABLE "x" ADD CONSTRAINT pgnym_9_1 CHECK ("last_name" pn1aac), ADD CONSTRAINT pgnym_10_1 CHECK ("first_name" pn1aab), ADD CONSTRAINT pgnym_11_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS with a comment at the end
CREATE TABLE x AS SELECT email FROM customer -- the addresses
--> CREATE TABLE x AS SELECT email FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa) -- the addresses
--= changes the catalog

-- CREATE TABLE AS before another statement
CREATE TABLE x AS SELECT email FROM customer; SELECT 1
--> CREATE TABLE x AS SELECT email FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa); SELECT 1
--= changes the catalog

-- CREATE TABLE AS with a cast
CREATE TABLE x AS SELECT email::text AS mail FROM customer
--> CREATE TABLE x AS SELECT email::text AS mail FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("mail" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS with a constant and a parameter
CREATE TABLE x AS SELECT customer_id, email FROM customer WHERE email = 'a' OR email = $1
--> CREATE TABLE x AS SELECT customer_id, email FROM customer WHERE email = <email:'a'> OR email = $1; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--$ $1=email
--= changes the catalog

-- CREATE TABLE AS of a union
CREATE TABLE x AS SELECT email FROM customer UNION SELECT billing_email FROM invoice
--> CREATE TABLE x AS SELECT email FROM customer UNION SELECT billing_email FROM invoice; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa), ADD CONSTRAINT pgnym_12_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS with a constant among the values
CREATE TABLE x AS SELECT coalesce(email, 'none') AS mail FROM customer
--> CREATE TABLE x AS SELECT coalesce(email, <~email:'none'>) AS mail FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("mail" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS of a join with a CTE
CREATE TABLE x AS WITH c AS (SELECT * FROM customer) SELECT c.email, i.total FROM c JOIN invoice i ON i.billing_email = c.email
--> CREATE TABLE x AS WITH c AS (SELECT * FROM customer) SELECT c.email, i.total FROM c JOIN invoice i ON i.billing_email = c.email; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS of a view
CREATE TABLE x AS SELECT mail FROM customer_contact
--> CREATE TABLE x AS SELECT mail FROM customer_contact; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("mail" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS of a function in SQL
CREATE TABLE x AS SELECT * FROM customer_by_email('a')
--> CREATE TABLE x AS SELECT * FROM customer_by_email(<email:'a'>); ALTER TABLE "x" ADD CONSTRAINT pgnym_1_1 CHECK ("first_name" pn1aab), ADD CONSTRAINT pgnym_2_1 CHECK ("last_name" pn1aac), ADD CONSTRAINT pgnym_3_1 CHECK ("phone" pn1aad), ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa), ADD CONSTRAINT pgnym_5_1 CHECK ("birth_date" pn1aae), ADD CONSTRAINT pgnym_6_1 CHECK ("loyalty_no" pn1aag), ADD CONSTRAINT pgnym_7_1 CHECK ("notes" pn1aaf), ADD CONSTRAINT pgnym_8_1 CHECK ("country" pn1aai)
--= changes the catalog

-- CREATE TABLE AS of built text
CREATE TABLE x AS SELECT first_name || ' ' || last_name AS name FROM customer
--! 0A000 derived column "name" would hold tokens without being protected @ ['x AS SELECT first_na']

-- CREATE TABLE AS of JSON
CREATE TABLE x AS SELECT to_json(email) AS j FROM customer
--! 0A000 derived column "j" would hold tokens without being protected @ ['x AS SELECT to_json(']

-- CREATE TABLE AS of an array
CREATE TABLE x AS SELECT array_agg(email) AS mails FROM customer
--! 0A000 derived column "mails" would hold tokens without being protected @ ['x AS SELECT array_ag']

-- CREATE TABLE AS of a mix
CREATE TABLE x AS SELECT coalesce(email, company) AS name FROM customer
--! 0A000 derived column "name" would hold tokens without being protected @ ['x AS SELECT coalesce']

-- CREATE TABLE AS that loses a type
CREATE TABLE x AS SELECT any_value(country) AS land FROM customer
--! 0A000 derived column "land" would have another type than protected column public.customer.country @ ['x AS SELECT any_valu']

-- CREATE TABLE AS whose table is named oddly
CREATE TABLE "Odd ""x" AS SELECT "E Mail" FROM "Odd Name"
--> CREATE TABLE "Odd ""x" AS SELECT "E Mail" FROM "Odd Name"; ALTER TABLE "Odd ""x" ADD CONSTRAINT pgnym_14_1 CHECK ("E Mail" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS of aggregates
CREATE TABLE x AS SELECT count(DISTINCT email) AS n, company FROM customer GROUP BY company
--= changes the catalog

-- CREATE TABLE IF NOT EXISTS AS
CREATE TABLE IF NOT EXISTS x AS SELECT email FROM customer
--> CREATE TABLE IF NOT EXISTS x AS SELECT email FROM customer; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE TABLE IF NOT EXISTS AS, and it exists
CREATE TABLE IF NOT EXISTS artist AS SELECT email FROM customer
--! 0A000 CREATE TABLE IF NOT EXISTS AS is not supported, as "artist" exists and has other protected columns @ ['artist AS SELECT ema']

-- CREATE TABLE AS hidden by the catalog
CREATE TABLE pg_class AS SELECT email FROM customer
--! 0A000 the new table would be hidden by "pg_catalog.pg_class" @ ['pg_class AS SELECT e']

-- CREATE TEMP TABLE AS
CREATE TEMP TABLE x ON COMMIT DROP AS SELECT email FROM customer
--> CREATE TEMP TABLE x ON COMMIT DROP AS SELECT email FROM customer; ALTER TABLE pg_temp."x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE TABLE in pg_temp AS
CREATE TABLE pg_temp.x AS SELECT email FROM customer
--> CREATE TABLE pg_temp.x AS SELECT email FROM customer; ALTER TABLE "pg_temp"."x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- CREATE TABLE AS EXECUTE
PREPARE p AS SELECT email FROM customer; CREATE TABLE x AS EXECUTE p
--! 0A000 CREATE TABLE AS EXECUTE of a statement on protected tables is not supported @ ['CREATE TABLE x AS EX']

-- EXPLAIN CREATE TABLE AS
EXPLAIN CREATE TABLE x AS SELECT email FROM customer WHERE email = 'a'
--> EXPLAIN CREATE TABLE x AS SELECT email FROM customer WHERE email = <email:'a'>

-- EXPLAIN ANALYZE CREATE TABLE AS
EXPLAIN (ANALYZE) CREATE TABLE x AS SELECT email FROM customer
--! 0A000 EXPLAIN ANALYZE of CREATE TABLE AS over protected tables is not supported @ ['EXPLAIN (ANALYZE) CR']

-- SELECT INTO of a union
SELECT email INTO x FROM customer UNION ALL SELECT email FROM employee
--> SELECT email INTO x FROM customer UNION ALL SELECT email FROM employee; ALTER TABLE "x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa), ADD CONSTRAINT pgnym_11_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- SELECT INTO TEMP
SELECT customer_id, email INTO TEMP x FROM customer
--> SELECT customer_id, email INTO TEMP x FROM customer; ALTER TABLE pg_temp."x" ADD CONSTRAINT pgnym_4_1 CHECK ("email" pn1aaa)
--= changes the catalog

-- SELECT INTO of built text
SELECT concat(first_name, last_name) INTO x FROM customer
--! 0A000 derived column "concat" would hold tokens without being protected @ ['x FROM customer']

-- a materialized view of built text
CREATE MATERIALIZED VIEW x AS SELECT first_name || ' ' || last_name AS name, email FROM customer WITH NO DATA
--= changes the catalog

-- REFRESH MATERIALIZED VIEW
REFRESH MATERIALIZED VIEW CONCURRENTLY customer_contact

-- a recursive view
CREATE RECURSIVE VIEW x (id, mail) AS SELECT customer_id, email FROM customer UNION ALL SELECT id + 1, mail FROM x WHERE id < 3
--= changes the catalog

-- a view with a constant among its values
CREATE OR REPLACE TEMP VIEW x AS SELECT coalesce(email, 'none') AS mail FROM customer
--> CREATE OR REPLACE TEMP VIEW x AS SELECT coalesce(email, <~email:'none'>) AS mail FROM customer
--= changes the catalog

-- LIKE with some of its properties
CREATE TABLE x (LIKE customer INCLUDING DEFAULTS INCLUDING INDEXES, extra int)
--> CREATE TABLE x (LIKE customer INCLUDING DEFAULTS INCLUDING INDEXES, extra int); ALTER TABLE "x" ADD CONSTRAINT pgnym_1 CHECK ("first_name" pn1aab), ADD CONSTRAINT pgnym_2 CHECK ("last_name" pn1aac), ADD CONSTRAINT pgnym_3 CHECK ("phone" pn1aad), ADD CONSTRAINT pgnym_4 CHECK ("email" pn1aaa), ADD CONSTRAINT pgnym_5 CHECK ("birth_date" pn1aae), ADD CONSTRAINT pgnym_6 CHECK ("loyalty_no" pn1aag), ADD CONSTRAINT pgnym_7 CHECK ("notes" pn1aaf), ADD CONSTRAINT pgnym_8 CHECK ("country" pn1aai)
--= changes the catalog

-- LIKE all but its constraints
CREATE TABLE x (LIKE employee INCLUDING ALL EXCLUDING CONSTRAINTS)
--> CREATE TABLE x (LIKE employee INCLUDING ALL EXCLUDING CONSTRAINTS); ALTER TABLE "x" ADD CONSTRAINT pgnym_9 CHECK ("last_name" pn1aac), ADD CONSTRAINT pgnym_10 CHECK ("first_name" pn1aab), ADD CONSTRAINT pgnym_11 CHECK ("email" pn1aaa)
--= changes the catalog

-- LIKE two tables
CREATE TABLE x (LIKE staging.contact, LIKE album)
--> CREATE TABLE x (LIKE staging.contact, LIKE album); ALTER TABLE "x" ADD CONSTRAINT pgnym_13 CHECK ("email" pn1aaa)
--= changes the catalog

-- LIKE a view
CREATE TABLE x (LIKE customer_contact)
--> CREATE TABLE x (LIKE customer_contact); ALTER TABLE "x" ADD CONSTRAINT pgnym_4 CHECK ("mail" pn1aaa)
--= changes the catalog

-- LIKE of a temporary table
CREATE TEMP TABLE x (LIKE staging.contact)
--> CREATE TEMP TABLE x (LIKE staging.contact); ALTER TABLE pg_temp."x" ADD CONSTRAINT pgnym_13 CHECK ("email" pn1aaa)
--= changes the catalog

-- a child
CREATE TABLE x (extra int) INHERITS (customer)
--= changes the catalog

-- a child that names a protected column again
CREATE TABLE x (email varchar(60) DEFAULT 'none') INHERITS (customer)
--> CREATE TABLE x (email varchar(60) DEFAULT <+email:'none'>) INHERITS (customer)
--= writes public.customer.email, changes the catalog

-- a partition with a default
CREATE TABLE x PARTITION OF customer (email DEFAULT 'none') FOR VALUES IN (1)
--> CREATE TABLE x PARTITION OF customer (email DEFAULT <+email:'none'>) FOR VALUES IN (1)
--= writes public.customer.email, changes the catalog

-- a partition with a condition on a protected column
CREATE TABLE x PARTITION OF customer (CHECK (email LIKE '%@%')) FOR VALUES IN (1)
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE '%@%')) F"]

-- ATTACH PARTITION of a copy
ALTER TABLE customer ATTACH PARTITION staging.contact FOR VALUES IN (1)
--= changes the catalog

-- DETACH PARTITION
ALTER TABLE customer DETACH PARTITION employee CONCURRENTLY
--= changes the catalog

-- a table of a composite type
CREATE TABLE x OF customer
--= changes the catalog
