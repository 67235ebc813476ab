"""How far an expression reaches in the text: the parse tree gives one place of a node only, often in its middle.

``a + b`` is placed at its operator, ``a::text`` at the cast, ``a IS NULL`` at IS. So the leftmost and rightmost tokens are
sought along the tree, and parentheses that this leaves open or closed are taken in (``(a) + (b)``).
"""

from __future__ import annotations

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, location, split
from pgnym.sql.lexer import Lexed
from pgnym.sql.type_names import type_end

_OPENING, _CLOSING = frozenset((b"(", b"[")), frozenset((b")", b"]"))
# Nodes that begin with a word and end with the parenthesis behind it.
_WORD_AND_LIST = frozenset(
    {"CoalesceExpr", "MinMaxExpr", "GroupingFunc", "XmlExpr", "XmlSerialize", "JsonObjectConstructor",
     "JsonArrayConstructor", "JsonArrayQueryConstructor", "JsonParseExpr", "JsonScalarExpr", "JsonSerializeExpr",
     "JsonFuncExpr", "MergeSupportFunc"}
)  # fmt: skip


def span(lexed: Lexed, node: Node) -> tuple[int, int]:
    """Start and end, in bytes, of an expression given as a tagged node; parentheses around it are left out.

    Raises Refused where that can't be told.
    """
    first, last = _balanced(lexed, _first(lexed, node), _last(lexed, node))
    return lexed.starts[first], lexed.ends[last]


def _token(lexed: Lexed, index: int) -> bytes:
    return lexed.text[lexed.starts[index] : lexed.ends[index]] if index < len(lexed.starts) else b""


def _word(lexed: Lexed, index: int) -> bytes:
    return _token(lexed, index).lower()


def _unknown(tag: str, fields: Node) -> Refused:
    return Refused(f"an operand of this form is not supported: {tag}", position=location(fields))


def _at(lexed: Lexed, tag: str, fields: Node) -> int:
    """The index of the token that a node is placed at."""
    place = location(fields)
    if place is None:
        raise _unknown(tag, fields)
    index = lexed.token_at(place)
    if index >= len(lexed.starts) or lexed.starts[index] != place:
        raise _unknown(tag, fields)
    return index


def _first(lexed: Lexed, node: Node) -> int:
    """The index of the leftmost token, parentheses aside."""
    tag, fields = split(node)
    match tag:
        case "A_Expr":
            if "lexpr" in fields and fields.get("kind") != "AEXPR_NULLIF":
                return _first(lexed, fields["lexpr"])
            return _at(lexed, tag, fields)
        case "TypeCast":
            return _first_of_cast(lexed, fields)
        case "CollateClause" | "NullTest" | "BooleanTest" | "A_Indirection":
            return _first(lexed, fields["arg"])
        case "BoolExpr" if fields.get("boolop") != "NOT_EXPR":
            return _first(lexed, fields["args"][0])
        case "SubLink" if "testexpr" in fields:
            return _first(lexed, fields["testexpr"])
        case "FuncCall":
            index = _at(lexed, tag, fields)
            if _word(lexed, index) == b"at":  # AT TIME ZONE: the operand is the last argument
                return _first(lexed, fields["args"][-1])
            return index
        case "NamedArgExpr":
            return _at(lexed, tag, fields)
        case _:
            return _at(lexed, tag, fields)


def _first_of_cast(lexed: Lexed, fields: Node) -> int:
    place = location(fields)
    if place is None:  # date '2020-02-02': placed nowhere, its type is
        return _at(lexed, "TypeCast", fields["typeName"])
    index = lexed.token_at(place)
    return _first(lexed, fields["arg"]) if _token(lexed, index) == b"::" else index


def _last(lexed: Lexed, node: Node) -> int:
    """The index of the rightmost token, parentheses aside."""
    tag, fields = split(node)
    match tag:
        case "A_Const":
            index = _at(lexed, tag, fields)
            return index + 1 if _token(lexed, index) == b"-" else index
        case "ParamRef":
            return _at(lexed, tag, fields)
        case "ColumnRef":
            return _names(lexed, _at(lexed, tag, fields))
        case "FuncCall":
            return _last_of_call(lexed, fields)
        case "SQLValueFunction":
            index = _at(lexed, tag, fields)
            return _matching(lexed, index + 1) if _token(lexed, index + 1) == b"(" else index
        case "A_Expr":
            return _last_of_operator(lexed, fields)
        case "BoolExpr":
            return _last(lexed, fields["args"][-1])
        case "NullTest" | "BooleanTest":
            return _last_of_test(lexed, _at(lexed, tag, fields))
        case "CaseExpr":
            return _last_of_case(lexed, _at(lexed, tag, fields))
        case "TypeCast":
            return _last_of_cast(lexed, fields)
        case "SubLink":
            return _matching(lexed, _opening(lexed, _at(lexed, tag, fields)))
        case "RowExpr":
            return _matching(lexed, _opening(lexed, _at(lexed, tag, fields)))
        case "A_ArrayExpr":
            return _matching(
                lexed, _at(lexed, tag, fields) + (_word(lexed, _at(lexed, tag, fields)) == b"array")
            )
        case "CollateClause":
            return _names(lexed, _at(lexed, tag, fields) + 1)
        case "A_Indirection":
            return _last_of_indirection(lexed, fields)
        case "NamedArgExpr":
            return _last(lexed, fields["arg"])
        case _ if tag in _WORD_AND_LIST:
            return _matching(lexed, _at(lexed, tag, fields) + 1)
        case _:
            raise _unknown(tag, fields)


