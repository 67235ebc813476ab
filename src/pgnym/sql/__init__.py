"""From the text of a statement to a plan: names, domains, rewriting.

Pure functions over an immutable catalog snapshot. No I/O. May import: semantics.
"""
