"""The generated documents say what their sources say."""

from pathlib import Path

import pytest

from docs.generate import PARTS, generated


@pytest.mark.parametrize("file", PARTS, ids=[file.name for file in PARTS])
def test_a_document_is_up_to_date(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == generated(file), "run: make docs"


def test_the_lab_s_document_names_each_of_its_tests() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "lab.md").read_text(encoding="utf-8")
    assert [
        path.name for path in sorted((root / "tests" / "lab").glob("test_*.py")) if f"`{path.name}`" not in text
    ] == []
