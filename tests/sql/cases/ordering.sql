-- ORDER BY
SELECT customer_id, email FROM customer ORDER BY email
--> SELECT customer_id, email FROM customer ORDER BY rank<email ranks>(email)
--| - email:1043(64)

-- descending, NULLS, several keys, LIMIT
SELECT email FROM customer c ORDER BY c.last_name DESC NULLS LAST, (c.first_name), c.customer_id LIMIT 10 OFFSET 5
--> SELECT email FROM customer c ORDER BY rank<last_name ranks>(c.last_name) DESC NULLS LAST, (rank<first_name ranks>(c.first_name)), c.customer_id LIMIT 10 OFFSET 5
--| email:1043(64)

-- USING
SELECT email FROM customer ORDER BY email USING >, birth_date USING OPERATOR(pg_catalog.<)
--> SELECT email FROM customer ORDER BY rank<email ranks>(email) USING >, rank<birth ranks>(birth_date) USING OPERATOR(pg_catalog.<)
--| email:1043(64)

-- USING an operator of another order
SELECT email FROM customer ORDER BY email USING ~>~
--! 0A000 ORDER BY USING ~>~ on a protected column is not supported @ ['email USING ~>~']

-- a date, an integer, char(n) and citext
SELECT customer_id FROM customer ORDER BY birth_date, loyalty_no, country
--> SELECT customer_id FROM customer ORDER BY rank<birth ranks>(birth_date), rank<loyalty ranks>(loyalty_no), rank<country ranks>(country)

-- citext
SELECT id FROM account ORDER BY login
--> SELECT id FROM account ORDER BY rank<login ranks>(login)

-- a randomized column
SELECT customer_id FROM customer ORDER BY notes
--> SELECT customer_id FROM customer ORDER BY rank<notes ranks>(notes)

-- ordinals
SELECT customer_id, email, birth_date FROM customer ORDER BY 3 DESC, 2, 1
--> SELECT customer_id, email, birth_date FROM customer ORDER BY rank<birth ranks>(birth_date) DESC, rank<email ranks>(email), 1
--| - email:1043(64) birth:1082

-- an output name
SELECT email AS contact FROM customer ORDER BY contact
--> SELECT email AS contact FROM customer ORDER BY rank<email ranks>(email)
--| email:1043(64)

-- an output name that a column of another table has too
SELECT c.email FROM customer c JOIN employee e ON c.support_rep_id = e.employee_id ORDER BY email
--> SELECT c.email FROM customer c JOIN employee e ON c.support_rep_id = e.employee_id ORDER BY rank<email ranks>(c.email)
--| email:1043(64)

-- an output name that stands for an unprotected value
SELECT company AS email FROM customer ORDER BY email

-- an ambiguous output name
SELECT c.email, e.email FROM customer c JOIN employee e ON c.support_rep_id = e.employee_id ORDER BY email
--! 42702 ORDER BY "email" is ambiguous @ ['email']

-- the same column twice under one name
SELECT email, c.email FROM customer c ORDER BY email
--> SELECT email, c.email FROM customer c ORDER BY rank<email ranks>(email)
--| email:1043(64) email:1043(64)

-- an ordinal into *
SELECT * FROM customer ORDER BY 6
--> SELECT * FROM customer ORDER BY rank<email ranks>("email")
--| - first_name:1043(44) last_name:1043(24) - phone:1043(28) email:1043(64) birth:1082 loyalty:23 notes country:1042(6) -

-- an ordinal into t.*
SELECT 1, c.* FROM customer AS c ORDER BY 7
--> SELECT 1, c.* FROM customer AS c ORDER BY rank<email ranks>("c"."email")
--| - - first_name:1043(44) last_name:1043(24) - phone:1043(28) email:1043(64) birth:1082 loyalty:23 notes country:1042(6) -

-- a name of *
SELECT * FROM customer c JOIN invoice i ON i.customer_id = c.customer_id ORDER BY last_name, 1
--> SELECT * FROM customer c JOIN invoice i ON i.customer_id = c.customer_id ORDER BY rank<last_name ranks>("last_name"), 1
--| - first_name:1043(44) last_name:1043(24) - phone:1043(28) email:1043(64) birth:1082 loyalty:23 notes country:1042(6) - - - - email - -

