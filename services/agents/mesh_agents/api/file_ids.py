"""Files of `/v1/files` that a conversation names: put in their place, as if they had been sent with it."""

import base64
import mimetypes
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mesh_agents.api.chat_models import ChatMessage
from mesh_agents.errors import ApiError
from mesh_agents.filed.files import Files

_UNKNOWN: Final = "application/octet-stream"


async def put_in(files: Files, tenant: str, messages: Sequence[ChatMessage], most_bytes: int) -> None:
    """Replace each `file_id` by the file's content, in the form of OpenAI's `file_data`.

    Raises:
        ApiError: 404 there is no such file, 413 they are larger together than a request may be.

    """
    named = [part for part in _parts(messages) if part.get("file_id") is not None]
    if not named:
        return
    found = {file.id: file for file in await files.find_all(tenant, [str(part["file_id"]) for part in named])}
    for part in named:
        if str(part["file_id"]) not in found:
            told = f"there is no file {str(part['file_id'])[:100]!r}; send it to /v1/files first"
            raise ApiError(404, told, code="not_found", param="messages")
    if sum(found[part["file_id"]].bytes for part in named) > most_bytes:
        told = f"the files of the messages hold more than {most_bytes} bytes; search large ones in a vector store"
        raise ApiError(413, told, code="request_too_large", param="messages")
    for part in named:
        file = found[part.pop("file_id")]
        content = await files.content(tenant, file.id) or b""
        media = mimetypes.guess_type(file.filename)[0] or _UNKNOWN
        part["file_data"] = f"data:{media};base64,{base64.b64encode(content).decode()}"
        part["filename"] = file.filename


def _parts(messages: Sequence[ChatMessage]) -> Iterator[dict[str, Any]]:
    for message in messages:
        for part in message.content if isinstance(message.content, list) else ():
            file = (part.model_extra or {}).get("file")
            if part.type == "file" and isinstance(file, dict):
                yield file
