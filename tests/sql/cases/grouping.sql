-- GROUP BY a function of a protected column, by an ordinal
SELECT upper(email), count(*) FROM customer GROUP BY 1
--> SELECT («0||((<email ordered upper(value)>::jsonb ->> (rank<email ranks upper(value)>(email))))::text||») AS "upper", count(*) FROM customer GROUP BY rank<email ranks upper(value)>(email)
--| email[0=upper(value)] -

-- by an alias, with HAVING and ORDER BY of what is grouped
SELECT upper(email) AS u, count(*) FROM customer GROUP BY u HAVING upper(customer.email) LIKE 'A%' ORDER BY upper(email) || '!'
--> SELECT («0||((<email ordered upper(value)>::jsonb ->> (rank<email ranks upper(value)>(email))))::text||») AS u, count(*) FROM customer GROUP BY rank<email ranks upper(value)>(email) HAVING ((<email ordered upper(value)>::jsonb ->> (rank<email ranks upper(value)>(customer.email))) = ANY(<email matches (upper(value) ~~ 'A%')>::text[])) ORDER BY rank<email ranks (upper(value) || '!')>((<email ordered upper(value)>::jsonb ->> (rank<email ranks upper(value)>(email))))
--| email[0=upper(value)] -

-- an input column comes before an alias of that name
SELECT upper(email) AS last_name, count(*) FROM customer GROUP BY last_name, email
--> SELECT («0||(email)::text||») AS last_name, count(*) FROM customer GROUP BY last_name, email
--| email[0=upper(value)] -

-- part of a date, sorted
SELECT extract(year FROM birth_date), count(*) FROM customer GROUP BY extract(year FROM birth_date) ORDER BY 1
--> SELECT («0||((<birth ordered extract('year', value)>::jsonb ->> (rank<birth ranks extract('year', value)>(birth_date))))::text||») AS "extract", count(*) FROM customer GROUP BY rank<birth ranks extract('year', value)>(birth_date) ORDER BY rank<birth ranks extract('year', value)>((<birth ordered extract('year', value)>::jsonb ->> (rank<birth ranks extract('year', value)>(birth_date))))
--| birth:1700[0=extract('year', value)] -

-- a function of what is grouped
SELECT length(left(email, 1)) || '!', count(*) FROM customer GROUP BY left(email, 1)
--> SELECT («1||((«0||((<email ordered left(value, '1')>::jsonb ->> (rank<email ranks left(value, '1')>(email))))::text||»))::text||») || '!' AS "?column?", count(*) FROM customer GROUP BY rank<email ranks left(value, '1')>(email)
--| email/text[0=left(value, '1'); 1=length(value)] -

-- another constant is another function
SELECT left(email, 2), count(*) FROM customer GROUP BY left(email, 1), email
--> SELECT («0||(email)::text||») AS "left", count(*) FROM customer GROUP BY rank<email ranks left(value, '1')>(email), email
--| email[0=left(value, '2')] -

-- with a parameter
SELECT left(email, $1), count(*) FROM customer GROUP BY left(email, $1)
--> SELECT («0||((<email ordered left(value, $1)>::jsonb ->> (rank<email ranks left(value, $1)>(email))))::text||») AS "left", count(*) FROM customer GROUP BY rank<email ranks left(value, $1)>(email)
--| email[0=left(value, $1)] -
--$ $1 kept:25 $1 shown 23

-- the value twice
SELECT left(email, 1) || right(email, 1) AS e, count(*) FROM customer GROUP BY left(email, 1) || right(email, 1) ORDER BY e
--> SELECT («0||((<email ordered (left(value, '1') || right(value, '1'))>::jsonb ->> (rank<email ranks (left(value, '1') || right(value, '1'))>(email))))::text||») || («1||((<email ordered (left(value, '1') || right(value, '1'))>::jsonb ->> (rank<email ranks (left(value, '1') || right(value, '1'))>(email))))::text||») AS e, count(*) FROM customer GROUP BY rank<email ranks (left(value, '1') || right(value, '1'))>(email) ORDER BY rank<email ranks (left(value, '1') || right(value, '1'))>((<email ordered (left(value, '1') || right(value, '1'))>::jsonb ->> (rank<email ranks (left(value, '1') || right(value, '1'))>(email))))
--| email/text[0=left(value, '1'); 1=right(value, '1')] -

-- grouping sets, and what they have grouped
SELECT grouping(lower(email)), lower(email), company FROM customer GROUP BY ROLLUP (lower(email), company)
--> SELECT grouping(rank<email ranks lower(value)>(email)), («0||((<email ordered lower(value)>::jsonb ->> (rank<email ranks lower(value)>(email))))::text||») AS "lower", company FROM customer GROUP BY ROLLUP (rank<email ranks lower(value)>(email), company)
--| - email[0=lower(value)] -

-- grouping sets leave NULL, which a function that isn't strict would take for a value
SELECT length(coalesce(email, '-')) FROM customer GROUP BY CUBE (length(coalesce(email, '-')))
--! 0A000 GROUP BY with grouping sets of what may not be NULL for NULL on protected column public.customer.email is not supported @ ['length(coalesce(emai']

