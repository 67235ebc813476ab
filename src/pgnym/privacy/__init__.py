"""Consent, subject report, erasure, retention, processing register, requests.

May import: vault, policy, audit.
"""
