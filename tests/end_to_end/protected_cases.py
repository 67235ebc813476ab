"""Message sequences on a protected table: the client must not notice.

``person (id int primary key, email text unique, name varchar(20), born date, score int, note text)``: email, name and
born are protected. Rows 1 to 4; in row 3 name is empty and born is NULL, in row 4 email and name are NULL. ``many``
(id int, email text) has 300 rows with 7 distinct protected e-mails.
"""

from __future__ import annotations

import struct

from support.rawwire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    parse,
    query,
)
from support.wire_script import ZZ, ZZZ, Case, Wait, Z, case

TABLES = """
CREATE TABLE person (id int PRIMARY KEY, email text UNIQUE, name varchar(20), born date, score int, note text);
INSERT INTO person VALUES
  (1, 'ada@example.org', 'Ada Lovelace', '1815-12-10', 10, 'first'),
  (2, 'grace@example.org', 'Grace "Amazing"', '1906-12-09', 20, 'pn1 is not a token'),
  (3, 'zoë@example.org', '', NULL, NULL, NULL),
  (4, NULL, NULL, '2000-02-29', 40, '');
CREATE TABLE many (id int PRIMARY KEY, email text);
CREATE TABLE typed (id int PRIMARY KEY, n numeric(8,2), i int, b bigint, ts timestamp, tz timestamptz, d date, u uuid,
  doc jsonb, mail text, login varchar(20));
INSERT INTO typed VALUES
  (1, 1.50, 7, -9000000000, '2001-02-03 04:05:06.7', '2001-02-03 04:05:06+00', '2001-02-03',
   '00000000-0000-4000-8000-000000000001', '{"b": [1.50, "x\\"y"], "a": null}', 'a"b@example.org', 'a'),
  (2, 'NaN', -1, 0, 'infinity', '1900-01-01 00:00:00-05', '0044-03-15 BC', NULL, '"text"', E'tab\there', 'A'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL);
INSERT INTO many SELECT i, 'm' || i % 7 || '@example.org' FROM generate_series(1, 300) i;
"""

PROTECTED = {
    "public.person": {
        "subject": "id",
        "columns": {"email": {"domain": "email"}, "name": {}, "born": {}},
    },
    "public.typed": {
        "columns": {
            "n": {},
            "i": {},
            "b": {},
            "ts": {},
            "tz": {},
            "d": {},
            "u": {},
            "doc": {},
            "mail": {},
            "login": {},
        }
    },
    "public.many": {"columns": {"email": {"domain": "email"}}},
}

ALL_COLUMNS = "SELECT * FROM person ORDER BY id"
BY_MAIL = "SELECT id, name, born FROM person WHERE email = $1"
ADD = "INSERT INTO person (id, email, name, born) VALUES ($1, $2, $3, $4)"
DATE = struct.pack("!i", -36526)  # 1900-01-01 in days since 2000
PGCOPY = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)


def extended(sql: str, *values: bytes | None, results: tuple[int, ...] = ()) -> bytes:
    return parse(sql) + bind(values, results=results) + describe("P") + execute()


def undone(*messages: bytes) -> tuple[bytes | Wait, ...]:
    """Each of ``messages`` ends with one ReadyForQuery; all in a transaction that is rolled back."""
    steps: list[bytes | Wait] = [query("BEGIN"), Z]
    for one in messages:
        steps += [one, Z]
    return *steps, query("ROLLBACK"), Z


