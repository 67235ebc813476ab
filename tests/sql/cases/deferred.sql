-- upper
SELECT upper(first_name) FROM customer
--> SELECT («0||(first_name)::text||») AS "upper" FROM customer
--| first_name[0=upper(value)]

-- several, one with an alias
SELECT lower(c.email) AS mail, initcap(c.last_name), c.company FROM customer c
--> SELECT («0||(c.email)::text||») AS mail, («1||(c.last_name)::text||») AS "initcap", c.company FROM customer c
--| email[0=lower(value)] last_name[1=initcap(value)] -

-- a qualified name
SELECT pg_catalog.upper(first_name) FROM customer
--> SELECT («0||(first_name)::text||») AS "upper" FROM customer
--| first_name[0=upper(value)]

-- the name of the column is kept
SELECT (upper(first_name)), 1 FROM customer
--> SELECT ((«0||(first_name)::text||»)) AS "upper", 1 FROM customer
--| first_name[0=upper(value)] -

-- a name in capitals
SELECT "left"(first_name, 2) FROM customer
--> SELECT («0||(first_name)::text||») AS "left" FROM customer
--| first_name[0=left(value, '2')]

-- constants go
SELECT left(first_name, 3), replace(last_name, 'a', 'b'), lpad(phone, 20, '*') FROM customer
--> SELECT («0||(first_name)::text||») AS "left", («1||(last_name)::text||») AS "replace", («2||(phone)::text||») AS "lpad" FROM customer
--| first_name[0=left(value, '3')] last_name[1=replace(value, 'a', 'b')] phone[2=lpad(value, '20', '*')]

-- a negative constant
SELECT left(first_name, -1), right(first_name, - 2) FROM customer
--> SELECT («0||(first_name)::text||») AS "left", («1||(first_name)::text||») AS "right" FROM customer
--| first_name[0=left(value, '-1')] first_name[1=right(value, '-2')]

-- comments within
SELECT left(/* a */ first_name /* b */, /* c */ 3) -- d
FROM customer
--> SELECT («0||(first_name)::text||») AS "left" -- d
--> FROM customer
--| first_name[0=left(value, '3')]

-- trim in all its forms
SELECT trim(email), trim(both FROM email), trim(leading 'x' FROM email), trim(trailing from email), ltrim(email, 'a') FROM customer
--> SELECT («0||(email)::text||») AS "btrim", («1||(email)::text||») AS "btrim", («2||(email)::text||») AS "ltrim", («3||(email)::text||») AS "rtrim", («4||(email)::text||») AS "ltrim" FROM customer
--| email[0=btrim(value)] email[1=btrim(value)] email[2=ltrim(value, 'x')] email[3=rtrim(value)] email[4=ltrim(value, 'a')]

-- substring
SELECT substring(email FROM 2 FOR 3), substring(email FROM 2), substr(email, 2), substring(email, 1, 2) FROM customer
--> SELECT («0||(email)::text||») AS "substring", («1||(email)::text||») AS "substring", («2||(email)::text||») AS "substr", («3||(email)::text||») AS "substring" FROM customer
--| email[0=substring(value, '2', '3')] email[1=substring(value, '2')] email[2=substr(value, '2')] email[3=substring(value, '1', '2')]

-- overlay is not known
SELECT overlay(email PLACING 'x' FROM 2) FROM customer
--! 0A000 function overlay() on protected column public.customer.email is not supported @ ['overlay(email PLACIN']

-- position
SELECT position('@' IN email), strpos(email, '@') FROM customer
--> SELECT («0||(email)::text||») AS "position", («1||(email)::text||») AS "strpos" FROM customer
--| email:23[0=position(value, '@')] email:23[1=strpos(value, '@')]