-- a name of * that two tables have
SELECT * FROM customer c JOIN employee e ON c.support_rep_id = e.employee_id ORDER BY 6
--> SELECT * FROM customer c JOIN employee e ON c.support_rep_id = e.employee_id ORDER BY rank<email ranks>("c"."email")
--| - first_name:1043(44) last_name:1043(24) - phone:1043(28) email:1043(64) birth:1082 loyalty:23 notes country:1042(6) - - last_name:1043(24) first_name:1043(44) - - email:1043(64)

-- a name of * behind USING
SELECT * FROM customer JOIN employee USING (email) ORDER BY 1
--> SELECT * FROM customer JOIN employee USING (email) ORDER BY rank<email ranks>("email")
--| email:1043(64) - first_name:1043(44) last_name:1043(24) - phone:1043(28) birth:1082 loyalty:23 notes country:1042(6) - - last_name:1043(24) first_name:1043(44) - -

-- an ordinal for an expression with constants
SELECT CASE WHEN company = 'x' THEN email END AS e FROM customer ORDER BY 1
--> SELECT CASE WHEN company = 'x' THEN email END AS e FROM customer ORDER BY rank<email ranks>(CASE WHEN company = 'x' THEN email END)
--| email

-- an ordinal for an expression that isn't stable
SELECT CASE WHEN random() < 0.5 THEN email END AS e FROM customer ORDER BY 1
--! 0A000 ORDER BY output column "e", which is computed from a protected column, is not supported @ ['1']

-- an ordinal for a subquery
SELECT (SELECT e.email FROM employee e WHERE e.employee_id = c.support_rep_id) FROM customer c ORDER BY 1
--> SELECT (SELECT e.email FROM employee e WHERE e.employee_id = c.support_rep_id) FROM customer c ORDER BY rank<email ranks>((SELECT e.email FROM employee e WHERE e.employee_id = c.support_rep_id))
--| email:1043(64)

-- an ordinal for a subquery with parameters
SELECT (SELECT e.email FROM employee e WHERE e.employee_id = $1 AND e.last_name = $2) FROM customer c ORDER BY 1, c.first_name
--> SELECT (SELECT e.email FROM employee e WHERE e.employee_id = $1 AND e.last_name = $2) FROM customer c ORDER BY rank<email ranks>((SELECT e.email FROM employee e WHERE e.employee_id = $1 AND e.last_name = $2)), rank<first_name ranks>(c.first_name)
--| email:1043(64)
--$ $1 $2=last_name

-- COALESCE of one domain
SELECT customer_id FROM customer c LEFT JOIN employee e ON e.employee_id = c.support_rep_id ORDER BY coalesce(c.email, e.email)
--> SELECT customer_id FROM customer c LEFT JOIN employee e ON e.employee_id = c.support_rep_id ORDER BY rank<email ranks>(coalesce(c.email, e.email))

-- COALESCE with a constant
SELECT customer_id FROM customer ORDER BY coalesce(email, 'x')
--> SELECT customer_id FROM customer ORDER BY rank<email ranks coalesce(value, 'x')>(email)

-- COALESCE of two domains
SELECT customer_id FROM customer ORDER BY coalesce(email, phone)
--! 0A000 ORDER BY on protected column public.customer.email, public.customer.phone is not supported @ ['coalesce(email, phon']

-- a text built around tokens
SELECT customer_id FROM customer ORDER BY last_name || ', ' || first_name
--! 0A000 ORDER BY on protected column public.customer.first_name, public.customer.last_name is not supported @ ['|| first_name']

-- COLLATE "C"
SELECT email FROM customer ORDER BY email COLLATE "C" DESC, last_name
--> SELECT email FROM customer ORDER BY rank<email ranks "C">(email COLLATE "C") DESC, rank<last_name ranks>(last_name)
--| email:1043(64)

-- COLLATE of another collation
SELECT email FROM customer ORDER BY email COLLATE "de-x-icu"
--! 0A000 COLLATE "de-x-icu" on protected column public.customer.email is not supported @ ['COLLATE "de-x-icu"']

-- COLLATE in a subquery
SELECT e FROM (SELECT email COLLATE "C" AS e FROM customer) s ORDER BY e
--> SELECT e FROM (SELECT email COLLATE "C" AS e FROM customer) s ORDER BY rank<email ranks "C">(e)
--| email:1043(64)

-- columns of two collations
SELECT coalesce(a, b) FROM (SELECT email COLLATE "C" AS a, email AS b FROM customer) s ORDER BY 1
--! 0A000 ORDER BY can't tell the order of protected column public.customer.email @ ['1']

