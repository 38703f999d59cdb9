"""Start commands for images that take a secret from the environment alone."""

from collections.abc import Mapping


def with_secrets(files: Mapping[str, str], *argv: str) -> list[str]:
    """A command that reads each variable from its file and then becomes `argv`.

    The value is in the process' own environment only: neither in the container's configuration nor in argv.
    """
    exports = "".join(f'{name}="$(cat {path})"; export {name}; ' for name, path in sorted(files.items()))
    return ["sh", "-c", f'set -eu; {exports}exec "$0" "$@"', *argv]


def together(*commands: str) -> list[str]:
    """A command that runs several programs and ends, with an error, when one of them has ended; Docker restarts all.

    For what would otherwise go on with a part of it missing.
    """
    starts = "".join(f'{command} &\nset -- "$@" "$!"\n' for command in commands)
    return ["sh", "-c", f'set -u\n{starts}while kill -0 "$@" 2>/dev/null; do sleep 1; done\nexit 1\n']
