"""Tries connections and tells how each ended. Runs alone, wherever an attacker is: Python's own library is all it has.

Standard input: {"certificates": {name: PEM of certificate and key}, "attempts": [...]}; standard output: a list of
outcomes in the same order. `tests.lab.attacker` has the fields of both, with their meaning.
"""

import base64
import contextlib
import json
import socket
import ssl
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

MOST = 1 << 16
ENOUGH = (b"RBAC: access denied", b"not_allowed_by_mesh")
ENDED = "ended by the other side"
WORKERS = 24
"""Most attempts wait."""


def context(pem, alpn):
    """TLS as the mesh speaks it; who answers is told, not judged."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if alpn:
        made.set_alpn_protocols(alpn)
    if pem:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(pem)
            file.flush()
            made.load_cert_chain(file.name)
    return made


def hello(server_name):
    """What a TLS client says first."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    session = made.wrap_bio(ssl.MemoryBIO(), out, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


def proxied(address, port):
    """The PROXY protocol's header, version 2, of a client with that address."""
    to = socket.inet_aton("127.0.0.1") + port.to_bytes(2, "big")
    ends = socket.inet_aton(address) + to[:4] + (40000).to_bytes(2, "big") + to[4:]
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(ends).to_bytes(2, "big") + ends


def datagram(attempt):
    """Sends one and waits for an answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(attempt["seconds"])
        try:
            out.connect((attempt["address"], attempt["port"]))
            out.send(base64.b64decode(attempt["send"]))
            return {"end": "data", "data": out.recv(MOST).decode("latin-1")}
        except TimeoutError:
            return {"end": "silent"}
        except OSError as error:
            return {"end": "unreachable", "why": str(error)}


def say(connection, attempt):
    """Says what is to be said, piece by piece while nothing comes back; what did."""
    pieces = [hello(attempt["hello"])] if attempt["hello"] else [base64.b64decode(attempt["send"])]
    for piece in (*pieces, *map(base64.b64decode, attempt["drip"])):
        connection.settimeout(attempt["seconds"])
        connection.sendall(piece)
        if attempt["drip"]:
            connection.settimeout(attempt["every"])
            with contextlib.suppress(TimeoutError):
                return connection.recv(MOST) or None
    return b""


def talk(connection, attempt):
    """Reads until the other side ends, or has said enough."""
    said, end, why = b"", "closed", ""
    try:
        piece = say(connection, attempt)
        connection.settimeout(attempt["seconds"])
        while piece is not None:
            said += piece
            if len(said) >= MOST or any(word in said for word in ENOUGH) or (said and not attempt["to_the_end"]):
                break
            piece = connection.recv(MOST) or None
        why = ENDED if piece is None else ""
    except TimeoutError:
        end = "silent"
    except ssl.SSLEOFError as error:
        why = str(error)
    except ssl.SSLError as error:
        end, why = "alert", str(error.reason)
    except OSError as error:
        why = str(error)
    return {"end": "data" if said else end, "why": why, "data": said.decode("latin-1")}


def attempted(attempt, contexts):
    """How one ended."""
    if attempt["udp"]:
        return datagram(attempt)
    found = {}
    try:
        connection = socket.create_connection((attempt["address"], attempt["port"]), attempt["seconds"])
    except OSError as error:
        return {"end": "unreachable", "why": str(error)}
    with connection:
        if attempt["client"]:
            connection.sendall(proxied(attempt["client"], attempt["port"]))
        if attempt["tls"]:
            try:
                connection = contexts(attempt["certificate"], tuple(attempt["alpn"])).wrap_socket(
                    connection, server_hostname=attempt["server_name"] or None
                )
            except TimeoutError:
                return {"end": "silent"}
            except ssl.SSLEOFError as error:
                return {"end": "closed", "why": str(error)}
            except ssl.SSLError as error:
                return {"end": "alert", "why": str(error.reason)}
            except OSError as error:
                return {"end": "closed", "why": str(error)}
            found["server"] = base64.b64encode(connection.getpeercert(True) or b"").decode()
        with connection:
            return {**found, **talk(connection, attempt)}


def main():
    """All attempts of standard input."""
    asked = json.load(sys.stdin)
    made = {}

    def contexts(name, alpn):
        if (name, alpn) not in made:
            made[name, alpn] = context(asked["certificates"][name] if name else "", alpn)
        return made[name, alpn]

    def timed(attempt):
        started = time.monotonic()
        found = attempted(attempt, contexts)
        return {"why": "", "data": "", "server": "", **found, "seconds": time.monotonic() - started}

    with ThreadPoolExecutor(WORKERS) as threads:
        json.dump(list(threads.map(timed, asked["attempts"])), sys.stdout)


main()
