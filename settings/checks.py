"""One check for each kind of value: reads what the configuration holds, or says what is allowed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any, Final, Generic, TypeVar

from settings.tool_parsers import NONE, PARSERS

T = TypeVar("T", covariant=True)

TAILNET: Final = IPv4Network("100.64.0.0/10")
_PATH: Final = r"(?!.*/\.\.?(/|$))(/[A-Za-z0-9._-]+)+"
_HOST: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}")


_OPERATOR: Final = re.compile(
    # People with a role, a synced group, a login; never everybody, never machines.
    r"autogroup:(admin|owner|it-admin|network-admin|billing-admin|auditor|member)|(group:)?[^\s@*:]+@[^\s@*:]+"
)


class NotAllowedError(Exception):
    """A value is not allowed; `allowed` overrides the check's own words."""

    def __init__(self, allowed: str = "") -> None:
        """Say what is allowed, where the check's words are not enough."""
        super().__init__(allowed)
        self.allowed = allowed


@dataclass(frozen=True)
class Check(Generic[T]):
    """What is allowed, an example, and the function that reads it (raises `NotAllowedError`)."""

    allowed: str
    example: str
    parse: Callable[[object], T]


def text(value: object) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise NotAllowedError
    return value


def _matching(pattern: str) -> Callable[[object], str]:
    compiled = re.compile(pattern)

    def parse(value: object) -> str:
        if not compiled.fullmatch(text(value)):
            raise NotAllowedError
        return str(value)

    return parse


def choice(*values: str) -> Check[str]:
    """One of `values`."""

    def parse(value: object) -> str:
        if value not in values:
            raise NotAllowedError
        return str(value)

    return Check(f"one of {', '.join(values)}", values[0] if values else "", parse)


