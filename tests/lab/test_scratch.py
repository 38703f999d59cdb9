"""The lab's providers against a real daemon and the real engine, with a program of two containers."""

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from lab.docker_containers import devices_file
from lab.places import Node
from lab.session import Session
from lab.stacks import Stacks
from tests.lab.conftest import SCRATCH

pytestmark = [pytest.mark.lab, pytest.mark.engine]

APP = "lab-scratch-app"
MIB = 1024 * 1024
REPLACED = {"create-replacement": 1, "delete-replaced": 1, "replace": 1}
"""How the engine counts one that is replaced."""


@pytest.fixture
def client(lab_nodes: tuple[Node, ...]) -> Iterator[docker.APIClient]:
    client = docker.APIClient(base_url=lab_nodes[0].host)
    yield client
    client.close()


def operations(stacks: Stacks, operation: str) -> dict[str, int]:
    outcome = stacks.operate(operation, "thanos")
    assert outcome.passed, outcome.errors
    return {name: count for name, count in outcome.operations.items() if name != "same"}


def page(client: docker.APIClient) -> str:
    command = client.exec_create(APP, ["wget", "-q", "-O", "-", "http://127.0.0.1:8000/"])
    return bytes(client.exec_start(command)).decode()


def test_the_whole_life_of_a_stack(
    stack: Stacks, client: docker.APIClient, lab_nodes: tuple[Node, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operations(stack, "up")["create"] > 8
    assert operations(stack, "refresh").keys() == {"refresh"}
    assert operations(stack, "preview") == {}
    assert page(client).startswith("one ")
    recorded = json.loads(devices_file(lab_nodes[0].folder, lab_nodes[0].host).read_text())
    assert recorded[APP][0]["Capabilities"] == [["gpu", "utility"]]
    assert client.inspect_container(APP)["HostConfig"]["DeviceRequests"] is None

    # One removed by hand is made again; nothing else is touched.
    client.remove_container(APP, force=True)
    operations(stack, "refresh")
    assert operations(stack, "up") == {"create": 1}

    # One stopped by hand is started.
    client.stop(APP, timeout=1)
    operations(stack, "refresh")
    assert operations(stack, "up") == {"update": 1}
    assert client.inspect_container(APP)["State"]["Running"]

    # Limits changed by hand are put back in place.
    client.update_container(APP, mem_limit=64 * MIB, memswap_limit=64 * MIB)
    operations(stack, "refresh")
    assert operations(stack, "up") == {"update": 1}
    assert client.inspect_container(APP)["HostConfig"]["Memory"] == 32 * MIB

    # A changed file replaces its loader and what reads it, by the same names.
    monkeypatch.setenv("SCRATCH_TEXT", "two")
    assert operations(stack, "up")["replace"] == 2
    assert page(client).startswith("two ")

    # A changed limit does not.
    monkeypatch.setenv("SCRATCH_MEMORY", "48")
    assert operations(stack, "up") == {"update": 1}

    # A new epoch makes a new password and carries it to the reader.
    before = page(client)
    monkeypatch.setenv("SCRATCH_EPOCH", "2")
    assert operations(stack, "up")["replace"] == 3
    assert page(client) != before

    # A certificate in its last hours is renewed without a refresh.
    assert operations(stack, "preview") == {}
    monkeypatch.setenv("SCRATCH_EARLY_HOURS", "200")
    assert operations(stack, "preview")["replace"] == 3


def test_other_forms_replace_their_containers_at_each_up_as_with_the_real_provider(
    session: Session, pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the whole program did on real Docker: `cpus` "1", durations in seconds, memory without swap."""
    monkeypatch.setenv("SCRATCH_FORMS", "other")
    with session.stacks(SCRATCH, tmp_path / "stacks", any_form=True) as stacks:
        try:
            assert operations(stacks, "up")["create"] > 8
            # The app for its processors, though nothing was changed; the loader's swap in place, which an update does
            # not read back.
            for others in ({"update": 1}, {}):
                assert operations(stacks, "preview") == {**REPLACED, **others}
                assert operations(stacks, "up") == {**REPLACED, **others}
            # The capabilities, a set, show after the first look at Docker.
            operations(stacks, "refresh")
            assert operations(stacks, "preview")["replace"] == 1
            # The state has the right forms now; only the loader's swap is another value.
            monkeypatch.delenv("SCRATCH_FORMS")
            assert operations(stacks, "up") == {"update": 1}
            assert operations(stacks, "up") == {}
            assert operations(stacks, "refresh").keys() == {"refresh"}
            assert operations(stacks, "up") == {}
        finally:
            assert stacks.operate("destroy", "thanos").passed


def test_other_forms_are_refused_before_anything_is_made(stack: Stacks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH_FORMS", "other")
    outcome = stack.operate("preview", "thanos")
    # The app, which waits for the loader, is not even looked at.
    assert outcome.errors[0].startswith("loader: memorySwap: ")
    assert "set it wherever memory is set" in outcome.errors[0]
    assert not outcome.passed


def test_one_that_never_gets_healthy_fails_the_up_by_name(stack: Stacks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH_PROBE_PORT", "81")
    outcome = stack.operate("up", "thanos")
    assert outcome.errors[0].startswith("app: ")
    assert "container failed to be in healthy state" in outcome.errors[0]


def test_what_was_made_by_hand_is_imported(
    stack: Stacks, client: docker.APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.198.0.0/24", gateway="10.198.0.1")])
    made = client.create_network("lab-scratch-by-hand", internal=True, ipam=pool)["Id"]
    try:
        monkeypatch.setenv("SCRATCH_IMPORT", made)
        assert operations(stack, "up")["import"] == 1
        assert operations(stack, "preview") == {}
        assert operations(stack, "destroy")["delete"] > 8
        assert not client.networks(names=["lab-scratch-by-hand"])
    finally:
        for network in client.networks(names=["lab-scratch-by-hand"]):
            client.remove_network(network["Id"])
