-- INSERT
INSERT INTO customer (customer_id, email, company) VALUES (1, 'a@b', 'co')
--> INSERT INTO customer (customer_id, email, company) VALUES (1, <+email:'a@b'>, 'co')
--= writes public.customer.email

-- INSERT without a column list
INSERT INTO staging.contact VALUES (1, 'a@b', 'web')
--> INSERT INTO staging.contact VALUES (1, <+email:'a@b'>, 'web')
--= writes staging.contact.email

-- INSERT with fewer values than columns
INSERT INTO staging.contact VALUES (1, 'a@b')
--> INSERT INTO staging.contact VALUES (1, <+email:'a@b'>)
--= writes staging.contact.email

-- INSERT in another order
INSERT INTO customer (email, customer_id, first_name) VALUES ('a@b', 1, 'A')
--> INSERT INTO customer (email, customer_id, first_name) VALUES (<+email:'a@b'>, 1, <+first_name:'A'>)
--= writes public.customer.email public.customer.first_name

-- INSERT of many rows with DEFAULT and NULL
INSERT INTO customer (customer_id, email) VALUES (1, 'a'), (2, DEFAULT), (3, NULL), (4, '')
--> INSERT INTO customer (customer_id, email) VALUES (1, <+email:'a'>), (2, DEFAULT), (3, NULL), (4, <+email:''>)
--= writes public.customer.email

-- INSERT DEFAULT VALUES
INSERT INTO customer DEFAULT VALUES

-- INSERT of typed values
INSERT INTO customer (birth_date, loyalty_no, country) VALUES ('1962-02-18'::date, -5, 'DE'), (date '1962-02-18', 7, 'FR')
--> INSERT INTO customer (birth_date, loyalty_no, country) VALUES (<+birth:'1962-02-18'>::text, <+loyalty:'-5'>, <+country:'DE'>), (<+birth:'1962-02-18'>, <+loyalty:'7'>, <+country:'FR'>)
--= writes public.customer.birth_date public.customer.country public.customer.loyalty_no

-- INSERT of a number into a text column
INSERT INTO customer (email) VALUES (5)
--> INSERT INTO customer (email) VALUES (<+email:'5'>)
--= writes public.customer.email

-- INSERT of a folded constant
INSERT INTO customer (email) VALUES (lower('A@B')), ('a' || '@b')
--> INSERT INTO customer (email) VALUES (<+email:'a@b'>), (<+email:'a@b'>)
--= writes public.customer.email

-- INSERT of a computed value
INSERT INTO customer (email) VALUES (md5('a'))
--! 0A000 INSERT would store the result of function md5() in protected column public.customer.email @ ["md5('a'))"]

-- INSERT of the session's user
INSERT INTO customer (email) VALUES (current_user)
--! 0A000 INSERT would store current_user in protected column public.customer.email @ ['current_user)']

-- INSERT … SELECT of constants
INSERT INTO customer (customer_id, email) SELECT 1, 'a@b'
--> INSERT INTO customer (customer_id, email) SELECT 1, <+email:'a@b'>
--= writes public.customer.email

-- INSERT … SELECT of constants for each row
INSERT INTO employee (employee_id, email) SELECT artist_id, 'a@b' FROM artist
--> INSERT INTO employee (employee_id, email) SELECT artist_id, <+email:'a@b'> FROM artist
--= writes public.employee.email

-- INSERT … SELECT of the same domain
INSERT INTO employee (email, last_name) SELECT email, last_name FROM customer WHERE email = 'x'
--> INSERT INTO employee (email, last_name) SELECT email, last_name FROM customer WHERE email = <email:'x'>
--= writes public.employee.email public.employee.last_name

-- INSERT … SELECT of another domain
INSERT INTO employee (email) SELECT phone FROM customer
--! 0A000 INSERT can't bring together protected column public.customer.phone and protected column public.employee.email @ ['employee (email) SEL']

-- INSERT … SELECT into an unprotected column
INSERT INTO artist (name) SELECT email FROM customer
--! 0A000 INSERT would store protected column public.customer.email in unprotected column public.artist.name @ ['artist (name) SELECT']

-- INSERT … SELECT from an unprotected column
INSERT INTO employee (email) SELECT name FROM artist
--! 0A000 INSERT would store column public.artist.name in protected column public.employee.email @ ['employee (email) SEL']

-- INSERT … SELECT of another length
INSERT INTO staging.contact (email) SELECT billing_email FROM invoice
--! 0A000 INSERT would store column public.invoice.billing_email in column staging.contact.email, whose type differs @ ['staging.contact (ema']