def number(least: float, most: float, unit: str, example: str) -> Check[float]:
    """A number between `least` and `most`."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise NotAllowedError
        try:
            read = float(value)
        except ValueError:
            raise NotAllowedError from None
        if not least <= read <= most:
            raise NotAllowedError
        return read

    return Check(f"a number of {unit} from {least:g} to {most:g}", example, parse)


def whole(least: int, most: int, unit: str, example: str) -> Check[int]:
    """A whole number between `least` and `most`."""
    inner = number(least, most, unit, example)

    def parse(value: object) -> int:
        read = inner.parse(value)
        if read != int(read):
            raise NotAllowedError
        return int(read)

    return Check(f"a whole number of {unit} from {least} to {most}", example, parse)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise NotAllowedError
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotAllowedError
    return value


def _tailnet_address(value: object) -> str:
    try:
        address = ip_address(text(value))
    except ValueError:
        raise NotAllowedError from None
    if address not in TAILNET:
        raise NotAllowedError
    return str(address)


def _address(value: object) -> str:
    try:
        return str(ip_address(text(value)))
    except ValueError:
        raise NotAllowedError from None


def _private_range(value: object) -> IPv4Network:
    try:
        network = ip_network(text(value))
    except ValueError:
        raise NotAllowedError from None
    if not isinstance(network, IPv4Network) or network.prefixlen != 16 or not network.is_private:
        raise NotAllowedError
    return network


def _hosts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise NotAllowedError
    for host in value:
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise NotAllowedError(f"exact host names, without scheme, port or wildcard; {host!r} is none")
    return tuple(dict.fromkeys(value))


HUB_START: Final = "huggingface.co"
"""Where every download starts; only the files come from other hosts."""


def _hub(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise NotAllowedError
    for name in value:
        if not isinstance(name, str) or not _HOST.fullmatch(name.removeprefix("*.")):
            raise NotAllowedError(f"{HUB.allowed}; {name!r} is neither")
    if value and HUB_START not in value:
        raise NotAllowedError(f"{HUB.allowed}; the list lacks {HUB_START}, where every download begins")
    return tuple(dict.fromkeys(value))


def _devices(value: object) -> tuple[str, ...]:
    parts = tuple(str(value).split(","))
    if not all(re.fullmatch(r"\d{1,2}|GPU-[0-9a-f-]{36}", part) for part in parts):
        raise NotAllowedError
    return parts


def _authorities(value: object) -> tuple[int, ...]:
    # A lone number may come as one.
    parts = str(value).split(",") if not isinstance(value, bool) else []
    if not 1 <= len(parts) <= 2 or len(set(parts)) < len(parts):
        raise NotAllowedError
    if not all(re.fullmatch(r"[1-9]\d{0,3}", part) for part in parts):
        raise NotAllowedError
    return tuple(int(part) for part in parts)


def _operators(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise NotAllowedError
    for who in value:
        if not isinstance(who, str) or not _OPERATOR.fullmatch(who):
            raise NotAllowedError(f"{OPERATORS.allowed}; {who!r} is none")
    return tuple(value)


def _url(value: object) -> str:
    match = re.fullmatch(r"https://([^/:\s]+)(:\d+)?(/\S*)?", text(value))
    if not match or not _HOST.fullmatch(match[1]):
        raise NotAllowedError
    return str(value).rstrip("/")


_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _origins(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise NotAllowedError
    for origin in value:
        found = (
            re.fullmatch(r"(https?)://([a-z0-9.-]+)(?::([1-9]\d{0,4}))?", origin) if isinstance(origin, str) else None
        )
        if not found or not (found[2] == "localhost" or _is_address(found[2]) or _HOST.fullmatch(found[2])):
            raise NotAllowedError(f"{ORIGINS.allowed}; {origin!r} is none")
        if found[3] and (int(found[3]) > 65535 or int(found[3]) == _DEFAULT_PORTS[found[1]]):
            raise NotAllowedError(
                f"{ORIGINS.allowed}; {origin!r} is never sent by a browser, which leaves the usual port out"
            )
    return tuple(dict.fromkeys(value))


def _is_address(host: str) -> bool:
    try:
        return ip_address(host).version == 4
    except ValueError:
        return False


def _editor_url(value: object) -> str:
    return str(value).rstrip("/") if re.fullmatch(r"http://localhost:\d{1,5}/?", text(value)) else _url(value)


def _smtp_port(value: object) -> int:
    """STARTTLS (25, 587) names no server before it is encrypted, so that no gateway could let it out by name."""
    if str(value) != "465":
        raise NotAllowedError
    return 465


MAPPING: Final = Check[Mapping[str, Any]]("an object of keys and values", "{}", _mapping)
BOOLEAN: Final = Check[bool]("true or false", "true", _boolean)
PATH: Final = Check(
    "an absolute path without '..' or blanks", "/srv/agentic-mesh",
    _matching(_PATH),
)  # fmt: skip
NODE_NAME: Final = Check(
    "a node name of small letters, digits and dashes, 2 to 22 long, other than ci and pulumi", "thanos",
    _matching(r"(?!(ci|pulumi)$)[a-z][a-z0-9-]{0,20}[a-z0-9]"),
)  # fmt: skip
HOST: Final = Check(
    "a full host name", "oracle1.example.com",
    _matching(_HOST.pattern),
)  # fmt: skip
DOCKER_HOST: Final = Check(
    "unix:///PATH or ssh://USER@HOST[:PORT]", "ssh://deploy@thanos",
    _matching(r"unix:///\S+|ssh://[A-Za-z0-9._-]+@[A-Za-z0-9.:-]+"),
)  # fmt: skip
TAILNET_ADDRESS: Final = Check[str]("an IPv4 address of the tailnet, in 100.64.0.0/10", "100.64.1.1", _tailnet_address)
ADDRESS: Final = Check[str]("an IP address of the host", "203.0.113.7", _address)
PRIVATE_RANGE: Final = Check[IPv4Network](
    "a private IPv4 network of /16 that nothing else on the host uses",
    "10.231.0.0/16",
    _private_range,
)
HOSTS: Final = Check[tuple[str, ...]]("a list of exact host names", '["api.example.com"]', _hosts)
HUB: Final = Check[tuple[str, ...]](
    "a list of host names (huggingface.co) and suffixes (*.hf.co, any name below hf.co), without scheme, port or "
    "address; [] for no downloads",
    '["huggingface.co", "hf.co", "*.hf.co"]',
    _hub,
)
DEVICES: Final = Check[tuple[str, ...]]("GPU numbers or UUIDs, separated by commas", "0", _devices)
OPERATORS: Final = Check[tuple[str, ...]](
    "a list of logins (you@example.com), synced groups (group:ops@example.com) or roles (autogroup:admin)",
    '["you@example.com"]',
    _operators,
)
URL: Final = Check[str]("an https URL", "https://oracle1.example.com", _url)
ORIGINS: Final = Check[tuple[str, ...]](
    "a list of origins of web pages, scheme://HOST or scheme://HOST:PORT in small letters, without a path or a slash "
    "at the end, and never *; [] for none",
    '["https://chat.example.com"]',
    _origins,
)
EDITOR_URL: Final = Check[str](
    "an https URL, or http://localhost:PORT for a tunnel to it", "http://localhost:5678", _editor_url
)
WINDOW: Final = Check(
    "a window HH:MM-HH:MM", "22:00-06:00",
    _matching(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d"),
)  # fmt: skip
AUTHORITIES: Final = Check[tuple[int, ...]](
    "one generation of the certificate authority, or two that are both trusted while the first takes over or the "
    "second is on its way out",
    "2,1",
    _authorities,
)
EPOCH: Final = whole(1, 1_000_000, "the secrets epoch", "2")
MODEL: Final = Check(
    "a model name such as owner/name", "owner/name",
    _matching(r"[A-Za-z0-9][A-Za-z0-9._:/-]{2,127}"),
)  # fmt: skip
CHAT_MODEL: Final = Check(
    "a name on the model hub such as owner/name, or the absolute path of a folder below the GPU node's model folder "
    "(agentic-mesh:modelPath)",
    "Qwen/Qwen2.5-7B-Instruct-AWQ",
    # Names on the hub have at most one slash.
    _matching(rf"(?=.{{3,200}}$)(?:[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?|{_PATH})"),
)
TOOL_PARSER: Final = Check(
    f"{', '.join(sorted(PARSERS))}, or {NONE}: the local model then rejects requests with tools, and they "
    "fall back to a paid model",
    "hermes",
    choice(*PARSERS, NONE).parse,
)
CHECKPOINT: Final = Check(
    "a file below ComfyUI's folder of checkpoints, name.safetensors or folder/name.safetensors", "name.safetensors",
    _matching(r"(?!.{200})([A-Za-z0-9][A-Za-z0-9._-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*\.(safetensors|ckpt)"),
)  # fmt: skip
EMAIL: Final = Check("an e-mail address", "you@example.com", _matching(r"[^\s@]+@[^\s@]+\.[a-z]+"))
PEM: Final = Check("a certificate in PEM", "PEM", _matching(r"(?s)-----BEGIN CERTIFICATE-----.*"))

MODELS: Final[Mapping[str, Check[Any]]] = {
    "chat": CHAT_MODEL,
    "chatToolParser": TOOL_PARSER,
    "chatContext": whole(1024, 1_048_576, "tokens", "16384"),
    "embedding": MODEL,
    "embeddingSize": whole(64, 8192, "dimensions", "1024"),
    "speechToText": MODEL,
    "textToSpeech": MODEL,
    "claudeSonnet": MODEL,
    "claudeOpus": MODEL,
    "claudeSmall": MODEL,
    "openrouterMixtral": MODEL,
    "imageCheckpoint": CHECKPOINT,
}
ALERTS: Final[Mapping[str, Check[Any]]] = {
    "email": EMAIL,
    "smtpHost": HOST,
    "smtpPort": Check("the port of SMTP with TLS from the first byte, 465", "465", _smtp_port),
    "smtpUser": EMAIL,
    "sender": EMAIL,
}
BUDGET: Final[Mapping[str, Check[Any]]] = {
    "monthlyUsd": number(0, 1_000_000, "US dollars", "100"),
    "perKeyUsd": number(0, 1_000_000, "US dollars", "25"),
}
BACKUP: Final[Mapping[str, Check[Any]]] = {
    "provider": choice("aws", "s3"),
    "region": Check("a region", "eu-central-1", _matching(r"[a-z0-9-]{2,32}")),
    "bucketPrefix": Check(
        "a bucket name prefix of small letters, digits and dashes", "agentic-mesh-backup",
        _matching(r"[a-z0-9][a-z0-9-]{2,40}"),
    ),
    "endpoint": HOST,
    "retentionDays": whole(1, 3650, "days", "35"),
    "telemetry": BOOLEAN,
}  # fmt: skip
LOGS: Final[Mapping[str, Check[Any]]] = {
    "retentionDays": whole(1, 3650, "days", "31"),
    "maxDiskGib": whole(1, 16384, "GiB", "10"),
}
