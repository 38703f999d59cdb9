"""Decodes the parts of a message that carry a file, and refuses those that nothing here can read."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from mesh_agents.errors import ApiError
from mesh_agents.tools.attachments import Attachment

_PICTURES: Final = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
"""Kinds that models take, with WebP, by their first bytes."""
_NAME: Final = re.compile(r"[^\w .()+-]+")


def refused(message: str, *, code: str = "invalid_attachment") -> ApiError:
    """The refusal of a part."""
    return ApiError(400, message, code=code, param="messages")


def picture_kind(content: bytes) -> str | None:
    """`png`, `jpeg`, `gif` or `webp`; None: it is no picture that models take."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((kind for start, kind in _PICTURES.items() if content.startswith(start)), None)


def picture(part: Mapping[str, Any], number: int) -> tuple[dict[str, Any], bool]:
    """A picture's part as models take it, and whether it is a link.

    Raises:
        ApiError: 400, it is neither a link nor a picture.

    """
    given = part.get("image_url")
    given = {"url": given} if isinstance(given, str) else given
    url = given.get("url") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(url, str):
        raise refused(f"picture {number} has no image_url.url", code="invalid_value")
    clean = {**part, "image_url": given}
    if re.match(r"https?://", url, re.IGNORECASE):
        return clean, True
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:"):
        raise refused(f"image_url.url of picture {number} is neither a data: URL nor an http(s) link")
    kind = picture_kind(_decoded(data, f"picture {number}"))
    if kind is None:
        raise refused(f"picture {number} is neither PNG, JPEG, GIF nor WebP")
    # By its content: some providers refuse a picture whose declared type is wrong.
    return {**clean, "image_url": {**given, "url": f"data:image/{kind};base64,{data}"}}, False


def recording(part: Mapping[str, Any], number: int) -> Attachment:
    """A recording.

    Raises:
        ApiError: 400, the part holds none.

    """
    match part.get("input_audio"):
        case {"data": str(data), "format": str(kind)} if re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,20}", kind):
            return Attachment(f"recording-{number}.{kind}", f"audio/{kind}", _decoded(data, f"recording {number}"))
        case _:
            message = f"input_audio of recording {number} needs data (base64) and format (wav or mp3)"
            raise refused(message, code="invalid_value")


def file(part: Mapping[str, Any], number: int) -> Attachment:
    """A file.

    Raises:
        ApiError: 400, the part holds none, or only an id.

    """
    match part.get("file"):
        case {"file_data": str(data), **rest}:
            name = rest.get("filename")
            clean = _NAME.sub("_", name)[-100:].strip() if isinstance(name, str) else ""
            media, _, encoded = data.rpartition(",")
            return Attachment(
                clean or f"file-{number}",
                media.removeprefix("data:").split(";")[0],
                _decoded(encoded, f"file {number}"),
            )
        case _:
            message = f"file {number} needs file.file_data, the content in base64, or file.file_id, a file of /v1/files"
            raise refused(message, code="invalid_value")


def _decoded(data: str, what: str) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refused(f"{what} is not valid base64") from error
    if not content:
        raise refused(f"{what} is empty")
    return content