-- INSERT … SELECT of a union
INSERT INTO staging.contact (email) SELECT 'a' UNION ALL SELECT email FROM customer
--> INSERT INTO staging.contact (email) SELECT <+email:'a'> UNION ALL SELECT email FROM customer
--= writes staging.contact.email

-- INSERT … SELECT of built text
INSERT INTO artist (name) SELECT first_name || ' ' || last_name FROM customer
--! 0A000 INSERT would store protected column public.customer.first_name, public.customer.last_name in unprotected column public.artist.name @ ['artist (name) SELECT']

-- INSERT … SELECT from VALUES
INSERT INTO customer (email, company) SELECT * FROM (VALUES ('a', 'b'), ('c', 'd')) v
--> INSERT INTO customer (email, company) SELECT * FROM (VALUES (<+email:'a'>, 'b'), (<+email:'c'>, 'd')) v
--= writes public.customer.email

-- INSERT of a scalar subquery
INSERT INTO staging.contact (id, email) VALUES (1, (SELECT email FROM customer WHERE customer_id = 1))
--= writes staging.contact.email

-- INSERT into another schema's table of the same name
INSERT INTO archive.customer (email) VALUES ('a')
--none

-- RETURNING
INSERT INTO customer (email) VALUES ('a') RETURNING customer_id, email
--> INSERT INTO customer (email) VALUES (<+email:'a'>) RETURNING customer_id, email
--| - email:1043(64)
--= writes public.customer.email

-- RETURNING *
INSERT INTO staging.contact (email) VALUES ('a') RETURNING *
--> INSERT INTO staging.contact (email) VALUES (<+email:'a'>) RETURNING *
--| - email:1043(64) -
--= writes staging.contact.email

-- RETURNING 0
INSERT INTO customer (email) VALUES ('a') RETURNING 0
--> INSERT INTO customer (email) VALUES (<+email:'a'>) RETURNING 0
--= writes public.customer.email

-- RETURNING an alias
INSERT INTO staging.contact AS s (email) VALUES ('a') RETURNING s.email AS mail
--> INSERT INTO staging.contact AS s (email) VALUES (<+email:'a'>) RETURNING s.email AS mail
--| email:1043(64)
--= writes staging.contact.email

-- RETURNING old and new
UPDATE staging.contact SET email = 'b' WHERE email = 'a' RETURNING old.email, new.email, old.id
--> UPDATE staging.contact SET email = <+email:'b'> WHERE email = <email:'a'> RETURNING old.email, new.email, old.id
--| email:1043(64) email:1043(64) -
--= writes staging.contact.email

-- RETURNING WITH names for old and new
UPDATE staging.contact SET email = 'b' RETURNING WITH (OLD AS o, NEW AS n) o.email, n.*
--> UPDATE staging.contact SET email = <+email:'b'> RETURNING WITH (OLD AS o, NEW AS n) o.email, n.*
--| email:1043(64) - email:1043(64) -
--= writes staging.contact.email

-- ON CONFLICT DO NOTHING
INSERT INTO customer (email) VALUES ('a') ON CONFLICT (email) DO NOTHING
--> INSERT INTO customer (email) VALUES (<+email:'a'>) ON CONFLICT (email) DO NOTHING
--= writes public.customer.email

-- ON CONFLICT DO UPDATE
INSERT INTO customer (email, company) VALUES ('a', 'b') ON CONFLICT (email) DO UPDATE SET email = excluded.email, first_name = 'F', company = excluded.company WHERE customer.email <> 'z' AND excluded.company = 'q'
--> INSERT INTO customer (email, company) VALUES (<+email:'a'>, 'b') ON CONFLICT (email) DO UPDATE SET email = excluded.email, first_name = <+first_name:'F'>, company = excluded.company WHERE customer.email <> <email:'z'> AND excluded.company = 'q'
--= writes public.customer.email public.customer.first_name

-- ON CONFLICT on a randomized column
INSERT INTO customer (notes) VALUES ('a') ON CONFLICT (notes) DO NOTHING
--! 0A000 ON CONFLICT on randomized column public.customer.notes is not supported @ ['ON CONFLICT (notes) ']

-- ON CONFLICT ON CONSTRAINT
INSERT INTO customer (email) VALUES ('a') ON CONFLICT ON CONSTRAINT customer_email_key DO UPDATE SET email = 'b'
--> INSERT INTO customer (email) VALUES (<+email:'a'>) ON CONFLICT ON CONSTRAINT customer_email_key DO UPDATE SET email = <+email:'b'>
--= writes public.customer.email

