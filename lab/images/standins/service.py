"""A placeholder of a service of our own: healthy, with metrics, and 501 to all else."""

from __future__ import annotations

import os

from lab.images.standins.common import TEXT, Answer, Refused, Request, Service, wait


def make(name: str, probe: str) -> Service:
    """The server."""
    service = Service(name)
    service.route("GET", probe)(lambda _: {"status": "ok", "stand-in": name})
    service.route("GET", "/metrics")(lambda _: Answer(service.metrics(), type=TEXT))

    def missing(request: Request) -> Answer:
        raise Refused(501, f"{name} is a placeholder: {request.method} {request.path}")

    service.fallback = missing
    return service


def main() -> None:
    """The image's entry point."""
    make(os.environ["STAND_IN_FOR"], os.environ["STAND_IN_PROBE"]).start(int(os.environ["STAND_IN_PORT"]))
    wait()


if __name__ == "__main__":
    main()
