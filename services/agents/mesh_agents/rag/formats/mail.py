"""E-mail: the fields that people read, the text, and what is attached, by name and as far as it is text."""

import email
import email.policy
from email.message import EmailMessage, Message
from typing import Final

from mesh_agents.rag import charset, parse
from mesh_agents.rag.pages import html_text
from mesh_agents.rag.refusal import RefusalError

_FIELDS: Final = ("Subject", "From", "To", "Cc", "Date")
_DEPTH: Final = 3
"""Messages within messages."""
_PARTS: Final = 200


def mail(content: bytes, depth: int = 0) -> str:
    """The text of a message.

    Raises:
        RefusalError: 413, it has too many parts.

    """
    message = email.message_from_bytes(content, policy=email.policy.default)
    lines = [f"{name}: {told}" for name in _FIELDS if (told := _field(message, name))]
    blocks = ["\n".join(lines)]
    parts = _leaves(message)
    if len(parts) > _PARTS:
        raise RefusalError(413, f"the message has more than {_PARTS} parts", "document_too_large")
    plain = any(_is_body(part) and part.get_content_type() == "text/plain" and _payload(part).strip() for part in parts)
    for number, part in enumerate(parts, 1):
        kind = part.get_content_type()
        if _is_body(part) and kind in ("text/plain", "text/html"):
            # The same words in two forms are one text.
            if kind == "text/plain" or not plain:
                blocks.append(_body(part, html=kind == "text/html"))
            continue
        name = _filename(part) or f"part {number} ({kind})"
        blocks.append(f"## Attachment: {name}\n\n{_attached(part, name, depth)}")
    return "\n\n".join(filter(None, (block.strip() for block in blocks)))


def _field(message: Message, name: str) -> str:
    try:
        return " ".join(str(message.get(name) or "").split())
    except (ValueError, TypeError, IndexError, AttributeError, LookupError):
        # Malformed fields are the sender's; the standard library trips over some.
        return ""


def _leaves(message: Message, depth: int = 0) -> list[Message]:
    """The parts that hold something; a message within it is one."""
    if message.get_content_maintype() != "multipart" or depth > 20:
        return [message]
    payload = message.get_payload()
    found: list[Message] = []
    for part in payload if isinstance(payload, list) else ():
        found += _leaves(part, depth + 1) if isinstance(part, Message) else []
        if len(found) > _PARTS:
            break
    return found


def _is_body(part: Message) -> bool:
    return part.get_content_disposition() != "attachment" and not _filename(part)


def _filename(part: Message) -> str:
    try:
        return " ".join((part.get_filename() or "").split())
    except (ValueError, TypeError, IndexError, AttributeError, LookupError):
        return ""


def _payload(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        first = inner[0] if isinstance(inner, list) and inner else None
        return first.as_bytes() if isinstance(first, EmailMessage | Message) else b""
    try:
        found = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return b""
    return found if isinstance(found, bytes) else b""


def _body(part: Message, *, html: bool) -> str:
    text = charset.decode(_payload(part), part.get_content_charset()) or ""
    return html_text(text) if html else text


def _attached(part: Message, name: str, depth: int) -> str:
    """The text of what is attached, or why it is not there."""
    from mesh_agents.rag.formats.any import plain_text

    content = _payload(part)
    if not content:
        return "(empty)"
    try:
        kind = parse.kind_of(content, name)
        if kind is parse.Kind.EML:
            return (
                mail(content, depth + 1) if depth < _DEPTH else "(not read: messages within messages within messages)"
            )
        return plain_text(kind, content) or "(not read: it holds no text, or only in pictures)"
    except RefusalError as error:
        return f"(not read: {error})"
