"""pgnym.yaml: what is accepted, and what exactly is said of what isn't."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from pgnym.config import Config, ConfigError, load, master_key, parse, vault_password
from pgnym.config.model import Column, Role, Table

COMPLETE = """
gateway:
  listen: [127.0.0.1:6432, "[::1]:6432", "unix:/run/pgnym.sock"]
  tls: {cert: null, key: null}
  workers: 1
  mode: enforce
admin:
  listen: 127.0.0.1:8432
upstream: {host: 127.0.0.1, port: 5432, database: app, sslmode: prefer, sslrootcert: null}
vault: {url: null, user: pgnym_gateway, password_file: null}
keys: {master_key_file: null}
audit: {durability: commit}
tenants: {default: main}
tables:
  public.customer:
    subject: customer_id
    on_erase: scrub
    columns:
      email: {domain: email, search: [equality], mask: email}
      first_name: {}
      birth_date: {tokens: randomized, purposes: [service]}
  public.invoice:
    subject: customer_id
    subject_table: public.customer
    columns:
      billing_address: {tokens: randomized}
roles:
  app: {users: [app], reveal: ["*"], purposes: [service], reveal_limit: {statement: 5000, minute: 100000}}
  support: {users: [helpdesk], mask: ["*"], reveal: ["public.customer.first_name"]}
  default: {tokens: ["*"]}
