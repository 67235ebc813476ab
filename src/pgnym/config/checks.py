"""What must hold between the fields of a configuration; and options that this version refuses.

An option that is accepted and then ignored would be a false promise, so what isn't built is an error that
says so.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import timedelta
from urllib.parse import urlsplit

from pgnym.config.address import parse_address
from pgnym.config.durations import LONGEST, at_most
from pgnym.config.errors import ConfigError
from pgnym.config.locate import near
from pgnym.config.model import (
    Admin,
    Column,
    Config,
    Gateway,
    GatewayTls,
    ProtectedColumn,
    Retain,
    Role,
    Table,
    Tls,
    listeners,
)

PATTERN = re.compile(r"\*|[^.*\s]+\.\*|[^.*\s]+\.[^.*\s]+\.\*|[^.*\s]+\.[^.*\s]+\.[^.*\s]+(?:\.\S+)?")
# Steps of a path within jsonb: a key (in quotes where it has to be), and [*] for the elements of an array.
_KEY = r'(?:[^.\[\]"*\s]+|"(?=[^"]*[.\[\]*\s\\])(?:[^"\\]|\\["\\])+")'
PATH = re.compile(rf"{_KEY}(?:\[\*\])*(?:\.{_KEY}(?:\[\*\])*)*")
DEFAULT_ROLE = "default"


def check(config: Config) -> None:
    """Raise ConfigError for the first thing that doesn't hold."""
    check_side(config.gateway, "gateway")
    check_side(config.admin, "admin")
    check_vault_url(config.vault.url)
    if config.privacy.over_http and len(config.vault.privacy_role.encode()) > 63:
        raise ConfigError(
            "vault.user",
            f"too long: a role {config.vault.privacy_role} is named after it",
            "63 bytes at most",
        )
    if config.gateway.mode == "observe" and config.gateway.workers > 1:
        raise ConfigError("gateway.workers", "mode: observe counts in one process", "use workers: 1")
    for table in config.tables:
        check_table_name(table, f"tables.{table}")
    check_tables(config)
    check_domains(config)
    check_roles(config)
    check_purposes(config)
    check_consent(config)
    check_restriction(config)
    check_functions(config)
    check_connectors(config)
    check_retention(config)


def check_side(side: Gateway | Admin, path: str) -> None:
    """Listeners parse; TLS has both parts, and is there where others than this machine can connect."""
    for text in listeners(side.listen):
        try:
            address = parse_address(text)
        except ValueError as error:
            raise ConfigError(f"{path}.listen", f"{text!r}: {error}") from None
        check_tls(side.tls, f"{path}.tls")
        if not address.local and side.tls.cert is None:
            raise ConfigError(
                f"{path}.tls",
                f"required, because {text} can be reached from other machines",
                f"give {path}.tls.cert and {path}.tls.key, or listen on 127.0.0.1, [::1] or unix:/PATH",
            )
    if not listeners(side.listen):
        raise ConfigError(f"{path}.listen", "at least one address is needed")


def check_tls(tls: Tls, path: str) -> None:
    """Certificate and key go together."""
    if (tls.cert is None) != (tls.key is None):
        missing = "key" if tls.key is None else "cert"
        raise ConfigError(f"{path}.{missing}", "missing: certificate and key go together")
    if isinstance(tls, GatewayTls) and tls.client_ca is not None and tls.cert is None:
        raise ConfigError(
            f"{path}.client_ca",
            "without TLS no client can show a certificate",
            f"give {path}.cert and {path}.key",
        )


