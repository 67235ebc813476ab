-- a constant
SELECT email FROM customer WHERE email = 'a@b'
--> SELECT email FROM customer WHERE email = <email:'a@b'>
--| email:1043(64)

-- reversed
SELECT email FROM customer WHERE 'a@b' = email
--> SELECT email FROM customer WHERE <email:'a@b'> = email
--| email:1043(64)

-- not equal
SELECT customer_id FROM customer WHERE email <> 'a@b' AND email != 'c@d'
--> SELECT customer_id FROM customer WHERE email <> <email:'a@b'> AND email != <email:'c@d'>

-- IN list
SELECT customer_id FROM customer WHERE email IN ('a', 'b', NULL, '')
--> SELECT customer_id FROM customer WHERE email IN (<email:'a'>, <email:'b'>, NULL, <email:''>)

-- NOT IN list
SELECT customer_id FROM customer WHERE email NOT IN ('a', 'b')
--> SELECT customer_id FROM customer WHERE email NOT IN (<email:'a'>, <email:'b'>)

-- ANY of an array constructor
SELECT customer_id FROM customer WHERE email = ANY (ARRAY['a', 'b'])
--> SELECT customer_id FROM customer WHERE email = ANY (ARRAY[<email:'a'>, <email:'b'>])

-- ANY of an array constant
SELECT customer_id FROM customer WHERE email = ANY ('{a,b}')
--> SELECT customer_id FROM customer WHERE email = ANY (<email[]:'{a,b}'>)

-- ANY of a cast array constant
SELECT customer_id FROM customer WHERE email = ANY ('{a,b}'::varchar(20)[])
--> SELECT customer_id FROM customer WHERE email = ANY (<email[]:'{a,b}'>::varchar[])

-- ANY of an array parameter
SELECT customer_id FROM customer WHERE email = ANY ($1)
--$ $1=email[]

-- ANY of a cast array parameter
SELECT customer_id FROM customer WHERE email = ANY ($1::text[])
--$ $1=email[]

-- ALL with not equal
SELECT customer_id FROM customer WHERE email <> ALL (ARRAY['a', 'b'])
--> SELECT customer_id FROM customer WHERE email <> ALL (ARRAY[<email:'a'>, <email:'b'>])

-- IS DISTINCT FROM
SELECT customer_id FROM customer WHERE email IS DISTINCT FROM 'a' OR 'b' IS NOT DISTINCT FROM email
--> SELECT customer_id FROM customer WHERE email IS DISTINCT FROM <email:'a'> OR <email:'b'> IS NOT DISTINCT FROM email

-- row comparison
SELECT customer_id FROM customer WHERE (first_name, last_name) = ('A', 'B')
--> SELECT customer_id FROM customer WHERE (first_name, last_name) = (<first_name:'A'>, <last_name:'B'>)

-- row in list of rows
SELECT customer_id FROM customer WHERE (customer_id, email) IN ((1, 'a'), (2, 'b'))
--> SELECT customer_id FROM customer WHERE (customer_id, email) IN ((1, <email:'a'>), (2, <email:'b'>))

-- NULL tests need no token
SELECT customer_id FROM customer WHERE email IS NULL OR birth_date IS NOT NULL OR notes IS NULL

-- the empty string stays a value to tokenize
SELECT customer_id FROM customer WHERE email = ''
--> SELECT customer_id FROM customer WHERE email = <email:''>

-- qualified and aliased
SELECT k.email FROM public.customer AS k WHERE k.email = 'a'
--> SELECT k.email FROM public.customer AS k WHERE k.email = <email:'a'>
--| email:1043(64)

-- column aliases of a table
SELECT x.c FROM staging.contact AS x(a, b, c) WHERE b = 'a'
--> SELECT x.c FROM staging.contact AS x(a, b, c) WHERE b = <email:'a'>

-- two domains side by side
SELECT customer_id FROM customer WHERE email = 'a' AND phone = '+49'
--> SELECT customer_id FROM customer WHERE email = <email:'a'> AND phone = <phone:'+49'>

-- with an unprotected column of the same statement
SELECT customer_id FROM customer WHERE email = 'a' AND company = 'b' AND customer_id = 3
--> SELECT customer_id FROM customer WHERE email = <email:'a'> AND company = 'b' AND customer_id = 3

