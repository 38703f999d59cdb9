"""Loki: takes pushed lines as JSON, keeps them in files, and answers queries of labels and words in lines."""

from __future__ import annotations

import argparse
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, metric, readable, wait

MOST: Final = 200_000
"""Lines that are held."""
_MATCH: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_LINE: Final = re.compile(r'(\|=|!=|\|~|!~)\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)')
Test = Callable[[Mapping[str, str], str], bool]
_LABEL_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    "=~": lambda have, want: re.fullmatch(want, have) is not None,
    "!~": lambda have, want: re.fullmatch(want, have) is None,
}
_LINE_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "|=": lambda line, want: want in line,
    "!=": lambda line, want: want not in line,
    "|~": lambda line, want: re.search(want, line) is not None,
    "!~": lambda line, want: re.search(want, line) is None,
}


def query(text: str) -> Test:
    """`{label="value"} |= "words"`, as a test of a line."""
    found = re.match(r"\s*\{([^}]*)\}(.*)", text, re.DOTALL)
    if found is None:
        raise Refused(400, "", f"parse error: {text!r} is more than the stand-in understands")
    labels = [(name, kind, value) for name, kind, value in _MATCH.findall(found[1])]
    words = [(kind, quoted or raw) for kind, quoted, raw in _LINE.findall(found[2])]

    def test(have: Mapping[str, str], line: str) -> bool:
        return all(_LABEL_TESTS[kind](have.get(name, ""), value) for name, kind, value in labels) and all(
            _LINE_TESTS[kind](line, value) for kind, value in words
        )

    return test


class Lines:
    """What was pushed: time, labels, line."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = path = folder / "lines.jsonl"
        self.held: deque[tuple[int, dict[str, str], str]] = deque(maxlen=MOST)
        for text in path.read_text().splitlines() if path.exists() else ():
            at, labels, line = json.loads(text)
            self.held.append((at, labels, line))
        self._lock = threading.Lock()

    def push(self, streams: list[dict[str, Any]]) -> None:
        """Keep the lines of a push."""
        with self._lock, self._path.open("a") as file:
            for stream in streams:
                for at, line, *_ in stream["values"]:
                    self.held.append((int(at), stream["stream"], line))
                    file.write(json.dumps((int(at), stream["stream"], line)) + "\n")

    def find(self, test: Test, since: int, until: int, most: int) -> list[tuple[int, dict[str, str], str]]:
        """The latest lines that pass, newest first."""
        with self._lock:
            return [x for x in sorted(self.held, key=lambda x: -x[0]) if since <= x[0] <= until and test(x[1], x[2])][
                :most
            ]


def moment(text: str | None, otherwise: float) -> int:
    """Nanoseconds, from the API's nanoseconds or seconds."""
    if text is None:
        return int(otherwise * 1e9)
    value = float(text)
    return int(value if value > 1e12 else value * 1e9)


def make(lines: Lines) -> Service:
    """The server."""
    service = Service("loki")
    service.route("GET", "/ready")(lambda _: Answer("ready\n", type="text/plain"))
    service.route("GET", "/metrics")(
        lambda _: Answer(metric("loki_stand_in_lines", "gauge", {"": len(lines.held)}) + service.metrics(), type=TEXT)
    )

    @service.route("POST", "/loki/api/v1/push")
    def _(request: Request) -> Answer:
        if "json" not in request.header("content-type"):
            raise Refused(415, "", "the stand-in takes JSON alone")
        lines.push(request.json()["streams"])
        return Answer(b"", 204)

    @service.route("GET", "/loki/api/v1/(query|query_range)")
    def _(request: Request) -> Any:
        asked, now = request.query, time.time()
        since = moment(asked.get("start"), now - 3600)
        found = lines.find(
            query(asked["query"]), since, moment(asked.get("end"), now + 60), int(asked.get("limit", 100))
        )
        streams: dict[str, dict[str, Any]] = {}
        for at, labels, line in found:
            key = json.dumps(labels, sort_keys=True)
            streams.setdefault(key, {"stream": labels, "values": []})["values"].append([str(at), line])
        return {"status": "success", "data": {"resultType": "streams", "result": list(streams.values()), "stats": {}}}

    @service.route("GET", "/loki/api/v1/labels")
    def _(_request: Request) -> Any:
        return {"status": "success", "data": sorted({name for _, labels, _ in lines.held for name in labels})}

    @service.route("GET", "/loki/api/v1/label/{name}/values")
    def _(request: Request) -> Any:
        name = request.groups["name"]
        return {"status": "success", "data": sorted({x[1][name] for x in lines.held if name in x[1]})}

    return service


def main() -> None:
    """`loki -config.file=FILE`."""
    parser = argparse.ArgumentParser(prog="loki")
    parser.add_argument("-config.file", dest="config", required=True)
    config = yaml.safe_load(readable(parser.parse_args().config))
    server, folder = config["server"], config["common"]["storage"]["filesystem"]["chunks_directory"]
    make(Lines(Path(folder))).start(int(server["http_listen_port"]), server["http_listen_address"])
    wait()


if __name__ == "__main__":
    main()
