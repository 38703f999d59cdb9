"""Proxies and what they let in, on whole nodes with the configurations that the program renders."""

import json
from collections.abc import Callable
from typing import Any, Final, cast

import pytest

from policies import mesh
from policies.subject import CONTAINER
from policies.values import UNKNOWN, Resource
from tests.policies.samples import labels
from tests.policies.stacks import door, pod, replaced, upload
from topology.network import EGRESS_PORT, METRICS_PORT

Config = dict[str, Any]
MANAGER: Final = "envoy.filters.network.http_connection_manager"
Change = Callable[[Config], object]

_APP = "agentic-mesh-redis"


def stack() -> list[Resource]:
    return [*door(), *pod("redis"), *pod("agents")]


def allow_lists(resources: list[Resource]) -> list[str]:
    return [message for _, message in mesh.equal_allow_lists(resources)]


def with_config(loader: str, change: Change) -> list[str]:
    """What is wrong once the configuration of a proxy is another."""
    resources = stack()
    found = next(r for r in resources if r.name == loader)
    config = json.loads(found.props["uploads"][0]["content"])
    change(config)
    return allow_lists(replaced(resources, CONTAINER, loader, uploads=[upload(json.dumps(config))]))


def listener(config: Config, port: int) -> Config:
    found: Config = next(
        entry
        for entry in config["static_resources"]["listeners"]
        if "address" in entry and entry["address"]["socket_address"]["port_value"] == port
    )
    return found


def chain(config: Config, port: int) -> Config:
    found: Config = listener(config, port)["filter_chains"][-1]
    return found


def tls(config: Config, port: int) -> Config:
    context: Config = chain(config, port)["transport_socket"]["typed_config"]
    return context


def http_filters(config: Config, port: int) -> list[Config]:
    found: list[Config] = chain(config, port)["filters"][0]["typed_config"]["http_filters"]
    return found


def rbac(config: Config, port: int) -> Config:
    filters = chain(config, port)["filters"]
    if "http_filters" in filters[0]["typed_config"]:
        filters = http_filters(config, port)
    found: Config = next(entry for entry in filters if "rbac" in entry["name"])
    return found


def rules(config: Config, port: int) -> Config:
    found: Config = rbac(config, port)["typed_config"]["rules"]
    return found


def policy(config: Config, port: int, caller: str) -> Config:
    found: Config = rules(config, port)["policies"][caller]
    return found


STRANGER = {"authenticated": {"principal_name": {"exact": "spiffe://agentic-mesh/oracle1/grafana"}}}

REDIS_CHANGES: list[tuple[Change, str]] = [
    (lambda c: rules(c, 6379)["policies"].pop("kong.oracle1"), "port 6379 does not let in spiffe://"),
    (lambda c: policy(c, 6379, "kong.oracle1")["principals"].append(STRANGER), "lets in spiffe://agentic-mesh/oracle1"),
    (lambda c: policy(c, 6379, "kong.oracle1")["principals"].append({"any": True}), "lets in anyone"),
    (lambda c: policy(c, 6379, "kong.oracle1")["principals"].append({"not_id": STRANGER}), "lets in anyone"),
    (lambda c: chain(c, 6379)["filters"].pop(0), "authorizes nobody"),
    (lambda c: chain(c, 6379)["filters"].reverse(), "authorizes nobody"),
    (lambda c: rbac(c, 6379).update(disabled=True), "authorizes nobody"),
    (lambda c: rbac(c, 6379)["typed_config"].pop("rules"), "authorizes nobody"),
    (lambda c: rules(c, 6379).update(action="LOG"), "authorizes nobody"),
    (lambda c: rules(c, 6379).update(action="DENY"), "authorizes nobody"),
    (lambda c: chain(c, 6379).pop("transport_socket"), "asks no caller for a certificate"),
    (lambda c: tls(c, 6379).pop("require_client_certificate"), "asks no caller for a certificate"),
    (lambda c: tls(c, 6379)["common_tls_context"].pop("validation_context"), "asks no caller for a certificate"),
    (lambda c: listener(c, 6379)["address"]["socket_address"].update(address="::"), "none of its addresses"),
    (lambda c: listener(c, 6379).update(default_filter_chain={"filters": []}), "asks no caller for a certificate"),
    (lambda c: c["static_resources"]["listeners"].remove(listener(c, 6379)), "port 6379 does not let in"),
    (lambda c: listener(c, METRICS_PORT)["address"]["socket_address"].update(port_value=1234), "port 1234 lets in"),
    (lambda c: c["admin"]["address"]["socket_address"].update(address="::"), "admin interface"),
    (lambda c: c.pop("static_resources"), "unreadable"),
]


