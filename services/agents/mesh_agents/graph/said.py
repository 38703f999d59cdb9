"""What a model said, in a form that can be relied on and stored: models, like documents, write what they like."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh_agents.graph.prompts import text_of
from mesh_agents.storable import storable


@dataclass(frozen=True)
class Said:
    """Words, and the tools that were asked for."""

    text: str
    calls: list[dict[str, Any]]
    """In OpenAI's form; what is none is left out."""

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "Said":
        """Of an assistant's message."""
        asked = message.get("tool_calls")
        calls = [_call(number, call) for number, call in enumerate(asked if isinstance(asked, list) else ())]
        return cls(storable(text_of(message.get("content"))), [call for call in calls if call is not None])

    def message(self) -> dict[str, Any]:
        """As a message of the conversation with the tools."""
        return {"role": "assistant", "content": self.text or None, "tool_calls": self.calls}


def _call(number: int, call: Any) -> dict[str, Any] | None:
    match call:
        case {"function": {"name": str(name), **rest}}:
            identity, arguments = call.get("id"), rest.get("arguments")
            return {
                "id": storable(identity) if isinstance(identity, str) else f"call_{number}",
                "type": "function",
                "function": {"name": storable(name), "arguments": _text(arguments)},
            }
        case _:
            return None


def _text(arguments: Any) -> str:
    return storable(arguments) if isinstance(arguments, str) else "{}"
