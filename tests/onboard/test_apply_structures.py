"""apply and undo beside what a real schema has: views, foreign keys, partitions, defaults, triggers, types."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from pgnym import onboard
from pgnym.onboard import applying
from support.cluster import Cluster
from support.workbench import Workbench, workbench

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

PERSON = """
tables:
  public.person:
    columns:
      name: {}
      born: {tokens: randomized}
"""

VIEWS = """
CREATE TABLE person (id int PRIMARY KEY, name varchar(20), born date, note text);
INSERT INTO person VALUES (1, 'Ada', '1815-12-10', 'a'), (2, 'Grace', '1906-12-09', 'b');
CREATE ROLE viewer_{n}; CREATE ROLE lender_{n};
CREATE SCHEMA reports;
CREATE VIEW reports.names (who, born) WITH (security_barrier = true) AS SELECT name, born FROM person;
COMMENT ON VIEW reports.names IS 'it''s a view'; COMMENT ON COLUMN reports.names.who IS 'the name';
ALTER VIEW reports.names ALTER COLUMN who SET DEFAULT 'x';
GRANT SELECT (who) ON reports.names TO viewer_{n}; GRANT SELECT ON reports.names TO lender_{n} WITH GRANT OPTION;
CREATE VIEW reports."Of Names" AS SELECT who FROM reports.names WHERE who IS NOT NULL WITH LOCAL CHECK OPTION;
ALTER VIEW reports."Of Names" OWNER TO lender_{n}; REVOKE ALL ON reports."Of Names" FROM lender_{n};
GRANT INSERT ON reports."Of Names" TO PUBLIC;
CREATE MATERIALIZED VIEW reports.copy AS SELECT name, count(*) AS n FROM person GROUP BY name;
CREATE UNIQUE INDEX copy_name ON reports.copy (name); COMMENT ON INDEX reports.copy_name IS 'once';
CREATE MATERIALIZED VIEW reports.never AS SELECT name FROM reports.copy WITH NO DATA;
CREATE VIEW reports.untouched AS SELECT id, note FROM person;
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER instead INSTEAD OF DELETE ON reports.names FOR EACH ROW EXECUTE FUNCTION noop();
CREATE RULE quiet AS ON DELETE TO reports."Of Names" DO INSTEAD NOTHING;
"""

DESCRIBED = """
SELECT c.oid::regclass::text, c.relkind::text, pg_get_userbyid(c.relowner), c.reloptions::text, pg_get_viewdef(c.oid),
  c.relispopulated::text, obj_description(c.oid, 'pg_class'),
  (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x),
  (SELECT string_agg(attname || coalesce(attacl::text, '') || coalesce(col_description(c.oid, attnum), '')
     || coalesce(pg_get_expr(adbin, adrelid), ''), ' ' ORDER BY attnum)
   FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = c.oid AND attnum > 0),
  (SELECT string_agg(pg_get_indexdef(indexrelid) || coalesce(obj_description(indexrelid, 'pg_class'), ''), ' ')
   FROM pg_index WHERE indrelid = c.oid),
  (SELECT string_agg(pg_get_triggerdef(oid), ' ') FROM pg_trigger WHERE tgrelid = c.oid),
  (SELECT string_agg(pg_get_ruledef(oid), ' ') FROM pg_rewrite WHERE ev_class = c.oid AND rulename <> '_RETURN')
