"""Single parts, without a server."""

import errno
import os
import re
import struct
from pathlib import Path

import pytest
from interpreter import frames, names
from interpreter.limits import Limits
from interpreter.sandbox import answer, folder, seccomp
from interpreter.sandbox.identity import Identity
from interpreter.sandbox.pipes import Capture, Feed
from interpreter.sandbox.run import Ending

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def judge(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would do: runs the filter's instructions on one system call."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(arguments + (0,) * 6)[:6])
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x06:
            return int(value)
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif operation == 0x54:
            accumulator &= value
        else:
            holds = accumulator == value if operation == 0x15 else accumulator >= value
            at += if_true if holds else if_false


@pytest.mark.parametrize("name", sorted(seccomp.MACHINES))
class TestSeccomp:
    def call(self, name: str, call: str, *arguments: int) -> int:
        machine = seccomp.MACHINES[name]
        number = seccomp.NUMBERS[call][machine.column]
        assert number is not None
        return judge(seccomp.program(machine), machine.audit, number, *arguments)

    @pytest.mark.parametrize("call", ["socket", "connect", "bind", "listen", "accept4", "sendmmsg", "sendmsg"])
    def test_sockets(self, name: str, call: str) -> None:
        assert self.call(name, call, 2, 1, 0) == ERRNO | errno.EACCES

    @pytest.mark.parametrize("call", ["io_uring_setup", "ptrace", "unshare", "bpf", "memfd_create", "shmget", "mount"])
    def test_others(self, name: str, call: str) -> None:
        assert self.call(name, call) == ERRNO | errno.EPERM

    def test_pairs(self, name: str) -> None:
        for flags in (0, 0o4000, 0o2000000):
            assert self.call(name, "socketpair", 1, 1 | flags, 0) == ALLOW
        for family, kind in ((1, 2), (1, 5), (2, 1), (16, 1)):
            assert self.call(name, "socketpair", family, kind, 0) == ERRNO | errno.EACCES

    def test_sending_to_an_address(self, name: str) -> None:
        assert self.call(name, "sendto", 3, 1, 1, 0, 0, 0) == ALLOW
        for address in (1, 1 << 32, 0x7FFF12345678):
            assert self.call(name, "sendto", 3, 1, 1, 0, address, 16) == ERRNO | errno.EACCES

    def test_new_namespaces(self, name: str) -> None:
        assert self.call(name, "clone", 0x01200011) == ALLOW
        assert self.call(name, "clone", 0x003D0F00) == ALLOW
        for flag in (0x00020000, 0x02000000, 0x10000000, 0x40000000):
            assert self.call(name, "clone", 0x11 | flag) == ERRNO | errno.EPERM
        assert self.call(name, "clone3") == ERRNO | errno.ENOSYS

    def test_single_arguments(self, name: str) -> None:
        assert self.call(name, "fcntl", 3, 1031, 1 << 20) == ERRNO | errno.EPERM
        assert self.call(name, "fcntl", 3, 3) == ALLOW
        assert self.call(name, "prctl", 4, 0) == ERRNO | errno.EPERM
        assert self.call(name, "prctl", 15, 0) == ALLOW

    def test_threads_share_their_open_files(self, name: str) -> None:
        assert self.call(name, "clone", 0x003D0F00 & ~0x400) == ERRNO | errno.EPERM
        assert self.call(name, "clone", 0x4111) == ALLOW  # vfork
        assert self.call(name, "close_range", 3, 4, 2) == ERRNO | errno.EPERM
        assert self.call(name, "close_range", 3, 4, 4) == ALLOW

    def test_devices(self, name: str) -> None:
        for kind in (0o20000, 0o60000):
            assert self.call(name, "mknodat", -100 & 0xFFFFFFFF, 0, kind | 0o600) == ERRNO | errno.EPERM
        for kind in (0, 0o10000, 0o100000, 0o140000):
            assert self.call(name, "mknodat", -100 & 0xFFFFFFFF, 0, kind | 0o600) == ALLOW

    def test_attributes(self, name: str) -> None:
        for call in ("setxattr", "lsetxattr", "fsetxattr", "setxattrat"):
            assert self.call(name, call) == ERRNO | errno.EOPNOTSUPP

    def test_all_else_is_allowed(self, name: str) -> None:
        machine = seccomp.MACHINES[name]
        listed = {numbers[machine.column] for numbers in seccomp.NUMBERS.values()}
        for number in set(range(470)) - listed:
            assert judge(seccomp.program(machine), machine.audit, number) == ALLOW

    def test_other_architectures(self, name: str) -> None:
        machine = seccomp.MACHINES[name]
        assert judge(seccomp.program(machine), 0x40000003, 1) == KILL
        assert judge(seccomp.program(machine), machine.audit, 0x40000000 + 41, 2, 1) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize(
    ("header", "column", "prefix"),
    [
        ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0, "__NR_"),
        ("/usr/include/asm-generic/unistd.h", 1, "__NR(?:3264)?_"),
    ],
)
def test_numbers_are_the_kernels(header: str, column: int, prefix: str) -> None:
    path = Path(header)
    if not path.exists():
        pytest.skip(f"{header} is not there on this kind of machine")
    real = {name: int(number) for name, number in re.findall(rf"#define {prefix}(\w+)\s+(\d+)", path.read_text())}
    for name, numbers in seccomp.NUMBERS.items():
        if name in real:
            assert numbers[column] == real[name], name
        else:
            # Newer than the header, or not on that architecture.
            assert (numbers[column] or 1000) > 400, name


