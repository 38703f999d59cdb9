"""Hostile code, each time beside a second client whose runs must go on unharmed."""

import ast
import contextlib
import io
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sandboxes
from sandboxes import Server, encoded

FIRST_UID = 100_000
NEIGHBOUR_SECONDS = 20.0
CLOSING_SECONDS = 20.0


class Neighbour(threading.Thread):
    """A second client: runs small things all the time and notes what comes of it."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.over = threading.Event()
        self.answers: list[dict[str, Any]] = []
        self.longest = 0.0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.over.is_set():
                began = time.monotonic()
                code = "open('mine.txt', 'w').write('kept')\nsum(range(1000)), open('mine.txt').read()"
                self.answers.append(self.server.run(code))
                self.longest = max(self.longest, time.monotonic() - began)
                self.over.wait(0.05)
        except (AssertionError, httpx.HTTPError) as error:
            self.failure = error

    def __enter__(self) -> "Neighbour":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    def check(self) -> None:
        assert self.failure is None
        assert self.answers
        for answer in self.answers:
            assert answer["status"] == "ok", answer
            assert answer["result"]["text"] == "(499500, 'kept')"
            assert [file["name"] for file in answer["files"]] == ["mine.txt"]
        assert self.longest < NEIGHBOUR_SECONDS


def attack(server: Server, code: str, **more: Any) -> dict[str, Any]:
    """Run it beside a neighbour; then nothing of it may be left."""
    with Neighbour(server) as neighbour:
        answer = server.run(code, **more)
    neighbour.check()
    assert leftovers(server) == []
    assert server.metric("interpreter_unclean_boxes_total") == 0
    return answer


LEFTOVERS = f"""
import os
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        status = open(f"/proc/{{pid}}/status").read()
    except OSError:
        continue
    uid = int(status.split("Uid:")[1].split()[0])
    if uid >= {FIRST_UID} and uid not in (os.getuid(), os.getuid() + 1):
        found.append((pid, uid))
for uid in range({FIRST_UID}, os.getuid(), 2):
    if os.path.exists(f"/tmp/boxes/{{uid}}"):
        found.append(uid)
found
"""


def leftovers(server: Server) -> list[Any]:
    """Processes and folders of boxes that are closed; a box closes after its answer."""
    deadline = time.monotonic() + CLOSING_SECONDS
    while True:
        answer = server.run(LEFTOVERS)
        assert answer["status"] == "ok", answer
        left = list(ast.literal_eval(answer["result"]["text"]))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


@contextlib.contextmanager
def open_session(client: httpx.Client) -> Iterator[str]:
    opened = client.post("/v1/sessions", json={})
    assert opened.status_code == 201, opened.text
    name = str(opened.json()["id"])
    try:
        yield name
    finally:
        assert client.delete(f"/v1/sessions/{name}").status_code in (204, 404)


class TestUsingUp:
    def test_fork_bomb(self, any_server: Server) -> None:
        code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
        answer = attack(any_server, code, timeout_seconds=3)
        assert answer["status"] in ("timeout", "memory_limit")

    def test_fork_bomb_in_bash(self, any_server: Server) -> None:
        answer = attack(any_server, "b() { b | b & }; b; sleep 2; b; wait", language="bash", timeout_seconds=3)
        assert answer["status"] in ("ok", "error", "timeout", "memory_limit", "output_limit")

    @pytest.mark.parametrize("handler", ["SIG_IGN", "lambda *_: None"])
    def test_processes_that_ignore_signals_and_fork_again(self, any_server: Server, handler: str) -> None:
        code = f"""
