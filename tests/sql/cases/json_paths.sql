-- a table with documents
SELECT * FROM person
--| - email+secret+street+tag/json email/json -

-- equality of a string in a document
SELECT id FROM person WHERE profile->>'email' = 'a'
--> SELECT id FROM person WHERE profile->>'email' = <email:'a'>

-- a parameter beside a string in a document
SELECT id FROM person WHERE profile->>'email' = $1
--$ $1=email

-- IN and ANY of a string in a document
SELECT id FROM person WHERE profile->>'email' IN ('a', 'b') AND extra->>'email' = ANY($1)
--> SELECT id FROM person WHERE profile->>'email' IN (<email:'a'>, <email:'b'>) AND extra->>'email' = ANY($1)
--$ $1=email[]

-- strings, parts and unprotected parts
SELECT profile->>'email', profile->'address'->>'street', profile#>>'{address,street}', profile->'address', profile->>'address', profile->>'age' FROM person
--| email street street street/json street/json -

-- chains to a string
SELECT id FROM person WHERE profile->'address'->>'street' = $1 OR profile#>>'{contacts,0,email}' = 'b'
--> SELECT id FROM person WHERE profile->'address'->>'street' = $1 OR profile#>>'{contacts,0,email}' = <email:'b'>
--$ $1=street

-- an element by its place
SELECT profile->'tags'->>0, profile->'contacts'->0->>'email', profile->'contacts'->0 FROM person WHERE profile->'tags'->>1 = 'é'
--> SELECT profile->'tags'->>0, profile->'contacts'->0->>'email', profile->'contacts'->0 FROM person WHERE profile->'tags'->>1 = <tag:'é'>
--| tag email email/json

-- a key that isn't constant
SELECT profile->>$1, profile->$1 FROM person
--| email+secret+street+tag/json email+secret+street+tag/json

-- comparing at a key that isn't constant
SELECT id FROM person WHERE profile->>$1 = 'x'
--! 0A000 operator = on protected column public.person.profile.address.street, public.person.profile.contacts[*].email, public.person.profile.email, 2 more is not supported @ ["= 'x'"]

-- a column as a key
SELECT id FROM person WHERE profile->>plain::text = 'x'
--! 0A000 operator = on protected column public.person.profile.address.street, public.person.profile.contacts[*].email, public.person.profile.email, 2 more is not supported @ ["= 'x'"]

-- containment
SELECT id FROM person WHERE profile @> '{"email": "a", "n": 1.5}'
--> SELECT id FROM person WHERE profile @> <json(email+secret+street+tag):'{"email": "a", "n": 1.5}'>

-- containment in an array
SELECT id FROM person WHERE profile @> '{"contacts": [{"email": "b"}]}' AND '{"tags": ["a"]}' <@ profile
--> SELECT id FROM person WHERE profile @> <json(email+secret+street+tag):'{"contacts": [{"email": "b"}]}'> AND <json(email+secret+street+tag):'{"tags": ["a"]}'> <@ profile

-- containment of a parameter
SELECT id FROM person WHERE profile @> $1
--$ $1=json(email+secret+street+tag)

-- containment of a cast parameter
SELECT id FROM person WHERE profile @> $1::jsonb
--$ $1=json(email+secret+street+tag)

-- containment below a key
SELECT id FROM person WHERE profile->'address' @> '{"street": "s \"1\""}' AND profile->'tags' @> '"a"'
--> SELECT id FROM person WHERE profile->'address' @> <json(street):'{"street": "s \"1\""}'> AND profile->'tags' @> <json(tag):'"a"'>

-- keys are plain, elements are not
SELECT id FROM person WHERE profile ? 'email' AND profile ?| ARRAY['pin', 'x'] AND profile->'tags' ? 'a' AND profile->'tags' ?| ARRAY['a', $1]
--> SELECT id FROM person WHERE profile ? 'email' AND profile ?| ARRAY['pin', 'x'] AND profile->'tags' ? <tag:'a'> AND profile->'tags' ?| ARRAY[<tag:'a'>, $1]
--$ $1=tag

