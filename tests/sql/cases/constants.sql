-- doubled quote
SELECT 1 FROM customer WHERE email = 'o''brien'
--> SELECT 1 FROM customer WHERE email = <email:'o'brien'>

-- escape string
SELECT 1 FROM customer WHERE email = E'a\'b\n\x41\101\u00e9'
--> SELECT 1 FROM customer WHERE email = <email:'a'b
--> AAé'>

-- dollar quotes
SELECT 1 FROM customer WHERE email = $$o'brien$$ OR email = $q$a$$b$q$
--> SELECT 1 FROM customer WHERE email = <email:'o'brien'> OR email = <email:'a$$b'>

-- unicode escapes
SELECT 1 FROM customer WHERE email = U&'d\0061t' OR email = U&'d!0061t' UESCAPE '!'
--> SELECT 1 FROM customer WHERE email = <email:'dat'> OR email = <email:'dat'>

-- continued on the next line
SELECT 1 FROM customer WHERE email = 'a'
  'b'
--> SELECT 1 FROM customer WHERE email = <email:'ab'>

-- continued behind a comment
SELECT 1 FROM customer WHERE email = 'a' -- first
  'b'
--> SELECT 1 FROM customer WHERE email = <email:'ab'>

-- comments between tokens
SELECT /* 'x' */ 1 FROM customer WHERE email /* = 'y' */ = /* nested /* */ */ 'a'--'z'
--> SELECT /* 'x' */ 1 FROM customer WHERE email /* = 'y' */ = /* nested /* */ */ <email:'a'>--'z'

-- non-ASCII text before a constant
SELECT 'é', "E Mail" AS "Übersicht" FROM "Odd Name" WHERE "E Mail" = 'ü'
--> SELECT 'é', "E Mail" AS "Übersicht" FROM "Odd Name" WHERE "E Mail" = <email:'ü'>
--| - email:1043(64)

-- no space around
SELECT 1 FROM customer WHERE email='a'AND loyalty_no=-5 OR(email)=('b')
--> SELECT 1 FROM customer WHERE email=<email:'a'>AND loyalty_no=<loyalty:'-5'> OR(email)=(<email:'b'>)

-- a bit string
SELECT 1 FROM customer WHERE email = B'01'
--! 0A000 operator = can't bring together protected column public.customer.email and a bit string @ ["= B'01'"]

-- a boolean
SELECT 1 FROM customer WHERE email = true
--! 0A000 operator = can't bring together protected column public.customer.email and a boolean @ ['= true']

-- a decimal
SELECT 1 FROM customer WHERE loyalty_no = 1.5
--! 0A000 a decimal or large number can't be brought together with protected column public.customer.loyalty_no @ ['1.5']

-- a large integer
SELECT 1 FROM customer WHERE loyalty_no = 99999999999
--! 0A000 a decimal or large number can't be brought together with protected column public.customer.loyalty_no @ ['99999999999']

-- a hexadecimal integer
SELECT 1 FROM customer WHERE loyalty_no = 0x1F
--> SELECT 1 FROM customer WHERE loyalty_no = <loyalty:'31'>

-- a sign apart
SELECT 1 FROM customer WHERE loyalty_no = - /* minus */ 5
--> SELECT 1 FROM customer WHERE loyalty_no = <loyalty:'-5'>

-- a sign before parentheses
SELECT 1 FROM customer WHERE loyalty_no = -(5)
--! 0A000 operator = can't bring together protected column public.customer.loyalty_no and a computed number @ ['= -(5)']

-- the name of a cast stays the name of the column
SELECT '1962-02-18'::date UNION ALL SELECT birth_date FROM customer
--> SELECT <~birth:'1962-02-18'>::text AS "date" UNION ALL SELECT birth_date FROM customer
--| birth:1082

-- likewise with CAST
SELECT CAST('1962-02-18' AS date) UNION ALL SELECT birth_date FROM customer
--> SELECT CAST(<~birth:'1962-02-18'> AS text) AS "date" UNION ALL SELECT birth_date FROM customer
--| birth:1082

-- likewise with a typed constant
SELECT date '1962-02-18' UNION ALL SELECT birth_date FROM customer
--> SELECT <~birth:'1962-02-18'> AS "date" UNION ALL SELECT birth_date FROM customer
--| birth:1082

-- a unicode identifier
SELECT U&"em\0061il" FROM customer WHERE U&"em\0061il" = 'a'
--> SELECT U&"em\0061il" FROM customer WHERE U&"em\0061il" = <email:'a'>
--| email:1043(64)

-- a syntax error
SELECT email FRO customer WHERE email = 'secret'
--! 42601 syntax error at or near "customer" @ ['customer WHERE email']

-- a syntax error at a constant
SELECT email FROM customer WHERE 'secret' 'x'
--! 42601 syntax error @ ["'x'"]

-- an unterminated string
SELECT email FROM customer WHERE email = 'secret
--! 42601 unterminated quoted string @ ["'secret"]

-- NULLIF of a constant shows it
SELECT NULLIF('x', email), concat(NULLIF('y', email), '!') FROM customer
--> SELECT NULLIF(<~email:'x'>, email), concat(NULLIF(<~email:'y'>, email), '!') FROM customer
--| email email/text

