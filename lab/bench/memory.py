"""What the proxies of a node hold, and how soon one listens that finds no peer."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.bench.places import PREFIX, Lab
from lab.machine import in_namespace, run

_EMPTY: Final = {"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}}}
_NAMESPACE: Final = f"{PREFIX}-bench"


@dataclass(frozen=True)
class Held:
    """Memory of a process, KiB."""

    resident: int
    proportional: int
    """What it shares with others is divided among them."""
    private: int


def holds(pid: int) -> Held:
    """As the kernel counts it."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if rest.strip().endswith("kB"):
            found[name] = int(rest.split()[0])
    return Held(found["Rss"], found["Pss"], found["Private_Dirty"] + found["Private_Clean"])


def measure(lab: Lab) -> list[str]:
    """A table by node, all of its sidecars running, and an Envoy that has nothing to do beside them."""
    lines = ["| node | proxies | resident, MB | proportional, MB | private, MB |", "|---|---|---|---|---|"]

    def row(name: str, count: int, held: list[Held]) -> str:
        means = [
            statistics.mean(getattr(h, f) for h in held) * 1024 / 1e6 for f in ("resident", "proportional", "private")
        ]
        return f"| {name} | {count} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |"

    for node in lab.nodes:
        envoys = lab.envoys(node)
        sidecars = [holds(pid) for name, pid in envoys.items() if name.endswith("-proxy")]
        lines.append(row(f"{node}, mean of its sidecars", len(sidecars), sidecars))
        lines.append(row(f"{node}, gateway", 1, [holds(envoys[f"{PREFIX}-gateway"])]))
    with _Envoy(lab, _EMPTY) as envoy:
        time.sleep(5)
        lines.append(row("thanos, an Envoy with an empty configuration beside them", 1, [holds(envoy.pid)]))
    return lines


def start_up(lab: Lab, rounds: int) -> str:
    """The proxy with the most callees, alone in a network where nobody else is."""
    client = lab.docker("oracle1")
    text = b"".join(client.get_archive(f"{PREFIX}-agents-proxy", "/etc/agentic-mesh/envoy.json")[0])
    config = json.loads(text[text.index(b"{") : text.rindex(b"}") + 1])
    listener = next(entry for entry in config["static_resources"]["listeners"] if entry["name"] == "in-api")
    at = listener["address"]["socket_address"]
    times = []
    for _ in range(rounds):
        with _Envoy(lab, None, "oracle1", f"{PREFIX}-agents-proxy") as envoy:
            times.append(envoy.until(at["address"], at["port_value"]))
    clusters = len(config["static_resources"]["clusters"])
    return (
        f"The sidecar of the agents ({clusters} clusters) with every peer absent listens after "
        f"{statistics.median(times):.2f} s (median of {rounds}, most {max(times):.2f} s). The goal is 1 s."
    )


class _Envoy:
    """One more, of a node's image, in a network of its own."""

    def __init__(self, lab: Lab, config: Any, node: str = "thanos", like: str = f"{PREFIX}-vllm-proxy") -> None:
        self._config, self._of = config, lab.pid(node, like)

    def __enter__(self) -> _Envoy:
        run("ip", "netns", "add", _NAMESPACE)
        run("ip", "-n", _NAMESPACE, "link", "set", "lo", "up")
        # It listens on the addresses of its pod, which are not here.
        run(*in_namespace(_NAMESPACE, "sysctl", "-q", "-w", "net.ipv4.ip_nonlocal_bind=1"))
        run("ip", "-n", _NAMESPACE, "route", "add", "local", "10.0.0.0/8", "dev", "lo")
        self._folder = tempfile.TemporaryDirectory()
        shared = Path(f"/proc/{self._of}/ns/mnt")
        # The whole one is in the container's own file, and longer than an argument may be.
        given = ("--config-yaml", json.dumps(self._config)) if self._config else ("-c", "/etc/agentic-mesh/envoy.json")
        command = ("/usr/local/bin/envoy", *given, "--concurrency", "1")
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [
                *("nsenter", f"--net=/var/run/netns/{_NAMESPACE}", f"--mount={shared}"),
                *command,
                *("--log-level", "error", "--disable-hot-restart"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid
        return self

    def until(self, address: str, port: int) -> float:
        """Seconds until it takes a connection there."""
        ask = in_namespace(_NAMESPACE, "curl", "-s", "-m", "1", "-o", "/dev/null", f"telnet://{address}:{port}")
        while subprocess.run(ask, stdin=subprocess.DEVNULL, check=False).returncode == 7:
            time.sleep(0.01)
        return time.monotonic() - self.began

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._folder.cleanup()
        run("ip", "netns", "delete", _NAMESPACE)