-- a subquery
SELECT x.email FROM (SELECT email FROM customer ORDER BY email LIMIT 3) x
--> SELECT x.email FROM (SELECT email FROM customer ORDER BY rank<email ranks>(email) LIMIT 3) x
--| email:1043(64)

-- the column of a subquery
SELECT x.mail FROM (SELECT email AS mail FROM customer) x WHERE x.mail = 'a@b' ORDER BY x.mail
--> SELECT x.mail FROM (SELECT email AS mail FROM customer) x WHERE x.mail = <email:'a@b'> ORDER BY rank<email ranks>(x.mail)
--| email:1043(64)

-- a CTE
WITH c AS (SELECT email FROM customer ORDER BY 1 LIMIT 3) SELECT email FROM c ORDER BY email DESC
--> WITH c AS (SELECT email FROM customer ORDER BY rank<email ranks>(email) LIMIT 3) SELECT email FROM c ORDER BY rank<email ranks>(email) DESC
--| email:1043(64)

-- a view's column
SELECT mail FROM customer_contact ORDER BY mail, id
--> SELECT mail FROM customer_contact ORDER BY rank<email ranks>(mail), id
--| email:1043(64)

-- a view that sorts
SELECT email FROM sorted_customer
--! 0A000 view "public.sorted_customer" can't be used: ORDER BY on protected column public.customer.email is not supported in the definition of a view @ ['sorted_customer']

-- the definition of a view
CREATE VIEW v AS SELECT customer_id FROM customer ORDER BY email
--! 0A000 ORDER BY on protected column public.customer.email is not supported in a definition @ ['email']

-- GROUP BY
SELECT email, count(*) FROM customer GROUP BY email ORDER BY email
--> SELECT email, count(*) FROM customer GROUP BY email ORDER BY rank<email ranks>(email)
--| email:1043(64) -

-- GROUP BY an ordinal
SELECT email AS e, count(*) FROM customer GROUP BY 1 ORDER BY 2 DESC, 1
--> SELECT email AS e, count(*) FROM customer GROUP BY 1 ORDER BY 2 DESC, rank<email ranks>(email)
--| email:1043(64) -

-- DISTINCT
SELECT DISTINCT last_name FROM customer ORDER BY last_name
--> SELECT pgnym_1 AS "last_name" FROM (SELECT DISTINCT last_name FROM customer) AS pgnym(pgnym_1) ORDER BY rank<last_name ranks>(pgnym_1)
--| last_name:1043(24)

-- DISTINCT with several columns, an alias and LIMIT
SELECT DISTINCT c.email AS "E Mail", c.company, lower(c.company) FROM customer c ORDER BY c.company, "E Mail" DESC, 3 LIMIT 10
--> SELECT pgnym_1 AS "E Mail", pgnym_2 AS "company", pgnym_3 AS "lower" FROM (SELECT DISTINCT c.email AS "E Mail", c.company, lower(c.company) FROM customer c) AS pgnym(pgnym_1, pgnym_2, pgnym_3) ORDER BY 2, rank<email ranks>(pgnym_1) DESC, 3 LIMIT 10
--| email:1043(64) - -

-- DISTINCT sorted by an expression in the select list
SELECT DISTINCT c.email, company || 'x' FROM customer c ORDER BY company || 'x', email
--> SELECT pgnym_1 AS "email", pgnym_2 AS "?column?" FROM (SELECT DISTINCT c.email, company || 'x' FROM customer c) AS pgnym(pgnym_1, pgnym_2) ORDER BY 2, rank<email ranks>(pgnym_1)
--| email:1043(64) -

-- DISTINCT sorted by what is not in the select list
SELECT DISTINCT last_name FROM customer ORDER BY email
--! 42P10 for SELECT DISTINCT, ORDER BY expressions must appear in select list @ ['email']

-- DISTINCT *
SELECT DISTINCT e.* FROM employee e ORDER BY last_name, 1
--> SELECT pgnym_1 AS "employee_id", pgnym_2 AS "last_name", pgnym_3 AS "first_name", pgnym_4 AS "title", pgnym_5 AS "reports_to", pgnym_6 AS "email" FROM (SELECT DISTINCT e.* FROM employee e) AS pgnym(pgnym_1, pgnym_2, pgnym_3, pgnym_4, pgnym_5, pgnym_6) ORDER BY rank<last_name ranks>(pgnym_2), 1
--| - last_name:1043(24) first_name:1043(44) - - email:1043(64)

