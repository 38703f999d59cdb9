"""A hook of the model proxy: each of the platform's own callers has a key of its own, with a budget, in Postgres.

None of them holds the master key, which can make and read keys. The program makes the keys and lays them beside this
file; here they are put where LiteLLM looks for keys, at each start: a new secret replaces the old one of its caller,
whose spending stays. Loaded by `litellm_settings.callbacks` from beside the configuration.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from litellm._logging import verbose_proxy_logger
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy import proxy_server
from litellm.proxy.management_endpoints.key_management_endpoints import generate_key_helper_fn
from litellm.proxy.utils import hash_token

FILE: Final = Path(__file__).with_name("keys.json")
MAKER: Final = "agentic-mesh"
"""Who made them, in the table of keys."""
PERIOD: Final = "30d"
"""A budget's."""
_PAUSE: Final = 1.0


async def keep(database: Any, keys: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the table hold these keys, and of our making no others.

    `database` is Prisma's client, `keys` by caller: `key` and `max_budget`, in US dollars for each period.
    """
    table = database.litellm_verificationtoken
    ours = await table.find_many(where={"created_by": MAKER})
    gone = [row.token for row in ours if row.key_alias not in keys]
    if gone:
        await table.delete_many(where={"token": {"in": gone}})
    tokens = {row.key_alias: row.token for row in ours}
    for caller, wanted in keys.items():
        if caller in tokens:
            token = hash_token(wanted["key"])
            changed = {"token": token, "max_budget": wanted["max_budget"], "blocked": False}
            await table.update(where={"token": tokens[caller]}, data=changed)
        else:
            await generate_key_helper_fn(
                request_type="key",
                table_name="key",
                key=wanted["key"],
                key_alias=caller,
                key_max_budget=wanted["max_budget"],
                key_budget_duration=PERIOD,
                # Models alone: no keys, no settings.
                allowed_routes=["llm_api_routes"],
                created_by=MAKER,
            )


async def _keep_when_there() -> None:
    """The database is asked only after the callbacks are loaded, and may be away longer than that."""
    keys = json.loads(FILE.read_text(encoding="utf-8"))
    said = ""
    while True:
        client = proxy_server.prisma_client
        if client is not None:
            try:
                await keep(client.db, keys)
            except Exception as error:  # noqa: BLE001 - whatever the database has, the next try may find it well
                if str(error) != said:
                    verbose_proxy_logger.error("the callers' keys are not in place yet: %s", error)
                said = str(error)
            else:
                return
        await asyncio.sleep(_PAUSE)


class OwnKeys(CustomLogger):
    """Starts with the proxy's event loop, in which callbacks are loaded."""

    def __init__(self) -> None:
        """Begin at once."""
        super().__init__()
        # Kept: a task that nobody holds may be collected.
        self._task = asyncio.get_running_loop().create_task(_keep_when_there())


hook = OwnKeys()
