"""Listen addresses: ``host:port``, ``[v6]:port`` and ``unix:/path``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MAX_UNIX_PATH = 107  # sockaddr_un.sun_path less its NUL, unix(7)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: TCP ``host`` and ``port``, or the ``path`` of a Unix socket (``host`` is empty)."""

    host: str = ""
    port: int = 0
    path: str | None = None

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it, so that TLS may be left out."""
        if self.path is not None:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Parse a listen address; port 0 asks the system for a free one. Raises ValueError with what is wrong."""
    if text.startswith("unix:"):
        path = text[5:]
        if not path.startswith("/"):
            raise ValueError("expected an absolute path after unix:")
        if len(path.encode()) > MAX_UNIX_PATH:
            raise ValueError(f"a Unix socket path has at most {MAX_UNIX_PATH} bytes")
        return Address(path=path)
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError("expected HOST:PORT, [IPV6]:PORT or unix:/PATH")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("expected an IPv6 address between the brackets") from None
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:6432")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("expected a port from 0 to 65535")
    return Address(host, int(port))