-- DISTINCT in a CTE behind WITH
WITH w AS (SELECT 1) SELECT DISTINCT email FROM customer WHERE email <> 'x' ORDER BY email FETCH FIRST 2 ROWS ONLY
--> WITH w AS (SELECT 1) SELECT pgnym_1 AS "email" FROM (SELECT DISTINCT email FROM customer WHERE email <> <email:'x'>) AS pgnym(pgnym_1) ORDER BY rank<email ranks>(pgnym_1) FETCH FIRST 2 ROWS ONLY
--| email:1043(64)

-- DISTINCT ON
SELECT DISTINCT ON (c.email) c.email, customer_id FROM customer c ORDER BY c.email, customer_id DESC
--> SELECT DISTINCT ON (rank<email ranks>(c.email)) c.email, customer_id FROM customer c ORDER BY rank<email ranks>(c.email), customer_id DESC
--| email:1043(64) -

-- DISTINCT ON an ordinal
SELECT DISTINCT ON (1) email, customer_id FROM customer c ORDER BY email
--> SELECT DISTINCT ON (rank<email ranks>(email)) email, customer_id FROM customer c ORDER BY rank<email ranks>(email)
--| email:1043(64) -

-- UNION
SELECT email FROM customer UNION SELECT email FROM employee ORDER BY email LIMIT 3
--> SELECT pgnym_1 AS "email" FROM (SELECT email FROM customer UNION SELECT email FROM employee) AS pgnym(pgnym_1) ORDER BY rank<email ranks>(pgnym_1) LIMIT 3
--| email:1043(64)

-- UNION with unprotected columns
SELECT 'c' AS kind, email, company FROM customer UNION ALL SELECT 'e', email, title FROM employee ORDER BY kind, 2 DESC NULLS FIRST, company
--> SELECT pgnym_1 AS "kind", pgnym_2 AS "email", pgnym_3 AS "company" FROM (SELECT 'c' AS kind, email, company FROM customer UNION ALL SELECT 'e', email, title FROM employee) AS pgnym(pgnym_1, pgnym_2, pgnym_3) ORDER BY 1, rank<email ranks>(pgnym_2) DESC NULLS FIRST, 3
--| - email:1043(64) -

-- UNION in parentheses
(SELECT email FROM customer LIMIT 5) EXCEPT (SELECT email FROM employee) ORDER BY 1
--> SELECT pgnym_1 AS "email" FROM ((SELECT email FROM customer LIMIT 5) EXCEPT (SELECT email FROM employee)) AS pgnym(pgnym_1) ORDER BY rank<email ranks>(pgnym_1)
--| email:1043(64)

-- UNION in a subquery
SELECT count(*) FROM ((SELECT email FROM customer) UNION ALL (SELECT email FROM employee) ORDER BY 1 LIMIT 7) x
--> SELECT count(*) FROM (SELECT pgnym_1 AS "email" FROM ((SELECT email FROM customer) UNION ALL (SELECT email FROM employee)) AS pgnym(pgnym_1) ORDER BY rank<email ranks>(pgnym_1) LIMIT 7) x

-- UNION behind WITH
WITH a AS (SELECT email FROM customer) SELECT email FROM a UNION TABLE a ORDER BY 1
--> WITH a AS (SELECT email FROM customer) SELECT pgnym_1 AS "email" FROM (SELECT email FROM a UNION TABLE a) AS pgnym(pgnym_1) ORDER BY rank<email ranks>(pgnym_1)
--| email:1043(64)

-- UNION into a table
INSERT INTO staging.contact (email) (SELECT email FROM customer) UNION SELECT email FROM employee ORDER BY 1 LIMIT 10
--> INSERT INTO staging.contact (email) SELECT pgnym_1 AS "email" FROM ((SELECT email FROM customer) UNION SELECT email FROM employee) AS pgnym(pgnym_1) ORDER BY rank<email ranks>(pgnym_1) LIMIT 10
--= writes staging.contact.email

-- UNION sorted by an expression
SELECT email FROM customer UNION SELECT email FROM employee ORDER BY coalesce(email, email)
--! 0A000 invalid UNION/INTERSECT/EXCEPT ORDER BY clause @ ['coalesce(email, emai']

-- FOR UPDATE
SELECT email FROM customer ORDER BY email FOR UPDATE SKIP LOCKED
--> SELECT email FROM customer ORDER BY rank<email ranks>(email) FOR UPDATE SKIP LOCKED
--| email:1043(64)

