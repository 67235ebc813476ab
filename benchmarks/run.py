"""``make bench``: pgnym beside no proxy, PgBouncer and a bare forwarder, on this machine, in one run.

    python benchmarks/run.py             # about ten minutes
    python benchmarks/run.py --quick     # about two
    python benchmarks/run.py --profile reveal-prepared --clients 8

How to read it is in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import planning
from measure import measure, once
from profiling import print_top, profiled
from report import about, plot, save, table
from rich.console import Console
from scenarios import PROTECTED_TABLES, SCENARIOS, SCHEMA, Scenario
from targets import PLAIN, PROTECTED, USER, WORKERS, Bench, pgbench, targets

from pgnym.cli.demo_process import ChildError, pgnym
from pgnym.cli.embedded import EmbeddedError, EmbeddedPostgres, free_port

RESULTS = Path(__file__).with_name("results")
ALL = ("direct", "pgbouncer", "forwarder", "pgnym", WORKERS)


def main() -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Benchmarks of pgnym, in ratios.")
    parser.add_argument("--quick", action="store_true", help="fewer scenarios, one round: about a minute")
    parser.add_argument("--rounds", type=int, help="rounds over everything (default 4; quick: 1)")
    parser.add_argument("--seconds", type=int, default=1, help="length of one run (default 1)")
    parser.add_argument(
        "--persons", type=int, help="rows of the protected table (default 30000; quick: 10000)"
    )
    parser.add_argument(
        "--clients", type=_numbers, help="numbers of clients, by comma (default 1,8,32; quick: 1,8)"
    )
    parser.add_argument("--scenarios", type=_names, help=f"by comma, of: {', '.join(SCENARIOS)}")
    parser.add_argument(
        "--targets", type=lambda s: tuple(s.split(",")), default=ALL, help="by comma (default all)"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where JSON and plot go")
    parser.add_argument(
        "--durability", choices=("commit", "relaxed"), default="commit", help="audit.durability of pgnym"
    )
    parser.add_argument(
        "--profile", metavar="SCENARIO", choices=sorted(SCENARIOS), help="profile the gateway instead"
    )
    parser.add_argument("--profiler", choices=("auto", "cprofile", "py-spy"), default="auto")
    parser.add_argument("--top", type=int, default=40, help="lines of the profile")
    args = parser.parse_args()
    errors = Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory(prefix="pgnym-bench-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            folder.chmod(0o755)
            return _run(args, folder, Console(width=None if sys.stdout.isatty() else 190), errors)
    except (ChildError, EmbeddedError) as error:
        errors.print(f"benchmarks: {error}", markup=False)
        return 1


def _run(args: argparse.Namespace, folder: Path, console: Console, errors: Console) -> int:
    persons: int = args.persons or (10_000 if args.quick else 30_000)
    password = secrets.token_urlsafe(12)
    settings = {"shared_buffers": "256MB", "max_connections": "150", "max_wal_size": "2GB"}
    with EmbeddedPostgres(folder / "server", password=password, settings=settings) as server:
        config = folder / "pgnym.yaml"
        config.write_text(
            f'gateway: {{listen: "127.0.0.1:{free_port()}"}}\n'
            f'admin: {{listen: "127.0.0.1:{free_port()}"}}\n'
            f"upstream: {{host: 127.0.0.1, port: {server.port}, database: {PROTECTED}, sslmode: disable}}\n"
            f"audit: {{durability: {args.durability}}}\n" + PROTECTED_TABLES
        )
        environment = {
            "PGNYM_ADMIN_URL": server.url(database=PROTECTED),
            "PGNYM_VAULT_PASSWORD": secrets.token_urlsafe(12),
            "PGNYM_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        wanted = ("pgnym",) if args.profile else tuple(args.targets)
        errors.print("preparing the databases …")
        with_pgnym = "pgnym" in wanted or WORKERS in wanted
        version = asyncio.run(_prepare(server, password, persons, with_pgnym))
        if with_pgnym:
            pgnym("apply", "--yes", "--config", str(config), environment=environment)
            asyncio.run(_analyze(server))
        if args.profile:
            return _profile(args, server, folder, password, config, environment, persons, console)
        with targets(
            server, folder, password, config if with_pgnym else None, environment, names=wanted
        ) as bench:
            for note in bench.notes:
                errors.print(note)
            cells = measure(
                bench,
                args.scenarios or [s for s in SCENARIOS.values() if s.quick or not args.quick],
                args.clients or ((1, 8) if args.quick else (1, 8, 32)),
                rounds=args.rounds or (1 if args.quick else 4),
                seconds=args.seconds,
                persons=persons,
                progress=lambda line: errors.print(line, highlight=False),
            )
        table(cells, console)
        facts = about(
            version, persons=persons, seconds=args.seconds, durability=args.durability, notes=bench.notes
        )
        more = {}
        if not args.scenarios:
            errors.print("planning alone …")
            planned = planning.measured(quick=args.quick)
            planning.show(*planned, console)
            more["planning"] = planning.as_data(*planned)
        console.print(f"written: {save(cells, args.results, facts, **more)}", soft_wrap=True)
        drawn = plot(cells, args.results)
        console.print(
            f"written: {drawn}" if drawn else "no plot: matplotlib is not installed", soft_wrap=True
        )
    return 0


async def _prepare(server: EmbeddedPostgres, password: str, persons: int, with_pgnym: bool) -> str:
    """Fills the plain database and copies it as the one to be protected. Returns the server's version."""
    admin = await asyncpg.connect(server.url())
    try:
        version: str = await admin.fetchval("SHOW server_version")
        await admin.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{password}'")  # our own base64 text
        await admin.execute(f"CREATE DATABASE {PLAIN} OWNER {USER}")
        here = Bench(server, password, (), ())
        await asyncio.to_thread(_pgbench_tables, here)
        owner = await asyncpg.connect(server.url(database=PLAIN))
        try:
            for statement in SCHEMA.replace("PERSONS", str(persons)).split(";\n"):
                if statement.strip():
                    await owner.execute(statement)  # one by one: VACUUM runs in no transaction block
        finally:
            await owner.close()
        if with_pgnym:
            await admin.execute(f"CREATE DATABASE {PROTECTED} TEMPLATE {PLAIN} OWNER {USER}")
    finally:
        await admin.close()
    return version


