"""Message sequences on unprotected tables: each line of the protocol that a proxy can get wrong.

Table ``t (id int primary key, name text)`` has rows (1, 'one'), (2, 'two'), (3, NULL), and ``wide (id int, v
text)`` has 500 rows. Every sequence leaves the session usable; what it changed is thrown away with the
database.
"""

from __future__ import annotations

import struct
import time

from support.rawwire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    TERMINATE,
    bind,
    cancel,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    function_call,
    message,
    parse,
    query,
)
from support.wire_script import END, ZZ, ZZZ, Case, Talk, Wait, Z, case

INT4, TEXT = 23, 25
PGCOPY = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)


def cancel_when_running(talk: Talk) -> None:
    """Cancel once the server says that the session's statement runs: earlier, the request would miss it."""
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60%'"
        f" AND datname = '{talk.database}' AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 10
    while talk.beside(running).strip() != "1":
        assert time.monotonic() < deadline, "the statement never ran"
        time.sleep(0.02)
    cancel(talk.host, talk.port, talk.client.backend_key)


def notify_beside(talk: Talk) -> None:
    talk.beside("NOTIFY news, 'from elsewhere'")


def end_beside(talk: Talk) -> None:
    """By what the session calls itself: a proxy may have told the client another process id."""
    talk.client.send(query("SELECT set_config('application_name', 'to be ended', false)"))
    talk.client.read_until_kind(b"Z")
    talk.beside(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE application_name = 'to be ended' AND datname = '{talk.database}'"
    )


def extended(sql: str, *values: bytes | None, results: tuple[int, ...] = ()) -> bytes:
    return parse(sql) + bind(values, results=results) + describe("P") + execute()


SIMPLE = [
    case("a simple query", query("SELECT id, name FROM t ORDER BY id"), Z),
    case("an empty query", query(""), Z),
    case("only a comment", query("-- nothing\n/* at all */ ;"), Z),
    case("only semicolons", query(";;;"), Z),
    case("several statements in one query", query("SELECT 1; SELECT 'b' AS x, 2; SELECT FROM t LIMIT 2"), Z),
    case("an error in the middle of several statements", query("SELECT 1; SELECT 1/0; SELECT 2"), Z),
    case("a syntax error with its position", query("SELECT é, frm t"), Z),
    case("an unknown table", query("SELECT * FROM nowhere"), Z),
    case("an implicit transaction is rolled back", query("INSERT INTO t VALUES (90,'x'); SELECT 1/0"), Z,
         query("SELECT count(*) FROM t WHERE id = 90"), Z),
    case("a transaction that fails and is rolled back", query("BEGIN"), Z, query("SELECT 1/0"), Z,
         query("SELECT 1"), Z, query("ROLLBACK"), Z),
    case("several queries sent at once", query("SELECT 1") + query("SELECT 1/0") + query("SELECT 3"), ZZZ),
    case("all commands have their tags", query("BEGIN; CREATE TABLE n (a int); INSERT INTO n VALUES (1),(2);"
         " UPDATE n SET a = 3; DELETE FROM n; TRUNCATE n; LOCK n; DROP TABLE n; COMMIT"), Z),
    case("no columns and no rows", query("SELECT; SELECT FROM t WHERE false"), Z),
    case("a wide result", query("SELECT * FROM wide ORDER BY id"), Z, split=False),
    case("a value over many segments", query("SELECT repeat('x', 300000)"), Z, split=False),
    case("a statement over many segments", query(f"SELECT length('{'y' * 300000}')"), Z, split=False),
    case("text that looks like a token", query("SELECT 'pn1abc' || repeat('a', 24), 'pn1' FROM t"), Z),
]  # fmt: skip

