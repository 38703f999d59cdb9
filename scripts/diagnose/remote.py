"""The thin layer that runs the `docker` program; it only reads."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.diagnose.state import visible_lines


class DockerError(RuntimeError):
    """Docker did not answer; the message says what to try."""


@dataclass(frozen=True)
class Docker:
    """The Docker daemon of a node."""

    host: str
    seconds: float = 60

    def inspect(self) -> str:
        """All of the mesh's containers, as `docker inspect` describes them."""
        listed = self._run("ps", "--all", "--quiet", "--no-trunc", "--filter", "label=agentic-mesh.service")
        ids = self._checked(listed).split()
        if not ids:
            return "[]"
        result = self._run("inspect", "--type", "container", *ids)
        # One that an `up` removes meanwhile is named on standard error; the others are there.
        if result.stdout.strip() not in ("", "[]") and "no such container" in result.stderr.lower():
            return result.stdout
        return self._checked(result)

    def logs(self, name: str, lines: int) -> str:
        """The end of a container's log, both streams as they come; where there is none, why."""
        try:
            result = self._run("logs", "--tail", str(lines), name, merged=True)
        except DockerError as error:
            return f"(no log: {error})"
        return result.stdout

    def _run(self, *args: str, merged: bool = False) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["docker", "-H", self.host, *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                timeout=self.seconds,
                check=False,
            )
        except FileNotFoundError:
            raise DockerError(
                "there is no `docker` program on PATH.\n  Fix it with: apt-get install docker-cli (or docker-ce-cli)"
            ) from None
        except OSError as error:
            raise DockerError(f"`docker` cannot be run ({error.strerror}).\n  Try: docker version") from None
        except subprocess.TimeoutExpired:
            raise DockerError(_silent(self.host, [f"no answer in {self.seconds:g} s"])) from None

    def _checked(self, result: subprocess.CompletedProcess[str]) -> str:
        if result.returncode != 0:
            raise DockerError(_silent(self.host, visible_lines(result.stderr)))
        return result.stdout


def _silent(host: str, said: Sequence[str]) -> str:
    look = "the tailnet, SSH and the daemon" if host.startswith("ssh:") else "the daemon, and your right to its socket"
    return (
        f"Docker at {host} does not answer: {' '.join(said) or 'it says nothing'}\n"
        f"  Fix it: look at {look}, until this answers: docker -H {host} version"
    )
