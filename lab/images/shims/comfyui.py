"""Where ComfyUI's `main.py` lies: starts the stand-in with the same arguments."""

import sys

sys.path.insert(0, "/opt")

from lab.images.standins.images import main

main()