-- ON CONFLICT with an expression
INSERT INTO customer (email) VALUES ('a') ON CONFLICT (lower(email)) DO NOTHING
--! 0A000 ON CONFLICT (expression) on the result of lower() of protected column public.customer.email is not supported @ ['ON CONFLICT (lower(e']

-- ON CONFLICT with an index predicate
INSERT INTO customer (email) VALUES ('a') ON CONFLICT (customer_id) WHERE email = 'x' DO NOTHING
--> INSERT INTO customer (email) VALUES (<+email:'a'>) ON CONFLICT (customer_id) WHERE email = <email:'x'> DO NOTHING
--= writes public.customer.email

-- ON CONFLICT concatenates
INSERT INTO customer (email) VALUES ('a') ON CONFLICT (email) DO UPDATE SET email = customer.email || 'x'
--! 0A000 UPDATE would store text built by || in protected column public.customer.email @ ['email = customer.ema']

-- an unprotected column of a qualified conflict
INSERT INTO customer (email, company) VALUES ('a', 'b') ON CONFLICT (email) DO UPDATE SET company = excluded.email
--! 0A000 UPDATE would store protected column public.customer.email in unprotected column public.customer.company @ ['company = excluded.e']

-- INSERT with WITH
WITH v AS (SELECT 'a' AS mail) INSERT INTO customer (email) SELECT mail FROM v
--> WITH v AS (SELECT <+email:'a'> AS mail) INSERT INTO customer (email) SELECT mail FROM v
--= writes public.customer.email

-- UPDATE
UPDATE customer SET email = 'b', company = 'c' WHERE email = 'a'
--> UPDATE customer SET email = <+email:'b'>, company = 'c' WHERE email = <email:'a'>
--= writes public.customer.email

-- UPDATE of several columns at once
UPDATE customer SET (email, company) = ('a', 'b'), (first_name, last_name) = ROW ('c', DEFAULT)
--> UPDATE customer SET (email, company) = (<+email:'a'>, 'b'), (first_name, last_name) = ROW (<+first_name:'c'>, DEFAULT)
--= writes public.customer.email public.customer.first_name

-- UPDATE of several columns from a subquery
UPDATE customer SET (email, first_name) = (SELECT e.email, e.first_name FROM employee e WHERE e.employee_id = support_rep_id)
--= writes public.customer.email public.customer.first_name

-- UPDATE of several columns from a subquery of constants
UPDATE customer SET (email, company) = (SELECT 'a', 'b')
--> UPDATE customer SET (email, company) = (SELECT <+email:'a'>, 'b')
--= writes public.customer.email

-- UPDATE to DEFAULT and NULL
UPDATE customer SET email = DEFAULT, phone = NULL
--= writes public.customer.phone

-- UPDATE FROM
UPDATE customer SET email = e.email FROM employee e WHERE e.employee_id = customer.support_rep_id AND e.email <> 'x'
--> UPDATE customer SET email = e.email FROM employee e WHERE e.employee_id = customer.support_rep_id AND e.email <> <email:'x'>
--= writes public.customer.email

-- UPDATE FROM RETURNING *
UPDATE staging.contact s SET email = e.email FROM employee e WHERE e.employee_id = s.id RETURNING *
--| - email:1043(64) - - last_name:1043(24) first_name:1043(44) - - email:1043(64)
--= writes staging.contact.email

-- UPDATE from another domain
UPDATE customer SET email = phone
--! 0A000 UPDATE can't bring together protected column public.customer.phone and protected column public.customer.email @ ['email = phone']

-- UPDATE of a protected column by itself
UPDATE customer SET email = email
--= writes public.customer.email

-- UPDATE of an unprotected column by a protected one
UPDATE customer SET company = email
--! 0A000 UPDATE would store protected column public.customer.email in unprotected column public.customer.company @ ['company = email']

-- UPDATE with CASE
UPDATE customer SET email = CASE WHEN email = 'a' THEN 'b' ELSE email END
--> UPDATE customer SET email = CASE WHEN email = <email:'a'> THEN <+email:'b'> ELSE email END
--= writes public.customer.email

-- UPDATE with COALESCE
UPDATE customer SET email = COALESCE($1, email) WHERE customer_id = $2
--$ $1=+email $2
--= writes public.customer.email

-- UPDATE by computing
UPDATE customer SET email = lower(email)
--! 0A000 UPDATE would store the result of lower() in protected column public.customer.email @ ['email = lower(email)']

-- UPDATE of a date
UPDATE customer SET birth_date = '1962-02-18'::date WHERE birth_date = $1
--> UPDATE customer SET birth_date = <+birth:'1962-02-18'>::text WHERE birth_date = $1
--$ $1=birth $1 shown 1082
--= writes public.customer.birth_date

