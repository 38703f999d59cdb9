"""Model routing by the architecture's rules, and the API gateway's routes, keys and limits."""

from typing import Any

import pytest
import yaml

from render.kong import kong_config
from render.litellm import litellm_config
from tests.unit.samples import graph_of, settings
from topology.model import Instance

KEYS = {
    "claude_api_key": "claude-secret",
    "openrouter_api_key": "openrouter-secret",
    "vllm_api_key": "vllm-secret",
    "embeddings_api_key": "embeddings-secret",
    "master_key": "sk-master",
    "redis_password": "redissecret",
    "database_password": "databasesecret",
}
# The architecture's routing rules, by hand: kind of query, name, provider, where its key comes from.
RULES = (
    ("simple_queries", "vllm_local", "hosted_vllm", "vllm-secret"),
    ("code_generation", "claude_sonnet", "anthropic", "claude-secret"),
    ("complex_reasoning", "claude_opus", "anthropic", "claude-secret"),
    ("embeddings", "local_bge", "openai", "embeddings-secret"),
    ("fallback", "openrouter_mixtral", "openrouter", "openrouter-secret"),
)
SMALLER = "claude_small"


def litellm(**config: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(litellm_config(settings(**config), **KEYS))
    return loaded


def models(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {entry["model_name"]: entry["litellm_params"] for entry in config["model_list"]}
    assert len(found) == len(config["model_list"])
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule[0])
def test_a_routing_rule(rule: tuple[str, str, str, str]) -> None:
    _, name, provider, key = rule
    params = models(litellm())[name]
    assert params["model"].startswith(f"{provider}/")
    assert params["api_key"] == key


def test_there_are_these_models_and_a_smaller_one_in_the_cloud() -> None:
    assert set(models(litellm())) == {name for _, name, *_ in RULES} | {SMALLER}
    assert models(litellm())[SMALLER]["model"] == "anthropic/claude-haiku-4-5"


def test_names_of_the_settings_reach_the_list() -> None:
    names = {"chat": "own/chat", "claudeOpus": "opus-9", "openrouterMixtral": "mix/tral", "embedding": "own/bge"}
    found = {name: params["model"] for name, params in models(litellm(models=names)).items()}
    assert found["vllm_local"] == "hosted_vllm/own/chat"
    assert found["claude_opus"] == "anthropic/opus-9"
    assert found["openrouter_mixtral"] == "openrouter/mix/tral"
    assert found["local_bge"] == "openai/own/bge"


def test_local_models_are_called_where_the_graph_lets_them_be() -> None:
    graph = graph_of("oracle1")
    callees = {(e.callee.service, e.number) for e in graph.outbound(Instance("litellm", "oracle1"))}
    for name, service in (("vllm_local", "vllm"), ("local_bge", "embeddings")):
        base = models(litellm())[name]["api_base"]
        number = graph.service(service).ports[0].number
        assert base == f"http://{service}:{number}/v1"
        assert (service, number) in callees


def test_chains_go_primary_secondary_tertiary_and_end_at_the_smaller_cloud_model() -> None:
    chains = {name: chain for entry in litellm()["router_settings"]["fallbacks"] for name, chain in entry.items()}
    assert chains["claude_opus"] == ["claude_sonnet", "openrouter_mixtral", "vllm_local", SMALLER]
    assert chains["claude_sonnet"] == ["openrouter_mixtral", "vllm_local", SMALLER]
    assert chains["openrouter_mixtral"] == ["vllm_local", SMALLER]
    assert {chain[-1] for chain in chains.values()} == {SMALLER}


def test_with_thanos_away_the_local_model_goes_to_the_cloud_first_to_the_cheap_one() -> None:
    chains = {name: chain for entry in litellm()["router_settings"]["fallbacks"] for name, chain in entry.items()}
    assert chains["vllm_local"] == ["openrouter_mixtral", "claude_sonnet", SMALLER]
    assert litellm()["router_settings"]["context_window_fallbacks"] == [{"vllm_local": ["claude_sonnet"]}]


def test_chains_name_models_of_the_list_and_never_come_back() -> None:
    known = set(models(litellm()))
    for entry in litellm()["router_settings"]["fallbacks"]:
        for name, chain in entry.items():
            assert {name, *chain} <= known
            assert name not in chain
            assert len(set(chain)) == len(chain)


def test_embeddings_never_change_their_model() -> None:
    """Vectors of two models cannot be compared; the CPU fallback has the same model and is the proxy's business."""
    fallbacks = litellm()["router_settings"]["fallbacks"]
    assert not any("local_bge" in (name, *chain) for entry in fallbacks for name, chain in entry.items())


def test_answers_are_cached_for_thirty_days_under_the_own_user() -> None:
    params = litellm()["litellm_settings"]["cache_params"]
    assert litellm()["litellm_settings"]["cache"] is True
    assert params["ttl"] == 2_592_000
    assert (params["type"], params["host"], params["port"]) == ("redis", "redis", 6379)
    assert (params["username"], params["password"]) == ("litellm", "redissecret")


def test_budgets_are_the_settings() -> None:
    found = litellm(budget={"monthlyUsd": 40, "perKeyUsd": 7})["litellm_settings"]
    assert (found["max_budget"], found["max_internal_user_budget"], found["budget_duration"]) == (40, 7, "30d")


def test_prompts_are_not_kept() -> None:
    config = litellm()
    assert config["litellm_settings"]["turn_off_message_logging"] is True
    assert config["general_settings"]["store_prompts_in_spend_logs"] is False


def test_it_has_a_master_key_and_its_own_role_in_the_database() -> None:
    general = litellm()["general_settings"]
    assert general["master_key"] == "sk-master"
    assert general["database_url"] == "postgresql://litellm:databasesecret@postgres:5432/litellm"


UPSTREAM = {"langgraph": "lg-key", "litellm": "ll-key", "whisper": "wh-key", "ocr": "ocr-key"}


def kong() -> dict[str, Any]:
    text = kong_config(owner_key="owner-key", upstream_keys=UPSTREAM, redis_password="kong-redis")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def services() -> dict[str, dict[str, Any]]:
    return {service["name"]: service for service in kong()["services"]}


def plugins(of: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {plugin["name"]: plugin.get("config", {}) for plugin in of["plugins"]}
    assert len(found) == len(of["plugins"])
    return found


def test_each_route_leads_to_a_callee_of_the_graph() -> None:
    graph = graph_of("oracle1")
    callees = {
        f"http://{e.callee.service}:{e.number}"
        for e in graph.outbound(Instance("kong", "oracle1"))
        if e.callee.service != "redis"
    }
    assert {service["url"] for service in services().values()} == callees


def test_paths_are_apart_from_each_other() -> None:
    paths = [path for s in services().values() for route in s["routes"] for path in route["paths"]]
    assert len(set(paths)) == len(paths)
    assert not [(a, b) for a in paths for b in paths if a != b and b.startswith(a)]


@pytest.mark.parametrize("name", ["agents", "models", "speech", "images", "ocr"])
def test_a_route_for_users_wants_a_key_in_a_header_and_the_right_to_use_it(name: str) -> None:
    found = plugins(services()[name])
    auth = found["key-auth"]
    assert auth["key_in_header"] is True
    assert (auth["key_in_query"], auth["key_in_body"]) == (False, False)
    assert auth["hide_credentials"] is True
    assert "apikey" in auth["key_names"]
    assert found["acl"]["allow"] == ["users"]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("agents", "Authorization:Bearer lg-key"),
        ("models", "Authorization:Bearer ll-key"),
        ("speech", "Authorization:Bearer wh-key"),
        ("ocr", "X-Api-Key:ocr-key"),
    ],
)
def test_the_service_s_own_key_takes_the_place_of_the_client_s(name: str, header: str) -> None:
    transformer = plugins(services()[name])["request-transformer"]
    assert transformer["replace"] == {"headers": [header]}
    assert transformer["add"] == {"headers": [header]}


