"""``pgnym``: the table of commands, and how their errors are shown. Each command's code is imported when it is run."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pgnym import __version__

DONE, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def build_parser() -> argparse.ArgumentParser:
    """The command line. ``run`` of a command's namespace is ``module:function``; the function takes the namespace."""
    parser = argparse.ArgumentParser(
        prog="pgnym",
        description="A PostgreSQL gateway that pseudonymizes personal data transparently.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage (or, for plan, changes pending).",
    )
    parser.add_argument("--version", action="version", version=f"pgnym {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("-c", "--config", default="pgnym.yaml", metavar="FILE", help="default: ./pgnym.yaml")
    owner = argparse.ArgumentParser(add_help=False)
    owner.add_argument("--url", metavar="URL", help="the database owner's URL (default: PGNYM_ADMIN_URL)")
    owner.add_argument(
        "--vault-url",
        metavar="URL",
        help="the owner's URL of the vault's server, where vault.url names one (default: PGNYM_VAULT_ADMIN_URL)",
    )

    demo = commands.add_parser("demo", help="a sample shop behind pgnym, on a PostgreSQL of its own")
    demo.add_argument("--check", action="store_true", help="run the tour, look for leaks, and end")
    demo.add_argument("--dir", metavar="D", help="where to put it (default: a temporary directory)")
    demo.add_argument("--port", type=port, default=6432, help="of the gateway; 0: any (default: %(default)s)")
    demo.add_argument(
        "--admin-port", type=port, default=8432, help="of the admin endpoint; 0: any (default: %(default)s)"
    )
    demo.set_defaults(run="pgnym.cli.demo:run")

    serve = commands.add_parser("serve", parents=[config], help="run the gateway and the admin endpoint")
    serve.add_argument("--workers", type=count, metavar="N", help="processes (default: gateway.workers)")
    serve.add_argument(
        "--log-level", choices=("debug", "info", "warning"), default="info", help="default: %(default)s"
    )
    serve.set_defaults(run="pgnym.cli.serve:run")

    plan = commands.add_parser("plan", parents=[config, owner], help="show what apply would do")
    plan.set_defaults(run="pgnym.cli.onboarding:plan")

    apply = commands.add_parser(
        "apply", parents=[config, owner], help="make the database match the configuration"
    )
    apply.add_argument("--yes", action="store_true", help="don't ask")
    apply.add_argument(
        "--scrub-wal", action="store_true", help="overwrite the WAL of before, too (superuser)"
    )
    apply.set_defaults(run="pgnym.cli.onboarding:apply")

    undo = commands.add_parser("undo", parents=[config, owner], help="give a table its plaintext back")
    undo.add_argument("--table", required=True, metavar="SCHEMA.TABLE")
    undo.add_argument("--yes", action="store_true", help="don't ask")
    undo.set_defaults(run="pgnym.cli.onboarding:undo")

    verify = commands.add_parser(
        "verify", parents=[config, owner], help="does every token of the database open?"
    )
    verify.set_defaults(run="pgnym.cli.onboarding:verify")

    check = commands.add_parser("check", parents=[config], help="what would happen to statements, and why")
    check.add_argument("--sql", metavar="S", help="a statement")
    check.add_argument(
        "--user", help="the database user who sends them (default: the first that roles names)"
    )
    check.add_argument("--purpose", metavar="P", help="the purpose that the session has stated")
    check.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    check.add_argument(
        "--url", metavar="URL", help="read the catalog by this URL rather than by the gateway's login"
    )
    check.add_argument("files", nargs="*", metavar="FILE", help="files of statements; - is standard input")
    check.set_defaults(run="pgnym.cli.check:run")

    add_keys(commands, config, owner)

    unseal = commands.add_parser("unseal", parents=[config], help="give a sealed gateway its shares")
    unseal.add_argument("--admin", metavar="HOST:PORT", help="the admin endpoint (default: admin.listen)")
    unseal.add_argument("--tls", action="store_true", help="the endpoint speaks TLS")
    unseal.add_argument(
        "--ca", metavar="FILE", help="the authority of its certificate (default: the system's)"
    )
    unseal.set_defaults(run="pgnym.cli.keys:unseal")

    add_tokens(commands, config)
    add_grants(commands, config)
    add_consents(commands, config)
    add_audit(commands, config, owner)
    add_subject(commands, config, owner)

    purge = commands.add_parser(
        "purge", parents=[config, owner], help="delete values that no row holds any more"
    )
    purge.add_argument("--dry-run", action="store_true", help="only count them")
    purge.add_argument("--tenant", metavar="NAME", help="default: all")
    purge.add_argument(
        "--older-than",
        type=lifetime,
        default=timedelta(days=30),
        metavar="TIME",
        help="since they were last stored; at least 24h (default: 30d)",
    )
    purge.add_argument("--yes", action="store_true", help="don't ask")
    purge.set_defaults(run="pgnym.cli.purge:run")

    retention = commands.add_parser(
        "retention", parents=[config, owner], help="erase what has been kept long enough; then purge"
    )
    retention.add_argument("--dry-run", action="store_true", help="only count it")
    retention.add_argument("--tenant", metavar="NAME", help="default: all")
    retention.add_argument("--yes", action="store_true", help="don't ask")
    retention.set_defaults(run="pgnym.cli.retention:run")

    doctor = commands.add_parser("doctor", parents=[config], help="what is wrong, and what to do about it")
    doctor.set_defaults(run="pgnym.cli.doctor:run")
    return parser


def add_tokens(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], config: argparse.ArgumentParser
) -> None:
    """``token create``, ``list`` and ``revoke``."""
    token = commands.add_parser("token", help="tokens of the admin endpoint")
    actions = token.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", parents=[config], help="make one; it is printed once")
    create.add_argument("--role", required=True, choices=("root", "dpo", "auditor", "operator", "app"))
    create.add_argument("--tenant", metavar="T", help="default: all tenants")
    create.add_argument("--ttl", type=lifetime, metavar="TIME", help="such as 30d or 12h (default: no end)")
    create.add_argument("--name", default="", help="what it is for (default: the role)")
    create.set_defaults(run="pgnym.cli.tokens:create")
    listing = actions.add_parser("list", parents=[config], help="all, without their secrets")
    listing.set_defaults(run="pgnym.cli.tokens:show")
    revoke = actions.add_parser("revoke", parents=[config], help="revoke one at once")
    revoke.add_argument("id", type=count, help="its number in the list")
    revoke.set_defaults(run="pgnym.cli.tokens:revoke")


