"""What the lab wants of a machine, and which mirror of Debian it takes."""

import platform
from pathlib import Path

import pytest

from lab.images.mirror import debian_mirror
from lab.machine import LabError, check_machine

MAIN = "http://mirror.example/debian"
SECURITY = """
Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
OTHER = """
Types: deb
URIs: https://download.example/linux/debian
Suites: bookworm
Components: stable
"""
DEB822 = f"""
# http://old.example/debian
Types: deb deb-src
URIs: {MAIN}/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 /usr/share/keyrings/debian-archive-keyring.gpg
"""
LINES = f"""
# deb http://old.example/debian bookworm main
deb http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/sources/debian bookworm main
deb https://download.example/linux/debian bookworm stable
deb https://packages.example/apt bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] {MAIN} bookworm main contrib
"""


def apt(folder: Path, **files: str) -> Path:
    """A folder like /etc/apt; a file's name says its form."""
    (folder / "sources.list.d").mkdir()
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        path = folder / "sources.list" if name == "main" else folder / "sources.list.d" / f"{stem}.{suffix}"
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"main": LINES}, MAIN),
        ({"debian_list": LINES}, MAIN),
        ({"a_sources": f"{SECURITY}\n{OTHER}", "debian_sources": f"{SECURITY}\n{DEB822}"}, f"{MAIN}/"),
        ({"main": "", "debian_sources": DEB822}, f"{MAIN}/"),
        # None of them has a base system of Debian's.
        ({"a_sources": f"{SECURITY}\n{OTHER}"}, ""),
        ({"debian_sources": f"{DEB822}Enabled: no\n"}, ""),
        ({"main": "deb http://archive.example/ubuntu jammy main\n"}, ""),
        ({"main": "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\n"}, ""),
        ({}, ""),
    ],
)
def test_the_mirror_is_that_of_debian_s_main_archive(tmp_path: Path, files: dict[str, str], found: str) -> None:
    assert debian_mirror(apt(tmp_path, **files)) == found


def test_another_processor_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(LabError, match=r"\(x86_64\); this is aarch64"):
        check_machine()
