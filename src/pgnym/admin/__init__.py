"""The admin HTTP endpoint and the portal.

May import: privacy, audit, vault, metrics, and the configuration.
"""
