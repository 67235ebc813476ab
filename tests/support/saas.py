"""A stand-in for three systems that connectors know: HubSpot, Mailchimp and Salesforce, as their public API pages tell.

Each keeps people by e-mail. What isn't as those APIs want it is answered as they would: 400, 401, 404, 405. ``failing``: how
many of the next requests are answered 503. Times, field names and error bodies are only as far as a connector looks at them.

- HubSpot: ``GET /crm/v3/objects/contacts/{id}?idProperty=email``; ``POST /crm/v3/objects/contacts/gdpr-delete`` with
  ``objectId``, which puts an unknown address on a blocklist if it is named by ``idProperty: email``.
- Mailchimp: members of a list are named by the MD5 of the address in lower case; ``POST …/actions/delete-permanent``.
- Salesforce: OAuth client credentials, ``/query?q=SOQL``, ``DELETE /sobjects/Contact/{id}``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.certificates import Certificates

KEY = "saas-secret"
OAUTH_TOKEN = "00D-token"
LIST = "abc123"
SOQL = re.compile(r"SELECT FIELDS\(ALL\) FROM Contact WHERE Email = '((?:[^'\\]|\\.)*)' LIMIT (\d+)")
Reply = tuple[int, Any]


class Saas:
    """The three systems' people: by name of the system, a dictionary from IDs to what is held."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, dict[str, str]]] = {"hubspot": {}, "mailchimp": {}, "salesforce": {}}
        self.blocklist: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.failing = 0
        self.connector: dict[str, Any] = {}
        self.url = ""
        self.authority = ""

    def add(self, system: str, identifier: str, email: str, **more: str) -> None:
        """Somebody."""
        self.people[system][identifier] = {"email": email, **more}

    def connect(self, secrets: Path) -> None:
        """Make ``connector``: how HubSpot is configured, by the column ``email``."""
        (secrets / "hubspot").write_text(KEY)
        self.connector = {
            "kind": "rest",
            "by": "email",
            "options": {
                "url": self.url,
                "bearer_file": str(secrets / "hubspot"),
                "find": {
                    "request": "GET /crm/v3/objects/contacts/{value}",
                    "query": {"idProperty": "email", "properties": "firstname,email"},
                    "id": "id",
                },
                "erase": {
                    "request": "POST /crm/v3/objects/contacts/gdpr-delete",
                    "json": {"objectId": "{item}"},
                },
            },
        }

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Reply:
        """What the system concerned says."""
        self.requests.append((method, target))
        if self.failing:
            self.failing -= 1
            return 503, {"message": "try again"}
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        credential = headers.get("Authorization", "")
        for start, system in (
            ("/crm/", self._hubspot), ("/3.0/", self._mailchimp), ("/services/", self._salesforce)
        ):  # fmt: skip
            if parts.path.startswith(start):
                return system(method, parts.path, query, credential, body)
        return 404, None

    def _hubspot(self, method: str, path: str, query: dict[str, str], credential: str, body: bytes) -> Reply:
        people = self.people["hubspot"]
        if credential != f"Bearer {KEY}":
            return 401, {"status": "error", "category": "INVALID_AUTHENTICATION"}
        if (method, path) == ("POST", "/crm/v3/objects/contacts/gdpr-delete"):
            wanted = json.loads(body)
            if wanted.get("idProperty") == "email":
                found = [i for i, p in people.items() if p["email"] == wanted["objectId"]]
                if not found:
                    self.blocklist.append(wanted["objectId"])
            else:
                found = [wanted["objectId"]]
            for each in found:
                people.pop(each, None)
            return 204, None
        named = re.fullmatch(r"/crm/v3/objects/contacts/([^/]+)", path)
        if method != "GET" or named is None:
            return 405, None
        key = unquote(named[1])
        for identifier, person in people.items():
            if (person["email"] if query.get("idProperty") == "email" else identifier) == key:
                wanted_fields = query.get("properties", "email").split(",")
                shown = {name: person[name] for name in wanted_fields if name in person}
                return 200, {"id": identifier, "properties": shown, "archived": False}
        return 404, {"status": "error", "category": "OBJECT_NOT_FOUND"}

    def _mailchimp(
        self, method: str, path: str, query: dict[str, str], credential: str, body: bytes
    ) -> Reply:
        scheme, _, pair = credential.partition(" ")
        if scheme != "Basic" or base64.b64decode(pair).decode().partition(":")[2] != KEY:
            return 401, {"title": "API Key Invalid"}
        people = self.people["mailchimp"]
        by_hash = {hashlib.md5(p["email"].lower().encode()).hexdigest(): i for i, p in people.items()}
        named = re.fullmatch(
            rf"/3\.0/lists/{LIST}/members/([0-9a-f]{{32}})(/actions/delete-permanent)?", path
        )
        if named is None:
            return 404, {"title": "Resource Not Found"}
        identifier = by_hash.get(named[1])
        if identifier is None:
            return 404, {"title": "Resource Not Found"}
        if named[2]:
            if method != "POST":
                return 405, None
            del people[identifier]
            return 204, None
        return 200, {"id": named[1], "email_address": people[identifier]["email"], "status": "subscribed"}

    def _salesforce(
        self, method: str, path: str, query: dict[str, str], credential: str, body: bytes
    ) -> Reply:
        people = self.people["salesforce"]
        if (method, path) == ("POST", "/services/oauth2/token"):
            form = parse_qs(body.decode())
            if form.get("grant_type") != ["client_credentials"] or form.get("client_secret") != [KEY]:
                return 400, {"error": "invalid_client"}
            return 200, {"access_token": OAUTH_TOKEN, "token_type": "Bearer", "instance_url": self.url}
        if credential != f"Bearer {OAUTH_TOKEN}":
            return 401, [{"errorCode": "INVALID_SESSION_ID"}]
        if method == "GET" and re.fullmatch(r"/services/data/v\d+\.0/query", path):
            asked = SOQL.fullmatch(query.get("q", ""))
            if asked is None:
                return 400, [{"errorCode": "MALFORMED_QUERY"}]
            email = re.sub(r"\\(.)", r"\1", asked[1])
            found = [
                {"attributes": {"type": "Contact"}, "Id": i, "Email": p["email"], "Phone": p.get("phone")}
                for i, p in people.items()
                if p["email"].lower() == email.lower()
            ][: int(asked[2])]
            return 200, {"totalSize": len(found), "done": True, "records": found}
        named = re.fullmatch(r"/services/data/v\d+\.0/sobjects/Contact/(\w+)", path)
        if method == "DELETE" and named:
            return (204, None) if people.pop(named[1], None) else (404, [{"errorCode": "ENTITY_IS_DELETED"}])
        return 404, [{"errorCode": "NOT_FOUND"}]


@contextmanager
def serving(certificates: Certificates | None = None) -> Iterator[Saas]:
    """The stand-in on a port of its own, by TLS if there are certificates."""
    saas = Saas()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, content = saas.answer(self.command, self.path, self.headers, body)
            data = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = respond

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test says what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificates is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server, certificates.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    saas.url = f"{'http' if certificates is None else 'https'}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield saas
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
