"""PostgreSQL's regular expressions, as far as matching is concerned: parsed here, matched in linear time.

Part of ``semantics``; imports nothing else of pgnym. ``parser`` gives a tree, ``matching`` a test for texts.
"""
