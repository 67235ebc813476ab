"""What the law asks for: reports on data subjects, and their erasure.

May import: vault, policy, audit, config.
"""
