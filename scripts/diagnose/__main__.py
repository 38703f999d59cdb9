"""`make diagnose STACK=thanos`: which services of a node are not healthy, and what their containers say about it.

Exit status: 0, all healthy; 1, some are not; 2, it could not be found out.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.root import CHECKOUT
from engine.table import Paint
from scripts.diagnose.pods import Pod, pods
from scripts.diagnose.remote import Docker, DockerError
from scripts.diagnose.report import Place, render
from scripts.diagnose.stack import stack_settings
from scripts.diagnose.state import containers, visible_lines
from settings.checks import DOCKER_HOST, NotAllowedError
from topology.catalog import SERVICES
from topology.graph import GATEWAY, Graph
from topology.model import Probe


def main(arguments: Sequence[str] | None = None, folder: Path = CHECKOUT) -> int:
    """Look at the node and print the report."""
    args = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        text, healthy = _diagnose(args, folder)
    except (DockerError, ValueError) as error:
        print("error: " + "\n".join(visible_lines(str(error))), file=sys.stderr)
        return 2
    print(text)
    return 0 if healthy else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.diagnose", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", required=True, help="whose node to look at: thanos")
    parser.add_argument("--host", help="Docker there; default: agentic-mesh:dockerHost of the stack")
    parser.add_argument("--lines", type=_lines, default=20, help="of each log (default: 20)")
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these")
    return parser


def _lines(text: str) -> int:
    lines = int(text)
    if lines < 0:
        raise argparse.ArgumentTypeError("a number of lines, 0 or more")
    return lines


def _diagnose(args: argparse.Namespace, folder: Path) -> tuple[str, bool]:
    settings = stack_settings(folder, args.stack)
    host = settings.docker_host if args.host is None else _host(args.host)
    services = Graph(SERVICES, settings.nodes).on(settings.node.name)
    docker = Docker(host)
    there = containers(docker.inspect())
    own = [container for container in there if container.node == settings.node.name]
    if not own:
        others = sorted({container.node for container in there})
        raise ValueError(
            f"{host} has no container of {settings.node.name}"
            + (
                f", but those of {', '.join(others)}: is it the right host?"
                if others
                else ": nothing is deployed there."
            )
            + f"\n  Fix it with: pulumi up -s {args.stack}, or name the host: --host ssh://USER@HOST"
        )
    found = _chosen(pods(own, [GATEWAY, *(service.name for service in services)]), args.services)
    logs = {c.name: docker.logs(c.name, args.lines) for pod in found if pod.problems for c in pod.containers}
    place = Place(
        stack=args.stack,
        host=host,
        probes={service.name: _asked(service.probe) for service in services},
        lines=args.lines,
    )
    return render(found, logs, place, Paint(sys.stdout)), not any(pod.problems for pod in found)


def _host(host: str) -> str:
    try:
        return DOCKER_HOST.parse(host)
    except NotAllowedError:
        raise ValueError(
            f"--host is {host!r}. Allowed: {DOCKER_HOST.allowed}.\n  Fix it with: --host {DOCKER_HOST.example}"
        ) from None


def _chosen(found: Sequence[Pod], names: Sequence[str]) -> list[Pod]:
    known = {pod.name for pod in found}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no such service on this node: {', '.join(unknown)}.\n  Known: {', '.join(sorted(known))}")
    return [pod for pod in found if not names or pod.name in names]


def _asked(probe: Probe) -> str:
    return f"GET {probe.path} on port {probe.port}" if probe.path else f"a connection to port {probe.port}"


if __name__ == "__main__":
    sys.exit(main())
