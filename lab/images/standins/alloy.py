"""Alloy: `alloy run FILE`: follows Docker's log files and pushes their lines to Loki, as our one configuration says.

It reads from that file the path to follow, the static labels, the fields that become labels and Loki's address, and
refuses a file without them. Where it stands in each log is kept on the data volume.
"""

from __future__ import annotations

import argparse
import calendar
import contextlib
import glob
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.images.standins.common import TEXT, Answer, Service, metric, readable, say

EVERY: Final = 2.0
BATCH: Final = 500


@dataclass(frozen=True)
class Config:
    """What our configuration says."""

    path: str
    labels: dict[str, str]
    fields: tuple[str, ...]
    url: str


def parse(text: str) -> Config:
    """Read `config.alloy`; exits where it is not of the one shape that is known."""
    target = re.search(r"path_targets\s*=\s*\[\{(.*?)\}\]", text, re.DOTALL)
    url = re.search(r'endpoint\s*\{\s*url\s*=\s*"([^"]+)"', text)
    if target is None or url is None:
        sys.exit("the stand-in needs path_targets and an endpoint with a url")
    pairs = dict(re.findall(r'"?(\w+)"?\s*=\s*"([^"]*)"', target[1]))
    fields = re.search(r"stage\.labels\s*\{\s*values\s*=\s*\{(.*?)\}", text, re.DOTALL)
    names = tuple(re.findall(r"(\w+)\s*=", fields[1])) if fields else ()
    return Config(pairs.pop("__path__"), pairs, names, url[1])


def entry(raw: str, config: Config, filename: str) -> tuple[dict[str, str], int, str] | None:
    """(labels, time, line) of one line of a json-file log."""
    try:
        found = json.loads(raw)
        line, stamp = found["log"].rstrip("\n"), found["time"]
    except (ValueError, KeyError, TypeError):
        return None
    labels = {**config.labels, "filename": filename, "stream": found.get("stream", "")}
    if line.startswith("{"):
        try:
            inner = json.loads(line)
        except ValueError:
            inner = {}
        labels |= {name: str(inner[name]) for name in config.fields if inner.get(name)}
    return labels, nanoseconds(stamp), line


def nanoseconds(stamp: str) -> int:
    """Docker's RFC 3339 time."""
    whole, _, part = stamp.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(part.ljust(9, "0")[:9] or 0)


class Shipper:
    """Follows the files."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self._file = folder / "positions.json"
        self.positions: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.counts: Counter[str] = Counter()

    def round(self) -> None:
        """Push what is new; where Loki is away, the same lines come again."""
        for path in glob.glob(self.config.path):  # noqa: PTH207 - the pattern is absolute
            with contextlib.suppress(FileNotFoundError):  # a container that went took its log along
                while self._some(path):
                    pass

    def _some(self, path: str) -> bool:
        start = self.positions.get(path, 0)
        with Path(path).open("rb") as file:
            if file.seek(0, 2) < start:
                start = 0  # rotated
            file.seek(start)
            raw = [line for line in (file.readline() for _ in range(BATCH)) if line.endswith(b"\n")]
        if not raw:
            return False
        streams: dict[str, dict[str, Any]] = {}
        for text in raw:
            if found := entry(text.decode(errors="replace"), self.config, path):
                labels, at, line = found
                key = json.dumps(labels, sort_keys=True)
                streams.setdefault(key, {"stream": labels, "values": []})["values"].append([str(at), line])
        if not self._push(list(streams.values())):
            return False
        self.counts["lines"] += len(raw)
        self.positions[path] = start + sum(map(len, raw))
        self._file.write_text(json.dumps(self.positions))
        return len(raw) == BATCH

    def _push(self, streams: list[dict[str, Any]]) -> bool:
        body = json.dumps({"streams": streams}).encode()
        request = urllib.request.Request(self.config.url, body, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - the address is our configuration's
                return True
        except (urllib.error.URLError, OSError) as error:
            if not self.counts["errors"]:
                say(f"Loki: {error}; trying on")
            self.counts["errors"] += 1
            return False


def main() -> None:
    """`alloy run`."""
    parser = argparse.ArgumentParser(prog="alloy")
    parser.add_argument("command", choices=["run"])
    parser.add_argument("config")
    parser.add_argument("--storage.path", dest="storage", type=Path, required=True)
    parser.add_argument("--server.http.listen-addr", dest="listen", default="127.0.0.1:12345")
    parser.add_argument("--disable-reporting", action="store_true")
    args = parser.parse_args()
    shipper = Shipper(parse(readable(args.config)), args.storage)
    service = Service("log-shipper")
    service.route("GET", "/-/ready")(lambda _: Answer("Alloy is ready.\n", type="text/plain"))
    service.route("GET", "/metrics")(
        lambda _: Answer(
            metric("loki_write_sent_entries_total", "counter", {"": shipper.counts["lines"]})
            + metric("loki_write_errors_total", "counter", {"": shipper.counts["errors"]}),
            type=TEXT,
        )
    )
    host, _, port = args.listen.rpartition(":")
    service.start(int(port), host)
    while True:
        shipper.round()
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
