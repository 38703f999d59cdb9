"""Measures the router on prompts that it was not made from: `python -m training.measure`, in this service's folder."""

import statistics
from collections.abc import Sequence
from typing import Any, Final

from mesh_agents.llm.prices import Prices
from mesh_agents.routing.router import Router
from mesh_agents.routing.routes import MODELS, Route
from mesh_agents.routing.situation import Situation

from training import situations
from training.corpus import load, test_part

ANSWER_TOKENS: Final = {
    Route.SIMPLE: 150,
    Route.CODE: 700,
    Route.COMPLEX: 1200,
    Route.SEARCH: 300,
    Route.MULTI_STEP: 2500,
}
"""Assumed length of an answer on each route; cost is an estimate with these, the same for both sides."""
CONTEXT_TOKENS: Final = {Route.SEARCH: 2500, Route.MULTI_STEP: 6000}
"""Assumed tokens of found passages and of earlier steps."""

PRICES: Final = Prices({"vllm_local": (0, 0), "claude_small": (1, 5), "claude_sonnet": (3, 15), "claude_opus": (5, 25)})
"""List prices of the default models, US dollars for a million tokens, in and out."""


def measure(pairs: Sequence[tuple[str | Situation, str]]) -> dict[str, Any]:
    """Accuracy, decision time in ms and estimated cost against sending everything to Opus, for labelled requests."""
    router = Router.load()
    right, times, routed, opus, wrong = 0, [], 0.0, 0.0, []
    for asked, label in pairs:
        decision = router.decide(asked)
        prompt = asked if isinstance(asked, str) else " / ".join(turn.text for turn in asked.turns)
        times.append(decision.milliseconds)
        right += decision.route == label
        if decision.route != label:
            wrong.append((label, decision.route.value, prompt))
        true = Route(label)
        tokens = len(prompt) // 4 + CONTEXT_TOKENS.get(true, 0), ANSWER_TOKENS[true]
        routed += PRICES.cost(MODELS[decision.route], *tokens)
        opus += PRICES.cost("claude_opus", *tokens)
    return {
        "prompts": len(pairs),
        "accuracy": right / len(pairs),
        "decision_ms_p50": statistics.median(times),
        "decision_ms_max": max(times),
        "cost_share_of_always_opus": routed / opus,
        "wrong": wrong,
    }


if __name__ == "__main__":
    parts: dict[str, Sequence[tuple[str | Situation, str]]] = {"test": test_part(), "unseen": load("unseen")}
    for kind in situations.KINDS:
        parts |= {f"{kind}, test": situations.test_part(kind), f"{kind}, unseen": situations.unseen_part(kind)}
    for name, pairs in parts.items():
        if pairs:
            print(name, {key: value for key, value in measure(pairs).items() if key != "wrong"})
