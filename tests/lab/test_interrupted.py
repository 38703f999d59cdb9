"""The engine killed in the middle of an `up`: the runbook `the-engine-was-interrupted.md`, step by step."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.processes import kill, wait_until
from lab.stacks import Stacks
from tests.lab.mesh import PREFIX, Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

NODE = "oracle1"
SETTINGS = {"offPeak": "23:00-05:00", "n8nWebhookUrl": "https://hooks.example.com"}
"""Two apps on Redis and Postgres, their worker, and the three proxies are replaced by these."""
REPLACED = ("agents", "n8n", "n8n-worker")


def pending(mesh: Mesh, stacks: Stacks) -> list[str]:
    """What the state says is under way: `deleting agentic-mesh-agents`."""
    (path,) = (stacks.folder / "state").rglob(f"{NODE}.json")
    latest: dict[str, Any] = json.loads(path.read_text())["checkpoint"]["latest"] or {}
    return [
        f"{operation['type']} {operation['resource'].get('inputs', {}).get('name')}"
        for operation in latest.get("pending_operations") or ()
    ]


def taking_away(mesh: Mesh, stacks: Stacks) -> bool:
    """Old containers are asked to end; the engine does not know yet that they did."""
    return any(entry.startswith("deleting") for entry in pending(mesh, stacks))


def waiting_for_health(mesh: Mesh, stacks: Stacks) -> bool:
    """A container is there and the engine waits for it: it would learn its id only afterwards."""
    made = {entry.removeprefix("creating ") for entry in pending(mesh, stacks) if entry.startswith("creating")}
    there = mesh.containers(NODE)
    return any(name in there and there[name]["State"]["Running"] for name in made)


def descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from descendants(int(child))
            yield int(child)


def interrupt(mesh: Mesh, stacks: Stacks, moment: Callable[[Mesh, Stacks], bool]) -> list[str]:
    """An `up` that is killed at that moment, with its engine; what the state then says is under way."""
    process = stacks.process("up", NODE)
    assert wait_until(lambda: moment(mesh, stacks) or process.poll() is not None, 180, every=0.02)
    assert process.poll() is None, process.communicate()
    os.kill(process.pid, signal.SIGSTOP)
    kill([*descendants(process.pid), process.pid])
    process.communicate()
    return pending(mesh, stacks)


@pytest.mark.parametrize("moment", [taking_away, waiting_for_health])
def test_a_killed_engine_is_recovered_from(mesh: Mesh, moment: Callable[[Mesh, Stacks], bool]) -> None:
    before = mesh.identities(NODE)
    try:
        with mesh.fixing(NODE):
            # Providers of its own: they end with the engine, as plugins do.
            with mesh.session.stacks() as stacks:
                mesh.configure(NODE, **SETTINGS)
                left = interrupt(mesh, stacks, moment)
            print(f"lab: killed while {left}")
            assert left
            _recover(mesh)
            after = mesh.identities(NODE)
            strangers = mesh.strangers(NODE)
        values = {name: mesh.containers(NODE)[f"{PREFIX}-{name}"]["Config"]["Env"] for name in REPLACED}
    finally:
        mesh.configure(NODE, **dict.fromkeys(SETTINGS))
        mesh.up(NODE)

    assert strangers == set()
    assert after.keys() == before.keys()
    # The change arrived, and only at those whose it is.
    assert all(
        set(values[name]) & {"AGENTS_OFF_PEAK=23:00-05:00", f"N8N_WEBHOOK_URL={SETTINGS['n8nWebhookUrl']}"}
        for name in REPLACED
    )
    touched = {name for name in after if after[name] != before[name]}
    assert touched == {f"{PREFIX}-{name}{part}" for name in REPLACED for part in ("", "-proxy")}


def _recover(mesh: Mesh) -> None:
    stacks = mesh.stacks
    locked = stacks.operate("up", NODE)
    assert any("locked" in error for error in locked.errors), locked.errors
    stacks.command("cancel", NODE, "--yes")
    mesh.operate("refresh", NODE)
    for name in mesh.strangers(NODE):
        print(f"lab: nobody knows {name}")
        mesh.docker(NODE).remove_container(name, force=True)
    mesh.up(NODE)
    print(f"lab: healthy {mesh.wait_healthy():.1f} s after the up")
