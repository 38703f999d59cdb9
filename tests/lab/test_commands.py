"""The lab's commands, as a person types them."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.root import CHECKOUT
from lab import __main__ as commands
from lab import link, machine, nodes
from lab.machine import PROGRAMS, STATIC_BUSYBOX, LabError, check_machine, in_namespace, succeeds
from lab.places import Node
from lab.session import Session
from tests.lab.mesh import Mesh
from topology.catalog import SERVICES
from topology.graph import GATEWAY, Graph
from topology.nodes import NODES

pytestmark = [pytest.mark.lab, pytest.mark.engine]

GRAPH = Graph(SERVICES, NODES)


def lab(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One command, while this test holds the lab."""
    return subprocess.run(
        [sys.executable, "-m", "lab", "--folder", str(folder), *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def reaches(here: Node, there: Node) -> bool:
    """Whether packets come and go between two nodes."""
    ping = (str(STATIC_BUSYBOX), "ping", "-c", "1", "-W", "1", "-I", here.address, there.address)
    return succeeds(*in_namespace(here.namespace, *ping))


@pytest.fixture
def joined(lab_nodes: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
    """Both nodes on the tailnet, afterwards too."""
    yield lab_nodes
    for node in lab_nodes:
        link.heal(node)


def test_a_node_is_cut_off_and_joined_again(session: Session, joined: tuple[Node, ...]) -> None:
    first, second = joined
    assert reaches(first, second)
    assert reaches(second, first)

    cut = lab(session.folder, "cut", first.name)
    assert (cut.returncode, cut.stderr) == (0, "")
    assert link.is_cut(first)
    assert not reaches(first, second)
    assert not reaches(second, first)
    # The node itself, and its way to the world, are as before.
    assert reaches(first, first)

    healed = lab(session.folder, "heal", first.name)
    assert (healed.returncode, healed.stderr) == (0, "")
    assert reaches(first, second)
    assert reaches(second, first)


def test_one_heal_undoes_many_cuts(session: Session, joined: tuple[Node, ...]) -> None:
    first, second = joined
    for _ in range(2):
        assert lab(session.folder, "cut", second.name).returncode == 0
    assert not reaches(first, second)
    assert lab(session.folder, "heal", second.name).returncode == 0
    assert not link.is_cut(second)
    assert reaches(first, second)
    # Nothing to heal is nothing wrong.
    assert lab(session.folder, "heal", second.name).returncode == 0


def test_a_node_that_there_is_not(session: Session) -> None:
    refused = lab(session.folder, "cut", "nowhere")
    assert refused.returncode == 2
    assert "thanos" in refused.stderr


@pytest.mark.parametrize("operation", ["up", "refresh", "destroy", "down"])
def test_a_second_command_at_the_same_time_is_refused(session: Session, operation: str) -> None:
    refused = lab(session.folder, operation)
    assert refused.returncode == 1
    assert refused.stderr == (
        "error: another lab command is at work on this machine; let it end, then run this again\n"
    )


def test_a_lab_of_another_folder_is_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(LabError) as refused:
        nodes.start_nodes(tmp_path)
    assert str(refused.value) == (
        f"a lab is up already, in {session.folder}\n  fix: python -m lab --folder {session.folder} down"
    )
    assert list(tmp_path.iterdir()) == []
    assert nodes.running(session.folder)


def test_down_in_another_folder_takes_nothing_away(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(nodes, "locked", contextlib.nullcontext)
    monkeypatch.setattr(commands, "clear_away", lambda *_, **__: done.append("cleared"))
    (tmp_path / "stacks").mkdir()
    with pytest.raises(LabError, match=f"already, in {session.folder}"):
        commands.down(tmp_path, everything=True)
    assert done == []
    assert (tmp_path / "stacks").exists()


def test_what_the_machine_lacks_is_named_with_its_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError) as lacking:
        check_machine()
    packages = " ".join(sorted(set(PROGRAMS.values())))
    assert str(lacking.value) == (
        f"this machine lacks\n  - programs: apt-get install -y --no-install-recommends {packages}"
    )


def test_one_missing_program_is_the_only_one_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in PROGRAMS.keys() - {"npm"}:
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"--no-install-recommends npm$"):
        check_machine()


def test_a_busybox_that_needs_libraries_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the one of Debian's package `busybox`: in the lab's smallest image it would not start."""
    program = tmp_path / "busybox"
    program.write_bytes(b"\x7fELF ... /lib64/ld-linux-x86-64.so.2")
    monkeypatch.setattr(machine, "STATIC_BUSYBOX", program)
    with pytest.raises(LabError, match=r"--no-install-recommends busybox-static$"):
        check_machine()


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="run it with sudo"):
        check_machine()


def test_status_shows_every_service_of_the_topology(mesh: Mesh) -> None:
    shown = lab(mesh.session.folder, "status")
    assert shown.returncode == 0
    lines = (line.split() for line in shown.stdout.splitlines())
    rows = {tuple(words[:2]): words for words in lines if words[2:3] in (["real"], ["stand-in"])}
    expected = {(node.name, service.name) for node in NODES for service in GRAPH.on(node.name)}
    assert rows.keys() == expected | {(node.name, GATEWAY) for node in NODES}
    assert {row[2] for row in rows.values()} == {"real", "stand-in"}
    for row in rows.values():
        assert row[4] == "healthy"
        assert row[5].startswith("10.231.")
    for node in NODES:
        assert f"{node.name}: containers hold " in shown.stdout


def test_a_shell_on_a_node_has_its_network_and_its_docker(session: Session, lab_nodes: tuple[Node, ...]) -> None:
    for node in lab_nodes:
        names = lab(session.folder, "shell", node.name, "--", "docker", "info", "--format", "{{.DockerRootDir}}")
        assert names.stdout.strip() == str(node.docker_root)
        addresses = lab(session.folder, "shell", node.name, "--", "ip", "-4", "-oneline", "address", "show")
        assert f" {node.address}/" in addresses.stdout
    failed = lab(session.folder, "shell", "thanos", "--", "sh", "-c", "echo said; exit 7")
    assert (failed.returncode, failed.stdout, failed.stderr) == (7, "said\n", "")


def test_a_shell_without_a_command_says_where_it_is(session: Session) -> None:
    command = [sys.executable, "-m", "lab", "--folder", str(session.folder), "shell", "oracle1"]
    shell = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "SHELL": "/bin/sh"},
        input='echo "$PS1"; docker ps --all --quiet --filter name=kong\n',
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "on oracle1, 100.64.1.2" in shell.stderr
    assert shell.stdout.startswith("(oracle1) ")


def test_commands_for_a_lab_that_is_not_up_say_so(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "succeeds", lambda *_: False)
    for words in (["cut", "thanos"], ["heal", "thanos"], ["shell", "thanos", "--", "true"]):
        monkeypatch.setattr(sys, "argv", ["lab", "--folder", str(session.folder), *words])
        assert commands.main() == 1
        assert capsys.readouterr().err == "error: the lab is not up: there is no thanos\n  fix: make lab\n"
