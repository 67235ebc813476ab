"""What is measured against what: the server itself, PgBouncer, the bare forwarder, pgnym. All on the
loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pgnym.cli.demo_process import Child, ChildError
from pgnym.cli.embedded import EmbeddedPostgres, free_port, unprivileged_user

USER = "bench"
PLAIN = "plain"
PROTECTED = "protected"
WORKERS = "pgnym ×2"
"""pgnym with two workers, as a gateway on more than one processor runs."""

PGBOUNCER = """\
[databases]
{database} = host=127.0.0.1 port={upstream} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = session
max_client_conn = 200
default_pool_size = 100
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
"""


_PORT = re.compile(r":\d+\b")


@dataclass(frozen=True, slots=True)
class Target:
    """Where pgbench connects to: ``port`` and ``database`` (plain values, or the protected twin).

    ``pid``: of the proxy, if there is one.
    """

    name: str
    port: int
    database: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """All that runs during one measurement. ``pgnym_pid``: for a profiler."""

    server: EmbeddedPostgres
    password: str
    targets: tuple[Target, ...]
    notes: tuple[str, ...]


@contextmanager
def targets(
    server: EmbeddedPostgres,
    folder: Path,
    password: str,
    config: Path | None,
    environment: Mapping[str, str],
    wrapper: tuple[str, ...] = (),
    names: tuple[str, ...] = ("direct", "pgbouncer", "forwarder", "pgnym"),
) -> Iterator[Bench]:
    """Starts the targets in ``names`` and stops them at the end.

    ``config`` None: there is no gateway to measure, which the notes say. ``wrapper`` is what the gateway is
    run under (``python -m cProfile …``). What is not installed is left out and named in the notes.
    """
    found: list[Target] = []
    notes: list[str] = []
    with ExitStack() as stack:
        if "direct" in names:
            found.append(Target("direct", server.port, PLAIN))
        if "pgbouncer" in names:
            program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
            if program is None:
                notes.append("pgbouncer is not installed: left out")
            else:
                port = free_port()
                child = stack.enter_context(_pgbouncer(program, folder, server.port, port, password))
                found.append(Target("pgbouncer", port, PLAIN, child.pid))
        if "forwarder" in names:
            port = free_port()
            script = str(Path(__file__).with_name("forwarder.py"))
            command = [sys.executable, script, "--listen", str(port), "--upstream", str(server.port)]
            child = Child(command, ready="forwarder ready", log=folder / "forwarder.log")
            found.append(Target("forwarder", port, PLAIN, stack.enter_context(child).pid))
        if "pgnym" in names:
            if config is None:
                notes.append("pgnym was left out")
            else:
                child = _gateway(config, folder / "pgnym.log", environment, wrapper)
                found.append(Target("pgnym", _port(config), PROTECTED, stack.enter_context(child).pid))
        if WORKERS in names and config is not None:
            own = _with_ports_of_its_own(config)
            child = _gateway(own, folder / "pgnym-workers.log", environment, wrapper, "--workers", "2")
            found.append(Target(WORKERS, _port(own), PROTECTED, stack.enter_context(child).pid))
        yield Bench(server, password, tuple(found), tuple(notes))


def _pgbouncer(program: str, folder: Path, upstream: int, port: int, password: str) -> Child:
    place = folder / "pgbouncer"
    place.mkdir(exist_ok=True)
    users = place / "users.txt"
    users.write_text(f'"{USER}" "{password}"\n')
    config = place / "pgbouncer.ini"
    config.write_text(PGBOUNCER.format(database=PLAIN, upstream=upstream, port=port, users=users))
    user = unprivileged_user()  # PgBouncer refuses to run as root too
    if user is not None:
        for path in (place, users, config):
            shutil.chown(path, user)
    return Child([program, str(config)], ready="process up", log=folder / "pgbouncer.log", user=user)


def _gateway(
    config: Path, log: Path, environment: Mapping[str, str], wrapper: tuple[str, ...], *options: str
) -> Child:
    command = [
        *(wrapper or (sys.executable,)),
        "-m",
        "pgnym.cli.main",
        "serve",
        "--config",
        str(config),
        *options,
    ]
    return Child(command, ready="pgnym ready ", log=log, environment=environment)


def _with_ports_of_its_own(config: Path) -> Path:
    first, second, rest = config.read_text().split("\n", 2)
    path = config.with_name("pgnym-workers.yaml")
    path.write_text(
        "\n".join((_PORT.sub(f":{free_port()}", first), _PORT.sub(f":{free_port()}", second), rest))
    )
    return path


def _port(config: Path) -> int:
    first = config.read_text().splitlines()[0]
    return int(first.rsplit(":", 1)[1].rstrip('"}'))


def pgbench(bench: Bench, target: Target, *arguments: str) -> str:
    """Runs pgbench against ``target`` and returns what it printed. Raises ``ChildError`` when it fails.

    pgbench exits with 0 although clients were aborted in some versions, so its own words are read too.
    """
    own = bench.server.binaries / "pgbench"
    program = str(own) if own.exists() else shutil.which("pgbench")
    if program is None:
        raise ChildError("pgbench is not installed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    environment |= {"PGPASSWORD": bench.password, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
    done = subprocess.run(
        [program, "-h", "127.0.0.1", "-p", str(target.port), "-U", USER, *arguments, target.database],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or "aborted" in done.stderr:
        raise ChildError(f"pgbench through {target.name}: {done.stderr.strip()[-1500:]}")
    return done.stdout
