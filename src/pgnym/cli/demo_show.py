"""What the demo prints: two tables side by side, and one line per check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

Rows = Sequence[asyncpg.Record]

HOLDS = {True: "[green]ok[/]  ", False: "[red]FAIL[/]"}


class Show:
    """Prints to ``console``. ``brief``: only the lines of checks, without tables and explanations
    (``--check``).
    """

    def __init__(self, console: Console, *, brief: bool) -> None:
        self.console = console
        self.brief = brief
        self.failed = 0
        self.checks = 0

    def say(self, text: str) -> None:
        """A line of explanation."""
        if not self.brief:
            self.console.print(text)

    def step(self, title: str, statement: str = "") -> None:
        """The heading of a step, and the statement that it runs."""
        if not self.brief:
            self.console.print()
            self.console.rule(f"[bold]{escape(title)}[/]", align="left")
            if statement:
                self.console.print(Text(statement.strip(), style="cyan"))

    def sides(self, through: Rows, stored: Rows) -> None:
        """What the application sees beside what the database stores, one table below the other if it's
        narrow.
        """
        if self.brief:
            return
        left = _table("the application sees", through, "green")
        right = _table("the database stores", stored, "yellow")
        both = Table.grid(padding=(0, 2))
        if self.console.measure(left).maximum + self.console.measure(right).maximum + 2 <= self.console.width:
            both.add_row(left, right)
        else:
            both.add_row(left)
            both.add_row(right)
        self.console.print(both)

    def rows(self, title: str, rows: Rows) -> None:
        """One table."""
        if not self.brief:
            self.console.print(_table(title, rows, "green"))

    def error(self, error: asyncpg.PostgresError) -> None:
        """A refusal as the client gets it: SQLSTATE, message, detail, hint."""
        self.say(f"[red]ERROR {error.sqlstate}[/]: {escape(error.message or str(error))}")
        if error.detail:
            self.say(f"[red]DETAIL[/]: {escape(error.detail)}")
        if error.hint:
            self.say(f"[red]HINT[/]: {escape(error.hint)}")

    def check(self, what: str, holds: bool, why: str = "") -> None:
        """One line: whether ``what`` holds, and if not, why not."""
        self.checks += 1
        self.failed += not holds
        tail = f": {why}" if why and not holds else ""
        self.console.print(f"{HOLDS[holds]} {escape(what + tail)}", highlight=False, soft_wrap=True)


def _table(title: str, rows: Rows, style: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", style="dim")
    if not rows:
        table.add_column("(no rows)")
        return table
    for name in rows[0].keys():  # noqa: SIM118 - a Record iterates over its values
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value, style) for value in row.values()))
    return table


def _cell(value: Any, style: str) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, str):
        return Text(value, style=style)
    return Text(str(value))
