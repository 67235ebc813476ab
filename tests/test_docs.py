"""What the documentation names exists: commands and their options, configuration, make targets, variables, links.

And what README says of SQL is so: its statements under ``<!-- plans -->`` plan, those under ``<!-- refused -->`` don't.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from pgnym.cli.main import build_parser
from pgnym.config import load, parse
from pgnym.config.model import Config
from pgnym.sql.catalog import Catalog, Column, Protection, Relation
from pgnym.sql.errors import Refused
from pgnym.sql.plan import SessionScope
from pgnym.sql.planner import Planner

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))

FENCE = re.compile(
    r"^(?P<mark><!-- (?:plans|refused) -->\n)?(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^(?P=indent)```$",
    re.M | re.S,
)
LINK = re.compile(r"\[[^\]]+\]\((?P<to>[^)\s]+)\)")
INLINE = re.compile(r"`([^`\n]+)`")
VARIABLE = re.compile(r"\bPGNYM_[A-Z_]+\b")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: its language, its text, the comment right before it ("" for none)."""

    page: Path
    kind: str
    body: str
    mark: str


def blocks(kind: str) -> Iterator[Block]:
    """Every fenced block of a language."""
    for page in DOCS:
        for found in FENCE.finditer(page.read_text(encoding="utf-8")):
            if found["kind"] == kind:
                yield Block(page, kind, dedent(found["body"]), (found["mark"] or "").strip())


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def name_of(value: object) -> str:
    """How pytest shows a parameter."""
    if isinstance(value, Block):
        return f"{value.page.name}:{value.body.strip().splitlines()[0][:40]}"
    return value.name if isinstance(value, Path) else str(value)


def command_lines() -> list[str]:
    """Every ``pgnym …`` in shell blocks and in inline code, without comments and redirections."""
    found: list[str] = []
    for block in blocks("sh"):
        found += re.findall(r"(?:^|\s|\()(?:/\S+/)?(pgnym [^#>)\n]+)", block.body.replace("\\\n", " "), re.M)
    for page in DOCS:
        found += [code for code in INLINE.findall(prose(page)) if code.startswith("pgnym ")]
    return sorted({balanced(line.strip()) for line in found if not line.startswith("pgnym ready")})


def balanced(line: str) -> str:
    """Without the quote that ends a ``"$(command)"`` around it."""
    return line[:-1] if line.endswith('"') and line.count('"') % 2 else line


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """The command line's own table."""
    found = below(build_parser())
    assert found, "the parser has no subcommands"
    return found


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The subcommands of a command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


@pytest.mark.parametrize("line", command_lines())
def test_commands_and_their_options_exist(line: str) -> None:
    words = shlex.split(line.replace("…", "x"))[1:]
    assert words[0] in subcommands(), f"no such command: pgnym {words[0]}"
    parser = subcommands()[words[0]]
    for word in words[1:]:
        if word not in below(parser):
            break
        parser = below(parser)[word]
    known = {option for action in parser._actions for option in action.option_strings}
    unknown = [word for word in words[1:] if word.startswith("-") and word.partition("=")[0] not in known]
    assert unknown == []


def test_make_targets_exist() -> None:
    makefile = ROOT / "Makefile"
    targets = set(re.findall(r"^([a-z-]+):", makefile.read_text(), re.M))
    named: set[str] = set()
    for page in DOCS:
        named |= set(re.findall(r"(?:^|[`\s])make ([a-z-]+)(?=[`\s]|$)", "\n".join(code(page)), re.M))
    assert named
    assert named <= targets


def code(page: Path) -> list[str]:
    """All code of a page: shell blocks and inline."""
    text = page.read_text(encoding="utf-8")
    shell = [dedent(found["body"]) for found in FENCE.finditer(text) if found["kind"] == "sh"]
    return shell + INLINE.findall(prose(page))


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=name_of)
def test_configuration_blocks_are_valid(block: Block) -> None:
    parse(block.body)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_example_configurations_are_valid(path: Path) -> None:
    assert list(load(path).columns())


def test_options_named_in_prose_exist() -> None:
    sections = {field.encode_name: field.type for field in msgspec.structs.fields(Config)}
    tables = set(
        re.findall(r"vault\.(\w+)", "".join(p.read_text() for p in ROOT.glob("src/pgnym/vault/schema/*.sql")))
    )
    unknown: list[str] = []
    for page in DOCS:
        for word in INLINE.findall(prose(page)):
            section, dot, rest = word.partition(".")
            if not dot or section not in sections or not re.fullmatch(r"[a-z_.]+", rest):
                continue
            if section == "vault" and rest.partition(".")[0] in tables:
                continue
            if not option_exists(sections[section], rest.split(".")):
                unknown.append(f"{page.name}: {word}")
    assert unknown == []