-- a cursor
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT email FROM customer ORDER BY email
--> DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT email FROM customer ORDER BY rank<email ranks>(email)
--| email:1043(64)
--= declare c

-- EXPLAIN
EXPLAIN (COSTS OFF) SELECT email FROM customer ORDER BY email
--> EXPLAIN (COSTS OFF) SELECT email FROM customer ORDER BY rank'{}'(email)

-- COPY of a sorted query
COPY (SELECT email FROM customer ORDER BY email) TO STDOUT
--> COPY (SELECT email FROM customer ORDER BY rank<email ranks>(email)) TO STDOUT
--| email:1043(64)

-- INSERT of a sorted query
INSERT INTO staging.contact (email) SELECT email FROM customer ORDER BY email
--> INSERT INTO staging.contact (email) SELECT email FROM customer ORDER BY rank<email ranks>(email)
--= writes staging.contact.email

-- min
SELECT min(email), max(birth_date) AS youngest FROM customer
--> SELECT (<email ordered>::jsonb ->> (min(rank<email ranks>(email)))) AS "min", (<birth ordered>::jsonb ->> (max(rank<birth ranks>(birth_date)))) AS youngest FROM customer
--| email birth:1082

-- min under GROUP BY, with FILTER
SELECT company, min(DISTINCT c.email) FILTER (WHERE customer_id > 3) FROM customer c GROUP BY company ORDER BY max(email)
--> SELECT company, (<email ordered>::jsonb ->> (min(DISTINCT rank<email ranks>(c.email)) FILTER (WHERE customer_id > 3))) AS "min" FROM customer c GROUP BY company ORDER BY rank<email ranks>((<email ordered>::jsonb ->> (max(rank<email ranks>(email)))))
--| - email

