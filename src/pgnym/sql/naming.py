"""The name that PostgreSQL gives an unnamed output column (``FigureColname`` in ``parse_target.c``)."""

from __future__ import annotations

from typing import Any

_NAMED_BY_FORM = {
    "CoalesceExpr": "coalesce",
    "GroupingFunc": "grouping",
    "MergeSupportFunc": "merge_action",
    "A_ArrayExpr": "array",
    "RowExpr": "row",
    "XmlSerialize": "xmlserialize",
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "JsonObjectConstructor": "json_object",
    "JsonArrayConstructor": "json_array",
    "JsonArrayQueryConstructor": "json_array",
    "JsonObjectAgg": "json_objectagg",
    "JsonArrayAgg": "json_arrayagg",
}
_VALUE_FUNCTIONS = {
    "CURRENT_TIME_N": "current_time",
    "CURRENT_TIMESTAMP_N": "current_timestamp",
    "LOCALTIME_N": "localtime",
    "LOCALTIMESTAMP_N": "localtimestamp",
}


def column_name(node: dict[str, Any]) -> str:
    """The name of an expression given as a tagged node; ``?column?`` when it has none."""
    return _name(node)[0] or "?column?"


def _name(node: dict[str, Any]) -> tuple[str | None, int]:
    """(name, strength): 2 for a name of its own, 1 for a type's name, 0 for none."""
    for tag, fields in node.items():
        match tag:
            case "ColumnRef":
                names = [n["String"].get("sval", "") for n in fields.get("fields", ()) if "String" in n]
                return (names[-1], 2) if names else (None, 0)
            case "A_Indirection":
                names = [n["String"].get("sval", "") for n in fields.get("indirection", ()) if "String" in n]
                return (names[-1], 2) if names else _name(fields["arg"])
            case "FuncCall":
                return fields["funcname"][-1]["String"].get("sval", ""), 2
            case "A_Expr" if fields.get("kind") == "AEXPR_NULLIF":
                return "nullif", 2
            case "TypeCast":
                name, strength = _name(fields["arg"])
                if strength:
                    return name, strength
                return fields["typeName"]["names"][-1]["String"].get("sval", ""), 1
            case "CollateClause":
                return _name(fields["arg"])
            case "MinMaxExpr":
                return ("least" if fields.get("op") == "IS_LEAST" else "greatest"), 2
            case "CaseExpr":
                name, strength = _name(fields["defresult"]) if "defresult" in fields else (None, 0)
                return (name, strength) if strength else ("case", 1)
            case "SubLink":
                return _subquery_name(fields)
            case "SQLValueFunction":
                form = fields.get("op", "").removeprefix("SVFOP_")
                return _VALUE_FUNCTIONS.get(form, form.lower()), 2
            case "XmlExpr":
                return fields.get("op", "").removeprefix("IS_").lower(), 2
            case "JsonFuncExpr":
                return fields.get("op", "").removesuffix("_OP").lower(), 2
            case _:
                return (_NAMED_BY_FORM[tag], 2) if tag in _NAMED_BY_FORM else (None, 0)
    return None, 0


def _subquery_name(fields: dict[str, Any]) -> tuple[str | None, int]:
    match fields.get("subLinkType", "EXISTS_SUBLINK"):
        case "EXISTS_SUBLINK":
            return "exists", 2
        case "ARRAY_SUBLINK":
            return "array", 2
        case "EXPR_SUBLINK":
            query = fields["subselect"].get("SelectStmt", {})
            while "larg" in query:
                query = query["larg"]
            if query.get("targetList"):
                target = query["targetList"][0]["ResTarget"]
                if target.get("name"):
                    return target["name"], 2
                return _name(target["val"])
    return None, 0