EXTENDED = [
    case("parse, bind, describe, execute, sync", extended("SELECT id, name FROM t ORDER BY id") + SYNC, Z),
    case("one message at a time", parse("SELECT $1::int"), bind([b"5"]), describe("P"), execute(), SYNC, Z),
    case("only sync", SYNC, Z),
    case("sync after sync", SYNC + SYNC + SYNC, ZZZ),
    case("flush brings the replies before sync", parse("SELECT 1") + FLUSH, Wait(b"1"), bind() + FLUSH,
         Wait(b"2"), describe("P") + FLUSH, Wait(b"T"), execute() + FLUSH, Wait(b"C"), SYNC, Z),
    case("an error flows before sync", parse("SELECT frm") + FLUSH, Wait(b"E"), bind() + execute(), SYNC, Z),
    case("everything until sync is discarded after an error",
         extended("SELECT 1/0") + extended("SELECT 2") + query("SELECT 3") + SYNC, Z),
    case("an error in parse discards", parse("SELECT no such") + bind() + describe("P") + execute() + SYNC,
    Z),
    case("an error in bind discards", parse("SELECT $1::int") + bind([b"x"]) + execute() + SYNC, Z),
    case("too few parameters", parse("SELECT $1::int") + bind() + execute() + SYNC, Z),
    case("too many parameters", parse("SELECT 1") + bind([b"x"]) + execute() + SYNC, Z),
    case("a pipeline of batches", extended("SELECT 1") + SYNC + extended("SELECT 2") + SYNC
         + extended("SELECT 3") + SYNC, ZZZ),
    case("a pipeline with an error in the middle batch", extended("SELECT 1") + SYNC + extended("SELECT 1/0")
         + extended("SELECT 9") + SYNC + extended("SELECT 3") + SYNC, ZZZ),
    case("several statements in one batch are one transaction",
         extended("INSERT INTO t VALUES (80,'x')") + extended("INSERT INTO t VALUES (80,'x')") + SYNC, Z,
         query("SELECT count(*) FROM t WHERE id = 80"), Z),
    case("query pipelined behind a failed execute", extended("SELECT 1/0") + SYNC + query("SELECT 2"), ZZ),
    case("extended behind simple", query("SELECT 1") + extended("SELECT 2") + SYNC, ZZ),
    case("describe a statement before bind", parse("SELECT $1::int + id, $2::text FROM t", "s") + describe("S", "s")
         + SYNC, Z, bind([b"1", None], statement="s") + execute() + SYNC, Z),
    case("describe a statement without result", parse("INSERT INTO t VALUES ($1,$2)", "i") + describe("S", "i")
         + bind([b"70", b"z"], statement="i") + describe("P") + SYNC, Z),
    case("describe what does not exist", describe("S", "nope") + SYNC, Z, describe("P", "nope") + SYNC, Z),
    case("parameter types named by the client", parse("SELECT $1, $2", "s", [INT4, TEXT]) + describe("S", "s")
    + SYNC,      Z),
    case("unspecified parameter types", parse("SELECT * FROM t WHERE id = $1 AND name = $2", "", [0, 0])
         + describe("S") + SYNC, Z),
    case("a named statement bound twice", parse("SELECT $1::int", "a") + bind([b"1"], statement="a") + execute()
         + bind([b"2"], statement="a") + execute() + SYNC, Z),
    case("two named statements in turn", parse("SELECT 'a'", "a") + parse("SELECT 'b', 'bb'", "b")
         + bind(statement="a") + execute() + bind(statement="b") + execute() + bind(statement="a") + execute()
         + SYNC, Z),
    case("the unnamed statement parsed again", parse("SELECT 1") + parse("SELECT 'two', 2") + bind() + describe("P")
         + execute() + SYNC, Z),
    case("a named statement parsed again is an error", parse("SELECT 1", "a") + parse("SELECT 2", "a") + SYNC,
    Z),
    case("a name doesn't count when its parse failed", parse("SELEC", "f") + SYNC, Z,
         parse("SELECT 'good'", "f") + bind(statement="f") + execute() + SYNC, Z),
    case("a parse discarded after an error leaves no name", extended("SELECT 1/0") + parse("SELECT 1", "d") +
    SYNC, Z,
         bind(statement="d") + execute() + SYNC, Z),
    case("a statement that was closed", parse("SELECT 1", "c") + close("S", "c") + bind(statement="c") + SYNC,
    Z),
    case("close of unknown names", close("S", "nope") + close("P", "nope") + close("S") + close("P") +
    SYNC, Z),
    case("closing a portal keeps its statement", parse("SELECT 7", "k") + bind(portal="p", statement="k")
         + close("P", "p") + bind(portal="p", statement="k") + execute("p") + SYNC, Z),
    case("a portal ends with its transaction", parse("SELECT 7", "k") + bind(portal="p", statement="k") +
    SYNC, Z,      execute("p") + SYNC, Z),
    case("a portal that exists already", parse("SELECT 7") + bind(portal="p") + bind(portal="p") + SYNC, Z),
    case("max_rows and PortalSuspended", query("BEGIN"), Z, parse("SELECT * FROM wide ORDER BY id") + bind(portal="w")
         + describe("P", "w") + execute("w", 3) + FLUSH, Wait(b"s"), execute("w", 2) + execute("w", 4) + SYNC,
         Z, execute("w", 1) + SYNC, Z, query("COMMIT"), Z),
    case("the last rows exactly", query("BEGIN"), Z, parse("SELECT * FROM t ORDER BY id") + bind(portal="w")
         + execute("w", 3) + execute("w", 3) + execute("w", 3) + SYNC, Z, query("ROLLBACK"), Z),
    case("two portals in turn", query("BEGIN"), Z, parse("SELECT id FROM wide ORDER BY id", "x")
         + bind(portal="a", statement="x") + bind(portal="b", statement="x", results=[1]) + execute("a", 2)
         + execute("b", 1) + execute("a", 1) + execute("b", 2) + SYNC, Z, query("COMMIT"), Z),
    case("no format code, one, one each", parse("SELECT $1::int, $2::int, $3::text", "f")
         + bind([b"1", b"2", b"x"], statement="f") + execute()
         + bind([struct.pack("!i", 1), struct.pack("!i", 2), b"x"], statement="f", formats=[1], results=[1])
         + execute() + bind([struct.pack("!i", 1), b"2", b"x"], statement="f", formats=[1, 0, 0], results=[0, 1, 0])
         + describe("P") + execute() + SYNC, Z),
    case("one format code for no parameter", parse("SELECT 1") + bind(formats=[1], results=[1]) + execute() +
    SYNC, Z),
    case("a wrong number of format codes", parse("SELECT $1::int") + bind([b"1"], formats=[0, 0]) + SYNC, Z,
         own_errors=True),
    case("a wrong number of result formats", parse("SELECT 1, 2, 3") + bind(results=[0, 1]) + SYNC, Z,
         own_errors=True),
    case("an unknown format code", parse("SELECT 1") + bind(results=[7]) + execute() + SYNC, Z),
    case("NULLs", parse("SELECT $1::text, $2::int, NULL") + bind([None, None]) + execute() + SYNC, Z),
    case("an empty string is no NULL", parse("SELECT $1::text, $1 IS NULL") + bind([b""]) + execute() + SYNC,
    Z),
    case("an empty statement", parse("") + bind() + describe("P") + execute() + SYNC, Z),
    case("several statements in a parse are refused", parse("SELECT 1; SELECT 2") + SYNC, Z),
    case("a transaction by extended messages", extended("BEGIN") + extended("SELECT 1") + SYNC, Z,
         extended("SELECT 1/0") + SYNC, Z, extended("SELECT 2") + SYNC, Z, extended("ROLLBACK") + SYNC, Z),
    case("an early sync doesn't commit", query("BEGIN; INSERT INTO t VALUES (60,'x')"), Z, SYNC, Z,
         query("ROLLBACK"), Z, query("SELECT count(*) FROM t WHERE id = 60"), Z),
    case("statement by SQL and by protocol share names", query("PREPARE q(int) AS SELECT $1 + 1"), Z,
         bind([b"4"], statement="q") + execute() + SYNC, Z, parse("SELECT 'p'", "w") + SYNC, Z,
         query("EXECUTE w"), Z, query("DEALLOCATE w"), Z, bind(statement="w") + SYNC, Z),
    case("DISCARD ALL and DEALLOCATE ALL forget statements", parse("SELECT 1", "z1") + SYNC, Z,
         query("DISCARD ALL"), Z,
         bind(statement="z1") + SYNC, Z, parse("SELECT 1", "z1") + SYNC, Z, query("DEALLOCATE ALL"),
    Z,
         bind(statement="z1") + SYNC, Z),
    case("cached plan must not change result type", query("CREATE TABLE c1 (a int)"), Z,
         parse("SELECT * FROM c1", "c1") + SYNC, Z, query("ALTER TABLE c1 ADD b text"), Z,
         bind(statement="c1") + execute() + SYNC, Z),
    case("a cursor",
         query("BEGIN; DECLARE k CURSOR FOR SELECT * FROM wide ORDER BY id; FETCH 2 FROM k; MOVE 3 IN k;"
         " FETCH k; CLOSE k; FETCH k"), Z, query("ROLLBACK"), Z),
    case("an SQL cursor as a portal", query("BEGIN; DECLARE k CURSOR FOR SELECT * FROM wide ORDER BY id"), Z,
         describe("P", "k") + execute("k", 2) + SYNC, Z, query("COMMIT"), Z),
    case("a portal as an SQL cursor", query("BEGIN"), Z, parse("SELECT * FROM wide ORDER BY id") + bind(portal="pp")
         + SYNC, Z, query("FETCH 2 FROM pp"), Z, query("COMMIT"), Z),
]  # fmt: skip

