"""The text of documents that need no OCR, for the index and for chats alike."""

from mesh_agents.errors import ApiError
from mesh_agents.rag import pages, parse


def unscanned_text(kind: parse.Kind, content: bytes) -> str:
    """The text; to be called in a thread.

    Raises:
        ApiError: 415 it is no text, 422 it takes more than a page may.

    """
    text = parse.decode(content)
    if kind is not parse.Kind.HTML:
        return text
    visible = pages.read_apart(text)
    if visible is None:
        raise ApiError(
            422, "the page takes too long or too much memory to read", code="document_unreadable", param="file"
        )
    return visible
