"""What is not served is refused in the API's own shape, with a sentence that says what is there."""

import httpx
import openai
import pytest


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/v1/nothing", 404, "/v1/chat/completions"),
        ("GET", "/v1", 404, "/v1/models"),
        ("GET", "/v1/v1/models", 404, "twice"),
        ("POST", "/v1/completions", 501, "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/chatcmpl-1", 501, "not stored"),
        ("POST", "/v1/images/edits", 501, "/v1/images/generations"),
        ("POST", "/v1/assistants", 501, "/v1/runs"),
        ("GET", "/v1/threads/thread_1/messages", 501, "/v1/runs"),
        ("POST", "/v1/batches", 501, "/v1/runs"),
        ("POST", "/v1/uploads", 501, "/v1/files"),
        ("POST", "/v1/fine_tuning/jobs", 501, "trained"),
        ("POST", "/v1/moderations", 501, "moderation"),
        ("GET", "/v1/vector_stores/vs_1/files/file-1/content", 501, "/v1/files/{file_id}/content"),
        ("POST", "/v1/embeddings", 404, "public address"),
        ("DELETE", "/v1/models", 405, "GET"),
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("PUT", "/v1/documents", 405, "GET, POST"),
    ],
)
def test_in_openai_s_shape(http: httpx.Client, method: str, path: str, status: int, told: str) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["code"]
    assert told in error["message"]
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(("path", "status"), [("/v1/messages", 404), ("/v1/messages/batches", 501)])
def test_in_anthropic_s_shape(http: httpx.Client, path: str, status: int) -> None:
    answer = http.post(path, json={})
    assert answer.status_code == status
    body = answer.json()
    assert (set(body), set(body["error"])) == ({"type", "error"}, {"type", "message"})
    assert body["type"] == "error"


def test_anthropic_s_client_is_told_in_its_shape_on_shared_paths(http: httpx.Client) -> None:
    version = {"anthropic-version": "2023-06-01"}
    for method, path, kind in (
        ("GET", "/v1/models/nothing", "not_found_error"),
        ("GET", "/v1/nothing", "not_found_error"),
        ("DELETE", "/v1/models", "invalid_request_error"),
        ("GET", "/v1/files?limit=0", "invalid_request_error"),
    ):
        body = http.request(method, path, headers=version).json()
        assert (body["type"], body["error"]["type"]) == ("error", kind), path
    stranger = http.get("/v1/models", headers={**version, "authorization": "Bearer wrong"})
    assert stranger.json()["error"]["type"] == "authentication_error"


def test_strangers_are_told_nothing_of_what_is_there(base_url: str) -> None:
    for path in ("/v1/nothing", "/v1/assistants", "/v1/models/auto"):
        answer = httpx.get(base_url + path, headers={"authorization": "Bearer wrong"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
    body = httpx.post(f"{base_url}/v1/messages").json()
    assert body["error"]["type"] == "authentication_error"


def test_outside_the_api_nothing_is_explained(http: httpx.Client) -> None:
    answer = http.get("/nothing")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_the_official_client_raises_its_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.batches.list()
    assert "/v1/runs" in str(caught.value)
    with pytest.raises(openai.NotFoundError):
        client.get("/nothing", cast_to=object)
