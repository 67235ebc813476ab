"""A MariaDB server for the time of a block, where one is installed (Debian's ``mariadb-server-core`` is enough)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.cluster import free_port

USER, PASSWORD, DATABASE = "connector", "mysql-secret", "crm"
_SECONDS = 60.0


class NoMariaDB(Exception):
    """None is installed."""


def program(name: str) -> str:
    """Where it is. Raises NoMariaDB."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NoMariaDB(f"{name} is not installed (Debian: mariadb-server-core)")
    return found


@contextmanager
def mariadb(*script: str) -> Iterator[int]:
    """Its port, once these statements have been run in DATABASE, on which USER has all rights. Raises NoMariaDB."""
    install, serve = program("mariadb-install-db"), program("mariadbd")
    directory = Path(tempfile.mkdtemp(prefix="pgnym-mariadb-"))
    user = ["--user=root"] if os.getuid() == 0 else []
    port = free_port()
    try:
        subprocess.run(
            [install, "--no-defaults", *user, f"--datadir={directory}/data", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, timeout=_SECONDS,
        )  # fmt: skip
        statements = (
            f"CREATE DATABASE {DATABASE}",
            f"USE {DATABASE}",
            *script,
            f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON {DATABASE}.* TO {USER}@'127.0.0.1'",
        )
        # One statement a line, as the server reads such a file.
        (directory / "init.sql").write_text("".join(f"{statement};\n" for statement in statements))
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [serve, "--no-defaults", *user, f"--datadir={directory}/data", f"--port={port}",
                 f"--socket={directory}/socket", "--bind-address=127.0.0.1", "--skip-name-resolve",
                 f"--init-file={directory}/init.sql"],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _wait(process, port, directory / "log")
            yield port
        finally:
            process.terminate()
            process.wait(_SECONDS)
    finally:
        shutil.rmtree(directory)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
