"""The stand-in of Grafana refuses the provisioning that Grafana refuses, and takes ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.images.standins import grafana
from render.grafana import grafana_datasources
from tests.lab.images.conftest import Client

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
    headers = {"authorization": "Basic YWRtaW46cmlnaHQ="}
    assert client.ask("GET", "/api/datasources", None, headers)[0] == 200
    status, answer = client.ask("GET", "/api/datasources/proxy/1/api/v1/query", None, headers)
    assert (status, answer["message"]) == (404, "Unable to find datasource plugin")