-- compared with an unprotected column
SELECT customer_id FROM customer WHERE email = company
--! 0A000 operator = can't bring together protected column public.customer.email and column public.customer.company @ ['= company']

-- compared with a column of another domain
SELECT customer_id FROM customer WHERE email = phone
--! 0A000 operator = can't bring together protected column public.customer.email and protected column public.customer.phone @ ['= phone']

-- compared with a function of the session
SELECT customer_id FROM customer WHERE email = current_user
--! 0A000 operator = can't bring together protected column public.customer.email and current_user @ ['= current_user']

-- compared with computed text
SELECT customer_id FROM customer WHERE email = company || '@x'
--! 0A000 operator = can't bring together protected column public.customer.email and text built by || @ ["= company || '@x'"]

-- a text column compared with a number
SELECT customer_id FROM customer WHERE email = 5
--! 42883 operator does not exist: protected column public.customer.email and a number @ ['5']

-- a randomized column
SELECT customer_id FROM customer WHERE notes = 'a'
--> SELECT customer_id FROM customer WHERE (notes = ANY(<notes matches (value = 'a')>::text[]))

-- a randomized column in IN
SELECT customer_id FROM customer WHERE notes IN ('a', 'b')
--> SELECT customer_id FROM customer WHERE (notes = ANY(<notes matches ((value = 'a') or (value = 'b'))>::text[]))

-- a protected date by a string
SELECT customer_id FROM customer WHERE birth_date = '1962-02-18'
--> SELECT customer_id FROM customer WHERE birth_date = <birth:'1962-02-18'>

-- a protected date by a typed constant
SELECT customer_id FROM customer WHERE birth_date = date '1962-02-18'
--> SELECT customer_id FROM customer WHERE birth_date = <birth:'1962-02-18'>

-- a protected date by a cast
SELECT customer_id FROM customer WHERE birth_date = '1962-02-18'::date
--> SELECT customer_id FROM customer WHERE birth_date = <birth:'1962-02-18'>::text

-- a protected date by CAST
SELECT customer_id FROM customer WHERE birth_date = CAST('1962-02-18' AS date)
--> SELECT customer_id FROM customer WHERE birth_date = CAST(<birth:'1962-02-18'> AS text)

-- a protected date by a cast parameter
SELECT customer_id FROM customer WHERE birth_date = $1::date
--> SELECT customer_id FROM customer WHERE birth_date = $1::text
--$ $1=birth $1 shown 1082

-- a protected date by a timestamp
SELECT customer_id FROM customer WHERE birth_date = '1962-02-18'::timestamp
--! 0A000 cast to timestamp does not fit protected column public.customer.birth_date @ ["'1962-02-18'::timest"]

-- a protected date compared with today
SELECT customer_id FROM customer WHERE birth_date = current_date
--! 0A000 operator = can't bring together protected column public.customer.birth_date and current_date @ ['= current_date']

-- a protected integer
SELECT customer_id FROM customer WHERE loyalty_no = 12 OR loyalty_no IN (-5, 0, 7)
--> SELECT customer_id FROM customer WHERE loyalty_no = <loyalty:'12'> OR loyalty_no IN (<loyalty:'-5'>, <loyalty:'0'>, <loyalty:'7'>)

-- a protected integer by a string
SELECT customer_id FROM customer WHERE loyalty_no = '12'
--> SELECT customer_id FROM customer WHERE loyalty_no = <loyalty:'12'>

-- a protected integer by a cast
SELECT customer_id FROM customer WHERE loyalty_no = 12::bigint
--> SELECT customer_id FROM customer WHERE loyalty_no = <loyalty:'12'>::text

-- a protected timestamp with precision
SELECT id FROM account WHERE last_seen = timestamp(3) without time zone '2020-01-01 00:00:00'
--> SELECT id FROM account WHERE last_seen = <seen:'2020-01-01 00:00:00'>

-- a protected citext column
SELECT id FROM account WHERE login = 'Anna' OR login = 'B'::citext
--> SELECT id FROM account WHERE login = <login:'Anna'> OR login = <login:'B'>::citext

