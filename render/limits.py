"""Limits of the way in, which nginx, Kong and the sentences of their errors have in common."""

from typing import Final

REQUESTS_PER_SECOND: Final = 20
"""Of one address, at the edge."""
CONNECTIONS: Final = 40
"""Of one address, at the edge."""
REQUESTS_PER_MINUTE: Final = 120
"""With one key, in Kong."""
BODY_MIB: Final = 64
"""The largest request body, at the edge and in Kong: an uploaded document with its other form fields."""
JSON_MIB: Final = 32
"""The largest body without files, as in the agents' API."""
JSON_VALUES: Final = 1000
"""Values in a JSON body, at the edge: each text of an embedding request is one."""
JSON_DEPTH: Final = 512
"""How deep a JSON body may be nested, at the edge."""
