"""What cloud models cost: the known ones, and those that the configuration adds or says otherwise."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from settings.checks import Check, NotAllowedError, number


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars for a million tokens."""

    input_usd: float
    output_usd: float


KNOWN: Final[Mapping[str, Price]] = {
    "claude-haiku-4-5": Price(input_usd=1, output_usd=5),
    "claude-sonnet-4-5": Price(input_usd=3, output_usd=15),
    "claude-sonnet-4-6": Price(input_usd=3, output_usd=15),
    "claude-opus-4-5": Price(input_usd=5, output_usd=25),
    "claude-opus-4-6": Price(input_usd=5, output_usd=25),
    "mistralai/mixtral-8x22b-instruct": Price(input_usd=2, output_usd=6),
}
"""List prices of the default models and of those that they replaced."""

EXAMPLE: Final = {"inputUsd": 3, "outputUsd": 15}
_FIELD: Final = number(0, 100_000, "US dollars for a million tokens", "3")


def _price(value: object) -> Price:
    if not isinstance(value, dict) or set(value) != set(EXAMPLE):
        raise NotAllowedError
    return Price(input_usd=_FIELD.parse(value["inputUsd"]), output_usd=_FIELD.parse(value["outputUsd"]))


def _prices(value: object) -> Mapping[str, Price]:
    if not isinstance(value, dict):
        raise NotAllowedError
    return {str(name): _price(price) for name, price in value.items()}


PRICES: Final = Check[Mapping[str, Price]](
    'an object of model -> {"inputUsd": ..., "outputUsd": ...}, in US dollars for a million tokens',
    '{"owner/name": {"inputUsd": 3, "outputUsd": 15}}',
    _prices,
)


def without_price(models: Iterable[str], given: Mapping[str, Any]) -> str | None:
    """The first model that nobody has named a price of."""
    return next((model for model in models if model not in given and model not in KNOWN), None)
