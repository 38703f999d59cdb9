"""ComfyUI: without its manager, without root, and with the routes that a client needs and no other."""

import pytest

from tests.unit.program import Program
from tests.unit.samples import THANOS, graph_of
from topology.images import IMAGES
from topology.model import Instance
from topology.routes import COMFYUI_JOBS, COMFYUI_USERS

COMFYUI = Instance("comfyui", "thanos")


def command(program: Program) -> list[str]:
    inputs = program.app("comfyui").inputs
    return [*inputs["entrypoints"], *inputs["command"]]


def test_it_starts_without_the_image_s_entry_point_and_loads_nobody_s_code(thanos: Program) -> None:
    words = command(thanos)
    assert words[:2] == ["python3", "main.py"]
    assert {"--disable-all-custom-nodes", "--disable-api-nodes"} <= set(words)
    assert not [word for word in words if "manager" in word]
    inputs = thanos.app("comfyui").inputs
    assert (inputs["user"], inputs["readOnly"]) == ("1000:1000", True)
    assert "adds" not in inputs["capabilities"]
    assert words[words.index("--base-directory") + 1] == "/data"


def test_it_is_held_to_its_share_of_the_card_or_runs_without(thanos: Program) -> None:
    assert "GPU_SHARE_GIB=6" in thanos.app("comfyui").inputs["envs"]
    # What takes memory past PyTorch's allocator is off.
    assert "--disable-dynamic-vram" in command(thanos)
    assert "--cpu" not in command(thanos)
    without = Program("thanos", gpuShares={"comfyui": 0})
    assert "--cpu" in command(without)
    assert not [entry for entry in without.app("comfyui").inputs["envs"] if entry.startswith("GPU_SHARE_GIB")]


def test_docling_is_held_to_its_share_too(thanos: Program) -> None:
    assert {"GPU_SHARE_GIB=3", "PYTHONPATH=/config"} <= set(thanos.app("ocr").inputs["envs"])


@pytest.mark.parametrize(("caller", "routes"), [("kong", COMFYUI_USERS), ("agents", COMFYUI_JOBS)])
def test_each_caller_has_its_routes(caller: str, routes: tuple[str, ...]) -> None:
    edges = graph_of("oracle1").inbound(COMFYUI)
    assert {edge.routes for edge in edges if edge.caller.service == caller} == {routes}
    for entry in routes:
        methods, path = entry.split()
        assert path != "/", entry
        for refused in (
            "/customnode",
            "/manager",
            "/free",
            "/interrupt",
            "/userdata",
            "/settings",
            "/internal",
            "/api/",
        ):
            assert not path.startswith(refused), entry
        # Everybody's prompts, and everybody's work.
        assert (path, "GET" in methods) not in {("/queue", True), ("/history", True)}


def test_gateway_users_can_end_nobody_s_work() -> None:
    assert not [entry for entry in COMFYUI_USERS if entry.split()[1] in ("/queue", "/interrupt", "/free")]


def test_it_reaches_nothing_outside() -> None:
    service = graph_of("thanos").service("comfyui")
    assert (service.egress, service.proxied) == ((), ())
    assert THANOS.name in {i.node for i in graph_of("thanos").instances("comfyui")}


def test_every_image_has_a_digest_but_those_of_which_none_could_be_resolved() -> None:
    assert {key for key, image in IMAGES.items() if not image.pinned} <= {"vlagent"}