def add_grants(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], config: argparse.ArgumentParser
) -> None:
    """``grant create``, ``list`` and ``revoke``."""
    grant = commands.add_parser("grant", help="what lifts the reveal budget, for a purpose and a time")
    actions = grant.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", parents=[config], help="make one")
    whose = create.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="USER", help="for a database user")
    whose.add_argument("--role", metavar="ROLE", help="for a role of the configuration")
    create.add_argument("--purpose", required=True, metavar="P", help="which the session must state")
    for limit in ("statement", "minute"):
        create.add_argument(
            f"--{limit}", type=values, required=True, metavar="N", help=f"values per {limit}, or unlimited"
        )
    create.add_argument("--ttl", type=lifetime, required=True, metavar="TIME", help="such as 90m, 12h or 7d")
    create.add_argument("--reason", required=True, metavar="TEXT")
    create.add_argument("--tenant", metavar="T", help="default: tenants.default")
    create.set_defaults(run="pgnym.cli.grants:create")
    listing = actions.add_parser("list", parents=[config], help="all, the newest first")
    listing.add_argument("--tenant", metavar="T", help="default: tenants.default")
    listing.set_defaults(run="pgnym.cli.grants:show")
    revoke = actions.add_parser("revoke", parents=[config], help="end one at once")
    revoke.add_argument("id", type=count, help="its number in the list")
    revoke.add_argument("--tenant", metavar="T", help="default: tenants.default")
    revoke.set_defaults(run="pgnym.cli.grants:revoke")


def add_consents(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], config: argparse.ArgumentParser
) -> None:
    """``consent show``, ``accept`` and ``withdraw``."""
    consent = commands.add_parser("consent", help="what a person agrees to")
    actions = consent.add_subparsers(dest="action", metavar="ACTION", required=True)
    whose = argparse.ArgumentParser(add_help=False)
    whose.add_argument("id", nargs="?", metavar="ID", help="the value of the table's subject column")
    whose.add_argument(
        "--value", metavar="COLUMN=VALUE", help="whoever has this value instead (tables.TABLE.consent_by)"
    )
    whose.add_argument(
        "--table", metavar="SCHEMA.TABLE", help="the subject's own (default: the only one there is)"
    )
    whose.add_argument("--tenant", metavar="NAME", help="default: tenants.default")
    how = argparse.ArgumentParser(add_help=False)
    how.add_argument("--channel", default="", metavar="TEXT", help="how they said it")
    how.add_argument("--reference", default="", metavar="TEXT", help="where that can be looked up")
    show = actions.add_parser("show", parents=[config, whose], help="state and history, as JSON")
    show.set_defaults(run="pgnym.cli.consents:show")
    accept = actions.add_parser("accept", parents=[config, whose, how], help="they agree")
    accept.add_argument("--purpose", action="append", required=True, metavar="P", help="may be repeated")
    accept.add_argument("--expires", type=moment, metavar="TIME", help="ISO 8601 (default: never)")
    accept.add_argument("--text-version", type=count, metavar="N", help="of the text that they were shown")
    accept.set_defaults(run="pgnym.cli.consents:accept")
    withdraw = actions.add_parser("withdraw", parents=[config, whose, how], help="they agree no longer")
    withdraw.add_argument("--purpose", action="append", metavar="P", help="may be repeated (default: all)")
    withdraw.set_defaults(run="pgnym.cli.consents:withdraw")


