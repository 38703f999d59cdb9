"""The shell that containers start with: read by shellcheck, and the preflight's script run by busybox."""

import os
import subprocess
from pathlib import Path

import pytest

from render.entrypoint import with_secrets
from render.postgres import START
from render.preflight import LEAST_FREE_GIB, preflight_script
from tests.contracts.conftest import Tool
from tests.unit.program import Program

pytestmark = pytest.mark.contract
DEVICE, DISK, PLAIN = "254:1", "8:3", "8:4"
ADDRESS = "100.64.1.1"
SHELLS = ("sh", "bash")


@pytest.fixture(scope="module")
def scripts() -> list[tuple[str, str, str]]:
    """Shell, name and script of every container of both nodes that starts with one."""
    found = [("bash", "postgres' start", START), ("sh", "with secrets", with_secrets({"KEY": "/config/key"}, "x")[2])]
    for stack in ("thanos", "oracle1"):
        for container in Program(stack).running:
            for part in ("entrypoints", "command"):
                words = container.inputs.get(part, [])
                if len(words) > 2 and words[0] in SHELLS and words[1] == "-c":
                    found.append((words[0], container.name, words[2]))
    return found


def test_shellcheck_finds_nothing(tool: Tool, scripts: list[tuple[str, str, str]]) -> None:
    assert {"edge-pod-app", "crowdsec-pod-app", "thanos-preflight-host"} <= {name for _, name, _ in scripts}
    said = {name: _shellcheck(tool("shellcheck"), shell, script) for shell, name, script in scripts}
    assert {name: found for name, found in said.items() if found} == {}


