"""`/v1/images/generations` by the official client; for ComfyUI a stand-in of its API answers."""

import base64
import threading
from typing import Any, get_type_hints

import httpx
import openai
import pytest
from mesh_agents.api.images import FIELDS
from openai.types import image_generate_params as official

from tests.services.agents.comfyui import picture
from tests.services.agents.conftest import KEY, serving
from tests.services.agents.servers import wait_until
from tests.services.agents.stand_in import StandIn

PROMPT = "a lighthouse at dusk, oil on canvas"


def _sizes(upstream: StandIn) -> list[tuple[int, int]]:
    latents = [graph["5"]["inputs"] for graph in upstream.comfyui.graphs]
    return [(latent["width"], latent["height"]) for latent in latents]


def test_every_field_of_the_official_client_is_decided_about() -> None:
    hints = {
        *get_type_hints(official.ImageGenerateParamsNonStreaming),
        *get_type_hints(official.ImageGenerateParamsStreaming),
    }
    assert set(FIELDS) == hints


def test_as_base64(client: openai.OpenAI, upstream: StandIn) -> None:
    made = client.images.generate(prompt=PROMPT, n=3, size="1536x1024", response_format="b64_json", quality="hd")
    assert made.data is not None
    assert [base64.b64decode(one.b64_json or "") for one in made.data] == [picture(PROMPT)] * 3
    assert all(one.url is None for one in made.data)
    assert upstream.comfyui.prompts == [PROMPT] * 3
    assert _sizes(upstream) == [(1536, 1024)] * 3
    samplers = [graph["3"]["inputs"] for graph in upstream.comfyui.graphs]
    assert len({sampler["seed"] for sampler in samplers}) == 3
    assert {sampler["steps"] for sampler in samplers} == {30}


def test_a_url_is_at_the_same_base_and_wants_the_same_key(
    client: openai.OpenAI, http: httpx.Client, upstream: StandIn
) -> None:
    [one] = client.images.generate(prompt=PROMPT, model="dall-e-3", style="vivid").data or ()
    assert one.url
    assert one.url.startswith(str(client.base_url))
    got = http.get(one.url)
    assert (got.status_code, got.headers["content-type"], got.content) == (200, "image/png", picture(PROMPT))
    assert httpx.get(one.url).status_code == 401
    assert http.get(one.url, headers={"x-consumer-username": "somebody"}).status_code == 404, "another tenant"
    for wrong in (one.url[:-1], one.url[:-2] + "AA", one.url[:-8], f"{one.url}=", one.url[: one.url.rindex("/") + 2]):
        assert http.get(wrong).status_code in (404, 405), wrong
    upstream.comfyui.pictures.clear()
    assert http.get(one.url).json()["error"]["code"] == "image_not_found"


def test_a_url_through_the_edge_is_a_public_one(http: httpx.Client, upstream: StandIn) -> None:
    """It sets the name by which the client came, and speaks TLS."""
    answer = http.post("/v1/images/generations", json={"prompt": PROMPT}, headers={"x-forwarded-host": "mesh.example"})
    assert answer.json()["data"][0]["url"].startswith("https://mesh.example/v1/images/generations/")


@pytest.mark.parametrize(("output", "preview"), [("webp", "webp;80"), ("jpeg", "jpeg;80")])
def test_gpt_image_sends_base64_in_the_format_that_is_wanted(
    client: openai.OpenAI, http: httpx.Client, upstream: StandIn, output: Any, preview: str
) -> None:
    more: dict[str, Any] = {"prompt": PROMPT, "output_format": output, "output_compression": 80}
    made = client.images.generate(model="gpt-image-1", background="opaque", moderation="low", **more)
    assert made.data is not None
    assert base64.b64decode(made.data[0].b64_json or "").startswith(output.encode())
    assert (made.output_format, made.size) == (output, "1024x1024")
    url = (client.images.generate(response_format="url", **more).data or [])[0].url
    assert http.get(url or "").headers["content-type"] == f"image/{output}"
    assert upstream.comfyui.previews == [preview] * 2


@pytest.mark.parametrize("size", ["256x256", "512x512", "1024x1792", "1536x864", "auto"])
def test_sizes(client: openai.OpenAI, upstream: StandIn, size: str) -> None:
    client.images.generate(prompt=PROMPT, size=size)
    assert "x".join(map(str, _sizes(upstream)[0])) == ("1024x1024" if size == "auto" else size)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"size": "1000x1001"}, "size"),
        ({"size": "huge"}, "size"),
        ({"size": "4096x4096"}, "size"),
        ({"size": "2048x2048"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"n": 11}, "n"),
        ({"n": 0}, "n"),
        ({"quality": "splendid"}, "quality"),
        ({"response_format": "text"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"background": "transparent"}, "background"),
        ({"stream": True}, "stream"),
        ({"partial_images": 2}, "partial_images"),
        ({"frame_count": 3}, "frame_count"),
        ({"svg": {}}, "svg"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(
    http: httpx.Client, upstream: StandIn, given: dict[str, Any], param: str
) -> None:
    answer = http.post("/v1/images/generations", json={"prompt": PROMPT, **given})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert not upstream.comfyui.prompts


def test_models(client: openai.OpenAI, upstream: StandIn) -> None:
    for model in ("sd_xl_base_1.0.safetensors", "sd_xl_base_1.0", "dall-e-2", "gpt-image-1.5", "chatgpt-image-latest"):
        client.images.generate(prompt=PROMPT, model=model)
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt=PROMPT, model="vllm_local")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "sd_xl_base_1.0.safetensors" in str(caught.value)


def test_a_failure_says_why_and_leaves_nothing_in_the_queue(client: openai.OpenAI, upstream: StandIn) -> None:
    upstream.comfyui.fails = True
    with pytest.raises(openai.InternalServerError) as caught:
        client.images.generate(prompt=PROMPT, n=2)
    assert caught.value.status_code == 502
    assert "Allocation on device failed" in str(caught.value)
    assert len(upstream.comfyui.dropped) == 2


def test_who_leaves_takes_the_jobs_along(http: httpx.Client, upstream: StandIn) -> None:
    upstream.comfyui.polls = 1000

    def leave() -> None:
        with pytest.raises(httpx.ReadTimeout):
            http.post("/v1/images/generations", json={"prompt": PROMPT, "n": 2}, timeout=2)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    wait_until(lambda: len(upstream.comfyui.dropped) == 2, what="the jobs' end")


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        (
            {"AGENTS_IMAGE_CHECKPOINT": "none.safetensors"},
            "checkpoint_missing",
            ["'none.safetensors'", "comfyui-data/models/checkpoints", "models.imageCheckpoint", "sd_xl_base_1.0"],
        ),
        ({"AGENTS_COMFYUI_URL": "http://127.0.0.1:9"}, "dependency_unavailable", ["the image generator", "try again"]),
    ],
    ids=["no checkpoint", "away"],
)
def test_what_is_missing_is_said(
    environment: dict[str, str], upstream: StandIn, settings: dict[str, str], code: str, told: list[str]
) -> None:
    with serving({**environment, **settings}) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            with pytest.raises(openai.InternalServerError) as caught:
                client.images.generate(prompt=PROMPT, n=2)
    assert (caught.value.status_code, caught.value.code) == (503, code)
    assert all(part in str(caught.value) for part in told)
    assert not upstream.comfyui.prompts
