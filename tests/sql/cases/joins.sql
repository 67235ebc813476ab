-- ON
SELECT c.email, e.title FROM customer c JOIN employee e ON c.email = e.email
--| email:1043(64) -

-- USING
SELECT email FROM customer JOIN employee USING (email)
--| email:1043(64)

-- USING with all columns
SELECT * FROM employee JOIN staging.contact USING (email)
--| email:1043(64) - last_name:1043(24) first_name:1043(44) - - - -

-- USING an alias
SELECT j.email FROM customer JOIN employee USING (email) AS j WHERE j.email = 'a'
--> SELECT j.email FROM customer JOIN employee USING (email) AS j WHERE j.email = <email:'a'>
--| email:1043(64)

-- FULL JOIN USING
SELECT email FROM customer FULL JOIN employee USING (email) WHERE email = 'a'
--> SELECT email FROM customer FULL JOIN employee USING (email) WHERE email = <email:'a'>
--| email:1043(64)

-- NATURAL
SELECT * FROM employee NATURAL JOIN (SELECT email, id FROM staging.contact) c
--| email:1043(64) - last_name:1043(24) first_name:1043(44) - - -

-- NATURAL over a column that is protected on one side only
SELECT * FROM archive.customer NATURAL JOIN staging.contact
--! 0A000 JOIN USING (email) can't bring together column archive.customer.email and protected column staging.contact.email @ ['JOIN staging.contact']

-- of different domains
SELECT 1 FROM customer c JOIN employee e ON c.first_name = e.last_name
--! 0A000 operator = can't bring together protected column public.customer.first_name and protected column public.employee.last_name @ ['= e.last_name']

-- of different types in one domain
SELECT 1 FROM customer c JOIN invoice i ON i.billing_email = c.email

-- with an unprotected column
SELECT 1 FROM customer c JOIN artist a ON a.name = c.email
--! 0A000 operator = can't bring together column public.artist.name and protected column public.customer.email @ ['= c.email']

-- of randomized columns
SELECT 1 FROM customer a JOIN customer b ON a.notes = b.notes
--! 0A000 operator = on randomized column public.customer.notes is not supported @ ['= b.notes']

-- a self join
SELECT a.email, b.email FROM customer a JOIN customer b ON a.last_name = b.last_name AND a.email <> b.email
--| email:1043(64) email:1043(64)

-- by order
SELECT 1 FROM customer a JOIN customer b ON a.email < b.email
--> SELECT 1 FROM customer a JOIN customer b ON rank<email ranks>(a.email) < rank<email ranks>(b.email)

-- LATERAL
SELECT c.email, i.* FROM customer c, LATERAL (SELECT billing_email, total FROM invoice i WHERE i.billing_email = c.email ORDER BY total LIMIT 1) i
--| email:1043(64) email -

-- a subquery that is not LATERAL
SELECT 1 FROM customer c, (SELECT c.email) x
--! 42P01 missing FROM-clause entry for table "c" @ ['c.email) x']

-- an unknown relation
SELECT email FROM customer, nowhere
--! 42P01 relation "nowhere" does not exist @ ['nowhere']

-- an unknown relation in a schema
SELECT email FROM customer, nowhere.at_all
--! 42P01 relation "nowhere.at_all" does not exist @ ['nowhere.at_all']

-- an unknown column
SELECT e_mail FROM customer
--! 42703 column "e_mail" does not exist @ ['e_mail FROM customer']

-- an unknown qualified column
SELECT c.e_mail FROM customer c
--! 42703 column c.e_mail does not exist @ ['c.e_mail FROM custom']

-- an unknown alias
SELECT d.email FROM customer c
--! 42P01 missing FROM-clause entry for table "d" @ ['d.email FROM custome']

-- an alias hides the table
SELECT customer.email FROM customer c
--! 42P01 missing FROM-clause entry for table "customer" @ ['customer.email FROM ']

-- an ambiguous column
SELECT email FROM customer, employee
--! 42702 column reference "email" is ambiguous @ ['email FROM customer,']

-- an alias twice
SELECT 1 FROM customer c, employee c
--! 42712 table name "c" specified more than once @ ['employee c']

-- the same name in another schema
SELECT email FROM archive.customer WHERE email = 'a'
--none

-- both schemas at once
SELECT a.email, c.email FROM archive.customer a JOIN public.customer c USING (customer_id) WHERE a.email = 'x' AND c.email = 'y'
--> SELECT a.email, c.email FROM archive.customer a JOIN public.customer c USING (customer_id) WHERE a.email = 'x' AND c.email = <email:'y'>
--| - email:1043(64)