class TestFolder:
    def test_put_and_take(self, tmp_path: Path) -> None:
        folder.put(str(tmp_path), "a/b/c", b"one")
        folder.put(str(tmp_path), "a/b/c", b"two")
        assert folder.take(str(tmp_path), "a/b/c", 3) == b"two"
        with pytest.raises(folder.FolderError, match="too large"):
            folder.take(str(tmp_path), "a/b/c", 2)

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        root, outside = tmp_path / "root", tmp_path / "outside"
        root.mkdir()
        outside.mkdir()
        (outside / "file").write_text("secret")
        (root / "folder").symlink_to(outside)
        (root / "file").symlink_to(outside / "file")
        for path in ("folder/file", "file"):
            with pytest.raises(folder.FolderError):
                folder.take(str(root), path, 100)
        with pytest.raises(folder.FolderError):
            folder.put(str(root), "folder/file", b"x")
        folder.put(str(root), "file", b"new")
        assert (outside / "file").read_text() == "secret"
        assert {entry.path for entry in folder.walk(str(root), 3)} == {"folder", "file"}
        folder.empty(str(root))
        assert list(root.iterdir()) == []
        assert (outside / "file").read_text() == "secret"

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(folder.FolderError, match="not a regular file"):
            folder.take(str(tmp_path), "pipe", 10)

    def test_a_tree_deeper_than_paths_can_be(self, tmp_path: Path) -> None:
        top = os.open(tmp_path, os.O_RDONLY)
        here = os.dup(top)
        for _ in range(3000):
            os.mkdir("d" * 20, dir_fd=here)
            below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        os.close(top)
        with pytest.raises(folder.FolderError, match="too deep"):
            list(folder.walk(str(tmp_path), 32))
        folder.empty(str(tmp_path))
        assert list(tmp_path.iterdir()) == []

    def test_a_link_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "file").write_text("secret")
        (tmp_path / "link").symlink_to("outside")
        with pytest.raises(folder.FolderError):
            folder.names(f"{tmp_path}/link")
        assert list(folder.walk(f"{tmp_path}/link", 3)) == []
        with pytest.raises(OSError, match=r"link|directory"):
            folder.empty(f"{tmp_path}/link")
        assert (tmp_path / "outside" / "file").exists()

    def test_folders_without_permissions(self, tmp_path: Path) -> None:
        (tmp_path / "closed").mkdir()
        (tmp_path / "closed" / "file").write_text("x")
        (tmp_path / "closed").chmod(0)
        assert {entry.path for entry in folder.walk(str(tmp_path), 3)} == {"closed", "closed/file"}
        (tmp_path / "closed").chmod(0)
        folder.empty(str(tmp_path))