-- VALUES of an outer join are shown where nothing matches
SELECT v.c, c.customer_id FROM (VALUES ('a'), ('nobody')) v(c) LEFT JOIN customer c ON c.email = v.c
--> SELECT v.c, c.customer_id FROM (VALUES (<~email:'a'>), (<~email:'nobody'>)) v(c) LEFT JOIN customer c ON c.email = v.c
--| email -

-- VALUES that are only compared
SELECT c.customer_id FROM (VALUES ('a'), ('nobody')) v(c) LEFT JOIN customer c ON c.email = v.c
--> SELECT c.customer_id FROM (VALUES (<email:'a'>), (<email:'nobody'>)) v(c) LEFT JOIN customer c ON c.email = v.c

-- an array parameter that is shown element by element
SELECT u FROM unnest($1::text[]) u LEFT JOIN customer c ON c.email = u
--| email
--$ $1=~email[]

-- compared constants within JSON and a row
SELECT to_json(v.c), ROW(v.c) FROM (VALUES ('a')) v(c), customer c WHERE c.email = v.c
--> SELECT to_json(v.c), ROW(v.c) FROM (VALUES (<~email:'a'>)) v(c), customer c WHERE c.email = v.c
--| email/json email/record

-- a constant beside char(n), which would be padded
SELECT COALESCE(country, 'D') FROM customer
--! 0A000 a constant or parameter that may be shown beside protected column public.customer.country is not supported @ ["'D') FROM customer"]

-- a number of a wider type beside a column
SELECT COALESCE(loyalty_no, 3::bigint) FROM customer
--! 0A000 a constant or parameter that may be shown beside protected column public.customer.loyalty_no is not supported @ ['3::bigint) FROM cust']

-- a parameter of a wider type beside a column
--: 20
SELECT COALESCE(loyalty_no, $1) FROM customer
--! 0A000 a constant or parameter that may be shown beside protected column public.customer.loyalty_no is not supported @ ['$1) FROM customer']

-- a number of the same type beside a column
SELECT COALESCE(loyalty_no, 3), COALESCE(loyalty_no, '4'), COALESCE(loyalty_no, 5::int2) FROM customer
--> SELECT COALESCE(loyalty_no, <~loyalty:'3'>), COALESCE(loyalty_no, <~loyalty:'4'>), COALESCE(loyalty_no, <~loyalty:'5'>::text) FROM customer
--| loyalty:23 loyalty:23 loyalty:23

-- a constant that a subquery has made text, and a date
SELECT 1 FROM customer, (VALUES ('1962-02-18')) v(d) WHERE birth_date = v.d
--! 42883 operator = can't bring together protected column public.customer.birth_date and text @ ['= v.d']

-- a constant that a subquery expression has made text, and a date
SELECT 1 FROM customer WHERE birth_date IN (SELECT '1962-02-18')
--! 42883 IN (subquery) can't bring together protected column public.customer.birth_date and text @ ["IN (SELECT '1962-02-"]

-- a constant that a subquery has made text, stored as a date
INSERT INTO customer (birth_date) SELECT v.d FROM (VALUES ('1962-02-18')) v(d)
--! 42804 INSERT can't bring together protected column public.customer.birth_date and text @ ['customer (birth_date']

-- a constant of a subquery with a cast, within and behind it
SELECT 1 FROM customer, (VALUES (date '1962-02-18')) v(d), (SELECT '1970-01-01' AS d) w WHERE birth_date IN (v.d, w.d::date)
--> SELECT 1 FROM customer, (VALUES (<birth:'1962-02-18'>)) v(d), (SELECT <birth:'1970-01-01'> AS d) w WHERE birth_date IN (v.d, w.d::text)

-- NULLIF keeps the length of a char
SELECT NULLIF(country, 'DE'), NULLIF(first_name, 'F') FROM customer
--> SELECT NULLIF(country, <country:'DE'>), NULLIF(first_name, <first_name:'F'>) FROM customer
--| country:1042(6) first_name

-- VALUES of which one is cast
SELECT 1 FROM customer, (VALUES ('1962-02-18'), (NULL), (date '1970-01-01')) v(d) WHERE birth_date = v.d
--> SELECT 1 FROM customer, (VALUES (<birth:'1962-02-18'>), (NULL), (<birth:'1970-01-01'>)) v(d) WHERE birth_date = v.d

-- a constant beside char(n) that is stored or compared only
UPDATE customer SET country = COALESCE($1, country) WHERE COALESCE(country, 'D') = 'D'
--> UPDATE customer SET country = COALESCE($1, country) WHERE COALESCE(country, <~country:'D'>) = <country:'D'>
--$ $1=+country $1 shown 1042
--= writes public.customer.country

-- NULL beside char(n)
SELECT COALESCE(country, NULL), CASE WHEN customer_id = 1 THEN country ELSE NULL END FROM customer
--| country:1042 country:1042

-- a NULL that a subquery has made text, and char(n)
SELECT (SELECT NULL) UNION SELECT country FROM customer
--! 0A000 UNION can't bring together protected column public.customer.country and text @ ['UNION SELECT country']

-- NULL of a wider type beside a number
SELECT loyalty_no FROM customer UNION ALL SELECT NULL::bigint
--! 0A000 a constant or parameter that may be shown beside protected column public.customer.loyalty_no is not supported @ ['bigint']
