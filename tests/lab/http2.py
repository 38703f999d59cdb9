"""Frames of HTTP/2 (RFC 9113) as an attacker writes them: headers as plain literals, nothing negotiated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 1, 3, 4, 7, 9
END_STREAM, END_HEADERS = 1, 4
MOST: Final = 16_384
"""Of a frame, where the other side has not allowed more."""
_CANCEL: Final = 8

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Frame:
    """One that came back."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """As it is sent."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def start() -> bytes:
    """What a client says first."""
    return PREFACE + frame(SETTINGS, 0, 0, b"")


def request(path: str, *more: tuple[str, str], method: str = "GET", stream: int = 1, ends: bool = True) -> bytes:
    """Headers of a request without a body; without its end, more of them could follow."""
    block = literals([(":method", method), (":scheme", "https"), (":authority", "lab"), (":path", path), *more])
    pieces = [block[at : at + MOST] for at in range(0, len(block), MOST)]
    last = len(pieces) - 1
    return b"".join(
        frame(
            CONTINUATION if number else HEADERS,
            (0 if number else END_STREAM) | (END_HEADERS if ends and number == last else 0),
            stream,
            piece,
        )
        for number, piece in enumerate(pieces)
    )


def reset(stream: int) -> bytes:
    """Changes one's mind."""
    return frame(RST_STREAM, 0, stream, _CANCEL.to_bytes(4, "big"))


def literals(headers: Headers) -> bytes:
    """Literal header fields without indexing (RFC 7541, 6.2.2)."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def frames(data: bytes) -> Iterator[Frame]:
    """The whole ones of what came back."""
    while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3], "big")):
        yield Frame(data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF, data[9:end])
        data = data[end:]


def status(found: Frame) -> int:
    """Of an answer's headers, which a server puts first: from the static table, or written out."""
    static = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
    first = found.payload[0]
    if first in static:
        return static[first]
    # Name by index 8, value as text or in Huffman's code, in which each digit of a status has five or six bits.
    assert first & 0x3F in (8, 0x08), found.payload[:8]
    length, value = found.payload[1], found.payload[2 : 2 + (found.payload[1] & 0x7F)]
    return int(_digits(value) if length & 0x80 else value)


def _digits(coded: bytes) -> str:
    codes = {f"{n:05b}": str(n) for n in range(3)} | {f"{0x19 + n - 3:06b}": str(n) for n in range(3, 10)}
    bits, found = "".join(f"{byte:08b}" for byte in coded), ""
    while len(found) < 3:
        size = 5 if bits[:5] in codes else 6
        found, bits = found + codes[bits[:size]], bits[size:]
    return found


def _text(value: str) -> bytes:
    data = value.encode("latin-1")
    return _length(len(data)) + data


def _length(number: int) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541, 5.1)."""
    if number < 127:
        return bytes([number])
    found, number = [127], number - 127
    while number >= 128:
        found.append(number % 128 + 128)
        number //= 128
    return bytes([*found, number])