def _pgbench_tables(bench: Bench) -> None:
    from targets import Target

    pgbench(bench, Target("direct", bench.server.port, PLAIN), "-i", "-q", "-s", "5", "-I", "dtGvp")


async def _analyze(server: EmbeddedPostgres) -> None:
    owner = await asyncpg.connect(server.url(database=PROTECTED))
    try:
        await owner.execute("VACUUM (FREEZE, ANALYZE)")
        await owner.execute("CHECKPOINT")
    finally:
        await owner.close()


def _profile(
    args: argparse.Namespace,
    server: EmbeddedPostgres,
    folder: Path,
    password: str,
    config: Path,
    environment: dict[str, str],
    persons: int,
    console: Console,
) -> int:
    scenario: Scenario = SCENARIOS[args.profile]
    count: int = (args.clients or (8,))[0]
    seconds = max(args.seconds, 5)
    with profiled(args.profiler, folder) as profiler:
        with targets(
            server, folder, password, config, environment, profiler.wrapper, names=("pgnym",)
        ) as bench:
            target = bench.targets[0]
            once(bench, target, scenario, count, 1, persons, folder)  # caches and plans as in steady state
            profiler.begin(target.pid)
            sample = once(bench, target, scenario, count, seconds, persons, folder)
            profiler.end()
        console.print(
            f"{scenario.title}, {count} clients, {profiler.name}: {sample.tps:,.0f}/s while profiled"
        )
        print_top(profiler, args.top, console)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _names(text: str) -> Sequence[Scenario]:
    unknown = [name for name in text.split(",") if name not in SCENARIOS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such scenario: {', '.join(unknown)}")
    return [SCENARIOS[name] for name in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
