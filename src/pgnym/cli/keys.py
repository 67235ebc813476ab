"""``pgnym keys``, and ``pgnym unseal``."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import http.client
import json
import os
import ssl
import sys
from collections.abc import Iterator

import asyncpg
import msgspec

from pgnym import onboard
from pgnym.cli.connections import NAME, owners
from pgnym.cli.onboarding import Bars, refuse_other_database, tools
from pgnym.cli.vaults import needed_key
from pgnym.config import ConfigError, load, master_key_of_file
from pgnym.config.address import Address, parse_address
from pgnym.gateway.logins import vault_login
from pgnym.vault import master_rotation, rotation
from pgnym.vault.key_status import Keys, keys_of
from pgnym.vault.keyring import Keyring
from pgnym.vault.keys import MasterKey, master_key_generate
from pgnym.vault.shares import ShareCollector
from pgnym.vault.shares import split as split_key

DONE, FAILED = 0, 1
_TIMEOUT = 60.0


def generate(options: argparse.Namespace) -> int:
    """A new master key on standard output."""
    print(master_key_generate())
    return DONE


def split(options: argparse.Namespace) -> int:
    """The configured master key in shares, one a line on standard output."""
    master = _given_key(options.key_file, "--key-file")
    if master is None:
        master = MasterKey(needed_key(load(options.config)))
    try:
        shares = split_key(master, options.threshold, options.shares)
    except ValueError as error:
        raise ConfigError("--shares", str(error)) from None
    print(
        f"master key {master.id}: any {options.threshold} of these {options.shares} unseal it",
        file=sys.stderr,
    )
    master.wipe()
    print("\n".join(shares))
    return DONE


def rotate_data_keys(options: argparse.Namespace) -> int:
    """New data keys for one tenant or all; goes on with a rotation that was interrupted."""
    config = load(options.config)
    keyring = Keyring(MasterKey(needed_key(config)))

    async def work() -> list[rotation.Rotated]:
        async with owners(config, options.url, options.vault_url) as (_, vault):
            with Bars() as bars:

                def report(tenant: str, done: int, total: int) -> None:
                    bars.report(onboard.Progress(onboard.Stage.RESEAL, tenant, done, total))

                return await rotation.rotate_data(vault, keyring, report, tenant=options.tenant)

    try:
        for done in asyncio.run(work()):
            begun = "finished the rotation to" if done.resumed else "rotated to"
            destroyed = ", ".join(map(str, done.destroyed)) or "none"
            print(
                f"{done.tenant}: {begun} data key {done.generation}; {done.values} values sealed anew,"
                f" destroyed: {destroyed}"
            )
    finally:
        keyring.wipe()
    return DONE


def rotate_master_key(options: argparse.Namespace) -> int:
    """Begin, finish or take back a change of the master key."""
    config = load(options.config)
    new = _given_key(options.new_key_file, "--new-key-file")
    if options.finish and new is not None:
        present = new
    else:
        present = _from_shares() if options.shares else MasterKey(needed_key(config))
    if new is None and not (options.finish or options.cancel):
        raise ConfigError("--new-key-file", "missing", "make a new master key with: pgnym keys generate")

    async def work(report: master_rotation.Report) -> str:
        async with owners(config, options.url, options.vault_url) as (_, vault):
            if options.finish or options.cancel:
                done = await master_rotation.finish(vault, present, report)
                if done.gone is None:
                    return f"master key {done.staying} is the only one; there was nothing to end"
                return f"master key {done.gone} opens nothing any more; master key {done.staying} does"
            assert new is not None
            begun = await master_rotation.begin(vault, present, new, report)
            return (
                f"master keys {begun.old} and {begun.new} both open the vault ({begun.tenants} tenants);"
                " give gateways the new one, then: pgnym keys rotate master --finish"
            )

    try:
        with Bars() as bars:

            def report(done: int, total: int) -> None:
                bars.report(onboard.Progress(onboard.Stage.WRAP, "master key", done, total))

            said = asyncio.run(work(report))
        print(said)
    finally:
        present.wipe()
        if new is not None:
            new.wipe()
    return DONE


def _given_key(name: str | None, option: str) -> MasterKey | None:
    return None if name is None else MasterKey(master_key_of_file(name, option))


def _from_shares() -> MasterKey:
    """The master key from shares, typed unseen or from standard input. VaultError for those that don't fit."""
    collector = ShareCollector()
    for share in _shares():
        progress = collector.add(share)
        if progress.given >= progress.needed:
            return collector.combine()
        print(f"{progress.given} of {progress.needed} shares", file=sys.stderr)
    return collector.combine()


