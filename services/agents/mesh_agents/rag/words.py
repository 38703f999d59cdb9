"""The words of a text as a sparse vector: BM25, whose other half, how rare a word is, the vector database keeps.

Meaning alone misses what has none: names of settings, functions, products, error numbers. `training.retrieval.measure`
says what each finds.
"""

import re
import zlib
from collections import Counter
from typing import Final

_WORD: Final = re.compile(r"\w+")
_SATURATION: Final = 1.2
_LENGTH: Final = 0.75
"""BM25's constants k1 and b, at their usual values."""
_USUAL: Final = 190
"""Words of a chunk of full size; the database knows no average."""
_LONGEST: Final = 64
"""Characters; what is longer is no word that anybody asks for."""

_LOOK_UP: Final = 2
_NAMES: Final = 4
"""Of one question."""
_NAME: Final = re.compile(
    # snake_case, camelCase, ABBREVIATION, a code of letters and digits, a number too long for a year or an amount.
    r"\w*[^\W_]_[^\W_]\w*|\w*[a-z][A-Z]\w*|[A-Z]{6,}|(?=\w*\d)(?=\w*[^\W\d_])\w{4,}|\d{5,}"
)

Sparse = tuple[list[int], list[float]]
"""Indices and values."""


def of_chunk(text: str) -> Sparse:
    """How much a chunk is about each of its words."""
    words = _words(text)
    longer = 1 - _LENGTH + _LENGTH * len(words) / _USUAL
    counts = Counter(map(_index, words))
    weights = [count * (_SATURATION + 1) / (count + _SATURATION * longer) for count in counts.values()]
    return list(counts), weights


def of_query(text: str) -> Sparse:
    """The words that are looked for, each once."""
    indices = sorted({_index(word) for word in _words(text)})
    return indices, [1.0] * len(indices)


def names(text: str) -> list[Sparse]:
    """What a question names rather than tells: identifiers and codes, and each word of a query that is but two.

    Meaning says little about them, so that a passage which holds one is worth showing whatever its similarity.
    """
    found = _WORD.findall(text)
    if len(found) > _LOOK_UP:
        found = [word for word in found if _NAME.fullmatch(word)]
    indices = dict.fromkeys(_index(word.casefold()) for word in found if len(word) <= _LONGEST)
    return [([index], [1.0]) for index in list(indices)[:_NAMES]]


def _words(text: str) -> list[str]:
    """Lower-case words; a name with underscores also by its parts, as questions have them."""
    found: list[str] = []
    for word in _WORD.findall(text.casefold()):
        if len(word) <= _LONGEST:
            found.append(word)
        if "_" in word:
            found += [part for part in word.split("_") if 0 < len(part) <= _LONGEST]
    return found


def _index(word: str) -> int:
    """A number for a word; of a million words each shares it with another by a chance of 1 in 4,000."""
    return zlib.crc32(word.encode())
