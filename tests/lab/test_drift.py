"""What was changed by hand is seen by a refresh and repaired by the next `up`; nothing else is touched."""

import pytest

from tests.lab.mesh import PREFIX, Mesh, changes

pytestmark = [pytest.mark.lab, pytest.mark.engine]

REMOVED, STOPPED, LIMITED = f"{PREFIX}-whisper", f"{PREFIX}-ocr", f"{PREFIX}-comfyui"
MIB = 1024 * 1024


def test_one_removed_one_stopped_and_one_with_other_limits_are_repaired(mesh: Mesh) -> None:
    client = mesh.docker("thanos")
    before = mesh.identities("thanos")
    memory = client.inspect_container(LIMITED)["HostConfig"]["Memory"]
    try:
        client.remove_container(REMOVED, force=True)
        client.stop(STOPPED, timeout=1)
        client.update_container(LIMITED, mem_limit=memory - 64 * MIB, memswap_limit=memory - 64 * MIB)

        (seen,) = mesh.operate("refresh", "thanos")
        # The rest of what a refresh goes through is as it was.
        assert changes(seen) == {"delete": 1, "update": 2} | {"refresh": seen.operations.get("refresh", 0)}
        done = mesh.up("thanos")
        took = mesh.wait_healthy()
    finally:
        mesh.repair("thanos")
    print(f"lab: drift repaired, healthy {took:.1f} s after the up")

    # The removed app comes with a new proxy, whose health check is what `up` waits for.
    assert done == {"thanos": {"create": 1, "update": 2, "replace": 1}}
    after = mesh.identities("thanos")
    assert after.keys() == before.keys()
    touched = {name for name in after if after[name] != before[name]}
    assert touched == {REMOVED, f"{REMOVED}-proxy", STOPPED}
    assert after[STOPPED][0] == before[STOPPED][0], "it was to be started, not replaced"
    assert client.inspect_container(LIMITED)["HostConfig"]["Memory"] == memory
    assert mesh.strangers("thanos") == set()
