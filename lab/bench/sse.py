"""Server-sent events: a server that stamps each with its time, and a client that reads many streams at once.

python -m lab.bench.sse serve PORT
python -m lab.bench.sse read HOST:PORT HOST-HEADER PATH STREAMS SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Final

EVENTS: Final = 100
GAP: Final = 0.2
"""Seconds between events: a stream lasts 20 s, as a long answer of a model."""
LATE: Final = 5.0
"""Seconds without an event after which a stream counts as broken."""


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            while (await reader.readline()).strip():
                pass
            if b"/health" in line:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                continue
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                b"Cache-Control: no-cache\r\n\r\n"
            )
            for number in range(EVENTS):
                event = f"data: {number} {time.time()}\n\n".encode()
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                await writer.drain()
                await asyncio.sleep(GAP)
            writer.write(b"0\r\n\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


@dataclass
class Read:
    """What the streams of a run were like."""

    first_ms: list[float] = field(default_factory=list)
    """From the request to the first event."""
    late_ms: list[float] = field(default_factory=list)
    """From the server's stamp on an event to its arrival; both clocks are this machine's."""
    streams: int = 0
    broken: int = 0


async def _stream(address: tuple[str, int], host: str, path: str, read: Read, until: float) -> None:
    while time.monotonic() < until:
        began, events = time.perf_counter(), 0
        try:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            while line := await asyncio.wait_for(reader.readline(), LATE):
                if line.startswith(b"data: "):
                    if not events:
                        read.first_ms.append((time.perf_counter() - began) * 1000)
                    read.late_ms.append((time.time() - float(line.split()[2])) * 1000)
                    events += 1
            writer.close()
        except (TimeoutError, OSError):
            pass
        read.streams += 1
        if events != EVENTS:
            read.broken += 1
            await asyncio.sleep(0.5)


async def _read(address: str, host: str, path: str, streams: int, seconds: float) -> Read:
    name, _, port = address.partition(":")
    read, until = Read(), time.monotonic() + seconds

    # Not all in one moment: they would be a burst and not a load.
    async def later(number: int) -> None:
        await asyncio.sleep(EVENTS * GAP * number / streams)
        await _stream((name, int(port)), host, path, read, until)

    await asyncio.gather(*(later(number) for number in range(streams)))
    return read


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "0.0.0.0", port, backlog=1024)  # noqa: S104 - in a pod's network
    await server.serve_forever()


def main() -> None:
    """One of both sides."""
    match sys.argv[1:]:
        case ["serve", port]:
            asyncio.run(_serve(int(port)))
        case ["read", address, host, path, streams, seconds]:
            print(json.dumps(asdict(asyncio.run(_read(address, host, path, int(streams), float(seconds))))))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