COPY = [
    case("copy out", query("COPY t TO STDOUT"), Z, query("COPY t TO STDOUT (FORMAT csv, HEADER)"), Z),
    case("copy out binary", query("COPY (SELECT id, name FROM t ORDER BY id) TO STDOUT (FORMAT binary)"), Z),
    case("copy out by extended messages", extended("COPY t TO STDOUT") + SYNC, Z),
    case("copy in", query("COPY t FROM STDIN"), Wait(b"G"), copy_data(b"40\tvierzig\n41\t\\N\n") + COPY_DONE,
    Z,      query("SELECT * FROM t WHERE id BETWEEN 40 AND 49 ORDER BY id"), Z),
    case("copy in, chunks across rows", query("COPY t FROM STDIN"), Wait(b"G"), copy_data(b"5") + copy_data(b"0\tf")
         + copy_data(b"") + copy_data(b"\xc3") + copy_data(b"\xbc\n51\t") + copy_data(b"x\n") + COPY_DONE, Z,
         query("SELECT * FROM t WHERE id BETWEEN 50 AND 59 ORDER BY id"), Z),
    case("copy in with an end mark", query("COPY t FROM STDIN"), Wait(b"G"), copy_data(b"42\tx\n\\.\n") +
    COPY_DONE, Z),
    case("copy in without a last newline", query("COPY t FROM STDIN"), Wait(b"G"),
    copy_data(b"43\tx") + COPY_DONE, Z),
    case("copy in csv and binary",
         query("COPY t FROM STDIN (FORMAT csv)"), Wait(b"G"), copy_data(b'44,"a,""b"\n')
         + COPY_DONE, Z, query("COPY t FROM STDIN (FORMAT binary)"), Wait(b"G"), copy_data(PGCOPY
         + struct.pack("!hiii", 2, 4, 45, 1) + b"b" + struct.pack("!h", -1)) + COPY_DONE, Z,
         query("SELECT * FROM t WHERE id IN (44, 45) ORDER BY id"), Z),
    case("CopyFail", query("COPY t FROM STDIN"), Wait(b"G"), copy_data(b"46\tx\n") + copy_fail("never mind"),
    Z),
    case("late CopyData after an error is dropped", query("COPY t FROM STDIN"), Wait(b"G"),
    copy_data(b"x\tbad\n"),      copy_data(b"47\tx\n") + copy_data(b"48\tx\n") + COPY_DONE, Z),
    case("CopyFail after an error is dropped", query("COPY t FROM STDIN"), Wait(b"G"), copy_data(b"x\tbad\n")
         + copy_fail("too late"), Z),
    case("copy messages outside a copy are ignored", copy_data(b"1\tx\n") + COPY_DONE + copy_fail("x")
         + query("SELECT 1"), Z),
    case("sync and flush during copy in are ignored", query("COPY t FROM STDIN"), Wait(b"G"), copy_data(b"49\tx\n")
         + SYNC + FLUSH + copy_data(b"52\ty\n") + COPY_DONE, Z),
    case("a copy in by extended messages", parse("COPY t FROM STDIN") + bind() + execute() + SYNC, Wait(b"G"),
         copy_data(b"53\tx\n") + COPY_DONE + SYNC, Z),
    case("CopyFail by extended messages", parse("COPY t FROM STDIN") + bind() + execute() + FLUSH, Wait(b"G"),
         copy_data(b"54\tx\n") + copy_fail("no") + SYNC, Z),
    case("an error in an extended copy discards until sync", parse("COPY t FROM STDIN") + bind() + execute() +
    FLUSH,      Wait(b"G"), copy_data(b"x\tx\n") + COPY_DONE + extended("SELECT 1") + SYNC, Z),
    case("a query during copy in ends it", query("COPY t FROM STDIN"), Wait(b"G"), query("SELECT 1"), END,
         split=False),
    case("two copies in one query", query("COPY t FROM STDIN; COPY t TO STDOUT"), Wait(b"G"), copy_data(b"55\tx\n")
         + COPY_DONE, Z),
    case("copy into what does not exist", query("COPY nowhere FROM STDIN"), Z),
    case("a copy in a transaction", query("BEGIN; COPY t FROM STDIN"), Wait(b"G"), copy_data(b"56\tx\n") +
    COPY_DONE, Z,      query("ROLLBACK"), Z),
    case("much copy in", query("COPY wide FROM STDIN"), Wait(b"G"),
         b"".join(copy_data(b"%d\t%s\n" % (i, b"v" * 900)) for i in range(1000, 1300)) + COPY_DONE, Z,
         split=False),
]  # fmt: skip

