"""Code that looks for what is not its own: the server's key, other runs, privileges."""

import ast
from typing import Any

import sandboxes
from attacks import attack, leftovers, open_session
from sandboxes import Server, encoded

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
