"""A real PostgreSQL server in a temporary directory.

As asyncpg's and pgbouncer's test clusters: a context manager that leaves nothing behind. The server is our
child (not ``pg_ctl``'s), so it is ended by its process id, and where ``setpriv`` exists the kernel ends it
should we die.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from support import binaries
from support.certificates import Certificates, make_certificates
from support.scan import scan_files

Auth = Literal["trust", "scram-sha-256", "md5", "password"]
StopMode = Literal["smart", "fast", "immediate"]

SUPERUSER = "postgres"
PASSWORD = "correct horse"  # needs URL quoting, on purpose
START_SECONDS = 60.0
STOP_SIGNALS: Mapping[str, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class ClusterError(Exception):
    """The server did something else than it was told; the end of its log is in the message."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago, and is nobody's until this process has gone through thousands.

    Below the ports that the kernel gives to outgoing connections, which would take one before its server does; processes
    that run tests side by side have a range each.
    """
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("endless")


def _range() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    size = 4000
    first = 12000 + worker * size
    start = random.randrange(size)
    return (first + (start + n) % size for n in itertools.count())


_ports = _range()


class Cluster:
    """One server, on 127.0.0.1 and on a Unix socket, whose superuser is ``postgres`` with password
    ``PASSWORD``.

    Parameters: ``version`` "embedded" (the wheel's, without TLS) or "system" (the installed one);
    ``settings`` for postgresql.conf (fsync is off unless named); ``auth`` for TCP (the Unix socket trusts);
    ``tls`` makes certificates and turns it on. Raises ``binaries.Unavailable`` when that PostgreSQL isn't
    installed, and ``ClusterError``.
    """

    def __init__(
        self,
        *,
        version: Literal["embedded", "system"] = "embedded",
        settings: Mapping[str, str] | None = None,
        auth: Auth = "trust",
        tls: bool = False,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.auth: Auth = auth
        self.binaries = binaries.system() if version == "system" else binaries.embedded()
        self.certificates: Certificates | None = None
        self._identity = binaries.identity()
        self._settings = dict(settings or {})
        self._tls = tls
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="pgnym-pg-"))
        try:
            self._create()
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
        """Everything of this cluster lies in here."""
        assert self._directory is not None, "the cluster has not been entered"
        return self._directory

    @property
    def data_directory(self) -> Path:
        """PGDATA."""
        return self.directory / "data"

    @property
    def socket_directory(self) -> Path:
        """Where the Unix socket is: a ``host`` for libpq."""
        return self.directory / "s"

    @property
    def log_file(self) -> Path:
        """The server log, inside the data directory, where a leak scan finds it."""
        return self.data_directory / "server.log"

    @property
    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._process is not None and self._process.poll() is None

    def url(
        self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = PASSWORD
    ) -> str:
        """A connection URL over TCP, as drivers and ``pgnym --url`` take it."""
        secret = "" if password is None else ":" + quote(password, safe="")
        return f"postgresql://{user}{secret}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections. Recovery after ``immediate`` may take a
        while.
        """
        assert not self.running
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._own(self.log_file)
            self._process = self._spawn(["postgres", "-D", str(self.data_directory)], log)
        finally:
            os.close(log)
        self._await_ready(self._process)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait for its end; ``immediate`` is what a crash is. A stopped one stays so."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(STOP_SIGNALS[mode])
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(START_SECONDS)
            raise ClusterError(f"the server didn't stop within {START_SECONDS} s ({mode})") from None

    def restart(self, mode: StopMode = "fast") -> None:
        """``stop(mode)`` and ``start()`` on the same port."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop at once and remove the directory. May be called twice."""
        try:
            self.stop("immediate")
        finally:
            if self._directory is not None:
                shutil.rmtree(self._directory)
                self._directory = None

    def psql(self, sql: str, database: str = "postgres", *, user: str = SUPERUSER) -> str:
        """Run ``sql`` with psql over the Unix socket; unaligned tuples without headers. Raises
        ``ClusterError``.
        """
        done = subprocess.run(
            [
                str(self.binaries / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-",
                "-h", str(self.socket_directory), "-p", str(self.port), "-U", user, "-d", database,
            ],
            input=sql, capture_output=True, text=True, check=False, env=_environment(),
        )  # fmt: skip
        if done.returncode != 0:
            raise ClusterError(done.stderr.strip())
        return done.stdout

    def log_text(self) -> str:
        """The whole server log."""
        return self.log_file.read_text(errors="replace")

    def scan(self, needles: Iterable[bytes]) -> list[str]:
        """Search every file of the data directory (heap, WAL, log, all) for ``needles``; see ``scan_files``.

        A CHECKPOINT first brings what lies in shared buffers to disk.
        """
        if self.running:
            self.psql("CHECKPOINT")
        return scan_files(self.data_directory, needles)

    def _create(self) -> None:
        self.directory.chmod(0o755)  # mkdtemp's 0700 would keep the server's user out
        for folder in (self.data_directory, self.socket_directory):
            folder.mkdir(mode=0o755 if folder == self.socket_directory else 0o700)
            self._own(folder)
        encryption = "md5" if self.auth == "md5" else "scram-sha-256"
        password = self.directory / "password"
        password.write_text(PASSWORD)
        command = [
            "initdb", "-D", str(self.data_directory), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-instructions", f"--pwfile={password}",
        ]  # fmt: skip
        with tempfile.TemporaryFile() as output:
            made = self._spawn(command, output.fileno())
            if made.wait() != 0:
                output.seek(0)
                raise ClusterError(f"initdb: {output.read().decode(errors='replace').strip()}")
        self.port = free_port()
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory),
            "password_encryption": encryption,
            "fsync": "off",
            "max_connections": "100",
            "shared_buffers": "32MB",
            "max_wal_size": "256MB",
            "log_line_prefix": "%m [%p] %q%u@%d ",
        }
        if self._tls:
            self.certificates = make_certificates(self.directory)
            self._own(self.certificates.key)
            settings |= {
                "ssl": "on",
                "ssl_cert_file": str(self.certificates.server),
                "ssl_key_file": str(self.certificates.key),
            }
        settings |= self._settings
        with (self.data_directory / "postgresql.conf").open("a") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n")
        (self.data_directory / "pg_hba.conf").write_text(
            "local all all trust\n"
            "local replication all trust\n"
            f"host all all 127.0.0.1/32 {self.auth}\n"
            f"host replication all 127.0.0.1/32 {self.auth}\n"
        )
        if self.auth == "md5":  # initdb hashed the password before postgresql.conf said how
            self.start()
            self.psql(f"ALTER ROLE {SUPERUSER} PASSWORD '{PASSWORD}'")
            self.stop()

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        """``pg_isready`` until it says yes: the server has no other way to tell."""
        command = [
            str(self.binaries / "pg_isready"),
            "-q",
            "-h",
            str(self.socket_directory),
            "-p",
            str(self.port),
        ]
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            if subprocess.run(command, check=False, env=_environment()).returncode == 0:
                return
            if time.monotonic() > deadline:
                self.stop("immediate")
                raise ClusterError(f"not ready within {START_SECONDS} s: {self._last_words()}")
            time.sleep(0.02)
        self._process = None
        raise ClusterError(f"the server ended with code {process.returncode}: {self._last_words()}")

    def _last_words(self) -> str:
        return " / ".join(self.log_text().splitlines()[-5:])

    def _own(self, path: Path) -> None:
        if self._identity is not None:
            os.chown(path, self._identity.uid, self._identity.gid)

    def _spawn(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        """A session of its own keeps Ctrl-C in a terminal from the server: we stop it, in order."""
        who = self._identity
        command = [str(self.binaries / command[0]), *command[1:]]
        setpriv = shutil.which("setpriv")
        if setpriv is not None:
            command = [setpriv, "--pdeathsig", "QUIT", "--", *command]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            user=None if who is None else who.uid,
            group=None if who is None else who.gid,
            extra_groups=None if who is None else [],
        )


def _environment() -> dict[str, str]:
    """Ours without libpq's variables, which would redirect ``psql``."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C.UTF-8"}
