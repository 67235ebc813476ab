"""Message sequences as data: what is sent, what is waited for, and the two transcripts compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from support.rawwire import Message, RawClient, normalise, query


@dataclass(frozen=True, slots=True)
class Wait:
    """Read until the ``times``-th message of one of ``kinds``."""

    kinds: bytes
    times: int = 1


Z = Wait(b"Z")
ZZ = Wait(b"Z", 2)
ZZZ = Wait(b"Z", 3)
END = Wait(b"")  # until the server closes

Step = bytes | Wait | Callable[["Talk"], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A named sequence on one session that is logged in; ``steps`` in order.

    ``own_errors``: an error in it comes from pgnym itself, so the server's source file, line and routine
    aren't compared. ``split``: whether the sequence is also sent byte by byte.
    """

    name: str
    steps: tuple[Step, ...]
    own_errors: bool = False
    split: bool = True
    new_tables: bool = False
    ends_anyhow: bool = False


def case(
    name: str,
    *steps: Step,
    own_errors: bool = False,
    split: bool = True,
    new_tables: bool = False,
    ends_anyhow: bool = False,
) -> Case:
    """A ``Case``; bytes that stand in one step are sent as one segment."""
    return Case(name, steps, own_errors, split, new_tables, ends_anyhow)


@dataclass(slots=True)
class Talk:
    """One run of a case: the client, where it is connected, and what is to be done beside it.

    ``beside`` runs SQL in the same database by another way than ``client``.
    """

    client: RawClient
    host: str
    port: int
    database: str
    beside: Callable[[str], str]
    pieces_of: int | None = None


def run(script: Case, talk: Talk) -> list[Message]:
    """Play the steps and a last query that shows that the session still works. The messages heard."""
    before = len(talk.client.heard)
    ended = False
    for step in script.steps:
        if isinstance(step, bytes):
            talk.client.send(step, pieces_of=talk.pieces_of)
        elif isinstance(step, Wait):
            if step is END:
                talk.client.read_to_end()
                ended = True
            else:
                talk.client.read_until_kind(step.kinds, step.times)
        else:
            step(talk)
    if not ended:
        talk.client.send(query("SELECT 'still', 'here'"))
        talk.client.read_until_kind(b"Z")
    return talk.client.heard[before:]


def comparable(script: Case, messages: list[Message], database: str) -> list[Message]:
    """The transcript without what may differ (see ``normalise``)."""
    replacements: Mapping[bytes, bytes] = {rb"\b" + database.encode() + rb"\b": b"THE_DATABASE"}
    if script.own_errors:
        messages = [bare_error(m) for m in messages]
    if script.ends_anyhow:
        messages = without_last_words(messages)
    if script.new_tables:
        messages = [_without_table_oids(m) if m.kind == b"T" else m for m in messages]
    return normalise(messages, replacements)


def bare_error(heard: Message) -> Message:
    """An ErrorResponse with severity, SQLSTATE and position only; other messages as they are."""
    if heard.kind != b"E":
        return heard
    kept = [f for f in heard.body.split(b"\0") if f[:1] in (b"S", b"V", b"C", b"P")]
    return Message(b"E", b"\0".join(kept) + b"\0\0")


def without_last_words(messages: list[Message]) -> list[Message]:
    """Without a FATAL error at the end: on garbage the server sometimes says nothing and only writes to its log."""
    if messages and messages[-1].kind == b"E" and messages[-1].fields()["V"] == "FATAL":
        return messages[:-1]
    return messages


def _without_table_oids(description: Message) -> Message:
    """RowDescription: a count, then per column its zero-terminated name and 18 bytes, the table's OID first."""
    body = bytearray(description.body)
    at = 2
    while at < len(body):
        at = body.index(0, at) + 1
        body[at : at + 4] = bytes(4)
        at += 18
    return Message(b"T", bytes(body))


def show(messages: list[Message]) -> str:
    """One line a message, for a readable difference."""
    return "\n".join(f"{m.kind.decode('latin1')} {m.body!r}" for m in messages)
