"""Start commands for images that take a secret from the environment alone."""

from collections.abc import Mapping


def with_secrets(files: Mapping[str, str], *argv: str) -> list[str]:
    """A command that reads each variable from its file and then becomes `argv`.

    The value is in the process' own environment only: neither in the container's configuration nor in argv.
    """
    exports = "".join(f'{name}="$(cat {path})"; export {name}; ' for name, path in sorted(files.items()))
    return ["sh", "-c", f'set -eu; {exports}exec "$0" "$@"', *argv]