def _names(lexed: Lexed, index: int) -> int:
    """The last token of a name with dots that begins at ``index``."""
    while _token(lexed, index + 1) == b".":
        index += 2
    return index


def _opening(lexed: Lexed, index: int) -> int:
    """The first opening bracket at or behind a token."""
    while index < len(lexed.starts) and _token(lexed, index) not in _OPENING:
        index += 1
    return index


def _matching(lexed: Lexed, index: int) -> int:
    """The closing bracket that belongs to the opening one at ``index``."""
    depth = 0
    if _token(lexed, index) in _OPENING:
        for at in range(index, len(lexed.starts)):
            token = _token(lexed, at)
            depth += (token in _OPENING) - (token in _CLOSING)
            if depth == 0:
                return at
    raise Refused(
        "an operand of this form is not supported", position=lexed.starts[min(index, len(lexed.starts) - 1)]
    )


def _last_of_call(lexed: Lexed, fields: Node) -> int:
    start = _at(lexed, "FuncCall", fields)
    if _word(lexed, start) == b"at":
        return _last(lexed, fields["args"][0])
    index = _names(lexed, start) + 1
    if _token(lexed, index) != b"(":
        raise _unknown("FuncCall", fields)
    index = _matching(lexed, index)
    for word, words in ((b"within", 2), (b"filter", 1), (b"over", 1)):
        if _word(lexed, index + 1) == word:
            index += words + 1
            if _token(lexed, index) == b"(":
                index = _matching(lexed, index)
    return index


def _last_of_operator(lexed: Lexed, fields: Node) -> int:
    index = _at(lexed, "A_Expr", fields)
    right = fields["rexpr"]
    form = fields.get("kind", "AEXPR_OP")
    if form in ("AEXPR_NULLIF", "AEXPR_IN", "AEXPR_OP_ANY", "AEXPR_OP_ALL"):
        return _matching(lexed, _opening(lexed, index))
    tag, listed = split(right)
    if tag == "List":
        return _last(lexed, listed["items"][-1])
    if tag == "FuncCall" and location(listed) == location(fields):  # LIKE … ESCAPE …, SIMILAR TO …
        return _last(lexed, listed["args"][-1])
    return _last(lexed, right)


def _last_of_test(lexed: Lexed, index: int) -> int:
    """IS [NOT] NULL and the like; ISNULL, NOTNULL."""
    if _word(lexed, index) != b"is":
        return index
    return index + 2 if _word(lexed, index + 1) == b"not" else index + 1


def _last_of_case(lexed: Lexed, index: int) -> int:
    depth = 0
    for at in range(index, len(lexed.starts)):
        name = lexed.names[at]
        depth += (name == "CASE") - (name == "END_P")
        if depth == 0:
            return at
    raise Refused("an operand of this form is not supported", position=lexed.starts[index])


def _last_of_cast(lexed: Lexed, fields: Node) -> int:
    place = location(fields)
    if place is None:
        return _last(lexed, fields["arg"])
    index = lexed.token_at(place)
    if _token(lexed, index) != b"::":
        return _matching(lexed, index + 1)
    start = location(fields["typeName"])
    if start is None:
        raise _unknown("TypeCast", fields)
    return lexed.token_at(type_end(lexed, start)) - 1


def _last_of_indirection(lexed: Lexed, fields: Node) -> int:
    _, index = _balanced(lexed, _first(lexed, fields["arg"]), _last(lexed, fields["arg"]))
    while _token(lexed, index + 1) == b")":
        index += 1
    while _token(lexed, index + 1) in (b".", b"["):
        index = index + 2 if _token(lexed, index + 1) == b"." else _matching(lexed, index + 1)
    return index


def _balanced(lexed: Lexed, first: int, last: int) -> tuple[int, int]:
    """The range with the brackets taken in that it cuts in two."""
    depth = lowest = 0
    for index in range(first, last + 1):
        token = _token(lexed, index)
        depth += (token in _OPENING) - (token in _CLOSING)
        lowest = min(lowest, depth)
    for _ in range(-lowest):
        first -= 1
        if first < 0 or _token(lexed, first) not in _OPENING:
            raise Refused("an operand of this form is not supported", position=lexed.starts[max(first, 0)])
    for _ in range(depth - lowest):
        last += 1
        if _token(lexed, last) not in _CLOSING:
            raise Refused("an operand of this form is not supported", position=lexed.starts[first])
    return first, last
