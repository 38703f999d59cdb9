import io

from engine.outcome import Container, Outcome, Violation, tidy
from engine.report import render, service_rows
from engine.table import Paint, table

PAINT = Paint(io.StringIO())


def app(service: str, image: str) -> Container:
    labels = {"service": service, "node": "thanos", "part": "app"}
    return Container(name=f"{service}-app", image=image, labels=labels)


def outcome() -> Outcome:
    return Outcome(
        "thanos",
        operations={"create": 7},
        containers=[
            app("qdrant", "qdrant/qdrant:v1"),
            app("vllm", "vllm/vllm-openai:v1@sha256:abc"),
            Container(name="vllm-proxy", image="envoy", labels={"service": "vllm", "part": "proxy"}),
        ],
        services={
            "vllm": {"address": "100.64.1.1:8000", "gpu": "9 of 24 GiB", "callers": ["litellm", "kong"]},
            "qdrant": {"address": "100.64.1.1:6333", "gpu": "-", "callers": []},
            "gateway": {"host_memory": "61.5 of 64 GiB"},
        },
    )


def test_services_come_in_the_tables_order_with_what_the_topology_says() -> None:
    vllm, qdrant = service_rows([outcome()])
    assert (vllm.service, vllm.gpu, vllm.callers) == ("vllm", "9 of 24 GiB", ["litellm", "kong"])
    assert (vllm.image, vllm.pinned) == ("vllm/vllm-openai:v1", "yes")
    assert (qdrant.service, qdrant.pinned) == ("qdrant", "no")


def test_what_of_the_host_s_memory_is_promised_is_shown() -> None:
    plan = outcome()
    text = render([plan], service_rows([plan]), [], PAINT)
    assert "HOST'S MEMORY" in text
    assert "61.5 of 64 GiB" in text


def test_a_clean_plan_says_so() -> None:
    plan = outcome()
    text = render([plan], service_rows([plan]), ["a notice"], PAINT)
    assert "Planned thanos: 7 resources" in text
    assert "note: a notice" in text
    assert "litellm, kong" in text


def test_mandatory_violations_are_all_shown_and_advice_is_cut_short() -> None:
    plan = outcome()
    plan.violations = [Violation("no-root", True, f"bad {i}", f"c{i}") for i in range(5)]
    plan.violations += [Violation("digest", False, f"no digest {i}", f"c{i}") for i in range(5)]
    text = render([plan], [], [], PAINT)
    assert not plan.passed
    assert "c4: bad 4" in text
    assert "c4: no digest 4" not in text
    assert "and 2 more" in text
    assert "The plan of thanos failed" in text


def test_an_error_fails_the_plan() -> None:
    plan = Outcome("oracle1", errors=["agentic-mesh:domain is not set."])
    assert not plan.passed
    assert "oracle1: error: agentic-mesh:domain is not set." in render([plan], [], [], PAINT)


def test_an_outcome_survives_its_way_between_processes() -> None:
    plan = outcome()
    plan.violations = [Violation("no-root", True, "bad", "c")]
    assert Outcome.from_json(plan.to_json()) == plan


def test_the_engines_repetitions_are_left_out() -> None:
    said = "docker:index/container:Container resource 'a': property uploads value {[secret]} has a problem: refused"
    assert tidy(said) == "uploads: refused"
    assert tidy("an unhandled error occurred: no") == "no"
    assert tidy("something else") == "something else"


def test_tables_align_and_wrap() -> None:
    lines = table(("A", "B"), [("one", "x y z"), ("three", "w")], widest=3)
    assert lines == ["A      B", "-----  ---", "one    x y", "       z", "three  w"]