FROM pg_class c WHERE c.relnamespace = 'reports'::regnamespace AND c.relkind IN ('v', 'm') ORDER BY 1
"""


async def views(app: Connection) -> list[tuple[object, ...]]:
    """Everything of the views, but the casts that the changed types bring into their text."""
    return [tuple(row) for row in await app.fetch(DESCRIBED)]


def test_views_come_back_with_all_that_belongs_to_them(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, PERSON) as bench:
            number = database.rpartition("_")[2]
            await bench.app.execute(VIEWS.format(n=number))
            await bench.app.execute("SET search_path = ''")
            before = await views(bench.app)
            await bench.app.execute("RESET search_path")
            oid = "SELECT 'reports.untouched'::regclass::oid"
            untouched = await bench.app.fetchval(oid)
            await bench.apply()
            await bench.app.execute("SET search_path = ''")
            after = await views(bench.app)
            await bench.app.execute("RESET search_path")
            assert [v[0] for v in after] == [v[0] for v in before]
            for was, now in zip(before, after, strict=True):
                assert now[1:4] == was[1:4]
                assert now[5:] == was[5:]
            assert await bench.app.fetchval(oid) == untouched
            copied = {row[0] for row in await bench.app.fetch("SELECT name FROM reports.copy")}
            assert copied == {row[0] for row in await bench.app.fetch("SELECT name FROM person")}
            assert all(name.startswith("pn1") for name in copied)
            await bench.undo("public.person")
            await bench.app.execute("SET search_path = ''")
            assert await views(bench.app) == before
            assert {row[0] for row in await bench.app.fetch("SELECT name FROM reports.copy")} == {
                "Ada",
                "Grace",
            }
            await bench.app.execute(
                f"DROP OWNED BY viewer_{number}, lender_{number} CASCADE; DROP ROLE viewer_{number}, lender_{number}"
            )

    asyncio.run(work())


TYPED = """
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE typed (
  id serial PRIMARY KEY, t text, v varchar(5), w varchar(60), u varchar, c char(7), ci citext, d date, ts timestamp(3),
  tz timestamptz, i2 smallint, i4 int, i8 bigint, n numeric(12,4), g uuid, ip inet, b bytea, j jsonb,
  k text COLLATE "C", "Odd ""name%" text);
SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';
INSERT INTO typed (t, v, w, u, c, ci, d, ts, tz, i2, i4, i8, n, g, ip, b, j, k, "Odd ""name%") VALUES
 ('é\u2028''"\\', 'abcde', repeat('x', 60), '', 'ab', 'MiXed', '0044-03-15 BC', '1999-12-31 23:59:59.999',
  '2000-01-01 00:00:00+13', -32768, 0, 9223372036854775807, -0.5, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '::1/64',
  '\\x00ff', '{"b": [1, null], "a": "\\u00e9"}', 'c', 'odd'),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 ('', '', '', '', '', '', 'infinity', '-infinity', 'infinity', 0, -1, 0, 'NaN', '00000000-0000-0000-0000-000000000000',
  '10.1.2.3', '', 'null', '', '');
RESET TimeZone; RESET DateStyle;
"""
TYPED_COLUMNS = ["t", "v", "w", "u", "c", "d", "ts", "tz", "i2", "i4", "i8", "n", "g", "ip", "b", "j", "k"]


def test_every_type_comes_back_byte_for_byte(postgres: Cluster, database: str) -> None:
    options = "\n".join(f"      {c}: {{}}" for c in TYPED_COLUMNS)
    options += "\n      ci: {normalize: casefold}\n      'Odd \"name%': {}"
    yaml = f"tables:\n  public.typed:\n    columns:\n{options}"

    async def work() -> None:
        async with workbench(postgres, database, yaml) as bench:
            await bench.app.execute(TYPED)
            everything = "SELECT encode(convert_to(t::text, 'UTF8'), 'hex') FROM typed t ORDER BY id"
            types = (
                "SELECT attname, format_type(atttypid, atttypmod), attcollation FROM pg_attribute"
                " WHERE attrelid = 'typed'::regclass AND attnum > 0 ORDER BY attnum"
            )
            before, shaped = await bench.app.fetch(everything), await bench.app.fetch(types)
            await bench.apply()
            now = {row[0]: row[1] for row in await bench.app.fetch(types)}
            assert now["v"] == "character varying(30)"
            assert now["w"] == "character varying(60)"
            assert now["u"] == "character varying"
            assert now["ci"] == "citext"
            assert {now[c] for c in ["c", "d", "ts", "tz", "i2", "i4", "i8", "n", "g", "ip", "b", "j"]} == {
                "text"
            }
            rows = await bench.app.fetch("SELECT * FROM typed ORDER BY id")
            assert all(v.startswith("pn1") for k, v in rows[0].items() if k not in ("id", "u"))
            assert all(v is None for k, v in rows[1].items() if k != "id")
            assert {k for k, v in rows[2].items() if v == ""} == {"t", "v", "w", "u", "ci", "k", 'Odd "name%'}
            assert (await bench.verify()).findings == ()
            await bench.undo("public.typed")
            await bench.app.execute(
                "UPDATE typed SET ci = 'MiXed' WHERE ci = 'mixed'"
            )  # the case is lost, as said
            assert await bench.app.fetch(everything) == before
            assert await bench.app.fetch(types) == shaped

    asyncio.run(work())


def test_foreign_keys_change_with_both_their_tables(postgres: Cluster, database: str) -> None:
    yaml = """
