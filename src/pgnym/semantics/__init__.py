"""What PostgreSQL's functions, operators and collations do to a value, in Python.

Where the database holds tokens it can't compute on values, so the gateway does it: predicates on contents, order, and
functions of a revealed value. This room holds the expressions and their evaluation. It imports no other room, does no
I/O, and never guesses: what it can't do exactly as PostgreSQL does, it doesn't offer.
"""