def add_keys(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    config: argparse.ArgumentParser,
    owner: argparse.ArgumentParser,
) -> None:
    """``keys generate``, ``split``, ``rotate`` and ``status``."""
    keys = commands.add_parser("keys", help="the master key, and the keys below it")
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True)
    generate = actions.add_parser("generate", help="a new master key, in base64 on standard output")
    generate.set_defaults(run="pgnym.cli.keys:generate")
    split = actions.add_parser("split", parents=[config], help="the configured master key in SLIP-39 shares")
    split.add_argument("--shares", type=count, default=3, metavar="N", help="how many (default: %(default)s)")
    split.add_argument(
        "--threshold", type=count, default=2, metavar="M", help="how many are needed (default: %(default)s)"
    )
    split.add_argument("--key-file", metavar="FILE", help="split the key of this file instead")
    split.set_defaults(run="pgnym.cli.keys:split")
    rotate = actions.add_parser("rotate", help="new keys in place of those there are, while gateways run")
    kinds = rotate.add_subparsers(dest="kind", metavar="KIND", required=True)
    data = kinds.add_parser(
        "data", parents=[config, owner], help="seal all values under new keys, and destroy the old ones"
    )
    data.add_argument("--tenant", metavar="NAME", help="default: all")
    data.set_defaults(run="pgnym.cli.keys:rotate_data_keys")
    master = kinds.add_parser(
        "master", parents=[config, owner], help="let a new master key open the vault; with --finish, no other"
    )
    master.add_argument("--new-key-file", metavar="FILE", help="the new master key (`pgnym keys generate`)")
    master.add_argument("--shares", action="store_true", help="read the present key from shares, one a line")
    ends = master.add_mutually_exclusive_group()
    ends.add_argument(
        "--finish", action="store_true", help="the new key stays, the old one opens nothing any more"
    )
    ends.add_argument(
        "--cancel", action="store_true", help="the old key stays, the new one opens nothing any more"
    )
    master.set_defaults(run="pgnym.cli.keys:rotate_master_key")
    token = kinds.add_parser(
        "token",
        parents=[config, owner],
        help="other tokens for all values and rows; gateways pause meanwhile",
    )
    token.add_argument("--tenant", metavar="NAME", help="default: all")
    token.set_defaults(run="pgnym.cli.keys:rotate_token_keys")
    status = actions.add_parser("status", parents=[config], help="which keys there are, their age and use")
    status.add_argument("--tenant", metavar="NAME", help="default: all")
    status.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    status.set_defaults(run="pgnym.cli.keys:status")


def add_audit(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    config: argparse.ArgumentParser,
    owner: argparse.ArgumentParser,
) -> None:
    """``audit verify``, ``audit show`` and ``audit prune``."""
    audit = commands.add_parser("audit", help="the audit log")
    actions = audit.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser("verify", parents=[config], help="is the log as it was written?")
    verify.add_argument("--tenant", metavar="NAME", help="default: all")
    verify.add_argument(
        "--anchors",
        metavar="FILE",
        help="a log that was kept elsewhere, with checkpoints in it; - is standard input",
    )
    verify.set_defaults(run="pgnym.cli.audit:verify")
    show = actions.add_parser("show", parents=[config], help="print records")
    show.add_argument("--tenant", metavar="NAME", help="default: all")
    show.add_argument("--since", type=moment, metavar="TIME", help="ISO 8601")
    show.add_argument("--until", type=moment, metavar="TIME")
    show.add_argument("--actor", metavar="USER", help="the database user")
    show.add_argument("--role", metavar="ROLE", help="pgnym's role")
    show.add_argument(
        "--action", dest="audit_action", metavar="ACTION", help="reveal, tokenize, search, refuse …"
    )
    show.add_argument("--decision", choices=("allowed", "denied"))
    show.add_argument("--domain", metavar="DOMAIN")
    show.add_argument("--purpose", metavar="P")
    show.add_argument("--fingerprint", metavar="F", help="of the statement")
    show.add_argument("--limit", type=count, metavar="N", help="at most so many")
    show.add_argument("--newest-first", action="store_true")
    show.add_argument(
        "--format", choices=("text", "jsonl", "cef"), default="text", help="default: %(default)s"
    )
    show.set_defaults(run="pgnym.cli.audit:show")
    prune = actions.add_parser("prune", parents=[config, owner], help="drop months of the log that are past")
    prune.add_argument(
        "--before", type=moment, required=True, metavar="TIME", help="months that ended before it"
    )
    prune.add_argument("--unverified", action="store_true", help="also from a log that was tampered with")
    prune.add_argument("--yes", action="store_true", help="don't ask")
    prune.set_defaults(run="pgnym.cli.audit:prune")