import os, signal
for number in set(signal.Signals) - {{signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}}:
    signal.signal(number, {handler if handler.startswith("lambda") else "signal." + handler})
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
        answer = attack(any_server, code, timeout_seconds=2)
        assert answer["status"] in ("crashed", "timeout")

    @pytest.mark.parametrize(
        "code",
        [
            "x = []\nwhile True: x.append(bytearray(8_000_000))",
            "import numpy\nx = []\nwhile True: x.append(numpy.ones(1_000_000))",
            "import os\nfor _ in range(8): os.fork()\nx = []\nwhile True: x.append(bytearray(8_000_000))",
        ],
        ids=["python", "numpy", "many-processes"],
    )
    def test_memory_filling(self, any_server: Server, code: str) -> None:
        assert attack(any_server, code, timeout_seconds=20)["status"] == "memory_limit"

    def test_one_huge_allocation(self, any_server: Server) -> None:
        answer = attack(any_server, "bytearray(100_000_000_000)")
        assert answer["error"]["type"] == "MemoryError"

    def test_shared_memory_that_no_page_table_shows(self, any_server: Server) -> None:
        code = """
import mmap, os, time
kept = []
while True:
    kept.append(mmap.mmap(-1, 64_000_000))
    if (pid := os.fork()) == 0:
        kept[-1].write(b"x" * 64_000_000)
        os._exit(0)
    os.waitpid(pid, 0)
"""
        answer = attack(any_server, code, timeout_seconds=30)
        assert answer["status"] == "memory_limit"

    @pytest.mark.parametrize(
        "code",
        [
            "n = 0\nwhile True:\n    n += 1\n    open(f'f{n}', 'wb').write(b'x' * 1_000_000)",
            "n = 0\nwhile True:\n    n += 1\n    open(f'f{n}', 'w')",
            "import os\nkept = []\nwhile True:\n    kept.append(open('f', 'wb')); os.unlink('f')\n"
            "    kept[-1].write(b'x' * 1_000_000)",
            "import os, mmap\nkept = []\nwhile True:\n    with open('f', 'w+b') as f:\n"
            "        f.write(b'x' * 1_000_000); f.flush(); os.unlink('f')\n"
            "        kept.append(mmap.mmap(f.fileno(), 4096))",
            "import os\nos.mkdir('d')\nos.chmod('d', 0o300)\nn = 0\nwhile True:\n    n += 1\n"
            "    open(f'd/f{n}', 'wb').write(b'x' * 1_000_000)",
            "import os\nwhile True:\n    os.mkdir('d'); os.chdir('d')",
            "n = 0\nwhile True:\n    n += 1\n    open(f'../tmp/f{n}', 'wb').write(b'x' * 1_000_000)",
        ],
        ids=["files", "empty-files", "deleted-open", "deleted-mapped", "unlistable", "deep", "temporary"],
    )
    def test_disk_filling(self, any_server: Server, code: str) -> None:
        assert attack(any_server, code, timeout_seconds=20)["status"] == "disk_limit"

    def test_one_huge_file(self, any_server: Server) -> None:
        answer = attack(any_server, "open('f', 'wb').truncate(10_000_000_000)")
        assert answer["error"]["type"] == "OSError"
        assert "too large" in answer["error"]["message"]

    @pytest.mark.parametrize(("language", "code"), [("python", "while True: pass"), ("bash", "while :; do :; done")])
    def test_endless_loop(self, any_server: Server, language: str, code: str) -> None:
        answer = attack(any_server, code, language=language, timeout_seconds=1)
        assert answer["status"] == "timeout"
        assert answer["seconds"] < 10

    @pytest.mark.parametrize(
        ("language", "code"),
        [("python", "import os\nwhile True: os.write(1, b'x' * 65536)"), ("bash", "yes >&2")],
    )
    def test_endless_output(self, any_server: Server, language: str, code: str) -> None:
        answer = attack(any_server, code, language=language, timeout_seconds=60)
        assert answer["status"] == "output_limit"
        stream = answer["stdout" if language == "python" else "stderr"]
        assert stream["truncated"]
        assert len(stream["text"]) == 256 * 1024

    def test_pipes_of_large_buffers_and_memory_files_are_refused(self, any_server: Server) -> None:
        code = """
import ctypes, fcntl, os
found = []
read, write = os.pipe()
for attempt in (
    lambda: fcntl.fcntl(write, 1031, 1 << 20),
    lambda: os.memfd_create("x"),
):
    try:
        attempt(); found.append("worked")
    except PermissionError:
        found.append("refused")
libc = ctypes.CDLL(None, use_errno=True)
found.append(libc.shmget(0, 4096, 0o1600))
found.append(libc.semget(0, 1, 0o1600))
found.append(libc.msgget(0, 0o1600))
found
"""
        assert attack(any_server, code)["result"]["text"] == "['refused', 'refused', -1, -1, -1]"