def _shellcheck(program: str, shell: str, script: str) -> str:
    command = [program, "--shell", shell, "--format", "gcc", "-"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout


class Host:
    """A made-up host: what the kernel would say, a data root, and programs that say what they are told."""

    def __init__(self, folder: Path, busybox: str) -> None:
        self.folder = folder
        self.busybox = busybox
        self.root = folder / "data"
        self.mounts = {str(self.root): DEVICE, "/etc/hostname": DEVICE}
        self.free_gib = LEAST_FREE_GIB
        # As a host of 24 GiB says it.
        self.memory_mib = 23 * 1024 + 500
        self.answers = True
        """Whether it is there at the tailnet address."""
        self.folders: list[tuple[str, int, int]] = []
        self.root.mkdir()
        self.device(DEVICE, "CRYPT-LUKS2-abc")

    def device(self, number: str, uuid: str = "", below: str = "") -> None:
        """A block device: with a device mapper's id, or with another device below it."""
        device = self.folder / "sys" / number
        (device / "dm").mkdir(parents=True)
        (device / "slaves").mkdir()
        if uuid:
            (device / "dm" / "uuid").write_text(f"{uuid}\n")
        if below:
            (device / "slaves" / "below").symlink_to(self.folder / "sys" / below)

    def check(self) -> tuple[bool, str]:
        """Whether the probe would get healthy, and what it says."""
        df = self.folder / "df"
        df.write_text(f"#!{self.busybox} sh\necho header\necho device 1 1 {self.free_gib * 1048576} 1% /\n")
        df.chmod(0o755)
        lines = [f"1 2 {number} / {at} rw - ext4 x rw" for at, number in self.mounts.items()]
        (self.folder / "mountinfo").write_text("\n".join(lines) + "\n")
        script = preflight_script(
            data_root=str(self.root), folders=self.folders, address=ADDRESS, port=15099, memory_gib=24, stack="oracle1"
        )
        (self.folder / "meminfo").write_text(f"MemTotal:       {self.memory_mib * 1024} kB\nMemFree: 1 kB\n")
        for there, here in (
            (f"timeout 5 nc -w 2 {ADDRESS} 15099", "hostname" if self.answers else "false"),
            ("/tmp/www/name", f"{self.folder}/name"),
            ("mkdir -p /tmp/www", "true"),
            ("httpd -p 8080 -h /tmp/www", "true"),
            ("killall httpd", "true"),
            ("/proc/self/mountinfo", f"{self.folder}/mountinfo"),
            ("/proc/meminfo", f"{self.folder}/meminfo"),
            ("/sys/dev/block", f"{self.folder}/sys"),
            ("/tmp/ok", f"{self.folder}/ok"),
            ("$(df ", f"$({df} "),
            # It looks once.
            ("sleep 2\n", "exit 0\n"),
            ("exec sleep 2147483647", "exit 0"),
        ):
            assert there in script
            script = script.replace(there, here)
        healthy = self.folder / "ok"
        healthy.unlink(missing_ok=True)
        done = subprocess.run(
            [self.busybox, "sh", "-c", script], capture_output=True, text=True, check=True, timeout=20
        )
        assert done.stderr == ""
        return healthy.exists(), done.stdout


@pytest.fixture
def host(tool: Tool, tmp_path: Path) -> Host:
    return Host(tmp_path, tool("busybox"))


def test_a_host_that_has_it_all(host: Host) -> None:
    assert host.check() == (True, "")


def test_a_host_with_less_memory_than_the_plan_counts_on(host: Host) -> None:
    host.memory_mib = 16 * 1024 - 300
    healthy, said = host.check()
    assert not healthy
    assert "MISSING: the host has 16084 MiB of memory, the plan counts on 24 GiB" in said
    assert "fix: pulumi config set agentic-mesh:hostMemoryGib 15 --stack oracle1" in said


def test_a_volume_on_top_of_an_encrypted_device_counts(host: Host) -> None:
    host.device(DISK, "LVM-xyz", below=DEVICE)
    host.mounts[str(host.root)] = DISK
    assert host.check() == (True, "")


@pytest.mark.parametrize("uuid", ["", "LVM-xyz"], ids=["a plain disk", "a plain volume"])
def test_a_data_root_that_is_not_encrypted(host: Host, uuid: str) -> None:
    host.device(PLAIN, uuid)
    host.mounts[str(host.root)] = PLAIN
    healthy, said = host.check()
    assert not healthy
    assert f"MISSING: the data root {host.root} is not on a LUKS volume" in said
    assert "fix: scripts/prepare-node.sh --data-device" in said


def test_a_data_root_that_is_no_mount_of_its_own(host: Host) -> None:
    del host.mounts[str(host.root)]
    assert not host.check()[0]


def test_docker_s_own_data_outside_the_encrypted_volume(host: Host) -> None:
    host.device(PLAIN)
    host.mounts["/etc/hostname"] = PLAIN
    healthy, said = host.check()
    assert not healthy
    assert "MISSING: Docker keeps its data outside the encrypted volume" in said
    assert f"set data-root to {host.root}/docker" in said


def test_too_little_space(host: Host) -> None:
    host.free_gib = LEAST_FREE_GIB - 1
    healthy, said = host.check()
    assert not healthy
    assert f"MISSING: only {LEAST_FREE_GIB - 1} GiB free in {host.root}" in said


def test_another_address_than_the_settings(host: Host) -> None:
    host.answers = False
    healthy, said = host.check()
    assert not healthy
    assert f"MISSING: the host does not answer at its tailnet address {ADDRESS}" in said
    assert f"on the node, tailscale ip -4 says {ADDRESS}" in said


def test_folders_are_made_for_their_owners_and_left_alone_the_next_time(host: Host) -> None:
    owner = (os.getuid(), os.getgid()) if os.getuid() else (999, 998)
    path = host.root / "redis-data"
    host.folders = [(str(path), *owner)]
    assert host.check() == (True, "")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (*owner, 0o700)
    path.chmod(0o750)
    (path / "appendonly.aof").write_text("kept")
    assert host.check() == (True, "")
    assert path.stat().st_mode & 0o777 == 0o750
    assert (path / "appendonly.aof").read_text() == "kept"


def test_a_folder_that_cannot_be_made(host: Host) -> None:
    (host.root / "file").write_text("in the way")
    host.folders = [(str(host.root / "file" / "below"), 1, 1)]
    healthy, said = host.check()
    assert not healthy
    assert f"MISSING: cannot make {host.root}/file/below" in said


def test_everything_that_is_missing_is_said_at_once(host: Host) -> None:
    host.device(PLAIN)
    host.mounts = {str(host.root): PLAIN, "/etc/hostname": PLAIN}
    host.free_gib = 0
    host.answers = False
    healthy, said = host.check()
    assert not healthy
    assert said.count("MISSING: ") == said.count("  fix: ") == 4
