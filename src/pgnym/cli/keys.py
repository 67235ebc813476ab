"""``pgnym keys``, and ``pgnym unseal``."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import http.client
import json
import ssl
import sys
from collections.abc import Iterator

from pgnym import onboard
from pgnym.cli.connections import owners
from pgnym.cli.onboarding import Bars
from pgnym.cli.vaults import needed_key
from pgnym.config import ConfigError, load
from pgnym.config.address import Address, parse_address
from pgnym.vault import rotation
from pgnym.vault.errors import VaultError
from pgnym.vault.keyring import Keyring
from pgnym.vault.keys import MasterKey, master_key_generate
from pgnym.vault.shares import split as split_key

DONE, FAILED = 0, 1
_TIMEOUT = 60.0


def generate(options: argparse.Namespace) -> int:
    """A new master key on standard output."""
    print(master_key_generate())
    return DONE


def split(options: argparse.Namespace) -> int:
    """The configured master key in shares, one a line on standard output."""
    config = load(options.config)
    master = MasterKey(needed_key(config))
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


def rotate_token_keys(_options: argparse.Namespace) -> int:
    """Not built: refused."""
    hint = "A new token key makes other tokens of the same values: `pgnym undo` and `pgnym apply` with a new vault do that."
    raise VaultError("token keys can't be rotated", hint=hint)


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