tables:
  public.account: {columns: {mail: {domain: mail}}}
  public.login: {columns: {mail: {domain: mail}}}
"""

    async def work() -> None:
        async with workbench(postgres, database, yaml) as bench:
            await bench.app.execute(
                "CREATE TABLE account (mail varchar(20) PRIMARY KEY, boss varchar(20) REFERENCES account);"
                "CREATE TABLE login (id int, mail varchar(20) REFERENCES account ON UPDATE CASCADE"
                " DEFERRABLE INITIALLY DEFERRED);"
                "INSERT INTO account VALUES ('a@b.c', NULL), ('d@e.f', 'a@b.c');"
                "INSERT INTO login SELECT n, CASE n % 2 WHEN 0 THEN 'a@b.c' ELSE 'd@e.f' END FROM generate_series(1, 100) n"
            )
            found = await bench.blockers()
            assert any("account_boss_fkey" in b and "one side would hold tokens" in b for b in found)
            await bench.app.execute("ALTER TABLE account DROP CONSTRAINT account_boss_fkey")
            definition = (
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'login_mail_fkey'"
            )
            before = await bench.app.fetchval(definition)
            await bench.apply()
            assert await bench.app.fetchval(definition) == before
            assert await bench.app.fetchval("SELECT count(*) FROM login JOIN account USING (mail)") == 100
            assert sorted(await bench.undo("public.login")) == ["public.account", "public.login"]
            assert await bench.app.fetchval(definition) == before
            assert await bench.app.fetchval("SELECT count(*) FROM login WHERE mail = 'a@b.c'") == 50

    asyncio.run(work())


def test_partitions_and_heirs_are_protected_through_their_parent(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, PERSON) as bench:
            await bench.app.execute(
                "CREATE TABLE person (id int, name text, born date) PARTITION BY RANGE (id);"
                "CREATE TABLE person_1 PARTITION OF person FOR VALUES FROM (0) TO (10);"
                "CREATE TABLE person_2 PARTITION OF person FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);"
                "CREATE TABLE person_2a PARTITION OF person_2 DEFAULT;"
                "INSERT INTO person SELECT n, 'name ' || n, '2000-01-01'::date + n FROM generate_series(0, 19) n"
            )
            before = await bench.app.fetch("SELECT * FROM person ORDER BY id")
            await bench.apply()
            assert (
                await bench.app.fetchval(
                    "SELECT count(*) FROM person WHERE name LIKE 'pn1%' AND born LIKE 'pn1%'"
                )
                == 20
            )
            with pytest.raises(asyncpg.CheckViolationError):
                await bench.app.execute("INSERT INTO person_2a VALUES (11, 'plain', NULL)")
            await bench.app.execute("CREATE TABLE person_3 PARTITION OF person FOR VALUES FROM (20) TO (30)")
            with pytest.raises(asyncpg.CheckViolationError):
                await bench.app.execute("INSERT INTO person VALUES (21, 'plain', NULL)")
            await bench.undo("public.person")
            assert await bench.app.fetch("SELECT * FROM person ORDER BY id") == before

    asyncio.run(work())


def test_constant_defaults_become_tokens_and_come_back(postgres: Cluster, database: str) -> None:
    yaml = "tables: {public.t: {columns: {a: {}, b: {}, c: {}, d: {}, e: {tokens: randomized}, f: {}}}}"

    async def work() -> None:
        async with workbench(postgres, database, yaml) as bench:
            await bench.app.execute(
                "CREATE TABLE t (id serial, a varchar(9) DEFAULT 'it''s', b date DEFAULT '2020-02-29',"
                " c char(4) DEFAULT 'x',"
                " d text DEFAULT '', e numeric(6,2) DEFAULT 1.5, f text DEFAULT NULL);"
                "INSERT INTO t DEFAULT VALUES"
            )
            read = "SELECT a::text, b::text, c::bpchar, d, e::text, f FROM t ORDER BY id"
            await bench.apply()
            await bench.app.execute("INSERT INTO t DEFAULT VALUES")
            first, second = await bench.app.fetch(read)
            assert [v[:3] if v else v for v in second] == ["pn1", "pn1", "pn1", "", "pn1", None]
            assert [first[i] == second[i] for i in range(6)] == [True, True, True, True, False, True]
            assert (await bench.verify()).findings == ()
            await bench.undo("public.t")
            await bench.app.execute("INSERT INTO t DEFAULT VALUES")
            rows = [tuple(row) for row in await bench.app.fetch(read)]
            assert set(rows) == {("it's", "2020-02-29", "x   ", "", "1.50", None)}

    asyncio.run(work())


def test_triggers_of_the_application_neither_fire_nor_change(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, PERSON) as bench:
            await bench.app.execute(
                "CREATE TABLE person (id int, name text, born date); CREATE TABLE history (name text);"
                "INSERT INTO person VALUES (1, 'Ada', '1815-12-10');"
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN INSERT INTO history VALUES (OLD.name); RETURN NEW; END';"
                "CREATE TRIGGER a BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION keep();"
                "CREATE TRIGGER b BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION keep();"
                "CREATE TRIGGER c BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION keep();"
                "ALTER TABLE person DISABLE TRIGGER b; ALTER TABLE person ENABLE ALWAYS TRIGGER c"
            )
            states = (
                "SELECT tgname, tgenabled FROM pg_trigger"
                " WHERE tgrelid = 'person'::regclass AND NOT tgisinternal ORDER BY 1"
            )
            before = await bench.app.fetch(states)
            assert any("trigger a will see tokens" in w for w in await bench.warnings())
            await bench.apply()
            assert await bench.app.fetchval("SELECT count(*) FROM history") == 0
            assert await bench.app.fetch(states) == before

    asyncio.run(work())


def test_a_lost_check_is_put_right(postgres: Cluster, database: str) -> None:
    """Dropped by hand, then written to directly: only what is plaintext is tokenized."""

    async def work() -> None:
        async with workbench(postgres, database, PERSON) as bench:
            await bench.app.execute(
                "CREATE TABLE person (id int, name text, born date);"
                "INSERT INTO person VALUES (1, 'Ada', '1815-12-10'), (2, 'Grace', '1906-12-09')"
            )
            await bench.apply()
            before = await bench.app.fetch("SELECT * FROM person ORDER BY id")
            names = await bench.app.fetch(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'person'::regclass"
            )
            for (name,) in names:
                await bench.app.execute(f"ALTER TABLE person DROP CONSTRAINT {name}")
            await bench.app.execute("INSERT INTO person VALUES (3, 'Edsger', '5/11/1930')")
            await bench.apply()
            after = await bench.app.fetch("SELECT * FROM person ORDER BY id")
            assert after[:2] == before
            assert after[2]["name"].startswith("pn1")
            await bench.undo("public.person")
            assert await bench.app.fetchval("SELECT born::text FROM person WHERE id = 3") == "1930-05-11"

    asyncio.run(work())


def test_a_repair_that_is_killed_leaves_the_column_known_to_hold_tokens(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    async def work() -> None:
        async with workbench(postgres, database, "tables: {public.person: {columns: {name: {}}}}") as bench:
            await bench.app.execute(
                "CREATE TABLE person (id int, name text); INSERT INTO person VALUES (1, 'Ada')"
            )
            await bench.apply()
            await bench.app.execute("ALTER TABLE person DROP CONSTRAINT pgnym_1")
            with monkeypatch.context() as patched:
                patched.setattr(applying, "lock", killed)
                with pytest.raises(asyncio.CancelledError):
                    await bench.apply()
            assert await bench.vault.fetchval("SELECT state FROM vault.protected_column") == "protected"
            await bench.apply()
            await bench.undo("public.person")
            assert await bench.app.fetchval("SELECT name FROM person") == "Ada"

    asyncio.run(work())


def test_renames_are_followed(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, PERSON) as bench:
            await bench.app.execute("CREATE TABLE person (id int, name text, born date)")
            await bench.apply()
            await bench.app.execute(
                "ALTER TABLE person RENAME TO people; ALTER TABLE people RENAME name TO called"
            )
        renamed = PERSON.replace("person", "people").replace(
            "name:", "called: {domain: public.person.name} #"
        )
        renamed = renamed.replace("born: {", "born: {domain: public.person.born, ")
        async with workbench(postgres, database, renamed) as bench:
            plan = await bench.plan()
            assert [s.kind for s in plan.steps] == [onboard.StepKind.RENAME] * 2
            await bench.apply()
            rows = await bench.vault.fetch(
                "SELECT table_name, column_name FROM vault.protected_column ORDER BY 2"
            )
            assert [tuple(r) for r in rows] == [("people", "born"), ("people", "called")]

    asyncio.run(work())


def test_rows_written_while_it_runs_are_neither_lost_nor_left_plain(postgres: Cluster, database: str) -> None:
    async def write(url: str, stop: asyncio.Event) -> list[int]:
        """Insert and update until the CHECK refuses plaintext; the ids that were committed."""
        app: Connection = await asyncpg.connect(url)
        done: list[int] = []
        try:
            while not stop.is_set():
                try:
                    await app.execute(
                        "INSERT INTO person VALUES ($1, $2)", 10_000 + len(done), f"new {len(done)}"
                    )
                    await app.execute("UPDATE person SET name = name || '!' WHERE id = $1", len(done))
                except asyncpg.CheckViolationError:
                    return done
                done.append(10_000 + len(done))
        finally:
            await app.close()
        return done

    async def work() -> None:
        async with workbench(postgres, database, "tables: {public.person: {columns: {name: {}}}}") as bench:
            await bench.app.execute(
                "CREATE TABLE person (id int PRIMARY KEY, name text);"
                "INSERT INTO person SELECT n, 'name ' || n FROM generate_series(0, 9999) n"
            )
            stop = asyncio.Event()
            writer = asyncio.create_task(write(postgres.url(database), stop))
            await bench.apply()
            stop.set()
            written = await writer
            assert written
            assert await bench.app.fetchval("SELECT count(*) FROM person WHERE name !~ '^pn1'") == 0
            assert (await bench.verify()).findings == ()
            await bench.undo("public.person")
            rows = {r[0]: r[1] for r in await bench.app.fetch("SELECT id, name FROM person")}
            assert rows.keys() >= set(range(10_000)) | set(written)
            for n in range(len(written)):
                assert rows[n] == f"name {n}!"

    asyncio.run(work())


def test_a_second_run_is_refused(postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "RUN_TIMEOUT", "100ms")

    async def work(bench: Workbench) -> None:
        await bench.app.execute("CREATE TABLE person (id int, name text, born date)")
        async with workbench(postgres, database, PERSON) as other:
            await other.app.fetchval("SELECT pg_advisory_lock($1)", 0x70676E796D01)
            with pytest.raises(onboard.OnboardError, match="another apply or undo"):
                await bench.apply()

    async def run() -> None:
        async with workbench(postgres, database, PERSON) as bench:
            await work(bench)

    asyncio.run(run())
