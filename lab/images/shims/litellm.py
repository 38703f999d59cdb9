"""Starts the real LiteLLM on the program's own configuration.

Its database client's native programs are on no package registry; `/opt/query-engine` has what stands in for them.
"""

import os
import sys


def main() -> None:
    """`litellm --config FILE ...`."""
    engine = "/opt/query-engine"
    variables = {
        "PATH": f"{engine}/bin:{os.environ['PATH']}",
        "PYTHONPATH": f"{engine}/client:/opt/litellm",
        "PRISMA_QUERY_ENGINE_BINARY": f"{engine}/query-engine",
    }
    command = ["litellm", "/opt/litellm/bin/litellm", *sys.argv[1:]]
    os.execve("/usr/bin/python3", command, os.environ | variables)  # noqa: S606 - it becomes the real one


if __name__ == "__main__":
    main()
