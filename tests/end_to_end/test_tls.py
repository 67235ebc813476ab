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
        url = f"{gateway.url()}?sslmode=verify-full&sslrootcert={certificates.authority}"
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 20000)").fetchall()
            assert len(rows) == 20_000
            cursor = connection.cursor()
            cursor.executemany("INSERT INTO person VALUES (%s, %s)", [(n, f"{n}@x.org") for n in range(2000)])
            seen = connection.execute("SELECT id, email FROM person ORDER BY id").fetchall()
            assert seen == [(n, f"{n}@x.org") for n in range(2000)]
            connection.rollback()


def tls_url(gateway: Gateway, certificates: Certificates, **options: str) -> str:
    more = "".join(f"&{key}={value}" for key, value in options.items())
    return f"{gateway.url()}?sslmode=verify-full&sslrootcert={certificates.authority}{more}"


@pytest.mark.parametrize("binding", ["require", "prefer", "disable"])
def test_scram_ends_in_the_gateway_with_tls_on_both_legs(
    app: Deployment, certificates: Certificates, binding: str
) -> None:
    with Gateway(app) as gateway:
        with psycopg.connect(tls_url(gateway, certificates, channel_binding=binding)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert connection.pgconn.used_password
        said = gateway.stderr_text()
        assert "SCRAM" not in said
        assert "correct horse" not in said


def test_who_may_not_log_in(system_postgres: Cluster, app: Deployment, certificates: Certificates) -> None:
    """As without a gateway: a wrong password, an unknown user, an expired one, one without, one that may not log in."""
    system_postgres.psql(
        "CREATE ROLE expired LOGIN PASSWORD 'p' VALID UNTIL '2001-01-01'; CREATE ROLE nologin PASSWORD 'p';"
        "CREATE ROLE no_password LOGIN"
    )
    try:
        with Gateway(app) as gateway:
            for user, password, said in (
                ("postgres", "wrong", "password authentication failed for user"),
                ("nobody_knows", "p", "password authentication failed for user"),
                ("expired", "p", "password authentication failed for user"),
                ("no_password", "p", "password authentication failed for user"),
                ("nologin", "p", "is not permitted to log in"),
            ):
                url = gateway.url(user=user, password=password)
                with pytest.raises(psycopg.OperationalError) as caught:
                    psycopg.connect(f"{url}?sslmode=verify-full&sslrootcert={certificates.authority}")
                assert said in str(caught.value)
                assert f'"{user}"' in str(caught.value)
    finally:
        system_postgres.psql("DROP ROLE expired, nologin, no_password")


def test_a_changed_password_counts_at_once(
    system_postgres: Cluster, app: Deployment, certificates: Certificates
) -> None:
    system_postgres.psql("CREATE ROLE changing LOGIN PASSWORD 'one'")
    try:
        with Gateway(app) as gateway:
            tail = f"?sslmode=verify-full&sslrootcert={certificates.authority}"
            psycopg.connect(gateway.url(user="changing", password="one") + tail).close()
            system_postgres.psql("ALTER ROLE changing PASSWORD 'two'")
            psycopg.connect(gateway.url(user="changing", password="two") + tail).close()
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(gateway.url(user="changing", password="one") + tail)
    finally:
        system_postgres.psql("DROP ROLE changing")


def test_verifiers_are_for_the_gateway_alone(system_postgres: Cluster, app: Deployment) -> None:
    system_postgres.psql("CREATE ROLE curious LOGIN PASSWORD 'p'", "tls_app")
    try:
        with (
            psycopg.connect(system_postgres.url("tls_app", user="curious", password="p")) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT pgnym.scram_verifier('postgres')")
    finally:
        system_postgres.psql("DROP ROLE curious", "tls_app")
