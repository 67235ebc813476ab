"""Reports and erasures with connectors: other systems' parts, those that fail, a gateway that is killed in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.admin import AdminClient, first_token
from support.cluster import PASSWORD, Cluster
from support.gateway import Deployment, Gateway, deployment
from support.saas import Saas, serving

pytestmark = pytest.mark.server

TABLES: dict[str, Any] = {
    "public.p": {"subject": "id", "columns": {"mail": {"domain": "mail"}, "name": {"tokens": "randomized"}}}
}


@dataclass
class World:
    """Somebody who is also in HubSpot and in a warehouse."""

    made: Deployment
    gateway: Gateway
    ask: AdminClient
    saas: Saas
    postgres: Cluster
    store: str
    warehouse: str

    def erase(self, subject: str) -> str:
        """Begin; the Location."""
        tag = self.ask("GET", f"/v1/subjects/{subject}/report").headers["etag"]
        begun = self.ask("DELETE", f"/v1/subjects/{subject}", headers={"If-Match": tag})
        assert begun.status == 202, begun.body
        return begun.headers["location"]

    def told(self, query: str) -> str:
        """From the vault's database."""
        return self.postgres.psql(query, self.store).strip()


@pytest.fixture(params=[False, True], ids=["one database", "vault elsewhere"])
def world(
    request: pytest.FixtureRequest, postgres: Cluster, make_database: Callable[..., str], tmp_path: Path
) -> Iterator[World]:
    database, warehouse = make_database(), make_database()
    store = make_database() if request.param else database
    postgres.psql(
        "CREATE TABLE p (id int PRIMARY KEY, mail text, name text);"
        "INSERT INTO p VALUES (1, 'ann@example.org', 'Ann'), (2, 'bob@example.org', 'Bob'), (3, NULL, 'Eve')",
        database,
    )
    postgres.psql("CREATE TABLE visit (who int); INSERT INTO visit VALUES (1), (1), (2)", warehouse)
    (tmp_path / "password").write_text(PASSWORD)
    with serving() as saas:
        saas.connect(tmp_path)
        saas.add("hubspot", "h1", "ann@example.org", firstname="Ann")
        saas.add("hubspot", "h2", "bob@example.org", firstname="Bob")
        connectors = {
            "crm": saas.connector | {"by": "mail"},
            "warehouse": {
                "kind": "postgresql",
                "options": {
                    "url": f"postgresql://postgres@{postgres.host}:{postgres.port}/{warehouse}",
                    "password_file": str(tmp_path / "password"),
                    "report": {"visits": "SELECT * FROM visit WHERE who = $1::text::int"},
                    "erase": ["DELETE FROM visit WHERE who = $1::text::int"],
                },
            },
        }
        made = deployment(
            postgres, database, tables=TABLES, privacy={"settle": 0}, connectors=connectors,
            vault=(postgres, store) if request.param else None,
        )  # fmt: skip
        made.apply()
        with Gateway(made) as gateway:
            yield World(
                made, gateway, AdminClient(gateway, first_token(gateway)), saas, postgres, store, warehouse
            )


def test_a_report_has_every_part_or_says_why_not(world: World) -> None:
    crm, warehouse = world.ask("GET", "/v1/subjects/1/report").body["elsewhere"]
    assert (crm["connector"], crm["kind"], crm["error"]) == ("crm", "rest", None)
    assert crm["found"][0]["properties"] == {"firstname": "Ann", "email": "ann@example.org"}
    assert warehouse["found"] == [{"query": "visits", "rows": [{"who": 1}, {"who": 1}]}]
    world.saas.failing = 1
    crm, warehouse = world.ask("GET", "/v1/subjects/1/report").body["elsewhere"]
    assert (crm["found"], crm["error"]) == ([], "GET was answered 503")
    assert warehouse["error"] is None
    page = world.ask("GET", "/v1/subjects/1/report", headers={"Accept": "text/html"}).body
    assert "ann@example.org" in page
    assert "Held by <bdi>warehouse</bdi>" in page
    nobody = world.ask("GET", "/v1/subjects/3/report").body["elsewhere"][0]
    assert (nobody["found"], nobody["error"]) == ([], None), "no address, nobody to ask about"


def test_an_erasure_is_complete_when_all_have_erased(world: World) -> None:
    ended = world.ask.wait_for_erasure(world.erase("1"), until=("finished",))
    assert [(e["connector"], e["done"], e["erased"], e["attempts"]) for e in ended["elsewhere"]] == [
        ("crm", True, 1, 1), ("warehouse", True, 2, 1),
    ]  # fmt: skip
    assert list(world.saas.people["hubspot"]) == ["h2"]
    assert world.postgres.psql("SELECT who FROM visit", world.warehouse).split() == ["2"]
    assert world.told("SELECT count(*) FROM vault.erasure_connector WHERE identifier <> ''") == "0"
    texts = [r["text"] for r in world.ask("GET", "/v1/audit?action=erase").body["items"]]
    assert any(text.endswith("connector crm: 1 erased") for text in texts)
    assert any(text.endswith("connector warehouse: 2 erased") for text in texts)


def test_what_fails_is_tried_again_also_by_another_gateway(world: World) -> None:
    world.saas.failing = 10_000
    place = world.erase("2")
    ended = world.ask.wait_for_erasure(place, until=("incomplete",), tried=True)
    assert ended["elsewhere"][0]["problem"] == "GET was answered 503"
    assert world.told("SELECT count(*) FROM vault.value") == "3", "here nothing of theirs is left"
    stored = world.told("SELECT encode(identifier, 'escape') FROM vault.erasure_connector WHERE NOT done")
    assert stored
    assert "bob" not in stored
    world.gateway.kill()
    world.saas.failing = 0
    # Its pause is over, as far as the one that starts can tell.
    world.told("UPDATE vault.erasure_connector SET next = now()")
    world.gateway.start()
    world.ask.wait_for_erasure(place, until=("finished",))
    assert "h2" not in world.saas.people["hubspot"]
    assert "bob" not in world.gateway.stderr_text()


def test_the_command_says_what_is_left(world: World) -> None:
    world.gateway.kill()
    world.saas.failing = 1
    said = world.made.pgnym("subject", "erase", "1", "--yes", "--settle", "0", check=False)
    assert said.returncode == 1
    assert "incomplete: connector crm: GET was answered 503" in said.stderr
    assert "connector warehouse: 2 erased" in said.stdout
    again = world.made.pgnym("subject", "erase", "4711", "--yes")
    assert "connector crm: 1 erased" in again.stdout
    assert list(world.saas.people["hubspot"]) == ["h2"]
    with psycopg.connect(world.made.owner_url) as session:
        assert session.execute("SELECT mail FROM p WHERE id = 1").fetchone() == (None,)
