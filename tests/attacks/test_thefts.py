"""The gateway's disk is stolen; the application's database is written to past the gateway; code of ours confuses tenants."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from victims import EMAIL, PEOPLE, Shop, canaries, shop

from pgnym.vault.errors import CannotOpen, KeyProblem
from support.cluster import Cluster, free_port
from support.gateway import Gateway, GatewayError
from support.scan import scan_files
from support.vault_database import VaultDatabase, run, some

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def shop_6(postgres: Cluster) -> Iterator[Shop]:
    postgres.psql("CREATE DATABASE attacked_6 TEMPLATE template0")
    with shop(postgres, "attacked_6") as made:
        yield made
    postgres.psql("DROP DATABASE attacked_6 WITH (FORCE)")


def test_the_disk_of_a_gateway_holds_no_key_and_no_value(shop_6: Shop) -> None:
    """Its directory, and what it has open: files without a name are on the disk, too."""
    with shop_6.connect("app") as app:
        assert len(canaries(app.execute("SELECT email FROM customer").fetchall())) == PEOPLE
    key = shop_6.deployed.master_key
    raw = base64.b64decode(key)
    assert (
        scan_files(shop_6.gateway.directory, [key.encode(), raw, raw.hex().encode(), b".zxq@example.org"])
        == []
    )
    for link in Path(f"/proc/{shop_6.gateway.pid}/fd").iterdir():
        target = os.readlink(link)
        if target.startswith("/") and not target.startswith(("/dev", "/proc", "/sys")):
            content = link.read_bytes()
            assert raw not in content
            assert key.encode() not in content
            assert b".zxq@example.org" not in content


def test_with_a_stolen_configuration_a_gateway_stays_sealed(shop_6: Shop) -> None:
    """The login of the vault is stolen with it; the master key isn't there."""
    for arguments in (
        ("verify",),
        ("audit", "show"),
        ("token", "create", "--role", "root"),
        ("grant", "list"),
    ):
        refused = shop_6.deployed.pgnym(*arguments, sealed=True, check=False)
        assert refused.returncode == 1
        assert "no master key" in refused.stderr
        assert not canaries(refused.stdout + refused.stderr)
    where = shop_6.cluster.url(shop_6.database, user="pgnym_gateway", password=shop_6.deployed.vault_password)
    with psycopg.connect(where) as thief:
        thief.execute("SELECT set_config('pgnym.tenant', '1', false)")
        for table in ("value", "key", "audit", "reveal_grant", "api_token"):
            assert not canaries(thief.execute(f"SELECT * FROM vault.{table}").fetchall())
        assert thief.execute("SELECT count(*) FROM vault.value").fetchone() != (0,)


WRITES = (
    f"UPDATE customer SET email = '{EMAIL.format(1)}' WHERE id = 1",
    "INSERT INTO customer (id, email) VALUES (900, 'somebody@example.org')",
    "UPDATE customer SET first_name = 'pn1'",
    "UPDATE letter SET sender = 'x'; INSERT INTO letter VALUES (1, 'plain')",
)


@pytest.mark.parametrize("text", WRITES)
def test_plaintext_written_past_the_gateway_is_refused(shop_6: Shop, text: str) -> None:
    with shop_6.direct() as owner, pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(text)


def test_a_gateway_that_mistakes_one_tenant_for_another_opens_nothing(
    postgres: Cluster, database: str
) -> None:
    """A bug in our own code, injected: the rows of another tenant are asked for, with a token of its. The keys don't fit."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            values = some(one, 3)
            await one.put(values)
        async with made.vault() as vault:  # with nothing in memory
            one, two = await vault.tenant("one"), await vault.tenant("two")
            two.id = one.id
            with pytest.raises((CannotOpen, KeyProblem)):
                await two.get(values)
            two.id = (await vault.tenant("three")).id
            assert await two.get(values) == {}
            assert await one.get(values) == values

    run(postgres, database, scenario)


def test_a_key_of_another_installation_opens_nothing(shop_6: Shop) -> None:
    other = base64.b64encode(bytes(32)).decode()
    listen = {name: {"listen": f"127.0.0.1:{free_port()}"} for name in ("gateway", "admin")}
    stolen = replace(shop_6.deployed, config=shop_6.deployed.config | listen)
    with (
        pytest.raises(GatewayError, match="master key"),
        Gateway(stolen, environment={"PGNYM_MASTER_KEY": other}),
    ):
        pass