def add_subject(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    config: argparse.ArgumentParser,
    owner: argparse.ArgumentParser,
) -> None:
    """``subject report`` and ``subject erase``."""
    subject = commands.add_parser("subject", help="the data of one person")
    actions = subject.add_subparsers(dest="action", metavar="ACTION", required=True)
    whose = argparse.ArgumentParser(add_help=False)
    whose.add_argument(
        "--table", metavar="SCHEMA.TABLE", help="the subject's own (default: the only one there is)"
    )
    whose.add_argument("--tenant", metavar="NAME", help="default: tenants.default")
    report = actions.add_parser(
        "report", parents=[config, owner, whose], help="all that is held on a person, as JSON, and who saw it"
    )
    report.add_argument("id", nargs="?", metavar="ID", help="the value of the table's subject column")
    report.add_argument("--value", metavar="COLUMN=VALUE", help="those who have this value instead")
    report.add_argument(
        "--since", type=moment, metavar="TIME", help="who saw it since (default: the last 90 days)"
    )
    report.set_defaults(run="pgnym.cli.privacy:report")
    erase = actions.add_parser(
        "erase", parents=[config, owner, whose], help="erase a person's rows and values for good"
    )
    erase.add_argument("id", metavar="ID", help="the value of the table's subject column")
    erase.add_argument("--yes", action="store_true", help="don't ask")
    erase.add_argument(
        "--settle",
        type=float,
        default=15.0,
        metavar="SECONDS",
        help="until gateways have sent what they had begun (default: %(default)s)",
    )
    erase.set_defaults(run="pgnym.cli.privacy:erase")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. Errors are one line and a hint on stderr, never a traceback or a secret."""
    options = build_parser().parse_args(arguments)
    module, _, name = options.run.partition(":")
    try:
        command = importlib.import_module(module)
        code: int = getattr(command, name)(options)
    except KeyboardInterrupt:
        print("pgnym: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads on; what is left to flush has nowhere to go
        return FAILED
    except Exception as error:
        from pgnym.cli.failures import explain

        message, hint = explain(error)
        print(f"pgnym: {message}", file=sys.stderr)
        if hint:
            print(f"hint: {hint}", file=sys.stderr)
        return FAILED
    return code


def moment(text: str) -> datetime:
    """A time in ISO 8601; of UTC if it names no zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "expected a time such as 2026-11-24 or 2026-11-24T09:30+01:00"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def lifetime(text: str) -> timedelta:
    """A time such as ``90m``, ``12h``, ``30d`` or ``8w``; at most ten years."""
    units = {
        "m": timedelta(minutes=1),
        "h": timedelta(hours=1),
        "d": timedelta(days=1),
        "w": timedelta(weeks=1),
    }
    number, unit = text[:-1], units.get(text[-1:])
    if unit is None or not number.isdecimal() or not number.isascii() or len(number) > 7:
        raise argparse.ArgumentTypeError("expected a time such as 12h or 30d")
    found = int(number) * unit
    if not timedelta(0) < found <= timedelta(days=3660):
        raise argparse.ArgumentTypeError("expected more than nothing, and at most ten years")
    return found


def port(text: str) -> int:
    """A TCP port, or 0."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("expected 0 to 65535")
    return number


def values(text: str) -> int | None:
    """A number of values; None for ``unlimited``."""
    if text == "unlimited":
        return None
    number = int(text)
    if not 0 <= number <= 2**62:
        raise argparse.ArgumentTypeError("expected a number of values, or unlimited")
    return number


def count(text: str) -> int:
    """A positive number."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
