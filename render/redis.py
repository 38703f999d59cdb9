"""Redis' configuration and its users: one for each client, with the commands and keys it needs."""

from collections.abc import Mapping
from typing import Final

USERS: Final[Mapping[str, str]] = {
    "admin": "~* &* +@all",
    "agents": "~agents:* ~autoclaim:agents:* &agents:* +@all -@admin -@dangerous +info",
    "litellm": "~litellm* &litellm* +@all -@admin -@dangerous +info +client|setinfo +client|setname",
    "n8n": "~bull* ~n8n* &n8n* &bull* +@all -@admin -@dangerous +info +client +keys",
    "kong": "~ratelimit:* +@read +@write +@scripting +@connection +ping -@dangerous",
    "exporter": "+ping +info +client|list +client|setname +latency +slowlog +config|get +dbsize +command",
}
"""User -> its rules; the default user is off."""


def redis_acl(passwords: Mapping[str, str]) -> str:
    """An `aclfile`; `passwords` by user, one for each of `USERS`."""
    # Nobody can be the default user, which is off and has no password. But Redis replays its log under that name, and
    # leaves out of a transaction what the user may not do: without rights here a restart would lose it, silently.
    lines = ["user default off resetpass sanitize-payload ~* &* +@all"]
    lines += [
        f"user {user} on >{passwords[user]} sanitize-payload resetchannels {rules}" for user, rules in USERS.items()
    ]
    return "\n".join(lines) + "\n"


def redis_config(memory_mib: int) -> str:
    """A `redis.conf`: durable queues, and a bound that leaves room for a background save."""
    return "\n".join(
        (
            "bind 0.0.0.0",
            "port 6379",
            "protected-mode yes",
            "aclfile /config/users.acl",
            "dir /data",
            "appendonly yes",
            "appendfsync everysec",
            f"maxmemory {memory_mib // 2}mb",
            # Only keys with a time to live are evicted: cached answers, never queued jobs.
            "maxmemory-policy volatile-lru",
            "tcp-keepalive 60",
            "timeout 0",
            "",
        )
    )
