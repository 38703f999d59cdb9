"""The caller's choice, or the router's."""

from dataclasses import replace

from mesh_agents import metrics
from mesh_agents.errors import ApiError
from mesh_agents.routing.abilities import TOOLS
from mesh_agents.routing.router import Decision, Router, forced
from mesh_agents.routing.routes import AUTO, CHAT_MODELS, Route
from mesh_agents.routing.situation import Situation

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


def choose(
    router: Router,
    asked: str | Situation,
    route: str | None,
    model: str | None,
    needs: frozenset[str] = frozenset(),
) -> Decision:
    """The decision for a prompt or a conversation; a named model without a route answers directly.

    `needs` are abilities that the model must have (`routing.abilities`): another one takes the place of the route's own
    where that lacks one, but not the place of a model that the caller named.

    Raises:
        ApiError: 400, the named model lacks one of `needs`, or every model does.

    """
    if route is not None:
        decision = forced(Route(route), model)
    elif model is not None:
        decision = forced(_DIRECT.get(model, Route.SIMPLE), model)
    else:
        decision = router.decide(asked)
        metrics.ROUTE_SECONDS.observe(decision.milliseconds / 1000)
    if decision.route is Route.MULTI_STEP:
        # The team reads what is attached with its tools.
        needs &= {TOOLS}
    if model is not None:
        router.abilities.check(model, needs)
    elif (able := router.abilities.instead_of(decision.model, needs)) != decision.model:
        decision = replace(decision, model=able, reasons=(*decision.reasons, f"it takes {', '.join(sorted(needs))}"))
    clear = str(decision.metadata()["clear"]).lower()
    metrics.ROUTES.labels(decision.route.value, str(decision.forced).lower(), clear).inc()
    return decision


_DIRECT = {"claude_sonnet": Route.CODE, "claude_opus": Route.COMPLEX}
