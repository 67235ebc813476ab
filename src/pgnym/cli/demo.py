"""``pgnym demo``: a PostgreSQL of its own, a small shop in it, plan and apply, the gateway, and a tour.

Everything is real: the commands are the ones an operator runs, the client is an ordinary driver. The demo's
keys and passwords are drawn anew and live in memory only, so when it ends nobody can open its tokens any
more.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import secrets
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.markup import escape

from pgnym.cli.demo_process import Child, ChildError, gateway, pgnym
from pgnym.cli.demo_search import search
from pgnym.cli.demo_show import Show
from pgnym.cli.demo_tour import Expected, record, tour
from pgnym.cli.embedded import EmbeddedError, EmbeddedPostgres, free_port

DATABASE = "shop"
SHOP = Path(__file__).with_name("demo_shop.sql")

CONFIG = """\
# Written by pgnym demo. The keys and the passwords are in the memory of its processes only.
gateway: {{listen: "127.0.0.1:{port}"}}
admin: {{listen: "127.0.0.1:{admin_port}"}}
upstream: {{host: 127.0.0.1, port: {upstream}, database: {database}, sslmode: disable}}
tables:
  public.customer:
    subject: customer_id
    columns:
      first_name: {{}}
      last_name: {{mask: initial}}
      email: {{domain: email, mask: email}}
      phone: {{mask: phone}}
      birth_date: {{}}
  public.orders:
    subject: customer_id
    subject_table: public.customer
    columns:
      ship_address: {{tokens: randomized}}
  public.newsletter:
    columns:
      email: {{domain: email, mask: email}}
roles:
  app: {{users: [shop_app], reveal: ["*"]}}
  support: {{users: [helpdesk], mask: ["*"], reveal: ["public.customer.first_name"]}}
  default: {{tokens: ["*"]}}
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The command's arguments. ``directory`` None: a temporary one, removed at the end."""

    check: bool
    directory: Path | None
    port: int
    admin_port: int


@dataclass(frozen=True, slots=True)
class Secrets:
    """Drawn at random for one demo; never printed but for the application's own password, which a visitor
    needs (and a token for the portal, made later).
    """

    admin: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    vault: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    master: str = field(
        default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode(), repr=False
    )
    app: str = field(default_factory=lambda: secrets.token_urlsafe(9), repr=False)


def run(args: argparse.Namespace) -> int:
    """The command. ``args``: ``check`` (bool), ``dir`` (path or None), ``port`` and ``admin_port`` (0: a
    free one). Returns the exit code.
    """
    options = Options(
        bool(args.check),
        Path(args.dir) if args.dir else None,
        int(args.port) or free_port(),
        int(args.admin_port) or free_port(),
    )
    show = Show(Console(), brief=options.check)
    errors = Console(stderr=True)
    temporary = options.directory is None
    folder = options.directory or Path(tempfile.mkdtemp(prefix="pgnym-demo-"))
    try:
        return _run(options, folder, show)
    except EmbeddedError as error:
        errors.print(f"pgnym demo: {error}", markup=False)
        if error.hint:
            errors.print(f"hint: {error.hint}", markup=False)
        return 1
    except (ChildError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        errors.print(f"pgnym demo: {error}", markup=False)
        return 1
    finally:
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)


def _run(options: Options, folder: Path, show: Show) -> int:
    known = Secrets()
    show.say("Starting PostgreSQL …")
    with EmbeddedPostgres(folder, password=known.admin) as server:
        config = folder / "pgnym.yaml"
        config.write_text(
            CONFIG.format(
                port=options.port, admin_port=options.admin_port, upstream=server.port, database=DATABASE
            )
        )
        environment = {
            "PGNYM_ADMIN_URL": server.url(database=DATABASE),
            "PGNYM_VAULT_PASSWORD": known.vault,
            "PGNYM_MASTER_KEY": known.master,
        }
        expected = asyncio.run(_shop(server, known))
        _protect(config, environment, show)
        asyncio.run(_log_statements(server))
        with gateway(config, folder / "gateway.log", environment) as child:
            asyncio.run(_tour(options, server, known, expected, show))
            if not options.check:
                token = pgnym(
                    "token", "create", "--role", "root", "--ttl", "1d", "--name", "demo", "--config", str(config),
                    environment=environment,
                ).strip()  # fmt: skip
                _stay(options, server, child, known, token, folder, show)
    if options.check:
        _search(server, expected, show)
        show.console.print(f"{show.checks - show.failed} of {show.checks} checks hold", highlight=False)
    return 1 if show.failed else 0


