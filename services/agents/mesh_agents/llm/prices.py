"""What a call of each model costs."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mesh_agents.routing.routes import CHAT_MODELS

_MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Prices:
    """Prices by model name, in US dollars for a million tokens, in and out."""

    by_model: Mapping[str, tuple[float, float]]

    @classmethod
    def parse(cls, text: str) -> "Prices":
        """From JSON like `{"claude_opus": [5, 25]}` with every model that may be asked.

        None is assumed: whoever deploys the service knows what the models behind the names cost.

        Raises:
            ValueError: it is not of that shape, or a model is missing.

        """
        shape = 'AGENTS_PRICES must be JSON of model -> [in, out], like {"claude_opus": [5, 25]}'
        try:
            given = json.loads(text)
            prices = {str(name): (float(read), float(written)) for name, (read, written) in given.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(shape) from error
        if not all(0 <= price < math.inf for pair in prices.values() for price in pair):
            raise ValueError(f"{shape}; no price is negative or endless")
        if missing := [name for name in CHAT_MODELS if name not in prices]:
            raise ValueError(f"AGENTS_PRICES names no price of {', '.join(missing)}")
        return cls(prices)

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> float:
        """US dollars; an unknown model is charged as the dearest, so that a limit errs on the safe side."""
        pair = self.by_model.get(model) or max(self.by_model.values())
        return (tokens_in * pair[0] + tokens_out * pair[1]) / _MILLION
