"""The nodes of the supervisor graph: each takes the state and answers with what changes."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from mesh_agents import metrics
from mesh_agents.conversation.budget import background
from mesh_agents.conversation.render import as_transcript
from mesh_agents.conversation.turns import conversation_of
from mesh_agents.graph import prompts
from mesh_agents.graph.effects import Effects
from mesh_agents.graph.monitor import fingerprint, verdict
from mesh_agents.graph.speaker import Speaker, Spoken
from mesh_agents.graph.state import Note, RunState, Step, Usage
from mesh_agents.routing.abilities import TOOLS
from mesh_agents.routing.choice import choose
from mesh_agents.routing.router import Router
from mesh_agents.routing.routes import MODELS, Route
from mesh_agents.routing.situation import Situation
from mesh_agents.tools.attachments import Attachment, attachments
from mesh_agents.tools.images import Image, made
from mesh_agents.tools.spec import EFFECTS, GENERATE_IMAGE, SPECS, granted
from mesh_agents.tools.toolbox import Toolbox

ANSWER_TOKENS: Final = 4096
"""Of one call, at most."""
_THINKING_TOKENS: Final = 4 * ANSWER_TOKENS
"""In their place where thoughts come before the words: LiteLLM gives up to 4,096 to these."""
_LENGTHS: Final = ("max_tokens", "max_completion_tokens")
MAX_CALLS: Final = 8
"""Of tools, in one answer of a model: the monitor counts answers."""
_OUT_OF_TIME: Final[RunState] = {"stop": "limit_seconds"}

_WORKER_OF: Final = {Route.SEARCH: "research", Route.CODE: "coder"}
_MODEL_OF: Final = {"research": "claude_sonnet", "coder": "claude_sonnet", "analyzer": "claude_opus"}
"""Worker -> model, when a plan has several steps."""


class Nodes:
    """What the nodes work with."""

    def __init__(
        self, router: Router, speaker: Speaker, toolbox: Toolbox, effects: Effects, conversation_tokens: int
    ) -> None:
        """Keep the parts; `conversation_tokens` of the conversation are told to each model."""
        self._router = router
        self._speaker = speaker
        self._toolbox = toolbox
        self._effects = effects
        self._tokens = conversation_tokens

    async def route(self, state: RunState) -> RunState:
        """Router: by which route, and why. Everything but `multi_step` is a plan of one step."""
        request = prompts.request_text(state["messages"])
        asked = Situation.of(state["messages"])
        # A worker reads what is attached, and makes a picture, with tools.
        tools = bool(attachments(state["messages"])) or prompts.wants_image(request)
        needs = frozenset({TOOLS} if tools else ())
        decision = choose(self._router, asked, state.get("forced_route"), state.get("forced_model"), needs)
        plan: list[Step] = []
        if decision.route is not Route.MULTI_STEP:
            worker = _WORKER_OF.get(decision.route, "analyzer")
            plan = [prompts.step_of(worker, request[:4000], image=prompts.wants_image(request))]
        return {
            "decision": decision.metadata(),
            "plan": plan,
            "cursor": 0,
            "talk": [],
            "usage": Usage(steps=0, tokens=0, usd=0.0, prompt_tokens=0, completion_tokens=0),
            "seen": [],
            "stop": None,
        }

    async def plan(self, state: RunState) -> RunState:
        """Planner: steps from the caller's words alone, before any tool has answered."""
        request = prompts.request_text(state["messages"])
        files = len(attachments(state["messages"]))
        told = f"{request}\n\n({files} attached file(s))" if files else request
        messages = self._told(state, prompts.PLANNER, told)
        answer = await self._call(state, state["decision"]["model"], messages)
        if answer is None:
            return _OUT_OF_TIME
        return {"plan": prompts.parse_plan(answer.said.text, request), "usage": _spent(state["usage"], answer)}

    async def monitor(self, state: RunState) -> RunState:
        """Monitor: whether the run may go on."""
        return {"stop": state.get("stop") or verdict(state, time.time())}

    async def work(self, state: RunState) -> RunState:
        """The worker of the current step says something: its result, or which tool it wants."""
        step = state["plan"][state["cursor"]]
        files = attachments(state["messages"])
        several = len(state["plan"]) > 1
        model = _MODEL_OF[step["worker"]] if several else state["decision"]["model"]
        brief = prompts.brief(step, prompts.request_text(state["messages"]), state.get("notes", []), len(files))
        told = self._told(state, prompts.WORKER_RULES[step["worker"]], brief, answers=not several)
        messages = [*told, *state["talk"]]
        tools = _tools_of(step, files)
        # Without tools, what the only worker says is the answer.
        answer = await self._call(state, model, messages, tools, answers=not several and not tools)
        if answer is None:
            return _OUT_OF_TIME
        said = answer.said
        seen = [*state["seen"], fingerprint(state["cursor"], said.message())]
        metrics.STEPS.labels(step["worker"]).inc()
        changed: RunState = {"usage": _spent(state["usage"], answer), "seen": seen, "finish": answer.finish}
        if said.calls:
            return {**changed, "talk": [*state["talk"], said.message()]}
        note = Note(worker=step["worker"], task=step["task"], text=said.text)
        return {**changed, "talk": [], "notes": [note], "cursor": state["cursor"] + 1}

    async def tools(self, state: RunState) -> RunState:
        """Call the tools that the worker asked for, those it was granted."""
        answers: list[dict[str, Any]] = []
        images: list[Image] = []
        try:
            async with _rest_of_time(state):
                for index, call in enumerate(state["talk"][-1]["tool_calls"]):
                    name = call["function"]["name"]
                    output = await self._tool(state, index, name, call["function"]["arguments"])
                    if name == GENERATE_IMAGE:
                        images += made(output)
                    content = prompts.quoted("Output", output)
                    answers.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        except OutOfTimeError:
            return {**_OUT_OF_TIME, "images": images}
        return {"talk": [*state["talk"], *answers], "images": images}

    async def _tool(self, state: RunState, index: int, name: str, arguments: str) -> str:
        """The output of a tool, or why it is not called."""
        if name not in granted(state["plan"][state["cursor"]]):
            metrics.TOOL_CALLS.labels("other", "refused").inc()
            return "refused: this step was not granted that tool"
        if index >= MAX_CALLS:
            metrics.TOOL_CALLS.labels(name, "refused").inc()
            return f"refused: at most {MAX_CALLS} at once"
        files = attachments(state["messages"])
        act = partial(self._toolbox.call, name, arguments, state["tenant"], files)
        if name not in EFFECTS:
            return await act()
        # Only what is in the checkpoint makes the key, so that a run taken over finds it again.
        return await self._effects.once(state["run"], f"{state['cursor']}:{len(state['talk'])}:{index}", act)

    async def conclude(self, state: RunState) -> RunState:
        """The answer: a single step's own, or one made of the results of several."""
        notes = state.get("notes", [])
        together = "\n\n".join(note["text"] for note in notes)
        if state.get("stop") or (len(notes) == 1 and not _is_to_be_shaped(state)):
            return {"answer": together}
        request = prompts.request_text(state["messages"])
        results = [prompts.quoted(f"Result of {n['worker']} ({n['task']})", n["text"]) for n in notes]
        content = "\n\n".join([f"The user's request: {request}", *results])
        messages = self._told(state, prompts.CONCLUDE, content, answers=True)
        answer = await self._call(state, MODELS[Route.MULTI_STEP], messages, answers=True)
        if answer is None:
            return {**_OUT_OF_TIME, "answer": together}
        return {"answer": answer.said.text, "usage": _spent(state["usage"], answer), "finish": answer.finish}

    def _told(self, state: RunState, rules: str, task: str, *, answers: bool = False) -> list[dict[str, Any]]:
        """The messages of a call: the rules with those of the caller's application, the conversation, what to do.

        `answers`: what is said is the answer itself, of which the caller may have written the beginning.
        """
        conversation = conversation_of(state["messages"])
        task = prompts.to_go_on(task, conversation.begun if answers else "")
        earlier = as_transcript(background(conversation, self._tokens))
        content = f"The conversation so far:\n\n{earlier}\n\n{task}" if earlier else task
        return [
            prompts.system(prompts.with_rules_of(conversation.rules, rules)),
            {"role": "user", "content": content},
        ]

    async def _call(
        self,
        state: RunState,
        model: str,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        *,
        answers: bool = False,
    ) -> Spoken | None:
        """What a model says; None: the run's time is over before.

        `answers`: it is the answer itself, in the manner that the caller wants, who may hear it word by word.
        """
        manner = state.get("manner", {}) if answers else {}
        given = [manner[name] for name in _LENGTHS if name in manner]
        left = state["limits"]["tokens"] - state["usage"]["tokens"]
        payload: dict[str, Any] = {
            **{name: value for name, value in manner.items() if name not in _LENGTHS},
            "model": model,
            "messages": messages,
            "max_tokens": max(
                1, min(_THINKING_TOKENS if "reasoning_effort" in manner else ANSWER_TOKENS, left, *given)
            ),
        }
        if tools:
            payload["tools"] = tools
        try:
            async with _rest_of_time(state):
                return await self._speaker.answer(payload, state["tenant"], aloud=answers)
        except OutOfTimeError:
            return None