-- system columns
SELECT ctid, tableoid, email FROM customer WHERE xmin IS NOT NULL
--| - - email:1043(64)

-- quoted names
SELECT "E Mail" FROM "Odd Name" WHERE "E Mail" = 'a'
--> SELECT "E Mail" FROM "Odd Name" WHERE "E Mail" = <email:'a'>
--| email:1043(64)

-- upper case is folded
SELECT EMAIL FROM Customer WHERE Email = 'a'
--> SELECT EMAIL FROM Customer WHERE Email = <email:'a'>
--| email:1043(64)

-- TABLESAMPLE
SELECT email FROM customer TABLESAMPLE SYSTEM (10) WHERE email = 'a'
--> SELECT email FROM customer TABLESAMPLE SYSTEM (10) WHERE email = <email:'a'>
--| email:1043(64)

-- functions in FROM
SELECT email, g FROM customer, generate_series(1, 3) AS g
--| email:1043(64) -

-- a user function without protected tables
SELECT email, add_tax(3) FROM customer
--| email:1043(64) -

-- a user function over a protected column
SELECT mask_it(email) FROM customer
--! 0A000 function mask_it() on protected column public.customer.email is not supported @ ['mask_it(email) FROM ']

-- a function that reads protected tables
SELECT * FROM customer_by_email('a')
--> SELECT * FROM customer_by_email(<email:'a'>)
--| - first_name:1043(44) last_name:1043(24) - phone:1043(28) email:1043(64) birth:1082 loyalty:23 notes country:1042(6) -

-- a scalar SQL function
SELECT mail_of(3), mail_of(customer_id) FROM invoice
--| email email

-- a SQL function that stores its argument
SELECT set_mail(3, 'a@b')
--> SELECT set_mail(3, <+email:'a@b'>)
--= writes public.customer.email

-- a SQL function with columns
SELECT n.first, n.id FROM names_of('a@b') n WHERE n.first = 'A'
--> SELECT n.first, n.id FROM names_of(<email:'a@b'>) n WHERE n.first = <first_name:'A'>
--| first_name:1043(44) -

-- a SQL function that inspects content
SELECT low_mail(3)
--! 0A000 function low_mail() reads protected tables, and what it returns isn't known @ ['low_mail(3)']

-- a SQL function with a plain constant in its body
SELECT stale()
--! 0A000 function stale() reads protected tables, and what it returns isn't known @ ['stale()']

-- one name for two tables
SELECT customer.email FROM archive.customer, public.customer WHERE customer.email = 'a'
--! 42P09 table reference "customer" is ambiguous

-- a function with a configured signature
SELECT customer_id, email FROM find_customer('a')
--> SELECT customer_id, email FROM find_customer(<+email:'a'>)
--| - email:1043(64)
--= writes public.customer.email

-- a function that returns rows of a protected table
SELECT * FROM all_customers()
--! 0A000 function all_customers() reads protected tables, and what it returns isn't known @ ['all_customers()']

-- a function in FROM whose columns are not known
SELECT c.email, x.foo FROM customer c, pg_some_function() x
--| email:1043(64) -

-- all columns of a function that is not known
SELECT * FROM customer, pg_some_function() x
--! 0A000 * over a function whose result columns aren't known is not supported @ ['* FROM customer, pg_']

-- a view
SELECT mail, full_name FROM customer_contact WHERE mail = 'a'
--> SELECT mail, full_name FROM customer_contact WHERE mail = <email:'a'>
--| email:1043(64) first_name+last_name/text

-- a view over a view
SELECT * FROM contact_of_contact JOIN employee e ON e.email = mail
--| email:1043(64) - last_name:1043(24) first_name:1043(44) - - email:1043(64)

-- a view without protected columns
SELECT * FROM album_title
--none

-- a view that sorts by a protected column
SELECT * FROM sorted_customer
--! 0A000 view "public.sorted_customer" can't be used: ORDER BY on protected column public.customer.email is not supported in the definition of a view @ ['sorted_customer']

-- a view with a plain constant
SELECT * FROM stale_view
--! 0A000 view "public.stale_view" can't be used: its definition compares column public.customer.email with a plain constant @ ['stale_view']

-- the computed column of a view
SELECT 1 FROM customer_contact WHERE full_name = 'a b'
--! 0A000 operator = on protected column public.customer.first_name, public.customer.last_name is not supported @ ["= 'a b'"]

-- a table whose protection is broken
SELECT id FROM torn
--! 55000 relation "public.torn" is not in the state its protection asks for @ ['torn']

-- a table of the system
SELECT c.email, r.relname FROM customer c, pg_class r WHERE r.relname = 'customer'
--| email:1043(64) -