def check_vault_url(url: str | None) -> None:
    """A PostgreSQL URL without user and password: the user is ``vault.user``, the password a secret."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("postgresql", "postgres") and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError("vault.url", "expected postgresql://HOST[:PORT]/DATABASE")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "vault.url",
            "holds a user or a password",
            "the login is vault.user; its password comes from vault.password_file or PGNYM_VAULT_PASSWORD",
        )
    if not parts.path.strip("/"):
        raise ConfigError("vault.url", "names no database")


def check_table_name(name: str, path: str) -> None:
    """``schema.table``, as PostgreSQL stores the names (no quotes, no folding)."""
    parts = name.split(".")
    if len(parts) != 2 or not all(parts):
        raise ConfigError(
            path, "expected SCHEMA.TABLE, spelled as in pg_catalog", "for instance public.customer"
        )
    if parts[0] in ("vault", "pg_catalog", "information_schema"):
        raise ConfigError(path, f"schema {parts[0]} can't be protected")


def check_tables(config: Config) -> None:
    """Options of tables and columns that exclude or need one another."""
    for name, table in config.tables.items():
        path = f"tables.{name}"
        if not table.columns:
            raise ConfigError(f"{path}.columns", "names no column")
        if table.subject_table is not None:
            check_table_name(table.subject_table, f"{path}.subject_table")
            if table.subject is None:
                raise ConfigError(
                    f"{path}.subject", "missing: subject_table needs the column that refers to it"
                )
            check_subject_table(config, table.subject_table, f"{path}.subject_table", name)
        if table.subject in table.columns:
            raise ConfigError(
                f"{path}.subject", "the column that identifies the data subject can't be protected itself"
            )
        check_consent_by(table, path)
        if table.retain is not None:
            check_retain(table.retain, table.columns, f"{path}.retain")
        for column, options in table.columns.items():
            if "." in column:
                raise ConfigError(f"{path}.columns.{column}", "names with a dot are not supported")
            check_column(options, f"{path}.columns.{column}")
            check_paths(options, f"{path}.columns.{column}")


def check_consent_by(table: Table, path: str) -> None:
    """Consent is told by values of the subject's own table whose tokens are deterministic."""
    if table.consent_by and (table.subject is None or table.subject_table is not None):
        raise ConfigError(f"{path}.consent_by", "is for the table that has the subjects", "say it there")
    for i, name in enumerate(table.consent_by):
        options = table.columns.get(name)
        if options is None or options.paths or options.tokens == "randomized":
            raise ConfigError(
                f"{path}.consent_by.{i}",
                f"{name} is no protected column of the table with deterministic tokens",
                near(name, sorted(table.columns)),
            )


def check_retain(retain: Retain, columns: Container[str], path: str) -> None:
    """The server can compare the column, and compute the time."""
    if retain.after in columns:
        raise ConfigError(f"{path}.after", "a protected column's times can't be compared by the server")
    if at_most(retain.for_) > LONGEST:
        raise ConfigError(
            f"{path}.for", "longer than a thousand years", "leave retain out to keep rows for good"
        )


def check_subject_table(config: Config, named: str, path: str, own: str) -> None:
    """What a subject column refers to is a subject's own table: one step, so that all rows of a person are found."""
    if named == own:
        raise ConfigError(path, "names the table itself", "leave it out")
    other = config.tables.get(named)
    if other is None:
        raise ConfigError(path, f"no table {named} is configured", near(named, sorted(config.tables)))
    if other.subject is None:
        raise ConfigError(path, f"{named} has no subject", f"say tables.{named}.subject")
    if other.subject_table is not None:
        raise ConfigError(
            path,
            f"the subject of {named} is that of {other.subject_table}",
            f"a column of {own} that refers to {other.subject_table} itself is needed",
        )


def check_paths(options: Column, path: str) -> None:
    """Paths are well formed, none lies within another, and the column has no options beside them."""
    if not options.paths:
        return
    if options != Column(paths=options.paths):
        raise ConfigError(path, "has options beside its paths", "give them to each path")
    for name, of_path in options.paths.items():
        place = f"{path}.paths.{name}"
        if not PATH.fullmatch(name):
            hint = (
                'keys with dots between, [*] behind an array, odd keys in quotes: contacts[*].email, "a.b".c'
            )
            raise ConfigError(place, f"{name!r} is not a path", hint)
        if of_path.paths:
            raise ConfigError(f"{place}.paths", "a path can't have paths", f"write {name}.… beside it")
        check_column(of_path, place)
        for other in options.paths:
            if other != name and other.startswith(name) and other[len(name)] in ".[":
                raise ConfigError(place, f"{other} lies within it", "protect the one or the other")


