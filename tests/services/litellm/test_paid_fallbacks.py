"""Requests that a paid model answers in the local one's place are counted by the real proxy, by reason."""

from collections.abc import Callable

import httpx
import pytest

from tests.services.litellm.conftest import World
from tests.services.litellm.servers import MIXTRAL, SMALL, SONNET, VLLM, wait_until

Ask = Callable[..., httpx.Response]
REASONS = ("refused", "too_long", "away")


def counted(http: httpx.Client) -> dict[str, float]:
    """The counter by reason."""
    lines = http.get("/metrics/").text.splitlines()
    found = {reason: f'mesh_paid_fallbacks_total{{reason="{reason}"}} ' for reason in REASONS}
    return {
        reason: float(line.removeprefix(start))
        for reason, start in found.items()
        for line in lines
        if line.startswith(start)
    }


def test_every_reason_is_counted_from_zero_so_that_the_first_one_is_seen(world: World, http: httpx.Client) -> None:
    assert counted(http).keys() == set(REASONS)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "reason", "answers"),
    [
        (400, "refused", MIXTRAL),
        (404, "refused", MIXTRAL),
        (422, "refused", MIXTRAL),
        ("context", "too_long", SONNET),
        (429, "away", MIXTRAL),
        (500, "away", MIXTRAL),
    ],
)
def test_an_answer_of_a_paid_model_in_the_local_one_s_place(
    world: World, ask: Ask, http: httpx.Client, fault: int | str, reason: str, answers: str, stream: bool
) -> None:
    before = counted(http)
    world.script.faults[VLLM] = fault
    assert ask("vllm_local", stream=stream).status_code == 200
    assert world.script.order() == [VLLM, answers]
    wait_until(lambda: counted(http)[reason] == before[reason] + 1, seconds=20, what="the record of the fallback")
    others = set(REASONS) - {reason}
    assert {name: counted(http)[name] for name in others} == {name: before[name] for name in others}


def test_what_costs_nothing_more_is_not_counted(world: World, ask: Ask, http: httpx.Client) -> None:
    """The local model's own answer, a paid model in another paid one's place, and an answer of nobody."""
    before = counted(http)
    assert ask("vllm_local").status_code == 200
    world.script.faults[SONNET] = 400
    assert ask("claude_sonnet").status_code == 200
    world.script.faults |= dict.fromkeys((VLLM, MIXTRAL, SONNET, SMALL), 400)
    assert ask("vllm_local", temperature=0.5).status_code == 400
    # One that counts, after which the others would have been counted too.
    del world.script.faults[MIXTRAL]
    assert ask("vllm_local", temperature=0.6).status_code == 200
    wait_until(lambda: counted(http)["refused"] > before["refused"], seconds=20, what="the record of the fallback")
    assert counted(http) == {**before, "refused": before["refused"] + 1}


@pytest.mark.parametrize("extra", [{}, {"tool_choice": "auto"}, {"tool_choice": "none"}], ids=str)
def test_an_empty_list_of_tools_is_no_reason_to_pay(world: World, ask: Ask, extra: dict[str, str]) -> None:
    """VLLM refuses the list, and a choice without it."""
    assert ask("vllm_local", tools=[], **extra).status_code == 200
    [call] = world.script.calls(VLLM)
    assert not {"tools", "tool_choice"} & call["body"].keys()
