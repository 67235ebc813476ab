-- NOT LIKE
SELECT 1 FROM customer WHERE email NOT LIKE 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value !~~ 'a%')>::text[]))

-- NOT before a predicate
SELECT 1 FROM customer WHERE NOT email LIKE 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (not (value ~~ 'a%'))>::text[]))

-- NOT around a predicate in parentheses
SELECT 1 FROM customer WHERE NOT ((email LIKE 'a%'))
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (not (value ~~ 'a%'))>::text[]))

-- LIKE with ESCAPE
SELECT 1 FROM customer WHERE email LIKE 'a!%' ESCAPE '!'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ like_escape('a!%', '!'))>::text[]))

-- LIKE an expression of constants
SELECT 1 FROM customer WHERE email LIKE '%' || lower('A') || '%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ (('%' || lower('A')) || '%'))>::text[]))

-- LIKE ANY of an array constructor
SELECT 1 FROM customer WHERE email LIKE ANY (ARRAY['a%', 'b%'])
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ((value ~~ 'a%') or (value ~~ 'b%'))>::text[]))

-- NOT LIKE ALL of an array constant
SELECT 1 FROM customer WHERE email NOT LIKE ALL ('{a%,b%}')
--> SELECT 1 FROM customer WHERE (coalesce(email, '-') = ANY(<email matches all !~~(value, '{a%,b%}')>::text[]))

-- LIKE ALL in the select list
SELECT email LIKE ALL ('{a%,b%}'::text[]) FROM customer
--> SELECT (email = ANY(<email matches all ~~(value, '{a%,b%}')>::text[])) FROM customer

-- the operator spelled out
SELECT 1 FROM customer WHERE email OPERATOR(pg_catalog.~~) 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- the column as the pattern
SELECT 1 FROM customer WHERE 'abc' LIKE email
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ('abc' ~~ value)>::text[]))

-- LIKE NULL
SELECT 1 FROM customer WHERE email LIKE NULL
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ NULL)>::text[]))

-- starts_with
SELECT 1 FROM customer WHERE starts_with(email, 'a')
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches starts_with(value, 'a')>::text[]))

-- the sign for starts_with
SELECT 1 FROM customer WHERE email ^@ 'a'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ^@ 'a')>::text[]))

-- a function names its column
SELECT starts_with(email, 'a'), starts_with(email, 'b') AS b FROM customer
--> SELECT (email = ANY(<email matches starts_with(value, 'a')>::text[])) AS "starts_with", (email = ANY(<email matches starts_with(value, 'b')>::text[])) AS b FROM customer

-- a function of a function
SELECT 1 FROM customer WHERE upper(left(email, 2)) = 'AB'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (upper(left(value, '2')) = 'AB')>::text[]))

-- IN over a function
SELECT 1 FROM customer WHERE lower(email) IN ('a', 'b', NULL)
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ((lower(value) = 'a') or (lower(value) = 'b') or (lower(value) = NULL))>::text[]))

-- NOT IN over a function
SELECT 1 FROM customer WHERE lower(email) NOT IN ('a', 'b')
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ((lower(value) <> 'a') and (lower(value) <> 'b'))>::text[]))

-- equality of a concatenation
SELECT 1 FROM customer WHERE email || 'x' = 'ax'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ((value || 'x') = 'ax')>::text[]))

-- a constant on the left
SELECT 1 FROM customer WHERE 3 < length(email)
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ('3' < length(value))>::text[]))

-- greater than
SELECT 1 FROM customer WHERE email > 'a'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value > 'a')>::text[]))

-- BETWEEN SYMMETRIC
SELECT 1 FROM customer WHERE email BETWEEN SYMMETRIC 'b' AND 'a'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (((value >= 'b') and (value <= 'a')) or ((value >= 'a') and (value <= 'b')))>::text[]))

-- NOT BETWEEN
SELECT 1 FROM customer WHERE birth_date NOT BETWEEN '1960-01-01' AND '1970-01-01'
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches ((value < '1960-01-01') or (value > '1970-01-01'))>::text[]))

-- a typed constant
SELECT 1 FROM customer WHERE birth_date >= date '1960-01-01' AND loyalty_no < '5'::int
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches (value >= '1960-01-01')>::text[])) AND (loyalty_no = ANY(<loyalty matches (value < '5')>::text[]))