ANY_TIME = [
    case("a notice", query("DO $$BEGIN RAISE NOTICE 'hear, %', 'hear'; END$$"), Z),
    case("notices between rows", query("CREATE FUNCTION noisy(int) RETURNS int LANGUAGE plpgsql AS"
         " 'BEGIN RAISE NOTICE ''row %'', $1; RETURN $1; END'"), Z, query("SELECT noisy(id) FROM t WHERE id < 3"), Z),
    case("warnings", query("COMMIT"), Z, query("SELECT 1 /* x */; ROLLBACK"), Z),
    case("LISTEN and NOTIFY in one session", query("LISTEN news"), Z, query("NOTIFY news, 'hello'"), Z,
         query("NOTIFY news; SELECT 1"), Z, query("UNLISTEN *"), Z),
    case("a notification while idle", query("LISTEN news"), Z, notify_beside, Wait(b"A"), query("UNLISTEN *"),
    Z),
    case("a notification in a transaction waits", query("LISTEN news; BEGIN"), Z, notify_beside,
    query("SELECT 1"), Z,      query("COMMIT"), Z),
    case("ParameterStatus on SET", query("SET application_name = 'renamed'"), Z,
         query("SET TimeZone = 'Asia/Tokyo'"),
         Z, query("SELECT '2020-01-01 00:00+00'::timestamptz"), Z, query("RESET ALL"), Z),
    case("ParameterStatus on rollback", query("BEGIN; SET DateStyle = 'German'"), Z, query("ROLLBACK"), Z),
    case("SET LOCAL", query("BEGIN; SET LOCAL IntervalStyle = 'iso_8601'; SELECT '1 day'::interval; COMMIT"),
    Z),
    case("set_config and current_setting", query("SELECT set_config('my.setting', 'x', false)"), Z,
         query("SHOW my.setting"), Z),
    case("client_encoding", query("SET client_encoding = 'UTF8'"), Z, query("SHOW client_encoding"), Z),
    case("search_path", query("CREATE SCHEMA IF NOT EXISTS s; CREATE TABLE IF NOT EXISTS s.t (x int);"
         " SET search_path = s, public"), Z,
         query("SELECT * FROM t"), Z, query("RESET search_path"), Z, new_tables=True),
    case("SET ROLE", query("SET ROLE pg_monitor"), Z, query("SELECT current_user"), Z, query("RESET ROLE"),
    Z),
    case("a function call", function_call(1610, []) + query("SELECT 1"), ZZ),
    case("a function call with arguments", function_call(177, [b"2", b"3"]), Z,
         function_call(177, [struct.pack("!i", 2), struct.pack("!i", 3)], binary=True), Z),
    case("a function call that fails", function_call(154, [b"1", b"0"]), Z, function_call(4294967, []), Z),
    case("cancel by simple query", query("SELECT pg_sleep(60)"), cancel_when_running, Z, split=False),
    case("cancel by extended query", extended("SELECT pg_sleep(60)") + SYNC, cancel_when_running, Z,
    split=False),
    case("a cancel while idle changes nothing",
         lambda talk: cancel(talk.host, talk.port, talk.client.backend_key)),
    case("savepoints", query("BEGIN; SAVEPOINT a"), Z, query("SELECT 1/0"), Z, query("ROLLBACK TO a"), Z,
         query("SELECT 1"), Z, query("COMMIT"), Z),
    case("explain", query("EXPLAIN (COSTS OFF) SELECT * FROM t WHERE id = 1"), Z),
    case("a prepared transaction is refused", query("BEGIN; PREPARE TRANSACTION 'x'"), Z, query("ROLLBACK"),
    Z),
    case("show and checkpoint", query("SHOW server_encoding; SHOW transaction_isolation"), Z),
]  # fmt: skip