-- UPDATE WHERE CURRENT OF
UPDATE customer SET email = 'a' WHERE CURRENT OF c
--> UPDATE customer SET email = <+email:'a'> WHERE CURRENT OF c
--= writes public.customer.email

-- UPDATE of an unknown column
UPDATE customer SET e_mail = 'a'
--! 42703 column "e_mail" of relation "customer" does not exist @ ["e_mail = 'a'"]

-- DELETE
DELETE FROM customer WHERE email = 'a'
--> DELETE FROM customer WHERE email = <email:'a'>

-- DELETE USING
DELETE FROM customer c USING employee e WHERE c.email = e.email AND e.first_name = 'x' RETURNING c.email
--> DELETE FROM customer c USING employee e WHERE c.email = e.email AND e.first_name = <first_name:'x'> RETURNING c.email
--| email:1043(64)

-- a data-modifying WITH query
WITH d AS (DELETE FROM customer WHERE email = 'a' RETURNING email, company) INSERT INTO staging.contact (email, source) SELECT email, company FROM d
--> WITH d AS (DELETE FROM customer WHERE email = <email:'a'> RETURNING email, company) INSERT INTO staging.contact (email, source) SELECT email, company FROM d
--= writes staging.contact.email

-- an upsert as two WITH queries
WITH u AS (UPDATE customer SET first_name = 'F' WHERE email = 'a' RETURNING 1), i AS (INSERT INTO customer (email) SELECT 'a' WHERE NOT EXISTS (SELECT 1 FROM u) RETURNING email) SELECT * FROM i
--> WITH u AS (UPDATE customer SET first_name = <+first_name:'F'> WHERE email = <email:'a'> RETURNING 1), i AS (INSERT INTO customer (email) SELECT <+email:'a'> WHERE NOT EXISTS (SELECT 1 FROM u) RETURNING email) SELECT * FROM i
--| email:1043(64)
--= writes public.customer.email public.customer.first_name

-- MERGE
MERGE INTO customer c USING staging.contact s ON c.email = s.email WHEN MATCHED AND s.source = 'x' THEN UPDATE SET email = s.email, first_name = 'F' WHEN NOT MATCHED THEN INSERT (customer_id, email) VALUES (s.id, s.email)
--> MERGE INTO customer c USING staging.contact s ON c.email = s.email WHEN MATCHED AND s.source = 'x' THEN UPDATE SET email = s.email, first_name = <+first_name:'F'> WHEN NOT MATCHED THEN INSERT (customer_id, email) VALUES (s.id, s.email)
--= writes public.customer.email public.customer.first_name

-- MERGE with constants
MERGE INTO customer c USING (VALUES ('a', 'b')) v(mail, name) ON c.email = v.mail WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (email, company) VALUES (v.mail, 'co')
--> MERGE INTO customer c USING (VALUES (<+email:'a'>, 'b')) v(mail, name) ON c.email = v.mail WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (email, company) VALUES (v.mail, 'co')
--= writes public.customer.email

-- MERGE RETURNING
MERGE INTO staging.contact c USING employee e ON c.email = e.email WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), c.email
--| - email:1043(64)

-- MERGE with a randomized column
MERGE INTO customer c USING customer d ON c.notes = d.notes WHEN MATCHED THEN DO NOTHING
--! 0A000 operator = on randomized column public.customer.notes is not supported @ ['= d.notes WHEN MATCH']

-- through a view
UPDATE customer_contact SET mail = 'b' WHERE mail = 'a'
--> UPDATE customer_contact SET mail = <+email:'b'> WHERE mail = <email:'a'>
--= writes public.customer.email

-- through a computed column of a view
UPDATE customer_contact SET full_name = 'b'
--! 0A000 a change through a view's computed column on protected column public.customer.first_name, public.customer.last_name is not supported @ ["full_name = 'b'"]

-- several statements
BEGIN; INSERT INTO customer (email) VALUES ('a'); SELECT email FROM customer WHERE email = 'b'; SELECT 1; COMMIT
--> BEGIN; INSERT INTO customer (email) VALUES (<+email:'a'>); SELECT email FROM customer WHERE email = <email:'b'>; SELECT 1; COMMIT
--= writes public.customer.email
--| email:1043(64)

-- an unconcerned statement before a concerned one
SELECT 'a@b'; DELETE FROM customer WHERE email = 'a@b'
--> SELECT 'a@b'; DELETE FROM customer WHERE email = <email:'a@b'>
