"""Sessions: where wire, sql, vault, policy and audit meet; the only asyncio networking for SQL.

May import: wire, sql, vault, policy, audit, semantics, metrics, and the configuration.
"""