# Looks for a text in every file and process that can be got at. The text comes in pieces, so that it does not find the
# copy in its own code.
SEARCH = """
import os, re
wanted = ("".join(PIECES)).encode()
del PIECES
found, looked = [], 0

def look(path, most=2_000_000):
    global looked
    try:
        with open(path, "rb") as file:
            looked += 1
            if wanted in file.read(most):
                found.append(path)
    except (OSError, ValueError):
        pass

def look_below(top, depth):
    try:
        entries = list(os.scandir(top))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False) and depth:
                look_below(entry.path, depth - 1)
            elif entry.is_file():
                look(entry.path)
        except OSError:
            pass

for top in ("/tmp", "/config", "/run", "/dev/shm", "/var/tmp", "/home", "/proc/1/root/tmp"):
    look_below(top, 4)
for uid in range(100_000, os.getuid() + 20):
    for name in ("box/work/secret.txt", "box", "box/work", "box/tmp/script.sh"):
        look(f"/tmp/boxes/{uid}/{name}")
        look_below(f"/tmp/boxes/{uid}/{name}", 3)
look("/tmp/config/api-key")
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) == os.getpid():
        continue
    for name in ("environ", "cmdline", "stat", "status", "maps"):
        look(f"/proc/{pid}/{name}")
    for folder in ("cwd", "root/tmp/config", "root/config"):
        look_below(f"/proc/{pid}/{folder}", 3)
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("/") and not target.startswith("/dev"):
                look(f"/proc/{pid}/fd/{fd}")
    except OSError:
        pass
    try:
        memory = open(f"/proc/{pid}/mem", "rb")
        found.append(f"opened the memory of {pid}")
    except OSError:
        pass
"""

# The same in the run's own memory, which it has from the zygote. Here the text never comes to be whole.
OWN_MEMORY = """
first, second = ("".join(half).encode() for half in HALVES)
found, looked = [], 0
with open("/proc/self/mem", "rb", 0) as memory:
    for line in open("/proc/self/maps").read().splitlines():
        span, rights = line.split()[:2]
        start, end = (int(x, 16) for x in span.split("-"))
        try:
            memory.seek(start)
            content = memory.read(end - start)
        except (OSError, ValueError, OverflowError):
            continue
        looked += len(content)
        at = -1
        while (at := content.find(first, at + 1)) >= 0:
            if content[at + len(first) : at + len(first) + len(second)] == second:
                found.append(line)
                break
        del content
"""


def searching(text: str) -> str:
    """Code that looks for `text` everywhere and gives back where it was and how many files it could read."""
    return f"PIECES = {list(text)!r}\n{SEARCH}\nfound, looked"


def searching_memory(text: str) -> str:
    half = len(text) // 2
    return f"HALVES = {[list(text[:half]), list(text[half:])]!r}\n{OWN_MEMORY}\nfound, looked"


def findings(answer: dict[str, Any]) -> tuple[list[str], int]:
    assert answer["status"] == "ok", answer
    found, looked = ast.literal_eval(answer["result"]["text"])
    return list(found), int(looked)


class TestSecrets:
    def test_the_servers_key_is_nowhere(self, any_server: Server) -> None:
        found, looked = findings(attack(any_server, searching(sandboxes.KEY), timeout_seconds=60))
        assert found == []
        assert looked > 3

    def test_the_servers_key_is_not_in_the_runs_own_memory(self, any_server: Server) -> None:
        found, looked = findings(attack(any_server, searching_memory(sandboxes.KEY), timeout_seconds=60))
        assert found == []
        assert looked > 20_000_000

    def test_the_search_finds_a_text_that_is_there(self, any_server: Server) -> None:
        text = "a-text-for-the-search-to-find"
        code = f"kept = {text!r}.encode()\n{searching_memory(text)}"
        found, _ = findings(any_server.run(code, timeout_seconds=60))
        assert found

    def test_the_search_finds_what_is_not_hidden(self, any_server: Server) -> None:
        answer = any_server.run("PIECES = list('Name:')\n" + SEARCH + "\nfound")
        assert "/proc/1/status" in answer["result"]["text"]

    def test_another_runs_files_processes_and_memory(self, any_server: Server) -> None:
        marker = "marker-of-the-other-run-51c9"
        with any_server.client() as client, open_session(client) as session:
            hiding = "import subprocess, os\nm = open('secret.txt').read()\n" + (
                "p = subprocess.Popen(['sleep', '60'], env={'SECRET': m}); os.chmod('secret.txt', 0o666)"
            )
            files = [{"name": "secret.txt", "content": encoded(marker.encode())}]
            client.post("/v1/execute", json={"code": hiding, "files": files, "session_id": session}).raise_for_status()
            answer = any_server.run(searching(marker), timeout_seconds=60)
        found, _ = findings(answer)
        if any_server.slow > 1:
            # Debian's gVisor of 2022 shows the environment of other users' processes; nothing of ours is in one.
            found = [path for path in found if not path.endswith("/environ")]
        assert found == []
        assert leftovers(any_server) == []

    def test_memory_of_warden_and_server_by_system_call(self, any_server: Server) -> None:
        code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
