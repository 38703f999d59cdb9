"""The visible text of a web page. Parsers work for minutes on some: the confined process reads what strangers send."""

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser

_HIDDEN: Final = "script, style, noscript, template, nav, svg, iframe, [hidden], [aria-hidden=true]"
_BLOCKS: Final = "p, div, li, tr, h1, h2, h3, h4, h5, h6, pre, br, section, article, blockquote, table, title"
_CELLS: Final = "td, th"


def html_text(html: str) -> str:
    """The visible text of a page, a line for each block."""
    tree = LexborHTMLParser(html)
    for node in tree.css(_HIDDEN):
        node.decompose()
    for node in tree.css(_BLOCKS):
        node.insert_after("\n")
    for node in tree.css(_CELLS):
        node.insert_after(" ")
    root = tree.body or tree.root
    text = root.text(deep=True, separator="") if root else ""
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
