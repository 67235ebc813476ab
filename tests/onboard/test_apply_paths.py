"""apply and undo of paths within jsonb: strings there become tokens, the rest of the document stays."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from support.cluster import Cluster
from support.workbench import workbench

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

YAML = """
tables:
  public.person:
    columns:
      name: {domain: name}
      profile:
        paths:
          email: {domain: email}
          address.street: {}
          contacts[*].email: {domain: email}
          tags[*]: {tokens: randomized}
          '"odd.key''s"': {normalize: casefold}
"""
TABLE = r"""
CREATE TABLE person (id int PRIMARY KEY, name text, profile jsonb DEFAULT '{"email": "none", "level": 1}');
CREATE INDEX by_profile ON person USING gin (profile);
CREATE UNIQUE INDEX by_email ON person ((profile ->> 'email'));
INSERT INTO person VALUES
 (1, 'Ann', '{"email": "ann@x.org", "n": 1.50, "big": 12345678901234567890123,
   "address": {"street": "Main \"St\" é", "no": 5},
   "contacts": [{"email": "bob@x.org", "kind": "w"}, {"kind": "h"}, {"email": null}], "tags": ["a", "a", ""],
   "odd.key''s": "MiXed"}'),
 (2, NULL, '{"email": "", "contacts": {"email": "one@x.org"}, "address": [{"street": "x"}], "tags": "single"}'),
 (3, 'Cy', NULL), (4, NULL, '[]'), (5, NULL, '"text"'), (6, NULL, '{"level": 2}');
