"""The stand-in of Grafana refuses the requests and the provisioning that Grafana refuses, and takes ours."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.images.standins import grafana
from render.grafana import grafana_datasources
from tests.contracts.upstream_facts import Fact, read
from tests.lab.images.conftest import Client

UPSTREAM = read("grafana")
PROMETHEUS = {"name": "P", "type": "prometheus", "url": "http://127.0.0.1:1"}


def written(folder: Path, *files: Any) -> Path:
    """A provisioning folder."""
    (folder / "datasources").mkdir()
    for number, file in enumerate(files):
        text = file if isinstance(file, str) else yaml.safe_dump({"apiVersion": 1, "datasources": file})
        (folder / "datasources" / f"{number}.yaml").write_text(text)
    return folder


def test_ours_is_taken_and_each_source_has_an_id_of_its_own(tmp_path: Path) -> None:
    found = grafana.provisioned(written(tmp_path, grafana_datasources()))
    assert all(source["uid"] == source["name"].lower() for source in found)
    assert {source["type"] for source in found} <= grafana.CORE


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            [[{**PROMETHEUS, "isDefault": True}], [{**PROMETHEUS, "name": "Q", "isDefault": True}]],
            "Only one datasource",
        ),
        ([[{**PROMETHEUS, "uid": "a"}, {**PROMETHEUS, "name": "Q", "uid": "a"}]], "same uid already exists"),
        (["datasources: ["], "0.yaml"),
    ],
)
def test_it_does_not_start_on_a_file_that_is_wrong(tmp_path: Path, files: list[Any], said: str) -> None:
    with pytest.raises(grafana.ProvisioningError, match=said):
        grafana.provisioned(written(tmp_path, *files))


def test_a_dollar_in_a_value_is_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_OF_TEST", "there")
    source = {**PROMETHEUS, "url": "http://$HOST_OF_TEST:${HOST_OF_TEST}", "database": "a$NONE_OF_TEST-b$$c"}
    [found] = grafana.provisioned(written(tmp_path, [source]))
    assert (found["url"], found["database"]) == ("http://there:there", "a-b$c")


def test_a_source_without_its_plugin_is_listed_and_cannot_be_asked(
    tmp_path: Path, serve: Callable[..., Client]
) -> None:
    sources = grafana.provisioned(written(tmp_path, [{**PROMETHEUS, "type": "victoriametrics-logs-datasource"}]))
    client = serve(grafana.make("admin", "right", sources))
    headers = basic("admin:right")
    assert client.ask("GET", "/api/datasources", None, headers)[0] == 200
    status, answer = client.ask("GET", "/api/datasources/proxy/1/api/v1/query", None, headers)
    assert (status, answer["message"]) == (404, "Unable to find datasource plugin")


def basic(credentials: str) -> dict[str, str]:
    """Headers with a name and a password."""
    return {"authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def asked(path: str, credentials: str = "admin:right", *, before: int = 0) -> Callable[[Client], tuple[int, Any]]:
    """A request, after so many with a wrong password; no credentials where they are empty."""

    def ask(client: Client) -> tuple[int, Any]:
        for _ in range(before):
            client.ask("GET", "/api/user", None, basic("admin:wrong"))
        status, content, _ = client.raw("GET", path, None, basic(credentials) if credentials else {})
        return status, content.decode()

    return ask


EXAMPLES = {
    "no credentials": asked("/api/datasources", ""),
    "a wrong password": asked("/api/datasources", "admin:wrong"),
    "an unknown user": asked("/api/datasources", "root:right"),
    "an empty password": asked("/api/datasources", "admin:"),
    "the right password after five wrong ones": asked("/api/datasources", before=5),
    "a page without signing in": asked("/dashboards", ""),
    "a data source that is not there": asked("/api/datasources/proxy/9/api/v1/query"),
    "a data source without its plugin": asked("/api/datasources/proxy/1/api/v1/query"),
}


@pytest.mark.parametrize("fact", UPSTREAM.refuses, ids=lambda fact: fact.get("what"))
def test_what_the_program_refuses_is_refused(tmp_path: Path, serve: Callable[..., Client], fact: Fact) -> None:
    sources = grafana.provisioned(written(tmp_path, [{**PROMETHEUS, "type": "victoriametrics-logs-datasource"}]))
    status, answer = EXAMPLES[fact.get("what")](serve(grafana.make("admin", "right", sources)))
    assert (status, fact.get("says") in answer) == (fact.get("status"), True), answer


def test_wrong_passwords_count_for_five_minutes_and_not_after_the_right_one(serve: Callable[..., Client]) -> None:
    now = [1000.0]
    attempts = grafana.Attempts(lambda: now[0])
    client = serve(grafana.make("admin", "right", [], attempts))
    assert UPSTREAM.limit("seconds that a wrong password counts") == attempts.SECONDS
    assert UPSTREAM.limit("wrong passwords of a user before the right one is refused too") == attempts.MOST
    assert asked("/api/user", before=4)(client)[0] == 200
    assert asked("/api/user", before=4)(client)[0] == 200
    assert asked("/api/user", before=5)(client)[0] == 401
    now[0] += 301
    assert asked("/api/user")(client)[0] == 200