def option_exists(kind: object, path: list[str]) -> bool:
    """Whether ``path`` leads through structs (mappings accept any key and are followed no further)."""
    if not path or not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return True
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    return path[0] in fields and option_exists(fields[path[0]], path[1:])


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_environment_variables_exist(page: Path) -> None:
    known = {v for file in (ROOT / "src").rglob("*.py") for v in VARIABLE.findall(file.read_text())}
    known |= set(VARIABLE.findall((ROOT / "Dockerfile").read_text()))
    assert set(VARIABLE.findall(page.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_links_resolve(page: Path) -> None:
    broken: list[str] = []
    for link in LINK.finditer(prose(page)):
        target, _, anchor = link["to"].partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link["to"])
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_decisions_have_a_date_and_the_three_parts() -> None:
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert re.match(r"\d{4}-\d\d-\d\d-[a-z0-9-]+\.md$", page.name), page.name
        assert f"Date: {page.name[:10]}" in text, page.name
        assert [h for h in ("## Context", "## Decision", "## Consequence") if h not in text] == [], page.name


def statements(mark: str) -> list[str]:
    """README's statements under a mark."""
    found = [block.body for block in blocks("sql") if block.mark == mark and block.page.name == "README.md"]
    return [part.strip() for body in found for part in body.split(";") if part.strip()]


def plan(statement: str) -> object:
    """Plans a statement on the demo's shop."""
    scope = SessionScope(("pg_catalog", "public"), "shop_app", {}, {})
    return Planner(shop()).plan(statement.encode(), (), scope)


@pytest.mark.parametrize("statement", statements("<!-- plans -->"))
def test_statements_that_readme_says_work_plan(statement: str) -> None:
    assert plan(statement) is not None


@pytest.mark.parametrize("statement", statements("<!-- refused -->"))
def test_statements_that_readme_says_are_refused_are_refused_with_a_hint(statement: str) -> None:
    with pytest.raises(Refused) as caught:
        plan(statement)
    assert caught.value.hint


def test_readme_shows_both_kinds() -> None:
    assert statements("<!-- plans -->")
    assert statements("<!-- refused -->")


TEXT, VARCHAR, INT, DATE = 25, 1043, 23, 1082


def shop() -> Catalog:
    """The demo's tables as the planner sees them after apply."""

    def protection(
        column: str, domain: str, prefix: bytes, oid: int = TEXT, *, randomized: bool = False
    ) -> Protection:
        return Protection(f"public.{column}", domain, prefix, randomized, oid, -1, oid, TEXT)

    customer = Relation(
        16401,
        "public",
        "customer",
        "r",
        (
            Column("customer_id", 1, INT, -1),
            Column("first_name", 2, TEXT, -1, protection("customer.first_name", "first", b"pn1aaa")),
            Column("last_name", 3, TEXT, -1, protection("customer.last_name", "last", b"pn1aab")),
            Column("email", 4, TEXT, -1, protection("customer.email", "email", b"pn1aac")),
            Column("birth_date", 5, TEXT, -1, protection("customer.birth_date", "birth", b"pn1aad", DATE)),
            Column("city", 6, TEXT, -1),
        ),
    )
    orders = Relation(
        16402,
        "public",
        "orders",
        "r",
        (
            Column("order_id", 1, INT, -1),
            Column("customer_id", 2, INT, -1),
            Column("placed", 3, DATE, -1),
            Column(
                "ship_address",
                4,
                TEXT,
                -1,
                protection("orders.ship_address", "ship", b"pn1aae", randomized=True),
            ),
        ),
    )
    newsletter = Relation(
        16403,
        "public",
        "newsletter",
        "r",
        (
            Column("email", 1, TEXT, -1, protection("newsletter.email", "email", b"pn1aac")),
            Column("since", 2, DATE, -1),
        ),
    )
    relations = (customer, orders, newsletter)
    return Catalog(1, {(r.schema, r.name): r for r in relations}, {r.oid: r for r in relations})


def test_the_tests_end_to_end_are_listed() -> None:
    listed = (ROOT / "tests" / "README.md").read_text()
    files = {file.name for file in (ROOT / "tests" / "end_to_end").glob("test_*.py")}
    assert not {name for name in files if f"`{name}`" not in listed}
