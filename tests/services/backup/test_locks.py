"""Locks that a run left behind when its host went down: the next run removes its own, and nobody else's."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from backup.locks import Lock, abandoned
from backup_program import Program
from loopback import free_ports, wait_until

_IN_NAMESPACES = """\
[ -z "$1" ] || hostname "$1"
[ -z "$2" ] || echo "$(($2 - 1))" >/proc/sys/kernel/ns_last_pid
shift 2
exec 3<&0
"$@" <&3 &
wait
"""
FORMER = "0123456789ab"
LAPTOP = "laptop"


def locks(program: Program) -> list[dict[str, object]]:
    """The locks in the repository."""
    found = []
    for name in program.restic("list", "locks", "--no-lock").stdout.split():
        done = program.restic("cat", "--no-lock", "lock", name)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    return found


@contextmanager
def backing_up(program: Program, *, host: str = "", process: int | None = None) -> "Iterator[subprocess.Popen[bytes]]":
    """restic in the middle of a backup, on a host of that name and with that process number as it sees them."""
    restic = ["restic", "--no-cache", "backup", "--stdin", "--host", "oracle1", "--tag", "part:files/x"]
    command = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", _IN_NAMESPACES, "sh"]
    before = len(locks(program))
    started = subprocess.Popen(
        [*command, host, str(process or ""), *restic] if host or process else restic,
        env=program.restic_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: len(locks(program)) > before, 60, "restic's lock")
        yield started
    finally:
        # As by a power cut: nothing is taken back. Its input ends after restic, which would else end in order.
        started.send_signal(signal.SIGKILL)
        assert started.stderr is not None
        started.stderr.read()
        started.communicate(timeout=30)


@pytest.fixture
def other() -> "Iterator[subprocess.Popen[bytes]]":
    """A living process that is not restic and takes no harm from a signal."""
    command = "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    started = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    yield started
    started.kill()
    started.communicate(timeout=30)


def test_a_lock_whose_number_another_process_has_by_now_is_removed(
    program: Program, other: "subprocess.Popen[bytes]"
) -> None:
    program.back_up()
    with backing_up(program, process=other.pid):
        pass
    [lock] = locks(program)
    assert (lock["pid"], lock["hostname"]) == (other.pid, socket.gethostname())
    program.restic("unlock")
    assert len(locks(program)) == 1, "restic takes the other process for its owner"
    program.back_up()
    assert locks(program) == []
    assert program.restic("check").returncode == 0
    assert other.poll() is None


def test_a_lock_of_a_container_that_was_replaced_is_removed(program: Program) -> None:
    command = [
        "unshare",
        "--uts",
        "sh",
        "-c",
        'hostname "$0"; exec "$@"',
        FORMER,
        sys.executable,
        "-m",
        "backup",
        "now",
    ]
    done = subprocess.run(command, env=program.env, capture_output=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    with backing_up(program, host=FORMER):
        pass
    assert [lock["hostname"] for lock in locks(program)] == [FORMER]
    program.back_up()
    assert locks(program) == []
    assert program.state()["hosts"] == [FORMER, socket.gethostname()]


def test_a_restore_in_this_container_and_a_stranger_s_lock_are_left(program: Program) -> None:
    program.back_up()
    with backing_up(program, host=LAPTOP):
        pass
    with backing_up(program) as restic:
        assert {lock["hostname"] for lock in locks(program)} == {LAPTOP, socket.gethostname()}
        done = program.run("now")
        assert done.returncode == 1
        assert b"already locked" in done.stderr
        assert restic.pid in {lock["pid"] for lock in locks(program)}
    program.run("now")
    assert [lock["hostname"] for lock in locks(program)] == [LAPTOP]


def test_a_thread_or_zombie_is_no_owner(tmp_path: Path) -> None:
    def proc(number: int, name: str, state: str, leader: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "stat").write_text(f"{number} ({name}) {state} 1 1\n")
        (folder / "status").write_text(f"Name:\t{name}\nTgid:\t{leader}\n")

    proc(10, "restic", "S", 10)
    proc(11, "restic", "S", 10)
    proc(12, "restic", "Z", 12)
    proc(13, "a) python (", "S", 13)
    numbers = (10, 11, 12, 13, 14)
    found = [Lock(id=str(number), host="here", process=number) for number in numbers]
    assert [lock.process for lock in abandoned(found, [], "here", tmp_path)] == [11, 12, 13, 14]
    assert abandoned(found, ["former"], "elsewhere", tmp_path) == []
    assert abandoned(found, ["here"], "elsewhere", tmp_path) == found


def test_restic_s_question_whether_it_lives_ends_no_run(program: Program) -> None:
    """The number of an old lock may be that of this program: restic sends SIGHUP to see."""
    process = program.start("serve", BACKUP_PORT=str(free_ports(1)[0]), BACKUP_SETTLE_SECONDS="600")
    try:
        wait_until(lambda: _handles(process.pid), 60, "the program's start")
        os.kill(process.pid, signal.SIGHUP)
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def _handles(pid: int) -> bool:
    """Whether a process ignores SIGHUP and has a handler for SIGTERM by now."""
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    ignored, caught = (int(fields[name], 16) for name in ("SigIgn", "SigCgt"))
    return bool(ignored >> (signal.SIGHUP - 1) & 1 and caught >> (signal.SIGTERM - 1) & 1)