READ = [
    case("select everything", query(ALL_COLUMNS), Z),
    case("a literal", query("SELECT id, born FROM person WHERE email = 'ada@example.org'"), Z),
    case("IN, NOT IN, ANY", query("SELECT id FROM person WHERE email IN ('ada@example.org', 'x', '')"), Z,
         query("SELECT id FROM person WHERE email NOT IN ('ada@example.org', 'x') ORDER BY id"), Z,
         query("SELECT id FROM person WHERE email = ANY('{ada@example.org,\"zoë@example.org\"}') ORDER BY id"), Z),
    case("odd literals", query("SELECT id FROM person WHERE email = E'ada\\x40example.org'"), Z,
         query("SELECT id FROM person WHERE email = U&'ada\\0040example.org'"), Z,
         query("SELECT id FROM person WHERE email = $q$ada@example.org$q$ OR name = 'Grace \"Amazing\"'"), Z,
         query("SELECT id FROM person WHERE email = 'ada@'\n'example.org' -- and no more"), Z,
         query("SELECT id /* ' */ FROM \"public\" . \"person\" WHERE \"email\"='ada@example.org'"), Z),
    case("dates in other styles", query("SET DateStyle = 'SQL, DMY'"), Z,
         query("SELECT born FROM person WHERE born = '1815-12-10'"), Z, query(ALL_COLUMNS), Z,
         query("RESET DateStyle"), Z),
    case("several statements", query("SELECT email FROM person WHERE id = 1; SELECT 2; SELECT name FROM person"
         " WHERE email = 'grace@example.org'"), Z),
    case("an error between statements", query("SELECT email FROM person WHERE id = 1; SELECT 1/0; SELECT 2"), Z),
    case("set operations, grouping, joins", query("SELECT email FROM person WHERE id < 3 EXCEPT SELECT email FROM many"
         " EXCEPT SELECT 'ada@example.org'"), Z,
         query("SELECT count(DISTINCT email), count(email), count(*) FROM many"), Z,
         query("SELECT min(id), email FROM many GROUP BY email ORDER BY 1"), Z,
         query("SELECT a.id, b.id, a.email FROM many a JOIN many b USING (email) WHERE a.id = 1 AND b.id < 20"
               " ORDER BY 2"), Z),
    case("values in JSON, arrays, records and text", query("SELECT row_to_json(p) FROM person p ORDER BY id"), Z,
         query("SELECT array_agg(name ORDER BY id), json_agg(email ORDER BY id) FROM person"), Z,
         query("SELECT p FROM person p ORDER BY id"), Z,
         query("SELECT concat(name, ' <', email, '>'), 'Dear ' || name, COALESCE(name, 'nobody') FROM person ORDER BY id"),
         Z),
    case("JSON of typed values", query("SELECT row_to_json(t) FROM typed t ORDER BY id"), Z,
         query("SELECT json_build_object(i, n, d, ts, mail, doc), to_jsonb(t) FROM typed t WHERE id < 3 ORDER BY id"), Z,
         query("SELECT to_json(n), to_json(i), to_json(b), to_json(ts), to_json(d), to_json(u), to_json(doc) FROM typed"
               " ORDER BY id"), Z,
         query("SELECT jsonb_agg(t ORDER BY id), json_agg(n ORDER BY id)::text FROM typed t"), Z,
         query("SET TimeZone = 'America/New_York'"), Z,
         query("SELECT to_json(tz), to_jsonb(ts), json_build_object('k', tz) FROM typed ORDER BY id"), Z,
         query("RESET TimeZone; SET DateStyle = 'German'"), Z,
         query("SELECT to_json(d), to_json(ts), json_build_object('d', d) FROM typed ORDER BY id"), Z,
         query("RESET DateStyle"), Z,
         query("SELECT to_json(array_agg(i ORDER BY id)), json_object_agg(id, n) FROM typed"), Z),
    case("text around values in JSON, arrays and records",
         query("SELECT json_build_object('t', login || ' <' || mail || '>', 'm', mail) FROM typed ORDER BY id"), Z,
         query("SELECT ARRAY[login || '\"' || mail], ROW(mail, mail || ', ' || login) FROM typed ORDER BY id"), Z,
         query("SELECT json_build_object('t', i::text, 'd', d::text, 'u', u::text, 'n', n::text) FROM typed ORDER BY id"), Z,
         query("SELECT 'say \"' || to_json(mail)::text || '\"', json_build_object('j', to_json(mail)::text) FROM typed"
               " ORDER BY id"), Z),
    case("text that looks like a token stays", query("SELECT 'pn1abc' || repeat('a', 24) AS t, note FROM person"
         " ORDER BY id"), Z),
    case("a wide result", query("SELECT id, email FROM many ORDER BY id"), Z, split=False),
    case("explain", query("EXPLAIN (COSTS OFF) SELECT id FROM person"), Z),
    case("an unknown column", query("SELECT nope FROM person WHERE email = 'ada@example.org'"), Z, own_errors=True),
    case("a syntax error behind a literal", query("SELECT id FROM person WHERE email = 'ada@example.org' ORDER id"), Z,
         own_errors=True),
    case("the caret behind a rewritten literal",
         query("SELECT id, nope FROM person WHERE email = 'a@example.org' AND nope = 1"), Z,
         query("SELECT id FROM person WHERE email = 'a@example.org' AND nope = 1"), Z, own_errors=True),
]  # fmt: skip

