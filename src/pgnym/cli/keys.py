"""``pgnym keys``."""

from __future__ import annotations

import argparse

from pgnym.vault.keys import master_key_generate


def generate(options: argparse.Namespace) -> int:
    """A new master key on standard output."""
    print(master_key_generate())
    return 0
