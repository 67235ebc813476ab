"""pgnym: a PostgreSQL wire-protocol gateway that pseudonymizes personal data transparently.

Every folder below is a *room*: one concern, with a docstring that says what it is for and what it may import.
``tests/test_rooms.py`` enforces the import rules.
"""

__version__ = "0.1.0"
