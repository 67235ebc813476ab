"""``pgnym serve``."""

from __future__ import annotations

import argparse

from pgnym.admin.server import AdminServer
from pgnym.config import load
from pgnym.gateway import serve
from pgnym.onboard.projecting import project


def run(options: argparse.Namespace) -> int:
    """The gateway and the admin endpoint, until SIGTERM."""
    return serve.run(load(options.config), AdminServer, project, options.workers)
