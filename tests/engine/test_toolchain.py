import stat
from pathlib import Path

import pytest

from engine import cli
from engine.toolchain import ACTIONLINT, PULUMI, BuildError, parse_version, pinned_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("3.300.1-dev", (3, 300, 1)),
        ("no version", ()),
    ],
)
def test_versions_are_read_from_what_programs_print(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


def test_engine_and_sdk_have_one_version() -> None:
    requirements = (Path(cli.__file__).parent.parent / "requirements.in").read_text()
    assert f"pulumi=={pinned_version(PULUMI)}\n" in requirements


def test_every_tool_is_pinned() -> None:
    assert parse_version(pinned_version(ACTIONLINT))


def fake_pulumi(folder: Path, version: str) -> Path:
    script = folder / "pulumi"
    script.write_text(f"#!/bin/sh\necho {version}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def test_a_recent_official_engine_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = fake_pulumi(tmp_path, "v3.999.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert cli.find_pulumi() == script


def test_an_old_one_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pulumi(tmp_path, "v3.100.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    built = tmp_path / "built"
    monkeypatch.setattr(cli, "build", lambda _: built)
    assert cli.find_pulumi() == built


def test_a_tool_without_a_pin_is_an_error() -> None:
    with pytest.raises(BuildError, match="does not require"):
        pinned_version(ACTIONLINT.__class__(**{**ACTIONLINT.__dict__, "module": "example.org/none"}))
