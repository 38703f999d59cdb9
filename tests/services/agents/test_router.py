"""The router on prompts that its weights were not made from, and its other promises."""

import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from tests.services.agents.conftest import SERVICE

sys.path.insert(0, str(SERVICE))

from mesh_agents.attached.marks import file_part, recording_part
from mesh_agents.errors import ApiError
from mesh_agents.routing.choice import wishes
from mesh_agents.routing.features import LIMIT, excerpt
from mesh_agents.routing.router import Router
from mesh_agents.routing.routes import Route
from mesh_agents.routing.situation import EARLIER, TURNS, Situation, Turn
from mesh_agents.routing.wordpiece import MOST, pieces
from training import corpus, measure, situations


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


def test_the_situations_are_many_varied_and_cleanly_split() -> None:
    parts = {
        kind: [situations.load(folder) for folder in (kind, f"{kind}_train", f"{kind}_unseen")]
        for kind in situations.KINDS
    }
    sizes = {kind: sum(map(len, folders)) for kind, folders in parts.items()}
    assert sizes["conversations"] >= 150
    assert sizes["attachments"] >= 50
    for kind in situations.KINDS:
        for part in (situations.train_part(kind), situations.test_part(kind), situations.unseen_part(kind)):
            assert {route for _, route in part} == set(Route)


@pytest.mark.parametrize("kind", situations.KINDS)
def test_no_situation_has_a_near_duplicate_in_another_part(kind: str) -> None:
    """By the words of all of the user's turns: three quarters of them the same count as a duplicate."""
    seen, unseen = (
        [_said(situation) for part in parts for situation, _ in part]
        for parts in (
            [situations.train_part(kind)],
            [situations.test_part(kind), situations.unseen_part(kind)],
        )
    )
    twins = [
        (words, other) for words in unseen for other in seen if len(words & other) > 0.75 * len(words | other) and words
    ]
    assert not twins


def _said(situation: Situation) -> frozenset[str]:
    text = " ".join(turn.text for turn in situation.turns)
    return frozenset(re.findall(r"\w+", text.lower())) | {f"{situation.pictures} {situation.papers}"}


@pytest.mark.parametrize("kind", situations.KINDS)
@pytest.mark.parametrize("part", ["test", "unseen"])
def test_at_least_nine_of_ten_unseen_situations_are_routed_right(kind: str, part: str) -> None:
    pairs = situations.test_part(kind) if part == "test" else situations.unseen_part(kind)
    result = measure.measure(pairs)
    assert result["accuracy"] >= 0.9, result["wrong"]
    assert result["cost_share_of_always_opus"] < 0.75


PYTHON = [
    {"role": "user", "content": "Write a Python function that merges two sorted lists."},
    {"role": "assistant", "content": "def merge(a, b):\n    return sorted(a + b)"},
]


@pytest.mark.parametrize(
    ("text", "route"),
    [("and now in Rust", "code"), ("thanks", "simple"), ("By the way, what is the capital of Peru?", "simple")],
)
def test_the_conversation_counts(router: Router, text: str, route: str) -> None:
    """The issue's own examples."""
    assert router.decide(Situation.of([*PYTHON, {"role": "user", "content": text}])).route == route


def test_a_bare_prompt_is_decided_by_its_words_alone(router: Router) -> None:
    for prompt, _ in corpus.load("unseen"):
        one = Situation.of([{"role": "user", "content": prompt}])
        assert one.plain
        assert router.decide(one).route == router.decide(prompt).route


def test_only_the_last_turns_count(router: Router) -> None:
    last = [*PYTHON * TURNS, {"role": "user", "content": "and now in Rust"}]
    long = [{"role": "user", "content": "Prove that lying is wrong."}, {"role": "assistant", "content": "No."}] * 400
    assert len(Situation.of([*long, *last]).turns) == TURNS
    assert router.decide(Situation.of([*long, *last])).route == router.decide(Situation.of(last)).route


def test_what_is_attached_is_seen_before_and_after_it_is_read() -> None:
    raw = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {"filename": "Main.JAVA", "file_data": ""}},
        {"type": "file", "file": {"file_data": ""}},
    ]
    read = [*raw[:2], recording_part("recording-3.wav", "x"), file_part("Main.JAVA", "x"), file_part("file-5", "x")]
    for parts in (raw, read):
        found = Situation.of([{"role": "user", "content": parts}])
        assert (found.pictures, found.recordings, found.programs, found.papers) == (1, 1, 1, 1)
    assert Situation.of([{"role": "user", "content": [recording_part("r.wav", "hello")]}]).plain


@pytest.mark.parametrize(
    "message", [{}, {"role": "user"}, {"role": "user", "content": 7}, {"role": "user", "content": [3]}]
)
def test_any_conversation_gets_a_decision(router: Router, message: dict[str, Any]) -> None:
    assert router.decide(Situation.of([message, message])).reasons
    assert router.decide(Situation.of([])).reasons


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


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:4] for text in HOSTILE])
def test_so_is_that_of_a_long_conversation(router: Router, text: str) -> None:
    asked = Situation(turns=tuple(Turn(text, text) for _ in range(TURNS)), rules=text, pictures=1)
    assert all(len(turn.text) <= EARLIER + 1 for turn in asked.at(TURNS - 1).turns)
    half = LIMIT // 2
    middle = "Prove that lying is wrong, after Kant. " * 200
    other = replace(asked, turns=(*asked.turns[:-1], Turn(text[:half] + middle + text[-half:], text)))
    assert router.decide(other).route == router.decide(asked).route


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
