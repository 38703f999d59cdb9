"""Start commands for images that take a secret from the environment alone."""

from collections.abc import Mapping


def with_secrets(files: Mapping[str, str], *argv: str) -> list[str]:
    """A command that reads each variable from its file and then becomes `argv`.

    The value is in the process' own environment only: neither in the container's configuration nor in argv.
    """
    exports = "".join(f'{name}="$(cat {path})"; export {name}; ' for name, path in sorted(files.items()))
    return ["sh", "-c", f'set -eu; {exports}exec "$0" "$@"', *argv]


def together(*commands: str) -> list[str]:
    """A command that runs several programs and exits with status 1 as soon as one of them ends; Docker restarts all.

    For programs that are useless, or half of a service, without the others.
    """
    # Each program's own subshell reports its end. Polling with `kill -0` would also find an ended child that the shell
    # has not reaped yet, which a shell with a built-in `sleep` never does, and bash only fails when all are gone.
    starts = "".join(f"({command}; kill $$) &\n" for command in commands)
    return ["sh", "-c", f"trap 'exit 1' TERM\n{starts}wait\nexit 1\n"]
