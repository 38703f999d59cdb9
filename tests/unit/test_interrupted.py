"""The engine stops a program whose provider failed: the program says so in one line."""

import signal
import subprocess
import sys
from pathlib import Path

from components.platform import interrupted

ROOT = Path(__file__).parents[2]
LIMIT = 60
"""Seconds, for a machine that is busy."""
# A shell starts what runs in its background with SIGINT ignored, and children inherit that.
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {root!r})
from components.platform.interrupted import explain_interrupt
explain_interrupt()
print("ready", flush=True)
time.sleep(600)
"""


def stopped(script: Path) -> tuple[int, str]:
    """Exit status and errors of a script that is interrupted."""
    script.write_text(PROGRAM.format(root=str(ROOT)))
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    return process.returncode, errors


def test_under_the_cli_it_names_the_place_of_the_real_error(tmp_path: Path) -> None:
    status, errors = stopped(tmp_path / "pulumi-language-python-exec")
    assert status == 32
    assert errors.startswith("The engine has interrupted the program")
    assert len(errors.splitlines()) == 1
    assert (ROOT / "docs/runbooks/the-engine-was-interrupted.md").exists()
    assert "docs/runbooks/the-engine-was-interrupted.md" in errors


def test_elsewhere_the_signal_is_left_alone(tmp_path: Path) -> None:
    status, errors = stopped(tmp_path / "other.py")
    assert status != 32
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_in_a_process_of_ours_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupted.explain_interrupt()
    assert signal.getsignal(signal.SIGINT) is before
