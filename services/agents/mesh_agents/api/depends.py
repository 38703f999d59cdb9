"""What handlers get: the parts of the process and the caller's tenant."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from mesh_agents.auth import TENANT_HEADER
from mesh_agents.parts import Parts

_bearer = HTTPBearer(auto_error=False, description="The platform's API key, or a tenant's.")


# Asynchronous although they wait for nothing: FastAPI takes others to a thread and back, for each request.


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def tenant_of(request: Request) -> str:
    """The tenant for whom a request asks.

    Raises:
        ApiError: 401 without a valid key, 400 for a malformed tenant.

    """
    headers = request.headers
    tenant: str = request.app.state.keys.tenant(headers.get("authorization"), headers.get(TENANT_HEADER))
    request.state.tenant = tenant
    return tenant


class Keyed(APIRoute):
    """A route that looks at the key before it reads the body: a stranger's is neither taken in nor commented on."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What is called with a request."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            tenant_of(request)
            return await answer(request)

        return handle


async def _tenant(request: Request, _declared: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    tenant: str = request.state.tenant  # of `Keyed`
    return tenant


PartsDep = Annotated[Parts, Depends(_parts)]
Tenant = Annotated[str, Depends(_tenant)]
