"""The drivers' own test suites, run on PostgreSQL and then through pgnym: each test must end the same way.

    python tests/suites/run.py --suite asyncpg
    python tests/suites/run.py --suite psycopg --source CHECKOUT [-- pytest arguments]

Nothing is protected here: what is tested is that pgnym is no more to be noticed than a cable. asyncpg's source
distribution holds its tests and is fetched by pip in the version that is installed; psycopg's doesn't, so a checkout must
be given. What ends differently must be in ``known_SUITE.toml``, with a reason.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.cluster import PASSWORD, SUPERUSER, Cluster  # noqa: E402 - the line above finds it
from support.gateway import Gateway, deployment  # noqa: E402

DATABASE = "suite"
RUN_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Suite:
    """How one driver's tests are run.

    ``needs``: what its tests import beyond ours. ``arguments`` for pytest; ``{port}`` is where to connect.
    ``environment`` likewise.
    """

    distribution: str
    in_sdist: bool
    needs: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


SUITES = {
    "psycopg": Suite(
        distribution="psycopg",
        in_sdist=False,
        needs=("anyio>=4", "pproxy>=2.7", "dnspython>=2.1"),
        arguments=(
            "--test-dsn=host=127.0.0.1 port={port} dbname=suite user=postgres password='" + PASSWORD + "'",
            # Not about the connection: timing, types, memory, and a proxy of the suite's own that needs a port.
            "-m", "not slow and not timing and not proxy and not mypy and not refcount and not dns",
            "--ignore=tests/pool", "--ignore=tests/crdb", "--ignore=tests/scripts",
        ),
        environment={},
    ),
    "asyncpg": Suite(
        distribution="asyncpg",
        in_sdist=True,
        needs=("distro>=1.9",),
        arguments=("--ignore=tests/test__sourcecode.py", "-W", "default"),
        environment={
            "PGHOST": "127.0.0.1", "PGPORT": "{port}", "PGUSER": SUPERUSER, "PGPASSWORD": PASSWORD,
            "PGDATABASE": DATABASE,
        },
    ),
}  # fmt: skip

SETTINGS = {"max_prepared_transactions": "10", "wal_level": "logical", "max_connections": "200"}


def main() -> int:
    """Exit code 0: every test ends the same way, or differs as is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", required=True, choices=sorted(SUITES))
    parser.add_argument("--source", type=Path, help="a checkout of the driver (or PGNYM_SUITE_<NAME>)")
    parser.add_argument("rest", nargs="*", metavar="PYTEST_ARGUMENT", help="for pytest, after --")
    options = parser.parse_args()
    name = options.suite
    suite = SUITES[name]
    given = options.source or os.environ.get(f"PGNYM_SUITE_{name.upper()}")
    with tempfile.TemporaryDirectory(prefix="pgnym-suite-") as directory:
        work = Path(directory)
        source = Path(given).resolve() if given else _download(suite, work)
        if source is None or not (source / "tests").is_dir():
            print(f"{name}: no tests; give a checkout by --source (its sdist has none)", file=sys.stderr)
            return 0 if given is None else 2
        libraries = _install(suite, work)

        def run(rest: list[str]) -> tuple[dict[str, str], dict[str, str]]:
            direct = _run(suite, "direct", source, libraries, work, rest)
            return direct, _run(suite, "pgnym", source, libraries, work, rest)

        direct, through = run(options.rest)
        unsteady = differing(direct, through)
        if unsteady:  # some of a suite's tests depend on time: only those count that differ twice
            names = {re.sub(r"\[.*", "", test.rpartition("::")[2]) for test in unsteady}
            again, again_through = run([*options.rest, "-k", " or ".join(sorted(names))])
            for test in unsteady:
                direct[test] = again.get(test, direct[test])
                through[test] = again_through.get(test, "not run")
    return _judge(name, direct, through, partial=bool(options.rest))


