"""Connectors by themselves, as docs/connectors.md configures them: three REST APIs, PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgnym.config import ConfigError, parse
from pgnym.privacy.connectors import http, mysql, postgresql, rest
from pgnym.privacy.connectors.interface import Connector, ConnectorError, Setup
from pgnym.privacy.connectors.known import Known, known, reported
from support.certificates import make_certificates
from support.cluster import PASSWORD, Cluster
from support.mariadb import DATABASE, USER, NoMariaDB, mariadb
from support.mariadb import PASSWORD as MARIADB_PASSWORD
from support.saas import KEY, Saas, serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "connectors.md"
ODD = 'o\'hara\\+x/y?z&w="%41"{value}@example.org'
"""An address that would break out of a path, a query, a string of SOQL or JSON."""


@pytest.fixture(scope="module")
def saas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saas]:
    certificates = make_certificates(tmp_path_factory.mktemp("tls"))
    with serving(certificates) as found:
        found.authority = str(certificates.authority)
        yield found


def documented(name: str, directory: Path, saas: Saas) -> Connector:
    """The connector as the page configures it, but for where it is and its secret."""
    block = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    assert block is not None
    parse(block[1])
    options: dict[str, Any] = yaml.safe_load(block[1])["connectors"][name]["options"]
    path = re.sub(r"https://[^/]+", "", options["url"])
    options |= {"url": saas.url + path, "authority_file": saas.authority}
    secret = directory / "secret"
    secret.write_text(f"{KEY}\n")
    for where in (options, options.get("basic", {}), options.get("oauth", {})):
        for key in where:
            if key in ("bearer_file", "password_file", "secret_file"):
                where[key] = str(secret)
    return rest.make(Setup(name, options, 5))


@pytest.mark.parametrize("email", ["Ann@Example.org", ODD], ids=["plain", "odd"])
@pytest.mark.parametrize("name", ["hubspot", "mailchimp", "salesforce"])
def test_a_rest_api(name: str, email: str, saas: Saas, tmp_path: Path) -> None:
    connector = documented(name, tmp_path, saas)
    saas.add(name, "51", email, firstname="Ann", phone="+1")
    saas.add(name, "52", "other@example.org")
    (found,) = asyncio.run(connector.report(email))
    assert email in str(found).replace("\\\\", "\\").replace("\\'", "'")
    assert asyncio.run(connector.report("nobody@example.org")) == []
    assert asyncio.run(connector.erase("nobody@example.org")) == 0
    assert asyncio.run(connector.erase(email)) == 1
    assert asyncio.run(connector.erase(email)) == 0, "it may be asked again"
    assert asyncio.run(connector.report(email)) == []
    assert saas.people[name] == {"52": {"email": "other@example.org"}}
    assert saas.blocklist == [], "an address that isn't there must not be blocked"
    saas.people[name].clear()


def test_many_contacts_with_one_address(saas: Saas, tmp_path: Path) -> None:
    connector = documented("salesforce", tmp_path, saas)
    for number in range(450):
        saas.add("salesforce", str(number), "many@example.org")
    with pytest.raises(ConnectorError, match="there may be more"):
        asyncio.run(connector.report("many@example.org"))
    assert asyncio.run(connector.erase("many@example.org")) == 450
    assert saas.people["salesforce"] == {}


def test_what_goes_wrong_is_told_without_values(saas: Saas, tmp_path: Path) -> None:
    connector = documented("hubspot", tmp_path, saas)
    saas.failing = 1
    with pytest.raises(ConnectorError, match="GET was answered 503") as failed:
        asyncio.run(connector.report("ann@example.org"))
    assert "ann" not in failed.value.message
    (tmp_path / "secret").write_text("wrong")
    options = connector.options  # type: ignore[attr-defined]
    wrong = rest.Rest(options, {"Authorization": "Bearer wrong"}, "", connector.tls)  # type: ignore[attr-defined]
    with pytest.raises(ConnectorError, match="answered 401"):
        asyncio.run(wrong.erase("ann@example.org"))
    assert KEY not in repr(connector)
    untrusting = rest.make(
        Setup(
            "x",
            {"url": saas.url, "find": {"request": "GET /{value}"}, "erase": {"request": "DELETE /{value}"}},
            5,
        )
    )
    with pytest.raises(ConnectorError, match="localhost: TLS failed"):
        asyncio.run(untrusting.report("ann@example.org"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "ended its answer too early|does not speak"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "does not speak"),
        (b"NOT HTTP\r\n\r\n", "does not speak"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnone", "not JSON"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3000, "answered more than"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"a": [1]', "not JSON"),
    ],
)
def test_bad_answers(answer: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 2000)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options = {"url": url, "find": {"request": "GET /{value}"}, "erase": {"request": "DELETE /{value}"}}
        with pytest.raises(ConnectorError, match=message):
            asyncio.run(rest.make(Setup("x", options, 5)).report("ann"))
    finally:
        thread.join()
        listener.close()


REST: dict[str, Any] = {
    "url": "https://api.example.org", "find": {"request": "GET /{value}"}, "erase": {"request": "DELETE /{value}"}
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "http://api.example.org"}, "must be https"),
        ({"url": "ftp://x"}, "expected https"),
        ({"url": "https://u:p@x"}, "holds a user or a password"),
        ({"find": {"request": "/x/{value}"}}, "expected METHOD"),
        ({"find": {"request": "GET /all"}}, "says nowhere whom"),
        ({"find": {"request": "GET /{item}"}}, r"\{item\} is not known"),
        ({"erase": {"request": "DELETE /{item}"}}, r"\{item\} is not known"),
        ({"erase": {"request": "DELETE /{value:rot13}"}}, "no form rot13"),
        ({"headers": {"Authorization": "x"}}, "is a secret"),
        ({"bearer_file": "/nowhere/token"}, "can't be read"),
        ({"what": 1}, "unknown field `what`"),
        ({"authority_file": "/nowhere/ca.pem"}, "is no PEM file"),
    ],
)
def test_options_that_can_not_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rest.make(Setup("x", REST | change, 5))


def test_the_configuration_names_what_is_there() -> None:
    tables = "tables: {public.p: {subject: id, columns: {mail: {}}}}\n"
    for text, message in (
        ("connectors: {x: {kind: nothing}}", "no connector nothing is installed"),
        ("connectors: {x: {kind: rest}}", "missing required field"),
    ):
        with pytest.raises(ConfigError, match=message):
            known(parse(tables + text))
    for text, message in (
        ("connectors: {x: {kind: rest, table: public.q}}", "not the table of a data subject"),
        ("connectors: {x: {kind: rest, timeout: 0}}", "timeout"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse(tables + text)
    with pytest.raises(ConfigError, match="there are no data subjects"):
        parse("tables: {public.p: {columns: {mail: {}}}}\nconnectors: {x: {kind: rest}}")


class Odd:
    """A connector of somebody's own, with faults."""

    async def report(self, identifier: str) -> list[Any]:
        if identifier == "slow":
            await asyncio.Event().wait()
        raise RuntimeError(f"about {identifier}")

    async def erase(self, identifier: str) -> int:
        raise AssertionError