def check_column(options: Column, path: str) -> None:
    """Options of one column that exclude one another."""
    if options.tokens == "randomized":
        if options.search is not None and "equality" in options.search:
            raise ConfigError(
                f"{path}.search",
                "randomized tokens can't be compared",
                "use tokens: deterministic, or leave equality out",
            )
        if options.search is not None and "order" in options.search:
            raise ConfigError(
                f"{path}.search",
                "an order index would show which randomized tokens are of equal values",
                "use tokens: deterministic, or leave order out: up to vault.scan_limit values are sorted without it",
            )
        if options.normalize != "none":
            raise ConfigError(f"{path}.normalize", "has no use with randomized tokens", "leave it out")


def check_domains(config: Config) -> None:
    """Columns of one domain agree on what makes equal values equal."""
    first: dict[str, ProtectedColumn] = {}
    for column in config.columns():
        other = first.setdefault(column.domain, column)
        for option, of in (("tokens", "tokens"), ("normalize", "spelling")):
            mine, theirs = getattr(column.options, of), getattr(other.options, of)
            if mine != theirs:
                raise ConfigError(
                    f"{column.place}.{option}",
                    f"{mine}, but {other.name} of the same domain {column.domain} has {theirs}",
                    "columns of one domain must agree; or give this one a domain of its own",
                )


def check_roles(config: Config) -> None:
    """Patterns name what is configured, no verb contradicts another, each user is in one role."""
    known = {column.name for column in config.columns()}
    owner: dict[str, str] = {}
    for name, role in config.roles.items():
        path = f"roles.{name}"
        if name == DEFAULT_ROLE and role.users:
            raise ConfigError(f"{path}.users", "the default role is for users that no other role names")
        if name != DEFAULT_ROLE and not role.users:
            raise ConfigError(f"{path}.users", "missing: which database users have this role?")
        for i, user in enumerate(role.users):
            if user in owner:
                raise ConfigError(f"{path}.users.{i}", f"{user} is already in role {owner[user]}")
            owner[user] = name
        check_patterns(role, path, known)


def check_patterns(role: Role, path: str, known: set[str]) -> None:
    """Each pattern is well formed and matches a configured column, and gives one sight."""
    known = known | {".".join(name.split(".")[:3]) for name in known}  # a column stands for its paths
    tables = {".".join(name.split(".")[:2]) for name in known}
    schemas = {name.split(".", 1)[0] for name in known}
    sights: dict[str, str] = {}
    for verb in ("reveal", "mask", "tokens", "compare", "write"):
        for i, pattern in enumerate(getattr(role, verb)):
            place = f"{path}.{verb}.{i}"
            if not PATTERN.fullmatch(pattern):
                hint = "use *, SCHEMA.*, SCHEMA.TABLE.*, SCHEMA.TABLE.COLUMN or SCHEMA.TABLE.COLUMN.PATH"
                raise ConfigError(place, f"{pattern!r} is not a pattern of columns", hint)
            if verb in ("reveal", "mask", "tokens"):
                other = sights.setdefault(pattern, verb)
                if other != verb:
                    raise ConfigError(place, f"{pattern} is under {other} as well")
            parts = pattern.split(".")
            what, choices, word = "column", known, pattern
            if pattern == "*":
                continue
            if len(parts) == 2:
                what, choices, word = "schema", schemas, parts[0]
            elif parts[2] == "*":
                what, choices, word = "table", tables, f"{parts[0]}.{parts[1]}"
            if word not in choices:
                raise ConfigError(
                    place, f"no protected {what} {word} is configured", near(word, sorted(choices))
                )