-- equality of documents
SELECT id FROM person WHERE extra = '{"email": "a@b"}' OR extra IS NOT DISTINCT FROM $1
--> SELECT id FROM person WHERE extra = <json(email):'{"email": "a@b"}'> OR extra IS NOT DISTINCT FROM $1
--$ $1=json(email)

-- equality of documents with a randomized path
SELECT id FROM person WHERE profile = '{}'
--! 0A000 operator = on randomized column public.person.profile.pin is not supported @ ["= '{}'"]

-- equality of a part
SELECT id FROM person WHERE profile->'email' = '"a"' AND profile->'contacts' = '[]'
--> SELECT id FROM person WHERE profile->'email' = <json(email):'"a"'> AND profile->'contacts' = <json(email):'[]'>

-- subscripts
SELECT profile['email'], profile['contacts'][0]['email'] FROM person WHERE profile['email'] = '"a"'
--> SELECT profile['email'], profile['contacts'][0]['email'] FROM person WHERE profile['email'] = <json(email):'"a"'>
--| email/json email/json

-- INSERT of documents
INSERT INTO person (id, profile, extra) VALUES (7, '{"email": "x", "contacts": [{"email": "y"}, {}], "n": 1.50}', $1), (8, NULL, '{}'), (9, '[]', DEFAULT)
--> INSERT INTO person (id, profile, extra) VALUES (7, <+json(email+secret+street+tag):'{"email": "x", "contacts": [{"email": "y"}, {}], "n": 1.50}'>, $1), (8, NULL, <+json(email):'{}'>), (9, <+json(email+secret+street+tag):'[]'>, DEFAULT)
--$ $1=+json(email)
--= writes public.person.extra.email public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- INSERT of a document with a quote and an escape
INSERT INTO person (id, profile) VALUES (7, '{"email": "it''s", "note": "it''s \" \u00e9", "address": {"street": "a\tb"}}') RETURNING profile
--> INSERT INTO person (id, profile) VALUES (7, <+json(email+secret+street+tag):'{"email": "it's", "note": "it's \" \u00e9", "address": {"street": "a\tb"}}'>) RETURNING profile
--| email+secret+street+tag/json
--= writes public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- INSERT of a typed document
INSERT INTO person (id, extra) VALUES (7, jsonb '{"email": "x"}'), (8, '{"email": "y"}'::jsonb), (9, E'{"email": "z\\n"}'::json)
--> INSERT INTO person (id, extra) VALUES (7, jsonb <+json(email):'{"email": "x"}'>), (8, <+json(email):'{"email": "y"}'>::jsonb), (9, <+json(email):'{"email": "z\n"}'>::json)
--= writes public.person.extra.email

