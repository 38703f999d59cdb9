"""What an Envoy configuration says, read from its own field names and not by the code that writes it."""

from collections.abc import Iterator, Mapping
from typing import Any

Config = Mapping[str, Any]
Callers = dict[str, frozenset[str]]
"""Identity (a prefix ends in `*`) -> the routes it may ask for, as the service table writes them; none: all."""


def listeners(config: Config) -> dict[str, Config]:
    """Listeners by name; two of one name are an error."""
    found = config["static_resources"]["listeners"]
    by_name = {listener["name"]: listener for listener in found}
    assert len(by_name) == len(found)
    return by_name


def clusters(config: Config) -> dict[str, Config]:
    """Clusters by name; two of one name are an error."""
    found = config["static_resources"]["clusters"]
    by_name = {cluster["name"]: cluster for cluster in found}
    assert len(by_name) == len(found)
    return by_name


def place(address: Config) -> tuple[str, int]:
    """Host and port of a socket address."""
    socket = address["socket_address"]
    return socket["address"], socket["port_value"]


def places(config: Config) -> list[tuple[str, int]]:
    """Where it listens, the admin interface included; listeners that only the proxy itself connects to apart."""
    found = [listener for listener in listeners(config).values() if "internal_listener" not in listener]
    return [place(listener["address"]) for listener in found] + [place(config["admin"]["address"])]


def endpoints(cluster: Config) -> list[tuple[int, tuple[str, int]]]:
    """(priority, place) of each endpoint."""
    return [
        (group["priority"], place(end["endpoint"]["address"]))
        for group in cluster["load_assignment"]["endpoints"]
        for end in group["lb_endpoints"]
    ]


def objects(config: Any) -> Iterator[Config]:
    """Every object of it, at any depth."""
    if isinstance(config, dict):
        yield config
        for value in config.values():
            yield from objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from objects(value)


def of_type(config: Any, kind: str) -> list[Config]:
    """Typed configurations whose type ends in `kind`."""
    return [found for found in objects(config) if str(found.get("@type", "")).endswith(f".{kind}")]


def callers(chain: Config) -> Callers:
    """Whom the authorization of a filter chain lets in; the chain must have exactly one."""
    [rbac] = of_type(chain, "RBAC")
    assert rbac["rules"]["action"] == "ALLOW"
    found: Callers = {}
    for policy in rbac["rules"]["policies"].values():
        for principal in policy["principals"]:
            found[_identity(principal)] = frozenset(filter(None, map(_route, policy["permissions"])))
    return found


def _identity(principal: Config) -> str:
    [(kind, value)] = principal["authenticated"]["principal_name"].items()
    assert kind in ("exact", "prefix")
    return f"{value}*" if kind == "prefix" else str(value)


def _route(permission: Config) -> str | None:
    if permission == {"any": True}:
        return None
    if "header" in permission:
        return _authority(permission["header"])
    if "and_rules" not in permission:
        return _path(permission)
    [path, method] = permission["and_rules"]["rules"]
    assert method["header"]["name"] == ":method"
    [(kind, value)] = method["header"]["string_match"]["safe_regex"].items()
    assert kind == "regex"
    return f"{value.replace('|', ',')} {_path(path)}"


def _authority(header: Config) -> str:
    """The names that a forward proxy allows, as the service table writes them, with the port."""
    assert header["name"] == ":authority"
    match = dict(header["string_match"])
    assert match.pop("ignore_case") is True
    [(kind, value)] = match.items()
    assert kind in ("exact", "suffix")
    return f"*{value}" if kind == "suffix" else str(value)


def _path(permission: Config) -> str:
    [(kind, value)] = permission["url_path"]["path"].items()
    assert kind == ("prefix" if value.endswith("/") else "exact"), value
    return str(value)


def expected_identities(cluster: Config) -> set[str]:
    """Whom the cluster's TLS accepts on the other side."""
    return {
        name["matcher"]["exact"]
        for tls in of_type(cluster, "UpstreamTlsContext")
        for name in tls["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
        if name["san_type"] == "URI"
    }


def server_names(listener: Config) -> dict[str, Config]:
    """Filter chains by the server name that leads to them; each has one."""
    found = {}
    for chain in listener["filter_chains"]:
        [name] = chain["filter_chain_match"]["server_names"]
        assert name not in found
        found[name] = chain
    return found
