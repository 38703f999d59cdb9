"""The generated part of `docs/clients.md`."""

from collections.abc import Iterable, Mapping
from typing import Final

from tests.clients.table import CLIENTS, FEATURES, FURTHER, Client

TITLES: Final = {**FEATURES, **FURTHER}


def markdown() -> str:
    """Tables of clients and features, and how each client is set up."""
    parts = [_table(FEATURES), _table(FURTHER, only=True), *_reasons(), *(_about(client) for client in CLIENTS)]
    return "\n".join(parts)


def _named(client: Client) -> str:
    return f"{client.title} ({client.version()})" if client.package else client.title


def _table(features: Mapping[str, str], *, only: bool = False) -> str:
    """`only`: of the clients that have one of them."""
    rows = [["client", *features.values()], ["---"] * (len(features) + 1)]
    for client in CLIENTS:
        cells = [_cell(client, feature) for feature in features]
        if not only or any(cell != "-" for cell in cells):
            rows.append([_named(client), *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(client: Client, feature: str) -> str:
    if feature in client.works:
        return "works"
    return "refused" if feature in client.refused else "-"


def _reasons() -> Iterable[str]:
    """Why a cell is not `works`."""
    yield (
        "A wrong key and an unknown model work where the client raises its own error for them, with the platform's "
        "words.\n"
    )
    lines: dict[str, list[str]] = {}
    for client in CLIENTS:
        for feature, why in client.absent.items():
            lines.setdefault(f"{TITLES[feature]}: {why}", []).append(client.title)
        for feature, words in client.refused.items():
            title = f"{TITLES[feature]}: refused, and the answer's words hold `{words}`"
            lines.setdefault(title, []).append(client.title)
    yield "".join(f"- {why} ({', '.join(clients)}).\n" for why, clients in lines.items())


def _about(client: Client) -> str:
    quirks = "".join(f"- {quirk}\n" for quirk in client.quirks)
    more = f"\n{quirks}" if quirks else ""
    return f"## {client.title}\n\n```{client.language}\n{client.settings}```\n{more}"
