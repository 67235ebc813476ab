"""What a text may do to its session, told from its words alone: settings, names, the catalog, the end of a transaction.

Run on every statement, so it is coarse and errs on the side of a flag: a flag costs a look at the server's own state before
the next statement that is planned, nothing else. What only creates relations (SELECT INTO) needs no flag: a name that the
planner does not know makes it look again.
"""

from __future__ import annotations

import re
from enum import IntFlag


class Mention(IntFlag):
    """What a text may concern. ``CONCERNS``: it must be planned."""

    NOTHING = 0
    CONCERNS = 1
    SETTINGS = 2  # search_path, role, session authorization or pgnym.purpose may change
    NAMES = 4  # prepared statements or cursors are named
    DDL = 8  # the catalog may change
    ENDS = 16  # a transaction may end


# A dollar sign ends a word here: it may end a dollar quote ($$execute p(1)$$).
_WORD = re.compile(rb"[a-z_\x80-\xff][a-z0-9_\x80-\xff]*")
_PLAIN_STARTS = frozenset((b"select", b"insert", b"update", b"delete"))
_ALONE = frozenset((b"reset", b"discard", b"set_config", b"pg_settings"))
_SET = frozenset((b"set",))
_SET_TARGETS = frozenset((b"search_path", b"schema", b"role", b"authorization", b"pgnym"))
_NAMES = frozenset(
    (b"prepare", b"deallocate", b"execute", b"fetch", b"move", b"close", b"declare", b"discard")
)
_DDL = frozenset((b"create", b"alter", b"drop", b"import"))
_ENDS = frozenset((b"rollback", b"abort", b"commit", b"end"))
_ANY = _ALONE | _SET | _NAMES | _DDL | _ENDS


def session_flags(text: bytes) -> int:
    """The flags of a text, without ``CONCERNS``. A unicode identifier can spell any word, so it counts as all of them."""
    lowered = text.lower()
    if lowered[:6] in _PLAIN_STARTS and lowered.find(b";", 0, -1) < 0:
        # One ordinary statement changes a setting by the function, an UPDATE of the view, or either spelled in escapes.
        if b"set_config" in lowered or b"pg_settings" in lowered or b'u&"' in lowered:
            return Mention.SETTINGS
        return 0
    words = set(_WORD.findall(lowered))
    if b'u&"' in lowered:
        return Mention.SETTINGS | Mention.NAMES | Mention.DDL | Mention.ENDS
    if words.isdisjoint(_ANY):
        return 0
    flags = 0
    if not words.isdisjoint(_ALONE) or (b"set" in words and not words.isdisjoint(_SET_TARGETS)):
        flags |= Mention.SETTINGS
    if not words.isdisjoint(_NAMES):
        flags |= Mention.NAMES
    if not words.isdisjoint(_DDL):
        flags |= Mention.DDL
    if not words.isdisjoint(_ENDS):
        flags |= Mention.ENDS
    return flags