-- length is a number
SELECT length(email), char_length(first_name), octet_length(last_name) FROM customer
--> SELECT («0||(email)::text||») AS "length", («1||(first_name)::text||») AS "char_length", («2||(last_name)::text||») AS "octet_length" FROM customer
--| email:23[0=length(value)] first_name:23[1=char_length(value)] last_name:23[2=octet_length(value)]

-- a function within a function
SELECT upper(left(first_name, 1)) FROM customer
--> SELECT («1||((«0||(first_name)::text||»))::text||») AS "upper" FROM customer
--| first_name[0=left(value, '1'); 1=upper(value)]

-- in parentheses
SELECT upper((left(((first_name)), 1))) FROM customer
--> SELECT («1||((«0||(first_name)::text||»))::text||») AS "upper" FROM customer
--| first_name[0=left(value, '1'); 1=upper(value)]

-- with text around
SELECT upper(left(first_name, 1)) || '. ' || last_name FROM customer
--> SELECT («1||((«0||(first_name)::text||»))::text||») || '. ' || last_name AS "?column?" FROM customer
--| first_name+last_name/text[0=left(value, '1'); 1=upper(value)]

-- of text that is put together
SELECT upper(first_name || ' ' || last_name) FROM customer
--> SELECT («0||(first_name || ' ' || last_name)::text||») AS "upper" FROM customer
--| first_name+last_name[0=upper(value)]

-- of concat_ws
SELECT lower(concat_ws(' ', first_name, company, last_name)) FROM customer
--> SELECT («0||(concat_ws(' ', first_name, company, last_name))::text||») AS "lower" FROM customer
--| first_name+last_name[0=lower(value)]

-- of two columns
SELECT replace(first_name, last_name, '') FROM customer
--> SELECT («0||(first_name)::text||¦||(last_name)::text||») AS "replace" FROM customer
--| first_name+last_name[0=replace(value, ¦1, '')]

-- a result as an argument
SELECT left(first_name, length(last_name)) FROM customer
--> SELECT («1||(first_name)::text||¦||((«0||(last_name)::text||»))::text||») AS "left" FROM customer
--| first_name+last_name[0=length(value); 1=left(value, ¦1)]

-- of an unprotected column
SELECT upper(company), length(first_name) FROM customer
--> SELECT upper(company), («0||(first_name)::text||») AS "length" FROM customer
--| - first_name:23[0=length(value)]

-- beside an unprotected column
SELECT left(first_name, customer_id) FROM customer
--> SELECT («0||(first_name)::text||¦||(customer_id)::text||») AS "left" FROM customer
--| first_name[0=left(value, ¦1)]

-- of a subquery
SELECT upper((SELECT e.first_name FROM employee e WHERE e.employee_id = c.support_rep_id)) FROM customer c
--> SELECT («0||((SELECT e.first_name FROM employee e WHERE e.employee_id = c.support_rep_id))::text||») AS "upper" FROM customer c
--| first_name[0=upper(value)]

-- of COALESCE
SELECT upper(COALESCE(first_name, 'n/a')) FROM customer
--> SELECT («0||(COALESCE(first_name, <~first_name:'n/a'>))::text||») AS "upper" FROM customer
--| first_name[0=upper(value)]

-- of CASE
SELECT lower(CASE WHEN company = 'x' THEN first_name ELSE last_name END) FROM customer
--> SELECT («0||(CASE WHEN company = 'x' THEN first_name ELSE last_name END)::text||») AS "lower" FROM customer
--| first_name+last_name[0=lower(value)]

-- of a text that loses its blanks
SELECT upper(country || 'x') FROM customer
--! 0A000 text built around protected column public.customer.country is not supported @ ["country || 'x') FROM"]

-- of char
SELECT length(country), upper(country) FROM customer
--> SELECT («0||(country)::text||») AS "length", («1||(country)::text||») AS "upper" FROM customer
--| country:23[0=length(value)] country[1=upper(value)]

