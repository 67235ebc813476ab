"""The PostgreSQL protocol, sans-I/O: framing, messages, type codecs, containers that values lie in.

May import: nothing of pgnym. No asyncio, no SQL.
"""