def test_only_webhooks_are_open_and_carry_no_key_of_ours() -> None:
    opened = {name for name, service in services().items() if "key-auth" not in plugins(service)}
    assert opened == {"webhooks"}
    assert plugins(services()["webhooks"]) == {}
    [route] = services()["webhooks"]["routes"]
    assert route["strip_path"] is False


def test_every_request_is_limited_measured_and_traced() -> None:
    found = plugins(kong())
    assert set(found) == {"correlation-id", "prometheus", "request-size-limiting", "rate-limiting"}
    limit = found["rate-limiting"]
    assert (limit["limit_by"], limit["policy"]) == ("consumer", "redis")
    assert limit["minute"] > 0
    assert limit["fault_tolerant"] is True
    redis = limit["redis"]
    assert (redis["host"], redis["username"], redis["password"]) == ("redis", "kong", "kong-redis")
    assert found["request-size-limiting"]["size_unit"] == "megabytes"


def test_the_owner_is_the_one_consumer() -> None:
    [owner] = kong()["consumers"]
    assert owner["keyauth_credentials"] == [{"key": "owner-key"}, {"key": "Bearer owner-key"}]
    assert owner["acls"] == [{"group": "users"}]


def test_streams_are_neither_cut_nor_held_back_nor_sent_twice() -> None:
    for name, service in services().items():
        assert service["read_timeout"] >= 600_000, name
        assert service["retries"] == 0, name
        assert all(route["response_buffering"] is False for route in service["routes"]), name