-- min over a window
SELECT min(email) OVER (PARTITION BY company ORDER BY birth_date ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM customer
--> SELECT (<email ordered>::jsonb ->> (min(rank<email ranks>(email)) OVER (PARTITION BY company ORDER BY rank<birth ranks>(birth_date) ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))) AS "min" FROM customer
--| email

-- min in an expression
SELECT ((coalesce(min(c.email), max(c.email)))), (min(email)), min(email)::text FROM customer c
--> SELECT ((coalesce((<email ordered>::jsonb ->> (min(rank<email ranks>(c.email)))), (<email ordered>::jsonb ->> (max(rank<email ranks>(c.email))))))) AS "coalesce", ((<email ordered>::jsonb ->> (min(rank<email ranks>(email))))) AS "min", (<email ordered>::jsonb ->> (min(rank<email ranks>(email))))::text AS "min" FROM customer c
--| email email email

-- min in a subquery
SELECT s.min, s.n FROM (SELECT min(email), count(*) AS n FROM customer) s
--> SELECT s.min, s.n FROM (SELECT (<email ordered>::jsonb ->> (min(rank<email ranks>(email)))) AS "min", count(*) AS n FROM customer) s
--| email -

-- min of citext
SELECT max(login) FROM account
--> SELECT (<login ordered>::jsonb ->> (max(rank<login ranks>(login))))::"public"."citext" AS "max" FROM account
--| login

-- min in HAVING
SELECT company FROM customer GROUP BY company HAVING min(email) = 'a@b'
--> SELECT company FROM customer GROUP BY company HAVING (<email ordered>::jsonb ->> (min(rank<email ranks>(email)))) = <email:'a@b'>

-- min of a text built around tokens
SELECT min(first_name || last_name) FROM customer
--! 0A000 function min() on protected column public.customer.first_name, public.customer.last_name is not supported @ ['min(first_name || la']

-- GREATEST of columns
SELECT GREATEST(c.email, e.email, i.billing_email) FROM customer c, employee e, invoice i
--> SELECT (<email ordered>::jsonb ->> (GREATEST(rank<email ranks>(c.email), rank<email ranks>(e.email), rank<email ranks>(i.billing_email))))::varchar AS "greatest" FROM customer c, employee e, invoice i
--| email

-- LEAST of a date
SELECT LEAST(a.birth_date, b.birth_date) AS d FROM customer a, customer b
--> SELECT (<birth ordered>::jsonb ->> (LEAST(rank<birth ranks>(a.birth_date), rank<birth ranks>(b.birth_date)))) AS d FROM customer a, customer b
--| birth:1082

-- GREATEST with a constant
SELECT GREATEST(email, 'x') FROM customer
--> SELECT (<email ordered>::jsonb ->> (GREATEST(rank<email ranks>(email), rank<email ranks>(<~email:'x'>))))::varchar AS "greatest" FROM customer
--| email

-- GREATEST of two domains
SELECT GREATEST(email, phone) FROM customer
--! 0A000 GREATEST on protected column public.customer.email, public.customer.phone is not supported @ ['GREATEST(email, phon']

-- less than between columns
SELECT 1 FROM customer a JOIN customer b ON a.email < b.email AND (a.birth_date) >= b.birth_date
--> SELECT 1 FROM customer a JOIN customer b ON rank<email ranks>(a.email) < rank<email ranks>(b.email) AND (rank<birth ranks>(a.birth_date)) >= rank<birth ranks>(b.birth_date)

-- less than between domains
SELECT 1 FROM customer WHERE email < phone
--! 0A000 operator < can't bring together protected column public.customer.email and protected column public.customer.phone @ ['< phone']

-- BETWEEN columns
SELECT 1 FROM customer a, customer b, customer c WHERE a.birth_date NOT BETWEEN b.birth_date AND c.birth_date
--> SELECT 1 FROM customer a, customer b, customer c WHERE rank<birth ranks>(a.birth_date) NOT BETWEEN rank<birth ranks>(b.birth_date) AND rank<birth ranks>(c.birth_date)

-- windows
SELECT rank() OVER (ORDER BY email DESC), lag(email) OVER w, count(*) OVER (w ROWS 2 PRECEDING) FROM customer WINDOW w AS (PARTITION BY last_name ORDER BY birth_date, customer_id)
--> SELECT rank() OVER (ORDER BY rank<email ranks>(email) DESC), lag(email) OVER w, count(*) OVER (w ROWS 2 PRECEDING) FROM customer WINDOW w AS (PARTITION BY last_name ORDER BY rank<birth ranks>(birth_date), customer_id)
--| - email -

-- RANGE up to the current row
SELECT count(*) OVER (ORDER BY email RANGE UNBOUNDED PRECEDING) FROM customer
--> SELECT count(*) OVER (ORDER BY rank<email ranks>(email) RANGE UNBOUNDED PRECEDING) FROM customer

-- RANGE with an offset
SELECT count(*) OVER (ORDER BY birth_date RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW) FROM customer
--! 0A000 a window frame of RANGE with an offset on protected column public.customer.birth_date is not supported @ ['(ORDER BY birth_date']

-- ORDER BY in aggregates
SELECT array_agg(customer_id ORDER BY email DESC), string_agg(first_name, ', ' ORDER BY last_name, customer_id), jsonb_agg(email ORDER BY email) FROM customer
--> SELECT array_agg(customer_id ORDER BY rank<email ranks>(email) DESC), string_agg(first_name, ', ' ORDER BY rank<last_name ranks>(last_name), customer_id), jsonb_agg(email ORDER BY rank<email ranks>(email)) FROM customer
--| - first_name/text email/json

-- ORDER BY in a JSON aggregate
SELECT JSON_ARRAYAGG(email ORDER BY email RETURNING jsonb) FROM customer
--> SELECT JSON_ARRAYAGG(email ORDER BY rank<email ranks>(email) RETURNING jsonb) FROM customer
--| email/json

-- ORDER BY in an aggregate with DISTINCT
SELECT string_agg(DISTINCT first_name, ', ' ORDER BY first_name) FROM customer
--> SELECT (SELECT string_agg((<first_name ordered>::jsonb ->> pgnym_item)::varchar, ', ' ORDER BY pgnym_item) FROM unnest(array_agg(DISTINCT rank<first_name ranks>(first_name))) AS pgnym_item) FROM customer
--| first_name/text

-- WITHIN GROUP
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY birth_date) FROM customer
--> SELECT (<birth ordered>::jsonb ->> (percentile_disc(0.5) WITHIN GROUP (ORDER BY rank<birth ranks>(birth_date)))) AS "percentile_disc" FROM customer
--| birth:1082

-- a comment within what is repeated
SELECT coalesce(c.email, /* 'x' */ c.email) AS e FROM customer c ORDER BY e
--> SELECT coalesce(c.email, /* 'x' */ c.email) AS e FROM customer c ORDER BY rank<email ranks>(coalesce(c.email,   c.email))
--| email:1043(64)