-- a number
SELECT 1 FROM customer WHERE loyalty_no > -3
--> SELECT 1 FROM customer WHERE (loyalty_no = ANY(<loyalty matches (value > '-3')>::text[]))

-- a decimal beside an integer
SELECT 1 FROM customer WHERE loyalty_no > 2.5
--> SELECT 1 FROM customer WHERE (loyalty_no = ANY(<loyalty matches (value > '2.5')>::text[]))

-- char of a length
SELECT 1 FROM customer WHERE country < 'FR'
--> SELECT 1 FROM customer WHERE (country = ANY(<country matches (value < 'FR')>::text[]))

-- COLLATE "C"
SELECT 1 FROM customer WHERE email COLLATE "C" < 'b'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value < 'b')>::text[]))

-- another collation
SELECT 1 FROM customer WHERE email COLLATE "de_DE" < 'b'
--! 0A000 COLLATE "de_DE" on protected column public.customer.email is not supported @ ['COLLATE "de_DE" < \'b']

-- a range is one question
SELECT 1 FROM customer WHERE birth_date >= '1960-01-01' AND birth_date < '1970-01-01'
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches ((value >= '1960-01-01') and (value < '1970-01-01'))>::text[]))

-- neighbours among others
SELECT 1 FROM customer WHERE customer_id = 1 AND email LIKE 'a%' AND email LIKE '%b' AND company = 'x'
--> SELECT 1 FROM customer WHERE customer_id = 1 AND (email = ANY(<email matches ((value ~~ 'a%') and (value ~~ '%b'))>::text[])) AND company = 'x'

-- neighbours across parentheses
SELECT 1 FROM customer WHERE (customer_id = 1 AND email LIKE 'a%') AND email LIKE '%b'
--> SELECT 1 FROM customer WHERE (customer_id = 1 AND (email = ANY(<email matches (value ~~ 'a%')>::text[]))) AND (email = ANY(<email matches (value ~~ '%b')>::text[]))

-- OR of one column
SELECT 1 FROM customer WHERE email LIKE 'a%' OR length(email) > 3
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ((value ~~ 'a%') or (length(value) > '3'))>::text[]))

-- OR of two columns
SELECT 1 FROM customer WHERE email LIKE 'a%' OR first_name LIKE 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[])) OR (first_name = ANY(<first_name matches (value ~~ 'a%')>::text[]))

-- beside equality
SELECT 1 FROM customer WHERE email = 'a' OR email LIKE 'b%'
--> SELECT 1 FROM customer WHERE email = <email:'a'> OR (email = ANY(<email matches (value ~~ 'b%')>::text[]))

-- NOT around two columns
SELECT 1 FROM customer WHERE NOT (email LIKE 'a%' OR company = 'x')
--> SELECT 1 FROM customer WHERE NOT ((email = ANY(<email matches (value ~~ 'a%')>::text[])) OR company = 'x')

-- IS TRUE
SELECT 1 FROM customer WHERE (email LIKE 'a%') IS NOT TRUE
--> SELECT 1 FROM customer WHERE ((email = ANY(<email matches (value ~~ 'a%')>::text[]))) IS NOT TRUE

-- IS NULL of a result
SELECT 1 FROM customer WHERE nullif(lower(email), 'a') IS NULL
--> SELECT 1 FROM customer WHERE (coalesce(email, '-') = ANY(<email matches (nullif(lower(value), 'a') is null)>::text[]))

-- coalesce around the column
SELECT 1 FROM customer WHERE coalesce(email, '') LIKE '%a'
--> SELECT 1 FROM customer WHERE (coalesce(email, '-') = ANY(<email matches (coalesce(value, '') ~~ '%a')>::text[]))

-- coalesce around a function
SELECT 1 FROM customer WHERE coalesce(lower(email), 'x') <> 'a'
--> SELECT 1 FROM customer WHERE (coalesce(email, '-') = ANY(<email matches (coalesce(lower(value), 'x') <> 'a')>::text[]))

-- nullif around the column
SELECT 1 FROM customer WHERE nullif(email, '') LIKE 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (nullif(value, '') ~~ 'a%')>::text[]))

-- a predicate in the select list
SELECT email LIKE 'a%' FROM customer
--> SELECT (email = ANY(<email matches (value ~~ 'a%')>::text[])) FROM customer

