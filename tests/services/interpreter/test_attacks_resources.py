"""Code that uses up what there is: time, memory, disk, processes, output."""

import pytest
from attacks import attack
from conftest import LIMITS
from sandboxes import Server


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

    @pytest.mark.parametrize(
        "hiding",
        [
            "syscall(60 if platform.machine() == 'x86_64' else 93, 0)",  # its first thread ends alone
            "prctl(15, b'x\\nState:\\tZ', 0, 0, 0); grow.join()",  # it looks dead by its name
        ],
        ids=["without-first-thread", "false-name"],
    )
    def test_memory_of_a_process_that_looks_dead(self, any_server: Server, hiding: str) -> None:
        code = f"""
import ctypes, platform, threading, time
def fill():
    time.sleep(0.5)
    held = []
    for _ in range(150):
        held.append(bytearray(8_000_000)); time.sleep(0.005)
    open("held", "w").write("1.2 GB")
    time.sleep(60)
grow = threading.Thread(target=fill)
grow.start()
ctypes.CDLL(None).{hiding}
"""
        answer = attack(any_server, code, timeout_seconds=30)
        assert answer["status"] == "memory_limit"
        assert answer["files"] == []

    def test_buffers_of_sockets(self, any_server: Server) -> None:
        code = """
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do perl -e '
use Socket; use IO::Handle;
for (1..60) {
    socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or last;
    for my $end ($a, $b) { $end->blocking(0); 1 while syswrite($end, "x" x 65536); push @kept, $end; }
}
sleep 60' & done; wait
"""
        assert attack(any_server, code, language="bash", timeout_seconds=30)["status"] == "memory_limit"

    @pytest.mark.parametrize(
        "start",
        ["threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "subprocess.Popen(['sleep', '60'])"],
        ids=["threads", "programs"],
    )
    def test_no_more_processes_and_threads_than_allowed(self, any_server: Server, start: str) -> None:
        code = f"""
import subprocess, threading, time
count = 0
try:
    for count in range(200): {start}
except (OSError, RuntimeError): pass
count
"""
        most = LIMITS["processes"]
        assert most - 3 <= int(attack(any_server, code)["result"]["text"]) <= most

    def test_programs_whose_threads_end_are_not_taken_for_hiding_ones(self, any_server: Server) -> None:
        code = """
import subprocess, sys
program = "import threading, time\\nfor _ in range(16):"
program += "threading.Thread(target=time.sleep, args=(0.2,), daemon=True).start()"
for _ in range(8): subprocess.run([sys.executable, "-c", program], check=True)
"""
        answer = attack(any_server, code, timeout_seconds=60)
        assert answer["status"] == "ok", answer

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
            "import os\nopen('f', 'w')\nn = 0\nwhile True:\n    n += 1\n    os.link('f', f'f{n}')",
            "import os\nn = 0\nwhile True:\n    n += 1\n    os.symlink('x' * 4000, f'f{n}')",
            "import os\nn = 0\nwhile True:\n    n += 1\n    os.mkfifo(f'f{n}')",
        ],
        ids=[
            "files",
            "empty-files",
            "deleted-open",
            "deleted-mapped",
            "unlistable",
            "deep",
            "temporary",
            "hard-links",
            "symbolic-links",
            "named-pipes",
        ],
    )
    def test_disk_filling(self, any_server: Server, code: str) -> None:
        assert attack(any_server, code, timeout_seconds=20 * any_server.slow)["status"] == "disk_limit"

    def test_one_huge_file(self, any_server: Server) -> None:
        answer = attack(any_server, "open('f', 'wb').truncate(10_000_000_000)")
        assert answer["error"]["type"] == "OSError"
        assert "too large" in answer["error"]["message"]

    def test_many_files_with_holes(self, any_server: Server) -> None:
        """They take no space, and what comes out has a limit."""
        code = "for n in range(100):\n    open(f'{n:02}', 'wb').truncate(6_000_000)"
        answer = attack(any_server, code)
        if any_server.slow > 1:  # gVisor of 2022 counts a hole as space
            assert answer["status"] == "disk_limit"
            return
        assert answer["status"] == "ok"
        assert [file["size"] for file in answer["files"]] == [6_000_000, 6_000_000]
        assert {skipped["reason"] for skipped in answer["skipped"]} == {"too large"}

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

    def test_a_run_that_closes_its_output_and_lives_on(self, any_server: Server) -> None:
        answer = attack(
            any_server, "import os, time\nfor n in range(5): os.close(n)\ntime.sleep(60)", timeout_seconds=2
        )
        assert answer["status"] == "timeout"

    def test_what_counts_to_nobody_is_refused(self, any_server: Server) -> None:
        code = """
import ctypes, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
intel = platform.machine() == "x86_64"
open("f", "w")
ours, theirs = socket.socketpair()
read, write = os.pipe()
page = ctypes.create_string_buffer(4096)
part = (ctypes.c_size_t * 2)(ctypes.addressof(page), 4096)
done = []
def refused(name, attempt):
    try:
        if attempt() != -1: done.append(name)
    except (PermissionError, OSError): pass
refused("descriptor on its way", lambda: socket.send_fds(ours, [b"x"], [read]))
refused("attribute", lambda: os.setxattr("f", "user.name", b"x" * 60_000))
refused("attribute by descriptor", lambda: os.setxattr(read, "user.name", b"x"))
refused("attribute of a link", lambda: os.setxattr("f", "user.name", b"x", follow_symlinks=False))
refused("watch", lambda: libc.inotify_init1(0))
refused("asynchronous reads", lambda: libc.syscall(206 if intel else 0, 1, ctypes.byref(ctypes.c_ulong())))
refused("pages in a pipe", lambda: libc.vmsplice(write, ctypes.byref(part), 1, 0))
refused("open files of its own", lambda: libc.syscall(436, 900, 901, 2))
refused("thread with open files of its own", lambda: libc.syscall(56 if intel else 220, 0x10900, 0, 0, 0, 0))
refused("character device", lambda: os.mknod("null", 0o20600, os.makedev(1, 3)))
refused("block device", lambda: os.mknod("disk", 0o60600, os.makedev(8, 0)))
refused("key", lambda: libc.syscall(248 if intel else 217, b"user", b"name", b"x", 1, -3))
done
"""
        assert attack(any_server, code)["result"]["text"] == "[]"

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
