"""Pictures of ComfyUI's clients and of its own: where they are written, and who may read what.

Status codes and checks are from Comfy-Org/ComfyUI's `server.py` (002c3fb9: upload_image, upload_mask, view_image) and
`folder_paths.py` (a125cd84: annotated_filepath, get_save_image_path).
"""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import Answer, Part, Refused, Request

SIDE: Final = 64
KINDS: Final = ("output", "temp", "input")
OUTSIDE: Final = "**** ERROR: Saving image outside the output folder is not allowed."
_DOWNLOADED: Final = ("text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css")
"""Never shown: a picture's name may end in .html."""


def picture(seed: int) -> bytes:
    """A PNG of one colour."""
    colour = bytes((seed * 37 % 256, seed * 91 % 256, seed * 151 % 256))
    rows = (b"\0" + colour * SIDE) * SIDE

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def broken() -> Refused:
    """The answer of aiohttp to an exception of a handler."""
    error = Refused(500, "", "500 Internal Server Error\n\nServer got itself in trouble")
    error.answer.type = "text/plain; charset=utf-8"
    return error


def refused(status: int) -> Refused:
    """An answer without words."""
    return Refused(status, "", b"")


def inside(folder: Path, path: Path) -> bool:
    """Whether a path lies in a folder, links left as they are."""
    return Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder))


def save_place(prefix: str, folder: Path) -> tuple[Path, str, int, str]:
    """Folder, stem, next number and subfolder of a picture that a node saves.

    Raises:
        ValueError: outside of the folder for pictures.

    """
    subfolder, stem = os.path.split(os.path.normpath(prefix))
    place = folder / subfolder
    if not inside(folder, place):
        raise ValueError(OUTSIDE)
    place.mkdir(parents=True, exist_ok=True)
    numbers = [re.fullmatch(re.escape(stem) + r"_(\d+)_.*", file.name) for file in place.iterdir()]
    return place, stem, max((int(found[1]) for found in numbers if found), default=0) + 1, subfolder


def annotated(name: str) -> tuple[str, str | None]:
    """`name[output]` is a name and a folder."""
    for kind in KINDS:
        if name.endswith(f"[{kind}]"):
            return name[: -len(kind) - 3], kind
    return name, None


def upload(base: Path, request: Request, *, mask: bool = False) -> Any:
    """`POST /upload/image` and `/upload/mask`."""
    parts = request.parts() if "multipart/form-data" in request.header("content-type") else {}
    kind = parts["type"].text() if "type" in parts else "input"
    if kind not in KINDS:
        raise broken()
    image = parts.get("image")
    if image is None or image.filename is None:
        raise refused(400)
    if not image.filename:
        raise refused(400)
    subfolder = parts["subfolder"].text() if "subfolder" in parts else ""
    place = base / kind / os.path.normpath(subfolder)
    path = place / image.filename
    if not inside(base / kind, path):
        raise refused(400)
    place.mkdir(parents=True, exist_ok=True)
    duplicate = False
    if "overwrite" not in parts or parts["overwrite"].text() not in ("true", "1"):
        number = 1
        stem, suffix = Path(image.filename).stem, Path(image.filename).suffix
        while path.exists():
            if path.read_bytes() == image.content:
                duplicate = True
                break
            path = place / f"{stem} ({number}){suffix}"
            number += 1
    if not duplicate and (not mask or _masked(base, parts)):
        path.write_bytes(image.content)
    return {"name": path.name, "subfolder": subfolder, "type": kind}


def _masked(base: Path, parts: dict[str, Part]) -> bool:
    """Whether the picture that a mask is for is there; the mask itself is kept in its place, no alpha is drawn."""
    try:
        original = json.loads(parts["original_ref"].text())
        name, kind = annotated(original["filename"])
    except (KeyError, TypeError, ValueError):
        raise broken() from None
    if not name or name[0] == "/" or ".." in name:
        return False
    folder = kind or original.get("type", "output")
    if folder not in KINDS:
        return False
    place = base / folder / original.get("subfolder", "")
    return inside(base / folder, place) and (place / name).is_file()


def view(base: Path, request: Request) -> Answer:
    """`GET /view`."""
    if "filename" not in request.query:
        raise refused(404)
    name, kind = annotated(request.query["filename"])
    if not name or name[0] == "/" or ".." in name:
        raise refused(400)
    folder = kind or request.query.get("type", "output")
    if folder not in KINDS:
        raise refused(400)
    place = base / folder
    if "subfolder" in request.query:
        place /= request.query["subfolder"]
        if not inside(base / folder, place):
            raise refused(403)
    file = place / Path(name).name
    content = None
    with contextlib.suppress(OSError):
        content = file.read_bytes()
    if content is None:
        raise refused(404)
    shown = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if shown in _DOWNLOADED:
        shown = "application/octet-stream"
    return Answer(content, type=shown, headers={"Content-Disposition": f'filename="{file.name}"'})