-- a predicate in CASE
SELECT CASE WHEN email LIKE 'a%' THEN 1 WHEN email LIKE 'b%' THEN 2 END FROM customer
--> SELECT CASE WHEN (email = ANY(<email matches (value ~~ 'a%')>::text[])) THEN 1 WHEN (email = ANY(<email matches (value ~~ 'b%')>::text[])) THEN 2 END FROM customer

-- a predicate in FILTER
SELECT count(*) FILTER (WHERE email LIKE 'a%') FROM customer
--> SELECT count(*) FILTER (WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))) FROM customer

-- a predicate in HAVING
SELECT email FROM customer GROUP BY email HAVING email LIKE 'a%'
--> SELECT email FROM customer GROUP BY email HAVING (email = ANY(<email matches (value ~~ 'a%')>::text[]))
--| email:1043(64)

-- a predicate in JOIN
SELECT 1 FROM customer c JOIN employee e ON c.email = e.email AND e.email LIKE 'a%'
--> SELECT 1 FROM customer c JOIN employee e ON c.email = e.email AND (e.email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- a predicate as a group
SELECT email LIKE 'a%', count(*) FROM customer GROUP BY email LIKE 'a%'
--> SELECT (email = ANY(<email matches (value ~~ 'a%')>::text[])), count(*) FROM customer GROUP BY (email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- a predicate to sort by
SELECT customer_id FROM customer ORDER BY email LIKE 'a%', customer_id
--> SELECT customer_id FROM customer ORDER BY (email = ANY(<email matches (value ~~ 'a%')>::text[])), customer_id

-- an outer column in a subquery
SELECT 1 FROM customer c WHERE EXISTS (SELECT FROM artist WHERE c.email LIKE 'a%')
--> SELECT 1 FROM customer c WHERE EXISTS (SELECT FROM artist WHERE (c.email = ANY(<email matches (value ~~ 'a%')>::text[])))

-- a column of a subquery
SELECT 1 FROM (SELECT email AS e FROM customer) s WHERE s.e LIKE 'a%'
--> SELECT 1 FROM (SELECT email AS e FROM customer) s WHERE (s.e = ANY(<email matches (value ~~ 'a%')>::text[]))

-- a column of WITH
WITH w AS (SELECT email FROM customer) SELECT 1 FROM w WHERE email LIKE 'a%'
--> WITH w AS (SELECT email FROM customer) SELECT 1 FROM w WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- a column of a view
SELECT id FROM customer_contact WHERE mail LIKE 'a%'
--> SELECT id FROM customer_contact WHERE (mail = ANY(<email matches (value ~~ 'a%')>::text[]))

-- a column of a union of one domain
SELECT 1 FROM (SELECT email FROM employee UNION SELECT email FROM customer) u WHERE email LIKE 'a%'
--> SELECT 1 FROM (SELECT email FROM employee UNION SELECT email FROM customer) u WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- a merged column
SELECT 1 FROM customer JOIN employee USING (email) WHERE email LIKE 'a%'
--> SELECT 1 FROM customer JOIN employee USING (email) WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- UPDATE
UPDATE customer SET company = 'x' WHERE email LIKE 'a%' RETURNING email LIKE 'ab%'
--> UPDATE customer SET company = 'x' WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[])) RETURNING (email = ANY(<email matches (value ~~ 'ab%')>::text[]))

-- DELETE
DELETE FROM customer WHERE birth_date < '1960-01-01'
--> DELETE FROM customer WHERE (birth_date = ANY(<birth matches (value < '1960-01-01')>::text[]))

-- INSERT with RETURNING
INSERT INTO customer (email) VALUES ('a') RETURNING email LIKE 'a%'
--> INSERT INTO customer (email) VALUES (<+email:'a'>) RETURNING (email = ANY(<email matches (value ~~ 'a%')>::text[]))
--= writes public.customer.email

-- ON CONFLICT with a condition
INSERT INTO customer (customer_id, email) VALUES (1, 'a') ON CONFLICT (email) DO UPDATE SET company = 'x' WHERE excluded.email LIKE 'a%'
--> INSERT INTO customer (customer_id, email) VALUES (1, <+email:'a'>) ON CONFLICT (email) DO UPDATE SET company = 'x' WHERE (excluded.email = ANY(<email matches (value ~~ 'a%')>::text[]))
--= writes public.customer.email

