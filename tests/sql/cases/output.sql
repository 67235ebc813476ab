-- all columns
SELECT * FROM customer
--| - first_name:1043(44) last_name:1043(24) - phone:1043(28) email:1043(64) birth:1082 loyalty:23 notes country:1042(6) -

-- all columns of an alias
SELECT e.*, c.company FROM customer c, employee e
--| - last_name:1043(24) first_name:1043(44) - - email:1043(64) -

-- an alias
SELECT email AS contact FROM customer
--| email:1043(64)

-- a subquery
SELECT x.mail FROM (SELECT email AS mail, phone FROM customer) x WHERE x.phone = '1'
--> SELECT x.mail FROM (SELECT email AS mail, phone FROM customer) x WHERE x.phone = <phone:'1'>
--| email:1043(64)

-- star beside a subquery
SELECT *, (SELECT max(total) FROM invoice i WHERE i.customer_id = c.customer_id) FROM customer c
--| - first_name:1043(44) last_name:1043(24) - phone:1043(28) email:1043(64) birth:1082 loyalty:23 notes country:1042(6) - -

-- a scalar subquery in the output
SELECT (SELECT email FROM customer LIMIT 1) AS x, 1
--| email:1043(64) -

-- a WITH query
WITH w AS (SELECT email, company FROM customer) SELECT * FROM w WHERE email = 'a'
--> WITH w AS (SELECT email, company FROM customer) SELECT * FROM w WHERE email = <email:'a'>
--| email:1043(64) -

-- a WITH query with column names
WITH w(a, b) AS (SELECT email, company FROM customer) SELECT b, a FROM w WHERE a = 'x'
--> WITH w(a, b) AS (SELECT email, company FROM customer) SELECT b, a FROM w WHERE a = <email:'x'>
--| - email:1043(64)

-- a WITH query named like the table
WITH customer AS (SELECT email FROM public.customer) SELECT * FROM customer
--| email:1043(64)

-- a WITH query that hides the table
WITH customer(email) AS (SELECT 'plain') SELECT email FROM customer WHERE email = 'plain'

-- a recursive query
WITH RECURSIVE r AS (SELECT employee_id, email FROM employee WHERE email = 'a' UNION ALL SELECT e.employee_id, e.email FROM employee e JOIN r ON e.reports_to = r.employee_id) SELECT * FROM r
--> WITH RECURSIVE r AS (SELECT employee_id, email FROM employee WHERE email = <email:'a'> UNION ALL SELECT e.employee_id, e.email FROM employee e JOIN r ON e.reports_to = r.employee_id) SELECT * FROM r
--| - email:1043(64)

-- a recursive query that switches columns
WITH RECURSIVE r(n, mail) AS (SELECT 1, email FROM employee UNION ALL SELECT n + 1, c.email FROM customer c JOIN r ON r.mail = c.email WHERE n < 3) SELECT * FROM r
--| - email:1043(64)

-- a recursive query that begins with NULL
WITH RECURSIVE r(n, mail) AS (SELECT 1, NULL::varchar UNION ALL SELECT n + 1, e.email FROM employee e JOIN r ON n < 3) SELECT * FROM r
--| - email

-- COALESCE with a constant
SELECT COALESCE(email, 'none') FROM customer
--> SELECT COALESCE(email, <~email:'none'>) FROM customer
--| email

-- COALESCE with an unprotected column
SELECT COALESCE(email, company) FROM customer
--| email

-- COALESCE of two domains
SELECT COALESCE(email, phone, 'none') FROM customer
--| email+phone

-- COALESCE of a date
SELECT COALESCE(birth_date, '1900-01-01') FROM customer
--> SELECT COALESCE(birth_date, <~birth:'1900-01-01'>) FROM customer
--| birth:1082

