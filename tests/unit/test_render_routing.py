"""Model routing by the architecture's rules, and the API gateway's routes, keys and limits."""

import json
import re
from typing import Any

import pytest
import yaml

from render.client_errors import FROM_KONG
from render.kong import WAYS, kong_config
from render.litellm import HOOKS, litellm_config, litellm_keys
from tests.unit.samples import graph_of, settings
from topology.catalog import SERVICES
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
    names["embeddingShape"] = "millions=33 hidden=1024 heads=16 tokens=512"
    prices = {name: {"inputUsd": 1, "outputUsd": 2} for name in ("opus-9", "mix/tral")}
    found = {name: params["model"] for name, params in models(litellm(models=names, prices=prices)).items()}
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


def fallbacks() -> dict[str, list[str]]:
    """Name -> the models of its chain, each of which is asked without a chain of its own."""
    entries = [pair for entry in litellm()["router_settings"]["fallbacks"] for pair in entry.items()]
    assert all(link["disable_fallbacks"] is True for _, chain in entries for link in chain)
    assert len(dict(entries)) == len(entries)
    return {name: [link["model"] for link in chain] for name, chain in entries}


def test_chains_go_primary_secondary_tertiary_and_end_at_the_smaller_cloud_model() -> None:
    chains = fallbacks()
    assert chains["claude_opus"] == ["claude_sonnet", "openrouter_mixtral", "vllm_local", SMALLER]
    assert chains["claude_sonnet"] == ["openrouter_mixtral", "vllm_local", SMALLER]
    assert chains["openrouter_mixtral"] == ["vllm_local", SMALLER]
    assert {chain[-1] for chain in chains.values()} == {SMALLER}


def test_with_thanos_away_the_local_model_goes_to_the_cloud_first_to_the_cheap_one() -> None:
    chains = fallbacks()
    assert chains["vllm_local"] == ["openrouter_mixtral", "claude_sonnet", SMALLER]


def test_a_prompt_that_is_too_long_for_the_local_model_goes_to_one_with_a_larger_window() -> None:
    assert litellm()["router_settings"]["context_window_fallbacks"] == [{"vllm_local": ["claude_sonnet"]}]


def test_timeouts_retries_and_rest_are_stated() -> None:
    router = litellm()["router_settings"]
    stated = ("num_retries", "timeout", "stream_timeout", "allowed_fails", "cooldown_time")
    assert [router[name] for name in stated] == [1, 600, 60, 1, 30]
    # The two tries of one failed request are enough for the model to rest.
    assert router["num_retries"] + 1 > router["allowed_fails"]
    assert router["retry_policy"]["TimeoutErrorRetries"] == 0
    assert models(litellm())["vllm_local"]["stream_timeout"] == 30


def test_every_model_has_a_price_of_a_token() -> None:
    own = {"claude-opus-4-6": {"inputUsd": 4, "outputUsd": 20}}
    costs = {entry["model_name"]: entry["model_info"] for entry in litellm(prices=own)["model_list"]}
    by_million = {
        name: (cost["input_cost_per_token"] * 1e6, cost["output_cost_per_token"] * 1e6) for name, cost in costs.items()
    }
    assert by_million == {
        "vllm_local": (0, 0),
        "local_bge": (0, 0),
        "claude_opus": (4, 20),
        "claude_sonnet": (3, 15),
        "claude_small": (1, 5),
        "openrouter_mixtral": (2, 6),
    }
    assert costs["claude_sonnet"]["cache_read_input_token_cost"] == pytest.approx(0.3e-6)


def test_own_hooks_lie_beside_the_configuration() -> None:
    loaded = [name.partition(".") for name in litellm()["litellm_settings"]["callbacks"] if "." in name]
    assert {f"{module}.py" for module, *_ in loaded} == set(HOOKS)
    for module, _, instance in loaded:
        assert f"\n{instance} = " in HOOKS[f"{module}.py"].read_text()


@pytest.mark.parametrize(("given", "hook"), [(False, "answer_cache.per_user"), (True, "answer_cache.shared")])
def test_answers_are_shared_where_the_settings_say_so_alone(given: bool, hook: str) -> None:
    callbacks = litellm(cacheShared=given)["litellm_settings"]["callbacks"]
    assert [name for name in callbacks if name.startswith("answer_cache.")] == [hook]


def test_chains_name_models_of_the_list_and_never_come_back() -> None:
    known = set(models(litellm()))
    for name, chain in fallbacks().items():
        assert {name, *chain} <= known
        assert name not in chain
        assert len(set(chain)) == len(chain)


def test_embeddings_never_change_their_model() -> None:
    """Vectors of two models cannot be compared; the CPU fallback has the same model and is the proxy's business."""
    assert not any("local_bge" in (name, *chain) for name, chain in fallbacks().items())


