"""Requests that are sent again: carried out once, answered alike, and told to nobody else."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.admin import AdminClient
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"columns": {"mail": {"domain": "mail"}}}}
TOKEN = {"role": "auditor", "name": "made once"}


@dataclass
class World:
    made: Deployment
    gateway: Gateway
    database: str
    postgres: Cluster
    root: str

    def post(
        self, key: str | None, body: object = TOKEN, token: str | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = AdminClient(self.gateway, token or self.root)(
            "POST", "/v1/api-tokens", body, headers=headers
        )
        return answer.status, answer.body, answer.headers

    def tokens(self) -> int:
        return int(self.sql("SELECT count(*) FROM vault.api_token"))

    def sql(self, text: str) -> str:
        return self.postgres.psql(text, self.database).strip()


@pytest.fixture(scope="module")
def world(postgres: Cluster) -> Iterator[World]:
    database = "test_idempotency"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    made = deployment(postgres, database, tables=TABLES)
    postgres.psql("CREATE TABLE t (id int, mail text)", database)
    made.apply()
    try:
        with Gateway(made) as gateway:
            root = made.pgnym("token", "create", "--role", "root").stdout.strip()
            yield World(made, gateway, database, postgres, root)
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def test_the_first_answer_is_given_again_and_nothing_is_made(world: World) -> None:
    status, body, headers = world.post('"once-1"')
    assert status == 201
    assert "idempotent-replayed" not in headers
    before = world.tokens()
    for key in ('"once-1"', "once-1"):
        again, same, told = world.post(key)
        assert (again, same) == (status, body)
        assert told["idempotent-replayed"] == "true"
        assert (told["location"], told["etag"]) == (headers["location"], headers["etag"])
    assert world.tokens() == before
    assert world.post(None)[1]["id"] != body["id"], "without a key each is carried out"


def test_what_is_kept_opens_for_its_bearer_alone(world: World) -> None:
    _, body, _ = world.post("once-2")
    rows = world.sql(
        "SELECT k::text, encode(key, 'escape'), encode(answer, 'escape') FROM vault.idempotency_key k"
    )
    assert body["secret"] not in rows
    assert "made once" not in rows
    assert "once-2" not in rows
    _, other, _ = world.post(None, {"role": "root", "name": "another root"})
    status, mine, _ = world.post("once-2", token=other["secret"])
    assert status == 201
    assert mine["id"] != body["id"], "keys of two tokens are two keys"
    # Planted under another token, the answer doesn't open.
    world.sql(
        "UPDATE vault.idempotency_key k SET answer = (SELECT answer FROM vault.idempotency_key o"
        f" WHERE o.key = k.key AND o.api_token <> k.api_token) WHERE api_token = {other['id']} AND key = sha256('once-2')"
    )
    status, refused, _ = world.post("once-2", token=other["secret"])
    assert status == 503
    assert "does not open" in refused["detail"]


def test_another_request_under_the_same_key_is_refused(world: World) -> None:
    assert world.post("once-3")[0] == 201
    before = world.tokens()
    status, body, _ = world.post("once-3", {"role": "dpo", "name": "made once"})
    assert status == 422
    assert "another request" in body["detail"]
    assert world.tokens() == before


def test_a_refused_request_leaves_its_key_free(world: World) -> None:
    nowhere = {"role": "dpo", "name": "x", "tenant": "nowhere"}
    assert world.post("once-4", nowhere)[0] == 404
    assert world.post("once-4", nowhere)[0] == 404
    assert world.post("once-4")[0] == 201, "not carried out, so the key may be used for what is"


@pytest.mark.parametrize("key", ['"open', "", "with space", '"' + "x" * 256 + '"', "a, b", "\xe9"])
def test_what_is_no_key_is_refused(world: World, key: str) -> None:
    before = world.tokens()
    assert world.post(key)[0] == 400
    assert world.tokens() == before


def test_of_many_at_once_one_is_carried_out(world: World) -> None:
    before = world.tokens()
    answers: list[tuple[int, Any, dict[str, str]]] = []
    threads = [threading.Thread(target=lambda: answers.append(world.post("once-5"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer[0] for answer in answers} <= {201, 409}
    assert len({answer[1]["id"] for answer in answers if answer[0] == 201}) == 1
    assert world.tokens() == before + 1
    assert world.post("once-5")[0] == 201


def test_one_that_was_cut_off_is_not_carried_out_again(world: World) -> None:
    """As if the gateway had ended before it kept the answer."""
    assert world.post("once-6")[0] == 201
    world.sql("UPDATE vault.idempotency_key SET answer = NULL, under_way = true WHERE key = sha256('once-6')")
    status, body, headers = world.post("once-6")
    assert (status, headers["retry-after"]) == (409, "1")
    assert "under way" in body["detail"]
    world.sql(
        "UPDATE vault.idempotency_key SET created = now() - interval '6 min' WHERE key = sha256('once-6')"
    )
    before = world.tokens()
    status, body, _ = world.post("once-6")
    assert status == 409
    assert "not known" in body["detail"]
    assert world.tokens() == before


def test_keys_are_forgotten_after_a_day(world: World) -> None:
    _, body, _ = world.post("once-7")
    world.sql("UPDATE vault.idempotency_key SET created = now() - interval '25 h'")
    status, other, headers = world.post("once-7")
    assert status == 201
    assert other["id"] != body["id"]
    assert "idempotent-replayed" not in headers
    assert world.sql("SELECT count(*) FROM vault.idempotency_key") == "1"


def test_each_is_recorded(world: World) -> None:
    world.post("once-8")
    world.post("once-8")
    connection = http.client.HTTPConnection(world.gateway.admin_host, world.gateway.admin_port, timeout=30)
    connection.request(
        "GET",
        "/v1/audit?fingerprint=createApiToken&limit=2",
        headers={"Authorization": f"Bearer {world.root}"},
    )
    texts = [item["text"] for item in json.loads(connection.getresponse().read())["items"]]
    connection.close()
    assert texts == ["POST /v1/api-tokens 201 again", "POST /v1/api-tokens 201"]
