"""What the program says when the engine stops it: one line instead of a traceback."""

import os
import signal
import sys
from types import FrameType
from typing import Final

_HOST: Final = "pulumi-language-python-exec"
"""The official CLI's script that runs programs. Elsewhere (`make preview`, tests) the signal is others' business."""
_SAID: Final = 32
"""The exit status by which that script tells the engine that all has been said."""
_MESSAGE: Final = (
    "The engine has stopped the program before its end. Why is in the first error of the Diagnostics that is not this "
    "one, most often a provider's, such as missing credentials. After Ctrl-C there is none. "
    "See docs/runbooks/the-engine-was-interrupted.md."
)


def explain_interrupt() -> None:
    """Print where the real error stands when the engine interrupts the program, which it does when a provider fails.

    Python would print some 25 lines that end in `KeyboardInterrupt`, beside the error or above it.
    """
    if any(_HOST in word for word in sys.orig_argv):
        signal.signal(signal.SIGINT, _stop)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    print(_MESSAGE, file=sys.stderr, flush=True)
    os._exit(_SAID)