EXTENDED = [
    case("a text parameter", extended(BY_MAIL, b"ada@example.org") + SYNC, Z),
    case("a parameter that matches nothing, NULL, empty", extended(BY_MAIL, b"x") + extended(BY_MAIL, None)
         + extended(BY_MAIL, b"") + SYNC, Z),
    case("describe shows the original types", parse(ADD, "a") + describe("S", "a") + SYNC, Z,
         parse("SELECT * FROM person WHERE born = $1 AND name = $2", "b") + describe("S", "b") + SYNC, Z),
    case("types named by the client", parse("SELECT * FROM person WHERE email = $1 AND born = $2", "c", [25, 1082])
         + describe("S", "c") + SYNC, Z, parse("SELECT id FROM person WHERE name = $1", "d", [1043]) + describe("S", "d")
         + SYNC, Z),
    case("binary parameters and results", parse("SELECT email, name, born FROM person WHERE born = $1", "e")
         + bind([struct.pack("!i", -34011)], statement="e", formats=[1], results=[1]) + describe("P") + execute()
         + bind([b"1906-12-09"], statement="e", results=[0, 1, 0]) + describe("P") + execute() + SYNC, Z),
    case("all rows in binary", parse(ALL_COLUMNS) + bind(results=[1]) + describe("P") + execute() + SYNC, Z),
    case("arrays as parameters", parse("SELECT id FROM person WHERE email = ANY($1) ORDER BY id") + describe("S")
         + bind([b'{ada@example.org,"grace@example.org",NULL}']) + execute() + SYNC, Z),
    case("one parameter in two roles",
         parse("SELECT id FROM person WHERE ($1::text IS NULL OR email = $1) ORDER BY id", "r") + describe("S", "r")
         + bind([None], statement="r") + execute() + bind([b"ada@example.org"], statement="r") + execute() + SYNC, Z),
    case("a statement bound several times", parse(BY_MAIL, "s") + bind([b"ada@example.org"], statement="s") + execute()
         + bind([b"grace@example.org"], statement="s", results=[1]) + execute() + SYNC, Z),
    case("the unnamed statement parsed again", parse(BY_MAIL) + parse("SELECT score FROM person WHERE name = $1")
         + bind([b"Ada Lovelace"]) + describe("P") + execute() + SYNC, Z),
    case("binds find their own parse", parse(BY_MAIL, "x") + parse("SELECT $1::text", "y")
         + bind([b"ada@example.org"], statement="y") + execute() + bind([b"ada@example.org"], statement="x")
         + execute() + SYNC, Z),
    case("a pipeline", extended(BY_MAIL, b"ada@example.org") + SYNC + extended("SELECT 1/0") + extended(BY_MAIL, b"x")
         + SYNC + extended(ALL_COLUMNS) + SYNC, ZZZ),
    case("a simple query behind extended ones", extended(BY_MAIL, b"ada@example.org") + SYNC + query(ALL_COLUMNS), ZZ),
    case("flush", parse(BY_MAIL) + FLUSH, Wait(b"1"), bind([b"ada@example.org"]) + FLUSH, Wait(b"2"),
         describe("P") + FLUSH, Wait(b"T"), execute() + FLUSH, Wait(b"C"), SYNC, Z),
    case("an error flows before sync", parse("SELECT nope FROM person WHERE email = $1") + FLUSH, Wait(b"E"),
         bind([b"x"]) + execute() + SYNC, Z, own_errors=True),
    case("max_rows", query("BEGIN"), Z, parse("SELECT id, email FROM many ORDER BY id") + bind(portal="p")
         + describe("P", "p") + execute("p", 3) + FLUSH, Wait(b"s"), execute("p", 2) + execute("p", 1) + SYNC, Z,
         execute("p", 300) + close("P", "p") + SYNC, Z, query("COMMIT"), Z),
    case("cursors", query("BEGIN; DECLARE k CURSOR FOR SELECT id, email FROM many ORDER BY id; FETCH 2 FROM k"), Z,
         query("MOVE 5 IN k; FETCH k"), Z, describe("P", "k") + execute("k", 2) + SYNC, Z, query("CLOSE k; COMMIT"), Z),
    case("PREPARE and EXECUTE", query("PREPARE q (text, int) AS SELECT id, name FROM person WHERE email = $1 AND id < $2"),
         Z, query("EXECUTE q ('ada@example.org', 5)"), Z, query("EXECUTE q (NULL, 5)"), Z, query("DEALLOCATE q"), Z,
         query("EXECUTE q ('x', 1)"), Z),
    case("an SQL statement by protocol", query("PREPARE w AS SELECT email, born FROM person WHERE id = 1"), Z,
         describe("S", "w") + bind(statement="w", results=[1]) + execute() + SYNC, Z),
    case("too few parameters", parse(BY_MAIL) + bind() + SYNC, Z, own_errors=True),
    case("too many parameters", parse(BY_MAIL) + bind([b"ada@example.org", b"x"]) + execute() + SYNC, Z, own_errors=True),
    case("an undecodable binary date", parse("SELECT id FROM person WHERE born = $1") + bind([b"12345678"], formats=[1])
         + execute() + SYNC, Z, own_errors=True),
]  # fmt: skip

