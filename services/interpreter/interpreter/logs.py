"""One JSON object a line on stdout. Never code, output, file names or keys."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

_FIELDS: Final = "fields"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure() -> None:
    """Send all loggers there, uvicorn's too."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def event(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """A line with fields."""
    logger.log(level, message, extra={_FIELDS: fields})
