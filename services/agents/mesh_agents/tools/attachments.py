"""Files that a caller sent inside the messages, in OpenAI's content parts."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh_agents.errors import ApiError

_MEDIA: Final = re.compile(r"[a-z]{1,20}/([a-z0-9][a-z0-9.+-]{0,40})")
_UNFIT: Final = re.compile(r"[^\w .()+-]+")
"""What the name of a file may not hold: it becomes part of a request to a tool."""
_UNKNOWN: Final = "application/octet-stream"
"""In place of a media type that is none: it becomes a header of the request to a tool."""


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


def is_attachment(part: Mapping[str, Any]) -> bool:
    """Whether a part of a message counts among them."""
    return _file(part, 1) is not None


def _file(part: Mapping[str, Any], number: int) -> Attachment | None:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}} if url.startswith("data:"):
            head, _, data = url.removeprefix("data:").partition(",")
            return _named("image", number, head.split(";")[0], data)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(kind)}}:
            return _named("audio", number, f"audio/{kind}", data)
        case {"type": "file", "file": {"file_data": str(data), **rest}}:
            name = rest.get("filename")
            shown = _UNFIT.sub("_", name)[-100:] if isinstance(name, str) and name.strip() else f"file-{number}"
            return Attachment(shown, _UNKNOWN, _decode(data.rpartition(",")[2]))
        case _:
            return None


def _named(what: str, number: int, media: str, data: str) -> Attachment:
    known = _MEDIA.fullmatch(media)
    return Attachment(f"{what}-{number}.{known[1] if known else 'bin'}", media if known else _UNKNOWN, _decode(data))


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "an attachment is not valid base64", code="invalid_attachment", param="messages") from error
