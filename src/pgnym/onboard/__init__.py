"""Make a database match the configuration: plan, apply, undo, verify.

May import: sql, vault, and the configuration.
"""