"""


def leaves(value: Any) -> list[Any]:
    """All strings in a document."""
    if isinstance(value, dict):
        return [s for v in value.values() for s in leaves(v)]
    if isinstance(value, list):
        return [s for v in value for s in leaves(v)]
    return [value] if isinstance(value, str) else []


def test_documents_come_back_as_they_were(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, YAML) as bench:
            await bench.app.execute(TABLE)
            everything = "SELECT id, name, profile::text, xmin::text FROM person ORDER BY id"
            before = [tuple(row)[:3] for row in await bench.app.fetch(everything)]
            await bench.apply()
            rows = [tuple(row) for row in await bench.app.fetch(everything)]
            first = json.loads(rows[0][2])
            assert {s for s in leaves(first) if not s.startswith("pn1")} == {"w", "h", ""}
            assert '"n": 1.50' in rows[0][2]
            assert '"big": 12345678901234567890123' in rows[0][2]
            assert first["tags"][0] != first["tags"][1]
            assert first["email"][:6] == first["contacts"][0]["email"][:6]
            second = json.loads(rows[1][2])
            assert second["contacts"]["email"].startswith(first["email"][:6])
            assert second["address"][0]["street"].startswith("pn1")
            assert second["tags"].startswith("pn1")
            assert [row[2] for row in rows[2:]] == [None, "[]", '"text"', '{"level": 2}']
            (added,) = await bench.app.fetch("INSERT INTO person (id) VALUES (7) RETURNING profile::text")
            assert json.loads(added[0])["email"].startswith("pn1")
            assert json.loads(added[0])["level"] == 1
            assert (await bench.verify()).findings == ()
            await bench.app.execute("DELETE FROM person WHERE id = 7")
            await bench.undo("public.person")
            after = [tuple(row)[:3] for row in await bench.app.fetch(everything)]
            assert after[1:] == before[1:]
            assert after[0][2] == before[0][2].replace("MiXed", "mixed")
            (added,) = await bench.app.fetch("INSERT INTO person (id) VALUES (7) RETURNING profile::text")
            assert json.loads(added[0]) == {"email": "none", "level": 1}
            assert await bench.app.fetchval("SELECT count(*) FROM vault.protected_column") == 0

    asyncio.run(work())


def test_the_database_refuses_what_is_no_token_at_a_path(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, YAML) as bench:
            await bench.app.execute(TABLE)
            await bench.apply()
            text = await bench.app.fetchval("SELECT profile::text FROM person WHERE id = 1")
            email = json.loads(text)["email"]
            street = json.loads(text)["address"]["street"]

            async def stored(document: Any) -> bool:
                try:
                    await bench.app.execute(
                        "INSERT INTO person SELECT max(id) + 1, NULL, $1::jsonb FROM person",
                        json.dumps(document),
                    )
                except asyncpg.CheckViolationError:
                    return False
                return True

            for document in (
                {"contacts": [{"email": email}, {"email": ""}, {"email": None}, 5, "x"]},
                {"contacts": {"email": email}, "email": None},
                {"address": {"street": street}, "other": "plain"},
                {"email": None, "address": "plain"},
                ["plain"],
                5,
            ):
                assert await stored(document), document
            bad: list[Any] = [
                {"email": "plain"},
                {"email": street},
                {"email": 5},
                {"email": True},
                {"email": {}},
                {"email": {"a": "b"}},
                {"email": []},
                {"email": ["plain"]},
                {"email": [email]},
                {"email": f"{email} "},
                {"email": f"{email}\n"},
                {"email": f"x\n{email}"},
                {"contacts": [{"email": email}, {"email": "plain"}]},
                {"contacts": [{}, {"email": 1}]},
                {"contacts": {"email": "plain"}},
                {"contacts": [[{"email": "plain"}]]},
                [{"email": "plain"}],
                {"address": [{"street": "plain"}]},
                {"tags": ["plain"]},
                {"tags": "plain"},
                {"tags": [{"a": 1}]},
                {"odd.key's": "plain"},
            ]
            for refused in bad:
                assert not await stored(refused), refused

    asyncio.run(work())


def test_a_path_is_added_to_others_and_repaired(postgres: Cluster, database: str) -> None:
    one = "tables: {public.person: {columns: {profile: {paths: {email: {}}}}}}"
    two = "tables: {public.person: {columns: {profile: {paths: {email: {}, phone: {}}}}}}"

    async def work() -> None:
        async with workbench(postgres, database, one) as bench:
            await bench.app.execute("CREATE TABLE person (id int, profile jsonb)")
            await bench.app.execute("""INSERT INTO person VALUES (1, '{"email": "a", "phone": "1"}')""")
            await bench.apply()
            kept = json.loads(await bench.app.fetchval("SELECT profile::text FROM person"))
        async with workbench(postgres, database, two) as bench:
            await bench.apply()
            now = json.loads(await bench.app.fetchval("SELECT profile::text FROM person"))
            assert now["email"] == kept["email"]
            assert now["phone"].startswith("pn1")
            (name,) = await bench.app.fetch(
                "SELECT conname FROM pg_constraint WHERE conname ~ '^pgnym_' AND pg_get_constraintdef(oid) LIKE '%phone%'"
            )
            await bench.app.execute(f"ALTER TABLE person DROP CONSTRAINT {name[0]}")
            await bench.app.execute("""INSERT INTO person VALUES (2, '{"email": null, "phone": "2"}')""")
            await bench.apply()
            rows = [
                json.loads(r[0])
                for r in await bench.app.fetch("SELECT profile::text FROM person ORDER BY id")
            ]
            assert rows[0] == now
            assert rows[1]["phone"].startswith(now["phone"][:6])
            assert (await bench.verify()).findings == ()
        async with workbench(postgres, database, one) as bench:
            assert any(
                "profile.phone" in w and "not in the configuration" in w for w in await bench.warnings()
            )
            await bench.undo("public.person")
            rows = [
                json.loads(r[0])
                for r in await bench.app.fetch("SELECT profile::text FROM person ORDER BY id")
            ]
            assert rows == [{"email": "a", "phone": "1"}, {"email": None, "phone": "2"}]

    asyncio.run(work())


def test_what_stands_in_the_way_of_paths(postgres: Cluster, database: str) -> None:
    whole = "tables: {public.person: {columns: {profile: {}}}}"
    paths = "tables: {public.person: {columns: {profile: {paths: {email: {}}}, note: {paths: {a: {}}}}}}"

    async def work() -> None:
        async with workbench(postgres, database, paths) as bench:
            await bench.app.execute("CREATE TABLE person (id int, profile jsonb, note json)")
            await bench.app.execute("""INSERT INTO person VALUES (1, '{"email": 5}')""")
            found = "\n".join(await bench.blockers())
            assert "public.person.profile.email: is in some rows neither a string nor null" in found
            assert "public.person.note.a: is a path within a column of type json" in found
            await bench.app.execute("UPDATE person SET profile = NULL; ALTER TABLE person DROP COLUMN note")
        async with workbench(postgres, database, whole) as bench:
            await bench.apply()
        async with workbench(postgres, database, paths.replace(", note: {paths: {a: {}}}", "")) as bench:
            assert "is within a column that is protected as a whole" in "\n".join(await bench.blockers())
            await bench.undo("public.person")
            await bench.apply()
        async with workbench(postgres, database, whole) as bench:
            assert "has paths that are protected by themselves" in "\n".join(await bench.blockers())

    asyncio.run(work())
