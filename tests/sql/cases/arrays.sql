-- a table of arrays
SELECT * FROM list
--| - tag/array email/array:1015(64) loyalty/array:1007 day/array:1182 secret/array -

-- a constant among the elements
SELECT id FROM list WHERE 'a' = ANY(tags)
--> SELECT id FROM list WHERE <tag:'a'> = ANY(tags)

-- a constant not among the elements
SELECT id FROM list WHERE 'a' <> ALL(tags)
--> SELECT id FROM list WHERE <tag:'a'> <> ALL(tags)

-- a parameter among the elements
SELECT id FROM list WHERE $1 = ANY(mails)
--$ $1=email

-- contains an array of constants and parameters
SELECT id FROM list WHERE tags @> ARRAY['a', $1]
--> SELECT id FROM list WHERE tags @> ARRAY[<tag:'a'>, $1]
--$ $1=tag

-- contains, is contained, overlaps, equals
SELECT id FROM list WHERE tags @> $1 AND $2 <@ tags AND tags && '{a,b}' AND tags = '{a}'
--> SELECT id FROM list WHERE tags @> $1 AND $2 <@ tags AND tags && <tag[]:'{a,b}'> AND tags = <tag[]:'{a}'>
--$ $1=tag[] $2=tag[]

-- declared array parameters
--: 1009 1015
SELECT id FROM list WHERE tags @> $1 AND mails = $2
--$ $1=tag[] $2=email[]

-- arrays of numbers
SELECT id FROM list WHERE numbers @> ARRAY[12, -5] OR 7 = ANY(numbers) OR numbers = '{0,7}'
--> SELECT id FROM list WHERE numbers @> ARRAY[<loyalty:'12'>, <loyalty:'-5'>] OR <loyalty:'7'> = ANY(numbers) OR numbers = <loyalty[]:'{0,7}'>

-- an array parameter of numbers
SELECT id FROM list WHERE numbers && $1
--$ $1=loyalty[] $1 shown 1007

-- a declared array parameter of numbers
--: 1007
SELECT id FROM list WHERE numbers && $1
--$ $1=loyalty[]:1009 $1 shown 1007

-- ARRAY of strings is an array of text
SELECT id FROM list WHERE numbers @> ARRAY['12']
--! 42883 operator @> can't bring together protected column public.list.numbers and text @ ["@> ARRAY['12']"]

-- ARRAY of strings with a cast
SELECT id FROM list WHERE numbers @> ARRAY['12']::int[]
--> SELECT id FROM list WHERE numbers @> ARRAY[<loyalty:'12'>]::text[]

-- an array of dates
SELECT id FROM list WHERE days @> '{1962-02-18}'::date[] AND '1970-01-01' = ANY(days)
--> SELECT id FROM list WHERE days @> <day[]:'{1962-02-18}'>::text[] AND <day:'1970-01-01'> = ANY(days)

-- a cast parameter of dates
SELECT id FROM list WHERE days && $1::date[]
--> SELECT id FROM list WHERE days && $1::text[]
--$ $1=day[] $1 shown 1182

-- a cast that cuts the elements
SELECT id FROM list WHERE mails = '{abcdef}'::varchar(3)[]
--> SELECT id FROM list WHERE mails = <email[]:'{abcdef}'>::varchar[]

-- elements, slices, sizes
SELECT tags[1], tags[1:2], numbers[1][2], array_length(tags, 1), cardinality(days), array_dims(mails) FROM list
--| tag tag/array loyalty:23 - - -

-- a computed subscript
SELECT tags[id] FROM list WHERE mails[id + 1] = 'a'
--> SELECT tags[id] FROM list WHERE mails[id + 1] = <email:'a'>
--| tag

-- unnest in the select list
SELECT id, unnest(tags), unnest(numbers) FROM list
--| - tag loyalty:23

-- unnest in FROM
SELECT u, n FROM list, unnest(tags) WITH ORDINALITY AS x(u, n) WHERE u = 'a'
--> SELECT u, n FROM list, unnest(tags) WITH ORDINALITY AS x(u, n) WHERE u = <tag:'a'>
--| tag -