@pytest.mark.parametrize(("change", "what"), REDIS_CHANGES)
def test_a_sidecar_that_is_not_as_the_graph_says(change: Change, what: str) -> None:
    assert what in " ".join(with_config("redis-loader", change))


HTTP_CHANGES: list[tuple[Change, str]] = [
    (lambda c: policy(c, 8080, "kong.oracle1").update(permissions=[{"any": True}]), "lets in"),
    (lambda c: policy(c, 8080, "operator").update(principals=[STRANGER]), "lets in"),
    (lambda c: rules(c, 8080)["policies"].pop("operator"), "does not let in spiffe://agentic-mesh/operator/*"),
    (lambda c: http_filters(c, 8080).remove(rbac(c, 8080)), "authorizes nobody"),
    (
        lambda c: chain(c, 8080)["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0].update(
            typed_per_filter_config={"envoy.filters.http.rbac": {}}
        ),
        "authorizes nobody",
    ),
]


@pytest.mark.parametrize(("change", "what"), HTTP_CHANGES)
def test_an_http_sidecar_that_is_not_as_the_graph_says(change: Change, what: str) -> None:
    assert what in " ".join(with_config("agents-loader", change))


def egress(config: Config) -> Config:
    found: Config = chain(config, EGRESS_PORT)
    return found


def forward(config: Config) -> Config:
    """The one policy of the forward proxy: the embeddings on CPU."""
    listeners = config["static_resources"]["listeners"]
    [found] = [listener for listener in listeners if listener["name"] == "egress"]
    [manager] = [f for c in found["filter_chains"] for f in c["filters"] if f["name"] == MANAGER]
    [named] = manager["typed_config"]["http_filters"][0]["typed_config"]["rules"]["policies"].values()
    return cast(Config, named)


def inner(config: Config) -> Config:
    """The first listener behind the forward proxy."""
    found = next(x for x in config["static_resources"]["listeners"] if "internal_listener" in x)
    return cast(Config, found["filter_chains"][0])


def authority(kind: str, value: str) -> Config:
    return {"header": {"name": ":authority", "string_match": {kind: value}}}


GATEWAY_CHANGES: list[tuple[Change, str]] = [
    (lambda c: egress(c).update(filter_chain_match={}), "open to any name"),
    (lambda c: egress(c)["filter_chain_match"].update(server_names=["*.example.com"]), "instead of one exact name"),
    (lambda c: tls(c, EGRESS_PORT).update(require_client_certificate=False), "asks no caller"),
    (lambda c: egress(c)["filters"].pop(0), "authorizes nobody"),
    (
        lambda c: next(iter(rules(c, EGRESS_PORT)["policies"].values())).update(principals=[STRANGER]),
        "lets spiffe://agentic-mesh/oracle1/grafana out",
    ),
    (
        lambda c: forward(c).update(principals=[STRANGER]),
        "forward proxy lets out spiffe://agentic-mesh/oracle1/grafana",
    ),
    (lambda c: forward(c).update(permissions=[{"any": True}]), "embeddings-cpu out to any name"),
    (lambda c: forward(c).update(permissions=[authority("suffix", ".co:443")]), "embeddings-cpu out to *.co:443"),
    (lambda c: forward(c).update(permissions=[authority("suffix", ".hf.co:80")]), "embeddings-cpu out to *.hf.co:80"),
    (lambda c: forward(c).update(permissions=[authority("prefix", "hf.co")]), "embeddings-cpu out to any name"),
    (lambda c: inner(c)["filter_chain_match"].update(server_names=["*"]), "its forward proxy dials *"),
    (lambda c: inner(c).pop("filter_chain_match"), "its forward proxy dials any name"),
    (lambda c: inner(c)["filters"].pop(0), "does not belong to a forward proxy"),
    (lambda c: chain(c, METRICS_PORT).pop("transport_socket"), "answers without TLS"),
    (lambda c: rules(c, METRICS_PORT)["policies"].clear(), "does not let in"),
    (lambda c: chain(c, 8000).update(filter_chain_match={}), "passes on connections to any server name"),
    (lambda c: chain(c, 8000).update(transport_socket=egress(c)["transport_socket"]), "authorizes nobody"),
]


