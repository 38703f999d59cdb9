"""The names of files that are sent, as their senders see them."""

import hashlib
import re
from typing import Final
from urllib.parse import unquote_to_bytes

import starlette.formparsers
from fastapi import UploadFile
from python_multipart.multipart import parse_options_header

from mesh_agents.storable import storable

LONGEST: Final = 1000
"""Characters of a name that are kept; file systems end at 255."""
MOST_SOURCE: Final = 500
_EXTENDED: Final = re.compile(r";\s*filename\*\s*=\s*([\w-]+)'[\w-]*'([^;\s]*)", re.IGNORECASE)
_ESCAPED: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


def file_name(file: UploadFile) -> str:
    """The name of a file that was sent, whole; "": it has none."""
    header = file.headers.get("content-disposition", "")
    if found := _extended(header):
        return _kept(found)
    # So do browsers and most clients write these three, and nothing else (HTML, "multipart/form-data encoding").
    name = re.sub("%22|%0D|%0A", lambda match: _ESCAPED[match[0]], file.filename or "")
    return _kept(name)


def source_of(name: str) -> str:
    """What names the document of a file: its name on one line, or its beginning and a mark where that is too long."""
    line = " ".join(_CONTROL.sub(" ", name).split())
    if len(line) <= MOST_SOURCE:
        return line
    mark = hashlib.sha256(line.encode()).hexdigest()[:12]
    return f"{line[: MOST_SOURCE - 60]}\u2026{mark}\u2026{line[-20:]}"


def _kept(name: str) -> str:
    return storable(name)[:LONGEST]


def _extended(header: str) -> str | None:
    """The name in the form of RFC 5987."""
    found = _EXTENDED.search(header)
    if found is None:
        return None
    try:
        return unquote_to_bytes(found[2].strip('"')).decode(found[1])
    except (UnicodeError, LookupError):
        return None


def _with_extended_names(value: str | bytes | None) -> tuple[bytes, dict[bytes, bytes]]:
    """As the parser's own; a part whose name is only there in the extended form is a file all the same.

    RFC 7578 forbids that form in forms, and the parser overlooks it: the file would be a field without a name. Clients
    send it nevertheless.
    """
    kind, options = parse_options_header(value)
    told = value.decode("latin-1") if isinstance(value, bytes) else value or ""
    if b"filename" not in options and kind == b"form-data" and (found := _extended(told)):
        options[b"filename"] = found.encode()
    return kind, options


starlette.formparsers.parse_options_header = _with_extended_names  # type: ignore[attr-defined]