-- unnest of two arrays
SELECT a, b FROM list, unnest(tags, days) AS x(a, b)
--| tag day:1082

-- IN with unnest
SELECT id FROM list WHERE 'a' IN (SELECT unnest(tags))
--> SELECT id FROM list WHERE <tag:'a'> IN (SELECT unnest(tags))

-- a join with elements
SELECT l.id, c.customer_id FROM list l JOIN customer c ON c.email = ANY(l.mails)

-- functions that make arrays
SELECT array_append(tags, 'x'), array_prepend('x', tags), array_cat(tags, '{y}'), array_remove(mails, 'a'), array_replace(tags, 'a', 'b') FROM list
--> SELECT array_append(tags, <~tag:'x'>), array_prepend(<~tag:'x'>, tags), array_cat(tags, <~tag[]:'{y}'>), array_remove(mails, <email:'a'>), array_replace(tags, <tag:'a'>, <~tag:'b'>) FROM list
--| tag/array tag/array tag/array email/array tag/array

-- functions that search arrays
SELECT array_position(tags, 'b'), array_positions(numbers, 12) FROM list
--> SELECT array_position(tags, <tag:'b'>), array_positions(numbers, <loyalty:'12'>) FROM list

-- concatenation of arrays
SELECT tags || '{x}', tags || 'x'::text, 'x'::text || tags, tags || ARRAY['y'], tags || tags FROM list
--> SELECT tags || <~tag[]:'{x}'>, tags || <~tag:'x'>::text, <~tag:'x'>::text || tags, tags || ARRAY[<~tag:'y'>], tags || tags FROM list
--| tag/array tag/array tag/array tag/array tag/array

-- concatenation with a number
SELECT numbers || 5, 6 || numbers FROM list
--> SELECT numbers || <~loyalty:'5'>::text, <~loyalty:'6'>::text || numbers FROM list
--| loyalty/array:1007 loyalty/array:1007

-- INSERT of arrays
INSERT INTO list (id, tags, mails, numbers, days) VALUES (5, '{a,"b c",NULL,""}', ARRAY['x', 'y'], ARRAY[1, 2], '{1962-02-18}')
--> INSERT INTO list (id, tags, mails, numbers, days) VALUES (5, <+tag[]:'{a,"b c",NULL,""}'>, ARRAY[<+email:'x'>, <+email:'y'>], ARRAY[<+loyalty:'1'>, <+loyalty:'2'>], <+day[]:'{1962-02-18}'>)
--= writes public.list.days public.list.mails public.list.numbers public.list.tags

-- INSERT of dimensions and bounds
INSERT INTO list (id, tags, numbers) VALUES (5, '[2:3]={a,b}', ARRAY[[1, 2], [3, 4]])
--> INSERT INTO list (id, tags, numbers) VALUES (5, <+tag[]:'[2:3]={a,b}'>, ARRAY[[<+loyalty:'1'>, <+loyalty:'2'>], [<+loyalty:'3'>, <+loyalty:'4'>]])
--= writes public.list.numbers public.list.tags

-- INSERT of parameters
INSERT INTO list (id, tags, mails) VALUES (5, $1, $2) RETURNING tags, mails
--| tag/array email/array:1015(64)
--$ $1=+tag[] $2=+email[]
--= writes public.list.mails public.list.tags

-- INSERT of an element
INSERT INTO list (id, tags[1]) VALUES (5, 'a')
--> INSERT INTO list (id, tags[1]) VALUES (5, <+tag:'a'>)
--= writes public.list.tags

-- UPDATE by functions of the column
UPDATE list SET tags = array_append(tags, 'x'), mails = mails || $1, numbers = array_remove(numbers, 12) WHERE id = 1
--> UPDATE list SET tags = array_append(tags, <+tag:'x'>), mails = mails || $1, numbers = array_remove(numbers, <loyalty:'12'>) WHERE id = 1
--$ $1=+email[]
--= writes public.list.mails public.list.numbers public.list.tags

