"""The events of a streamed answer, and whether it is whole."""

import json
from dataclasses import dataclass
from typing import Any, Final

from mesh_agents.errors import ApiError
from mesh_agents.llm.usage import Usage

_END: Final = b"[DONE]"


class BrokenError(ApiError):
    """No answer, or the beginning of one. Who has passed nothing of it on may ask again."""

    def __init__(self, message: str, code: str) -> None:
        """`code` says how it broke."""
        super().__init__(502, message, code=code, kind="server_error")
        self.used: Usage = {}
        """What it cost all the same."""


def cut() -> BrokenError:
    """The connection ended before the answer did."""
    return BrokenError("the model's answer was cut off before its end", "upstream_cut")


@dataclass(frozen=True, slots=True)
class Event:
    """A part of an answer."""

    data: bytes
    """As the proxy sent it, which is how it can be passed on."""
    chunk: dict[str, Any]
    """The same, understood."""


class Reader:
    """Makes events of what comes from the network."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.ended = False
        self.failure: BrokenError | None = None
        """How it ended, unless well."""
        self.usage: Usage | None = None
        """What the answer used, as the proxy counts it."""
        self.characters = 0
        """How much was said, or asked of tools; none while only a frame has come: a role, an end, a bill."""
        self._rest = b""
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def feed(self, data: bytes) -> list[Event]:
        """The events that are whole with `data`; no data is the end of the connection."""
        if not data:
            self._end(cut())
            return []
        found: list[Event] = []
        # By hand: a line may be of any length, which the library's own reader refuses.
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and not self.ended:
                self._line(line[5:].strip(), found)
        return found

    def _line(self, data: bytes, found: list[Event]) -> None:
        if data == _END:
            # The proxy says so. The answer is whole when the model has said so, too, of each of its choices.
            self._end(None if self._begun and self._begun == self._finished else cut())
            return
        try:
            chunk = json.loads(data)
            failure = self._understand(chunk)
        except (ValueError, AttributeError, TypeError, RecursionError):
            failure = BrokenError("the model proxy sent what is no part of an answer", "upstream_malformed")
        if failure:
            self._end(failure)
        else:
            found.append(Event(data, chunk))

    def _understand(self, chunk: dict[str, Any]) -> BrokenError | None:
        told = message(chunk) if chunk.get("error") else None
        for choice in chunk.get("choices") or ():
            index, reason = choice.get("index", 0), choice.get("finish_reason")
            self._begun.add(index)
            if reason:
                self._finished.add(index)
            if reason == "error":
                told = told or "it does not say why"
            self.characters += _size(choice.get("delta") or {})
        self.usage = chunk.get("usage") or self.usage
        return BrokenError(f"the model failed while it answered: {told}", "upstream_failed") if told else None

    def _end(self, failure: BrokenError | None) -> None:
        self.ended = True
        self.failure = failure


def _size(delta: dict[str, Any]) -> int:
    said = [value for name, value in delta.items() if name != "role" and value]
    return sum(len(value) if isinstance(value, str) else len(json.dumps(value)) for value in said)


def message(body: Any) -> str:
    """What an error says, in whichever of the usual forms."""
    error = body.get("error", body) if isinstance(body, dict) else body
    text = error.get("message") if isinstance(error, dict) else error
    return str(text)[:500]
