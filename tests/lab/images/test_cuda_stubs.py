"""An empty library satisfies the loader in the place of the one that a program was linked with."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.images.cuda_stubs import COMPILER, EMPTIED, KEPT, empty

pytestmark = pytest.mark.skipif(
    not COMPILER.exists() or shutil.which("nm") is None, reason="the empty libraries are made by a C compiler"
)


def compiled(path: Path, source: str, *options: str, version: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.with_suffix(".c")
    text.write_text(source)
    if version:
        script = path.with_suffix(".versions")
        script.write_text(f"{version} {{ global: *; }};\n")
        options = (*options, f"-Wl,--version-script,{script}")
    command = [str(COMPILER), "-shared", f"-Wl,-soname,{path.name}", "-o", str(path), str(text), *options]
    subprocess.run(command, check=True)
    return path


def test_a_program_that_was_linked_with_the_large_one_loads_with_the_empty_one(tmp_path: Path) -> None:
    nvidia = tmp_path / "nvidia"
    for name in EMPTIED:
        version = "" if "cu13" not in name else Path(name).name
        compiled(nvidia / name, "int answer(void) { return 42; }\nint table[3] = {1, 2, 3};\n", version=version)
    kept = compiled(nvidia / "cu13/lib/libcudart.so.13", "int runtime(void) { return 7; }\n")
    loaded_late = compiled(nvidia / "cu13/lib/libcusolver.so.12", "int solve(void) { return 1; }\n")
    blas = nvidia / EMPTIED[0]
    source = "int answer(void); int runtime(void); int asked(void) { return answer() + runtime(); }\n"
    user = compiled(tmp_path / "libuser.so", source, str(blas), str(kept))
    empty(nvidia)
    assert kept.name.startswith(KEPT)
    assert kept.exists()
    assert not loaded_late.exists()
    for library in (kept, blas):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    # Every symbol is bound now, with its version, or the loader refuses.
    assert ctypes.CDLL(str(user), mode=ctypes.RTLD_GLOBAL).asked() == 7