-- UPDATE of a whole document
UPDATE person SET profile = $1 WHERE profile->>'email' = 'a'
--> UPDATE person SET profile = $1 WHERE profile->>'email' = <email:'a'>
--$ $1=+json(email+secret+street+tag)
--= writes public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- jsonb_set with a constant
UPDATE person SET profile = jsonb_set(profile, '{email}', '"x"')
--> UPDATE person SET profile = jsonb_set(profile, '{email}', <+json(email):'"x"'>)
--= writes public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- jsonb_set with a string
UPDATE person SET profile = jsonb_set(profile, '{address,street}', to_jsonb('x'::text)), extra = jsonb_set(extra, ARRAY['email'], to_jsonb($1::text), true)
--> UPDATE person SET profile = jsonb_set(profile, '{address,street}', to_jsonb(<+street:'x'>::text)), extra = jsonb_set(extra, ARRAY['email'], to_jsonb($1::text), true)
--$ $1=+email
--= writes public.person.extra.email public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- jsonb_set with a parameter
UPDATE person SET profile = jsonb_set(profile, '{address}', $1)
--$ $1=+json(street)
--= writes public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- jsonb_set of an element
UPDATE person SET profile = jsonb_set(profile, '{contacts,0,email}', '"x"') WHERE id = 1
--> UPDATE person SET profile = jsonb_set(profile, '{contacts,0,email}', <+json(email):'"x"'>) WHERE id = 1
--= writes public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- jsonb_set of an unprotected part
UPDATE person SET profile = jsonb_set(profile, '{age}', '31'), extra = jsonb_insert(extra, '{list}', '[1, "a"]')
--= writes public.person.extra.email public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- jsonb_set with a computed path
UPDATE person SET extra = jsonb_set(extra, $1, '"x"')
--! 0A000 function jsonb_set() with a path that isn't constant on protected column public.person.extra.email is not supported @ ['jsonb_set(extra, $1,']

-- jsonb_set with a value from another column
UPDATE person SET extra = jsonb_set(extra, '{email}', plain->'email')
--! 0A000 function jsonb_set() can't bring together jsonb column public.person.extra and the result of operator -> @ ["jsonb_set(extra, '{e"]

-- jsonb_set with the value of the same domain
UPDATE person SET extra = jsonb_set(extra, '{email}', profile->'email') WHERE profile ? 'email'
--= writes public.person.extra.email

-- joining documents
UPDATE person SET extra = extra || '{"email": "z", "k": 1}', profile = profile || $1
--> UPDATE person SET extra = extra || <+json(email):'{"email": "z", "k": 1}'>, profile = profile || $1
--$ $1=+json(email+secret+street+tag)
--= writes public.person.extra.email public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- removing keys
UPDATE person SET profile = profile - 'email' #- '{address,street}', extra = extra - ARRAY['email', 'x']
--= writes public.person.extra.email public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- removing elements
SELECT (profile->'tags') - 'a', (profile->'tags') - 0 FROM person WHERE id < 3
--> SELECT (profile->'tags') - <tag:'a'>, (profile->'tags') - 0 FROM person WHERE id < 3
--| tag/json tag/json

-- assignment to a subscript
UPDATE person SET profile['email'] = '"x"', extra['n'] = '5'
--> UPDATE person SET profile['email'] = <+json(email):'"x"'>, extra['n'] = '5'
--= writes public.person.extra.email public.person.profile.address.street public.person.profile.contacts[*].email public.person.profile.email public.person.profile.pin public.person.profile.tags[*]

-- elements of an array in FROM
SELECT id, e->>'email', e->>'k' FROM person, jsonb_array_elements(profile->'contacts') e WHERE e->>'email' = 'b'
--> SELECT id, e->>'email', e->>'k' FROM person, jsonb_array_elements(profile->'contacts') e WHERE e->>'email' = <email:'b'>
--| - email -

-- elements of an array as text
SELECT id, t FROM person, jsonb_array_elements_text(profile->'tags') AS x(t) WHERE t = 'a'
--> SELECT id, t FROM person, jsonb_array_elements_text(profile->'tags') AS x(t) WHERE t = <tag:'a'>
--| - tag

-- pairs of a document
SELECT id, key, value FROM person, jsonb_each(extra)
--| - - email/json

-- pairs of a document as text
SELECT id, key, value FROM person, jsonb_each_text(extra)
--| - - email/json

-- functions that tell the shape
SELECT jsonb_array_length(profile->'tags'), jsonb_typeof(profile->'email'), jsonb_object_keys(extra) FROM person

-- functions that give documents
SELECT jsonb_extract_path_text(profile, 'address', 'street'), jsonb_extract_path(profile, 'address'), jsonb_strip_nulls(extra), jsonb_pretty(extra) FROM person
--| street street/json email/json email/json

-- documents in JSON
SELECT to_jsonb(p), row_to_json(p), jsonb_build_object('p', extra, 'e', profile->>'email'), (SELECT jsonb_agg(x.extra) FROM person x) FROM person p
--| email+secret+street+tag/json email+secret+street+tag/json email/json email/json

-- documents in arrays and records
SELECT array_agg(extra), ROW(id, extra) FROM person GROUP BY id, extra
--| email/array.json email/record.json

-- text of documents
SELECT profile::text, 'x' || (profile->>'email'), 'x' || extra::text, concat(extra->>'email', '!') FROM person
--| email+secret+street+tag/json email/text email/text.json email/text

-- text around a part that may be a string
SELECT 'x' || (profile->>$1) FROM person
--! 0A000 text around a part of a jsonb value on protected column public.person.profile.address.street, public.person.profile.contacts[*].email, public.person.profile.email, 2 more is not supported @ ['profile->>$1) FROM p']

-- a default for a document
SELECT coalesce(extra, '{"email": "none"}'), coalesce(extra->>'email', 'none') FROM person
--> SELECT coalesce(extra, <~json(email):'{"email": "none"}'>), coalesce(extra->>'email', <~email:'none'>) FROM person
--| email/json email

-- one of two documents
SELECT CASE WHEN id = 1 THEN extra ELSE '{}' END FROM person
--> SELECT CASE WHEN id = 1 THEN extra ELSE <~json(email):'{}'> END FROM person
--| email/json

-- documents of different paths
SELECT coalesce(extra, profile) FROM person
--| email+secret+street+tag/json

-- joining strings with columns
SELECT p.id, c.customer_id FROM person p JOIN customer c ON c.email = p.profile->>'email'

-- grouping by a string
SELECT profile->>'email', count(*) FROM person GROUP BY profile->>'email'
--| email -

-- grouping by documents
SELECT extra, count(*) FROM person GROUP BY extra
--| email/json -

-- LIKE on a string
SELECT id FROM person WHERE profile->>'email' LIKE 'a%'
--> SELECT id FROM person WHERE (profile->>'email' = ANY(<email matches (value ~~ 'a%')>::text[]))

-- a built document
UPDATE person SET profile = jsonb_build_object('email', 'x')
--! 0A000 UPDATE would store JSON built by jsonb_build_object() in jsonb column public.person.profile, which has protected paths @ ['profile = jsonb_buil']

-- a document of other paths
UPDATE person SET profile = extra
--! 0A000 UPDATE can't bring together jsonb column public.person.extra and jsonb column public.person.profile @ ['profile = extra']

-- a document into an unprotected column
UPDATE person SET plain = profile
--! 0A000 UPDATE would store protected column public.person.profile.address.street, public.person.profile.contacts[*].email, public.person.profile.email, public.person.profile.pin, public.person.profile.tags[*] in unprotected column public.person.plain @ ['plain = profile']

-- an unprotected document
UPDATE person SET extra = plain
--! 0A000 UPDATE would store column public.person.plain in jsonb column public.person.extra, which has protected paths @ ['extra = plain']

-- a string into a column of its domain
UPDATE customer SET email = (SELECT profile->>'email' FROM person WHERE id = 1)
--! 0A000 UPDATE would store column public.person.profile.email in column public.customer.email, whose type differs @ ['email = (SELECT prof']

-- a jsonpath
SELECT jsonb_path_query(profile, '$.email') FROM person
--! 0A000 function jsonb_path_query() on protected column public.person.profile.address.street, public.person.profile.contacts[*].email, public.person.profile.email, 2 more is not supported @ ['jsonb_path_query(pro']

-- a jsonpath predicate
SELECT id FROM person WHERE profile @? '$.email ? (@ == "a")'
--! 0A000 operator @? on protected column public.person.profile.address.street, public.person.profile.contacts[*].email, public.person.profile.email, 2 more is not supported @ ["@? '$.email ? (@ == "]

-- a record from a document
SELECT * FROM person, jsonb_to_record(profile) AS x(email text)
--! 0A000 function jsonb_to_record() on protected column public.person.profile.address.street, public.person.profile.contacts[*].email, public.person.profile.email, 2 more is not supported @ ['jsonb_to_record(prof']

-- order of documents
SELECT id FROM person WHERE extra > '{}'
--! 0A000 operator > on protected column public.person.extra.email is not supported @ ["> '{}'"]
