"""Who may see, search and write what: roles, masks, purposes, reveal budget; decisions as pure functions.

May import: nothing of pgnym but its configuration types.
"""
