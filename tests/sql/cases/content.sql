-- LIKE
SELECT 1 FROM customer WHERE email LIKE 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~~ 'a%')>::text[]))

-- NOT ILIKE
SELECT 1 FROM customer WHERE email NOT ILIKE 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value !~~* 'a%')>::text[]))

-- a regular expression
SELECT 1 FROM customer WHERE email ~* '^a'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~* '^a')>::text[]))

-- SIMILAR TO
SELECT 1 FROM customer WHERE email SIMILAR TO 'a%'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (value ~ similar_to_escape('a%'))>::text[]))

-- less than
SELECT 1 FROM customer WHERE birth_date < '1970-01-01'
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches (value < '1970-01-01')>::text[]))

-- BETWEEN
SELECT 1 FROM customer WHERE birth_date BETWEEN '1960-01-01' AND '1970-01-01'
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches ((value >= '1960-01-01') and (value <= '1970-01-01'))>::text[]))

-- BETWEEN an unprotected column's bounds
SELECT email FROM customer WHERE customer_id BETWEEN 1 AND 5
--| email:1043(64)

-- lower of a column
SELECT 1 FROM customer WHERE lower(email) = 'a'
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (lower(value) = 'a')>::text[]))

-- lower of both sides
SELECT 1 FROM customer WHERE lower(email) = lower('A')
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (lower(value) = lower('A'))>::text[]))

-- length
SELECT 1 FROM customer WHERE length(email) > 3
--> SELECT 1 FROM customer WHERE (email = ANY(<email matches (length(value) > '3')>::text[]))

-- extract
SELECT 1 FROM customer WHERE extract(year FROM birth_date) = 1962
--> SELECT 1 FROM customer WHERE (birth_date = ANY(<birth matches (extract('year', value) = '1962')>::text[]))

-- date arithmetic
SELECT birth_date + 1 FROM customer
--> SELECT («0||(birth_date)::text||») AS "?column?" FROM customer
--| birth:1082[0=(value + '1')]

-- age
SELECT age(birth_date) FROM customer
--! 0A000 function age() on protected column public.customer.birth_date is not supported @ ['age(birth_date) FROM']

-- integer arithmetic
SELECT loyalty_no + 1 FROM customer
--> SELECT («0||(loyalty_no)::text||») AS "?column?" FROM customer
--| loyalty:23[0=(value + '1')]

-- substring
SELECT substring(email FROM 1 FOR 3) FROM customer
--> SELECT («0||(email)::text||») AS "substring" FROM customer
--| email[0=substring(value, '1', '3')]

-- trim
SELECT trim(email) FROM customer
--> SELECT («0||(email)::text||») AS "btrim" FROM customer
--| email[0=btrim(value)]

-- upper in the output
SELECT upper(first_name) FROM customer
--> SELECT («0||(first_name)::text||») AS "upper" FROM customer
--| first_name[0=upper(value)]

-- min
SELECT min(email) FROM customer
--> SELECT (<email ordered>::jsonb ->> (min(rank<email ranks>(email)))) AS "min" FROM customer
--| email

-- max
SELECT max(birth_date) FROM customer
--> SELECT (<birth ordered>::jsonb ->> (max(rank<birth ranks>(birth_date)))) AS "max" FROM customer
--| birth:1082

-- sum
SELECT sum(loyalty_no) FROM customer
--! 0A000 function sum() on protected column public.customer.loyalty_no is not supported @ ['sum(loyalty_no) FROM']

-- GREATEST
SELECT GREATEST(email, 'a') FROM customer
--> SELECT (<email ordered>::jsonb ->> (GREATEST(rank<email ranks>(email), rank<email ranks>(<~email:'a'>))))::varchar AS "greatest" FROM customer
--| email

-- quote_literal
SELECT quote_literal(email) FROM customer
--! 0A000 function quote_literal() on protected column public.customer.email is not supported @ ['quote_literal(email)']

-- pg_typeof tells the stored type
SELECT pg_typeof(birth_date) FROM customer
--! 0A000 function pg_typeof() on protected column public.customer.birth_date is not supported @ ['pg_typeof(birth_date']

-- md5
SELECT md5(email) FROM customer
--> SELECT («0||(email)::text||») AS "md5" FROM customer
--| email[0=md5(value)]

-- to_char
SELECT to_char(birth_date, 'YYYY') FROM customer
--> SELECT («0||(birth_date)::text||») AS "to_char" FROM customer
--| birth[0=to_char(value, 'YYYY')]

-- full text search
SELECT 1 FROM customer WHERE to_tsvector(email) @@ to_tsquery('a')
--! 0A000 function to_tsvector() on protected column public.customer.email is not supported @ ['to_tsvector(email) @']

-- an unknown function
SELECT my_function(email) FROM customer
--! 0A000 function my_function() on protected column public.customer.email is not supported @ ['my_function(email) F']

-- XMLELEMENT
SELECT xmlelement(name a, email) FROM customer
--! 0A000 an XML function on protected column public.customer.email is not supported @ ['xmlelement(name a, e']

-- json functions over a protected text
SELECT notes::jsonb ->> 'a' FROM customer
--! 0A000 cast to jsonb on protected column public.customer.notes is not supported @ ["::jsonb ->> 'a' FROM"]

-- functions over unprotected columns
SELECT upper(company), substring(company, 1, 2), email FROM customer WHERE company LIKE 'A%' AND length(company) > 2
--| - - email:1043(64)
