"""The process that reads one document: `python -m mesh_agents.rag.confined`. `reader` starts it and speaks with it.

On its standard input a line of JSON says what is wanted, and the document follows. It answers records: a line of JSON
each, and as many bytes behind it as that says.
"""

import json
import sys
from typing import Any, BinaryIO

from mesh_agents.rag import parse, sandbox
from mesh_agents.rag.formats import any as formats
from mesh_agents.rag.formats.pieces import Text
from mesh_agents.rag.refusal import RefusalError


def _main() -> None:
    sandbox.enter()
    asked = json.loads(sys.stdin.buffer.readline())
    content = sys.stdin.buffer.read()
    output = sys.stdout.buffer
    try:
        if "kind" in asked:
            kind, first, last = parse.Kind(asked["kind"]), asked["first"], asked["last"]
        else:
            kind = parse.kind_of(content, asked["name"])
            pages, batch = formats.pages(kind, content), formats.batch(kind)
            _record(output, kind=kind.value, pages=pages, batch=batch)
            first, last = 0, min(pages, batch)
        _read(output, kind, content, first, last)
        _record(output, done=True)
    except RefusalError as error:
        _record(output, error={"status": error.status, "message": str(error), "code": error.code})
    except RecursionError:
        told = str(parse.unreadable("it is nested too deep"))
        _record(output, error={"status": 422, "message": told, "code": "document_unreadable"})


def _read(output: BinaryIO, kind: parse.Kind, content: bytes, first: int, last: int) -> None:
    left = sandbox.MOST_OUTPUT
    for piece in formats.read(kind, content, first, last):
        found = piece.text.encode("utf-8", "replace") if isinstance(piece, Text) else piece.content
        left -= len(found)
        if left < 0:
            raise RefusalError(413, "the document holds too much", "document_too_large")
        scan = {} if isinstance(piece, Text) else {"scan": piece.kind.value, "pages": piece.pages}
        _record(output, found, **scan)


def _record(output: BinaryIO, content: bytes = b"", **head: Any) -> None:
    output.write(json.dumps({**head, "size": len(content)}).encode() + b"\n" + content)
    output.flush()


if __name__ == "__main__":
    _main()
