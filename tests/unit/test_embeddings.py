"""The embedding servers are told what fits their memory, by a formula over the model's size."""

import pytest

from render.models import embeddings_command
from settings.embeddings import KNOWN, LEAST, Shape, batch_tokens
from settings.errors import SettingsError
from settings.graph import planned_graph
from tests.unit.samples import settings
from topology.catalog import SERVICES
from topology.model import Service

M3 = KNOWN["BAAI/bge-m3"]


def service(name: str) -> Service:
    return next(s for s in SERVICES if s.name == name)


def arguments(stack: str, name: str, **config: object) -> dict[str, str]:
    words = embeddings_command(settings(stack, **config), service(name))
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_default_model_fits_where_it_runs_and_did_not_before() -> None:
    cpu = service("embeddings-cpu")
    told = int(arguments("oracle1", "embeddings-cpu")["--max-batch-tokens"])
    assert told == 1280
    assert M3.cpu_mib(told) <= cpu.memory_mib < M3.cpu_mib(told + 256)
    # What it was: 16384 tokens in 3 GiB, and a warm-up of 8192 tokens.
    assert M3.cpu_mib(8192) > 2 * 3072
    assert M3.cpu_mib(LEAST) > 3072


def test_the_warm_up_s_scores_are_counted() -> None:
    """16 heads, 8192 tokens squared, 4 bytes are 4 GiB for one table, of which there are three at the peak."""
    scores = M3.cpu_mib(8192) - Shape(M3.millions, M3.hidden, 0, M3.tokens).cpu_mib(8192)
    assert scores == pytest.approx(3 * 4096, abs=1)


def test_a_limit_of_the_settings_decides() -> None:
    read = settings("oracle1", memoryMib={"embeddings-cpu": 6144}, hostMemoryGib=32)
    [planned] = [s for s in planned_graph(read).on("oracle1") if s.name == "embeddings-cpu"]
    words = embeddings_command(read, planned)
    assert int(words[words.index("--max-batch-tokens") + 1]) > 1280
    with pytest.raises(SettingsError, match="a model that fits 3072 MiB of memory"):
        settings("oracle1", memoryMib={"embeddings-cpu": 3072})


def test_on_a_card_the_share_decides() -> None:
    card = service("embeddings")
    assert arguments("thanos", "embeddings")["--max-batch-tokens"] == "16384"
    assert batch_tokens(M3, card, {"embeddings": 1.7}) < 16384
    assert M3.gpu_mib(16384) <= 2 * 1024
    # Without a share the image, which asks nvidia-smi at its start, would end at once.
    for share, stands in ((0, "is 0.0"), (1, "is 1.0")):
        with pytest.raises(SettingsError, match=stands) as refusal:
            settings("thanos", gpuShares={"embeddings": share})
        assert "at least 1.6 GiB for BAAI/bge-m3" in str(refusal.value)
        assert "config set --path 'agentic-mesh:gpuShares.embeddings' '1.6' --stack thanos" in str(refusal.value)


@pytest.mark.parametrize(("stack", "name"), [("thanos", "embeddings"), ("oracle1", "embeddings-cpu")])
def test_what_openai_takes_is_split_and_truncated_and_not_refused(stack: str, name: str) -> None:
    told = arguments(stack, name)
    assert told["--auto-truncate"] == "true"
    assert int(told["--max-client-batch-size"]) == 2048
    # Each text takes a permit; one request of all must leave room for others.
    assert int(told["--max-concurrent-requests"]) > 2048
    assert int(told["--payload-limit"]) == 32 * 1024 * 1024


def test_a_model_that_nobody_knows_is_described_by_the_settings() -> None:
    shape = "millions=33.4 hidden=384 heads=12 tokens=512"
    models = {"embedding": "org/own", "embeddingSize": 384, "embeddingShape": shape}
    assert settings(models=models).models.shape_of_embedding() == Shape(33.4, 384, 12, 512)
    assert arguments("oracle1", "embeddings-cpu", models=models)["--max-batch-tokens"] == "16384"


def test_a_model_that_fits_no_host_is_refused_with_what_it_needs() -> None:
    models = {"embedding": "org/huge", "embeddingShape": "millions=8000 hidden=4096 heads=32 tokens=32768"}
    with pytest.raises(SettingsError, match="a model that fits 3584 MiB of memory") as refusal:
        settings("oracle1", models=models)
    assert "config set --path 'agentic-mesh:models.embedding' 'BAAI/bge-small-en-v1.5'" in str(refusal.value)
    with pytest.raises(SettingsError, match=r"at least 15\.5 GiB for org/huge"):
        settings("thanos", models=models)


def test_every_known_model_fits_the_default_hosts() -> None:
    for name, shape in KNOWN.items():
        for stack in ("thanos", "oracle1"):
            models = {"embedding": name, "embeddingSize": shape.hidden}
            assert settings(stack, models=models).models.embedding == name