-- UPDATE of elements and slices
UPDATE list SET tags[1] = 'x', numbers[1:2] = '{8,9}' WHERE id = 1
--> UPDATE list SET tags[1] = <+tag:'x'>, numbers[1:2] = <+loyalty[]:'{8,9}'> WHERE id = 1
--= writes public.list.numbers public.list.tags

-- UPDATE from an aggregate
UPDATE list SET mails = (SELECT array_agg(email) FROM customer) WHERE id = 1
--= writes public.list.mails

-- INSERT … SELECT of arrays
INSERT INTO list (id, tags) SELECT id + 10, tags FROM list
--= writes public.list.tags

-- an empty array
UPDATE list SET tags = '{}', mails = ARRAY[]::varchar[] WHERE tags = '{}'
--> UPDATE list SET tags = <+tag[]:'{}'>, mails = ARRAY[]::varchar[] WHERE tags = <tag[]:'{}'>
--= writes public.list.mails public.list.tags

-- text of arrays
SELECT tags::text, numbers::text, array_to_string(tags, ','), array_to_string(days, ',', '*') FROM list
--| tag/text.array loyalty/text.array tag/text day/text

-- JSON of arrays
SELECT to_json(tags), jsonb_build_object('t', tags, 'n', numbers), row_to_json(l) FROM list l
--| tag/json loyalty+tag/json day+email+loyalty+secret+tag/json

-- casts of arrays
SELECT tags::text[], numbers::int[], days::date[], mails::varchar[] FROM list
--> SELECT tags::text[], numbers::text[], days::text[], mails::varchar[] FROM list
--| tag/array loyalty/array:1007 day/array:1182 email/array

-- arrays of arrays
SELECT array_agg(tags), ARRAY[tags, tags] FROM list WHERE tags = '{a,b}'
--> SELECT array_agg(tags), ARRAY[tags, tags] FROM list WHERE tags = <tag[]:'{a,b}'>
--| tag/array tag/array

-- grouping by arrays
SELECT tags, count(*) FROM list GROUP BY tags
--| tag/array -

-- arrays that may be one of several
SELECT COALESCE(tags, '{none}'), CASE WHEN id = 1 THEN tags END FROM list
--> SELECT COALESCE(tags, <~tag[]:'{none}'>), CASE WHEN id = 1 THEN tags END FROM list
--| tag/array tag/array

-- UNION of arrays
SELECT tags FROM list UNION SELECT tags FROM list
--| tag/array

-- array_agg of elements
SELECT id, array_agg(u) FROM list, unnest(tags) u WHERE id < 2 GROUP BY id
--| - tag/array

-- equality on a randomized array
SELECT id FROM list WHERE secrets = '{a}'
--! 0A000 operator = on randomized column public.list.secrets is not supported @ ["= '{a}'"]

-- a randomized array is shown
SELECT secrets, secrets[1] FROM list
--| secret/array secret

-- an unprotected array
SELECT id FROM list WHERE tags = words
--! 0A000 operator = can't bring together an array of protected column public.list.tags and column public.list.words @ ['= words']

-- storing in an unprotected array
INSERT INTO list (words) SELECT tags FROM list
--! 0A000 INSERT would store protected column public.list.tags in unprotected column public.list.words @ ['list (words) SELECT ']

-- storing a computed array
INSERT INTO list (tags) VALUES (string_to_array('a,b', ','))
--! 0A000 INSERT would store the result of function string_to_array() in protected column public.list.tags @ ["string_to_array('a,b"]

-- storing another domain
UPDATE list SET tags = mails
--! 0A000 UPDATE can't bring together protected column public.list.mails and protected column public.list.tags @ ['tags = mails']

-- order of arrays
SELECT tags < '{a}' FROM list
--! 0A000 operator < on protected column public.list.tags is not supported @ ["< '{a}' FROM list"]

-- LIKE ANY of the elements
SELECT id FROM list WHERE 'a' LIKE ANY(tags)
--! 0A000 LIKE on protected column public.list.tags is not supported @ ['LIKE ANY(tags)']

-- concat of an array
SELECT concat(tags) FROM list
--! 0A000 function concat() of an array or row on protected column public.list.tags is not supported @ ['concat(tags) FROM li']
