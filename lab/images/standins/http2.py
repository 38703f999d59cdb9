"""Just enough of HTTP/2 without TLS for what a proxy in front of a gRPC port speaks: requests and their answers."""

from __future__ import annotations

import importlib
import socket
import urllib.parse
from typing import Any

from lab.images.standins.common import Request, Service

PREFACE = b"PRI"


def speaks(connection: socket.socket) -> bool:
    """Whether a client begins with HTTP/2; nothing is taken from the connection."""
    return connection.recv(3, socket.MSG_PEEK) == PREFACE


def serve(connection: socket.socket, service: Service) -> None:
    """Answer on one connection until the client ends it."""
    # Debian's, imported late: the proxies always need it, and the tests, which speak HTTP/1.1, never do.
    events: Any = importlib.import_module("h2.events")
    settings = importlib.import_module("h2.config").H2Configuration(client_side=False, header_encoding="utf-8")
    http2: Any = importlib.import_module("h2.connection").H2Connection(settings)
    http2.initiate_connection()
    connection.sendall(http2.data_to_send())
    asked: dict[int, tuple[dict[str, str], bytearray]] = {}
    while data := connection.recv(1 << 16):
        for event in http2.receive_data(data):
            if isinstance(event, events.RequestReceived):
                asked[event.stream_id] = (dict(event.headers), bytearray())
            elif isinstance(event, events.DataReceived):
                asked[event.stream_id][1].extend(event.data)
                http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, events.StreamEnded):
                headers, body = asked.pop(event.stream_id)
                _answer(http2, connection, event.stream_id, service, headers, bytes(body))
            elif isinstance(event, events.StreamReset):
                asked.pop(event.stream_id, None)
        connection.sendall(http2.data_to_send())


def _answer(
    http2: Any, connection: socket.socket, stream: int, service: Service, headers: dict[str, str], body: bytes
) -> None:
    target = urllib.parse.urlsplit(headers[":path"])
    query = dict(urllib.parse.parse_qsl(target.query))
    answer = service.answer(Request(headers[":method"], target.path, query, headers, body))
    piece = answer.piece()
    http2.send_headers(stream, [(":status", str(answer.status)), ("content-type", answer.type)])
    while piece:
        # What the client's window does not take now is sent once it has read some of it.
        room = min(http2.local_flow_control_window(stream), http2.max_outbound_frame_size, len(piece))
        if room <= 0:
            connection.sendall(http2.data_to_send())
            http2.receive_data(connection.recv(1 << 16))
            continue
        http2.send_data(stream, piece[:room])
        piece = piece[room:]
    http2.end_stream(stream)
    connection.sendall(http2.data_to_send())
