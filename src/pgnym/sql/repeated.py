"""A parameter that stands in several places of a statement: with a protected column in one, with constants in another.

``$1 = 'all' OR email = $1``: what goes to the server for ``$1`` is a token, so ``'all'`` must become one of the same domain,
or the first comparison would silently be false. Where a place binds the parameter to plain text (``length($1)``) it has a
parameter of its own upstream, and nothing is to be done here.
"""

from __future__ import annotations

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Run
from pgnym.sql.kinds import ArrayOf, Document, Kind, Occurrence, Token, shape
from pgnym.sql.unify import compare


def unify_repeated(run: Run) -> None:
    """What a parameter is compared with in one place takes the domain that it has in another.

    Raises Refused where tokens can't answer that, and where the parameter is shown as well.
    """
    places: dict[int, list[Occurrence]] = {}
    for occurrence in run.occurrences.values():
        if occurrence.parameter:
            places.setdefault(occurrence.parameter, []).append(occurrence)
    repeated = {number: found for number, found in places.items() if len(found) > 1}
    # Each round may give a domain to what another parameter is compared with.
    while any(_unify(number, found) for number, found in repeated.items()):
        pass


def _unify(number: int, places: list[Occurrence]) -> bool:
    known = next((kind for place in places if _protected(kind := _kind(place))), None)
    if known is None:
        return False
    changed = False
    for place in places:
        root = place.open.root() if place.open is not None else None
        if root is None or root.bound is not None:
            continue
        if root.shown:
            raise Refused(
                f"parameter ${number} is used with a protected column, and shown",
                detail="A token takes its place in the statement.",
                hint="Use two parameters.",
                position=place.start,
            )
        if all(other.parameter == number for other in root.occurrences):
            continue  # it is only compared with itself, or tested for NULL
        compare(known, root, f"parameter ${number}", place.start)
        changed = True
    return changed


def _kind(place: Occurrence) -> Kind | None:
    return None if place.open is None else shape(place.open)


def _protected(kind: Kind | None) -> bool:
    return isinstance(kind, Token | Document) or (
        isinstance(kind, ArrayOf) and isinstance(shape(kind.element), Token)
    )
