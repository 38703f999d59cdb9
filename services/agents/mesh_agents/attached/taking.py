"""Takes in what comes with a chat before a model is chosen.

Recordings and files become text, by the services that read them elsewhere too; pictures stay for a model that sees.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mesh_agents.attached import files, marks
from mesh_agents.errors import ApiError
from mesh_agents.rag.reader import DocumentReader
from mesh_agents.routing.abilities import AUDIO, LINKS, VISION, Abilities
from mesh_agents.tools.attachments import Attachment
from mesh_agents.tools.toolbox import Toolbox

MOST_PARTS: Final = 50
"""Of one conversation that carry a file."""
MOST_CHARACTERS: Final = 400_000
"""Of a file's text in a chat; more than that goes through `/v1/documents` and the route `search`."""
_KEPT: Final = 64
_PLAIN: Final = frozenset({"text", "refusal"})


@dataclass
class Taken:
    """A conversation as a model gets it."""

    messages: list[dict[str, Any]]
    needs: set[str] = field(default_factory=set)
    """Abilities that the model must have for what is attached."""
    told: list[dict[str, Any]] = field(default_factory=list)
    """What became of each recording and file, for the answer's metadata."""


class Taker:
    """Reads attachments; texts are kept for a while, since a client sends its whole conversation each time."""

    def __init__(self, toolbox: Toolbox, reader: DocumentReader, abilities: Abilities) -> None:
        """Use the services of `toolbox` and `reader`."""
        self._toolbox = toolbox
        self._reader = reader
        self._abilities = abilities
        self._texts: OrderedDict[bytes, str] = OrderedDict()

    async def take(self, tenant: str, messages: Sequence[dict[str, Any]], model: str | None) -> Taken:
        """The conversation with its recordings and files as text.

        `model`: the one that the caller named, which gets recordings as they are where it hears.

        Raises:
            ApiError: 400 or 413 a part cannot be taken, 502 or 503 a service that reads it fails.

        """
        taken = Taken([])
        hears = model is not None and self._abilities.can(model, frozenset({AUDIO}))
        number = 0
        for message in messages:
            content = message.get("content")
            if not isinstance(content, list):
                taken.messages.append(message)
                continue
            parts = []
            for part in content:
                number += part.get("type") not in _PLAIN
                if number > MOST_PARTS:
                    raise files.refused(f"the conversation carries more than {MOST_PARTS} files", code="too_many_files")
                parts.append(await self._part(tenant, part, number, taken, hears=hears))
            taken.messages.append({**message, "content": parts})
        return taken

    async def _part(
        self, tenant: str, part: dict[str, Any], number: int, taken: Taken, *, hears: bool
    ) -> dict[str, Any]:
        match part.get("type"):
            case kind if kind in _PLAIN:
                return part
            case "image_url":
                clean, link = files.picture(part, number)
                taken.needs |= {VISION, LINKS} if link else {VISION}
                return clean
            case "input_audio":
                heard = files.recording(part, number)
                if hears:
                    taken.needs.add(AUDIO)
                    return part
                return await self._recording(tenant, heard, taken)
            case "file":
                return await self._file(tenant, files.file(part, number), taken)
            case kind:
                raise files.refused(
                    f"parts of the type {str(kind)[:40]!r} are not supported; there are: text, image_url, input_audio,"
                    " file",
                    code="unsupported_parameter",
                )

    async def _recording(self, tenant: str, heard: Attachment, taken: Taken) -> dict[str, Any]:
        text = await self._once(tenant, heard, lambda: self._toolbox.transcript(heard))
        taken.told.append({"name": heard.name, "type": "input_audio", "became": "transcript", "text": text[:2000]})
        return marks.recording_part(heard.name, text)

    async def _file(self, tenant: str, file: Attachment, taken: Taken) -> dict[str, Any]:
        if (kind := files.picture_kind(file.content)) is not None:
            taken.needs.add(VISION)
            taken.told.append({"name": file.name, "type": "file", "became": "picture"})
            data = base64.b64encode(file.content).decode()
            return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}
        text = await self._once(tenant, file, lambda: self._read(file))
        if len(text) > MOST_CHARACTERS:
            raise ApiError(
                413,
                f"{file.name} holds {len(text)} characters of text; at most {MOST_CHARACTERS} go with a chat."
                " Send it to /v1/documents and ask on the route search",
                code="document_too_large",
                param="messages",
            )
        taken.told.append({"name": file.name, "type": "file", "became": "text", "characters": len(text)})
        return marks.file_part(file.name, text)

    async def _read(self, file: Attachment) -> str:
        """The text of a file, read as documents are."""
        try:
            _, text = await self._reader.text(file.content, file.name)
        except ApiError as error:
            if error.status >= 500 and error.status != 504:
                raise
            # By name: a message may carry several.
            raise ApiError(
                error.status, f"{file.name}: {error}", code=error.body.code or "invalid_attachment", param="messages"
            ) from error
        if not text.strip():
            raise files.refused(f"{file.name}: the file holds no text", code="document_empty")
        return text

    async def _once(self, tenant: str, file: Attachment, read: Callable[[], Awaitable[str]]) -> str:
        """What `read` makes of a file; what it made before, if the tenant sent the same file a while ago."""
        key = hashlib.sha256(b"\0".join([tenant.encode(), file.name.encode(), file.content])).digest()
        if key not in self._texts:
            text = await read()
            if len(text) > MOST_CHARACTERS:
                return text
            self._texts[key] = text
            while len(self._texts) > _KEPT:
                self._texts.popitem(last=False)
        self._texts.move_to_end(key)
        return self._texts[key]