class TestFrames:
    @pytest.mark.parametrize("size", [1, 2, 5, 1000])
    def test_in_pieces(self, size: int) -> None:
        message = {"text": "ä\ud800" * 100}
        content = frames.encode(message)
        decoder = frames.Decoder()
        answers = [decoder.feed(content[at : at + size]) for at in range(0, len(content), size)]
        assert answers[-1] == message
        assert set(map(type, answers[:-1])) <= {type(None)}

    @pytest.mark.parametrize(
        "content", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\1{", b"\0\0\0\2\xff\xff", b"\0\1\0\0" + b"[" * 65536]
    )
    def test_what_is_no_message(self, content: bytes) -> None:
        with pytest.raises(frames.BadFrameError):
            frames.Decoder(1024 * 1024).feed(content)


class TestPipes:
    def test_capture_keeps_the_beginning(self) -> None:
        read, write = os.pipe()
        capture = Capture(read, 4)
        os.write(write, b"abcdef")
        capture.drain(100)
        assert capture.total == 6
        assert capture.take() == {"text": "abcd", "truncated": True}
        os.close(write)
        assert not capture.pump()
        os.close(read)

    def test_feed_does_not_wait_for_who_does_not_read(self) -> None:
        read, write = os.pipe()
        feed = Feed(write, b"x" * 1_000_000)
        for _ in range(100):
            assert feed.pump()
        os.close(read)
        assert not feed.pump()
        os.close(write)


class TestAnswers:
    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"result": 1, "error": [], "exit_code": "x"},
            {"result": {"type": 1, "text": None}, "error": {"type": {}}, "exit_code": 10**30},
            {"result": {"text": "x" * 10**6}, "exit_code": 0},
            {"result": {"text": "\ud800" * 10**6}, "error": {"message": "\udfff"}, "exit_code": -(10**30)},
            {"exit_code": True},
        ],
    )
    def test_whatever_is_said_has_its_shape(self, said: frames.Message) -> None:
        shaped = answer.describe(Ending("answered", said), "python", Limits())
        assert set(shaped) == {"status", "result", "error", "exit_code"}
        assert shaped["status"] in ("ok", "error")
        assert shaped["exit_code"] is None or 0 <= shaped["exit_code"] <= 255
        assert type(shaped["exit_code"]) in (int, type(None))
        assert len(str(shaped).encode()) < 300_000

    @pytest.mark.parametrize(
        ("language", "code", "status", "shown"),
        [("bash", 0, "ok", 0), ("bash", 3, "error", 3), ("bash", -9, "error", 137), ("python", 0, "crashed", 0)],
    )
    def test_ends_without_an_answer(self, language: str, code: int, status: str, shown: int) -> None:
        shaped = answer.describe(Ending("exited", exit_code=code), language, Limits())
        assert (shaped["status"], shaped["exit_code"]) == (status, shown)


def test_users_are_fresh() -> None:
    users = [uid for count in range(1000) for uid in vars(Identity.number(count)).values()]
    assert len(set(users)) == 2000
    assert min(users) >= 100_000


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["a", "b/c", "b/d"], None),
        (["a", "a"], "a"),
        (["a", "a/b"], "a/b"),
        (["a/b", "a"], "a"),
        (["a/b/c", "a/b/d", "a/b"], "a/b"),
    ],
)
def test_names_that_conflict(given: list[str], wrong: str | None) -> None:
    assert names.conflict(given) == wrong