-- several statements
SELECT 1; SELECT email FROM customer ORDER BY email; SELECT min(email) FROM employee
--> SELECT 1; SELECT email FROM customer ORDER BY rank<email ranks>(email); SELECT (<email ordered>::jsonb ->> (min(rank<email ranks>(email)))) AS "min" FROM employee
--| email:1043(64)
--| email

-- non-ASCII text before
SELECT 'é', "E Mail" AS "Ü" FROM "Odd Name" ORDER BY "Ü"
--> SELECT 'é', "E Mail" AS "Ü" FROM "Odd Name" ORDER BY rank<email ranks>("E Mail")
--| - email:1043(64)

-- an expression of a column
SELECT email FROM customer ORDER BY lower(email)
--> SELECT email FROM customer ORDER BY rank<email ranks lower(value)>(email)
--| email:1043(64)

-- a row
SELECT email FROM customer ORDER BY (email, customer_id)
--! 0A000 ORDER BY on protected column public.customer.email is not supported @ ['(email, customer_id)']

-- SELECT INTO
SELECT DISTINCT email INTO x FROM customer ORDER BY email
--! 0A000 SELECT INTO sorted by a protected column is not supported @ ['email']

-- the body of a SQL function
SELECT (names_of('x')).id FROM customer ORDER BY email
--> SELECT (names_of(<email:'x'>)).id FROM customer ORDER BY rank<email ranks>(email)

-- DISTINCT * sorted by an expression
SELECT DISTINCT * FROM employee e ORDER BY e.last_name, title
--> SELECT pgnym_1 AS "employee_id", pgnym_2 AS "last_name", pgnym_3 AS "first_name", pgnym_4 AS "title", pgnym_5 AS "reports_to", pgnym_6 AS "email" FROM (SELECT DISTINCT * FROM employee e) AS pgnym(pgnym_1, pgnym_2, pgnym_3, pgnym_4, pgnym_5, pgnym_6) ORDER BY rank<last_name ranks>(pgnym_2), 4
--| - last_name:1043(24) first_name:1043(44) - - email:1043(64)

-- an aggregate of distinct values in their order
SELECT company, array_agg(DISTINCT c.email ORDER BY c.email DESC NULLS LAST) FILTER (WHERE customer_id > 1) AS mails FROM customer c GROUP BY company
--> SELECT company, (SELECT array_agg((<email ordered>::jsonb ->> pgnym_item)::varchar ORDER BY pgnym_item DESC NULLS LAST) FROM unnest(array_agg(DISTINCT rank<email ranks>(c.email)) FILTER (WHERE customer_id > 1)) AS pgnym_item) AS mails FROM customer c GROUP BY company
--| - email/array

-- string_agg of distinct values in their order
SELECT string_agg(DISTINCT first_name, ', ' ORDER BY first_name), jsonb_agg(DISTINCT email ORDER BY email) FROM customer
--> SELECT (SELECT string_agg((<first_name ordered>::jsonb ->> pgnym_item)::varchar, ', ' ORDER BY pgnym_item) FROM unnest(array_agg(DISTINCT rank<first_name ranks>(first_name))) AS pgnym_item), (SELECT jsonb_agg((<email ordered>::jsonb ->> pgnym_item)::varchar ORDER BY pgnym_item) FROM unnest(array_agg(DISTINCT rank<email ranks>(email))) AS pgnym_item) FROM customer
--| first_name/text email/json

-- an aggregate of distinct values in another order
SELECT string_agg(DISTINCT first_name, ', ' ORDER BY last_name) FROM customer
--! 0A000 ORDER BY in string_agg() with DISTINCT on protected column public.customer.last_name is not supported @ ['string_agg(DISTINCT ']

-- mode
SELECT mode() WITHIN GROUP (ORDER BY first_name), company FROM customer GROUP BY company
--> SELECT (<first_name ordered>::jsonb ->> (mode() WITHIN GROUP (ORDER BY rank<first_name ranks>(first_name))))::varchar AS "mode", company FROM customer GROUP BY company
--| first_name -

-- percentile_cont
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY loyalty_no) FROM customer
--! 0A000 WITHIN GROUP of percentile_cont() on protected column public.customer.loyalty_no is not supported @ ['percentile_cont(0.5)']

-- a hypothetical rank
SELECT rank('a') WITHIN GROUP (ORDER BY email) FROM customer
--! 0A000 WITHIN GROUP of rank() on protected column public.customer.email is not supported @ ["rank('a') WITHIN GRO"]

