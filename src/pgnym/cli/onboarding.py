"""``pgnym plan``, ``apply``, ``undo`` and ``verify``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pgnym import onboard
from pgnym.cli.connections import Connection, owners, same_database
from pgnym.cli.vaults import needed_key, open_vault
from pgnym.config import Config, ConfigError, load, vault_password
from pgnym.gateway.logins import upstream_login
from pgnym.onboard import OnboardPlan, Tools
from pgnym.semantics.folding import fold
from pgnym.vault.store import Vault
from pgnym.wire.codecs import identity
from pgnym.wire.inside import CONTAINERS

DONE, FAILED, PENDING = 0, 1, 2


def plan(options: argparse.Namespace) -> int:
    """Show what ``apply`` would do. 0: nothing, 2: something, 1: something is in the way."""
    config = load(options.config)

    async def work() -> int:
        async with owners(config, options.url, options.vault_url) as (app, vault):
            return show(await onboard.plan(config, app, vault))

    return asyncio.run(work())


def apply(options: argparse.Namespace) -> int:
    """Make the database match the configuration."""
    config = load(options.config)
    key = needed_key(config)

    async def work() -> int:
        async with owners(config, options.url, options.vault_url) as (app, vault):
            made = await onboard.plan(config, app, vault)
            code = show(made)
            if made.blockers:
                return code
            if not made.empty and not agreed(options.yes, "Apply this?"):
                return FAILED
            with Bars() as bars:
                # Also when there is nothing to do: the login gets its password, and a wrong master key is told.
                async with tools(config, key, app, vault, bars) as ready:
                    advice = await onboard.apply(made, ready)
            if not made.empty:
                print("Applied.")
                if not options.scrub_wal:
                    advice += await onboard.leftovers(app)
                tell("what is left", advice)
            if options.scrub_wal:
                print(f"Overwrote the WAL of before ({await onboard.scrub_wal(app)} segments).")
            return DONE

    return asyncio.run(work())


def undo(options: argparse.Namespace) -> int:
    """Give a table its plaintext back."""
    config = load(options.config)
    key = needed_key(config)

    async def work() -> int:
        async with owners(config, options.url, options.vault_url) as (app, vault):
            running = await onboard.gateways(vault, config.vault.user)
            if running:
                text = f"a gateway is connected ({running} sessions of {config.vault.user}), and would go on writing tokens"
                raise onboard.OnboardError(text, "stop it first: pgnym serve ends on SIGTERM")
            if not agreed(options.yes, f"Store the plaintext of {options.table} in the database again?"):
                return FAILED
            with Bars() as bars:
                async with tools(config, key, app, vault, bars) as ready:
                    labels = await onboard.undo(ready, options.table)
            print(f"Plaintext again: {', '.join(labels)}. Take them out of the configuration.")
            return DONE

    return asyncio.run(work())


def verify(options: argparse.Namespace) -> int:
    """Does every token open?"""
    config = load(options.config)
    key = needed_key(config)

    async def work() -> int:
        async with owners(config, options.url, options.vault_url) as (app, vault):
            with Bars() as bars:
                async with tools(config, key, app, vault, bars) as ready:
                    verdict = await onboard.verify(ready)
        for finding in verdict.findings:
            print(f"  ✗ {finding.where}: {finding.text}" + (f" ({finding.hint})" if finding.hint else ""))
        print(f"{verdict.tokens} tokens looked at, {len(verdict.findings)} findings.")
        return FAILED if verdict.findings else DONE

    return asyncio.run(work())


def show(made: OnboardPlan) -> int:
    """Print a plan; returns the exit code of ``plan``."""
    table = None
    for step in made.steps:
        if step.table != table:
            table = step.table
            print(table or "the server")
        print(f"  • {step.text}")
    tell("warning", (f"{w.where}: {w.text}" + (f" → {w.hint}" if w.hint else "") for w in made.warnings))
    for blocker in made.blockers:
        print(f"pgnym: {blocker.where}: {blocker.text}", file=sys.stderr)
        if blocker.hint:
            print(f"hint: {blocker.hint}", file=sys.stderr)
    if made.blockers:
        return FAILED
    if made.empty:
        print("Nothing to do: the database matches the configuration.")
        return DONE
    return PENDING


def tell(what: str, lines: Iterable[str]) -> None:
    """Print lines that each begin with ``what``."""
    for line in lines:
        print(f"{what}: {line}")


def agreed(yes: bool, question: str) -> bool:
    """Ask, unless told not to. Raises ConfigError where nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(
            "--yes", "missing", "nobody is there to be asked: add --yes once the plan is as you want it"
        )
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


@asynccontextmanager
async def tools(
    config: Config, key: bytes, app: Connection, vault: Connection, bars: Bars
) -> AsyncIterator[Tools]:
    """What apply and undo work with. The vault is opened when it is first asked for: its schema may not be there yet."""
    opened: list[Vault] = []

    async def open_tenant(name: str) -> onboard.Tokens:
        if not opened:
            if config.vault.url is None:
                await refuse_other_database(config, app)
            opened.append(await open_vault(config, key, fold, codes_later=True))
        return await opened[0].tenant(name)

    try:
        password = vault_password(config, os.environ)
        yield Tools(config, app, vault, open_tenant, identity, CONTAINERS, password, bars.report)
    finally:
        for each in opened:
            await each.close()


async def refuse_other_database(config: Config, app: Connection) -> None:
    """Values must not go to another vault than the gateway will look in. Raises ConfigError."""
    own = await asyncpg.connect(
        **upstream_login(config, os.environ), timeout=config.upstream.connect_timeout or 60
    )
    try:
        if not await same_database(app, own):
            raise ConfigError(
                "upstream", "names another database than --url", "let both lead to the same one"
            )
    finally:
        await own.close()


class Bars:
    """Progress bars on stderr, one for each stage of each table; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[tuple[onboard.Stage, str], TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, progress: onboard.Progress) -> None:
        """Move the bar of a stage."""
        key = (progress.stage, "" if progress.stage is onboard.Stage.CLEAN else progress.table)
        if key not in self._tasks:
            label = f"{key[1]} {progress.stage.value}".strip()
            self._tasks[key] = self._progress.add_task(label, total=progress.total)
        self._progress.update(self._tasks[key], completed=progress.done, total=progress.total)