[p for p in pids if libc.ptrace(16, p, 0, 0) == 0 or libc.process_vm_readv(p, 0, 0, 0, 0, 0) == 0]
"""
        assert attack(any_server, code)["result"]["text"] == "[]"

    def test_there_is_no_place_to_write_but_the_box(self, any_server: Server) -> None:
        code = """
import os
found = []
for folder, names, _ in os.walk("/"):
    if folder.count("/") > 2 or folder.startswith(("/proc", "/sys")):
        names.clear()
    if os.access(folder, os.W_OK) and not folder.startswith(os.path.dirname(os.getcwd())):
        found.append(folder)
found
"""
        assert attack(any_server, code, timeout_seconds=60)["result"]["text"] == "[]"

    def test_no_privilege_comes_back(self, any_server: Server) -> None:
        code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
status = open("/proc/self/status").read()
caps = [line.split()[1] for line in status.splitlines() if line.startswith(("CapPrm", "CapEff", "CapInh"))]
tried = []
for attempt in (lambda: os.setuid(0), lambda: os.setresuid(-1, os.getuid() + 1, -1), lambda: os.setgroups([0])):
    try:
        attempt(); tried.append("worked")
    except PermissionError:
        tried.append("refused")
tried.append(libc.unshare(0x10000000))   # a user namespace
tried.append(libc.prctl(4, 0, 0, 0, 0))  # hide from the watch
tried.append(libc.syscall(435, 0, 0))    # clone3
set(caps) == {"0" * 16}, os.getgroups(), tried
"""
        assert attack(any_server, code)["result"]["text"] == "(True, [], ['refused', 'refused', 'refused', -1, -1, -1])"


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


class TestFiles:
    def test_links_and_what_is_no_file_do_not_come_out(self, any_server: Server) -> None:
        code = """
import os
os.symlink("/etc/passwd", "link"); os.symlink("/etc", "folder"); os.symlink("/tmp/config/api-key", "key")
os.mkfifo("pipe"); os.mkdir("real"); open("real/file", "w").write("x")
os.symlink("../..", "real/up")
try:
    os.link("/etc/passwd", "hard")
except OSError:
    pass
open(b"\\xff\\xfe", "w")
open("a\\nb", "w")
"""
        answer = attack(any_server, code)
        assert answer["status"] == "ok", answer
        assert {file["name"] for file in answer["files"]} - {"hard"} == {"real/file", "a\nb"}
        assert {skipped["name"] for skipped in answer["skipped"]} == {"link", "folder", "key", "pipe", "real/up", "??"}

    def test_links_laid_for_files_that_come_in(self, any_server: Server) -> None:
        with any_server.client() as client, open_session(client) as session:

            def run(code: str, *names: str) -> httpx.Response:
                files = [{"name": name, "content": encoded(b"new")} for name in names]
                return client.post("/v1/execute", json={"code": code, "files": files, "session_id": session})

            lay = "import os\nos.mkdir('elsewhere'); open('elsewhere/kept', 'w').write('old')\n"
            lay += "os.symlink('elsewhere', 'folder'); os.symlink('elsewhere/kept', 'file'); os.symlink('/etc', 'etc')"
            assert run(lay).json()["status"] == "ok"
            for name in ("folder/kept", "etc/passwd"):
                refused = run("1", name)
                assert refused.status_code == 409
                assert refused.json()["error"]["code"] == "file_conflict"
            answer = run("open('elsewhere/kept').read(), os.path.islink('file'), open('file').read()", "file").json()
            assert answer["result"]["text"] == "('old', False, 'new')"

    def test_an_archive_that_reaches_out(self, any_server: Server) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in ("../../../escaped", "/tmp/escaped", "../../../../dev/shm/escaped"):
                member = tarfile.TarInfo(name)
                member.size = 1
                archive.addfile(member, io.BytesIO(b"x"))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
            archive.addfile(link)
            below = tarfile.TarInfo("link/escaped2")
            below.size = 1
            archive.addfile(below, io.BytesIO(b"x"))
        code = "tar -P -xf in.tar; ls -d /tmp/escaped* /dev/shm/escaped* /tmp/boxes/escaped* 2>/dev/null; true"
        files = [{"name": "in.tar", "content": encoded(packed.getvalue())}]
        answer = attack(any_server, code, language="bash", files=files)
        assert answer["stdout"]["text"] == ""
        assert {file["name"] for file in answer["files"]} <= {"in.tar"}

    def test_a_zip_bomb_that_is_unpacked(self, any_server: Server) -> None:
        code = """
import io, zipfile
inner = io.BytesIO()
with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as z:
    for n in range(40):
        z.writestr(f"f{n}", b"0" * 10_000_000)
zipfile.ZipFile(inner).extractall()
"""
        assert attack(any_server, code, timeout_seconds=60)["status"] == "disk_limit"


