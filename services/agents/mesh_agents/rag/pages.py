"""The visible text of a web page, read in a process of its own.

Pages come from anywhere, and some are made so that a parser works on them for minutes or ends in memory's end: here
that ends one small process, and nobody else waits meanwhile. `python -m mesh_agents.rag.pages` is that process.
"""

import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Final

from selectolax.lexbor import LexborHTMLParser

SECONDS: Final = 20
"""Of the processor, for one page."""
_MEMORY: Final = 1 << 30
_HIDDEN: Final = "script, style, noscript, template, nav, svg, iframe, [hidden], [aria-hidden=true]"
_BLOCKS: Final = "p, div, li, tr, h1, h2, h3, h4, h5, h6, pre, br, section, article, blockquote, table, title"
_CELLS: Final = "td, th"
_PACKAGES: Final = str(Path(__file__).parents[2])


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


def read_apart(html: str) -> str | None:
    """`html_text` in a process of its own; None: the page is too much for it. To be called in a thread."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mesh_agents.rag.pages"],
            input=html.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Nothing else of ours is of use to it.
            env={"PYTHONPATH": _PACKAGES},
            timeout=3 * SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.decode() if done.returncode == 0 else None


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    html = sys.stdin.buffer.read().decode()
    sys.stdout.buffer.write(html_text(html).encode())


if __name__ == "__main__":
    _main()
