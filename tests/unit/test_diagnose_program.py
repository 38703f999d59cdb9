"""`make diagnose` as a program: where it looks, and how it fails."""

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from engine.root import CHECKOUT
from scripts.diagnose.__main__ import main
from scripts.diagnose.remote import Docker, DockerError
from scripts.diagnose.stack import stack_settings
from tests.unit.diagnose import (
    HOST,
    ON_THANOS,
    inspected,
    pod_of,
    well,
)

# The program, with a `docker` of its own.


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the answers of a `docker` on PATH, and `calls`, what it was asked."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\ncd "{tmp_path}" || exit\n'
        'echo "$*" >>calls\n'
        'case "$3" in\n'
        "ps) echo 8f4b0a;;\n"
        "inspect) cat inspect;;\n"
        'logs) echo "out of $6"; echo "err of $6" >&2;;\n'
        "esac\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "inspect").write_text(json.dumps(well()))
    return tmp_path


def answers(folder: Path, script: str) -> None:
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")


def asked(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_all_healthy_ends_well(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "thanos"]) == 0
    assert capsys.readouterr().out == f"thanos: All {len(ON_THANOS)} pods healthy on {HOST}.\n"


def test_reads_the_logs_of_the_unhealthy_alone(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [*well("vllm", "ocr"), *pod_of("vllm", app={"status": "exited", "ExitCode": 1})]
    (docker / "inspect").write_text(json.dumps(items))
    assert main(["--stack", "thanos", "--lines", "3"]) == 1
    out = capsys.readouterr().out
    assert "| out of agentic-mesh-vllm\n  | err of agentic-mesh-vllm\n" in out
    assert "no container at all: ocr\n" in out
    assert asked(docker) == [
        f"-H {HOST} ps --all --quiet --no-trunc --filter label=agentic-mesh.service",
        f"-H {HOST} inspect --type container 8f4b0a",
        f"-H {HOST} logs --tail 3 agentic-mesh-vllm",
        f"-H {HOST} logs --tail 3 agentic-mesh-vllm-proxy",
    ]


def test_chosen_services_alone(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (docker / "inspect").write_text(json.dumps(well("vllm")))
    assert main(["--stack", "thanos", "qdrant"]) == 0
    assert capsys.readouterr().out == f"thanos: The one pod healthy on {HOST}.\n"
    assert main(["--stack", "thanos", "qdrant", "vllm"]) == 1
    assert main(["--stack", "thanos", "vlllm"]) == 2
    error = capsys.readouterr().err
    assert "vlllm" in error
    assert "vllm-" not in error
    assert " vllm" in error


def test_the_host_given_wins(docker: Path) -> None:
    main(["--stack", "thanos", "--host", "unix:///run/other.sock"])
    assert asked(docker)[0].startswith("-H unix:///run/other.sock ps ")


@pytest.mark.parametrize("host", ["tcp://thanos:2375", "thanos", "ssh://thanos", ""])
def test_a_host_that_is_none(docker: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "thanos", "--host", host]) == 2
    assert "Fix it with: --host ssh://" in capsys.readouterr().err
    assert not (docker / "calls").exists()


def test_a_container_that_goes_away_meanwhile(docker: Path) -> None:
    with (docker / "docker").open("a") as script:
        script.write('[ "$3" = inspect ] && { echo "Error: No such container: 8f4b0a" >&2; exit 1; }\nexit 0\n')
    assert main(["--stack", "thanos"]) == 0
    (docker / "inspect").write_text("[]\n")
    assert main(["--stack", "thanos"]) == 2


@pytest.mark.parametrize(
    ("items", "hint"),
    [([], "nothing is deployed there"), ([inspected("redis", "app", node="oracle1")], "those of oracle1")],
)
def test_no_container_of_the_node(
    docker: Path, items: list[Any], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (docker / "inspect").write_text(json.dumps(items))
    assert main(["--stack", "thanos"]) == 2
    error = capsys.readouterr().err
    assert hint in error
    assert "pulumi up -s thanos" in error


def test_docker_that_does_not_answer(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers(docker, r"printf 'error during connect: \033]0;x\007 connection refused' >&2; exit 1")
    assert main(["--stack", "thanos"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        f"error: Docker at {HOST} does not answer: error during connect: \\x1b]0;x\\x07 conn"
    )
    assert f"docker -H {HOST} version" in captured.err


def test_docker_that_hangs_with_a_child_of_its_own(docker: Path) -> None:
    answers(docker, "sleep 20 & sleep 20")
    begin = time.monotonic()
    with pytest.raises(DockerError, match=r"no answer in 0\.2 s"):
        Docker(HOST, 0.2).inspect()
    assert time.monotonic() - begin < 10
    assert Docker(HOST, 0.2).logs("agentic-mesh-vllm", 5).startswith("(no log: ")


def test_no_docker_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--stack", "thanos"]) == 2
    assert "no `docker` program on PATH" in capsys.readouterr().err


# The stack's file.


def stack_file(folder: Path, text: str, stack: str = "thanos") -> Path:
    (folder / f"Pulumi.{stack}.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("stack", ["nowhere", "", "../thanos", "*"])
def test_an_unknown_stack(stack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack_file(tmp_path, "config: {}\n", "titan")
    assert main(["--stack", stack], tmp_path) == 2
    assert "make diagnose STACK=titan" in capsys.readouterr().err


def test_the_local_socket_where_no_host_is_set(docker: Path, tmp_path: Path) -> None:
    assert stack_settings(stack_file(tmp_path, ""), "thanos").docker_host == "unix:///var/run/docker.sock"


def test_stacks_of_the_checkout() -> None:
    assert stack_settings(CHECKOUT, "thanos").docker_host == HOST
    settings = stack_settings(CHECKOUT, "an-organisation/agentic-mesh/oracle1")
    assert (settings.docker_host, settings.node.name) == ("ssh://deploy@oracle1", "oracle1")


@pytest.mark.parametrize(
    "nodes",
    [
        'agentic-mesh:nodes: {titan: {role: control, address: "100.64.1.9"}}',
        """agentic-mesh:nodes: '{"titan": {"role": "control", "address": "100.64.1.9"}}'""",
    ],
)
def test_nodes_of_the_stacks_own_and_secrets_left_shut(nodes: str, tmp_path: Path) -> None:
    sealed = "agentic-mesh:claudeApiKey: {secure: v1:AAAA}"
    folder = stack_file(tmp_path, f"config:\n  {nodes}\n  {sealed}\n  agentic-mesh:alerts: 3\n", "titan")
    assert stack_settings(folder, "titan").node.role == "control"


@pytest.mark.parametrize("text", ["config: [", "- a", "\x00", "config:\n  agentic-mesh:dockerHost: tcp://thanos\n"])
def test_a_file_that_cannot_be_read(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "thanos"], stack_file(tmp_path, text)) == 2
    assert "Fix it" in capsys.readouterr().err