class TestProcesses:
    def test_signals_reach_neither_server_nor_warden(self, any_server: Server) -> None:
        code = """
import os, signal
reached = []
for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
    if pid == os.getpid():
        continue
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, 0):
        try:
            os.kill(pid, number); reached.append((pid, number))
        except (PermissionError, ProcessLookupError):
            pass
for group in {os.getpgid(int(p)) for p in os.listdir("/proc") if p.isdigit()} - {0, os.getpgid(0)}:
    try:
        os.killpg(group, signal.SIGCONT); reached.append(("group", group))
    except (PermissionError, ProcessLookupError):
        pass
reached
"""
        assert attack(any_server, code)["result"]["text"] == "[]"

    def test_a_kill_to_all_ends_nobody_else(self, any_server: Server) -> None:
        code = "import os\nif os.fork() == 0:\n    while True:\n        try: os.kill(-1, 9)\n"
        code += "        except OSError: pass\n"
        answer = attack(any_server, code + "while True: pass", timeout_seconds=2)
        assert answer["status"] in ("crashed", "timeout")

    @pytest.mark.parametrize("ending", ["1", "while True: pass", "import ctypes; ctypes.string_at(0)"])
    def test_daemons_do_not_outlive_their_run(self, any_server: Server, ending: str) -> None:
        code = f"""
import os, signal, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for fd in range(64):
            try: os.close(fd)
            except OSError: pass
        while True:
            time.sleep(0.01)
            try: open("beat", "w")
            except OSError: pass
time.sleep(0.1)
{ending}
"""
        answer = attack(any_server, code, timeout_seconds=2 if "while" in ending else 60)
        assert answer["status"] == {"1": "ok", "while True: pass": "timeout"}.get(ending, "crashed")

    def test_a_caller_that_goes_away_leaves_nothing(self, any_server: Server) -> None:
        code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(100)\ntime.sleep(100)"
        with any_server.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post("/v1/execute", json={"code": code, "timeout_seconds": 100}, timeout=2 * any_server.slow)
        assert leftovers(any_server) == []

    def test_a_false_answer_is_no_more_than_a_false_answer(self, any_server: Server) -> None:
        for false in (
            "b'\\xff' * 100",
            "b'\\0\\0\\0\\2[]'",
            "b'\\0\\0\\0\\4null'",
            "b'\\0\\0\\0\\x11' + b'{\"result\": [1, 2]}'[:17]",
        ):
            answer = attack(any_server, f"import os\nos.write(4, {false})\nos._exit(0)")
            assert answer["status"] in ("crashed", "error")

    def test_a_session_left_running_is_watched(self, any_server: Server) -> None:
        with any_server.client() as client, open_session(client) as session:
            code = "import threading, time\ndef f():\n    time.sleep(0.5)\n    x = []\n    while True:\n"
            code += "        x.append(bytearray(4_000_000))\nthreading.Thread(target=f).start()"
            first = client.post("/v1/execute", json={"code": code, "session_id": session}).json()
            assert first["status"] == "ok"
            deadline = time.monotonic() + 20
            while client.get(f"/v1/sessions/{session}").status_code == 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert leftovers(any_server) == []