async def _shop(server: EmbeddedPostgres, known: Secrets) -> Expected:
    """Creates the shop as it was before pgnym, and notes what its application sees."""
    admin = await asyncpg.connect(server.url())
    try:
        for user in ("shop_app", "helpdesk"):
            await admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{known.app}'")  # our own base64 text
        await admin.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await admin.close()
    owner = await asyncpg.connect(server.url(database=DATABASE))
    try:
        await owner.execute(SHOP.read_text(encoding="utf-8"))
        await owner.execute("ANALYZE")
    finally:
        await owner.close()
    app = await asyncpg.connect(server.url("shop_app", known.app, DATABASE))
    try:
        return await record(app)
    finally:
        await app.close()


def _protect(config: Path, environment: dict[str, str], show: Show) -> None:
    show.step("pgnym plan")
    planned = pgnym("plan", "--config", str(config), environment=environment, accept=(2,)).strip()
    show.say(escape(planned))
    show.step("pgnym apply --yes --scrub-wal")
    said = pgnym("apply", "--yes", "--scrub-wal", "--config", str(config), environment=environment)
    known = set(planned.splitlines())
    show.say(escape("\n".join(line for line in said.splitlines() if line not in known)))
    show.step("pgnym plan")
    show.say(escape(pgnym("plan", "--config", str(config), environment=environment).strip()))


async def _log_statements(server: EmbeddedPostgres) -> None:
    """From here on the server's log holds all that it is told, for the search at the end."""
    admin = await asyncpg.connect(server.url())
    try:
        await admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        await admin.execute("SELECT pg_reload_conf()")
    finally:
        await admin.close()


async def _tour(
    options: Options, server: EmbeddedPostgres, known: Secrets, expected: Expected, show: Show
) -> None:
    app = await _connect(options.port, "shop_app", known)
    helpdesk = await _connect(options.port, "helpdesk", known)
    behind = await asyncpg.connect(server.url(database=DATABASE))
    try:
        await tour(app, helpdesk, behind, expected, show)
    finally:
        for connection in (app, helpdesk, behind):
            await connection.close(timeout=10)


async def _connect(port: int, user: str, known: Secrets) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=port, user=user, password=known.app, database=DATABASE, timeout=30
    )


def _stay(
    options: Options,
    server: EmbeddedPostgres,
    child: Child,
    known: Secrets,
    token: str,
    folder: Path,
    show: Show,
) -> None:
    app = f"postgresql://shop_app:{known.app}@127.0.0.1"
    show.step("try it yourself")
    show.say(f"through pgnym : [bold]{app}:{options.port}/{DATABASE}[/]")
    show.say(f"the database  : [bold]{app}:{server.port}/{DATABASE}[/]")
    show.say(f"the portal    : [bold]http://127.0.0.1:{options.admin_port}/[/], token [bold]{token}[/]")
    show.say(f"the help desk : user helpdesk, same password; configuration and logs: {folder}")
    show.say("Ctrl-C ends the demo.")
    try:
        code = child.wait()
    except KeyboardInterrupt:
        show.say("\nStopping …")
    else:
        show.check("the gateway stays up", False, f"it ended with {code}")


def _search(server: EmbeddedPostgres, expected: Expected, show: Show) -> None:
    """The server is stopped now: all it knows is in its files."""
    looked = search(server.data, expected.canaries)
    where = sorted({str(found.file.relative_to(server.data)) for found in looked.found})
    what = f"none of {len(expected.canaries)} canaries in {looked.files} files, {looked.size >> 20} MiB"
    show.check(f"{what} (tables, WAL, logs, statistics)", not looked.found, ", ".join(where[:5]))
