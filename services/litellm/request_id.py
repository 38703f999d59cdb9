"""A hook of the model proxy: the request's id goes on to the model, so that one id follows a request through all hops.

LiteLLM can forward every `x-` header of its client or none; the others name callers and addresses of the mesh, which
a model in the cloud has no business to know. Loaded by `litellm_settings.callbacks` from beside the configuration.
"""

from typing import Any

from litellm.integrations.custom_logger import CustomLogger

HEADER = "x-request-id"


class RequestId(CustomLogger):
    """Adds the header to the call of the model."""

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,  # noqa: ARG002 - the signature is LiteLLM's
        cache: Any,  # noqa: ARG002
        data: dict[str, Any],
        call_type: str,  # noqa: ARG002
    ) -> dict[str, Any]:
        """The call's arguments, with the header where the client sent it."""
        sent = (data.get("proxy_server_request") or {}).get("headers") or {}
        # Of the body's own they would take the place of the provider's key.
        data.pop("headers", None)
        if identifier := sent.get(HEADER):
            # Not `extra_headers`, which are part of the cache's key: no two requests would share an answer.
            data["headers"] = {HEADER: identifier}
        return data


hook = RequestId()
