"""What the models can do besides text, and which of them takes a request that needs it."""

import json
from collections.abc import Mapping
from typing import Final

from mesh_agents.errors import ApiError
from mesh_agents.routing.routes import CHAT_MODELS

VISION: Final = "vision"
TOOLS: Final = "tools"
AUDIO: Final = "audio"
LINKS: Final = "links"
"""Follows links to pictures. Models in the cloud do; nothing leaves the local one's pod, so that it cannot."""
_LOCAL: Final = "vllm_local"
_LADDER: Final = ("vllm_local", "claude_small", "claude_sonnet", "claude_opus")
"""From the cheapest to the strongest."""
_WORDS: Final = {
    VISION: ("sees pictures", "set agentic-mesh:models.chat to one that does, such as Qwen/Qwen2.5-VL-7B-Instruct-AWQ"),
    LINKS: ("fetches linked pictures", "send the picture itself, as a data: URL"),
    TOOLS: ("calls tools", "set agentic-mesh:models.chatToolParser to the chat model's"),
    AUDIO: ("hears recordings", "leave the model to the router, which has recordings transcribed"),
}
_SETTING: Final = "agentic-mesh:modelAbilities"


class Abilities:
    """The table."""

    def __init__(self, table: Mapping[str, frozenset[str]]) -> None:
        """Keep it: model -> what it can do besides text."""
        self._table = {
            name: able | ({LINKS} if name != _LOCAL and VISION in able else set()) for name, able in table.items()
        }

    @classmethod
    def parse(cls, text: str) -> "Abilities":
        """From `AGENTS_ABILITIES`; with nothing said every model calls tools, and none does more.

        Raises:
            ValueError: it is no JSON object of lists of words.

        """
        if not text:
            return cls(dict.fromkeys(CHAT_MODELS, frozenset({TOOLS})))
        try:
            table = {str(name): frozenset(map(str, able)) for name, able in json.loads(text).items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError('AGENTS_ABILITIES is no JSON of model -> ["vision", "tools", "audio"]') from error
        return cls(table)

    def can(self, model: str, needs: frozenset[str]) -> bool:
        """Whether a model can do all of `needs`."""
        return needs <= self._table.get(model, frozenset())

    def instead_of(self, model: str, needs: frozenset[str]) -> str:
        """The model itself where it can do what is needed, else the nearest that can: a stronger one first.

        Raises:
            ApiError: 400, none can; the message says which setting gives one.

        """
        if self.can(model, needs):
            return model
        at = _LADDER.index(model) if model in _LADDER else len(_LADDER)
        others = [*_LADDER[at:], *reversed(_LADDER[:at]), *(name for name in CHAT_MODELS if name not in _LADDER)]
        for name in others:
            if self.can(name, needs):
                return name
        raise ApiError(400, _nobody(needs), code="no_able_model", param=_param(needs))

    def check(self, model: str, needs: frozenset[str]) -> None:
        """Refuse a request that names a model which cannot serve it.

        Raises:
            ApiError: 400.

        """
        missing = needs - self._table.get(model, frozenset())
        if not missing:
            return
        able = [name for name in CHAT_MODELS if self.can(name, needs)]
        said = " and ".join(_WORDS[need][0] for need in sorted(missing))
        if not able:
            raise ApiError(400, _nobody(needs), code="no_able_model", param=_param(needs))
        raise ApiError(
            400,
            f"{model} is no model that {said}; leave the choice to the router with model: auto, or name one of:"
            f" {', '.join(able)}. If {model} is one, say so in {_SETTING}",
            code="model_not_able",
            param="model",
        )


def _nobody(needs: frozenset[str]) -> str:
    said = " and ".join(_WORDS[need][0] for need in sorted(needs))
    hints = "; ".join(_WORDS[need][1] for need in sorted(needs))
    return f"no configured model {said}: {hints}. If one does, say so in {_SETTING}"


def _param(needs: frozenset[str]) -> str:
    return "tools" if needs == {TOOLS} else "messages"