-- a cast that cuts is told to the gateway
SELECT customer_id FROM customer WHERE email = 'abcdef'::varchar(3)
--> SELECT customer_id FROM customer WHERE email = <email:'abcdef'>::text

-- a cast that does not fit
SELECT customer_id FROM customer WHERE email = '5'::int
--! 0A000 cast to int4 does not fit protected column public.customer.email @ ["'5'::int"]

-- a cast column is the same column
SELECT customer_id FROM customer WHERE email::text = 'a' AND (first_name)::character varying = 'b'::text
--> SELECT customer_id FROM customer WHERE email::text = <email:'a'> AND (first_name)::character varying = <first_name:'b'>::text

-- the text form of a date
SELECT customer_id FROM customer WHERE birth_date::text = '1962-02-18'
--> SELECT customer_id FROM customer WHERE (birth_date = ANY(<birth matches (cast(value) = '1962-02-18')>::text[]))

-- CASE compares
SELECT CASE email WHEN 'a' THEN 1 WHEN 'b' THEN 2 END FROM customer
--> SELECT CASE email WHEN <email:'a'> THEN 1 WHEN <email:'b'> THEN 2 END FROM customer

-- NULLIF compares
SELECT NULLIF(email, 'a') FROM customer
--> SELECT NULLIF(email, <email:'a'>) FROM customer
--| email

-- a subquery with IN
SELECT customer_id FROM customer WHERE email IN (SELECT email FROM employee WHERE first_name = 'x')
--> SELECT customer_id FROM customer WHERE email IN (SELECT email FROM employee WHERE first_name = <first_name:'x'>)

-- a row in a subquery
SELECT 1 FROM customer WHERE (first_name, last_name) IN (SELECT first_name, last_name FROM employee)

-- a correlated EXISTS
SELECT 1 FROM customer c WHERE EXISTS (SELECT 1 FROM employee e WHERE e.email = c.email)

-- a scalar subquery
SELECT 1 FROM customer WHERE email = (SELECT email FROM employee LIMIT 1)

