"""Finds the mirror of Debian's main archive among the sources of this machine's apt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

APT: Final = Path("/etc/apt")
_SUITE: Final = re.compile(r"(old)*stable|testing|unstable|sid|experimental|bullseye|bookworm|trixie|forky|duke")
"""Suites of the main archive, updates, backports and security updates left out."""


@dataclass(frozen=True)
class Source:
    """One source of packages: its URLs, suites and components."""

    urls: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]


def debian_mirror(apt: Path = APT) -> str:
    """The mirror that this machine's apt uses for Debian's main archive; empty: debootstrap's default.

    Other sources, such as those of Docker or of security updates, have no base system; their URLs end in other names,
    or they have other suites or components.
    """
    for source in sources(apt):
        if "main" in source.components and any(_SUITE.fullmatch(suite) for suite in source.suites):
            for url in source.urls:
                # A source without a URL, such as `mirror+file:/...`, is of no use to debootstrap.
                if (
                    "://" in url
                    and re.search(r"/debian[^/]*/?$", url)
                    and "security" not in url.rstrip("/").split("/")[-1]
                ):
                    return url
    return ""


def sources(apt: Path) -> Iterator[Source]:
    """Sources of binary packages, in the order in which apt reads the files: one line each, or deb822 stanzas."""
    parts = apt / "sources.list.d"
    for file in (apt / "sources.list", *sorted([*parts.glob("*.list"), *parts.glob("*.sources")])):
        text = file.read_text() if file.exists() else ""
        yield from _stanzas(text) if file.suffix == ".sources" else _lines(text)


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.split("#")[0]).split()
        if len(words) > 2 and words[0] == "deb":
            yield Source((words[1],), (words[2],), tuple(words[3:]))


def _stanzas(text: str) -> Iterator[Source]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if not line.startswith((" ", "\t")):
                name = line.partition(":")[0]
            fields.setdefault(name.strip().lower(), []).extend(line.removeprefix(f"{name}:").split())
        if "deb" in fields.get("types", ()) and fields.get("enabled", ["yes"])[0].lower() not in ("no", "false", "0"):
            found = (tuple(fields.get(key, ())) for key in ("uris", "suites", "components"))
            yield Source(*found)