def status(options: argparse.Namespace) -> int:
    """Which keys there are, and how old and used they are. By the gateway's login; no master key is needed."""
    config = load(options.config)

    async def work() -> Keys:
        connection = await asyncpg.connect(
            **vault_login(config, os.environ), timeout=config.vault.timeout or 60, server_settings=NAME
        )
        try:
            return await keys_of(connection, options.tenant)
        finally:
            await connection.close()

    found = asyncio.run(work())
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        return DONE
    if (change := found.change) is not None:
        print(
            f"master key: being changed since {change.begun:%Y-%m-%d}, from {change.old} to {change.new}: {change.state}"
        )
    for tenant in found.tenants:
        print(f"{tenant.tenant}: under master key {tenant.master_key}")
        print(f"  {'key':8} {'generation':>10} {'age':>8} {'sealings':>12} {'of limit':>9} {'values':>12}")
        for key in tenant.keys:
            cells = [f"{key.age_days} d", "", "", ""]
            if key.reserved is not None and key.share is not None:
                cells[1:] = [str(key.reserved), f"{key.share:.2%}", str(key.values)]
            line = f"  {key.purpose:8} {key.generation:>10} {cells[0]:>8} {cells[1]:>12} {cells[2]:>9} {cells[3]:>12}"
            print((line + ("  retired" if key.retired else "")).rstrip())
        for pending in tenant.pending:
            print(f"  {pending.kind} keys are being changed: {pending.done} of {pending.total} values done")
    return DONE


def rotate_token_keys(options: argparse.Namespace) -> int:
    """New token keys for one tenant or all, while gateways pause; goes on with a change that was ended."""
    config = load(options.config)
    key = needed_key(config)
    keyring = Keyring(MasterKey(key), changes_tokens=True)

    async def work() -> list[onboard.Retokened]:
        async with owners(config, options.url, options.vault_url) as (app, vault):
            if config.vault.url is None:
                await refuse_other_database(config, app)
            with Bars() as bars:
                async with tools(config, key, app, vault, bars) as ready:
                    return await onboard.retoken(ready, keyring, options.tenant)

    try:
        for done in asyncio.run(work()):
            left = f"; {done.left} values were not under tokens of the old key, and stay" if done.left else ""
            print(
                f"{done.tenant}: {done.values} values under new tokens, {done.rows} rows changed,"
                f" {done.deleted} old tokens open nothing any more{left}"
            )
    finally:
        keyring.wipe()
    return DONE


def unseal(options: argparse.Namespace) -> int:
    """Give shares, one a line, to a running gateway: typed unseen, or from standard input."""
    address = (
        load(options.config).admin.addresses[0] if options.admin is None else parse_address(options.admin)
    )
    context = ssl.create_default_context(cafile=options.ca) if options.tls else None
    for share in _shares():
        status, answer = _post(address, context, {"share": share})
        if status != 200:
            detail = str(answer.get("detail", "the admin endpoint did not answer as one"))
            print(f"pgnym: not unsealed: {detail}", file=sys.stderr)
            return FAILED
        if not answer["sealed"]:
            print("unsealed")
            return DONE
        print(f"{answer['shares_given']} of {answer['shares_needed']} shares", file=sys.stderr)
    print("pgnym: not unsealed: more shares are needed", file=sys.stderr)
    return FAILED


def _shares() -> Iterator[str]:
    if sys.stdin.isatty():
        while share := getpass.getpass("a share (not shown; empty: stop): "):
            yield share
        return
    for line in sys.stdin:
        if line.strip():
            yield line.strip()


def _post(
    address: Address, context: ssl.SSLContext | None, body: dict[str, str]
) -> tuple[int, dict[str, object]]:
    """Raises OSError when the endpoint can't be reached."""
    host, port = address.host or "127.0.0.1", address.port
    connection: http.client.HTTPConnection
    if context is None:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
    try:
        connection.request("POST", "/v1/unseal", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        try:
            return answer.status, dict(json.loads(answer.read()))
        except ValueError:
            return answer.status, {}
    finally:
        connection.close()