def test_faults_of_a_connector_stay_within_its_part(caplog: pytest.LogCaptureFixture) -> None:
    made = Known("odd", "own", Odd(), "public.p", None, None, 0.05)
    part = asyncio.run(reported(made, ["ann@example.org"]))
    assert part == {"connector": "odd", "kind": "own", "found": [], "error": "it failed (RuntimeError)"}
    assert "ann" not in caplog.text
    assert "0.05 seconds" in asyncio.run(reported(made, ["slow"]))["error"]


@pytest.mark.server
def test_another_postgresql(postgres: Cluster, database: str, tmp_path: Path) -> None:
    postgres.psql(
        "CREATE TABLE orders (customer int, name text, at timestamptz, total numeric); CREATE TABLE visits (customer int);"
        "INSERT INTO orders VALUES (5, 'Ann', '2026-11-24Z', 1.50), (6, 'Bob', now(), 2);"
        "INSERT INTO visits VALUES (5), (5)",
        database,
    )
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    options: dict[str, Any] = {
        "url": f"postgresql://postgres@{postgres.host}:{postgres.port}/{database}",
        "password_file": str(secret),
        "report": {"orders": "SELECT * FROM orders WHERE customer = $1::text::int"},
        "erase": [
            "UPDATE orders SET name = NULL WHERE customer = $1::text::int",
            "DELETE FROM visits WHERE customer = $1::text::int",
        ],
    }
    connector = postgresql.make(Setup("warehouse", options, 5))
    (part,) = asyncio.run(connector.report("5"))
    assert part["query"] == "orders"
    assert bytes(part["rows"][0]).startswith(b'{"customer":5,"name":"Ann"')
    assert b'"total":1.50' in bytes(part["rows"][0])
    assert asyncio.run(connector.report("7")) == []
    assert asyncio.run(connector.erase("5")) == 3
    assert asyncio.run(connector.erase("7")) == 0
    assert postgres.psql("SELECT customer, name FROM orders ORDER BY 1", database).split() == ["5|", "6|Bob"]
    with pytest.raises(ConnectorError, match=r"refused a statement \(22P02\)") as failed:
        asyncio.run(connector.report("ann@example.org"))
    assert "ann" not in failed.value.message
    writing = options | {"report": {"x": "SELECT * FROM orders, nextval($1::text::regclass)"}}
    postgres.psql("CREATE SEQUENCE s", database)
    with pytest.raises(ConnectorError, match="25006"):
        asyncio.run(postgresql.make(Setup("w", writing, 5)).report("s"))
    failing = options | {"erase": [*options["erase"], "DELETE FROM nothing WHERE x = $1"]}
    postgres.psql("INSERT INTO visits VALUES (6)", database)
    with pytest.raises(ConnectorError, match="42P01"):
        asyncio.run(postgresql.make(Setup("w", failing, 5)).erase("6"))
    assert postgres.psql("SELECT name FROM orders WHERE customer = 6", database).strip() == "Bob", (
        "all or nothing"
    )
    for change, message in (
        ({"url": "postgresql://x@db.example.org/d?sslmode=prefer"}, "must use TLS"),
        ({"url": "postgresql://x:secret@db.example.org/d"}, "holds a password"),
        ({"url": "postgresql://db.example.org/d"}, "expected postgresql"),
        ({"erase": ["DELETE FROM visits"]}, "about everybody"),
    ):
        with pytest.raises(ConfigError, match=message):
            postgresql.make(Setup("w", options | change, 5))


