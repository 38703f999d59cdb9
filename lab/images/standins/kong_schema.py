"""What Kong 3.9.3 rejects in a declarative file: its schemas, as far as this project uses them.

Read from `kong/db/schema/entities/{services,routes,consumers}.lua`, `kong/plugins/*/schema.lua`,
`kong/tools/redis/schema.lua` and `kong/db/schema/others/declarative_config.lua` at that tag. A plugin that is not here
is one that nobody has looked at: the stand-in refuses it too.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.images.standins.kong_lua import PHASES, Functions, LuaError

Fields = Mapping[str, "Field"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a record."""

    kind: type | tuple[type, ...] = str
    one_of: tuple[Any, ...] = ()
    above: float | None = None
    between: tuple[int, int] | None = None
    required: bool = False
    elements: Field | None = None
    fields: Fields | None = None
    check: Callable[[Any], str] | None = None
    """What is wrong with a value; empty: nothing."""


def _header(value: str) -> str:
    return (
        "" if re.fullmatch(r"[A-Za-z0-9_-]+", value) else f"bad header name '{value}', allowed: A-Z, a-z, 0-9, _ and -"
    )


def _colon(value: str) -> str:
    """`request-transformer/schema.lua`, colon_header_value_array."""
    name, colon, _ = value.partition(":")
    return _header(name) if colon else "invalid value: " + value


def _path(value: str) -> str:
    """`kong/db/schema/typedefs.lua`, validate_path_with_regexes."""
    if value.startswith("~"):
        try:
            re.compile(value[1:])
        except re.error as error:
            return f"invalid regex: '{value[1:]}' ({error})"
        return ""
    if not value.startswith("/"):
        return f"should start with: / (fixed path) or ~/ (regex path): '{value}'"
    if not re.fullmatch(r"/[\w.\-~/%:@!$&'()*+,;=]*", value):
        return f"invalid path: '{value}' (characters outside of the reserved list of RFC 3986 found)"
    return f"non-normalized path: '{value}'" if "//" in value or "/./" in value or "/../" in value else ""


def _regex(value: str) -> str:
    """`cors/schema.lua`, validate_asterisk_or_regex."""
    try:
        re.compile("" if value == "*" else value)
    except re.error:
        return f"'{value}' is not a valid regex"
    return ""


@functools.cache
def _lua(value: str) -> str:
    """`pre-function/_schema.lua`, validate_function: it compiles; whether it works is seen when it runs."""
    functions = Functions()
    try:
        functions.load("checked", value)
    except LuaError as error:
        return f"error parsing pre-function: {error}"
    finally:
        functions.close()
    return ""


SERVERLESS: Final = ("pre-function", "post-function")
NUMBER: Final = (int, float)
TEXT: Final = Field()
BOOLEAN: Final = Field(kind=bool)
POSITIVE: Final = Field(kind=NUMBER, above=0)
STRINGS: Final = Field(kind=list, elements=TEXT)
TIMEOUT: Final = Field(kind=int, between=(1, 2**31 - 2))
PORT: Final = Field(kind=int, between=(0, 65535))
_NAMED: Final[Fields] = {"id": TEXT, "name": TEXT, "tags": STRINGS}


def _transform(check: Callable[[str], str]) -> Field:
    headers = Field(kind=list, elements=Field(check=check))
    return Field(kind=dict, fields={"body": STRINGS, "headers": headers, "querystring": STRINGS})