-- a condition of MERGE
MERGE INTO customer c USING artist a ON c.customer_id = a.artist_id WHEN MATCHED AND c.email LIKE 'a%' THEN DELETE
--> MERGE INTO customer c USING artist a ON c.customer_id = a.artist_id WHEN MATCHED AND (c.email = ANY(<email matches (value ~~ 'a%')>::text[])) THEN DELETE

-- a randomized column by LIKE
SELECT 1 FROM customer WHERE notes LIKE 'a%'
--> SELECT 1 FROM customer WHERE (notes = ANY(<notes matches (value ~~ 'a%')>::text[]))

-- a randomized column by inequality
SELECT 1 FROM customer WHERE notes <> 'a'
--> SELECT 1 FROM customer WHERE (notes = ANY(<notes matches (value <> 'a')>::text[]))

-- a randomized column by ANY
SELECT 1 FROM customer WHERE notes = ANY ('{a,b}')
--> SELECT 1 FROM customer WHERE (notes = ANY(<notes matches any =(value, '{a,b}')>::text[]))

-- citext by LIKE
SELECT 1 FROM account WHERE login LIKE 'A%'
--> SELECT 1 FROM account WHERE (login = ANY(<login matches (value ~~* 'A%')>::text[]))

-- citext by less than
SELECT 1 FROM account WHERE login < 'b'
--! 0A000 operator < on protected column public.account.login is not supported @ ["< 'b'"]

-- a cursor
DECLARE c CURSOR FOR SELECT customer_id FROM customer WHERE email LIKE 'a%'
--> DECLARE c CURSOR FOR SELECT customer_id FROM customer WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))
--= declare c

-- EXPLAIN
EXPLAIN SELECT 1 FROM customer WHERE email LIKE 'a%'
--> EXPLAIN SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- COPY of a query
COPY (SELECT customer_id FROM customer WHERE email LIKE 'a%') TO STDOUT
--> COPY (SELECT customer_id FROM customer WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))) TO STDOUT

-- PREPARE and EXECUTE
PREPARE p AS SELECT 1 FROM customer WHERE email LIKE $1 AND customer_id < $2; EXECUTE p('a%', 3)
--> PREPARE p (text, unknown, text[]) AS SELECT 1 FROM customer WHERE (email = ANY($3::text[])) AND customer_id < $2; EXECUTE p('', 3, <email matches (value ~~ 'a%')>)
--= prepare p
--= execute p

-- PREPARE with types
PREPARE p (text, date) AS SELECT 1 FROM customer WHERE email LIKE $1 OR birth_date > $2; EXECUTE p(NULL, '1960-01-01')
--> PREPARE p (text, text, text[], text[]) AS SELECT 1 FROM customer WHERE (email = ANY($3::text[])) OR (birth_date = ANY($4::text[])); EXECUTE p(NULL, '', <email matches (value ~~ NULL)>, <birth matches (value > '1960-01-01')>)
--= prepare p
--= execute p

-- PREPARE with a constant
PREPARE p AS SELECT 1 FROM customer WHERE email LIKE 'a%'; EXECUTE p
--> PREPARE p AS SELECT 1 FROM customer WHERE (email = ANY($1::text[])); EXECUTE p (<email matches (value ~~ 'a%')>)
--= prepare p
--= execute p

-- EXPLAIN EXECUTE
PREPARE p AS SELECT 1 FROM customer WHERE email LIKE $1; EXPLAIN EXECUTE p('a%')
--> PREPARE p (text, text[]) AS SELECT 1 FROM customer WHERE (email = ANY($2::text[])); EXPLAIN EXECUTE p('', <email matches (value ~~ 'a%')>)
--= prepare p

-- a constant of dollar quotes
SELECT 1 FROM customer WHERE email LIKE $q$o'b%$q$
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ 'o'b%')>::text[]))

-- a parameter
SELECT 1 FROM customer WHERE email LIKE $1
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ $1)>::text[]))
--$ $1 kept:25 $1 shown 25

-- a parameter of a declared type
--: 1082
SELECT 1 FROM customer WHERE birth_date > $1
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches (value > $1)>::text[]))
--$ $1 kept:25

