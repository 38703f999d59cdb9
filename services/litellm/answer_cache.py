"""A hook of the model proxy: whose answers a request may find in the cache, and whose it leaves its own to.

LiteLLM keys a cached answer by the request and a namespace which the client itself may name; it also takes a whole key
from the request's body. Here both are the proxy's business: the namespace is made of what the client cannot choose, and
what it sends instead is dropped. Loaded by `litellm_settings.callbacks` from beside the configuration.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from litellm.integrations.custom_logger import CustomLogger

NAMESPACE: Final = "litellm:answers"
"""Redis lets the proxy's user have keys of this beginning only."""
_ASKED: Final = ("no-cache", "no-store")
"""What a client may say of the cache: not to look, not to keep."""
_CHOSEN: Final = (
    "cache_key",
    "preset_cache_key",
    "litellm_params",
    "caching",
    "caching_groups",
    "redis_namespace",
    # The model's name in the key, for Anthropic's protocol: with it one model's answer is another's.
    "model_group",
)
_TERMS: Final = ("anthropic-beta", "anthropic-version")
"""Headers that go on to Claude and change its answer, but are no part of LiteLLM's key."""
_URI: Final = re.compile(r'(?:^|[;,])URI="?([^;,"]+)')


def scope(key: str, headers: Mapping[str, str], user: object) -> str:
    """Whose answers: the key's, and of those who share it the mesh's caller's, the gateway's consumer's and the user's.

    The sidecar sets the caller's identity anew, the gateway its consumer; a service that answers for several people
    names them in OpenAI's `user` or Anthropic's `metadata.user_id`. Of the identity only the name counts: the
    certificate is renewed, the cache stays.
    """
    caller = _URI.search(headers.get("x-forwarded-client-cert", ""))
    parts = [key, caller[1] if caller else "", headers.get("x-consumer-username", ""), user]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def named(data: Mapping[str, Any]) -> object:
    """The person whom a service names in its request, in OpenAI's way and in Anthropic's."""
    metadata = data.get("metadata")
    return [data.get("user"), metadata.get("user_id") if isinstance(metadata, dict) else None]


class AnswerCache(CustomLogger):
    """Sets the namespace of each request."""

    def __init__(self, *, shared: bool) -> None:
        """`shared`: one namespace for all."""
        super().__init__()
        self._shared = shared

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,
        cache: Any,  # noqa: ARG002 - the signature is LiteLLM's
        data: dict[str, Any],
        call_type: str,  # noqa: ARG002
    ) -> dict[str, Any]:
        """The call's arguments with a namespace that is not the client's choice."""
        for place in (data, data.get("metadata"), data.get("litellm_metadata")):
            if isinstance(place, dict):
                for name in _CHOSEN:
                    place.pop(name, None)
        headers = (data.get("proxy_server_request") or {}).get("headers") or {}
        whose = "shared" if self._shared else scope(str(user_api_key_dict.api_key), headers, named(data))
        terms = [headers.get(name) for name in _TERMS]
        if any(terms):
            whose += f":{hashlib.sha256(json.dumps(terms).encode()).hexdigest()}"
        given = data.get("cache")
        wishes = {name: True for name in _ASKED if isinstance(given, dict) and given.get(name) is True}
        data["cache"] = {**wishes, "namespace": f"{NAMESPACE}:{whose}"}
        return data


per_user = AnswerCache(shared=False)
shared = AnswerCache(shared=True)