ENDS = [
    case("terminate", TERMINATE, END),
    case("terminate in a transaction", query("BEGIN; INSERT INTO t VALUES (99,'x')"), Z, TERMINATE, END),
    case("terminate behind a query", query("SELECT 1") + TERMINATE, END),
    case("an unknown message type", message(b"?", b"what"), END, ends_anyhow=True, split=False),
    case(
        "a message with too small a length",
        b"Q" + struct.pack("!i", 3) + b"x",
        END,
        ends_anyhow=True,
        split=False,
    ),
    case(
        "a message with a negative length",
        b"Q" + struct.pack("!i", -5) + b"x",
        END,
        ends_anyhow=True,
        split=False,
    ),
    case(
        "a message with an enormous length",
        b"Q" + struct.pack("!i", 0x7FFFFFFF) + b"x",
        END,
        ends_anyhow=True,
    ),
    case("an enormous sync", b"S" + struct.pack("!i", 0x7FFFFFFE), END, ends_anyhow=True, split=False),
    case("the session is terminated by an administrator", end_beside, END),
    case("the server session ends itself", query("SELECT pg_terminate_backend(pg_backend_pid())"), END),
]

MALFORMED = [
    case("a query without its zero byte", message(b"Q", b"SELECT 1"), Z),
    case("a query with something behind its zero byte", message(b"Q", b"SELECT 1\0SELECT 2\0"), Z),
    case("a parse cut short", message(b"P", b"s\0SELECT 1\0\0"), SYNC, Z, own_errors=True),
    case("a parse with too many types announced", message(b"P", b"s\0SELECT 1\0\0\x09"), SYNC, Z, own_errors=True),
    case("a bind cut short", parse("SELECT $1::text") + message(b"B", b"\0\0\0\0\0\x01\0\0\0\x09ab"), SYNC, Z,
         own_errors=True),
    case("a bind with a negative length", parse("SELECT $1::text")
         + message(b"B", b"\0\0\0\0\0\x01\xff\xff\xff\xf0\0\0"), SYNC, Z, own_errors=True),
    case("a bind with surplus bytes", parse("SELECT 1") + message(b"B", b"\0\0\0\0\0\0\0\0more"), SYNC, Z, own_errors=True),
    case("a describe of neither statement nor portal", message(b"D", b"X\0"), SYNC, Z),
    case("a close of neither statement nor portal", message(b"C", b"X\0"), SYNC, Z),
    case("an execute cut short", message(b"E", b"p\0\0"), SYNC, Z, own_errors=True),
    case("a sync with a body", message(b"S", b"x"), Z, own_errors=True),
    case("invalid UTF-8 in a query", query(b"SELECT '\xff\xfe'"), Z),
    case("invalid UTF-8 in a parameter", parse("SELECT $1::text") + bind([b"\xc3("]) + execute() + SYNC, Z),
    case("a zero byte in a parameter", parse("SELECT $1::text") + bind([b"a\0b"]) + execute() + SYNC, Z),
]  # fmt: skip


ALL: list[Case] = [*SIMPLE, *EXTENDED, *COPY, *ANY_TIME, *MALFORMED, *ENDS]
