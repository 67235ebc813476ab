"""Every message that the gateway reads or writes, under one name. They live in the modules imported here.

``X.parse(message)`` takes a whole message, header included, as ``frames.walk`` finds it; ``x.build()`` gives
one.
"""

from __future__ import annotations

from pgnym.wire.auth import (
    Authentication,
    AuthKind,
    PasswordMessage,
    SASLInitialResponse,
    SASLResponse,
    sasl,
)
from pgnym.wire.backend import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    EMPTY_QUERY_RESPONSE,
    NO_DATA,
    PARSE_COMPLETE,
    PORTAL_SUSPENDED,
    CommandComplete,
    CopyResponse,
    Field,
    NotificationResponse,
    ParameterDescription,
    ParameterStatus,
    ReadyForQuery,
    RowDescription,
    build_data_row,
    parse_data_row,
)
from pgnym.wire.frontend import (
    COPY_DONE,
    FLUSH,
    SYNC,
    TERMINATE,
    Bind,
    Close,
    CopyFail,
    Describe,
    Execute,
    FunctionCall,
    Parse,
    Query,
    copy_data,
)
from pgnym.wire.reports import Report, build_report, error_response, notice_response, parse_report

__all__ = [
    "BIND_COMPLETE",
    "CLOSE_COMPLETE",
    "COPY_DONE",
    "EMPTY_QUERY_RESPONSE",
    "FLUSH",
    "NO_DATA",
    "PARSE_COMPLETE",
    "PORTAL_SUSPENDED",
    "SYNC",
    "TERMINATE",
    "AuthKind",
    "Authentication",
    "Bind",
    "Close",
    "CommandComplete",
    "CopyFail",
    "CopyResponse",
    "Describe",
    "Execute",
    "Field",
    "FunctionCall",
    "NotificationResponse",
    "ParameterDescription",
    "ParameterStatus",
    "Parse",
    "PasswordMessage",
    "Query",
    "ReadyForQuery",
    "Report",
    "RowDescription",
    "SASLInitialResponse",
    "SASLResponse",
    "build_data_row",
    "build_report",
    "copy_data",
    "error_response",
    "notice_response",
    "parse_data_row",
    "parse_report",
    "sasl",
]
