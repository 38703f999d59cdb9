"""Takes the addresses out of npm's lock files: `python -m tests.clients.addressless FILE...`.

npm leaves out where a package is downloaded from when told to, and not where its author asks for money.
"""

import json
import sys
from pathlib import Path


def addressless(lock: str) -> str:
    """A lock file with names, versions and hashes alone, in npm's own form."""
    content = json.loads(lock)
    for package in content["packages"].values():
        package.pop("resolved", None)
        package.pop("funding", None)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(addressless(path.read_text()))