def _download(suite: Suite, work: Path) -> Path | None:
    if not suite.in_sdist:
        return None
    wanted = f"{suite.distribution}=={importlib.metadata.version(suite.distribution)}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(work),
    ]
    subprocess.run([*command, wanted], check=True)
    [archive] = work.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    [folder] = [p for p in work.iterdir() if p.is_dir()]
    # Its package would hide the installed one, whose compiled part it lacks; only the tests are wanted.
    tests = work / "source"
    tests.mkdir()
    (folder / "tests").rename(tests / "tests")
    return tests


def _install(suite: Suite, work: Path) -> Path:
    target = work / "libraries"
    target.mkdir()
    if suite.needs:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
        subprocess.run([*pip, *suite.needs], check=True)
    return target


def _run(
    suite: Suite, way: str, source: Path, libraries: Path, work: Path, rest: list[str]
) -> dict[str, str]:
    """Outcome by test: passed, failed, error or skipped."""
    with Cluster(settings=SETTINGS) as cluster:
        cluster.psql(f"CREATE DATABASE {DATABASE}")
        if way == "direct":
            return _pytest(suite, cluster.port, source, libraries, work / f"{way}.xml", rest)
        made = deployment(cluster, DATABASE)
        made.apply()
        with Gateway(made) as gateway:
            outcomes = _pytest(suite, gateway.port, source, libraries, work / f"{way}.xml", rest)
            if "Traceback" in gateway.stderr_text():
                print(gateway.stderr_text()[-5000:], file=sys.stderr)
            return outcomes


def _pytest(
    suite: Suite, port: int, source: Path, libraries: Path, report: Path, rest: list[str]
) -> dict[str, str]:
    begin = time.monotonic()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    environment |= {k: v.format(port=port) for k, v in suite.environment.items()}
    environment["PYTHONPATH"] = str(libraries)
    command = [sys.executable, "-m", "pytest", "tests", "-q", "--tb=short", "-p", "no:randomly", "--rootdir=.",
               f"--junitxml={report}", "-o", f"cache_dir={report.parent / 'cache'}",
               "-o", "addopts=", *(a.format(port=port) for a in suite.arguments), *rest]  # fmt: skip
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    if not report.exists():
        raise SystemExit(f"pytest gave no report:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    print(f"port {port}: {done.stdout.strip().splitlines()[-1]} ({time.monotonic() - begin:.0f} s)")
    if done.returncode not in (0, 1):  # 2 and more: it didn't get as far as running tests
        raise SystemExit(
            f"pytest ended with code {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        name = f"{case.get('classname')}::{case.get('name')}"
        outcomes[name] = sorted(kinds)[0] if kinds else "passed"
    return outcomes


def differing(direct: dict[str, str], through: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Tests that ended differently: directly, and through pgnym."""
    return {t: (direct[t], through.get(t, "not run")) for t in direct if direct[t] != through.get(t)}


def _judge(name: str, direct: dict[str, str], through: dict[str, str], *, partial: bool) -> int:
    file = HERE / f"known_{name}.toml"
    known: dict[str, str] = tomllib.loads(file.read_text()) if file.exists() else {}
    different = differing(direct, through)
    used = set()
    wrong = 0
    for test, (before, after) in sorted(different.items()):
        pattern = next((p for p in known if fnmatchcase(test, p)), None)
        if pattern is None:
            wrong += 1
            print(f"DIFFERS {test}: {before} directly, {after} through pgnym")
        else:
            used.add(pattern)
    for pattern in sorted(set(known) - used) if not partial else []:
        print(f"{pattern}: ended the same way this time; if it always does, take it out of {file.name}")
    counts = {
        outcome: sum(1 for o in through.values() if o == outcome) for outcome in sorted(set(through.values()))
    }
    print(
        f"{name}: {len(direct)} tests, {len(different)} differ, {len(different) - wrong} of them known;",
        end=" ",
    )
    print(f"through pgnym {json.dumps(counts)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
