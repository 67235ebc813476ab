"""TLS on either leg, on both, and on none, with passwords: an application changes host and port, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from support.certificates import Certificates, make_certificates
from support.cluster import Cluster
from support.gateway import DIRECT, Deployment, Gateway, GatewayError, deployment

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(f"'{DIRECT}' in __import__('os').environ", reason="it is pgnym's TLS that is tested"),
]

TABLE = "CREATE TABLE person (id int PRIMARY KEY, email text)"
PROTECTED: dict[str, Any] = {"public.person": {"columns": {"email": {}}}}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def app(system_postgres: Cluster, certificates: Certificates) -> Iterator[Deployment]:
    """Applied once: the vault's login and key belong to it."""
    system_postgres.psql("CREATE DATABASE tls_app")
    system_postgres.psql(TABLE, "tls_app")
    tls = {"cert": str(certificates.server), "key": str(certificates.key)}
    made = deployment(system_postgres, "tls_app", tables=PROTECTED, gateway={"tls": tls})
    made.apply()
    yield made
    system_postgres.psql("DROP DATABASE tls_app WITH (FORCE)")


def with_upstream(made: Deployment, **options: object) -> Deployment:
    """The same deployment with other TLS options towards the server."""
    return replace(made, config=made.config | {"upstream": made.config["upstream"] | options})


@pytest.mark.parametrize("upstream", ["disable", "require", "verify-full"])
@pytest.mark.parametrize("client", ["disable", "require", "verify-full"])
def test_tls_on_each_leg(
    system_postgres: Cluster, app: Deployment, certificates: Certificates, client: str, upstream: str
) -> None:
    assert system_postgres.certificates is not None
    root = str(system_postgres.certificates.authority) if upstream == "verify-full" else None
    with Gateway(with_upstream(app, sslmode=upstream, sslrootcert=root)) as gateway:
        url = f"{gateway.url()}?sslmode={client}&sslrootcert={certificates.authority}&gssencmode=disable"
        if client != "disable" and upstream != "disable":
            with pytest.raises(psycopg.OperationalError, match="channel_binding=disable"):
                psycopg.connect(url)
            url += "&channel_binding=disable"
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.pgconn.ssl_in_use == (client != "disable")
            encrypted = connection.execute(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            ).fetchone()
            assert encrypted == (upstream != "disable",)
            connection.execute("INSERT INTO person VALUES (1, 'a@x.org')")
            row = connection.execute("SELECT id FROM person WHERE email = 'a@x.org'").fetchone()
            assert row == (1,)
            connection.execute("DELETE FROM person")
        wrong = url.replace(gateway.url(), gateway.url(password="wrong"))
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


def test_an_upstream_with_another_certificate_is_refused(app: Deployment, certificates: Certificates) -> None:
    wrong = with_upstream(app, sslrootcert=str(certificates.authority))
    with pytest.raises(GatewayError, match=r"(?i)certificate") as caught, Gateway(wrong):
        pass
    assert "Traceback" not in str(caught.value)


def test_a_large_result_over_tls_on_both_legs(app: Deployment, certificates: Certificates) -> None:
    with Gateway(app) as gateway:
        url = f"{gateway.url()}?sslmode=verify-full&sslrootcert={certificates.authority}&channel_binding=disable"
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 20000)").fetchall()
            assert len(rows) == 20_000
            cursor = connection.cursor()
            cursor.executemany("INSERT INTO person VALUES (%s, %s)", [(n, f"{n}@x.org") for n in range(2000)])
            seen = connection.execute("SELECT id, email FROM person ORDER BY id").fetchall()
            assert seen == [(n, f"{n}@x.org") for n in range(2000)]
            connection.rollback()