functions: {}
"""


def column(options: str) -> str:
    """A configuration with one column."""
    return f"tables: {{public.t: {{columns: {{c: {options}}}}}}}"


def test_the_published_format_is_accepted() -> None:
    config = parse(COMPLETE)
    assert [c.name for c in config.columns()] == [
        "public.customer.email",
        "public.customer.first_name",
        "public.customer.birth_date",
        "public.invoice.billing_address",
    ]
    assert [c.domain for c in config.columns()][:2] == ["email", "public.customer.first_name"]
    assert [c.randomized for c in config.columns()] == [False, False, True, True]
    assert [str(a) for a in config.gateway.addresses] == [
        "127.0.0.1:6432",
        "[::1]:6432",
        "unix:/run/pgnym.sock",
    ]
    assert config.roles["app"].reveal_limit.minute == 100_000


def test_nothing_at_all_is_a_configuration() -> None:
    assert parse("") == Config()
    assert [str(a) for a in Config().gateway.addresses] == ["127.0.0.1:6432"]


@pytest.mark.parametrize(
    ("text", "path", "reason", "hint"),
    [
        ("- a", "", "expected a mapping of sections", ""),
        ("a: [", "", "not valid YAML", ""),
        ("gateway: {}\ngateway: {}", "", "key gateway is given twice (line 2, column 1)", ""),
        ("5: 6", "", "key '5' is not a text", ""),
        ("gatewy: {}", "gatewy", "unknown option", "did you mean gateway?"),
        ("gateway: {workers: 0}", "gateway.workers", "expected a whole number >= 1", ""),
        ("gateway: {workers: many}", "gateway.workers", "expected a whole number, got a text", ""),
        ("gateway: {listen: localhost}", "gateway.listen", "expected HOST:PORT", ""),
        ("gateway: {listen: '::1:5'}", "gateway.listen", "an IPv6 address stands in brackets", ""),
        ("gateway: {listen: 'a:65536'}", "gateway.listen", "a port from 0 to 65535", ""),
        ("gateway: {listen: 'unix:x'}", "gateway.listen", "an absolute path", ""),
        ("gateway: {listen: []}", "gateway.listen", "at least one address", ""),
        ("gateway: {listen: [1]}", "gateway.listen.0", "expected a text", ""),
        ("gateway: {listen: '0.0.0.0:1'}", "gateway.tls", "required", "listen on 127.0.0.1"),
        ("admin: {listen: 'db:1'}", "admin.tls", "required", "admin.tls.cert"),
        ("gateway: {tls: {cert: x}}", "gateway.tls.key", "go together", ""),
        ("gateway: {mode: observe, workers: 2}", "gateway.workers", "counts in one process", "workers: 1"),
        ("observe: {every: 0}", "observe.every", ">= 1", ""),
        (
            "upstream: {sslmode: requir}",
            "upstream.sslmode",
            "'requir' is not a choice",
            "did you mean require?",
        ),
        ("upstream: {port: 0}", "upstream.port", ">= 1", ""),
        (
            "vault: {url: 'postgresql://u:secret@h/d'}",
            "vault.url",
            "holds a user or a password",
            "PGNYM_VAULT_PASSWORD",
        ),
        ("vault: {url: 'http://h/d'}", "vault.url", "expected postgresql://", ""),
        ("vault: {url: 'postgresql://h'}", "vault.url", "names no database", ""),
        ("audit: {durability: none}", "audit.durability", "is not a choice", "commit, relaxed"),
        (
            "tables: {customer: {columns: {a: {}}}}",
            "tables.customer",
            "expected SCHEMA.TABLE",
            "public.customer",
        ),
        ("tables: {vault.key: {columns: {a: {}}}}", "tables.vault.key", "can't be protected", ""),
        ("tables: {public.t: {}}", "tables.public.t.columns", "names no column", ""),
        (
            "tables: {public.t: {columns: {a: }}}",
            "tables.public.t.columns.a",
            "expected a mapping, got nothing",
            "{}",
        ),
        (
            column("{tokens: random}"),
            "tables.public.t.columns.c.tokens",
            "'random' is not a choice",
            "randomized?",
        ),
        (
            column("{tokens: 3}"),
            "tables.public.t.columns.c.tokens",
            "expected a text, got a whole number",
            "",
        ),
        (
            column("{mask: {keep_frist: 1}}"),
            "tables.public.t.columns.c.mask.keep_frist",
            "unknown",
            "keep_first?",
        ),
        (column("{mask: {keep_first: -1}}"), "tables.public.t.columns.c.mask.keep_first", ">= 0", ""),
        (
            column("{mask: stars}"),
            "tables.public.t.columns.c.mask",
            "'stars' is not a choice",
            "known: email",
        ),
        (
            column("{search: [order], tokens: randomized}"),
            "tables.public.t.columns.c.search",
            "would show which randomized tokens are of equal values",
            "deterministic",
        ),
        (
            column("{search: [equality], tokens: randomized}"),
            "tables.public.t.columns.c.search",
            "can't be compared",
            "deterministic",
        ),
        (
            column("{normalize: {phone: Germany}}"),
            "tables.public.t.columns.c.normalize.phone",
            "regex '^[A-Z]{2}$'",
            "",
        ),
        (
            column("{normalize: {fax: DE}}"),
            "tables.public.t.columns.c.normalize.fax",
            "unknown",
            "",
        ),
        (
            "tables: {public.t: {columns: {c: {domain: d, normalize: {phone: DE}}, e: {domain: d, normalize: phone}}}}",
            "tables.public.t.columns.e.normalize",
            "phone, but public.t.c of the same domain d has phone:DE",
            "agree",
        ),
        (
            column("{legal_basis: consent}"),
            "tables.public.t.columns.c.legal_basis",
            "none is named",
            "purposes",
        ),
        (
            column("{legal_basis: consent, purposes: [x]}") + "\nroles: {r: {users: [u], purposes: [x]}}",
            "tables.public.t.columns.c.legal_basis",
            "whose consent?",
            "subject",
        ),
        (
            "tables: {public.t: {subject: i, columns: {c: {legal_basis: consent, purposes: [x], domain: d},"
            " e: {domain: d, search: [substring]}}}}\nroles: {r: {users: [u], purposes: [x]}}",
            "tables.public.t.columns.e.search",
            "without its subjects' consent",
            "domain of its own",
        ),
        (
            column("{purposes: [x]}"),
            "tables.public.t.columns.c.purposes.0",
            "no role has the purpose x",
            "roles",
        ),
        (
            "tables: {public.t: {columns: {a: {domain: d}, b: {domain: d, tokens: randomized}}}}",
            "tables.public.t.columns.b.tokens",
            "randomized, but public.t.a of the same domain d has deterministic",
            "a domain of its own",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, subject: a}}",
            "tables.public.t.subject",
            "can't be protected itself",
            "",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, subject_table: x.y}}",
            "tables.public.t.subject",
            "missing",
            "",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, subject: b, subject_table: public.u}}",
            "tables.public.t.subject_table",
            "no table public.u is configured",
            "",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, subject: b, subject_table: public.t}}",
            "tables.public.t.subject_table",
            "names the table itself",
            "leave it out",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, subject: b, subject_table: public.u}, public.u: {columns: {a: {}}}}",
            "tables.public.t.subject_table",
            "public.u has no subject",
            "say tables.public.u.subject",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, retain: {after: a, for: 1d}}}",
            "tables.public.t.retain.after",
            "can't be compared by the server",
            "",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, retain: {after: b, for: 1 year}}}",
            "tables.public.t.retain.for",
            "",
            "",
        ),
        (
            "tables: {public.t: {columns: {a: {}}, retain: {after: b, for: 1500y}}}",
            "tables.public.t.retain.for",
            "longer than a thousand years",
            "",
        ),
        ("retention: {every: 1m}", "retention.every", "", ""),
        ("retention: {every: 0.5}", "retention.every", "", ""),
        ("retention: {purge_after: 23h}", "retention.purge_after", "younger than a day", "24h or more"),
        (
            "retention: {every: 1d}\nprivacy: {over_http: false}",
            "retention.every",
            "no right to rows",
            "cron",
        ),
        ("roles: {a: {reveal: ['*']}}", "roles.a.users", "missing", ""),
        ("roles: {default: {users: [x]}}", "roles.default.users", "for users that no other role names", ""),
        ("roles: {a: {users: [x]}, b: {users: [x]}}", "roles.b.users.0", "x is already in role a", ""),
        (
            column("{}") + "\nroles: {default: {mask: [public.s.c]}}",
            "roles.default.mask.0",
            "no protected column",
            "public.t.c?",
        ),
        (
            column("{}") + "\nroles: {default: {mask: [public.s.*]}}",
            "roles.default.mask.0",
            "no protected table",
            "public.t?",
        ),
        (
            column("{}") + "\nroles: {default: {mask: [x*]}}",
            "roles.default.mask.0",
            "not a pattern",
            "SCHEMA.TABLE.*",
        ),
        (
            column("{}") + "\nroles: {default: {mask: ['*'], tokens: ['*']}}",
            "roles.default.tokens.0",
            "under mask",
            "",
        ),
    ],
)
def test_errors_name_the_place_the_reason_and_what_helps(
    text: str, path: str, reason: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.path == path
    assert reason in caught.value.reason
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value)
    assert str(caught.value) == ": ".join(x for x in ("pgnym.yaml", path, caught.value.reason) if x)


def test_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="can't be read"):
        load(tmp_path)
    bad = tmp_path / "bad.yaml"
    bad.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"bad\.yaml: not UTF-8 at byte 3"):
        load(bad)


def test_names_of_other_files_are_relative_to_this_one(tmp_path: Path) -> None:
    file = tmp_path / "pgnym.yaml"
    file.write_text(
        "keys: {master_key_file: key}\nvault: {password_file: /else/where}\ngateway: {tls: {cert: c, key: k}}"
    )
    config = load(file)
    assert config.keys.master_key_file == str(tmp_path / "key")
    assert config.vault.password_file == "/else/where"
    assert config.gateway.tls.cert == str(tmp_path / "c")


def test_secrets_come_from_the_environment_or_from_files(tmp_path: Path) -> None:
    key = bytes(range(32))
    (tmp_path / "key").write_text(base64.b64encode(key).decode() + "\n")
    (tmp_path / "password").write_text("from file\n")
    config = parse("keys: {master_key_file: key}\nvault: {password_file: password}", directory=tmp_path)
    assert master_key(config, {}) == key
    assert vault_password(config, {}) == "from file"
    assert vault_password(config, {"PGNYM_VAULT_PASSWORD": "from environment"}) == "from environment"
    other = base64.b64encode(b"x" * 32).decode()
    assert master_key(config, {"PGNYM_MASTER_KEY": other}) == b"x" * 32
    assert master_key(Config(), {}) is None
    assert vault_password(Config(), {}) is None
    for wrong in ("", "short", base64.b64encode(b"x" * 31).decode(), "@" * 44, key.hex()):
        with pytest.raises(ConfigError) as caught:
            master_key(config, {"PGNYM_MASTER_KEY": wrong})
        assert caught.value.path == "PGNYM_MASTER_KEY"
        assert not wrong or wrong not in str(caught.value)
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        master_key(config, {})


ROOT = Path(__file__).resolve().parents[2]


def options() -> list[tuple[str, str]]:
    """(section, option) of everything that can be configured."""
    found = []
    for section in msgspec.structs.fields(Config):
        kind = section.type
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            found += [(section.encode_name, f.encode_name) for f in msgspec.structs.fields(kind)]
        else:
            found.append((section.encode_name, ""))
    for section_name, struct in (("tables", Table), ("tables", Column), ("roles", Role)):
        found += [(section_name, f.encode_name) for f in msgspec.structs.fields(struct)]
    return found


@pytest.mark.parametrize(("section", "option"), options())
def test_every_option_is_documented(section: str, option: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    _, heading, rest = page.partition(f"## `{section}`\n")
    assert heading, f"no section {section}"
    own = rest.partition("\n## ")[0]
    assert not option or f"`{option}`" in own


@pytest.mark.parametrize(
    ("section", "option"), [o for o in options() if o[0] in ("gateway", "upstream", "vault", "keys")]
)
def test_no_option_is_accepted_and_then_ignored(section: str, option: str) -> None:
    """Somebody outside the reading of the configuration reads it."""
    readers = [p for p in (ROOT / "src" / "pgnym").rglob("*.py") if p.parent.name != "config"]
    readers += [ROOT / "src" / "pgnym" / "config" / name for name in ("secrets.py",)]
    name = {"listen": "addresses"}.get(option, option)
    assert any(f".{name}" in reader.read_text() for reader in readers)


FUNCTIONS = """
tables:
  public.customer: {columns: {email: {domain: email}, name: {}}}
