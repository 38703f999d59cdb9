"""Splits text into the word pieces of uncased BERT, of which the router has a score each."""

import unicodedata
from collections.abc import Collection
from typing import Final

MOST: Final = 256
"""Pieces that are looked at; more say no more about what is asked for."""
_LONGEST: Final = 40
"""Characters; a longer word is no word of a language."""


def pieces(text: str, vocabulary: Collection[str]) -> list[str]:
    """The pieces of `text` that are in `vocabulary`, in order; a word that cannot be spelled with it is left out."""
    found: list[str] = []
    for word in _basic(text):
        found += _greedy(word, vocabulary)
        if len(found) >= MOST:
            break
    return found


def _basic(text: str) -> list[str]:
    """Lower-case words without accents, and each punctuation mark by itself."""
    plain = unicodedata.normalize("NFD", text.lower())
    spaced = "".join(_spaced(char) for char in plain if unicodedata.category(char) != "Mn")
    return spaced.split()


def _spaced(char: str) -> str:
    return char if char.isalnum() else f" {char} "


def _greedy(word: str, vocabulary: Collection[str]) -> list[str]:
    """The longest pieces from the left; nothing when a rest stays."""
    if len(word) > _LONGEST:
        return []
    found: list[str] = []
    start = 0
    while start < len(word):
        end = len(word)
        while end > start and _piece(word, start, end) not in vocabulary:
            end -= 1
        if end == start:
            return []
        found.append(_piece(word, start, end))
        start = end
    return found


def _piece(word: str, start: int, end: int) -> str:
    return word[start:end] if start == 0 else f"##{word[start:end]}"
