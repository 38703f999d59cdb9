"""The stand-in of dcgm-exporter takes our list of counters and ends with those that the real one ends with."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.images.standins import gpu_exporter
from lab.images.standins.common import Service
from render.gpu_counters import gpu_counters
from tests.contracts.upstream_facts import Fact, read
from tests.lab.images.conftest import Client

UPSTREAM = read("gpu-exporter")
EXAMPLES = {
    "a line of two fields": "DCGM_FI_DEV_GPU_TEMP, gauge\n",
    "an unknown field": "DCGM_FI_DEV_GPU_TEMPERATURE, gauge, x\n",
    "an unknown type": "DCGM_FI_DEV_GPU_TEMP, number, x\n",
    "a counter that wants SYS_ADMIN": "DCGM_FI_PROF_GR_ENGINE_ACTIVE, gauge, x\n",
    "no file": None,
}


@pytest.mark.parametrize("fact", UPSTREAM.refuses, ids=lambda fact: fact.get("what"))
def test_what_ends_the_program_ends_it(tmp_path: Path, fact: Fact) -> None:
    file, text = tmp_path / "counters.csv", EXAMPLES[fact.get("what")]
    if text is not None:
        file.write_text(text)
    command = [sys.executable, "-m", "lab.images.standins.gpu_exporter", "-a", "127.0.0.1:0", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=Path.cwd())
    assert (done.returncode, fact.get("says") in done.stderr) == (fact.get("status"), True), done.stderr


def labels(text: str, name: str) -> dict[str, str]:
    [found] = re.findall(rf"^{name}{{(.*)}}", text, re.MULTILINE)
    return dict(re.findall(r'(\w+)="([^"]*)"', found))


def test_a_card_gets_hot_on_request_and_its_labels_are_upstream_s(
    serve: Callable[[Service], Client], tmp_path: Path
) -> None:
    file = tmp_path / "gpu"
    client = serve(gpu_exporter.make(gpu_exporter.counters(gpu_counters()), file))
    text = client.ask("GET", "/metrics")[1]
    wanted = UPSTREAM.limit("labels of a GPU's metric")
    assert list(labels(text, "DCGM_FI_DEV_GPU_TEMP")) == wanted
    assert list(labels(text, gpu_exporter.XID)) == [*wanted, *UPSTREAM.limit("labels of the last XID besides")]
    file.write_text("DCGM_FI_DEV_GPU_TEMP 91\nDCGM_FI_DEV_XID_ERRORS 79\nDCGM_EXP_XID_ERRORS_COUNT 1\n")
    text = client.ask("GET", "/metrics")[1]
    assert re.search(r"^DCGM_FI_DEV_GPU_TEMP{.*} 91$", text, re.MULTILINE)
    assert labels(text, gpu_exporter.XID)["err_code"] == "79"
    counted = [*wanted, *UPSTREAM.limit("labels of the count of XIDs besides")]
    assert list(labels(text, gpu_exporter.COUNT)) == counted
    assert client.ask("GET", "/health") == (200, "OK")


def test_its_table_is_that_of_upstream_s_file() -> None:
    assert UPSTREAM.limit("types of a counter") == list(gpu_exporter.TYPES)
    _, keys = UPSTREAM.files["/config/counters.csv"]
    assert set(keys) <= gpu_exporter.FIELDS | gpu_exporter.COUNTED