-- of citext
SELECT upper(login), length(login) FROM account
--> SELECT («0||(login)::text||») AS "upper", («1||(login)::text||») AS "length" FROM account
--| login[0=upper(value)] login:23[1=length(value)]

-- of the text of a date
SELECT length(birth_date::text) FROM customer
--> SELECT («0||(birth_date::text)::text||») AS "length" FROM customer
--| birth:23[0=length(value)]

-- of JSON
SELECT upper(json_build_object('a', first_name)::text) FROM customer
--! 0A000 upper() on protected column public.customer.first_name is not supported @ ['upper(json_build_obj']

-- of an array
SELECT upper(array_agg(first_name)::text) FROM customer
--! 0A000 upper() on protected column public.customer.first_name is not supported @ ['upper(array_agg(firs']

-- under a collation
SELECT upper(email COLLATE "C"), lower((first_name || last_name) COLLATE "C") FROM customer
--> SELECT («0||(email COLLATE "C")::text||») AS "upper", («1||((first_name || last_name) COLLATE "C")::text||») AS "lower" FROM customer
--| email[0=upper(value)] first_name+last_name[1=lower(value)]

-- in COALESCE
SELECT COALESCE(upper(first_name), 'none'), COALESCE(upper(first_name), company), COALESCE(upper(first_name), last_name) FROM customer
--> SELECT COALESCE((«0||(first_name)::text||»), 'none') AS "coalesce", COALESCE((«1||(first_name)::text||»), company) AS "coalesce", COALESCE((«2||(first_name)::text||»), last_name) AS "coalesce" FROM customer
--| first_name/text[0=upper(value)] first_name/text[1=upper(value)] first_name+last_name/text[2=upper(value)]

-- a number in COALESCE
SELECT COALESCE(length(first_name), 0), COALESCE(length(first_name), NULL, length(last_name)) FROM customer
--> SELECT COALESCE((«0||(first_name)::text||»), (0)::text) AS "coalesce", COALESCE((«1||(first_name)::text||»), NULL, («2||(last_name)::text||»)) AS "coalesce" FROM customer
--| first_name:23[0=length(value)] first_name+last_name:23[1=length(value); 2=length(value)]