-- COALESCE of a date and an unprotected date
SELECT COALESCE(c.birth_date, now()::date) FROM customer c
--! 0A000 COALESCE can't bring together protected column public.customer.birth_date and a value of type date @ ['COALESCE(c.birth_dat']

-- a mix compared afterwards
SELECT 1 FROM customer WHERE COALESCE(email, company) = 'a'
--! 0A000 operator = on protected column public.customer.email is not supported @ ["= 'a'"]

-- CASE
SELECT CASE WHEN company = 'x' THEN email ELSE 'hidden' END FROM customer
--> SELECT CASE WHEN company = 'x' THEN email ELSE <~email:'hidden'> END FROM customer
--| email

-- CASE without ELSE
SELECT CASE WHEN email = 'a' THEN first_name END FROM customer
--> SELECT CASE WHEN email = <email:'a'> THEN first_name END FROM customer
--| first_name

-- concatenation
SELECT first_name || ' ' || last_name FROM customer
--| first_name+last_name/text

-- concatenation with a number
SELECT 'No. ' || loyalty_no FROM customer
--| loyalty/text

-- concat
SELECT concat(first_name, ' ', last_name), concat_ws(', ', last_name, first_name, company) FROM customer
--| first_name+last_name/text first_name+last_name/text

-- concat VARIADIC
SELECT concat_ws(', ', VARIADIC ARRAY[first_name, last_name]) FROM customer
--| first_name+last_name/text

-- format
SELECT format('%s <%s>', first_name, email) FROM customer
--| email+first_name/text

-- format with quoting
SELECT format('%L', email) FROM customer
--! 0A000 format() with other than %s on protected column public.customer.email is not supported @ ["format('%L', email) "]

-- format with a template from the table
SELECT format(company, email) FROM customer
--! 0A000 format() of protected values with a computed template is not supported @ ['format(company, emai']

-- string_agg
SELECT company, string_agg(email, ', ') FROM customer GROUP BY company
--| - email/text

-- string_agg in an unprotected order
SELECT string_agg(email, ', ' ORDER BY customer_id) FROM customer
--| email/text

-- string_agg in a protected order
SELECT string_agg(email, ', ' ORDER BY email) FROM customer
--> SELECT string_agg(email, ', ' ORDER BY rank<email ranks>(email)) FROM customer
--| email/text

-- array_agg
SELECT array_agg(email), array_agg(DISTINCT birth_date) FROM customer
--| email/array birth/array:1182

-- ARRAY of a subquery
SELECT ARRAY(SELECT email FROM customer), ARRAY[first_name, last_name] FROM employee
--| email/array:1015(64) first_name+last_name/array

-- an element of an array
SELECT (array_agg(email))[1], (array_agg(email))[1:2] FROM customer
--| email email/array

-- unnest of an array
SELECT m FROM (SELECT array_agg(email) AS a FROM customer) x, unnest(x.a) AS m WHERE m = 'a'
--> SELECT m FROM (SELECT array_agg(email) AS a FROM customer) x, unnest(x.a) AS m WHERE m = <email:'a'>
--| email

-- array_to_string
SELECT array_to_string(array_agg(email), ',') FROM customer
--| email/text

-- json builders
SELECT json_build_object('mail', email, 'n', customer_id), jsonb_build_array(email, phone) FROM customer
--| email/json email+phone/json

-- a protected key in json and in jsonb
SELECT json_build_object(email, 1) FROM customer
--| email/json

-- a protected key in jsonb
SELECT jsonb_build_object(email, 1) FROM customer
--! 0A000 a key in jsonb_build_object() on protected column public.customer.email is not supported @ ['jsonb_build_object(e']

-- json aggregates
SELECT json_agg(email), jsonb_agg(phone), json_object_agg(customer_id, email) FROM customer
--| email/json phone/json email/json

-- rows as json
SELECT row_to_json(e) FROM employee e
--| email+first_name+last_name/json

-- to_jsonb of a subquery's row
SELECT to_jsonb(x) FROM (SELECT email, company FROM customer) x
--| email/json

-- json within json
SELECT json_build_object('a', json_agg(email)) FROM customer
--| email/json

-- json as text within json
SELECT json_build_object('a', json_agg(email)::text) FROM customer
--| email/json.json

-- json of a protected integer
SELECT to_json(loyalty_no), json_build_object('n', loyalty_no, loyalty_no, 1), jsonb_agg(loyalty_no) FROM customer GROUP BY loyalty_no
--| loyalty/json loyalty/json loyalty/json

-- json of a protected timestamp
SELECT row_to_json(a), json_build_object(last_seen, last_seen) FROM account a
--| login+seen/json seen/json

-- json of a row with protected columns of many types
SELECT row_to_json(c), jsonb_build_array(c) FROM customer c
--| birth+country+email+first_name+last_name+loyalty+notes+phone/json birth+country+email+first_name+last_name+loyalty+notes+phone/json

-- the text form of a protected integer in json
SELECT json_build_object('n', loyalty_no::text, 'd', birth_date::text) FROM customer
--| birth+loyalty/json.text

-- a protected integer and its text form in json
SELECT json_build_object('n', loyalty_no, 't', loyalty_no::text) FROM customer
--! 0A000 column "json_build_object" embeds protected values in more than one way @ ["json_build_object('n"]

-- json of a protected integer within longer text
SELECT 'x' || json_build_object('n', loyalty_no)::text FROM customer
--! 0A000 JSON of protected column public.customer.loyalty_no is not supported @ ['loyalty_no)::text FR']

-- json within longer text
SELECT 'x "' || json_build_object('n', email)::text, string_agg(to_json(email)::text, ',') FROM customer GROUP BY email
--| email/text.json email/text.json

-- text built around tokens in json, in an array and in a row
SELECT json_build_object('a', first_name || ' ' || last_name), ARRAY[first_name || 'x'], ROW(1, 'x' || email) FROM customer
--| first_name+last_name/json.text first_name/array.text email/record.text

-- text built around tokens beside tokens in json and in a row
SELECT json_build_object('a', first_name, 'b', first_name || ' ' || last_name), ROW(email, 'x' || email) FROM customer
--| first_name+last_name/json.text email/record.text

-- a view's row with built text as json
SELECT row_to_json(c), c FROM customer_contact c
--| email+first_name+last_name/json.text email+first_name+last_name/record.text

-- json of json as a key
SELECT json_build_object(to_json(email), 1) FROM customer
--! 0A000 a protected key of json_build_object() must be scalar, not array, composite, or json @ ['json_build_object(to']

-- SQL/JSON as another type
SELECT JSON_ARRAY(email RETURNING bytea) FROM customer
--! 0A000 JSON of another type than json, jsonb or text on protected column public.customer.email is not supported @ ['JSON_ARRAY(email RET']

-- SQL/JSON as jsonb and as text
SELECT JSON_OBJECT('a': email RETURNING jsonb), JSON_ARRAY(loyalty_no RETURNING text) FROM customer
--| email/json loyalty/json

-- SQL/JSON constructors
SELECT JSON_OBJECT('a': email), JSON_ARRAY(email, phone), JSON_ARRAYAGG(email), JSON_OBJECTAGG('k': email) FROM customer GROUP BY email, phone
--| email/json email+phone/json email/json email/json

-- json concatenated
SELECT jsonb_build_object('a', email) || '{"b": 1}' FROM customer
--| email/json

-- a field of built json
SELECT jsonb_build_object('a', email) ->> 'a' FROM customer
--! 0A000 operator ->> on protected column public.customer.email is not supported @ ["->> 'a' FROM custome"]

-- a whole row
SELECT e FROM employee e
--| email+first_name+last_name/record

-- ROW
SELECT ROW(email, 1), ROW(e.*) FROM employee e
--| email/record email+first_name+last_name/record

-- a field of a row
SELECT (e).email, email(e) FROM employee e
--| email:1043(64) email:1043(64)

-- all fields of a row
SELECT (e).* FROM employee e
--| - last_name:1043(24) first_name:1043(44) - - email:1043(64)

-- more than one way of embedding
SELECT concat(array_agg(email)::text, string_agg(phone, '')) FROM customer
--! 0A000 column "concat" embeds protected values in more than one way @ ['concat(array_agg(ema']

-- cast to text
SELECT email::text, birth_date::text, loyalty_no::varchar FROM customer
--| email birth/text loyalty/text

-- cast to the own type
SELECT birth_date::date, loyalty_no::int FROM customer
--> SELECT birth_date::text, loyalty_no::text FROM customer
--| birth:1082 loyalty:23

-- cast to a shorter type
SELECT email::varchar(3) FROM customer
--! 0A000 cast to varchar on protected column public.customer.email is not supported @ ['::varchar(3) FROM cu']

-- cast to another type
SELECT birth_date::timestamp FROM customer
--> SELECT («0||(birth_date)::text||») AS "birth_date" FROM customer
--| birth:1114[0=cast(value)]

-- count
SELECT count(email), count(DISTINCT email), count(*) FILTER (WHERE email = 'a') FROM customer
--> SELECT count(email), count(DISTINCT email), count(*) FILTER (WHERE email = <email:'a'>) FROM customer

-- count of a randomized column
SELECT count(notes) FROM customer

-- count of distinct randomized values
SELECT count(DISTINCT notes) FROM customer
--! 0A000 count(DISTINCT) on randomized column public.customer.notes is not supported @ ['count(DISTINCT notes']

-- window functions
SELECT email, row_number() OVER (PARTITION BY company ORDER BY customer_id), first_value(email) OVER w, lag(email, 1, 'none') OVER w FROM customer WINDOW w AS (PARTITION BY email ORDER BY customer_id)
--> SELECT email, row_number() OVER (PARTITION BY company ORDER BY customer_id), first_value(email) OVER w, lag(email, 1, <~email:'none'>) OVER w FROM customer WINDOW w AS (PARTITION BY email ORDER BY customer_id)
--| email:1043(64) - email email

-- a window in a protected order
SELECT rank() OVER (ORDER BY email) FROM customer
--> SELECT rank() OVER (ORDER BY rank<email ranks>(email)) FROM customer

-- GROUP BY
SELECT email, count(*) FROM customer GROUP BY email
--| email:1043(64) -

-- GROUP BY an ordinal
SELECT company, email, count(*) FROM customer GROUP BY 1, 2
--| - email:1043(64) -

-- GROUP BY an output name
SELECT email AS m, count(*) FROM customer GROUP BY m HAVING count(*) > 1
--| email:1043(64) -

-- GROUP BY with the same constant twice
SELECT COALESCE(email, 'x'), count(*) FROM customer GROUP BY COALESCE(email, 'x')
--> SELECT COALESCE(email, <~email:'x'>), count(*) FROM customer GROUP BY COALESCE(email, <~email:'x'>)
--| email -

-- GROUPING SETS
SELECT email, phone, grouping(email) FROM customer GROUP BY GROUPING SETS ((email), (phone), ())
--| email:1043(64) phone:1043(28) -

-- GROUP BY a randomized column
SELECT notes FROM customer GROUP BY notes
--! 0A000 GROUP BY on randomized column public.customer.notes is not supported @ ['notes']

-- GROUP BY built text
SELECT first_name || last_name FROM customer GROUP BY first_name || last_name
--! 0A000 GROUP BY on protected column public.customer.first_name, public.customer.last_name is not supported @ ['|| last_name']

-- DISTINCT
SELECT DISTINCT email, company FROM customer
--| email:1043(64) -

-- DISTINCT ON
SELECT DISTINCT ON (email) email, company FROM customer
--| email:1043(64) -

-- DISTINCT of a randomized column
SELECT DISTINCT notes FROM customer
--! 0A000 DISTINCT on randomized column public.customer.notes is not supported @ ['DISTINCT notes FROM ']

-- DISTINCT of built text
SELECT DISTINCT first_name || ' ' || last_name FROM customer
--! 0A000 DISTINCT on protected column public.customer.first_name, public.customer.last_name is not supported @ ['DISTINCT first_name ']

-- UNION
SELECT email FROM customer UNION SELECT email FROM employee
--| email:1043(64)

-- UNION with a constant
SELECT email FROM customer UNION SELECT 'a@b'
--> SELECT email FROM customer UNION SELECT <~email:'a@b'>
--| email

-- UNION of different domains
SELECT email FROM customer UNION SELECT phone FROM customer
--! 0A000 UNION on protected column public.customer.email, public.customer.phone is not supported @ ['UNION SELECT phone F']

-- UNION ALL of different domains
SELECT email FROM customer UNION ALL SELECT phone FROM customer
--| email+phone

-- UNION ALL with an unprotected column
SELECT email FROM customer UNION ALL SELECT name FROM artist
--| email

-- UNION with an unprotected column
SELECT email FROM customer UNION SELECT name FROM artist
--! 0A000 UNION on protected column public.customer.email is not supported @ ['UNION SELECT name FR']

-- INTERSECT and EXCEPT
(SELECT email FROM customer INTERSECT SELECT email FROM employee) EXCEPT SELECT billing_email FROM invoice
--| email

-- UNION of randomized columns
SELECT notes FROM customer UNION SELECT notes FROM customer
--! 0A000 UNION on randomized column public.customer.notes is not supported @ ['UNION SELECT notes F']

-- UNION ALL of randomized columns
SELECT notes FROM customer UNION ALL SELECT notes FROM customer
--| notes

-- UNION with NULL
SELECT NULL UNION ALL SELECT email FROM customer
--| email

-- ORDER BY an unprotected column
SELECT email FROM customer ORDER BY company, customer_id DESC NULLS LAST
--| email:1043(64)

-- ORDER BY a protected column
SELECT email FROM customer ORDER BY email
--> SELECT email FROM customer ORDER BY rank<email ranks>(email)
--| email:1043(64)

-- ORDER BY an ordinal
SELECT company, email FROM customer ORDER BY 2
--> SELECT company, email FROM customer ORDER BY rank<email ranks>(email)
--| - email:1043(64)

-- ORDER BY an output name
SELECT email AS m FROM customer ORDER BY m
--> SELECT email AS m FROM customer ORDER BY rank<email ranks>(email)
--| email:1043(64)

-- ORDER BY of a union
SELECT email FROM customer UNION ALL SELECT email FROM employee ORDER BY email
--> SELECT pgnym_1 AS "email" FROM (SELECT email FROM customer UNION ALL SELECT email FROM employee) AS pgnym(pgnym_1) ORDER BY rank<email ranks>(pgnym_1)
--| email:1043(64)

-- FOR UPDATE
SELECT email FROM customer WHERE email = 'a' FOR UPDATE OF customer SKIP LOCKED
--> SELECT email FROM customer WHERE email = <email:'a'> FOR UPDATE OF customer SKIP LOCKED
--| email:1043(64)

-- TABLE
TABLE employee
--| - last_name:1043(24) first_name:1043(44) - - email:1043(64)

-- VALUES alone
VALUES ('a'), ('b')
--none

-- a composite type by the name of the table
SELECT (NULL::customer).email

-- arrays keep the length of their column until a function makes them
SELECT ARRAY[country, country], array_append(ARRAY[country], country), ARRAY[country] || country FROM customer
--| country/array:1014(6) country/array:1014 country/array:1014
