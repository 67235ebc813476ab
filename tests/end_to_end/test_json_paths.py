"""Protected paths within jsonb, beside a twin with plain columns: the same replies; and no plaintext stored."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb
from test_byte_compare import Pair, twins
from test_types import both, extended, talk

from support.cluster import SUPERUSER, Cluster
from support.gateway import Gateway, deployment
from support.rawwire import COPY_DONE, SYNC, bind, copy_data, describe, execute, parse, query

pytestmark = pytest.mark.server

TABLES = r"""
CREATE TABLE person (id int PRIMARY KEY, profile jsonb, mail text);
INSERT INTO person VALUES
 (1, '{"email": "ann@x.org", "n": 1.50, "address": {"street": "Main \"St\" é", "no": 5},
   "contacts": [{"email": "bob@x.org", "k": "w"}, {"k": "h"}, {"email": null}], "tags": ["a", "b", ""]}', 'ann@x.org'),
 (2, '{"email": "", "contacts": [], "tags": [], "big": 12345678901234567890123.0}', NULL),
 (3, NULL, 'x'), (4, '[]', 'bob@x.org'), (5, '{"email": "bob@x.org", "address": null}', '');
"""
PATHS = {
    "email": {"domain": "mail"},
    "address.street": {},
    "contacts[*].email": {"domain": "mail"},
    "tags[*]": {},
}
PROTECTED: dict[str, object] = {
    "public.person": {"columns": {"profile": {"paths": PATHS}, "mail": {"domain": "mail"}}}
}
ALL = "SELECT * FROM person ORDER BY id"
DOCUMENT = b'{"email": "new@x.org", "x": 1e2, "contacts": [{"email": "q\\"uote"}], "tags": ["a"]}'


@pytest.fixture(scope="module")
def pair(postgres: Cluster) -> Iterator[Pair]:
    yield from twins(postgres, "json_paths", TABLES, PROTECTED)


READ = [
    ALL,
    "SELECT profile->>'email', profile->'address'->>'street', profile->'tags', profile#>>'{contacts,0,email}' FROM person"
    " ORDER BY id",
    "SELECT id FROM person WHERE profile->>'email' = 'bob@x.org' ORDER BY id",
    "SELECT id FROM person WHERE profile->>'email' IN ('ann@x.org', '') ORDER BY id",
    'SELECT id FROM person WHERE profile @> \'{"contacts": [{"email": "bob@x.org"}]}\'',
    "SELECT id FROM person WHERE profile->'tags' ? 'b' OR profile->'address' ? 'street' ORDER BY id",
    "SELECT p.id, q.id FROM person p JOIN person q ON p.profile->>'email' = q.mail ORDER BY 1, 2",
    "SELECT profile['contacts'][0]['email'], profile['tags'] FROM person ORDER BY id",
    "SELECT id, e->>'email' AS e FROM person, jsonb_array_elements(profile->'contacts') e WHERE id = 1",
    "SELECT key, value FROM person, jsonb_each_text(profile) WHERE id IN (1, 5)",
    "SELECT row_to_json(p), to_jsonb(p), jsonb_pretty(profile) FROM person p ORDER BY id",
    "SELECT array_agg(profile ORDER BY id), jsonb_agg(profile->>'email' ORDER BY id) FROM person",
    "SELECT profile->>'email', count(*) FROM person GROUP BY 1 ORDER BY 2 DESC, 1",
    "SELECT id FROM person WHERE profile->>'email' LIKE '%@x%' ORDER BY profile->>'email', id",
    "SELECT coalesce(profile->>'email', mail, 'none'), 'to: ' || (profile->>'email') FROM person ORDER BY id",
    'SELECT coalesce(profile, \'{"email": "nobody"}\') FROM person ORDER BY id',
    "SELECT id FROM person WHERE mail LIKE '%@x%' ORDER BY mail",
    'SELECT nope FROM person WHERE profile @> \'{"email": "ann@x.org"}\' AND nope = 1',
]


@pytest.mark.parametrize("sql", READ)
def test_reading(pair: Pair, sql: str) -> None:
    both(pair, query(sql), extended(sql), extended(sql, results=1))


def test_keys_that_are_parameters(pair: Pair) -> None:
    for key in (b"email", b"address", b"tags", b"n", b"none"):
        sql = "SELECT id, profile->>$1, profile->$2 FROM person ORDER BY id"
        both(pair, extended(sql, key, key), extended(sql, key, key, results=1))


def test_documents_as_parameters(pair: Pair) -> None:
    contains = "SELECT id FROM person WHERE profile @> $1 ORDER BY id"
    steps = []
    for value in (
        b'{"email": "ann@x.org"}',
        b'{"contacts": [{"email": "bob@x.org"}]}',
        b'{"tags": ["a", "b"]}',
        b"{}",
    ):
        steps.append(extended(contains, value))
        steps.append(extended(contains, b"\1" + value, formats=(1,)))
        steps.append(parse(contains, types=[3802]) + describe("S") + bind([value]) + execute() + SYNC)
        steps.append(extended("SELECT id FROM person WHERE profile @> $1::text::jsonb ORDER BY id", value))
    steps.append(
        extended("SELECT id FROM person WHERE profile = $1 OR profile->'email' = $2", b"[]", b'"bob@x.org"')
    )
    both(pair, *steps)


def test_writing(pair: Pair) -> None:
    both(
        pair,
        query("BEGIN"),
        query(f"INSERT INTO person VALUES (10, '{DOCUMENT.decode()}') RETURNING *"),
        query("INSERT INTO person (id, profile) VALUES (11, E'{\"email\": \"it''s\\\\n\", \"u\": \"\\\\u00e9\"}')"
              " RETURNING profile"),
        query("INSERT INTO person (id, profile) VALUES (12, jsonb'{\"email\": \"typed\"}') RETURNING profile->>'email'"),
        extended("INSERT INTO person (id, profile) VALUES ($1, $2) RETURNING *", b"13", DOCUMENT),
        extended("INSERT INTO person (id, profile) VALUES ($1, $2) RETURNING *", b"14", b"\1" + DOCUMENT,
                 formats=(0, 1), results=1),
        query("UPDATE person SET profile = jsonb_set(profile, '{email}', '\"set@x.org\"') WHERE id < 3 RETURNING profile"),
        extended("UPDATE person SET profile = jsonb_set(profile, '{email}', to_jsonb($1::text)) WHERE id = 1 RETURNING *",
                 b"string@x.org"),
        query("UPDATE person SET profile = profile || '{\"tags\": [\"z\"], \"k\": [1]}' WHERE id = 1 RETURNING profile"),
        query("UPDATE person SET profile = profile - 'email' #- '{address,street}' WHERE id = 1 RETURNING profile"),
        query("UPDATE person SET profile['email'] = '\"sub@x.org\"', profile['free'] = '7' WHERE id = 1 RETURNING profile"),
        query("UPDATE person SET profile = jsonb_insert(profile, '{tags,0}', '\"first\"') WHERE id = 1 RETURNING profile"),
        query("INSERT INTO person SELECT id + 100, profile FROM person WHERE id < 3"),
        query(ALL),
        query("ROLLBACK"),
    )  # fmt: skip


def test_copy(pair: Pair) -> None:
    for options in ("", " (FORMAT csv, HEADER)", " (FORMAT binary)"):
        out = query(f"COPY (SELECT * FROM person ORDER BY id) TO STDOUT{options}")
        both(pair, out)
        data = b"".join(m.body for m in talk(pair.plain, out) if m.kind == b"d")
        both(
            pair,
            query("BEGIN"),
            query("DELETE FROM person"),
            query(f"COPY person FROM STDIN{options}"),
            copy_data(data) + COPY_DONE,
            query(ALL),
            query("ROLLBACK"),
        )


def test_what_is_no_document(pair: Pair) -> None:
    for value in ("{", '{"email": "a"', '{"email": "a",}', '{"a": NaN}', "", '{"email": "\\ud800"}'):
        both(pair, query(f"INSERT INTO person (id, profile) VALUES (50, '{value}')"))


@pytest.mark.parametrize(
    "value", ['{"email": 5}', '{"email": ["a"]}', '{"tags": [{"x": "secret-1"}]}', '{"email": true}']
)
def test_values_that_are_no_strings(pair: Pair, value: str) -> None:
    with psycopg.connect(pair.tested.url(), autocommit=True) as connection:
        for sql in (
            "INSERT INTO person (id, profile) VALUES (50, %s)",
            "SELECT %s <@ profile FROM person WHERE id < %s",
        ):
            arguments = (
                (Jsonb(json.loads(value)),) if sql.startswith("INSERT") else (Jsonb(json.loads(value)), 9)
            )
            with pytest.raises(psycopg.DataError) as caught:
                connection.execute(sql, arguments)
            assert caught.value.sqlstate == "22023"
            assert "neither a string nor null" in str(caught.value)
            assert "secret-1" not in str(caught.value)


ROLES = {
    "app": {"users": [SUPERUSER], "reveal": ["*"]},
    "path_masked": {
        "users": ["path_masked"],
        "mask": ["public.person.profile"],
        "reveal": ["public.person.profile.tags[*]"],
    },
    "default": {"tokens": ["*"]},
}


def test_each_path_is_shown_as_the_role_may_see_it(postgres: Cluster, database: str) -> None:
    tables = {
        "public.person": {
            "columns": {"profile": {"paths": {**PATHS, "email": {"domain": "mail", "mask": "email"}}}}
        }
    }
    postgres.psql("CREATE TABLE person (id int, profile jsonb); GRANT SELECT ON person TO PUBLIC", database)
    postgres.psql("CREATE ROLE path_masked LOGIN; CREATE ROLE path_blind LOGIN", database)
    made = deployment(postgres, database, tables=tables, roles=ROLES)
    try:
        made.apply()
        with Gateway(made) as gateway:
            with psycopg.connect(gateway.url(), autocommit=True) as owner:
                document = {"email": "ann@x.org", "tags": ["vip"], "free": "text"}
                owner.execute("INSERT INTO person VALUES (1, %s)", [Jsonb(document)])
            with psycopg.connect(gateway.url(user="path_masked"), autocommit=True) as masked:
                (seen,) = masked.execute("SELECT profile FROM person").fetchone() or ()
                assert seen == {"email": "a**@*.org", "tags": ["vip"], "free": "text"}
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"profile\.email"):
                    masked.execute("SELECT 1 FROM person WHERE profile->>'email' = 'ann@x.org'")
                assert masked.execute("SELECT 1 FROM person WHERE profile->'tags' ? 'vip'").fetchall() == [
                    (1,)
                ]
            with psycopg.connect(gateway.url(user="path_blind"), autocommit=True) as blind:
                (seen,) = blind.execute("SELECT profile FROM person").fetchone() or ()
                assert seen["email"].startswith("pn1")
                assert seen["tags"][0].startswith("pn1")
    finally:
        postgres.psql("DROP OWNED BY path_masked, path_blind; DROP ROLE path_masked, path_blind", database)


def test_no_plaintext_of_leaves_or_elements_is_stored() -> None:
    """What is written as parts of documents and arrays, in all ways, is in no file of the server: heap, WAL, log."""
    settings = {"log_statement": "all", "log_min_error_statement": "debug5", "log_parameter_max_length": "-1"}
    tables: dict[str, object] = {
        "public.person": {"columns": {"profile": {"paths": PATHS}, "lists": {}, "mail": {"domain": "mail"}}}
    }
    with Cluster(settings=settings) as cluster:
        cluster.psql("CREATE TABLE person (id int, profile jsonb, lists text[], mail text)")
        made = deployment(cluster, "postgres", tables=tables)
        made.apply()
        secrets: list[str] = []

        def canary() -> str:
            secrets.append(f"canary{len(secrets):03d}{'xyzzy' * 2}")
            return secrets[-1]

        def document() -> str:
            return json.dumps(
                {
                    "email": canary(),
                    "contacts": [{"email": canary()}],
                    "tags": [canary()],
                    "address": {"street": canary()},
                }
            )

        with Gateway(made) as gateway, psycopg.connect(gateway.url(), autocommit=True) as connection:
            connection.execute(f"INSERT INTO person VALUES (1, '{document()}', '{{{canary()}}}')")
            for binary in (False, True):
                cursor = connection.cursor(binary=binary)
                cursor.execute(
                    "INSERT INTO person VALUES (2, %s, %s)",
                    [Jsonb(json.loads(document())), [canary(), canary()]],
                )
                cursor.execute("SELECT 1 FROM person WHERE profile @> %s OR lists && %s::text[]",
                               [Jsonb(json.loads(document())), [canary()]])  # fmt: skip
            connection.execute(
                f"UPDATE person SET profile = jsonb_set(profile, '{{email}}', '\"{canary()}\"')"
            )
            connection.execute(
                f"UPDATE person SET lists = array_append(lists, '{canary()}'), profile = '{document()}'"
            )
            connection.execute(
                f"UPDATE person SET lists[1] = '{canary()}', profile['email'] = '\"{canary()}\"'"
            )
            connection.execute(
                f"SELECT 1 FROM person WHERE profile->>'email' = '{canary()}' OR '{canary()}' = ANY(lists)"
            )
            connection.execute(f"SELECT 1 FROM person WHERE profile->>'email' LIKE '%{canary()}%'")
            with connection.cursor().copy("COPY person (id, profile, lists) FROM STDIN") as copy:
                copy.write_row((3, document(), [canary()]))
            for bad in (f"INSERT INTO person (profile) VALUES ('{document()}x')",
                        f"INSERT INTO person (profile) VALUES ('{{\"email\": [\"{canary()}\"]}}')",
                        f"INSERT INTO person (lists) VALUES ('{{{canary()}')",
                        f"SELECT 1 FROM person WHERE profile @> '{{\"tags\": {{\"a\": \"{canary()}\"}}}}'",
                        f"UPDATE person SET profile = jsonb_build_object('email', '{canary()}')"):  # fmt: skip
                with pytest.raises(psycopg.Error):
                    connection.execute(bad)
            (count,) = (
                connection.execute("SELECT count(*) FROM person WHERE profile->>'email' <> ''").fetchone()
                or ()
            )
            assert count == 4
        cluster.stop()
        found = cluster.scan(secret.encode() for secret in secrets)
        assert not found, found