@pytest.mark.parametrize(("change", "what"), GATEWAY_CHANGES)
def test_a_gateway_that_is_not_as_the_graph_says(change: Change, what: str) -> None:
    assert what in " ".join(with_config("gateway-loader", change))


@pytest.mark.parametrize(
    ("uploads", "what"),
    [
        ([], "no loader brings"),
        ([{"file": "/etc/agentic-mesh/other.json", "content": "{}"}], "no loader brings"),
        ([upload("{")], "unreadable"),
        ([upload(UNKNOWN)], "not known at plan time"),
        (UNKNOWN, "not known at plan time"),
    ],
)
def test_a_configuration_that_nobody_can_check(uploads: Any, what: str) -> None:
    messages = allow_lists(replaced(stack(), CONTAINER, "redis-loader", uploads=uploads))
    assert len(messages) == 1
    assert what in messages[0]


def test_a_proxy_reads_the_file_that_is_checked() -> None:
    other = [{"volumeName": "other", "containerPath": "/etc/agentic-mesh", "readOnly": True}]
    messages = allow_lists(replaced(stack(), CONTAINER, "redis-proxy", volumes=other))
    assert len(messages) == 1
    assert "no loader brings" in messages[0]


def test_a_proxy_without_a_place_on_the_mesh() -> None:
    assert "address on the mesh" in allow_lists(replaced(stack(), CONTAINER, "redis-proxy", networksAdvanced=[]))[0]


def unpaired(resources: list[Resource]) -> list[tuple[str, str]]:
    return list(mesh.behind_proxies(resources))


def test_an_app_without_its_proxy() -> None:
    assert [urn for urn, _ in unpaired([r for r in stack() if r.name != "redis-proxy"])] == [f"urn:{_APP}"]


def test_a_proxy_on_another_node_does_not_count() -> None:
    elsewhere = labels(service="redis", node="thanos", part="proxy")
    found = unpaired(replaced(stack(), CONTAINER, "redis-proxy", labels=elsewhere))
    assert [urn for urn, _ in found] == [f"urn:{_APP}", "urn:redis-proxy"]


def test_a_service_on_a_node_of_another_role() -> None:
    vllm = [r for r in pod("vllm", "thanos") if r.type == CONTAINER]
    for resource in vllm:
        moved = {"labels": labels(service="vllm", node="oracle1", part=str(resource.props["labels"][2]["value"]))}
        vllm = replaced(vllm, CONTAINER, resource.name, **moved)
    assert len(unpaired([*door(), *vllm])) == 2


@pytest.mark.parametrize("nodes", [None, "", "thanos", "thanos:other:100.64.1.1", UNKNOWN])
def test_without_the_gateway_s_label_nothing_can_be_compared(nodes: Any) -> None:
    more = {} if nodes is None else {"nodes": nodes}
    told = labels(service="gateway", node="oracle1", part="gateway", **more)
    found = unpaired(replaced(stack(), CONTAINER, "agentic-mesh-gateway", labels=told))
    assert len(found) == 1
    assert "agentic-mesh.nodes" in found[0][1]


def test_without_a_gateway_nothing_can_be_compared() -> None:
    found = unpaired([r for r in stack() if r.name != "agentic-mesh-gateway"])
    assert [urn for urn, _ in found] == [""]


def test_a_gateway_of_a_node_that_its_own_label_does_not_name() -> None:
    told = labels(service="gateway", node="other", part="gateway", nodes="oracle1:control:100.64.1.2")
    found = unpaired(replaced(stack(), CONTAINER, "agentic-mesh-gateway", labels=told))
    assert [urn for urn, _ in found] == ["urn:agentic-mesh-gateway"]
