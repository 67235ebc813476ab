"""Read ``pgnym.yaml``: YAML → typed structs → cross-checks. Every error is a ConfigError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from pgnym.config.checks import check
from pgnym.config.errors import ConfigError
from pgnym.config.locate import convert
from pgnym.config.model import Config, GatewayTls, Tls

MAX_BYTES = 4 * 1024 * 1024


def load(path: str | Path) -> Config:
    """The configuration in file ``path``, checked. Relative file names in it are taken from its directory.

    Raises ConfigError.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = "name one with --config, or start from config/pgnym.yaml"
        raise ConfigError("", "no such file", hint, str(path)) from None
    except OSError as error:
        raise ConfigError("", f"can't be read: {error.strerror}", "", str(path)) from None
    if len(data) > MAX_BYTES:
        raise ConfigError("", f"larger than {MAX_BYTES} bytes", "", str(path))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError("", f"not UTF-8 at byte {error.start}", "", str(path)) from None
    return parse(text, source=file.name, directory=file.parent)


def parse(text: str, source: str = "pgnym.yaml", directory: Path | None = None) -> Config:
    """The configuration in ``text``, checked; ``source`` names it in errors. Raises ConfigError."""
    try:
        config = convert(read_yaml(text), Config)
        check(config)
    except ConfigError as error:
        raise ConfigError(error.path, error.reason, error.hint, source) from None
    return config if directory is None else resolved(config, directory)


def read_yaml(text: str) -> dict[str, Any]:
    """YAML to plain data: the safe subset, no duplicate keys, keys are texts."""
    try:
        data = yaml.load(text, StrictLoader)  # noqa: S506 - StrictLoader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigError("", f"not valid YAML: {error.problem or error.context}{place}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ConfigError("", "not valid YAML") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError("", "expected a mapping of sections such as gateway, upstream, tables, roles")
    return data


class StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice (YAML 1.2 §3.2.1.3; in PyYAML the last one wins)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As SafeLoader's, after looking for duplicate and non-text keys."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                problem = (
                    f"key {key!r} is not a text; put it in quotes"
                    if isinstance(key, str)
                    else "key is not a text"
                )
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def resolved(config: Config, directory: Path) -> Config:
    """The same with the names of other files made absolute."""

    def at(name: str | None) -> str | None:
        return None if name is None else str((directory / name).absolute())

    def files(options: Any) -> Any:
        """Options of a connector: what a key ``…_file`` names."""
        if not isinstance(options, dict):
            return options
        return {
            key: at(value) if key.endswith("_file") and isinstance(value, str) else files(value)
            for key, value in options.items()
        }

    replace, gateway_tls = msgspec.structs.replace, config.gateway.tls
    observe = replace(config.observe, report_file=str((directory / config.observe.report_file).absolute()))
    return replace(
        config,
        gateway=replace(
            config.gateway,
            tls=GatewayTls(
                cert=at(gateway_tls.cert), key=at(gateway_tls.key), client_ca=at(gateway_tls.client_ca)
            ),
        ),
        admin=replace(config.admin, tls=Tls(cert=at(config.admin.tls.cert), key=at(config.admin.tls.key))),
        upstream=replace(config.upstream, sslrootcert=at(config.upstream.sslrootcert)),
        vault=replace(config.vault, password_file=at(config.vault.password_file)),
        observe=observe,
        connectors={
            name: replace(connector, options=files(connector.options))
            for name, connector in config.connectors.items()
        },
        keys=replace(config.keys, master_key_file=at(config.keys.master_key_file)),
    )
