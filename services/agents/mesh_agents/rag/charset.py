"""Text in whatever encoding it has."""

import codecs
import re
import unicodedata
from typing import Final

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Those of UTF-32 before those of UTF-16, with which they begin."""
_WIDE: Final = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_SAMPLE: Final = 262_144
"""Bytes that tell an encoding."""
_FEW: Final = 10
"""UTF-8 with one broken sequence among so many whole ones is UTF-8 that was damaged, and no other encoding."""
_USUAL: Final = 0.02
"""Share of `_COMMON` characters that any text has."""
_NOT_LEGACY: Final = [
    # Code pages of mainframes, in which nearly any bytes are text, and forms of Unicode that were looked for before.
    *("cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"),
    *("utf_7", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be"),
]
_COMMON: Final = frozenset(" \n\r\t,.;:-_\"'()/0123456789\u3001\u3002\uff0c\u3000")

_DECLARED: Final = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE
)
_MEANT: Final = {
    "iso-8859-1": "cp1252",
    "us-ascii": "cp1252",
    "latin1": "cp1252",
    "iso-8859-9": "cp1254",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "utf-16": "utf-8",
    "utf-16le": "utf-8",
    "utf-16be": "utf-8",
}
"""Names of encodings in web pages and what browsers take them for."""


def decode(content: bytes, declared: str | None = None) -> str | None:
    """The text; None: it is none. `declared` is what the document or its envelope says its encoding is."""
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return _strictly(content, encoding)
    # What is UTF-8 throughout is hardly ever anything else, whatever it says.
    for encoding in filter(None, ("utf-8", declared)):
        if (text := _strictly(content, encoding)) is not None:
            return text
    if b"\x1b$" in content:
        return _strictly(content, "iso2022_jp")
    if b"\0" in content:
        return _wide(content)
    return _damaged(content) or _legacy(content)


def utf8(content: bytes) -> str | None:
    """The text of what is UTF-8, as most is; None: it is something else."""
    return _strictly(content, "utf-8-sig")


def _strictly(content: bytes, encoding: str) -> str | None:
    """The text in just this encoding, when it is text."""
    try:
        text = content.decode(encoding)
    except (UnicodeError, LookupError):
        return None
    return None if _CONTROL.search(text) else text


def _wide(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: whichever order of bytes makes characters that texts are made of."""
    found = [(text, _common(text)) for encoding in _WIDE if (text := _strictly(content, encoding))]
    text, share = max(found, key=lambda pair: pair[1], default=("", 0.0))
    return text if share >= _USUAL else None


def _common(text: str) -> float:
    """The share of blanks, digits and signs that no text is without; 0, if there is what no text has."""
    sample = text[:20_000]
    if any(unicodedata.category(character) in ("Cn", "Co", "Cs") for character in sample):
        return 0.0
    return sum(character in _COMMON for character in sample) / len(sample)


def _damaged(content: bytes) -> str | None:
    """UTF-8 in which little is broken, with a mark in place of that."""
    text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = sum(character > "\x7f" for character in text) - broken
    return text if whole >= _FEW * broken and not _CONTROL.search(text) else None


def _legacy(content: bytes) -> str | None:
    """A code page of before Unicode, guessed from what it makes of the bytes."""
    # Heavy, and seldom needed.
    from charset_normalizer import from_bytes

    sample = content[:_SAMPLE]
    if len(content) > len(sample):
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    best = from_bytes(sample, cp_exclusion=_NOT_LEGACY).best()
    if best is None:
        return None
    if (text := _strictly(content, best.encoding)) is not None:
        return text
    text = content.decode(best.encoding, "replace")
    broken = text.count("\ufffd")
    return None if _CONTROL.search(text) or broken * 1000 > len(text) else text


def declared(page: bytes) -> str | None:
    """The encoding that a web page says it has, in its first kilobyte or two."""
    found = _DECLARED.search(page[:2048])
    name = found[1].decode("ascii", "replace").lower() if found else None
    # As browsers do: what can be read cannot be UTF-16, and the old names mean what Windows made of them.
    return _MEANT.get(name, name) if name else None
