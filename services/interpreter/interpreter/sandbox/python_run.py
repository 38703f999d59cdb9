"""Runs Python in the user's process; all of this is in the hands of the code that it runs."""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import os
import sys
import traceback
import types
from typing import Any, Final

from interpreter import frames
from interpreter.sandbox.launch import Place

REQUESTS: Final = 3
RESULTS: Final = 4
_FILE: Final = "<code>"
_TRACEBACK_CHARS: Final = 16 * 1024


class Session:
    """Keeps names from one run to the next."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._plots = 0
        self._module = types.ModuleType("__main__")
        sys.modules["__main__"] = self._module
        sys.argv = [""]
        sys.path.insert(0, place.work)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "wb"), "utf-8", "backslashreplace", write_through=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "wb"), "utf-8", "backslashreplace", write_through=True)
        _fresh_randomness()

    def serve(self) -> None:
        """Answer requests until the warden closes."""
        while (request := frames.read_blocking(REQUESTS)) is not None:
            answer = self.run(request["code"], request["stdin"])
            frames.write_blocking(RESULTS, answer)

    def run(self, code: str, stdin: str) -> frames.Message:
        """Run one piece of code and say how it ended."""
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
        self._take_over_show()
        answer: frames.Message = {"result": None, "error": None, "exit_code": 0}
        try:
            value = self._evaluate(code)
            if value is not None:
                text = repr(value)[: self._place.limits.result_chars]
                answer["result"] = {"type": type(value).__name__, "text": text}
            self._save_figures()
        except SystemExit as exit_:
            answer["exit_code"] = _exit_code(exit_.code)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its result
            answer["error"] = _describe(error)
            answer["exit_code"] = 1
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        return answer

    def _evaluate(self, code: str) -> Any:
        linecache.cache[_FILE] = (len(code), None, code.splitlines(keepends=True), _FILE)
        tree = ast.parse(code, _FILE)
        last = tree.body[-1] if tree.body else None
        names = self._module.__dict__
        if not isinstance(last, ast.Expr):
            exec(compile(tree, _FILE, "exec"), names)  # noqa: S102 - it is what this service is for
            return None
        exec(compile(ast.Module(tree.body[:-1], tree.type_ignores), _FILE, "exec"), names)  # noqa: S102
        return eval(compile(ast.Expression(last.value), _FILE, "eval"), names)  # noqa: S307

    def _take_over_show(self) -> None:
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return

        def show(*_: object, **__: object) -> None:
            self._save_figures()

        pyplot.show = show

    def _save_figures(self) -> None:
        """Write the open figures as PNG, in the order of their making, and close them."""
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return
        for number in pyplot.get_fignums():
            self._plots += 1
            pyplot.figure(number).savefig(f"{self._place.plots}/{self._plots:06}.png", format="png")
        pyplot.close("all")


def _fresh_randomness() -> None:
    """All boxes are forked from one process: without this each would draw the same numbers."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(int.from_bytes(os.urandom(4)))


def _exit_code(code: object) -> int:
    """As the interpreter itself turns it into a number."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _describe(error: BaseException) -> dict[str, str]:
    # Our own frames say nothing to the caller.
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != _FILE:
        frame = frame.tb_next
    try:
        lines = traceback.format_exception(type(error), error, frame)
        message = str(error)
    except BaseException:  # noqa: BLE001 - an exception's own methods are user code
        lines, message = [], ""
    return {
        "type": type(error).__name__,
        "message": message[:_TRACEBACK_CHARS],
        "traceback": "".join(lines)[-_TRACEBACK_CHARS:],
    }
