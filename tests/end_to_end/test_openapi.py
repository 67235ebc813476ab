"""The description of the admin endpoint against the endpoint: schemathesis makes requests, in its terms and beyond,
and whatever is answered must be described: no 5xx, no answer that isn't declared, no access without a token.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from requests.adapters import HTTPAdapter
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from pgnym.admin.openapi import describe
from pgnym.admin.resources import ROUTES
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"subject": "id", "columns": {"mail": {"domain": "mail"}}}}


class From(HTTPAdapter):
    """Requests from one address of the loopback: the endpoint counts failed authentications by address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


@dataclass
class Endpoint:
    made: Deployment
    address: str
    _numbers: Iterator[int]

    def token(self) -> str:
        """A new one of role root: the endpoint limits what each may ask in a second."""
        return self.made.pgnym("token", "create", "--role", "root", "--ttl", "1h").stdout.strip()

    def session(self) -> requests.Session:
        """Requests from an address that was not used before."""
        number = next(self._numbers)
        session = requests.Session()
        session.mount("http://", From(f"127.7.{number // 250}.{1 + number % 250}"))
        return session


@pytest.fixture(scope="module")
def endpoint(postgres: Cluster) -> Iterator[Endpoint]:
    """That of a gateway with something to tell."""
    database = "test_openapi"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    made = deployment(postgres, database, tables=TABLES)
    postgres.psql("CREATE TABLE t (id int, mail text); INSERT INTO t VALUES (1, 'ada@example.org')", database)
    made.apply()
    try:
        with Gateway(made) as gateway:
            with psycopg.connect(gateway.url()) as session:
                session.execute("SELECT mail FROM t")
            yield Endpoint(made, f"http://{gateway.admin_host}:{gateway.admin_port}", itertools.count())
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@pytest.fixture
def token(endpoint: Endpoint) -> str:
    return endpoint.token()


# What the description allows may still be refused: a cursor or a share that nobody gave, a table that isn't there. That an
# operation needs a token is tested in test_admin.py; schemathesis' own test would send ours along with the session.
LEFT_OUT = [positive_data_acceptance, ignored_auth]
schema = schemathesis.openapi.from_dict(describe(ROUTES)).exclude(
    operation_id="seal"
)  # then nothing would answer
# 428 for If-Match: RFC 6585 section 3. 404: what isn't there is so whatever else is missing.
schema.config.checks.missing_required_header.expected_statuses = ["400", "401", "404", "428"]


@schema.parametrize()
@settings(
    max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_described(case: Any, endpoint: Endpoint, token: str) -> None:
    with endpoint.session() as session:
        case.call_and_validate(
            base_url=endpoint.address,
            session=session,
            headers={"Authorization": f"Bearer {token}"},
            excluded_checks=LEFT_OUT,
        )