def test_answers_are_cached_for_thirty_days_under_the_own_user() -> None:
    params = litellm()["litellm_settings"]["cache_params"]
    assert litellm()["litellm_settings"]["cache"] is True
    assert params["ttl"] == 2_592_000
    assert (params["type"], params["host"], params["port"]) == ("redis", "redis", 6379)
    assert (params["username"], params["password"]) == ("litellm", "redissecret")


def test_budgets_are_the_settings() -> None:
    found = litellm(budget={"monthlyUsd": 40, "perKeyUsd": 7})["litellm_settings"]
    assert (found["max_budget"], found["max_internal_user_budget"], found["budget_duration"]) == (40, 7, "30d")
    assert found["default_key_generate_params"] == {"max_budget": 7, "budget_duration": "30d"}
    assert found["upperbound_key_generate_params"] == {"max_budget": 7}


def test_callers_keys_get_the_budget_of_a_key() -> None:
    given = settings(budget={"monthlyUsd": 40, "perKeyUsd": 7})
    assert json.loads(litellm_keys(given, {"kong": "sk-kong", "agents": "sk-agents"})) == {
        "agents": {"key": "sk-agents", "max_budget": 7},
        "kong": {"key": "sk-kong", "max_budget": 7},
    }


def test_without_its_database_a_proxy_takes_no_key_on_trust() -> None:
    general = litellm()["general_settings"]
    assert general["allow_requests_on_db_unavailable"] is False
    assert general["user_api_key_cache_ttl"] == 600


def test_prompts_are_not_kept() -> None:
    config = litellm()
    assert config["litellm_settings"]["turn_off_message_logging"] is True
    assert config["general_settings"]["store_prompts_in_spend_logs"] is False


def test_it_has_a_master_key_and_its_own_role_in_the_database() -> None:
    general = litellm()["general_settings"]
    assert general["master_key"] == "sk-master"
    assert general["database_url"] == "postgresql://litellm:databasesecret@postgres:5432/litellm"


UPSTREAM = {"langgraph": "lg-key", "litellm": "ll-key", "whisper": "wh-key", "ocr": "ocr-key"}


def kong(**more: Any) -> dict[str, Any]:
    text = kong_config(owner_key="owner-key", upstream_keys=UPSTREAM, redis_password="kong-redis", **more)
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


def way_of(path: str) -> str:
    """The route that Kong chooses: by a regular expression before by the beginning, then by length."""
    found = [
        (text.startswith("~"), len(text), name)
        for name, service in services().items()
        for route in service["routes"]
        for text in route["paths"]
        if (re.match(text[1:], path) if text.startswith("~") else path.startswith(text))
    ]
    return max(found)[2] if found else ""


def test_no_path_is_declared_twice() -> None:
    paths = [path for s in services().values() for route in s["routes"] for path in route["paths"]]
    assert len(set(paths)) == len(paths)


# The table, by hand.
SERVED = {
    "agents": (
        "chat/completions", "models", "models/vllm_local", "images/generations", "files", "files/file-1/content",
        "vector_stores", "vector_stores/vs_1/search", "documents", "documents/1", "search", "runs", "runs/1/cancel",
    ),
    "model-api": (
        "embeddings", "messages", "messages/count_tokens", "responses", "responses/resp_1",
        "responses/resp_1/input_items",
    ),
    "audio": ("audio/transcriptions", "audio/translations", "audio/speech"),
}  # fmt: skip


@pytest.mark.parametrize(("way", "path"), [(way, path) for way, paths in SERVED.items() for path in paths])
def test_one_base_url_serves_them_all(way: str, path: str) -> None:
    assert way_of(f"/v1/{path}") == way
    assert services()[way]["routes"][0]["strip_path"] is False


@pytest.mark.parametrize(
    "path",
    [
        "assistants",
        "batches",
        "moderations",
        "embeddings/x",
        "responses/r/cancel",
        "audio",
        "messages/batches",
        "complete",
    ],
)
def test_the_agents_say_what_is_not_served(path: str) -> None:
    assert way_of(f"/v1/{path}") == "agents"


@pytest.mark.parametrize(
    ("path", "way"),
    [
        ("/models/v1/chat/completions", "models"),
        ("/speech/v1/audio/speech", "speech"),
        ("/images/prompt", "images"),
        ("/ocr/v1/convert/file", "ocr"),
        ("/chat/completions", ""),
    ],
)
def test_the_older_paths_stay(path: str, way: str) -> None:
    assert way_of(path) == way
    assert not way or services()[way]["routes"][0]["strip_path"] is True


