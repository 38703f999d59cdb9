"""One line instead of a traceback when the engine interrupts the program."""

import os
import signal
import sys
from types import FrameType
from typing import Final

_HOST: Final = "pulumi-language-python-exec"
"""The official CLI's script that runs programs. Elsewhere (`make preview`, tests) the signal is handled by others."""
_SAID: Final = 32
"""The exit status that tells the engine that the error has been reported."""
_MESSAGE: Final = (
    "The engine has interrupted the program. The reason is the first other error in the Diagnostics, most often a "
    "provider's, such as missing credentials; after Ctrl-C there is none. "
    "See docs/runbooks/the-engine-was-interrupted.md."
)


def explain_interrupt() -> None:
    """Print where to find the real error when the engine interrupts the program, as it does when a provider fails.

    Python would print about 25 lines that end in `KeyboardInterrupt`, next to the error or above it.
    """
    if any(_HOST in word for word in sys.orig_argv):
        signal.signal(signal.SIGINT, _stop)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    print(_MESSAGE, file=sys.stderr, flush=True)
    os._exit(_SAID)