-- EXPLAIN ANALYZE
EXPLAIN ANALYZE SELECT min(email) FROM customer
--> EXPLAIN ANALYZE SELECT (<email ordered>::jsonb ->> (min(rank<email ranks>(email)))) AS "min" FROM customer

-- an expression with constants and a parameter
SELECT customer_id FROM customer ORDER BY coalesce(lower(first_name), $1), split_part(email, '@', 2) COLLATE "C" DESC NULLS LAST
--> SELECT customer_id FROM customer ORDER BY rank<first_name ranks coalesce(lower(value), $1)>(first_name), rank<email ranks "C" split_part(value, '@', '2')>(email) DESC NULLS LAST
--$ $1 kept:25 $1 shown 25

-- a window over a computed value
SELECT rank() OVER (ORDER BY length(first_name)), array_agg(customer_id ORDER BY upper(last_name)) OVER () FROM customer
--> SELECT rank() OVER (ORDER BY rank<first_name ranks length(value)>(first_name)), array_agg(customer_id ORDER BY rank<last_name ranks upper(value)>(last_name)) OVER () FROM customer

-- a computed value after DISTINCT
SELECT DISTINCT customer_id FROM customer ORDER BY lower(email)
--! 42P10 for SELECT DISTINCT, ORDER BY expressions must appear in select list @ ['lower(email)']

-- keyset pagination
SELECT email, customer_id FROM customer WHERE (email, customer_id) > ($1, $2) ORDER BY email, customer_id LIMIT 10
--> SELECT email, customer_id FROM customer WHERE (rank<email ranks>(email), customer_id) > (NULLIF(<email place $1>::text, '')::float8, $2) ORDER BY rank<email ranks>(email), customer_id LIMIT 10
--| email:1043(64) -
--$ $1 kept:25 $2 $1 shown 1043

-- keyset pagination with constants
SELECT 1 FROM customer c WHERE (c.birth_date, customer_id) <= (date '1970-01-01', 5) AND ('x', 1) < (c.email, c.customer_id)
--> SELECT 1 FROM customer c WHERE (rank<birth ranks>(c.birth_date), customer_id) <= (NULLIF(<birth place '1970-01-01'>::text, '')::float8, 5) AND (NULLIF(<email place 'x'>::text, '')::float8, 1) < (rank<email ranks>(c.email), c.customer_id)

-- keyset pagination with a parameter that is compared as well
SELECT 1 FROM customer WHERE email = $1 OR (email::text, customer_id) > ($1::text, $2::int)
--> SELECT 1 FROM customer WHERE email = $1 OR (rank<email ranks>(email::text), customer_id) > (NULLIF(<email place $1>::text, '')::float8, $2::int)
--$ $1=email $2

-- rows of columns in order
SELECT 1 FROM customer a, customer b WHERE (a.last_name, a.company) < (b.last_name, b.company)
--> SELECT 1 FROM customer a, customer b WHERE (rank<last_name ranks>(a.last_name), a.company) < (rank<last_name ranks>(b.last_name), b.company)

-- rows of unprotected values in order
SELECT 1 FROM customer WHERE (company, customer_id) > ($1, $2) AND email = 'a'
--> SELECT 1 FROM customer WHERE (company, customer_id) > ($1, $2) AND email = <email:'a'>

-- rows with a protected column and an expression
SELECT 1 FROM customer WHERE (email, customer_id) > (company, 1)
--! 0A000 operator > on protected column public.customer.email is not supported @ ['> (company, 1)']

-- rows from a subquery
SELECT 1 FROM customer WHERE (email, customer_id) > (SELECT email, employee_id FROM employee LIMIT 1)
--! 0A000 operator > on protected column public.customer.email is not supported @ ['> (SELECT email, emp']

-- a column beside those of a subquery
SELECT 1 FROM customer WHERE email > ALL (SELECT e.email FROM employee e WHERE e.email IS NOT NULL)
--> SELECT 1 FROM customer WHERE rank<email ranks>(email) > ALL (SELECT rank<email ranks>(e.email) FROM employee e WHERE e.email IS NOT NULL)

-- a column beside those of a union
SELECT 1 FROM customer WHERE email > ANY (SELECT email FROM employee UNION SELECT billing_email FROM invoice)
--! 0A000 > (subquery) on protected column public.customer.email is not supported @ ['> ANY (SELECT email ']