-- a parameter within constants
SELECT 1 FROM customer WHERE email LIKE '%' || $1 || '%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ (('%' || $1) || '%'))>::text[]))
--$ $1 kept:25 $1 shown 25

-- a parameter beside a plain one
SELECT 1 FROM customer WHERE customer_id = $1 AND email LIKE $2
--> SELECT 1 FROM customer WHERE customer_id = $1 AND (email = ANY(<email matches (value ~~ $2)>::text[]))
--$ $1 $2 kept:25 $2 shown 25

-- a parameter that is searched for and compared
SELECT 1 FROM customer WHERE email = $1 OR email LIKE $1
--> SELECT 1 FROM customer WHERE email = $1 OR (email = ANY(<email matches (value ~~ $1)>::text[]))
--$ $1=email

-- a parameter that an unprotected column has, too
SELECT 1 FROM customer WHERE company LIKE $1 OR email LIKE $1
--> SELECT 1 FROM customer WHERE company LIKE $1 OR (email = ANY(<email matches (value ~~ $1)>::text[]))
--$ $1

-- a number that an unprotected column has, too
SELECT 1 FROM customer WHERE customer_id > $1 OR length(email) > $1
--! 42P08 the type of parameter $1 depends on where it is used first @ ['$1']

-- a parameter that may be NULL
SELECT 1 FROM customer WHERE $1::date IS NULL OR birth_date > $1::date
--> SELECT 1 FROM customer WHERE $1::text IS NULL OR (birth_date = ANY(<birth matches (value > $1)>::text[]))
--$ $1 kept:25 $1 shown 1082

-- a parameter that is shown as well
SELECT $1::text FROM customer WHERE email LIKE $1
--! 0A000 parameter $1 is used with the contents of a protected column, and elsewhere @ ['$1::text FROM custom']

-- one parameter as two types
SELECT 1 FROM customer WHERE birth_date > $1 AND length(email) > $1
--! 42P08 inconsistent types deduced for parameter $1 @ ['$1']

-- an array parameter
SELECT 1 FROM customer WHERE lower(email) = ANY ($1)
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches any =(lower(value), $1)>::text[]))
--$ $1 kept:25 $1 shown 1009

-- an array parameter of dates
SELECT 1 FROM customer WHERE birth_date > ALL ($1::date[])
--> SELECT 1 FROM customer WHERE (coalesce(birth_date, '-') = ANY(<birth matches all >(value, $1)>::text[]))
--$ $1 kept:25 $1 shown 1182

-- a pattern from another column
SELECT 1 FROM customer WHERE email LIKE company
--! 0A000 LIKE on protected column public.customer.email is not supported @ ['LIKE company']

-- a pattern from another protected column
SELECT 1 FROM customer WHERE email LIKE first_name || '%'
--! 0A000 LIKE on protected column public.customer.email is not supported @ ["LIKE first_name || '"]

-- a test with the time of day
SELECT 1 FROM customer WHERE birth_date < current_date
--! 0A000 operator < on protected column public.customer.birth_date is not supported @ ['< current_date']

-- a test with a subquery
SELECT 1 FROM customer WHERE length(email) > (SELECT 3)
--! 0A000 operator > on the result of length() of protected column public.customer.email is not supported @ ['> (SELECT 3)']

-- a mix of domains
SELECT 1 FROM (SELECT email AS x FROM customer UNION ALL SELECT first_name FROM customer) s WHERE x LIKE 'a%'
--! 0A000 LIKE on protected column public.customer.email, public.customer.first_name is not supported @ ["LIKE 'a%'"]

-- a view with a predicate
CREATE VIEW v AS SELECT customer_id FROM customer WHERE email LIKE 'a%'
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE 'a%'"]

-- a materialized view with a predicate
CREATE MATERIALIZED VIEW v AS SELECT customer_id FROM customer WHERE email LIKE 'a%'
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE 'a%'"]

-- a partial index
CREATE INDEX ON customer (customer_id) WHERE email LIKE 'a%'
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE 'a%'"]

-- a policy
CREATE POLICY p ON customer USING (email LIKE 'a%')
--! 0A000 a predicate on the contents of protected column public.customer.email can't be kept for later @ ["email LIKE 'a%')"]