WRITE = [
    case("insert, update, delete", *undone(
        query("INSERT INTO person VALUES (10, 'new@example.org', 'New', '1999-09-09', 1, 'n'), (11, '', NULL, NULL, 2,"
              " DEFAULT) RETURNING *"),
        query("UPDATE person SET (email, name) = ('up@example.org', 'Up') WHERE email = 'new@example.org' RETURNING *"),
        query("UPDATE person p SET name = 'From' FROM many m WHERE m.id = 1 AND p.id = 11 RETURNING p.*, m.email"),
        query("WITH gone AS (DELETE FROM person WHERE name = 'Up' RETURNING *) SELECT * FROM gone"),
        query(ALL_COLUMNS))),
    case("upsert", *undone(
        query("INSERT INTO person (id, email, name) VALUES (20, 'ada@example.org', 'Other') ON CONFLICT (email)"
              " DO UPDATE SET name = EXCLUDED.name, score = 0 RETURNING id, email, name, score"),
        query("INSERT INTO person (id, email) VALUES (1, 'q') ON CONFLICT DO NOTHING RETURNING id"),
        query(ALL_COLUMNS))),
    case("insert by parameters", *undone(
        parse(ADD + " RETURNING email, name, born") + describe("S") + bind([b"30", b"p@example.org", None, b"1900-01-01"])
        + describe("P") + execute() + SYNC,
        parse(ADD) + bind([b"31", "é".encode(), b"", DATE], formats=[0, 1, 1, 1]) + execute() + SYNC,
        query("SELECT * FROM person WHERE born = '1900-01-01' ORDER BY id"))),
    case("insert select", *undone(
        query("INSERT INTO person (id, email, name) SELECT id + 100, NULL, 'Same' FROM many WHERE email ="
              " 'm1@example.org' AND id < 10"),
        query("INSERT INTO many SELECT id + 1000, email FROM person WHERE email IS NOT NULL RETURNING email"))),
    case("a violated unique constraint", query("INSERT INTO person (id, email) VALUES (40, 'ada@example.org')"), Z),
    case("a violated unique constraint by parameters", extended(ADD, b"41", b"ada@example.org", None, None) + SYNC, Z),
    case("a violated primary key", query("INSERT INTO person (id, email) VALUES (1, 'unique@example.org')"), Z),
    case("too long a value", query("INSERT INTO person (id, name) VALUES (50, 'more than twenty characters')"), Z,
         own_errors=True),
    case("too long a parameter", extended(ADD, b"51", None, b"more than twenty characters", None) + SYNC, Z,
         own_errors=True),
    case("trailing blanks are cut to fit", *undone(
        query("INSERT INTO person (id, name) VALUES (52, 'twenty characters ok      ') RETURNING name, length(note)"))),
    case("a cast that truncates", *undone(
        query("INSERT INTO person (id, name) VALUES (53, 'abcdef'::varchar(3)) RETURNING name"))),
    case("not a date", query("INSERT INTO person (id, born) VALUES (54, 'tomorrowish')"), Z, own_errors=True),
    case("no such day", extended(ADD, b"55", None, None, b"2023-02-30") + SYNC, Z, own_errors=True),
    case("a failed transaction", query("BEGIN"), Z, query("INSERT INTO person (id, email) VALUES (1, 'x@example.org')"), Z,
         query("SELECT email FROM person"), Z, query("ROLLBACK"), Z, query("SELECT email FROM person WHERE id = 1"), Z),
    case("a savepoint", *undone(query("SAVEPOINT s"), query("INSERT INTO person (id, email) VALUES (1, 'x')"),
         query("ROLLBACK TO s"), query("SELECT email FROM person WHERE id = 1"))),
]  # fmt: skip

