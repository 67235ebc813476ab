"""pgnym as a user runs it: its command line in a subprocess, a configuration file, an environment with
secrets.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import yaml

from support.cluster import PASSWORD, SUPERUSER, Cluster, free_port

READY = re.compile(r"^pgnym ready gateway=(\S+):(\d+) admin=(\S+):(\d+) state=(\w+)$", re.MULTILINE)
START_SECONDS = 30.0
STOP_SECONDS = 30.0

Config = dict[str, Any]


class GatewayError(Exception):
    """A pgnym command failed or the gateway didn't get ready; what it said is in the message."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A configuration with the secrets that belong to it.

    ``config`` is what ``pgnym.yaml`` holds. ``owner_url`` and ``vault_owner_url`` are those for
    ``plan`` and ``apply``; like the other secrets they go by the environment, not by arguments.
    """

    config: Config
    owner_url: str
    vault_owner_url: str | None = None
    master_key: str = field(default_factory=lambda: base64.b64encode(os.urandom(32)).decode(), repr=False)
    vault_password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    def environment(self, *, sealed: bool = False) -> dict[str, str]:
        """Ours, with the secrets; ``sealed`` leaves the master key out."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PGNYM_"))}
        environment |= {"PGNYM_VAULT_PASSWORD": self.vault_password, "PYTHONFAULTHANDLER": "1"}
        environment["PGNYM_ADMIN_URL"] = self.owner_url
        if self.vault_owner_url is not None:
            environment["PGNYM_VAULT_ADMIN_URL"] = self.vault_owner_url
        if not sealed:
            environment["PGNYM_MASTER_KEY"] = self.master_key
        return environment

    def pgnym(
        self,
        *arguments: str,
        sealed: bool = False,
        check: bool = True,
        stdin: str | None = None,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``pgnym ARGUMENTS -c FILE``; raises ``GatewayError`` on an exit code other than 0 if ``check``."""
        with tempfile.TemporaryDirectory(prefix="pgnym-cli-") as directory:
            file = Path(directory) / "pgnym.yaml"
            file.write_text(yaml.safe_dump(self.config, sort_keys=False))
            try:
                done = subprocess.run(
                    [*command(), *arguments, "-c", str(file)],
                    capture_output=True,
                    text=True,
                    check=False,
                    input=stdin,
                    env=self.environment(sealed=sealed),
                    timeout=seconds,
                )
            except subprocess.TimeoutExpired as error:
                said = (error.stderr or b"").decode(errors="replace")
                raise GatewayError(f"pgnym {arguments[0]}: still running after {seconds} s: {said}") from None
        if check and done.returncode != 0:
            said = done.stderr + done.stdout
            raise GatewayError(f"pgnym {' '.join(arguments)}: exit code {done.returncode}\n{said}")
        return done

    def apply(self) -> None:
        """Make the database match the configuration (``pgnym apply --yes``)."""
        self.pgnym("apply", "--yes")


def command() -> list[str]:
    """``pgnym`` without relying on where its console script was installed."""
    return [sys.executable, "-m", "pgnym.cli.main"]


def console_script() -> str | None:
    """The installed ``pgnym`` beside this interpreter, if there is one."""
    return shutil.which("pgnym", path=str(Path(sys.executable).parent))


def deployment(
    cluster: Cluster,
    database: str,
    *,
    tables: Mapping[str, object] | None = None,
    roles: Mapping[str, object] | None = None,
    vault: tuple[Cluster, str] | None = None,
    **sections: Mapping[str, object],
) -> Deployment:
    """A configuration for one database whose superuser sees everything.

    Parameters: ``tables`` and ``roles`` as in pgnym.yaml; ``vault``: the (cluster, database) that is to hold
    the values, by default ``database`` itself; ``sections``: further sections, merged over the defaults.
    """
    default_roles = {
        "app": {
            "users": [SUPERUSER],
            "reveal": ["*"],
            "reveal_limit": {"statement": 10_000_000, "minute": 100_000_000},
        }
    }
    config: Config = {
        "gateway": {"listen": f"127.0.0.1:{free_port()}"},
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "upstream": {"host": cluster.host, "port": cluster.port, "database": database},
        "tables": dict(tables or {}),
        "roles": dict(roles if roles is not None else default_roles),
    }
    if cluster.certificates is not None:
        config["upstream"] |= {"sslmode": "verify-full", "sslrootcert": str(cluster.certificates.authority)}
    if vault is not None:
        store, name = vault
        config["vault"] = {"url": f"postgresql://{store.host}:{store.port}/{name}"}
    for section, values in sections.items():
        config[section] = {**config.get(section, {}), **values}
    owner = cluster.url(database)
    return Deployment(config, owner, None if vault is None else vault[0].url(vault[1]))


class Gateway:
    """``pgnym serve`` until the end of the block. ``host`` and ``port`` are those of its ready line."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        sealed: bool = False,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.deployment = deployment
        self.host = ""
        self.port = 0
        self.admin_host = ""
        self.admin_port = 0
        self.state = ""
        self._sealed = sealed
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="pgnym-gw-"))
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def directory(self) -> Path:
        """Where its configuration and log lie."""
        assert self._directory is not None, "the gateway has not been entered"
        return self._directory

    @property
    def pid(self) -> int:
        """Process id of ``pgnym serve``."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def url(
        self, database: str | None = None, *, user: str = SUPERUSER, password: str | None = PASSWORD
    ) -> str:
        """What the application's connection string becomes: only host and port differ from the cluster's."""
        secret = "" if password is None else ":" + quote(password, safe="")
        name = database or self.deployment.config["upstream"]["database"]
        return f"postgresql://{user}{secret}@{self.host}:{self.port}/{name}"

    def start(self) -> None:
        """Start and wait for the ready line. Raises ``GatewayError`` with what was said instead."""
        assert not self.running
        file = self.directory / "pgnym.yaml"
        file.write_text(yaml.safe_dump(self.deployment.config, sort_keys=False))
        before = len(self.stderr_text())
        with (
            (self.directory / "stderr").open("ab") as stderr,
            (self.directory / "stdout").open("ab") as stdout,
        ):
            self._process = subprocess.Popen(
                [*command(), "serve", "-c", str(file), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self.deployment.environment(sealed=self._sealed) | self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while (ready := READY.search(self.stderr_text(), before)) is None:
            if self._process.poll() is not None:
                said = self.stderr_text()[before:]
                raise GatewayError(f"serve ended with code {self._process.returncode}: {said}")
            if time.monotonic() > deadline:
                raise GatewayError(f"not ready within {START_SECONDS} s: {self.stderr_text()[before:]}")
            time.sleep(0.02)
        self.host, self.port = ready[1], int(ready[2])
        self.admin_host, self.admin_port = ready[3], int(ready[4])
        self.state = ready[5]

    def terminate(self) -> int:
        """SIGTERM: drain. The exit code, after its end."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL: what a crash is."""
        return self._end(signal.SIGKILL)

    def stderr_text(self) -> str:
        """All it has written to stderr so far, over restarts."""
        path = self.directory / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_log(self, pattern: str, seconds: float = 10.0) -> None:
        """Wait until stderr matches. Raises ``GatewayError`` when it doesn't in time."""
        deadline = time.monotonic() + seconds
        while re.search(pattern, self.stderr_text()) is None:
            if time.monotonic() > deadline:
                raise GatewayError(f"no {pattern!r} in: {self.stderr_text()[-2000:]}")
            time.sleep(0.02)

    def close(self) -> None:
        """Kill it if it runs, and remove its files. May be called twice."""
        if self._process is not None:
            self.kill()
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    def _end(self, how: signal.Signals) -> int:
        process = self._process
        assert process is not None
        if process.poll() is None:
            if how is signal.SIGKILL:
                os.killpg(process.pid, how)  # its workers too: the session is its own
            else:
                process.send_signal(how)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._process = None
            raise GatewayError(f"still running {STOP_SECONDS} s after {how.name}") from None
        self._process = None
        return code


def protect(cluster: Cluster, database: str, tables: Mapping[str, object], **options: Any) -> Deployment:
    """``deployment()`` and its ``apply()``: the database is protected when this returns."""
    made = deployment(cluster, database, tables=tables, **options)
    made.apply()
    return made


DIRECT = "PGNYM_TEST_DIRECT"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a client connects to: the gateway, or the server itself."""

    host: str
    port: int
    database: str

    def url(self, database: str | None = None, *, user: str = SUPERUSER) -> str:
        """A connection URL."""
        return f"postgresql://{user}:{quote(PASSWORD, safe='')}@{self.host}:{self.port}/{database or self.database}"


@contextmanager
def through(made: Deployment) -> Iterator[Endpoint]:
    """Apply ``made`` and serve it for the time of the block.

    With ``PGNYM_TEST_DIRECT`` set there is neither, and the endpoint is the server: so a test is tried
    against plain PostgreSQL, where what it demands of pgnym must hold too.
    """
    upstream = made.config["upstream"]
    if os.environ.get(DIRECT):
        yield Endpoint(upstream["host"], upstream["port"], upstream["database"])
        return
    made.apply()
    with Gateway(made) as gateway:
        yield Endpoint(gateway.host, gateway.port, upstream["database"])
