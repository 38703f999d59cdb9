"""What the agents are told."""

import json

from settings import Settings


def agents_prices(settings: Settings) -> str:
    """JSON of every model's price by its name in the routing rules: US dollars for a million tokens, in and out."""
    cloud = {name: settings.prices[model] for name, model in settings.models.cloud().items()}
    own = {"vllm_local": [0.0, 0.0]}
    return json.dumps(own | {name: [price.input_usd, price.output_usd] for name, price in cloud.items()})


def agents_abilities(settings: Settings) -> str:
    """JSON of what every model can do besides text, by its name in the routing rules: `vision`, `tools`, `audio`."""
    return json.dumps({name: sorted(able) for name, able in settings.abilities.items()})
