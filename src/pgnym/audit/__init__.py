"""The audit log: records, group commit, verification.

May import: vault, metrics.
"""
