"""What every program of a client shares: its place in the world, the questions, and how it reports.

A program prints one JSON line for each feature: `{"feature": ..., "outcome": ..., "says": ...}`. The outcome is
`works`, `refused` (the platform answered with a status that says no) or `fails` (anything else). Only the standard
library is imported here: each client has an environment of its own.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

URL = os.environ["MESH_URL"].rstrip("/")
"""`https://DOMAIN`. The certificate's authority is in `SSL_CERT_FILE`, where it is not a public one."""
BASE_URL = f"{URL}/v1"
KEY = os.environ["MESH_KEY"]
WRONG_KEY = "sk-wrong"
LOCAL, CLOUD, ANY, DOCUMENTS = "vllm_local", "claude_sonnet", "auto", "search"
EMBEDDING = "local_bge"
UNKNOWN = "no-such-model"
"""Without a beginning by which names of OpenAI and Anthropic may be mapped."""

# The lab's models say what stands in double brackets.
GREETING = "Good morning from the mesh."
ASK = f"[[{GREETING}]]"
CITY, WEATHER = "Bergen", "It rains in Bergen, at 9 degrees."
ASK_WITH_TOOL = f'What is the weather in {CITY}? [[tool:weather {{"city": "{CITY}"}}]]'
TOOL_RESULT = f"[[{WEATHER}]]"
PERSON = {"name": "Ada", "age": 36}
ASK_FOR_PERSON = f"Who is it? [[{json.dumps(PERSON)}]]"
TEXTS = [f"Part {number}: {('bolt', 'nut', 'washer', 'gear', 'belt')[number % 5]}" for number in range(100)]
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mP4z8BAEmIY1TCqYfhqAACQ+f8B8u7oVwAAAABJRU5ErkJggg=="
"""A red square of 16 by 16 pixels: PNG in base64."""
ASK_ABOUT_PICTURE = "What do you see? [[A red square.]]"
SEEN = "A red square."
FIRST_QUESTION = "Who makes the Borealis P-70 pump?"
FIRST_ANSWER = "The Borealis P-70 pump is made by Nordlys Pumper in Narvik."
FOLLOW_UP = "And how often does it have to be serviced?"
FOUND = "every 14 months"
"""What the document says that the lab has taken in (`tests/lab/test_clients.py`)."""


class RefusedError(Exception):
    """The platform said no, where the client's own exception does not say with which status."""


def status_of(error: BaseException | None) -> int:
    """The HTTP status that an exception tells, or one that it was raised from; else 0."""
    while error is not None:
        for holder in (error, getattr(error, "response", None)):
            status = getattr(holder, "status_code", None) or getattr(holder, "status", None)
            if isinstance(status, int):
                return status
        error = error.__cause__ or error.__context__
    return 0


def expect(true: Any, says: object) -> None:
    """Fail with what came instead."""
    if not true:
        raise AssertionError(f"unexpected: {says!r}"[:1000])


def refusal(ask: Callable[[], object], status: int, *words: str) -> Exception:
    """The client's exception for an answer with this status, which holds these words; fails where there is none."""
    try:
        answer = ask()
    except Exception as error:  # noqa: BLE001 - whatever a client raises
        expect(status_of(error) == status and all(word in str(error) for word in words), error)
        return error
    raise AssertionError(f"it was taken: {answer!r}"[:500])


def run(features: Mapping[str, Callable[[], object]]) -> None:
    """Try each feature; with arguments, only those named."""
    for name in sys.argv[1:] or features:
        try:
            outcome, says = "works", features[name]()
            if isinstance(says, Exception):
                says = f"{type(says).__name__}: {says}"
        except RefusedError as error:
            outcome, says = "refused", error
        except Exception as error:  # noqa: BLE001 - whatever a client raises is its outcome
            status = 0 if isinstance(error, AssertionError) else status_of(error)
            outcome = "refused" if 400 <= status < 500 or status == 501 else "fails"
            says = f"{type(error).__name__}: {error}"
            if outcome == "fails":
                traceback.print_exc()
        print(json.dumps({"feature": name, "outcome": outcome, "says": str(says)[:1500]}), flush=True)
