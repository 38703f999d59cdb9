"""The generated documents say what the topology says."""

from docs.generate import FILE, generated


def test_architecture_is_not_stale() -> None:
    assert FILE.read_text(encoding="utf-8") == generated(), "run: make docs"
