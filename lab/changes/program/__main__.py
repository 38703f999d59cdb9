"""The project's program with edited tables; `lab.changes.kinds` has the edits."""

import os
import runpy

from lab.changes.kinds import EDIT_VARIABLE, EDITS, ROOT

EDITS[os.environ[EDIT_VARIABLE]]()
runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
