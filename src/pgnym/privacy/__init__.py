"""What the law asks for: reports on data subjects, their erasure, and the purge of values that nothing holds any more.

May import: vault, policy, audit, config.
"""
