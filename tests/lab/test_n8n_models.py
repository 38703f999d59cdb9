"""n8n's own nodes for OpenAI's API, in a workflow that a webhook at the public edge starts."""

import json
from collections.abc import Iterator

import pytest

from tests.clients.n8n_workflow import CREDENTIAL, outcomes, workflow
from tests.clients.running import Outcome, differences
from tests.clients.table import CLIENTS
from tests.lab.mesh import Mesh
from tests.lab.test_n8n import Editor, editor, eventually  # noqa: F401 - a fixture
from tests.lab.user import User

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.rehearsal]

BASE_URL = "http://litellm:8081/v1"
PATH = "lab-models"


def entered(editor: Editor, key: str) -> dict[str, str]:  # noqa: F811
    """A credential, as a person makes it."""
    data = {"apiKey": key, "url": BASE_URL}
    status, made = editor.ask("/rest/credentials", {"name": PATH, "type": CREDENTIAL, "data": data})
    assert status == 200, made
    return {"id": made["id"], "name": PATH}


def connects(editor: Editor, credential: dict[str, str], key: str) -> Outcome:  # noqa: F811
    """What n8n's own test of a credential says: it asks for the list of models."""
    data = {"apiKey": key, "url": BASE_URL}
    status, told = editor.ask(
        "/rest/credentials/test", {"credentials": {**credential, "type": CREDENTIAL, "data": data}}
    )
    assert status == 200, told
    return Outcome("works" if told["status"] == "OK" else "refused", json.dumps(told))


@pytest.fixture
def credential(editor: Editor, mesh: Mesh) -> Iterator[dict[str, str]]:  # noqa: F811
    made = entered(editor, mesh.passwords("oracle1")["litellm-n8n-key"])
    yield made
    editor.tidy()
    assert editor.ask(f"/rest/credentials/{made['id']}", None, "-X", "DELETE")[0] == 200


def test_its_nodes_do_what_the_table_says(
    user: User,
    mesh: Mesh,
    editor: Editor,  # noqa: F811
    credential: dict[str, str],
) -> None:
    key = mesh.passwords("oracle1")["litellm-n8n-key"]
    found = {"models": connects(editor, credential, key)}
    wrong = connects(editor, credential, "sk-wrong")
    found["wrong_key"] = Outcome("works" if wrong.kind == "refused" else "fails", wrong.says)
    status, made = editor.ask("/rest/workflows", workflow(PATH, credential, BASE_URL))
    assert status == 200, made
    editor.made.append(made["id"])
    status, active = editor.ask(f"/rest/workflows/{made['id']}/activate", {"versionId": made["versionId"]})
    assert (status, active.get("active")) == (200, True), active
    status, _, body = eventually(
        lambda: user.ask(f"/webhook/{PATH}", {}, "-H", "Content-Type: application/json", key=False),
        # n8n publishes a little later than it says.
        lambda answer: answer[0] not in (404, 502, 503, 504),
    )
    assert status == 200, body
    found |= outcomes(json.loads(body))
    (client,) = (client for client in CLIENTS if client.name == "n8n")
    told = differences(client, found)
    assert not told, "\n".join(told)
