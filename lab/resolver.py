"""The name server of a lab node: the outside's names as far as the lab has them, and a quick no for all others.

Without one, a lookup would wait for a server that nobody reaches, as on a host whose resolver is away.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.root import CHECKOUT
from lab import processes
from lab.machine import in_namespace
from lab.places import Node

_HEADER: Final = struct.Struct("!6H")
_A: Final = 1
_NOT_FOUND: Final = 3
_ANSWERS: Final = 0x8580
"""A response, by who knows, to one who may ask to go on."""


def start_resolver(node: Node) -> None:
    """Start it where it does not run; it reads the names anew for each question."""
    module = (sys.executable, "-m", "lab.resolver")
    command = in_namespace(node.namespace, *module, node.address, str(names_file(node)))
    processes.start(command, node.run / "resolver.pid", node.folder / node.name / "resolver.log", cwd=CHECKOUT)


def names_file(node: Node) -> Path:
    """Name -> address, as JSON."""
    return node.run / "names.json"


def answer(question: bytes, names: Mapping[str, str]) -> bytes:
    """The response to one question."""
    number, _, _, _, _, _ = _HEADER.unpack_from(question)
    name, end = _name(question, _HEADER.size)
    asked = question[_HEADER.size : end + 4]
    kind = struct.unpack_from("!H", question, end)[0]
    address = names.get(name.lower())
    if address is None:
        return _HEADER.pack(number, _ANSWERS | _NOT_FOUND, 1, 0, 0, 0) + asked
    if kind != _A:
        return _HEADER.pack(number, _ANSWERS, 1, 0, 0, 0) + asked
    record = struct.pack("!3HIH", 0xC000 | _HEADER.size, _A, 1, 5, 4) + ipaddress.IPv4Address(address).packed
    return _HEADER.pack(number, _ANSWERS, 1, 1, 0, 0) + asked + record


def _name(message: bytes, start: int) -> tuple[str, int]:
    labels, at = [], start
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += length + 1
    return ".".join(labels), at + 1


def main() -> None:
    """Answer until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("names", type=Path)
    args = parser.parse_args()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((args.address, 53))
        while True:
            question, sender = server.recvfrom(4096)
            try:
                server.sendto(answer(question, json.loads(args.names.read_text())), sender)
            except (IndexError, OSError, ValueError, struct.error) as error:
                print(f"a question was not answered: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
