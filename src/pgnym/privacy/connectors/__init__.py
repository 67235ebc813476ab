"""Other systems that hold data of the same people: they report and erase as well.

``interface`` is what a connector is; ``known`` finds those that are configured, by the entry points ``pgnym.connectors``.
May import what the room privacy may.
"""
