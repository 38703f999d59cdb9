"""Real servers to test against, each in a container of its own."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "services" / "interpreter"
KEY = "test-key-that-nobody-may-read-7f3a"
START_SECONDS = 120
RUNSC = "/usr/bin/runsc"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server and how to call it."""

    url: str
    log: Path
    slow: float = 1.0
    """How much longer things may take than on the bare kernel."""

    def client(self, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, **options)

    def run(self, code: str, **more: Any) -> dict[str, Any]:
        with self.client() as client:
            answer = client.post("/v1/execute", json={"code": code, **more})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def wait_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")


def needed() -> list[str]:
    """What the server's processes must reach: the interpreter, its packages, the source."""
    paths = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), SOURCE, HERE}
    outer = [path for path in paths if not any(path.is_relative_to(other) for other in paths - {path})]
    return [str(path) for path in sorted(outer) if not path.is_relative_to("/usr")]


def environment(port: int, /, **settings: object) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "INTERPRETER_PORT": str(port),
        "INTERPRETER_API_KEY_FILE": "/tmp/config/api-key",
        "INTERPRETER_CLOSED": "/tmp:/dev/shm:/var/tmp:/not/there",
        **{f"INTERPRETER_{name.upper()}": str(value) for name, value in settings.items()},
    }


def command() -> list[str]:
    return [sys.executable, str(HERE / "init.py"), sys.executable, "-m", "interpreter"]


def stop(process: "subprocess.Popen[bytes]") -> int:
    """As Docker does it: a chance first."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextlib.contextmanager
def start_native(folder: Path, **settings: object) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """In namespaces of the machine's own kernel."""
    port = free_port()
    given = {"needed": needed(), "key": KEY, "command": command(), "environment": environment(port, **settings)}
    unshare = ["unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--propagation=private", "--kill-child"]
    enter = [sys.executable, str(HERE / "enter.py"), json.dumps(given)]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*unshare, *enter], stdout=output, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}", log)
    try:
        server.wait_ready(process)
        yield server, process
    finally:
        # unshare passes no signal on; its child is the container's init.
        with contextlib.suppress(OSError, IndexError):
            child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
            os.kill(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def bundle(folder: Path, port: int, **settings: object) -> None:
    """An OCI bundle with the machine's own root as its root, and the deployment's restrictions."""
    (folder / "config").mkdir()
    key = folder / "config" / "api-key"
    key.write_text(KEY)
    key.chmod(0o400)
    # Ways to what lies in root's home, which only root may pass on the machine.
    home = folder / "home"
    home.mkdir(mode=0o755)
    for path in needed():
        if Path(path).is_relative_to("/root"):
            (home / Path(path).relative_to("/root")).mkdir(parents=True)
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/root", "type": "bind", "source": str(home), "options": ["bind", "ro"]},
        {
            "destination": "/tmp",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "nodev", "mode=1777", "size=512m"],
        },
        {"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777", "size=64m"]},
        *({"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]} for path in needed()),
        {"destination": "/tmp/config", "type": "bind", "source": str(folder / "config"), "options": ["bind", "ro"]},
    ]
    capabilities = ["CAP_SETUID", "CAP_SETGID"]
    spec = {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": command(),
            "env": [f"{name}={value}" for name, value in environment(port, **settings).items()],
            "cwd": "/",
            "noNewPrivileges": True,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "root": {"path": "/", "readonly": True},
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "mount", "uts")]},
    }
    (folder / "config.json").write_text(json.dumps(spec))


@contextlib.contextmanager
def start_gvisor(folder: Path, **settings: object) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """In gVisor, by the ptrace platform, which needs no hardware support."""
    port = free_port()
    bundle(folder, port, **settings)
    state = folder / "state"
    name = f"interpreter-{port}"
    runsc = [RUNSC, "--root", str(state), "--platform=ptrace", "--ignore-cgroups", "--network=host"]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*runsc, "run", "-bundle", str(folder), name],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    server = Server(f"http://127.0.0.1:{port}", log, slow=4.0)
    try:
        server.wait_ready(process)
        yield server, process
    finally:
        subprocess.run([*runsc, "kill", name, "TERM"], check=False, capture_output=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        subprocess.run([*runsc, "delete", "-force", name], check=False, capture_output=True)
        process.kill()
        process.wait()
        shutil.rmtree(state, ignore_errors=True)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