-- IN over an unprotected column
SELECT 1 FROM customer WHERE email IN (SELECT name FROM artist)
--! 0A000 IN (subquery) can't bring together protected column public.customer.email and column public.artist.name @ ['IN (SELECT name FROM']

-- constants through VALUES
SELECT c.customer_id FROM customer c JOIN (VALUES ('a', 1), ('b', 2)) v(mail, n) ON c.email = v.mail
--> SELECT c.customer_id FROM customer c JOIN (VALUES (<email:'a'>, 1), (<email:'b'>, 2)) v(mail, n) ON c.email = v.mail

-- constants through a WITH query
WITH v(mail) AS (SELECT 'a' UNION ALL SELECT 'b') SELECT c.customer_id FROM customer c JOIN v ON v.mail = c.company

-- constants through a WITH query that meet a column
WITH v(mail) AS (SELECT 'a' UNION ALL SELECT 'b') SELECT c.customer_id FROM customer c JOIN v ON v.mail = c.email
--> WITH v(mail) AS (SELECT <email:'a'> UNION ALL SELECT <email:'b'>) SELECT c.customer_id FROM customer c JOIN v ON v.mail = c.email

-- constants that meet two domains
SELECT 1 FROM customer c, (VALUES ('a')) v(x) WHERE c.email = v.x AND c.phone = v.x
--! 0A000 operator = can't bring together protected column public.customer.phone and protected column public.customer.email @ ['= v.x']

-- constants that meet a domain and an unprotected column
SELECT 1 FROM customer c, (VALUES ('a')) v(x) WHERE c.email = v.x AND c.company = v.x
--! 0A000 operator = can't bring together column public.customer.company and protected column public.customer.email @ ['= v.x']

-- arrays of tokens
SELECT 1 FROM customer GROUP BY company HAVING array_agg(email) = ARRAY['a', 'b']
--> SELECT 1 FROM customer GROUP BY company HAVING array_agg(email) = ARRAY[<email:'a'>, <email:'b'>]

-- unnest of a parameter
SELECT c.customer_id FROM customer c JOIN unnest($1::text[]) AS v(mail) ON v.mail = c.email
--$ $1=email[]

-- folded constants
SELECT 1 FROM customer WHERE email = lower('A@B') OR email = 'a' || '@b'
--> SELECT 1 FROM customer WHERE email = <email:'a@b'> OR email = <email:'a@b'>

-- trim is written by the grammar, and not folded
SELECT 1 FROM customer WHERE email = trim(' x ')
--! 0A000 operator = can't bring together protected column public.customer.email and the result of function btrim() @ ["= trim(' x ')"]

-- a function of a parameter
SELECT 1 FROM customer WHERE email = lower($1)
--! 0A000 operator = can't bring together protected column public.customer.email and the result of function lower() @ ['= lower($1)']

-- COLLATE "C" leaves equality alone
SELECT 1 FROM customer WHERE email = 'a' COLLATE "C"
--> SELECT 1 FROM customer WHERE email = <email:'a'> COLLATE "C"

-- another collation may not
SELECT 1 FROM customer WHERE email COLLATE "ci" = 'a'
--! 0A000 COLLATE "ci" on protected column public.customer.email is not supported @ ['COLLATE "ci" = \'a\'']

-- an operator of another schema
SELECT 1 FROM customer WHERE email OPERATOR(ext.=) 'a'
--! 0A000 operator ext.= on protected column public.customer.email is not supported @ ["OPERATOR(ext.=) 'a'"]

-- the operator of pg_catalog by its full name
SELECT 1 FROM customer WHERE email OPERATOR(pg_catalog.=) 'a'
--> SELECT 1 FROM customer WHERE email OPERATOR(pg_catalog.=) <email:'a'>

-- GROUP BY text with constants around one token
SELECT 'x' || email || ' (' || $1 || ')', concat('<', email, '>'), count(*) FROM customer GROUP BY 'x' || email || ' (' || $1 || ')', 2
--| email/text email/text -

-- DISTINCT text with constants around one token
SELECT DISTINCT 'born ' || birth_date FROM customer
--| birth/text

-- DISTINCT the text form of a protected date
SELECT DISTINCT birth_date::text, concat_ws('-', loyalty_no::text, 'x') FROM customer
--| birth/text loyalty/text

-- DISTINCT of a view's text around one token
SELECT DISTINCT m FROM (SELECT 'mailto:' || mail AS m FROM customer_contact) x
--| email/text

-- DISTINCT text around two tokens
SELECT DISTINCT first_name || ' ' || last_name FROM customer
--! 0A000 DISTINCT on protected column public.customer.first_name, public.customer.last_name is not supported @ ['DISTINCT first_name ']

-- DISTINCT text around one token and a column
SELECT DISTINCT company || email FROM customer
--! 0A000 DISTINCT on protected column public.customer.email is not supported @ ['DISTINCT company || ']

-- DISTINCT text around one token and a constant of a subquery with several rows
SELECT DISTINCT v.c || email FROM customer, (VALUES ('a'), ('b')) v(c)
--! 0A000 DISTINCT on protected column public.customer.email is not supported @ ['DISTINCT v.c || emai']

-- DISTINCT text that is either built or a constant
SELECT DISTINCT CASE WHEN customer_id = 1 THEN 'x' || email ELSE 'xb' END FROM customer
--! 0A000 DISTINCT on protected column public.customer.email is not supported @ ['DISTINCT CASE WHEN c']

-- UNION of built texts
SELECT 'x' || email FROM customer UNION SELECT 'xa' || email FROM customer
--! 0A000 UNION on protected column public.customer.email is not supported @ ["UNION SELECT 'xa' ||"]

-- DISTINCT text around a randomized token
SELECT DISTINCT 'x' || notes FROM customer
--! 0A000 DISTINCT on randomized column public.customer.notes is not supported @ ["DISTINCT 'x' || note"]

-- DISTINCT text around a case-folded token
SELECT DISTINCT 'x' || login FROM account
--! 0A000 DISTINCT on protected column public.account.login is not supported @ ["DISTINCT 'x' || logi"]

-- DISTINCT of an aggregate of text
SELECT DISTINCT string_agg(email, ',') FROM customer GROUP BY company
--! 0A000 DISTINCT on protected column public.customer.email is not supported @ ['DISTINCT string_agg(']
