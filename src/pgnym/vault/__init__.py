"""Tokens, keys, ciphers, and the encrypted store with its schema.

May import: semantics (to fold), metrics.
"""