PLUGINS: Final[Mapping[str, Fields]] = {
    "key-auth": {
        "key_names": Field(kind=list, elements=Field(check=_header)),
        **dict.fromkeys(
            ("hide_credentials", "key_in_header", "key_in_query", "key_in_body", "run_on_preflight"), BOOLEAN
        ),
        "anonymous": TEXT,
        "realm": TEXT,
    },
    "acl": {
        "allow": STRINGS,
        "deny": STRINGS,
        "hide_groups_header": BOOLEAN,
        "always_use_authenticated_groups": BOOLEAN,
    },
    "rate-limiting": {
        **dict.fromkeys(("second", "minute", "hour", "day", "month", "year"), POSITIVE),
        "limit_by": Field(one_of=("consumer", "credential", "ip", "service", "header", "path")),
        "header_name": Field(check=_header),
        "path": Field(check=_path),
        # Without a database: no `cluster`.
        "policy": Field(one_of=("local", "redis")),
        "fault_tolerant": BOOLEAN,
        "redis": Field(
            kind=dict,
            fields={
                "host": TEXT,
                "port": PORT,
                "timeout": TIMEOUT,
                "username": TEXT,
                "password": TEXT,
                "database": Field(kind=int),
                "ssl": BOOLEAN,
                "ssl_verify": BOOLEAN,
                "server_name": TEXT,
            },
        ),
        "hide_client_headers": BOOLEAN,
        "error_code": POSITIVE,
        "error_message": TEXT,
        "sync_rate": Field(kind=NUMBER),
    },
    "request-size-limiting": {
        "allowed_payload_size": Field(kind=int),
        "size_unit": Field(one_of=("megabytes", "kilobytes", "bytes")),
        "require_content_length": BOOLEAN,
    },
    "request-transformer": {
        "http_method": Field(check=lambda v: "" if re.fullmatch(r"[A-Z]+", v) else f"invalid value: {v}"),
        "remove": _transform(_header),
        "rename": _transform(_colon),
        "replace": Field(kind=dict, fields={**(_transform(_colon).fields or {}), "uri": TEXT}),
        "add": _transform(_colon),
        "append": _transform(_colon),
    },
    "cors": {
        "origins": Field(kind=list, elements=Field(check=_regex)),
        "headers": STRINGS,
        "exposed_headers": STRINGS,
        "methods": Field(
            kind=list,
            elements=Field(
                one_of=("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"),
            ),
        ),
        "max_age": Field(kind=NUMBER),
        **dict.fromkeys(("credentials", "private_network", "preflight_continue", "allow_origin_absent"), BOOLEAN),
    },
    **dict.fromkeys(SERVERLESS, dict.fromkeys(PHASES, Field(kind=list, elements=Field(check=_lua)))),
    "correlation-id": {
        "header_name": TEXT,
        "generator": Field(one_of=("uuid", "uuid#counter", "tracker")),
        "echo_downstream": BOOLEAN,
    },
    "prometheus": dict.fromkeys(
        (
            "per_consumer",
            "status_code_metrics",
            "ai_metrics",
            "latency_metrics",
            "bandwidth_metrics",
            "upstream_health_metrics",
        ),
        BOOLEAN,
    ),
}
_PLUGIN: Final = Field(
    kind=dict,
    fields={
        **_NAMED,
        "name": Field(required=True),
        "instance_name": TEXT,
        "enabled": BOOLEAN,
        "protocols": STRINGS,
        "config": Field(kind=dict),
        **dict.fromkeys(("service", "route", "consumer"), Field(kind=(str, dict))),
    },
)
_PLUGIN_LIST: Final = Field(kind=list, elements=_PLUGIN)
_ROUTE: Final = Field(
    kind=dict,
    fields={
        **_NAMED,
        **dict.fromkeys(("methods", "hosts", "snis"), STRINGS),
        "protocols": Field(kind=list, elements=Field(one_of=("http", "https", "grpc", "grpcs", "tcp", "tls", "udp"))),
        "paths": Field(kind=list, elements=Field(check=_path)),
        "headers": Field(kind=dict),
        "regex_priority": Field(kind=int),
        "path_handling": Field(one_of=("v0", "v1")),
        "https_redirect_status_code": Field(kind=int, one_of=(426, 301, 302, 307, 308)),
        **dict.fromkeys(("strip_path", "preserve_host", "request_buffering", "response_buffering"), BOOLEAN),
        "service": Field(kind=(str, dict)),
        "plugins": _PLUGIN_LIST,
    },
)
_CREDENTIAL: Final = Field(kind=dict, fields={"id": TEXT, "key": TEXT, "ttl": Field(kind=int), "tags": STRINGS})
_ACL: Final = Field(kind=dict, fields={"id": TEXT, "group": Field(required=True), "tags": STRINGS})
FILE: Final = Field(
    kind=dict,
    fields={
        "_format_version": Field(required=True, one_of=("1.1", "2.1", "3.0")),
        "_transform": BOOLEAN,
        "_comment": TEXT,
        "plugins": _PLUGIN_LIST,
        "services": Field(
            kind=list,
            elements=Field(
                kind=dict,
                fields={
                    **_NAMED,
                    "url": TEXT,
                    "protocol": Field(one_of=("http", "https", "tcp", "tls", "udp", "grpc", "grpcs")),
                    "host": TEXT,
                    "port": PORT,
                    "path": Field(check=_path),
                    "retries": Field(kind=int, between=(0, 32767)),
                    **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), TIMEOUT),
                    "enabled": BOOLEAN,
                    "routes": Field(kind=list, elements=_ROUTE),
                    "plugins": _PLUGIN_LIST,
                },
            ),
        ),
        "consumers": Field(
            kind=list,
            elements=Field(
                kind=dict,
                fields={
                    "id": TEXT,
                    "username": TEXT,
                    "custom_id": TEXT,
                    "tags": STRINGS,
                    "keyauth_credentials": Field(kind=list, elements=_CREDENTIAL),
                    "acls": Field(kind=list, elements=_ACL),
                    "plugins": _PLUGIN_LIST,
                },
            ),
        ),
    },
)


