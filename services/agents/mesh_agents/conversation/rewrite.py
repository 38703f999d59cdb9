"""Turns the last question of a conversation into one that can be looked up by itself."""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mesh_agents.conversation.budget import fitted, shortened
from mesh_agents.conversation.render import as_transcript
from mesh_agents.conversation.standalone import stands_alone
from mesh_agents.conversation.turns import Conversation, Unit
from mesh_agents.errors import ApiError
from mesh_agents.graph.prompts import quoted, system
from mesh_agents.llm.client import ModelClient
from mesh_agents.llm.events import BrokenError
from mesh_agents.routing.routes import MODELS, Route

MODEL: Final = MODELS[Route.SIMPLE]
_SECONDS: Final = 15.0
"""How long the call may take: what goes on without it is not much worse."""
_TOKENS: Final = 2000
"""Of the conversation, of which the end counts."""
_LONGEST: Final = 1000
"""Characters of a question; what is longer is something else."""
_CONTEXT: Final = 100
"""Tokens of each of the user's turns that stand beside a question which was not rewritten."""
_LOG: Final = logging.getLogger(__name__)
_THOUGHT: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
_RULES: Final = (
    "Rewrite the user's last message as one question that can be understood without the conversation before it: put"
    " names, things and dates in the place of the words that mean them. Keep its language, and keep names, numbers and"
    " codes as they are. Add nothing that was not said, and do not answer it. If it stands alone, repeat it. Reply with"
    " the question and nothing else."
)


@dataclass(frozen=True)
class Question:
    """What is looked up."""

    text: str
    by: str
    """Whose words: the `caller`'s, the `model`'s, or `context`: without a model, the caller's behind those before."""
    usage: list[Any] = field(default_factory=list)
    """Of the model's call, if there was one."""

    def metadata(self) -> dict[str, Any]:
        """As callers see it."""
        return {"question": self.text, "question_by": self.by}


async def standalone_question(models: ModelClient, conversation: Conversation, tenant: str) -> Question:
    """The request as a question that stands alone. No model is asked where it does so already; none is needed."""
    asked = conversation.request
    if not conversation.earlier or stands_alone(asked):
        return Question(asked, "caller")
    told = as_transcript(fitted(conversation.earlier, _TOKENS))
    content = f"The conversation:\n\n{told}\n\n{quoted('The last message', shortened(asked, _TOKENS))}"
    payload = {
        "model": MODEL,
        "messages": [system(_RULES), {"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": _LONGEST // 2,
    }
    usage: list[Any] = []
    try:
        async with asyncio.timeout(_SECONDS):
            done = await models.complete(payload, tenant)
    except (ApiError, TimeoutError) as error:
        _LOG.warning("a question was not rewritten: %r", error, extra={"model": MODEL})
        usage += [error.used] if isinstance(error, BrokenError) else []
    else:
        usage.append(done.usage)
        text = _THOUGHT.sub("", done.text).strip().strip('"“”„«»').strip()
        if text and len(text) <= max(_LONGEST, 2 * len(asked)):
            return Question(text, "model", usage)
    return Question(_in_context(asked, conversation.earlier), "context", usage)


def _in_context(asked: str, earlier: Sequence[Unit]) -> str:
    """With what the user said last before it, which mostly names what it is about."""
    said = [turn.words for unit in earlier for turn in unit if turn.words.strip()]
    return "\n".join([*(shortened(words, _CONTEXT) for words in said[-2:]), asked])
