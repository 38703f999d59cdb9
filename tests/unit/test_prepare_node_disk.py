"""The data volume of `scripts/prepare-node.sh`: how it opens, what counts as encrypted, what is never formatted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.prepare_node import call, file, run, states, tree


@pytest.mark.parametrize(
    ("unlock", "line"),
    [
        ("passphrase", "agentic-mesh-data UUID=1234-abcd none luks,nofail"),
        ("keyfile", "agentic-mesh-data UUID=1234-abcd /etc/agentic-mesh/data.key luks,nofail"),
        ("tpm2", "agentic-mesh-data UUID=1234-abcd none luks,nofail,tpm2-device=auto"),
    ],
)
def test_crypttab_and_fstab_lines(bare: Path, unlock: str, line: str) -> None:
    crypttab = file(bare, "etc/crypttab", "# <name> <device>\nswap /dev/sda3 /dev/urandom swap\n")
    fstab = file(
        bare, "etc/fstab", "# / was on sda1\nUUID=1 / ext4 defaults 0 1\n/dev/sdz /srv/agentic-mesh xfs x 0 0\n"
    )
    write = (
        f'UNLOCK={unlock}; set_table_line /etc/crypttab 1 "$MAPPING" "$(crypttab_line 1234-abcd)"; '
        'set_table_line /etc/fstab 2 "$DATA_ROOT" "$(fstab_line)"; data_tables_are_set'
    )
    assert call(bare, write).returncode == 0
    assert crypttab.read_text() == f"# <name> <device>\nswap /dev/sda3 /dev/urandom swap\n{line}\n"
    assert fstab.read_text() == (
        "# / was on sda1\nUUID=1 / ext4 defaults 0 1\n"
        "/dev/mapper/agentic-mesh-data /srv/agentic-mesh ext4 defaults,nofail 0 2\n"
    )
    once = tree(bare)
    assert call(bare, write).returncode == 0
    assert tree(bare) == once


def test_another_way_to_unlock_replaces_the_line(bare: Path) -> None:
    write = 'set_table_line /etc/crypttab 1 "$MAPPING" "$(crypttab_line 1234)"'
    call(bare, write)
    call(bare, f"UNLOCK=tpm2; {write}")
    assert (bare / "etc/crypttab").read_text() == "agentic-mesh-data UUID=1234 none luks,nofail,tpm2-device=auto\n"


def test_a_plain_volume_does_not_count_as_encrypted(encrypted: Path) -> None:
    file(encrypted, "sys/class/block/dm-0/dm/uuid", "LVM-abc\n")
    assert states(run(encrypted, "--role", "control").stdout)["encrypted data volume"] == "missing"


def test_a_logical_volume_on_luks_counts_as_encrypted(encrypted: Path) -> None:
    file(encrypted, "sys/class/block/dm-0/dm/uuid", "LVM-abc\n")
    file(encrypted, "sys/class/block/dm-1/dm/uuid", "CRYPT-LUKS2-0123-x\n")
    file(encrypted, "sys/class/block/dm-0/slaves/dm-1", "")
    assert states(run(encrypted, "--role", "control").stdout)["encrypted data volume"] == "ok"


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("what", "at", "names", "mounted", "blkid", "empty"),
    [
        ("nothing on it", None, "sdb", "", 2, True),
        ("bytes at the start", 0, "sdb", "", 2, False),
        ("bytes at the end", 16 * MIB - 1, "sdb", "", 2, False),
        ("a partition", None, "sdb\nsdb1", "", 2, False),
        ("a mount", None, "sdb", "/mnt", 2, False),
        ("a signature", None, "sdb", "", 0, False),
        ("several signatures", None, "sdb", "", 8, False),
    ],
)
def test_only_an_empty_device_is_empty(
    bare: Path, what: str, at: int | None, names: str, mounted: str, blkid: int, empty: bool
) -> None:
    """A file in place of the device, and stand-ins for the three programs that only know real devices."""
    device = bare / "device"
    with device.open("wb") as stream:
        stream.truncate(16 * MIB)
        if at is not None:
            stream.seek(at)
            stream.write(b"x")
    stand_ins = (
        f'lsblk() {{ if [[ $* == *MOUNTPOINT* ]]; then echo "{mounted}"; else echo "{names}"; fi; }}; '
        f"blkid() {{ return {blkid}; }}; blockdev() {{ echo {16 * MIB}; }}; "
    )
    result = call(bare, stand_ins + f'if device_is_empty "{device}"; then echo empty; fi')
    assert (result.stdout == "empty\n") is empty, what
    assert result.returncode == 0, result.stderr


def test_nothing_is_formatted_without_the_word(bare: Path) -> None:
    result = call(bare, "DATA_DEVICE=/dev/named; format_data")
    assert result.returncode == 1
    assert "add --format, if it is the right device and empty" in result.stderr
    assert "luksFormat" not in result.stderr


def test_what_is_not_empty_is_never_formatted(bare: Path) -> None:
    result = call(bare, "device_is_empty() { return 1; }; DATA_DEVICE=/dev/named FORMAT=yes; format_data")
    assert result.returncode == 1
    assert "/dev/named is not empty; it is never formatted" in result.stderr
    assert "luksFormat" not in result.stderr
