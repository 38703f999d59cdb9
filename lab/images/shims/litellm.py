"""Starts the real LiteLLM on the program's own configuration, without its database.

Its database client is a program that no package registry serves. So the entry is left out of a copy of the file: keys
made at run time and the record of spending are not there in the lab, and all else is.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import yaml


def main() -> None:
    """`litellm --config FILE ...`."""
    arguments = sys.argv[1:]
    place = arguments.index("--config") + 1
    config = yaml.safe_load(Path(arguments[place]).read_text())
    general = config.get("general_settings") or {}
    if general.pop("database_url", None):
        print("lab: without a database: no virtual keys, no record of spending", flush=True)
    folder = tempfile.mkdtemp()
    for hook in Path(arguments[place]).parent.glob("*.py"):
        shutil.copy(hook, folder)
    copy = Path(folder) / "litellm.yaml"
    copy.touch(0o600)
    copy.write_text(yaml.safe_dump(config, sort_keys=False))
    arguments[place] = str(copy)
    path = f"{os.environ.get('PYTHONPATH', '')}:/opt/litellm".strip(":")
    command = ["litellm", "/opt/litellm/bin/litellm", *arguments]
    os.execve("/usr/bin/python3", command, os.environ | {"PYTHONPATH": path})  # noqa: S606 - it becomes the real one


if __name__ == "__main__":
    main()
