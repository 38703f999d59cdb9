from engine.services import planned_facts

KEYS = {"CLAUDE_API_KEY": "key", "OPENROUTER_API_KEY": "key"}


def test_the_report_knows_address_share_callers_and_image_of_each_service() -> None:
    vllm = planned_facts("thanos", {}, KEYS)["vllm"]
    assert vllm["address"] == "100.64.1.1:8000"
    assert str(vllm["gpu"]).endswith("of 24 GiB")
    assert {"litellm", "operator"} <= set(vllm["callers"])
    assert "vllm/vllm-openai" in vllm["image"]


def test_what_we_build_is_shown_by_its_folder() -> None:
    assert planned_facts("oracle1", {"agentic-mesh:domain": "mesh.example.com"}, KEYS)["agents"]["image"] == (
        "services/agents"
    )


def test_the_configuration_counts() -> None:
    facts = planned_facts("thanos", {"agentic-mesh:gpuMemoryGib": "80"}, KEYS)
    assert str(facts["vllm"]["gpu"]).endswith("of 80 GiB")


def test_the_gateway_stands_in_the_table_too() -> None:
    assert (
        "100.64.1.2"
        in planned_facts("oracle1", {"agentic-mesh:domain": "mesh.example.com"}, KEYS)["gateway"]["address"]
    )


def test_the_gateway_s_facts_say_what_of_the_host_s_memory_is_promised() -> None:
    facts = planned_facts("thanos", {"agentic-mesh:hostMemoryGib": "96"}, KEYS)
    promised, _, host = str(facts["gateway"]["host_memory"]).partition(" of ")
    assert (32 < float(promised) < 96, host) == (True, "96 GiB")
