"""Writes the OpenAPI description to stdout, for `openapi.json`."""

import json
import sys

from interpreter.api.app import bare


def text() -> str:
    """The description as the committed file has it."""
    return json.dumps(bare().openapi(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
