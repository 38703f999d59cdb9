"""The caller's choice, or the router's."""

from mesh_agents import metrics
from mesh_agents.errors import ApiError
from mesh_agents.routing.router import Decision, Router, forced
from mesh_agents.routing.routes import AUTO, CHAT_MODELS, Route

OFFERED = (AUTO, *Route, *CHAT_MODELS)
"""Names that `/v1/models` lists and that `model` may hold."""


def wishes(model: str, metadata: object) -> tuple[str | None, str | None]:
    """Route and model that a caller forces by `model` and by `metadata.route`.

    Raises:
        ApiError: 404 there is no such model, 400 no such route.

    """
    if model not in OFFERED:
        raise ApiError(
            404,
            f"the model {model!r} does not exist; there are: {', '.join(OFFERED)}",
            code="model_not_found",
            param="model",
        )
    route = metadata.get("route") if isinstance(metadata, dict) else None
    if route is not None and route not in tuple(Route):
        raise ApiError(400, f"there is no route {route!r}", code="route_not_found", param="metadata.route")
    if model in tuple(Route):
        return model, None
    return route, None if model == AUTO else model


def choose(router: Router, prompt: str, route: str | None, model: str | None) -> Decision:
    """The decision for a prompt; a named model without a route answers directly."""
    if route is not None:
        decision = forced(Route(route), model)
    elif model is not None:
        decision = forced(_DIRECT.get(model, Route.SIMPLE), model)
    else:
        decision = router.decide(prompt)
        metrics.ROUTE_SECONDS.observe(decision.milliseconds / 1000)
    clear = str(decision.metadata()["clear"]).lower()
    metrics.ROUTES.labels(decision.route.value, str(decision.forced).lower(), clear).inc()
    return decision


_DIRECT = {"claude_sonnet": Route.CODE, "claude_opus": Route.COMPLEX}
