"""The tools: what models are told of them, and which worker may use which.

A worker's rights are fixed by the plan, which is made from the caller's words before any tool has answered. What a
document or a tool says can therefore not widen them: a call of any other tool is refused, whoever talked the model into
it.
"""

from collections.abc import Mapping
from typing import Any, Final

SEARCH: Final = "search_documents"
RUN_CODE: Final = "run_code"
READ_IMAGE: Final = "read_image"
TRANSCRIBE: Final = "transcribe_audio"
GENERATE_IMAGE: Final = "generate_image"


def _tool(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
        },
    }


_ATTACHMENT: Final = {"type": "integer", "minimum": 1, "description": "Number of the caller's attachment"}

SPECS: Final = {
    SEARCH: _tool(
        SEARCH, "Find passages in the caller's documents.", query={"type": "string", "description": "What to look for"}
    ),
    RUN_CODE: _tool(
        RUN_CODE,
        "Run Python in a sandbox without network, with numpy, pandas and matplotlib; answers with what it prints.",
        code={"type": "string"},
    ),
    READ_IMAGE: _tool(READ_IMAGE, "Read the text of an attached picture or document.", attachment=_ATTACHMENT),
    TRANSCRIBE: _tool(TRANSCRIBE, "Write down what is said in an attached recording.", attachment=_ATTACHMENT),
    GENERATE_IMAGE: _tool(
        GENERATE_IMAGE,
        "Make a picture, which the user gets with the answer.",
        prompt={"type": "string", "description": "What is to be seen, in English"},
    ),
}

GRANTS: Final = {
    "research": (SEARCH,),
    "coder": (RUN_CODE,),
    "analyzer": (READ_IMAGE, TRANSCRIBE),
}
"""Worker -> tools that it may use."""

EFFECTS: Final = frozenset({RUN_CODE, GENERATE_IMAGE})
"""Tools that do something; they are never called twice for the same step."""


def granted(step: Mapping[str, Any]) -> tuple[str, ...]:
    """The tools of a step: its worker's, and the picture's where the plan says that the step makes one.

    That is not the analyzer's for good, since it also reads files that others wrote.
    """
    more = (GENERATE_IMAGE,) if step.get("image") else ()
    return (*GRANTS[step["worker"]], *more)
