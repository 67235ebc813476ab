"""What is counted while pgnym runs, summed over its worker processes, and how it is told.

May import: nothing of pgnym; vault, audit, gateway and admin import it.
"""
