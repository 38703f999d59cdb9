"""The router on prompts that its weights were not made from, and its other promises."""

import re
import sys

import pytest

from tests.services.agents.conftest import SERVICE

sys.path.insert(0, str(SERVICE))

from mesh_agents.errors import ApiError
from mesh_agents.routing.choice import wishes
from mesh_agents.routing.features import LIMIT, excerpt
from mesh_agents.routing.router import Router
from mesh_agents.routing.routes import Route
from mesh_agents.routing.wordpiece import MOST, pieces
from training import corpus, measure


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.load()


def test_the_corpus_is_large_varied_and_cleanly_split() -> None:
    train, test, unseen = corpus.train_part(), corpus.test_part(), corpus.load("unseen")
    everything = [prompt for prompt, _ in [*train, *test, *unseen]]
    assert len(everything) >= 300
    assert len(set(everything)) == len(everything), "no prompt twice, so none in two parts"
    for part in (train, test, unseen):
        assert {route for _, route in part} == set(Route)


@pytest.mark.parametrize("part", ["test", "unseen"])
def test_at_least_nine_of_ten_unseen_prompts_are_routed_right(part: str) -> None:
    pairs = corpus.test_part() if part == "test" else corpus.load("unseen")
    result = measure.measure(pairs)
    assert result["accuracy"] >= 0.9, result["wrong"]
    assert result["cost_share_of_always_opus"] < 0.75


HOSTILE = ["word " * 100_000, "aaaa" * 50_000, "(" * 20_000, "a." * 20_000, "what does " * 9000, "`" * 9999]


@pytest.mark.parametrize("prompt", HOSTILE, ids=[text[:4] for text in HOSTILE])
def test_the_work_of_a_decision_is_bounded(router: Router, prompt: str) -> None:
    """However long the input; `bench.py` measures what that takes."""
    seen = excerpt(prompt)
    assert len(seen) <= LIMIT + 1
    assert not re.search(r"\S{81,}", seen), "no word on which a search costs the square of its length"
    assert len(pieces(seen, router._pieces)) < MOST + 40
    half = LIMIT // 2
    other = prompt[:half] + "Prove that lying is wrong, after Kant. " * 200 + prompt[-half:]
    assert router.decide(other).route == router.decide(prompt).route, "the middle of a long paste decides nothing"


@pytest.mark.parametrize("prompt", ["", " ", "\0", "🦑" * 50, "ẞ" * 5000])
def test_any_text_gets_a_decision(router: Router, prompt: str) -> None:
    decision = router.decide(prompt)
    assert 0.2 <= decision.confidence <= 1
    assert decision.reasons


def test_decisions_are_the_same_everywhere(router: Router) -> None:
    text = "|".join(router.decide(prompt).route for prompt, _ in corpus.load("unseen"))
    assert text == "|".join(Router.load().decide(prompt).route for prompt, _ in corpus.load("unseen"))


@pytest.mark.parametrize(
    ("model", "metadata", "expected"),
    [
        ("auto", None, (None, None)),
        ("auto", {"route": "code"}, ("code", None)),
        ("search", None, ("search", None)),
        ("claude_opus", None, (None, "claude_opus")),
        ("claude_opus", {"route": "simple"}, ("simple", "claude_opus")),
    ],
)
def test_what_callers_force(model: str, metadata: object, expected: tuple[str | None, str | None]) -> None:
    assert wishes(model, metadata) == expected


@pytest.mark.parametrize(("model", "metadata"), [("gpt", None), ("", None), ("auto", {"route": "x"})])
def test_what_there_is_not(model: str, metadata: object) -> None:
    with pytest.raises(ApiError):
        wishes(model, metadata)
