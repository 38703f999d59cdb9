"""What a call of each model costs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_MILLION: Final = 1_000_000

_DEFAULT: Final[Mapping[str, tuple[float, float]]] = {
    "vllm_local": (0.0, 0.0),
    "claude_small": (1.0, 5.0),
    "claude_sonnet": (3.0, 15.0),
    "claude_opus": (5.0, 25.0),
    "openrouter_mixtral": (2.0, 6.0),
}
"""US dollars for a million tokens, in and out."""


@dataclass(frozen=True)
class Prices:
    """Prices by model name, in US dollars for a million tokens, in and out."""

    by_model: Mapping[str, tuple[float, float]]

    @classmethod
    def default(cls) -> "Prices":
        """List prices of the models that the platform is configured with."""
        return cls(_DEFAULT)

    @classmethod
    def parse(cls, text: str) -> "Prices":
        """From JSON like `{"claude_opus": [5, 25]}`, over the defaults.

        Raises:
            ValueError: it is not of that shape.

        """
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("prices must be an object of model -> [in, out]")  # noqa: TRY004 - one error for callers
        return cls({**_DEFAULT, **{str(name): (float(pair[0]), float(pair[1])) for name, pair in given.items()}})

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> float:
        """US dollars; an unknown model is charged as the dearest, so that a limit errs on the safe side."""
        pair = self.by_model.get(model) or max(self.by_model.values())
        return (tokens_in * pair[0] + tokens_out * pair[1]) / _MILLION