-- a predicate on what is grouped that isn't NULL for NULL
SELECT count(*) FROM customer GROUP BY loyalty_no / 10 HAVING loyalty_no / 10 IS NOT NULL
--> SELECT count(*) FROM customer GROUP BY rank<loyalty ranks (value / '10')>(loyalty_no) HAVING (coalesce((<loyalty ordered (value / '10')>::jsonb ->> (rank<loyalty ranks (value / '10')>(loyalty_no))), '-') = ANY(<loyalty matches ((value / '10') is not null)>::text[]))

-- text around the column needs nobody to be asked
SELECT 'x' || email, count(*) FROM customer GROUP BY 'x' || email
--| email/text -

-- a randomized column by its length
SELECT length(notes), count(*) FROM customer GROUP BY length(notes)
--> SELECT («0||((<notes ordered length(value)>::jsonb ->> (rank<notes ranks length(value)>(notes))))::text||») AS "length", count(*) FROM customer GROUP BY rank<notes ranks length(value)>(notes)
--| notes:23[0=length(value)] -

-- DISTINCT
SELECT DISTINCT lower(email), company FROM customer
--> SELECT DISTINCT («0||((<email ordered lower(value)>::jsonb ->> (rank<email ranks lower(value)>(email))))::text||») AS "lower", company FROM customer
--| email[0=lower(value)] -

-- DISTINCT of functions within each other, sorted
SELECT DISTINCT upper(left(email, 1)) FROM customer ORDER BY 1 DESC
--> SELECT pgnym_1 AS "upper" FROM (SELECT DISTINCT («1||((«0||((<email ordered upper(left(value, '1'))>::jsonb ->> (rank<email ranks upper(left(value, '1'))>(email))))::text||»))::text||») AS "upper" FROM customer) AS pgnym(pgnym_1) ORDER BY rank<email ranks upper(left(value, '1'))>(left(substr(pgnym_1, 31), -26)) DESC
--| email[0=left(value, '1'); 1=upper(value)]

-- count(DISTINCT)
SELECT count(DISTINCT lower(email)) FROM customer
--> SELECT count(DISTINCT («0||((<email ordered lower(value)>::jsonb ->> (rank<email ranks lower(value)>(email))))::text||»)) AS "count" FROM customer

-- PARTITION BY
SELECT count(*) OVER (PARTITION BY length(email)) FROM customer
--> SELECT count(*) OVER (PARTITION BY («0||((<email ordered length(value)>::jsonb ->> (rank<email ranks length(value)>(email))))::text||»)) AS "count" FROM customer

-- UNION of the same function of one domain
SELECT lower(email) FROM customer UNION SELECT lower(billing_email) FROM invoice
--! 0A000 UNION on the result of lower() of protected column public.customer.email, public.invoice.billing_email is not supported @ ['UNION SELECT lower(b']

-- UNION of different functions
SELECT lower(email) FROM customer UNION SELECT upper(email) FROM customer
--! 0A000 UNION on the result of lower() of protected column public.customer.email is not supported @ ['UNION SELECT upper(e']

-- a subquery computes what is grouped by
SELECT y, count(*) FROM (SELECT extract(year FROM birth_date) AS y FROM customer) s GROUP BY y ORDER BY y
--> SELECT y, count(*) FROM (SELECT («0||((<birth ordered extract('year', value)>::jsonb ->> (rank<birth ranks extract('year', value)>(birth_date))))::text||») AS y FROM customer) s GROUP BY y ORDER BY rank<birth ranks extract('year', value)>(left(substr(y, 16), -13))
--| birth:1700[0=extract('year', value)] -

-- a function of two columns
SELECT left(email, length(last_name)), count(*) FROM customer GROUP BY 1
--! 0A000 GROUP BY on the result of left() of protected column public.customer.email, public.customer.last_name is not supported @ ['1']

-- an aggregate of results
SELECT max(length(email)) FROM customer
--> SELECT («0||(<email ordered length(value)>::jsonb ->> (max(rank<email ranks length(value)>(left(substr((«0||(email)::text||»), 16), -13)))))||») AS "max" FROM customer
--| email:23[0=length(value)]

-- in a view
CREATE VIEW v AS SELECT count(*) FROM customer GROUP BY lower(email)
--! 0A000 GROUP BY on protected column public.customer.email is not supported in a definition @ ['lower(email)']

-- date_trunc of a date is a time in the session's zone; its date isn't
SELECT date_trunc('month', birth_date)::date AS m, count(*) FROM customer GROUP BY m
--> SELECT («1||((«0||((<birth ordered cast(date_trunc('month', value))>::jsonb ->> (rank<birth ranks cast(date_trunc('month', value))>(birth_date))))::text||»))::text||») AS m, count(*) FROM customer GROUP BY rank<birth ranks cast(date_trunc('month', value))>(birth_date)
--| birth:1082[0=date_trunc('month', value); 1=cast(value)] -

-- to_char
SELECT to_char(birth_date, 'YYYYMM')::int AS m, count(*) FROM customer WHERE to_char(birth_date, 'YYYY') = '2000' GROUP BY m
--> SELECT («1||((«0||((<birth ordered cast(to_char(value, 'YYYYMM'))>::jsonb ->> (rank<birth ranks cast(to_char(value, 'YYYYMM'))>(birth_date))))::text||»))::text||») AS m, count(*) FROM customer WHERE (birth_date = ANY(<birth matches (to_char(value, 'YYYY') = '2000')>::text[])) GROUP BY rank<birth ranks cast(to_char(value, 'YYYYMM'))>(birth_date)
--| birth:23[0=to_char(value, 'YYYYMM'); 1=cast(value)] -
