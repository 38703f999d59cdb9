"""Where things are: the checkout and what is made inside it, all of it ignored by git."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
TOOLS = CHECKOUT / ".engine"
"""Programs built from `engine/go.mod`."""
PREVIEW = CHECKOUT / ".preview"
"""State, home and working copies of the plans."""