COPY = [
    case("copy out", query("COPY (SELECT * FROM person ORDER BY id) TO STDOUT"), Z,
         query("COPY (SELECT * FROM person ORDER BY id) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (name))"), Z,
         query("COPY (SELECT * FROM person ORDER BY id) TO STDOUT (FORMAT binary)"), Z,
         query("COPY (SELECT email, born FROM person ORDER BY id) TO STDOUT (DELIMITER '|', NULL 'none')"), Z),
    case("copy in", query("BEGIN; COPY person (id, email, name, born) FROM STDIN"), Wait(b"G"),
         copy_data(b"60\tcopy@exam") + copy_data(b"ple.org\tTab\\tName\t1950-05-05\n61\t\\N\t\t\\N\n") + COPY_DONE, Z,
         query(ALL_COLUMNS), Z, query("ROLLBACK"), Z),
    case("copy in csv", query("BEGIN; COPY person (id, email, name) FROM STDIN (FORMAT csv, HEADER)"), Wait(b"G"),
         copy_data(b'id,email,name\n62,"a,b@example.org","Quo""ted"\n63,,""\n64,x@example.org,"two\nlines"') + COPY_DONE,
         Z, query(ALL_COLUMNS), Z, query("ROLLBACK"), Z),
    case("copy in binary", query("BEGIN; COPY person (id, email, born) FROM STDIN (FORMAT binary)"), Wait(b"G"),
         copy_data(PGCOPY + struct.pack("!hiii", 3, 4, 65, 5) + b"b@x.y" + struct.pack("!i", 4) + DATE
         + struct.pack("!hiiii", 3, 4, 66, -1, -1) + struct.pack("!h", -1)) + COPY_DONE, Z, query(ALL_COLUMNS), Z,
         query("ROLLBACK"), Z),
    case("a copy that fails at the server", query("COPY person (id, email) FROM STDIN"), Wait(b"G"),
         copy_data(b"1\tx@example.org\n") + COPY_DONE, Z),
    case("CopyFail", query("COPY person (id, email) FROM STDIN"), Wait(b"G"), copy_data(b"67\tx@example.org\n")
         + copy_fail("changed my mind"), Z),
    case("an extended copy", query("BEGIN"), Z, parse("COPY person (id, email) FROM STDIN") + bind() + execute() + SYNC,
         Wait(b"G"), copy_data(b"68\ty@example.org\n") + COPY_DONE + SYNC, Z, query("ROLLBACK"), Z),
]  # fmt: skip

ALL: list[Case] = [*READ, *EXTENDED, *WRITE, *COPY]
