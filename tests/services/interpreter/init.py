"""A container's first process, as `docker run --init` has one: passes signals on and collects the dead."""

import os
import signal
import sys


def main() -> int:
    pid = os.fork()
    if pid == 0:
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell around it
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main())