def problems(config: Any) -> list[str]:
    """Everything that is wrong with a declarative file, each with its place."""
    return [*_wrong(FILE, config, ""), *_twice(config if isinstance(config, dict) else {})]


def _wrong(field: Field, given: Any, where: str) -> Iterator[str]:
    fits = isinstance(given, field.kind) and (field.kind is bool or not isinstance(given, bool))
    value: Any = given
    if not fits:
        names = field.kind if isinstance(field.kind, tuple) else (field.kind,)
        yield f"{where}: expected {' or '.join(kind.__name__ for kind in names)}, got {type(value).__name__}"
        return
    if field.one_of and value not in field.one_of:
        yield f"{where}: expected one of: {', '.join(map(str, field.one_of))}"
    if field.above is not None and value <= field.above:
        yield f"{where}: value must be greater than {field.above:g}"
    if field.between is not None and not field.between[0] <= value <= field.between[1]:
        yield f"{where}: value should be between {field.between[0]} and {field.between[1]}"
    if field.check and (said := field.check(value)):
        yield f"{where}: {said}"
    if field.elements is not None:
        for number, item in enumerate(value, 1):
            yield from _wrong(field.elements, item, f"{where}[{number}]")
    if field.fields is not None:
        yield from _record(field.fields, value, where)
        if field is _PLUGIN and isinstance(value.get("name"), str):
            yield from _plugin(value["name"], value.get("config") or {}, where)


def _record(fields: Fields, value: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, found in value.items():
        if name not in fields:
            yield f"{where}.{name}: unknown field".lstrip(".")
        elif found is not None:
            yield from _wrong(fields[name], found, f"{where}.{name}".lstrip("."))
    for name, field in fields.items():
        if field.required and value.get(name) is None:
            yield f"{where}.{name}: required field missing".lstrip(".")


def _plugin(name: str, config: Mapping[str, Any], where: str) -> Iterator[str]:
    if name not in PLUGINS:
        yield f"{where}: plugin '{name}' not enabled; add it to the 'plugins' configuration property"
        return
    yield from _record(PLUGINS[name], config, f"{where}.config")
    if name == "acl" and bool(config.get("allow")) == bool(config.get("deny")):
        yield f"{where}: exactly one of these fields must be non-empty: 'config.allow', 'config.deny'"
    if name == "rate-limiting":
        yield from _limits(config, where)
    if name in SERVERLESS and not any(config.get(phase) for phase in PHASES):
        named = ", ".join(f"'config.{phase}'" for phase in PHASES)
        yield f"{where}: at least one of these fields must be non-empty: {named}"


def _limits(config: Mapping[str, Any], where: str) -> Iterator[str]:
    """`rate-limiting/schema.lua`, validate_periods_order and the entity checks."""
    periods = ("second", "minute", "hour", "day", "month", "year")
    given = [(period, config[period]) for period in periods if config.get(period) is not None]
    if not given:
        named = ", ".join(f"'config.{period}'" for period in periods)
        yield f"{where}: at least one of these fields must be non-empty: {named}"
    for (lower, low), (upper, high) in itertools.pairwise(given):
        if high < low:
            yield f"{where}: The limit for {upper}({high:.1f}) cannot be lower than the limit for {lower}({low:.1f})"
    if config.get("policy") == "redis" and not (config.get("redis") or {}).get("host"):
        yield f"{where}.config.redis.host: required field missing"
    for by, field in (("header", "header_name"), ("path", "path")):
        if config.get("limit_by") == by and not config.get(field):
            yield f"{where}.config.{field}: required field missing"


def _twice(config: Mapping[str, Any]) -> Iterator[str]:
    """Names and keys are unique: `declarative_config.lua`, uniqueness_error_msg."""
    services = [s for s in config.get("services") or () if isinstance(s, dict)]
    consumers = [c for c in config.get("consumers") or () if isinstance(c, dict)]
    groups = {
        ("services", "name"): [s.get("name") for s in services],
        ("routes", "name"): [r.get("name") for s in services for r in s.get("routes") or ()],
        ("consumers", "username"): [c.get("username") for c in consumers],
        ("keyauth_credentials", "key"): [k.get("key") for c in consumers for k in c.get("keyauth_credentials") or ()],
    }
    for (entity, field), names in groups.items():
        for name in sorted({name for name in names if name is not None and names.count(name) > 1}):
            # The real one prints the key, which is a secret.
            shown = "..." if field == "key" else name
            yield f"uniqueness violation: '{entity}' entity with {field} set to '{shown}' already declared"
