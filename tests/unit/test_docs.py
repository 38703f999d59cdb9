"""The generated documents say what their sources say."""

from pathlib import Path

import pytest

from docs.generate import PARTS, generated


@pytest.mark.parametrize("file", PARTS, ids=[file.name for file in PARTS])
def test_a_document_is_up_to_date(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == generated(file), "run: make docs"
