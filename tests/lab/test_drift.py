"""What was changed by hand is seen by a refresh and repaired by the next `up`; nothing else is touched."""

from typing import Any

import pytest

from tests.lab.mesh import PREFIX, Mesh

pytestmark = [pytest.mark.lab, pytest.mark.engine]

REMOVED, STOPPED, LIMITED = f"{PREFIX}-whisper", f"{PREFIX}-ocr", f"{PREFIX}-comfyui"
MIB = 1024 * 1024


def inputs(mesh: Mesh) -> dict[str, dict[str, Any]]:
    """What the state says of each container, by name."""
    containers = [r for r in mesh.resources("thanos") if r["type"].endswith(":Container")]
    return {resource["inputs"]["name"]: resource["inputs"] for resource in containers}


def test_one_removed_one_stopped_and_one_with_other_limits_are_repaired(mesh: Mesh) -> None:
    client = mesh.docker("thanos")
    before, declared = mesh.identities("thanos"), inputs(mesh)
    memory = client.inspect_container(LIMITED)["HostConfig"]["Memory"]
    with mesh.fixing("thanos"):
        client.remove_container(REMOVED, force=True)
        client.stop(STOPPED, timeout=1)
        client.update_container(LIMITED, mem_limit=memory - 64 * MIB, memswap_limit=memory - 64 * MIB)

        mesh.operate("refresh", "thanos")
        seen = inputs(mesh)
        done = mesh.up("thanos")
        took = mesh.wait_healthy()
    print(f"lab: drift repaired, healthy {took:.1f} s after the up")

    assert {name for name in declared if declared[name] != seen.get(name)} == {REMOVED, STOPPED, LIMITED}
    assert REMOVED not in seen
    assert seen[STOPPED]["mustRun"] is False
    assert seen[LIMITED]["memory"] == memory // MIB - 64
    # The removed app comes with a new proxy, whose health check is what `up` waits for.
    assert done["thanos"].items() >= {"create": 1, "update": 2, "replace": 1}.items()
    after = mesh.identities("thanos")
    assert after.keys() == before.keys()
    touched = {name for name in after if after[name] != before[name]}
    assert touched == {REMOVED, f"{REMOVED}-proxy", STOPPED}
    assert after[STOPPED][0] == before[STOPPED][0], "it was to be started, not replaced"
    assert client.inspect_container(LIMITED)["HostConfig"]["Memory"] == memory
    assert mesh.strangers("thanos") == set()
