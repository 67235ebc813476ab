"""``pgnym keys rotate data``, ended by SIGKILL at moments of chance and run again: every value opens all the time."""

from __future__ import annotations

import base64
import secrets
import subprocess
from pathlib import Path

import pytest

from support.cluster import Cluster
from support.gateway import command, deployment
from support.vault_database import MASTER, VaultDatabase, run, some

pytestmark = pytest.mark.server

KILLS = 5
VALUES = 20_000
STATE = (
    "SELECT (SELECT array_agg(generation ORDER BY generation) FROM vault.key WHERE purpose = 'data'),"
    " (SELECT array_agg(DISTINCT generation ORDER BY generation) FROM vault.value)"
)


def test_a_rotation_that_is_killed_goes_on_when_run_again(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    config = tmp_path / "pgnym.yaml"
    config.write_text(f"upstream: {{host: {postgres.host}, port: {postgres.port}, database: {database}}}\n")
    made = deployment(postgres, database)
    environment = made.environment() | {"PGNYM_MASTER_KEY": base64.b64encode(MASTER).decode()}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command(), "keys", "rotate", "data", "-c", str(config)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def scenario(vault_database: VaultDatabase) -> None:
        async with vault_database.vault(cache_bytes=0) as vault, vault_database.owner() as owner:
            tenant = await vault.tenant("main")
            values = some(tenant, VALUES)
            await tenant.put(values)
            begun = 0
            for _ in range(KILLS):
                threshold = secrets.randbelow(VALUES)
                process = start()
                while process.poll() is None:
                    done = await owner.fetchval(
                        "SELECT count(*) FROM vault.value WHERE generation ="
                        " (SELECT max(generation) FROM vault.key WHERE purpose = 'data' AND generation > 1)"
                    )
                    if done > threshold:
                        process.kill()
                        break
                process.communicate(timeout=60)
                keys, held = await owner.fetchrow(STATE)  # type: ignore[misc]
                assert set(held) <= set(keys)
                begun += len(keys) > 1
                assert await tenant.get(values) == values
                fresh = some(tenant, 10, VALUES + begun * 10)
                await tenant.put(fresh)
                values |= fresh
            last = start()
            said, errors = last.communicate(timeout=60)
            assert last.returncode == 0, errors
            assert "values sealed anew" in said
            keys, held = await owner.fetchrow(STATE)  # type: ignore[misc]
            assert len(keys) == 1
            assert held == keys
            assert await tenant.get(values) == values
            assert base64.b64encode(MASTER).decode() not in said + errors

    run(postgres, database, scenario)