def test_what_is_sent_to_the_model_proxy_and_to_speech_is_what_their_proxies_allow() -> None:
    """Else a client would get a refusal of the mesh for a path that Kong advertises."""
    calls = {call.to: call.routes for call in next(s for s in SERVICES if s.name == "kong").calls}
    for path in SERVED["model-api"]:
        allowed = "GET,DELETE /v1/responses/" if path.startswith("responses/") else f"POST /v1/{path}"
        assert allowed in calls["litellm"]
    assert calls["whisper"] == ("GET,POST /v1/",)


def test_no_route_is_for_some_methods_only() -> None:
    """Preflight requests come by OPTIONS; a route without it would leave them to another."""
    assert not [r for s in services().values() for r in s["routes"] if "methods" in r]


def test_no_web_page_may_call_unless_the_settings_name_it() -> None:
    assert not [name for name, service in services().items() if "cors" in plugins(service)]
    origins = ["https://chat.example.com", "http://localhost:3000"]
    found = {service["name"]: plugins(service) for service in kong(cors_origins=origins)["services"]}
    for name, plugged in found.items():
        # Workflows answer preflight requests themselves, as their webhook nodes are set.
        assert ("cors" in plugged) == ("key-auth" in plugged), name
        if "cors" in plugged:
            cors = plugged["cors"]
            assert cors["origins"] == origins
            assert cors["credentials"] is False
            assert cors["preflight_continue"] is False


def test_errors_of_kong_s_own_have_sentences_for_the_statuses_that_it_has() -> None:
    [post] = [plugin["config"] for plugin in kong()["plugins"] if plugin["name"] == "post-function"]
    [header_filter] = post["header_filter"]
    for status in (400, 401, 403, 404, 413, 429, 500, 502, 503, 504):
        assert FROM_KONG[status].message in header_filter
    # One of a service takes the place of the one for everything.
    assert not [name for name, service in services().items() if "post-function" in plugins(service)]
    found = {s["name"]: plugins(s).get("post-function") for s in kong(voices={"nova": "af_nova"})["services"]}
    assert {name for name, config in found.items() if config} == {"audio", "speech"}
    for name in ("audio", "speech"):
        assert {phase: found[name][phase] for phase in post} == post
        assert "af_nova" in found[name]["access"][0]


@pytest.mark.parametrize("name", ["agents", "model-api", "audio", "models", "speech", "images", "ocr"])
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
        ("model-api", "Authorization:Bearer ll-key"),
        ("audio", "Authorization:Bearer wh-key"),
        ("models", "Authorization:Bearer ll-key"),
        ("speech", "Authorization:Bearer wh-key"),
        ("ocr", "X-Api-Key:ocr-key"),
    ],
)
def test_the_service_s_own_key_takes_the_place_of_the_client_s(name: str, header: str) -> None:
    assert plugins(services()[name])["request-transformer"]["add"] == {"headers": [header]}


def test_no_request_is_buffered_a_second_time_in_memory() -> None:
    for service in services().values():
        for route in service["routes"]:
            assert (route["request_buffering"], route["response_buffering"]) == (False, False)


def test_no_header_that_may_hold_a_client_s_key_goes_on_to_a_service() -> None:
    """Key-auth hides the one that it took the key from alone (3.9.3, `kong/plugins/key-auth/handler.lua`)."""
    for service in services().values():
        found = plugins(service)
        if "key-auth" in found:
            assert found["request-transformer"]["remove"]["headers"] == found["key-auth"]["key_names"]


def test_only_what_workflows_offer_is_open_and_carries_no_key_of_ours() -> None:
    opened = {name: service for name, service in services().items() if "key-auth" not in plugins(service)}
    assert opened.keys() == {"webhooks", "forms", "workflow-tools"}
    for service in opened.values():
        assert service["url"] == "http://n8n:5678"
        assert plugins(service) == {}
        [route] = service["routes"]
        assert route["strip_path"] is False


def test_of_n8n_the_world_reaches_no_editor_and_no_test_address() -> None:
    """Kong's paths are beginnings; what n8n's proxy lets Kong ask for is exact."""
    [call] = [call for call in next(s for s in SERVICES if s.name == "kong").calls if call.to == "n8n"]
    assert set(call.routes) == {"/webhook/", "/webhook-waiting/", "/form/", "/form-waiting/", "/mcp/"}
    asked = {path for way in WAYS if "n8n" in way.url for path in way.paths}
    assert all(any(route.startswith(path) for path in asked) for route in call.routes)


def test_every_request_is_limited_measured_and_traced() -> None:
    found = plugins(kong())
    assert set(found) == {
        "correlation-id", "prometheus", "request-size-limiting", "rate-limiting", "post-function",
    }  # fmt: skip
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