def check_functions(config: Config) -> None:
    """Signatures name functions with their schema, and configured domains or columns."""
    known = sorted({name for column in config.columns() for name in (column.domain, column.name)})
    for name, function in config.functions.items():
        path = f"functions.{name}"
        if len(name.split(".")) != 2 or not all(name.split(".")):
            hint = "for instance public.find_customer; all functions of the name have one signature"
            raise ConfigError(path, "expected SCHEMA.FUNCTION, without arguments", hint)
        used = [(f"arguments.{i}", argument) for i, argument in enumerate(function.arguments)]
        if isinstance(function.results, str):
            used.append(("results", function.results))
        else:
            used.extend((f"results.{column}", given) for column, given in function.results.items())
        for place, given in used:
            if given is not None and given not in known:
                raise ConfigError(
                    f"{path}.{place}",
                    f"no domain or protected column {given} is configured",
                    near(given, known),
                )
        if not any(given for _, given in used):
            raise ConfigError(
                path, "names no domain", "leave it out: without a signature a function sees tokens"
            )


def check_connectors(config: Config) -> None:
    """Each is about subjects of one table, and is told whom by something that can be told."""
    own = config.subject_tables()
    for name, connector in config.connectors.items():
        path = f"connectors.{name}"
        if not own:
            raise ConfigError(path, "there are no data subjects", "say tables.TABLE.subject")
        if connector.table is None and len(own) > 1:
            raise ConfigError(f"{path}.table", "whose subjects?", f"give one of: {', '.join(own)}")
        if connector.table is not None and connector.table not in own:
            raise ConfigError(
                f"{path}.table",
                f"{connector.table} is not the table of a data subject",
                near(connector.table, own) or f"there are: {', '.join(own)}",
            )
        options = config.tables[connector.table or own[0]].columns.get(connector.by or "")
        if options is not None and options.paths:
            raise ConfigError(f"{path}.by", f"{connector.by} is a document, not a value")


def check_retention(config: Config) -> None:
    """Gateways may do by themselves what is on the schedule."""
    if config.retention.every is not None and not config.privacy.over_http:
        raise ConfigError(
            "retention.every",
            "gateways have no right to rows, by privacy.over_http: false",
            "leave it out, and run `pgnym retention --yes` by cron",
        )
    if config.retention.age < timedelta(days=1):
        raise ConfigError(
            "retention.purge_after", "values younger than a day may be on their way into rows", "24h or more"
        )


def check_purposes(config: Config) -> None:
    """A column's purposes are among those of some role: else nobody could ever see it."""
    declared = config.purposes()
    for column in config.columns():
        for i, purpose in enumerate(column.options.purposes):
            if purpose not in declared:
                raise ConfigError(
                    f"{column.place}.purposes.{i}",
                    f"no role has the purpose {purpose}",
                    near(purpose, sorted(declared)) if declared else "declare it under roles.NAME.purposes",
                )


def check_consent(config: Config) -> None:
    """Columns that are shown by consent say for which purposes, and whose they are, and aren't looked into otherwise."""
    consent = [column for column in config.columns() if column.options.legal_basis == "consent"]
    domains = {column.domain: column for column in consent}
    for column in consent:
        table = f"{column.schema}.{column.table}"
        if not column.options.purposes:
            raise ConfigError(
                f"{column.place}.legal_basis", "consent is for purposes: none is named", "say purposes: [...]"
            )
        if config.tables[table].subject is None:
            hint = f"say tables.{table}.subject: the column that identifies the data subject"
            raise ConfigError(f"{column.place}.legal_basis", "whose consent?", hint)
    for column in config.columns():
        search = set(column.options.search or ()) - {"equality"}
        if search and column.domain in domains:
            raise ConfigError(
                f"{column.place}.search",
                f"{min(search)} would tell what is in {domains[column.domain].name} without its subjects' consent",
                "leave it out, or give that column a domain of its own",
            )


def check_restriction(config: Config) -> None:
    """Purposes for which restricted values are shown are those of some role; and somebody can be restricted."""
    restriction = config.privacy.restriction
    if restriction is None:
        return
    if not config.subject_tables():
        raise ConfigError("privacy.restriction", "no table has a subject", "say tables.TABLE.subject")
    declared = config.purposes()
    for i, purpose in enumerate(restriction.purposes):
        if purpose not in declared:
            raise ConfigError(
                f"privacy.restriction.purposes.{i}",
                f"no role has the purpose {purpose}",
                near(purpose, sorted(declared)) if declared else "declare it under roles.NAME.purposes",
            )
