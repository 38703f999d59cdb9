"""Calls of docling-serve, which reads PDFs and images."""

import httpx

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable
from mesh_agents.rag.parse import Kind


class OcrClient:
    """The document vision service."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        """Use `http`, which its owner closes."""
        self._http = http
        self._url = f"{settings.ocr_url}/v1/convert/file"
        self._key = settings.secret("ocr-key").get_secret_value()

    async def markdown(self, content: bytes, kind: Kind) -> str:
        """The document as Markdown; takes seconds to minutes.

        Raises:
            ApiError: 422 it cannot be read, 502 the service answers nonsense, 503 it is away.

        """
        try:
            response = await self._http.post(
                self._url,
                # Not the caller's name for it: the service goes by the ending.
                files={"files": (f"document.{kind.value.rpartition('/')[2]}", content, kind.value)},
                data={"to_formats": "md", "image_export_mode": "placeholder"},
                headers={"x-api-key": self._key},
                timeout=httpx.Timeout(300, connect=5),
            )
        except httpx.TransportError as error:
            raise unavailable("the document reader") from error
        if response.status_code in (429, 502, 503, 504):
            raise unavailable("the document reader")
        text = None
        if response.status_code == httpx.codes.OK:
            try:
                body = response.json()
                if body.get("status") in ("success", "partial_success"):
                    text = (body.get("document") or {}).get("md_content")
            except (ValueError, AttributeError) as error:
                raise ApiError(
                    502, "the document reader's answer is malformed", code="ocr_malformed", kind="server_error"
                ) from error
        if not isinstance(text, str) or not text.strip():
            raise ApiError(422, "no text could be read from the document", code="document_unreadable", param="file")
        return text
