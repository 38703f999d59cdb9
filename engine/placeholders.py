"""Stand-ins for the keys that only a deploy needs, so that a plan runs without any account."""

from __future__ import annotations

from collections.abc import Mapping

VALUE = "placeholder-for-the-plan"

PLACEHOLDERS: Mapping[str, str] = {
    "CLAUDE_API_KEY": VALUE,
    "OPENROUTER_API_KEY": VALUE,
}
"""Environment variables, by name, that the program reads and a plan fills in where they are absent."""
