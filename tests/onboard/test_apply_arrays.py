"""apply and undo of array columns: elements become tokens, the rest of the array stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from support.cluster import Cluster
from support.workbench import workbench

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

COLUMNS = ["t", "v", "w", "i", "d", "n", "u", "c", "tz", "b"]
YAML = """
tables:
  public.lists:
    columns:
      ci: {normalize: casefold}
      r: {tokens: randomized}
""" + "\n".join(f"      {c}: {{domain: d_{c}}}" for c in COLUMNS)


async def one(app: Connection, query: str) -> asyncpg.Record:
    """The one row of a query."""
    (row,) = await app.fetch(query)
    return row


TABLE = r"""
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE lists (
  id serial PRIMARY KEY, t text[] DEFAULT '{}', v varchar(7)[] DEFAULT ARRAY['dflt'::varchar, 'x'::varchar], w varchar(40)[],
  i int[], d date[], n numeric(8,2)[], u uuid[], c char(3)[], tz timestamptz[], b bytea[], ci citext[], r text[]);
CREATE INDEX by_tag ON lists USING gin (t);
CREATE INDEX by_number ON lists USING gin (i);
SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';
INSERT INTO lists (t, v, w, i, d, n, u, c, tz, b, ci, r) VALUES
 ('{a,"b c","q\"uo\\te",NULL,"NULL","",é}', '{abcdefg}', '{x,y}', '{1,-5}', '{18.02.1962,infinity}', '{1.5,NaN}',
  '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{ab,abc}', '{"2000-01-01 00:00:00+09"}', '{"\\x00ff",""}', '{lower}', '{s,s}'),
 ('[2:3][0:1]={{a,b},{c,d}}', '{}', NULL, '{{1,2},{3,NULL}}', '{}', NULL, NULL, '{}', NULL, '{}', '{}', '{}'),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
RESET TimeZone; RESET DateStyle;
"""
SHAPE = (
    "SELECT attname, format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid) FROM pg_attribute"
    " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    " WHERE attrelid = 'lists'::regclass AND attnum > 0 ORDER BY attnum"
)
EVERYTHING = "SELECT encode(convert_to(l::text, 'UTF8'), 'hex') FROM lists l ORDER BY id"
INDEXES = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'lists'::regclass ORDER BY 1"


def test_arrays_come_back_byte_for_byte(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, YAML) as bench:
            await bench.app.execute(TABLE)
            before, shape = await bench.app.fetch(EVERYTHING), await bench.app.fetch(SHAPE)
            indexes = await bench.app.fetch(INDEXES)
            await bench.apply()
            types = {row[0]: row[1] for row in await bench.app.fetch(SHAPE)}
            assert types["t"] == types["i"] == types["d"] == types["c"] == "text[]"
            assert (types["v"], types["w"], types["ci"]) == (
                "character varying(30)[]",
                "character varying(40)[]",
                "citext[]",
            )
            assert await bench.app.fetch(INDEXES) == indexes
            rows = [dict(row) for row in await bench.app.fetch("SELECT * FROM lists ORDER BY id")]
            for name, elements in rows[0].items():
                if name != "id":
                    assert all(e is None or e == "" or e.startswith("pn1") for e in elements), name
            assert rows[0]["t"][3] is None
            assert rows[0]["t"][5] == ""
            assert rows[0]["b"][1].startswith("pn1")  # only text has an empty value
            assert rows[0]["r"][0] != rows[0]["r"][1]
            bounds = await bench.app.fetchval("SELECT array_dims(t) FROM lists WHERE id = 2")
            assert bounds == "[2:3][0:1]"
            assert [len(e) for e in rows[1]["i"]] == [2, 2]
            added = await one(bench.app, "INSERT INTO lists DEFAULT VALUES RETURNING t, v")
            assert added["t"] == []
            assert all(e.startswith("pn1") for e in added["v"])
            assert (await bench.verify()).findings == ()
            await bench.app.execute("DELETE FROM lists WHERE id > 3")
            await bench.undo("public.lists")
            assert await bench.app.fetch(EVERYTHING) == before
            restored = await bench.app.fetch(SHAPE)
            assert [row[:2] for row in map(tuple, restored)] == [row[:2] for row in map(tuple, shape)]
            added = await one(bench.app, "INSERT INTO lists DEFAULT VALUES RETURNING t, v")
            assert (added["t"], added["v"]) == ([], ["dflt", "x"])

    asyncio.run(work())


def test_the_database_refuses_elements_that_are_no_tokens(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, YAML) as bench:
            await bench.app.execute(TABLE)
            await bench.apply()
            t, i = await one(bench.app, "SELECT t[1], i[1] FROM lists WHERE id = 1")

            async def stored(column: str, value: str) -> bool:
                try:
                    await bench.app.execute(f"INSERT INTO lists ({column}) VALUES ($1::text::text[])", value)
                except asyncpg.CheckViolationError:
                    return False
                return True

            for value in (f'{{{t},NULL,""}}', f"[0:1][1:1]={{{{{t}}},{{{t}}}}}", "{}", f"{{{t},{t}}}"):
                assert await stored("t", value), value
            for value in (
                "{plain}",
                f"{{{t},plain}}",
                f"{{{t}{t}}}",
                f"{{NULL{t}}}",
                f'{{"{t},{t}"}}',
                f'{{"{{{t}}}"}}',
                '{"NULL"}',
                '{" "}',
                f"{{{i}}}",
                f"{{{t.upper()}}}",
                f'{{"{t}\n"}}',
            ):
                assert not await stored("t", value), value
            assert await stored("i", f"{{{i},NULL}}")
            assert not await stored("i", '{""}')
            assert not await stored("i", "{5}")

    asyncio.run(work())


def test_an_array_that_lost_its_check_is_repaired(postgres: Cluster, database: str) -> None:
    yaml = "tables: {public.lists: {columns: {t: {}, i: {}}}}"

    async def work() -> None:
        async with workbench(postgres, database, yaml) as bench:
            await bench.app.execute("CREATE TABLE lists (id int, t text[], i int[])")
            await bench.app.execute("INSERT INTO lists VALUES (1, '{a,b}', '{7}')")
            await bench.apply()
            kept = await bench.app.fetchval("SELECT t FROM lists")
            names = await bench.app.fetch("SELECT conname FROM pg_constraint WHERE conname ~ '^pgnym_'")
            for (name,) in names:
                await bench.app.execute(f"ALTER TABLE lists DROP CONSTRAINT {name}")
            await bench.app.execute("UPDATE lists SET t = t || '{plain,NULL,\"\"}'")
            await bench.apply()
            now = await bench.app.fetchval("SELECT t FROM lists")
            assert now[:2] == kept
            assert now[2].startswith("pn1")
            assert now[3:] == [None, ""]
            await bench.undo("public.lists")
            row = await one(bench.app, "SELECT t, i FROM lists")
            assert (row["t"], row["i"]) == (["a", "b", "plain", None, ""], [7])

    asyncio.run(work())


def test_jsonb_arrays_are_in_the_way(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, "tables: {public.lists: {columns: {j: {}}}}") as bench:
            await bench.app.execute("CREATE TABLE lists (j jsonb[])")
            (blocker,) = (await bench.plan()).blockers
            assert "type jsonb[] can't be protected" in blocker.text
            assert "change the column to jsonb" in blocker.hint

    asyncio.run(work())
