"""``pgnym serve``."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping

import asyncpg

from pgnym.admin.server import AdminServer
from pgnym.cli.connections import Connection
from pgnym.config import Config, load
from pgnym.gateway import serve
from pgnym.gateway.logins import upstream_login
from pgnym.gateway.runtime import Runtime
from pgnym.onboard.projecting import project
from pgnym.privacy.connectors.known import known
from pgnym.privacy.office import Office
from pgnym.wire.codecs import element_oid, identity

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


def run(options: argparse.Namespace) -> int:
    """The gateway and the admin endpoint, until SIGTERM."""
    config = load(options.config)
    return serve.run(
        config, admin(config, os.environ), project, options.workers, log_level=_LEVELS[options.log_level]
    )


def admin(config: Config, environment: Mapping[str, str]) -> Callable[..., AdminServer]:
    """What makes the admin endpoint of a gateway process. Raises ConfigError."""

    connectors = known(config)

    async def connect(settings: dict[str, str]) -> Connection:
        made: Connection = await asyncpg.connect(
            **upstream_login(config, environment),
            timeout=config.upstream.connect_timeout or 60,
            server_settings=settings,
        )
        return made

    def make(runtime: Runtime, sockets: list[socket.socket], context: ssl.SSLContext | None) -> AdminServer:
        observing = config.gateway.mode == "observe"
        office = None if observing else Office(config, connect, identity, element_oid, connectors)
        return AdminServer(runtime, sockets, context, office, runtime.counts.retained)

    return make