-- COPY FROM with a condition
COPY customer (customer_id, email) FROM STDIN WHERE email LIKE 'a%'
--! 0A000 COPY FROM with a condition on the contents of public.customer.email is not supported @ ["email LIKE 'a%'"]

-- a part of a date
SELECT 1 FROM customer WHERE extract(year FROM birth_date) = 1815 AND extract('month' FROM birth_date) > 6
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches ((extract('year', value) = '1815') and (extract('month', value) > '6'))>::text[]))

-- a regular expression on the column
SELECT 1 FROM customer WHERE email ~* '^a' AND email !~ 'b$'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ((value ~* '^a') and (value !~ 'b$'))>::text[]))

-- SIMILAR TO on the column
SELECT 1 FROM customer WHERE email NOT SIMILAR TO '(a|b)%' ESCAPE '!'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value !~ similar_to_escape('(a|b)%', '!'))>::text[]))

-- arithmetic
SELECT 1 FROM customer WHERE loyalty_no % 2 = 0 OR -loyalty_no > 5
--> SELECT 1 FROM customer WHERE (loyalty_no = ANY(<loyalty matches (((value % '2') = '0') or ((- value) > '5'))>::text[]))

-- trim and its kin
SELECT 1 FROM customer WHERE trim(both 'x' FROM email) = 'a' OR position('@' IN email) > 3
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches ((btrim(value, 'x') = 'a') or (position(value, '@') > '3'))>::text[]))

-- a text form that depends on a setting
SELECT 1 FROM customer WHERE birth_date::text LIKE '1815%'
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches (cast(value) ~~ '1815%')>::text[]))

-- EXECUTE with arguments in parentheses
PREPARE p (text) AS SELECT 1 FROM customer WHERE email LIKE $1; EXECUTE p(('a%'))
--> PREPARE p (text, text[]) AS SELECT 1 FROM customer WHERE (email = ANY($2::text[])); EXECUTE p((''), <email matches (value ~~ 'a%')>)
--= prepare p
--= execute p

-- IS DISTINCT FROM on a randomized column
SELECT 1 FROM customer WHERE notes IS DISTINCT FROM 'x'
--> SELECT 1 FROM customer WHERE (coalesce(notes, '-') = ANY(<notes matches (value is distinct from 'x')>::text[]))

-- IS NOT DISTINCT FROM a parameter, on a randomized column
SELECT 1 FROM customer WHERE notes IS NOT DISTINCT FROM $1
--> SELECT 1 FROM customer WHERE (coalesce(notes, '-') = ANY(<notes matches (value is not distinct from $1)>::text[]))
--$ $1 kept:25 $1 shown 25

-- a function IS DISTINCT FROM
SELECT 1 FROM customer WHERE lower(email) IS DISTINCT FROM 'x'
--> SELECT 1 FROM customer WHERE (coalesce(email, '-') = ANY(<email matches (lower(value) is distinct from 'x')>::text[]))

-- a function of a value is NULL where the value is
SELECT 1 FROM customer WHERE upper(email) IS NULL
--> SELECT 1 FROM customer WHERE (email) IS NULL

-- as above, of several, with constants, and not NULL
SELECT 1 FROM customer WHERE length(trim(email) || '!') IS NOT NULL AND lower(email) = 'x'
--> SELECT 1 FROM customer WHERE (email) IS NOT NULL AND (email = ANY(<email matches (lower(value) = 'x')>::text[]))

-- a function that may be NULL, or an error, for other values
SELECT 1 FROM customer WHERE extract(year FROM birth_date) IS NULL
--> SELECT 1 FROM customer WHERE (coalesce(birth_date, '-') = ANY(<birth matches (extract('year', value) is null)>::text[]))

-- citext takes other texts for equal than the column does
SELECT 1 FROM customer WHERE email::citext = 'ADA'
--! 0A000 cast to citext on protected column public.customer.email is not supported @ ["::citext = 'ADA'"]

-- and a column of citext is compared as text is when it is cast, while its tokens are those of citext
SELECT 1 FROM account WHERE login::text = 'ADA'
--! 0A000 operator = on protected column public.account.login is not supported @ ["= 'ADA'"]

-- citext as text is shown
SELECT login::text, 'is ' || login::varchar FROM account
--| login/text login/text
