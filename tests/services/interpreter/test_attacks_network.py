"""Code that wants out."""

import socket

import pytest
from attacks import attack
from sandboxes import Server


class TestNetwork:
    def test_every_family_is_refused(self, any_server: Server) -> None:
        code = """
import errno, socket
opened = []
for family in range(64):
    for kind in (1, 2, 3, 5, 10):
        for protocol in (0, 1, 6, 17, 255):
            try:
                socket.socket(family, kind, protocol).close(); opened.append((family, kind, protocol))
            except PermissionError:
                pass
            except OSError as error:
                opened.append(error)
opened
"""
        assert attack(any_server, code)["result"]["text"] == "[]"

    def test_ways_around(self, any_server: Server) -> None:
        port = int(any_server.url.rpartition(":")[2])
        code = f"""
import ctypes, os, platform, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
tried = []
for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
    try:
        socket.socketpair(socket.AF_UNIX, kind); tried.append(kind)
    except PermissionError:
        pass
ours, theirs = socket.socketpair()
for attempt in (
    lambda: ours.connect("/run/docker.sock"),
    lambda: ours.bind("\\0name"),
    lambda: ours.listen(),
    lambda: ours.sendto(b"x", "/run/docker.sock"),
):
    try:
        attempt(); tried.append(attempt)
    except PermissionError:
        pass
for number in (425, 426, 427):  # io_uring
    if libc.syscall(number, 8, 0) != -1 or ctypes.get_errno() != 1:
        tried.append(number)
if platform.machine() == "x86_64" and libc.syscall(0x40000000 + 41, 2, 1, 0) != -1:  # x32
    tried.append("x32")
tried.append(subprocess.run(["bash", "-c", "echo > /dev/tcp/127.0.0.1/{port}"], capture_output=True).returncode)
tried
"""
        assert attack(any_server, code)["result"]["text"] == "[1]"

    def test_a_server_outside_hears_nothing(self, any_server: Server) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.2)
            port = listener.getsockname()[1]
            code = f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')"
            assert attack(any_server, code)["error"]["type"] == "URLError"
            with pytest.raises(TimeoutError):
                listener.accept()

    def test_what_python_needs_itself_works(self, any_server: Server) -> None:
        code = "import asyncio, subprocess\nasync def f():\n    await asyncio.sleep(0)\n    return 7\n"
        code += "asyncio.run(f()), subprocess.run(['echo', 'x'], capture_output=True).stdout"
        assert any_server.run(code)["result"]["text"] == "(7, b'x\\n')"
