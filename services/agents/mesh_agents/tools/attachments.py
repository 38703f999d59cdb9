"""Files that a caller sent inside the messages, in OpenAI's content parts."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mesh_agents.errors import ApiError


@dataclass(frozen=True)
class Attachment:
    """A file of a message."""

    name: str
    media_type: str
    content: bytes


def attachments(messages: Sequence[dict[str, Any]]) -> list[Attachment]:
    """All files of `messages`, in order; links to elsewhere are none, nothing is fetched for a caller.

    Raises:
        ApiError: 400, a file is not valid base64.

    """
    found: list[Attachment] = []
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            file = _file(part, len(found) + 1)
            if file is not None:
                found.append(file)
    return found


def _file(part: dict[str, Any], number: int) -> Attachment | None:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}} if url.startswith("data:"):
            head, _, data = url.removeprefix("data:").partition(",")
            media = head.split(";")[0]
            return Attachment(f"image-{number}.{media.rpartition('/')[2] or 'bin'}", media, _decode(data))
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(kind)}}:
            return Attachment(f"audio-{number}.{kind[:8]}", f"audio/{kind[:8]}", _decode(data))
        case _:
            return None


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "an attachment is not valid base64", code="invalid_attachment", param="messages") from error