def test_mariadb(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE account (id int PRIMARY KEY, email varchar(100), since datetime, balance decimal(8,2),"
        " raw varbinary(9))",
        "INSERT INTO account VALUES (1, 'ann@example.org', '2026-11-24 10:00:00', 1.50, x'00ff'),"
        " (2, 'o''hara\\\\@example.org', NULL, NULL, NULL)",
        "CREATE TABLE log (account int, FOREIGN KEY (account) REFERENCES account (id))",
        "INSERT INTO log VALUES (2)",
    )
    secret = tmp_path / "password"
    secret.write_text(MARIADB_PASSWORD)
    try:
        with mariadb(*script) as port:
            options: dict[str, Any] = {
                "url": f"mysql://{USER}@127.0.0.1:{port}/{DATABASE}",
                "password_file": str(secret),
                "report": {"accounts": "SELECT * FROM account WHERE email = %s"},
                "erase": ["DELETE FROM account WHERE email = %s"],
            }
            connector = mysql.make(Setup("shop", options, 5))
            assert asyncio.run(connector.report("ann@example.org")) == [
                {
                    "query": "accounts",
                    "rows": [
                        {
                            "id": 1, "email": "ann@example.org", "since": "2026-11-24T10:00:00", "balance": "1.50",
                            "raw": "00ff",
                        }
                    ],
                }
            ]  # fmt: skip
            assert asyncio.run(connector.report("' OR 1=1 -- ")) == []
            ((part),) = asyncio.run(connector.report("o'hara\\@example.org"))
            assert part["rows"][0]["id"] == 2
            assert asyncio.run(connector.erase("ann@example.org")) == 1
            assert asyncio.run(connector.erase("ann@example.org")) == 0
            with pytest.raises(ConnectorError, match=r"refused \(error 1451\)") as failed:
                asyncio.run(connector.erase("o'hara\\@example.org"))
            assert "hara" not in failed.value.message
            writing = mysql.make(
                Setup("s", options | {"report": {"x": "DELETE FROM log WHERE account = %s"}}, 5)
            )
            with pytest.raises(ConnectorError, match="error 1792"):
                asyncio.run(writing.report("2"))
        with pytest.raises(ConnectorError, match=r"refused|can't be reached"):
            asyncio.run(connector.report("ann@example.org"))
    except NoMariaDB as error:
        pytest.skip(str(error))