-- a number beside a wider one
SELECT COALESCE(length(first_name), 5000000000) FROM customer
--! 0A000 COALESCE can't bring together the result of length() and a constant or parameter @ ['COALESCE(length(firs']

-- a number beside text
SELECT CASE WHEN customer_id = 1 THEN length(first_name) ELSE customer_id END FROM customer
--> SELECT CASE WHEN customer_id = 1 THEN («0||(first_name)::text||») ELSE (customer_id)::text END AS "customer_id" FROM customer
--| first_name:23[0=length(value)]

-- in CASE
SELECT CASE WHEN customer_id = 1 THEN upper(first_name) WHEN customer_id = 2 THEN company ELSE '-' END FROM customer
--> SELECT CASE WHEN customer_id = 1 THEN («0||(first_name)::text||») WHEN customer_id = 2 THEN company ELSE '-' END AS "case" FROM customer
--| first_name/text[0=upper(value)]

-- in NULLIF
SELECT NULLIF(upper(first_name), '') FROM customer
--! 0A000 NULLIF on the result of upper() of protected column public.customer.first_name is not supported @ ['NULLIF(upper(first_n']

-- is it NULL
SELECT upper(first_name) IS NULL, count(upper(first_name)) FROM customer GROUP BY first_name
--> SELECT (first_name) IS NULL, count((«0||(first_name)::text||»)) AS "count" FROM customer GROUP BY first_name

-- of a column of a subquery
SELECT u, length(u) FROM (SELECT upper(first_name) AS u FROM customer) s
--> SELECT u, («1||(u)::text||») AS "length" FROM (SELECT («0||(first_name)::text||») AS u FROM customer) s
--| first_name[0=upper(value)] first_name:23[0=upper(value); 1=length(value)]

-- of a column of a CTE
WITH w (u, n) AS (SELECT upper(first_name), customer_id FROM customer) SELECT lower(w.u) || '!', n FROM w
--> WITH w (u, n) AS (SELECT («0||(first_name)::text||») AS "upper", customer_id FROM customer) SELECT («1||(w.u)::text||») || '!' AS "?column?", n FROM w
--| first_name/text[0=upper(value); 1=lower(value)] -

-- a CTE that changes data
WITH w AS (UPDATE customer SET company = 'x' RETURNING upper(email) AS u) SELECT u FROM w
--> WITH w AS (UPDATE customer SET company = 'x' RETURNING («0||(email)::text||») AS u) SELECT u FROM w
--| email[0=upper(value)]

-- in LATERAL
SELECT x.u FROM customer c, LATERAL (SELECT upper(c.first_name) AS u) x
--> SELECT x.u FROM customer c, LATERAL (SELECT («0||(c.first_name)::text||») AS u) x
--| first_name[0=upper(value)]

-- in a set operation
SELECT upper(first_name) FROM customer UNION ALL SELECT name FROM artist UNION ALL SELECT last_name FROM employee
--> SELECT («0||(first_name)::text||») AS "upper" FROM customer UNION ALL SELECT name FROM artist UNION ALL SELECT last_name FROM employee
--| first_name+last_name/text[0=upper(value)]

-- a number in a set operation
SELECT length(first_name) FROM customer UNION ALL SELECT length(last_name) FROM customer
--> SELECT («0||(first_name)::text||») AS "length" FROM customer UNION ALL SELECT («1||(last_name)::text||») AS "length" FROM customer
--| first_name+last_name:23[0=length(value); 1=length(value)]

-- numbers of two sorts in a set operation
SELECT length(first_name) FROM customer UNION ALL SELECT customer_id FROM customer
--! 0A000 UNION can't bring together the result of length() and column public.customer.customer_id @ ['UNION ALL SELECT cus']

-- UNION makes distinct
SELECT upper(first_name) FROM customer UNION SELECT upper(last_name) FROM customer
--! 0A000 UNION on the result of upper() of protected column public.customer.first_name, public.customer.last_name is not supported @ ['UNION SELECT upper(l']

-- in aggregates
SELECT string_agg(upper(first_name), ', ' ORDER BY customer_id), array_agg(length(email)) FROM customer
--> SELECT string_agg((«0||(first_name)::text||»), ', ' ORDER BY customer_id) AS "string_agg", array_agg((«1||(email)::text||»)) AS "array_agg" FROM customer
--| first_name/text[0=upper(value)] email/array:1007[1=length(value)]

-- in JSON
SELECT json_build_object('u', upper(first_name), 'n', length(email)), json_agg(lower(email)) FROM customer
--> SELECT json_build_object('u', («0||(first_name)::text||»), 'n', («1||(email)::text||»)) AS "json_build_object", json_agg((«2||(email)::text||»)) AS "json_agg" FROM customer
--| email+first_name/json[0=upper(value); 1=length(value)] email/json[2=lower(value)]

-- as a key of JSON
SELECT json_build_object(upper(first_name), 1) FROM customer
--> SELECT json_build_object((«0||(first_name)::text||»), 1) AS "json_build_object" FROM customer
--| first_name/json[0=upper(value)]

-- as a key of jsonb
SELECT jsonb_build_object(upper(first_name), 1) FROM customer
--! 0A000 a key in jsonb_build_object() on the result of upper() of protected column public.customer.first_name is not supported @ ['jsonb_build_object(u']

-- in format
SELECT format('%s: %s', upper(first_name), length(email)) FROM customer
--> SELECT format('%s: %s', («0||(first_name)::text||»), («1||(email)::text||»)) AS "format" FROM customer
--| email+first_name/text[0=upper(value); 1=length(value)]

-- in a row
SELECT ROW(upper(first_name), email), s FROM (SELECT first_name, email FROM customer) s
--> SELECT ROW((«0||(first_name)::text||»), email) AS "row", s FROM (SELECT first_name, email FROM customer) s
--| email+first_name/record[0=upper(value)] email+first_name/record

-- RETURNING of an INSERT
INSERT INTO customer (email) VALUES ('a@b') RETURNING customer_id, upper(email)
--> INSERT INTO customer (email) VALUES (<+email:'a@b'>) RETURNING customer_id, («0||(email)::text||») AS "upper"
--| - email[0=upper(value)]
--= writes public.customer.email

-- RETURNING of a DELETE
DELETE FROM customer WHERE email = 'a@b' RETURNING left(email, 1) || '…'
--> DELETE FROM customer WHERE email = <email:'a@b'> RETURNING («0||(email)::text||») || '…' AS "?column?"
--| email/text[0=left(value, '1')]

-- a cursor
DECLARE c CURSOR FOR SELECT upper(first_name) FROM customer
--> DECLARE c CURSOR FOR SELECT («0||(first_name)::text||») AS "upper" FROM customer
--| first_name[0=upper(value)]
--= declare c

-- COPY
COPY (SELECT upper(first_name), length(email) FROM customer) TO STDOUT
--> COPY (SELECT («0||(first_name)::text||») AS "upper", («1||(email)::text||») AS "length" FROM customer) TO STDOUT
--| first_name[0=upper(value)] email:23[1=length(value)]

-- EXPLAIN
EXPLAIN SELECT upper(first_name) FROM customer
--> EXPLAIN SELECT («0||(first_name)::text||») AS "upper" FROM customer

-- a parameter that nothing else uses
SELECT left(first_name, $1), replace(last_name, $2, $3) FROM customer
--> SELECT («0||(first_name)::text||») AS "left", («1||(last_name)::text||») AS "replace" FROM customer
--| first_name[0=left(value, $1)] last_name[1=replace(value, $2, $3)]
--$ $1 kept:25 $2 kept:25 $3 kept:25 $1 shown 23 $2 shown 25 $3 shown 25

-- a parameter beside others
SELECT left(first_name, $2) FROM customer WHERE email = $1 AND customer_id > $3
--> SELECT («0||(first_name)::text||») AS "left" FROM customer WHERE email = $1 AND customer_id > $3
--| first_name[0=left(value, $2)]
--$ $1=email $2 kept:25 $3 $2 shown 23

-- a parameter in two functions
SELECT left(first_name, $1), right(first_name, $1) FROM customer
--> SELECT («0||(first_name)::text||») AS "left", («1||(first_name)::text||») AS "right" FROM customer
--| first_name[0=left(value, $1)] first_name[1=right(value, $1)]
--$ $1 kept:25 $1 shown 23

-- a parameter with a cast
SELECT left(first_name, $1::int), left(last_name, CAST($2 AS integer)) FROM customer
--> SELECT («0||(first_name)::text||») AS "left", («1||(last_name)::text||») AS "left" FROM customer
--| first_name[0=left(value, $1)] last_name[1=left(value, $2)]
--$ $1 kept:25 $2 kept:25 $1 shown 23 $2 shown 23

-- a parameter that is used otherwise, too
SELECT left(first_name, $1) FROM customer WHERE customer_id = $1
--! 42P08 the type of parameter $1 depends on where it is used first @ ['$1) FROM customer WH']

-- a declared parameter
--: 21 0
SELECT left(first_name, $1) FROM customer WHERE email = $2
--> SELECT («0||(first_name)::text||») AS "left" FROM customer WHERE email = $2
--| first_name[0=left(value, $1)]
--$ $1 kept:25 $2=email

-- PREPARE
PREPARE p AS SELECT left(first_name, $1) FROM customer WHERE email = $2
--> PREPARE p (text, unknown) AS SELECT («0||(first_name)::text||») AS "left" FROM customer WHERE email = $2
--| first_name[0=left(value, $1)]
--= prepare p

-- PREPARE with types
PREPARE p (int, text) AS SELECT left(first_name, $1) FROM customer WHERE email = $2
--> PREPARE p (text, text) AS SELECT («0||(first_name)::text||») AS "left" FROM customer WHERE email = $2
--| first_name[0=left(value, $1)]
--= prepare p

-- as text
SELECT upper(first_name)::text, length(first_name)::text, upper(first_name)::varchar FROM customer
--> SELECT («0||(first_name)::text||»)::text AS "upper", («1||(first_name)::text||»)::text AS "length", («2||(first_name)::text||»)::varchar AS "upper" FROM customer
--| first_name[0=upper(value)] first_name/text[1=length(value)] first_name[2=upper(value)]

-- as a shorter text
SELECT upper(first_name)::varchar(3) FROM customer
--! 0A000 cast to varchar on the result of upper() of protected column public.customer.first_name is not supported @ ['::varchar(3) FROM cu']

-- GROUP BY
SELECT upper(first_name), count(*) FROM customer GROUP BY upper(first_name)
--> SELECT («0||((<first_name ordered upper(value)>::jsonb ->> (rank<first_name ranks upper(value)>(first_name))))::text||») AS "upper", count(*) FROM customer GROUP BY rank<first_name ranks upper(value)>(first_name)
--| first_name[0=upper(value)] -

-- GROUP BY the column
SELECT upper(first_name), count(*) FROM customer GROUP BY first_name
--> SELECT («0||(first_name)::text||») AS "upper", count(*) FROM customer GROUP BY first_name
--| first_name[0=upper(value)] -

-- DISTINCT
SELECT DISTINCT upper(first_name) FROM customer
--> SELECT DISTINCT («0||((<first_name ordered upper(value)>::jsonb ->> (rank<first_name ranks upper(value)>(first_name))))::text||») AS "upper" FROM customer
--| first_name[0=upper(value)]

-- ORDER BY its name
SELECT upper(first_name) AS u FROM customer ORDER BY u
--> SELECT («0||(first_name)::text||») AS u FROM customer ORDER BY rank<first_name ranks upper(value)>(first_name)
--| first_name[0=upper(value)]

-- an aggregate
SELECT max(length(first_name)) FROM customer
--> SELECT («0||(<first_name ordered length(value)>::jsonb ->> (max(rank<first_name ranks length(value)>(left(substr((«0||(first_name)::text||»), 16), -13)))))||») AS "max" FROM customer
--| first_name:23[0=length(value)]

-- a window function
SELECT lag(upper(first_name)) OVER (ORDER BY customer_id) FROM customer
--> SELECT lag((«0||(first_name)::text||»)) OVER (ORDER BY customer_id) AS "lag" FROM customer
--| first_name[0=upper(value)]

-- stored in an unprotected column
INSERT INTO artist (name) SELECT upper(first_name) FROM customer
--! 0A000 INSERT would store protected column public.customer.first_name in unprotected column public.artist.name @ ['artist (name) SELECT']

-- stored in a protected column
UPDATE customer SET last_name = upper(first_name)
--! 0A000 UPDATE would store the result of upper() in protected column public.customer.last_name @ ['last_name = upper(fi']

-- compared
SELECT 1 FROM (SELECT upper(first_name) AS u FROM customer) s WHERE u = 'A'
--! 0A000 operator = on the result of upper() of protected column public.customer.first_name is not supported @ ["= 'A'"]

-- a definition
CREATE VIEW v AS SELECT upper(first_name) FROM customer
--! 0A000 function upper() on protected column public.customer.first_name is not supported @ ['upper(first_name) FR']

-- a materialized definition
CREATE MATERIALIZED VIEW v AS SELECT upper(first_name) FROM customer
--! 0A000 function upper() on protected column public.customer.first_name is not supported @ ['upper(first_name) FR']

-- in FROM
SELECT x FROM customer c, upper(c.first_name) x
--! 0A000 function upper() on protected column public.customer.first_name is not supported @ ['upper(c.first_name) ']

-- an unknown function
SELECT soundex(first_name) FROM customer
--! 0A000 function soundex() on protected column public.customer.first_name is not supported @ ['soundex(first_name) ']

-- a wrong argument
SELECT left(first_name) FROM customer
--! 0A000 function left() on protected column public.customer.first_name is not supported @ ['left(first_name) FRO']

-- with FILTER
SELECT upper(first_name) FILTER (WHERE true) FROM customer
--! 0A000 function upper() on protected column public.customer.first_name is not supported @ ['upper(first_name) FI']

-- arithmetic
SELECT loyalty_no + 1, -loyalty_no, 100 - loyalty_no, length(first_name) + length(last_name), loyalty_no * customer_id FROM customer
--> SELECT («0||(loyalty_no)::text||») AS "?column?", («1||(loyalty_no)::text||») AS "?column?", («2||(loyalty_no)::text||») AS "?column?", («5||((«3||(first_name)::text||»))::text||¦||((«4||(last_name)::text||»))::text||») AS "?column?", («6||(loyalty_no)::text||¦||(customer_id)::text||») AS "?column?" FROM customer
--| loyalty:23[0=(value + '1')] loyalty:23[1=(- value)] loyalty:23[2=('100' - value)] first_name+last_name:23[3=length(value); 4=length(value); 5=(value + ¦1)] loyalty:23[6=(value * ¦1)]

-- parts of a date
SELECT extract(year FROM birth_date), extract(DOW from birth_date), date_trunc('day', last_seen) FROM customer, account
--> SELECT («0||(birth_date)::text||») AS "extract", («1||(birth_date)::text||») AS "extract", («2||(last_seen)::text||») AS "date_trunc" FROM customer, account
--| birth:1700[0=extract('year', value)] birth:1700[1=extract('dow', value)] seen:1114[2=date_trunc('day', value)]

-- dates and days
SELECT birth_date + 30, current_date - birth_date, birth_date - date '2000-01-01', birth_date::timestamp FROM customer
--> SELECT («0||(birth_date)::text||») AS "?column?", («1||(current_date)::text||¦||(birth_date)::text||») AS "?column?", («2||(birth_date)::text||») AS "?column?", («3||(birth_date)::text||») AS "birth_date" FROM customer
--| birth:1082[0=(value + '30')] birth:23[1=(value - ¦1)] birth:23[2=(value - '2000-01-01')] birth:1114[3=cast(value)]

-- casts
SELECT first_name::int, loyalty_no::bigint, loyalty_no::numeric, country::varchar, (first_name || '1')::date FROM customer WHERE customer_id < 0
--> SELECT («0||(first_name)::text||») AS "first_name", («1||(loyalty_no)::text||») AS "loyalty_no", («2||(loyalty_no)::text||») AS "loyalty_no", («3||(country)::text||») AS "country", («4||(first_name || '1')::text||») AS "date" FROM customer WHERE customer_id < 0
--| first_name:23[0=cast(value)] loyalty:20[1=cast(value)] loyalty:1700[2=cast(value)] country:1043[3=cast(value)] first_name:1082[4=cast(value)]

-- a cast to boolean
SELECT first_name::boolean FROM customer
--! 0A000 cast to bool on protected column public.customer.first_name is not supported @ ['::boolean FROM custo']

-- what may be NULL in an array and in JSON
SELECT array_agg(extract(year FROM birth_date)), json_agg(extract(year FROM birth_date)) FROM customer
--> SELECT array_agg((«0||(birth_date)::text||»)) AS "array_agg", json_agg((«1||(birth_date)::text||»)) AS "json_agg" FROM customer
--| birth/array:1231[0=extract('year', value)] birth/json[1=extract('year', value)]

-- what may be NULL in text
SELECT 'born ' || extract(year FROM birth_date) FROM customer
--! 0A000 building a value on the result of extract() of protected column public.customer.birth_date is not supported @ ['extract(year FROM bi']

-- what may be NULL in COALESCE
SELECT COALESCE(extract(year FROM birth_date), 0) FROM customer
--! 0A000 COALESCE can't bring together the result of extract() and a constant or parameter @ ['COALESCE(extract(yea']

-- what may be NULL and is counted
SELECT count(extract(year FROM birth_date)) FROM customer
--> SELECT count((«0||((<birth ordered extract('year', value)>::jsonb ->> (rank<birth ranks extract('year', value)>(birth_date))))::text||»)) AS "count" FROM customer

-- an unprotected operand first
SELECT replace(company, first_name, '?'), lpad(first_name, 20, company) FROM customer
--> SELECT («0||(company)::text||¦||(first_name)::text||») AS "replace", («1||(first_name)::text||¦||(company)::text||») AS "lpad" FROM customer
--| first_name[0=replace(value, ¦1, '?')] first_name[1=lpad(value, '20', ¦1)]

-- a function of an expression whose type isn't known
SELECT left(first_name, customer_id - 1) FROM customer
--! 0A000 function left() on protected column public.customer.first_name is not supported @ ['left(first_name, cus']

-- DISTINCT ON
SELECT DISTINCT ON (upper(first_name)) first_name FROM customer
--> SELECT DISTINCT ON (rank<first_name ranks upper(value)>(first_name)) first_name FROM customer
--| first_name:1043(44)

-- in a recursive query
WITH RECURSIVE w AS (SELECT upper(first_name) u, 1 n FROM customer UNION ALL SELECT lower(u), n + 1 FROM w WHERE n < 3) SELECT u, n FROM w
--> WITH RECURSIVE w AS (SELECT («0||(first_name)::text||») u, 1 n FROM customer UNION ALL SELECT («1||(u)::text||») AS "lower", n + 1 FROM w WHERE n < 3) SELECT u, n FROM w
--| first_name[0=upper(value); 1=lower(value)] -

-- two numbers are no text
SELECT length(first_name) || length(last_name) FROM customer
--! 42883 operator does not exist: the result of length() || the result of length() @ ['|| length(last_name)']

-- a number and a text are
SELECT first_name || length(last_name) FROM customer
--> SELECT first_name || («0||(last_name)::text||») AS "?column?" FROM customer
--| first_name+last_name/text[0=length(value)]

-- ORDER BY in a subquery around
SELECT u FROM (SELECT upper(first_name) AS u FROM customer) s ORDER BY u
--> SELECT u FROM (SELECT («0||(first_name)::text||») AS u FROM customer) s ORDER BY rank<first_name ranks upper(value)>(left(substr(u, 16), -13))
--| first_name[0=upper(value)]

-- PARTITION BY
SELECT row_number() OVER (PARTITION BY upper(first_name)) FROM customer
--> SELECT row_number() OVER (PARTITION BY («0||((<first_name ordered upper(value)>::jsonb ->> (rank<first_name ranks upper(value)>(first_name))))::text||»)) AS "row_number" FROM customer

-- a join
SELECT 1 FROM customer a JOIN customer b ON upper(a.first_name) = upper(b.first_name)
--! 0A000 operator = on the result of upper() of protected column public.customer.first_name is not supported @ ['= upper(b.first_name']

-- LATERAL VALUES
SELECT t.x FROM customer c, LATERAL (VALUES (upper(c.first_name)), (c.last_name)) t(x)
--> SELECT t.x FROM customer c, LATERAL (VALUES ((«0||(c.first_name)::text||»)), (c.last_name)) t(x)
--| first_name+last_name/text[0=upper(value)]
