"""The command line; thin.

May import: every room.
"""