functions:
"""


def test_signatures_name_domains_or_columns() -> None:
    config = parse(
        FUNCTIONS
        + """
  public.find: {arguments: [email, null], results: {mail: email, name: public.customer.name}}
  public.mail_of: {arguments: [null], results: public.customer.email}
"""
    )
    find, mail_of = config.functions["public.find"], config.functions["public.mail_of"]
    assert find.arguments == ("email", None)
    assert find.named_results() == {"mail": "email", "name": "public.customer.name"}
    assert mail_of.named_results() == {"": "public.customer.email"}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("  find: {arguments: [email]}", "functions.find", "expected SCHEMA.FUNCTION"),
        ("  public.find: {arguments: [mail]}", "functions.public.find.arguments.0", "no domain or protected column mail"),
        ("  public.find: {results: {a: x}}", "functions.public.find.results.a", "no domain or protected column x"),
        ("  public.find: {results: x}", "functions.public.find.results", "no domain or protected column x"),
        ("  public.find: {arguments: [null]}", "functions.public.find", "names no domain"),
        ("  public.find: {argument: []}", "functions.public.find", "unknown"),
    ],
)  # fmt: skip
def test_signatures_that_are_refused(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(FUNCTIONS + text)
    assert caught.value.path.startswith(place)
    assert message in str(caught.value)
