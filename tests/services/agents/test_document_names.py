"""The names of documents: as they were sent, in every form in which clients send them."""

import json
from urllib.parse import quote

import httpx
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")


def _sent(client: httpx.Client, disposition: str) -> httpx.Response:
    """One part with this header behind `form-data; name="file"`."""
    head = f'--x\r\nContent-Disposition: form-data; name="file"; {disposition}\r\n\r\n'
    body = head.encode() + b"some words about ships\r\n--x--\r\n"
    return client.post("/v1/documents", content=body, headers={"content-type": "multipart/form-data; boundary=x"})


NAMES = [
    "Vertrag (Größe) \u2013 final.txt",
    "契約書.txt",
    "⚓️ harbour 🚢.txt",
    'the "old" one.txt',
    "a/b/c.txt",
    "..",
    "../../etc/passwd",
    "back\\slash.txt",
    "semi; colon=1.txt",
    "O'Brien's.txt",
    "100% done.txt",
    "\u202egnp.txt",
    "x" * 251 + ".txt",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_survives(mine: httpx.Client, name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    forms = {
        "extended": f"filename*=UTF-8''{quote(name, safe='')}",
        "both": f"filename=\"fallback.txt\"; filename*=utf-8''{quote(name, safe='')}",
        "quoted": f'filename="{quoted}"',
        "as browsers do": f'filename="{name.replace(chr(92), chr(92) * 2).replace(chr(34), "%22")}"',
    }
    for form, disposition in forms.items():
        answer = _sent(mine, disposition)
        assert answer.status_code in (200, 201), (form, answer.text)
        assert (answer.json()["name"], answer.json()["source"]) == (name, name), form
    [document] = mine.get("/v1/documents").json()["data"]
    assert document["name"] == name
    [hit] = mine.post("/v1/search", json={"query": "ships"}).json()["data"]
    assert hit["source"] == name


def test_a_name_in_another_charset(mine: httpx.Client) -> None:
    assert _sent(mine, "filename*=iso-8859-1'de'Gr%F6%DFe.txt").json()["name"] == "Größe.txt"


@pytest.mark.parametrize("name", ["x" * 900 + "%d.txt", "ä" * 600 + "%d.txt"])
def test_very_long_names_stay_apart(mine: httpx.Client, name: str) -> None:
    made = [_sent(mine, f'filename="{name % number}"').json() for number in (1, 2)]
    assert [document["name"] for document in made] == [name % 1, name % 2]
    assert made[0]["id"] != made[1]["id"]
    assert all(len(document["source"]) <= 500 for document in made)


def test_line_ends_in_a_name_are_none_in_its_source(mine: httpx.Client) -> None:
    document = _sent(mine, 'filename="a%0D%0AX-Y: z.txt"').json()
    assert (document["name"], document["source"]) == ("a\r\nX-Y: z.txt", "a X-Y: z.txt")
    assert "\r" not in json.dumps(document["source"])


@pytest.mark.parametrize(
    "disposition", ['filename=""', "filename*=UTF-8''%FF%FE", "filename*=utf-99''a", "filename*=''"]
)
def test_no_name_is_refused(mine: httpx.Client, disposition: str) -> None:
    answer = _sent(mine, disposition)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert mine.get("/v1/documents").json()["data"] == []
