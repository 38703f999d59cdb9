"""Calls of docling-serve, which reads PDFs and images."""

import httpx

from mesh_agents.config import Settings
from mesh_agents.errors import ApiError, unavailable


class OcrClient:
    """The document vision service."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        """Use `http`, which its owner closes."""
        self._http = http
        self._url = f"{settings.ocr_url}/v1/convert/file"
        self._key = settings.secret("ocr-key").get_secret_value()

    async def markdown(self, content: bytes, filename: str, media_type: str) -> str:
        """The document as Markdown; takes seconds to minutes.

        Raises:
            ApiError: 422 it cannot be read, 503 the service is away.

        """
        try:
            response = await self._http.post(
                self._url,
                files={"files": (filename, content, media_type)},
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
            body = response.json()
            if body.get("status") in ("success", "partial_success"):
                text = (body.get("document") or {}).get("md_content")
        if not isinstance(text, str) or not text.strip():
            raise ApiError(422, "no text could be read from the document", code="document_unreadable", param="file")
        return text
