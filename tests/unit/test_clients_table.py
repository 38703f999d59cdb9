"""The table of clients is whole, and its pins name no registry."""

import re
from pathlib import Path

import pytest

from engine.root import CHECKOUT
from tests.clients.addressless import addressless
from tests.clients.document import markdown
from tests.clients.running import PROGRAMS, Outcome, differences
from tests.clients.table import CLIENTS, FEATURES, FURTHER, PINNED, Client

PROGRAMMED = [client for client in CLIENTS if client.program]
EACH = pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])


@EACH
def test_every_cell_works_or_says_why_not(client: Client) -> None:
    known = {*client.works, *client.refused, *client.absent}
    assert known >= set(FEATURES)
    assert known <= {*FEATURES, *FURTHER}
    assert len(client.works) + len(client.refused) + len(client.absent) == len(known)


@pytest.mark.parametrize("client", PROGRAMMED, ids=lambda client: client.name)
def test_its_program_tries_what_the_table_expects(client: Client) -> None:
    source = (PROGRAMS / client.program).read_text()
    tried = set(re.findall(r'^ +"(\w+)": (?:page\.)?\1,$|^  async (\w+)\(\) \{$', source, re.MULTILINE))
    assert {python or node for python, node in tried} == set(client.expected())


@EACH
def test_its_settings_name_the_platform_and_no_key(client: Client) -> None:
    assert re.search(r"https://DOMAIN|http://litellm:8081/v1", client.settings)
    assert f"## {client.title}\n" in markdown()


def test_what_is_pinned_is_tried() -> None:
    names = {client.name for client in PROGRAMMED if client.package}
    assert {folder.name for folder in PINNED.iterdir()} == names | {"node"}
    for client in CLIENTS:
        assert not client.package or re.fullmatch(r"\d+(\.\d+)+", client.version())


LOCKS = (*sorted(PINNED.glob("*/*")), *CHECKOUT.glob("lab/images/standins/*/package-lock.json"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_pin_names_a_registry(lock: Path) -> None:
    text = lock.read_text()
    if lock.name == "package-lock.json":
        assert addressless(text) == text
        assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|@ https?:", text)
    if lock.name == "requirements.txt":
        assert text.count("==") <= text.count("--hash=sha256:")


def test_an_outcome_that_the_table_does_not_expect_is_told() -> None:
    client = next(client for client in CLIENTS if client.refused)
    found = {feature: Outcome(kind, client.refused.get(feature, "")) for feature, kind in client.expected().items()}
    assert differences(client, found) == []
    refused = next(iter(client.refused))
    assert len(differences(client, found | {"chat": Outcome("fails", "no")})) == 1
    assert len(differences(client, found | {refused: Outcome("refused", "no")})) == 1
    assert len(differences(client, found | {"unheard_of": Outcome("works", "yes")})) == 1
    assert len(differences(client, {name: one for name, one in found.items() if name != "chat"})) == 1
