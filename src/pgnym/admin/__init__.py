"""The admin HTTP endpoint and the portal.

May import: privacy, audit, vault, and the configuration.
"""
