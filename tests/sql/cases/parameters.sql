-- a parameter
SELECT email FROM customer WHERE email = $1
--| email:1043(64)
--$ $1=email

-- a parameter and a NULL test of it
SELECT email FROM customer WHERE $1 IS NULL OR email = $1
--| email:1043(64)
--$ $1=email

-- a cast NULL test of it
SELECT 1 FROM customer WHERE $1::date IS NULL OR birth_date = $1::date
--> SELECT 1 FROM customer WHERE $1::text IS NULL OR birth_date = $1::text
--$ $1=birth $1 shown 1082

-- one parameter stored and compared
UPDATE customer SET email = $1 WHERE email = $1
--$ $1=+email
--= writes public.customer.email

-- one parameter in two domains
SELECT 1 FROM customer WHERE email = $1 OR phone = $1
--> SELECT 1 FROM customer WHERE email = $1 OR phone = $2
--$ $1=email $1=phone

-- one parameter with a protected and an unprotected column
SELECT 1 FROM customer WHERE email = $1 OR company = $1
--> SELECT 1 FROM customer WHERE email = $1 OR company = $2
--$ $1=email $1

-- the unprotected column first
SELECT 1 FROM customer WHERE company = $1 OR email = $1 OR phone = $2
--> SELECT 1 FROM customer WHERE company = $1 OR email = $3 OR phone = $2
--$ $1 $2=phone $1=email

-- a declared text type
--: 25
SELECT 1 FROM customer WHERE email = $1
--$ $1=email

-- a declared varchar type
--: 1043
SELECT 1 FROM customer WHERE email = $1
--$ $1=email

-- a declared date
--: 1082
SELECT 1 FROM customer WHERE birth_date = $1
--$ $1=birth:25 $1 shown 1082

-- a declared integer of another width
--: 21
SELECT 1 FROM customer WHERE loyalty_no = $1
--$ $1=loyalty:25 $1 shown 21

-- a declared type that does not fit
--: 23
SELECT 1 FROM customer WHERE email = $1
--! 42883 parameter $1 is declared with a type that public.customer.email can't be compared with @ ['$1']

-- a declared timestamp for a date
--: 1114
SELECT 1 FROM customer WHERE birth_date = $1
--! 42883 parameter $1 is declared with a type that public.customer.birth_date can't be compared with @ ['$1']

-- a declared array
--: 1182
SELECT 1 FROM customer WHERE birth_date = ANY ($1)
--$ $1=birth[]:1009 $1 shown 1182

-- the type that is shown
SELECT 1 FROM customer WHERE birth_date = $1 AND loyalty_no = $2 AND email = $3
--$ $1=birth $2=loyalty $3=email $1 shown 1082 $2 shown 23

-- the array type that is shown
SELECT 1 FROM customer WHERE birth_date = ANY ($1) OR loyalty_no = ANY ($2)
--$ $1=birth[] $2=loyalty[] $1 shown 1182 $2 shown 1007

-- the cast of SQLAlchemy
SELECT customer.email FROM customer WHERE customer.email = $1::VARCHAR AND customer.company = $2::VARCHAR
--| email:1043(64)
--$ $1=email $2

-- the insert of SQLAlchemy
INSERT INTO customer (email, company, birth_date) SELECT p0::VARCHAR, p1::VARCHAR, p2::DATE FROM (VALUES ($1, $2, $3, 0)) AS imp_sen(p0, p1, p2, sen_counter) ORDER BY sen_counter RETURNING customer.customer_id
--> INSERT INTO customer (email, company, birth_date) SELECT p0::VARCHAR, p1::VARCHAR, p2::text FROM (VALUES ($1, $2, $3, 0)) AS imp_sen(p0, p1, p2, sen_counter) ORDER BY sen_counter RETURNING customer.customer_id
--$ $1=+email $2 $3=+birth
--= writes public.customer.birth_date public.customer.email

-- a parameter cast to an integer
SELECT 1 FROM customer WHERE loyalty_no = $1::integer
--> SELECT 1 FROM customer WHERE loyalty_no = $1::text
--$ $1=loyalty $1 shown 23

-- a length in a cast
SELECT 1 FROM customer WHERE email = $1::varchar(20)
--> SELECT 1 FROM customer WHERE email = $1::text
--$ $1=email $1 shown 1043

-- a parameter in the output
SELECT $1, email FROM customer
--| - email:1043(64)

-- a parameter carried into the output
SELECT COALESCE(email, $1) FROM customer
--| email
--$ $1=~email

-- LIMIT and OFFSET
SELECT email FROM customer WHERE email = $1 LIMIT $2 OFFSET $3
--| email:1043(64)
--$ $1=email $2 $3

-- a gap in the numbers
SELECT email FROM customer WHERE email = $3
--| email:1043(64)
--$ $1 $2 $3=email

-- a parameter compared with a constant as well: that becomes a token of the same domain
SELECT 1 FROM customer WHERE $1 = 'all' OR email = $1
--> SELECT 1 FROM customer WHERE $1 = <email:'all'> OR email = $1
--$ $1=email

-- the same in a list and in CASE
SELECT 1 FROM customer WHERE $1 IN ('all', '') OR CASE $1 WHEN 'any' THEN true ELSE email = $1 END
--> SELECT 1 FROM customer WHERE $1 IN (<email:'all'>, <email:''>) OR CASE $1 WHEN <email:'any'> THEN true ELSE email = $1 END
--$ $1=email

-- a parameter compared with another one, and that with a third
SELECT 1 FROM customer WHERE ($1, $2) = ($2, $3) AND email = $1
--$ $1=email $2=email $3=email

-- only whether it is NULL
SELECT 1 FROM customer WHERE $1 IS NULL OR email = $1
--$ $1=email

-- shown, too: a token would be
SELECT $1, email FROM customer WHERE email = $1
--! 0A000 parameter $1 is used with a protected column, and shown @ ['$1, email FROM custo']
