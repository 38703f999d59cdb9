"""What the router looks at: what is asked now, what was said before, and what is attached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh_agents.attached.marks import attached_text, own_words, parts_of
from mesh_agents.routing.features import excerpt

TURNS: Final = 3
"""Of the user, the last ones; earlier ones say nothing about what is asked now."""
EARLIER: Final = 300
"""Characters that are looked at of a turn before the last. It bounds the time of a decision."""
_RULES: Final = ("system", "developer")
_ENDINGS: Final = (
    "py js jsx ts tsx c h cpp hpp cc rs go java kt kts swift scala rb php lua pl r sh bash ps1 sql html css scss vue "
    "svelte json jsonl yaml yml toml ini cfg conf xml proto tf hcl ipynb log diff patch lock gradle cmake dart ex exs "
    "hs ml clj zig sol asm vhd"
)
_PROGRAM: Final = tuple(f".{ending}" for ending in _ENDINGS.split())
_PROGRAMS: Final = frozenset({"dockerfile", "makefile", "cmakelists.txt", "requirements.txt", "go.mod", "jenkinsfile"})


@dataclass(frozen=True)
class Turn:
    """Something that the user said."""

    text: str
    """Their own words."""
    answered: str = ""
    """What the assistant had said right before."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A conversation up to what is asked now."""

    turns: tuple[Turn, ...]
    """The last ones, what is asked now at the end; at least one."""
    rules: str = ""
    """The system prompt."""
    pictures: int = 0
    """With the last turn; so are the next ones."""
    recordings: int = 0
    programs: int = 0
    """Attached files whose name is that of source code, configuration or a log."""
    papers: int = 0
    """Other attached files."""

    @property
    def plain(self) -> bool:
        """Whether the words of the last turn are all there is."""
        return len(self.turns) == 1 and not (self.rules or self.attached)

    @property
    def attached(self) -> int:
        """Files of all kinds with the last turn."""
        return self.pictures + self.recordings + self.programs + self.papers

    def at(self, number: int) -> "Situation":
        """As it was at the user's turn `number`, from 1; of attachments only those of the last turn are known."""
        if number == len(self.turns):
            return self
        turns = tuple(
            Turn(excerpt(turn.text, EARLIER), excerpt(turn.answered, EARLIER)) for turn in self.turns[:number]
        )
        return Situation(turns=turns, rules=self.rules)

    @classmethod
    def of(cls, messages: Sequence[Mapping[str, Any]]) -> "Situation":
        """Of a chat's messages, in OpenAI's form."""
        said = [number for number, message in enumerate(messages) if message.get("role") == "user"]
        # Before the window of the last turns nothing counts but the answer right before it.
        begin = said[-TURNS - 1] + 1 if len(said) > TURNS else 0
        turns: list[Turn] = []
        answered = ""
        counts: dict[str, int] = {}
        for message in messages[begin:]:
            if message.get("role") == "assistant":
                answered = own_words(message) or answered
            elif message.get("role") == "user":
                turns.append(Turn(own_words(message), answered))
                answered, counts = "", _attached(message)
        rules = next((own_words(message) for message in messages if message.get("role") in _RULES), "")
        return cls(turns=tuple(turns) or (Turn(""),), rules=rules, **counts)


def _attached(message: Mapping[str, Any]) -> dict[str, int]:
    """Number of files of each kind in a message."""
    counts = {"pictures": 0, "recordings": 0, "programs": 0, "papers": 0}
    written = any(
        part.get("type") == "text" and attached_text(part) is None and str(part.get("text") or "").strip()
        for part in parts_of(message)
    )
    for part in parts_of(message):
        match part.get("type"), part, attached_text(part):
            case "image_url", _, _:
                counts["pictures"] += 1
            case ("input_audio", _, _) | (_, _, ("recording", _, _)):
                # A recording without a written word is what is asked, and nothing attached to it.
                counts["recordings"] += written
            case ("file", {"file": {"filename": str(name)}}, _) | (_, _, ("file", name, _)):
                counts["programs" if is_program(name) else "papers"] += 1
            case "file", _, _:
                counts["papers"] += 1
            case _:
                pass
    return counts


def is_program(name: str) -> bool:
    """Whether a file's name is that of source code, configuration or a log."""
    lower = name.lower()
    return lower.endswith(_PROGRAM) or lower in _PROGRAMS