def _tools_of(step: Step, files: Sequence[Attachment]) -> list[dict[str, Any]]:
    """Those of a worker; with nothing attached none that reads attachments."""
    return [SPECS[name] for name in granted(step) if files or "attachment" not in _arguments(name)]


def _is_to_be_shaped(state: RunState) -> bool:
    """Whether a single step's words lack the form that the caller wants: a worker with tools is not told of it."""
    if not set(state.get("manner", {})) & {*_LENGTHS, "response_format", "stop"}:
        return False
    return bool(_tools_of(state["plan"][0], attachments(state["messages"])))


class OutOfTimeError(Exception):
    """The run's time is over."""


@asynccontextmanager
async def _rest_of_time(state: RunState) -> AsyncIterator[None]:
    """Ends what is done in it with the run's time: the monitor looks only in between."""
    left = state["started"] + state["limits"]["seconds"] - time.time()
    scope = asyncio.timeout(max(0.0, left))
    try:
        async with scope:
            yield
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise OutOfTimeError from error


def after_route(state: RunState) -> str:
    """Several steps need a plan."""
    return "monitor" if state["plan"] else "plan"


def after_monitor(state: RunState) -> str:
    """To the end, to the tools that were asked for, or to the worker of the current step."""
    if state.get("stop") or state["cursor"] >= len(state["plan"]):
        return "conclude"
    talk = state["talk"]
    if talk and talk[-1].get("tool_calls"):
        return "tools"
    return state["plan"][state["cursor"]]["worker"]


def _arguments(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = SPECS[name]["function"]["parameters"]["properties"]
    return properties


def _spent(before: Usage, answer: Spoken) -> Usage:
    used = answer.usage
    return Usage(
        steps=before["steps"] + 1,
        tokens=before["tokens"] + used["total_tokens"],
        usd=before["usd"] + answer.usd,
        prompt_tokens=before.get("prompt_tokens", 0) + used["prompt_tokens"],
        completion_tokens=before.get("completion_tokens", 0) + used["completion_tokens"],
    )
